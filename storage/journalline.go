package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"utskick/audience"
	"utskick/suppression"
)

// journalLine is one line of the journal: a suppression entry as it was written;
// a consent that was refused, which is one without a cause; an erasure, which has a
// contact's key; or a launch, which has nothing else. It holds a key, never an address.
type journalLine struct {
	Version    int64  `json:"v,omitempty"` // of a refusal: that of the index at the time
	Generation int64  `json:"g,omitempty"`
	At         int64  `json:"t"` // milliseconds
	Key        string `json:"k,omitempty"`
	Channel    string `json:"ch,omitempty"`
	Topic      string `json:"to,omitempty"`
	Purpose    string `json:"p,omitempty"`
	Sender     string `json:"se,omitempty"`
	Cause      string `json:"ca,omitempty"`
	Active     bool   `json:"on,omitempty"`
	Source     string `json:"so,omitempty"`
	Evidence   string `json:"e,omitempty"`
	ExpiresAt  int64  `json:"x,omitempty"` // milliseconds, 0: never
	Notice     string `json:"n,omitempty"` // version of the privacy notice

	Launch *launched `json:"launch,omitempty"`
	Erase  *erased   `json:"erase,omitempty"`

	key audience.Key
}

// launched says that a campaign was launched: as which run, and when it was due.
type launched struct {
	Campaign string `json:"campaign"`
	Run      int64  `json:"run"`
	Due      int64  `json:"due"`     // milliseconds
	SendBy   int64  `json:"send_by"` // milliseconds
}

// erased says that somebody asked to be erased.
type erased struct {
	Case     string `json:"case"`
	By       string `json:"by"`
	Declined bool   `json:"declined,omitempty"`
	Address  bool   `json:"address,omitempty"` // the key is that of an address, of who is no contact
}

func lineOf(e suppression.Entry, generation, at int64) journalLine {
	return journalLine{Version: e.Version, Generation: generation, At: at, Key: e.Key.String(), Channel: e.Channel, Topic: e.Topic, Purpose: e.Purpose,
		Sender: e.Sender, Cause: string(e.Cause), Active: e.Active, Source: e.Source, Evidence: e.Evidence, ExpiresAt: millisOf(e.ExpiresAt), Notice: e.Notice}
}

// refusal reports whether the line is a consent that was refused.
func (l journalLine) refusal() bool { return l.Cause == "" }

func (l journalLine) entry() suppression.Entry {
	return suppression.Entry{Key: l.key, Channel: l.Channel, Topic: l.Topic, Purpose: l.Purpose, Sender: l.Sender, Cause: suppression.Cause(l.Cause),
		Active: l.Active, Source: l.Source, Evidence: l.Evidence, ExpiresAt: timeOf(l.ExpiresAt), CreatedAt: timeOf(l.At), Version: l.Version, Notice: l.Notice}
}

// journalEntries returns when the entries are in the journal. What is in the
// database and not in the journal is not acknowledged: it would not survive a
// restore.
func (s *Store) journalEntries(w written) error {
	var lines []byte
	now := s.millis()
	for _, e := range w.entries {
		var err error
		if lines, err = appendLine(lines, lineOf(e, w.head.generation, now)); err != nil {
			return err
		}
	}
	if err := s.journal.append(lines); err != nil {
		return fmt.Errorf("the wishes are in the database: %w", err)
	}
	s.guard.acknowledges(w.head.version)
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sumSize = 2 * crc32.Size // hexadecimal

// appendLine appends the line: the checksum of what follows its space, the
// content, and a line break.
func appendLine(dst []byte, l journalLine) ([]byte, error) {
	content, err := json.Marshal(l)
	if err != nil {
		return dst, err
	}
	return seal(dst, content), nil
}

// seal appends the checksum of content, content, and a line break.
func seal(dst, content []byte) []byte {
	dst = fmt.Appendf(dst, "%0*x ", sumSize, crc32.Checksum(content, castagnoli))
	return append(append(dst, content...), '\n')
}

// unseal returns the content of a line without its line break.
func unseal(line []byte) ([]byte, error) {
	sum, content, found := bytes.Cut(line, []byte{' '})
	var want [crc32.Size]byte
	if n, err := hex.Decode(want[:], sum[:min(len(sum), sumSize)]); !found || len(sum) != sumSize || n != crc32.Size || err != nil {
		return nil, errDamaged
	}
	if crc32.Checksum(content, castagnoli) != binary.BigEndian.Uint32(want[:]) {
		return nil, errDamaged
	}
	return content, nil
}

var errDamaged = errors.New("the line is damaged")

// parseLine reads a line, without its line break.
func parseLine(line []byte) (l journalLine, err error) {
	content, err := unseal(line)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(content, &l); err != nil {
		return l, errDamaged
	}
	if l.Launch != nil {
		return l, nil
	}
	if l.key, err = audience.ParseKey(l.Key); err != nil || l.key.IsZero() {
		return l, errDamaged
	}
	if l.Erase != nil {
		return l, nil
	}
	if l.Purpose == "" || l.Sender == "" {
		return l, errDamaged
	}
	if !l.refusal() && l.entry().Validate() != nil {
		return l, errDamaged
	}
	return l, nil
}

// maxLine is longer than any line; it bounds the memory for nonsense.
const maxLine = 64 << 10

// readJournal calls f for every line that is whole, and returns the numbers of
// the others, counted from 1. Empty lines are those that ended a torn one. f's
// error ends it.
func readJournal(r io.Reader, f func(journalLine) error) (damaged []int, err error) {
	lines := bufio.NewReaderSize(r, maxLine)
	for n := 1; ; n++ {
		text, cut, err := lines.ReadLine()
		text = bytes.TrimRight(text, "\r") // from an editor, say
		switch {
		case errors.Is(err, io.EOF):
			return damaged, nil
		case err != nil:
			return damaged, err
		case len(text) == 0:
			continue
		}
		l, err := parseLine(text)
		for cut && err != nil { // the rest of a line that is none of ours
			if _, cut, _ = lines.ReadLine(); !cut {
				break
			}
		}
		if err != nil {
			damaged = append(damaged, n)
			continue
		}
		if err := f(l); err != nil {
			return damaged, err
		}
	}
}

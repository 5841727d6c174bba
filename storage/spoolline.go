package storage

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

// spoolLine is one line of the spool: a wish, or an event. It holds a key, never
// an address.
type spoolLine struct {
	Wish   *journalLine `json:"wish,omitempty"`
	Person bool         `json:"person,omitempty"`
	Group  int64        `json:"group"`
	At     int64        `json:"at"` // milliseconds
	Mark   string       `json:"mark"`
	Visit  string       `json:"visit,omitempty"`
	Told   int64        `json:"told,omitempty"` // the group of a wish that is no event of it

	Type tracking.EventType `json:"type,omitempty"`
	Key  string             `json:"k,omitempty"`
	Link int64              `json:"link,omitempty"`

	Machine   tracking.Machine   `json:"machine,omitempty"`
	Agent     tracking.Agent     `json:"agent,omitempty"`
	Requester tracking.Requester `json:"from,omitempty"`
}

// appendKept appends the line of a record, sealed and with its line break.
func appendKept(dst []byte, k suppression.Kept) ([]byte, error) {
	var l spoolLine
	if w := k.Wish; w != nil {
		entry := lineOf(w.Entry, 0, millisOf(w.At))
		l = spoolLine{Wish: &entry, Person: w.Person, Group: w.Group, At: millisOf(w.At), Mark: w.Mark, Visit: w.Visit, Told: w.From}
	} else {
		e := k.Event
		l = spoolLine{Type: e.Type, Group: e.Group, At: millisOf(e.At), Mark: e.Dedupe, Link: e.Link,
			Machine: e.Machine, Agent: e.Agent, Requester: e.Requester}
		if !e.Key.IsZero() {
			l.Key = e.Key.String()
		}
	}
	content, err := json.Marshal(l)
	if err != nil {
		return dst, err
	}
	return seal(dst, content), nil
}

// parseKept reads a line, without its line break.
func parseKept(line []byte) (k suppression.Kept, err error) {
	content, err := unseal(line)
	if err != nil {
		return k, err
	}
	var l spoolLine
	if err := json.Unmarshal(content, &l); err != nil {
		return k, errDamaged
	}
	if l.Wish == nil {
		return l.event()
	}
	if l.Wish.key, err = audience.ParseKey(l.Wish.Key); err != nil {
		return k, errDamaged
	}
	entry := l.Wish.entry()
	entry.CreatedAt, entry.Version = timeOf(0), 0
	checked := entry
	checked.Channel, checked.Topic = cmp.Or(checked.Channel, suppression.Any), cmp.Or(checked.Topic, suppression.Any)
	checked.Sender = cmp.Or(checked.Sender, suppression.Any)
	if checked.Validate() != nil {
		return k, errDamaged
	}
	k.Wish = &suppression.Wish{Entry: entry, Person: l.Person, Group: l.Group, At: timeOf(l.At), Mark: l.Mark, Visit: l.Visit, From: l.Told}
	return k, nil
}

func (l spoolLine) event() (k suppression.Kept, err error) {
	e := tracking.Event{Type: l.Type, At: timeOf(l.At), Group: l.Group, Link: l.Link, Dedupe: l.Mark,
		Machine: l.Machine, Agent: l.Agent, Requester: l.Requester}
	if l.Key != "" {
		if e.Key, err = audience.ParseKey(l.Key); err != nil {
			return k, errDamaged
		}
	}
	if e.Type == "" || e.Dedupe == "" {
		return k, errDamaged
	}
	return suppression.Kept{Event: &e}, nil
}

// readSpool calls f for every line that is whole. It returns how many others
// there are, but for the end of a file that was torn: what was not written to
// its end was not acknowledged. f's error ends it.
func readSpool(r io.Reader, f func(suppression.Kept) error) (damaged int, err error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return damaged, nil
		}
		if err != nil {
			return damaged, err
		}
		k, err := parseKept(bytes.TrimSuffix(line, []byte{'\n'}))
		if err != nil {
			damaged++
			continue
		}
		if err := f(k); err != nil {
			return damaged, err
		}
	}
}

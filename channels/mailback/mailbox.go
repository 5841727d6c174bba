package mailback

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
)

// largest bounds a message, in bytes.
const largest = 32 << 20

// Mailbox reads messages one after the other: of a mailbox file (RFC 4155), in
// which a line "From " begins each, or of one message alone. A line of a message
// that begins so has a ">" put in front of it by who writes the file; one is taken
// away.
type Mailbox struct {
	src     *bufio.Reader
	read    int64 // bytes that were taken from src
	started bool
	several bool // it is a mailbox, not one message
	ahead   int  // bytes of the separator that was read already
}

// NewMailbox reads from r, and holds one message at a time.
func NewMailbox(r io.Reader) *Mailbox { return &Mailbox{src: bufio.NewReaderSize(r, 64<<10)} }

// Read returns how many bytes have been read.
func (m *Mailbox) Read() int64 { return m.read }

var (
	fromLine = []byte("From ")
	// separator has a day and a time, as asctime writes them; what a person writes
	// in a message has not.
	separator = regexp.MustCompile(`^From .*\b[A-Z][a-z]{2} +[0-9]{1,2} [0-9]{2}:[0-9]{2}`)
	quoted    = regexp.MustCompile(`^>+From `)
)

// Next returns the next message and where it begins, in bytes from the start.
// After the last one the error is [io.EOF]. A message that is too large is passed
// over, and the error is [ErrLarge]; every other one is of the reader.
func (m *Mailbox) Next() (raw []byte, offset int64, err error) {
	offset = m.read - int64(m.ahead)
	if !m.started {
		m.started = true
		if start, _ := m.src.Peek(len(fromLine)); bytes.Equal(start, fromLine) {
			m.several = true
			if _, err := m.skipLine(); err != nil {
				return nil, 0, err
			}
		}
	} else if m.ahead == 0 {
		return nil, offset, io.EOF
	}
	m.ahead = 0
	raw, err = m.message()
	if err == nil && m.ahead == 0 && len(bytes.TrimSpace(raw)) == 0 {
		return nil, offset, io.EOF
	}
	return raw, offset, err
}

// skipLine passes over the first separator, however long.
func (m *Mailbox) skipLine() (n int, err error) {
	for {
		part, err := m.src.ReadSlice('\n')
		n += len(part)
		m.read += int64(len(part))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, ignoreEOF(err)
		}
	}
}

// message reads up to the next separator, or the end.
func (m *Mailbox) message() (raw []byte, err error) {
	atStart, large := true, false
	for {
		part, err := m.src.ReadSlice('\n')
		m.read += int64(len(part))
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if m.several && atStart && separator.Match(part) {
			n := len(part)
			if errors.Is(err, bufio.ErrBufferFull) {
				rest, err := m.skipLine()
				if err != nil {
					return nil, err
				}
				n += rest
			}
			m.ahead = n
			break
		}
		if m.several && atStart && quoted.Match(part) {
			part = part[1:]
		}
		atStart = err == nil
		if large = large || len(raw)+len(part) > largest; large {
			raw = nil
		} else {
			raw = append(raw, part...)
		}
		if errors.Is(err, io.EOF) {
			break
		}
	}
	if large {
		return nil, ErrLarge
	}
	return raw, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

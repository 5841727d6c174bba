// Package mime turns a skeleton into e-mail messages (RFC 5322, RFC 2045). A
// [Layout] encodes once what the recipients of a group share; a message is then
// made by appending. Its To line is left out, because the address is not known
// before the permit is opened: [AppendTo] writes it, in front of the message.
package mime

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"utskick/audience"
	"utskick/templates"
)

// Options of a layout.
type Options struct {
	// EightBit sends text as it is, where the server offers 8BITMIME (RFC
	// 6152). Without it, and in rows with a line of more than 998 bytes, it is
	// quoted-printable. A message that is signed should not be EightBit: a
	// later relay that converts it breaks the signature (RFC 6376, 5.3).
	EightBit bool
	// Dots doubles each dot at the start of a line, as SMTP has it (RFC 5321,
	// 4.5.2). Not for a message that is signed: a signature is made before.
	Dots bool
	// Boundary stands between the parts; empty is a random one. It must not
	// occur in any message.
	Boundary string
}

// Layout is the message of one group, encoded. It is immutable and safe for
// concurrent use.
type Layout struct {
	fixed    []byte // From, Reply-To and MIME-Version
	from     string
	domain   string
	subject  templates.Part
	fields   []field
	parts    []part
	boundary string
	eightBit bool
}

// Envelope is what a message has of its own, apart from the values of its row.
type Envelope struct {
	Group int64
	Key   audience.Key
	Date  time.Time
}

// NewLayout encodes the literals of an e-mail skeleton. Its errors name the
// sender's or the skeleton's field that no mail can be made of.
func NewLayout(s *templates.Skeleton, o Options) (*Layout, error) {
	from, err := senderAddress("from_email", s.Sender.FromEmail)
	if err != nil {
		return nil, fmt.Errorf("sender %q: %w", s.Sender.Name, err)
	}
	l := &Layout{from: from, domain: from[strings.LastIndexByte(from, '@')+1:], subject: s.Subject, boundary: o.Boundary, eightBit: o.EightBit}
	l.fixed = appendMailbox(l.fixed, "From: ", s.Sender.FromName, from)
	if s.Sender.ReplyTo != "" {
		reply, err := senderAddress("reply_to", s.Sender.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("sender %q: %w", s.Sender.Name, err)
		}
		l.fixed = appendMailbox(l.fixed, "Reply-To: ", "", reply)
	}
	l.fixed = append(l.fixed, "MIME-Version: 1.0\r\n"...)
	for _, f := range s.Headers {
		made, err := newField(f)
		if err != nil {
			return nil, err
		}
		l.fields = append(l.fields, made)
	}
	// The plainest form comes first (RFC 2046, 5.1.4).
	if len(s.Text) > 0 {
		l.parts = append(l.parts, newPart("text/plain", s.Text, o))
	}
	if len(s.HTML) > 0 {
		l.parts = append(l.parts, newPart("text/html", s.HTML, o))
	}
	if len(l.parts) == 0 {
		return nil, errors.New("the message has neither text nor HTML")
	}
	if l.boundary == "" {
		l.boundary = randomBoundary()
	}
	return l, nil
}

// senderAddress gives an address of the sender with its domain in ASCII.
func senderAddress(field, address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	domain, err := idna.Lookup.ToASCII(address[at+1:])
	if at < 0 || err != nil {
		return "", fmt.Errorf("%s: no address with a valid domain", field)
	}
	address = address[:at+1] + domain
	if err := CheckAddress(address, false); err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	return address, nil
}

// appendMailbox appends a header line with a display name and an address.
func appendMailbox(dst []byte, header, name, address string) []byte {
	dst = append(dst, header...)
	name = strings.TrimSpace(string(printable([]byte(name))))
	switch {
	case name == "":
		return append(dst, "<"+address+">\r\n"...)
	case isASCII(name) && len(header)+len(name) <= textLine:
		return append(dst, (&mail.Address{Name: name, Address: address}).String()+"\r\n"...)
	default:
		dst = appendWords(dst, []byte(name), len(header))
		return append(dst, "\r\n <"+address+">\r\n"...)
	}
}

// randomBoundary starts with what neither quoted-printable nor base64 can hold
// (RFC 2045, 6.7), and cannot be guessed by who chooses a value.
func randomBoundary() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return "=_" + hex.EncodeToString(b[:])
}

// From returns the sender's address with its domain in ASCII.
func (l *Layout) From() string { return l.from }

// Domain returns the domain of the sender's address, in ASCII.
func (l *Layout) Domain() string { return l.domain }

// EightBit says whether messages may hold 8-bit text.
func (l *Layout) EightBit() bool { return l.eightBit }

// Append appends the message of a row: all of it but its To line. Line ends are
// CRLF, the last line's too. Its error is [ErrHeaderLong].
func (l *Layout) Append(dst []byte, sheet *templates.Sheet, row int, e Envelope) ([]byte, error) {
	dst = append(dst, l.fixed...)
	dst = l.appendSubject(dst, sheet, row)
	dst = append(dst, "Date: "...)
	dst = e.Date.UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 -0700")
	dst = l.appendMessageID(dst, e)
	var err error
	for _, f := range l.fields {
		if dst, err = f.append(dst, sheet, row); err != nil {
			return dst, err
		}
	}
	return l.appendParts(dst, sheet, row), nil
}

// appendSubject joins literals and values before it encodes them, since a
// subject is encoded as a whole or not at all.
func (l *Layout) appendSubject(dst []byte, sheet *templates.Sheet, row int) []byte {
	const header = "Subject: "
	dst = append(dst, header...)
	start := len(dst)
	dst = l.subject.Append(dst, sheet, row)
	middle := len(dst)
	dst = appendText(dst, dst[start:middle:middle], len(header))
	dst = append(dst[:start], dst[middle:]...)
	return append(dst, "\r\n"...)
}

// appendMessageID is the same for the same message to the same recipient.
func (l *Layout) appendMessageID(dst []byte, e Envelope) []byte {
	dst = append(dst, "\r\nMessage-ID: <"...)
	dst = strconv.AppendInt(dst, e.Group, 10)
	dst = append(dst, '.')
	dst = hex.AppendEncode(dst, e.Key[:])
	dst = append(dst, '@')
	dst = append(dst, l.domain...)
	return append(dst, ">\r\n"...)
}

func (l *Layout) appendParts(dst []byte, sheet *templates.Sheet, row int) []byte {
	if len(l.parts) == 1 {
		dst = l.parts[0].append(dst, sheet, row)
		if !bytes.HasSuffix(dst, []byte("\r\n")) {
			dst = append(dst, "\r\n"...)
		}
		return dst
	}
	dst = append(dst, "Content-Type: multipart/alternative;\r\n boundary=\""...)
	dst = append(dst, l.boundary...)
	dst = append(dst, "\"\r\n"...)
	if l.eightBit { // of the whole, when a part may be (RFC 2045, 6.4)
		dst = append(dst, "Content-Transfer-Encoding: 8bit\r\n"...)
	}
	for _, p := range l.parts {
		dst = append(dst, "\r\n--"...)
		dst = append(dst, l.boundary...)
		dst = append(dst, "\r\n"...)
		dst = p.append(dst, sheet, row)
	}
	dst = append(dst, "\r\n--"...)
	dst = append(dst, l.boundary...)
	return append(dst, "--\r\n"...)
}

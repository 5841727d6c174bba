// Package mailback reads mail that comes back: notices of mail servers about
// delivery (RFC 3464), complaints (RFC 5965), automatic answers (RFC 3834) and
// what people answer. It says what a message is and what stands in it, and knows
// nothing of recipients, keys and wishes.
//
// The headers are parsed here and not by net/mail or a library, because these
// refuse a message for one line that is no header, and what a mail server wraps
// in its notice is often cut short. Media types, encodings and dates are the
// standard library's, character sets those of golang.org/x/text.
package mailback

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/mail"
	"strings"
	"time"
)

// Kind is what a message is.
type Kind string

// The kinds of messages.
const (
	Delivery  Kind = "delivery"  // a server tells what became of a message
	Feedback  Kind = "feedback"  // a mailbox provider tells what a person says of a message
	Automatic Kind = "automatic" // a machine answered
	Reply     Kind = "reply"     // a person wrote it
	Bulk      Kind = "bulk"      // it says that it is one of many: a machine may have answered, or a person by a list
)

// Message is a message that came back.
type Message struct {
	Kind Kind
	// Name is what the message is known by when it comes again: its Message-ID, or
	// else a hash of all of it.
	Name string
	Date time.Time // as it says itself; zero when it does not

	Recipients []Recipient // of a Delivery
	Feedback   string      // of a Feedback: its type, in lower case
	// Links are the signed links of ours that it holds, those of headers first: in
	// the message that it returns, or in what a person quotes.
	Links []Link
	// Addressed are the addresses that the returned message was sent to, as far as
	// a Feedback names them.
	Addressed []string

	// Of a Reply, and of a Bulk.
	From    string   // address
	To      []string // addresses
	Subject string
	Own     []string // lines that are the person's own, trimmed; empty ones part paragraphs
}

// Recipient is what a server tells of one recipient (RFC 3464, 2.3).
type Recipient struct {
	// Final is the address that the server tried, Original the one that it was
	// given. Either may be empty, and neither is normalised.
	Final, Original string
	Action          string // failed, delayed, delivered, relayed, expanded; in lower case
	Status          string // RFC 3463
	Diagnostic      string // in the words of the server; may hold an address
}

// Link is the token of a link of ours, unverified, and the letter in its path: u
// or p.
type Link struct {
	Letter byte
	Token  string
}

// Rule is what is wrong with a message. It is to be read behind "message 3", and
// never holds anything of the message.
type Rule string

func (r Rule) Error() string { return string(r) }

// The rules that a message can break.
const (
	ErrLarge    Rule = "is larger than 32 MiB"
	ErrHeaders  Rule = "has no headers, or more than 1000, or more than 256 KiB of them"
	ErrNested   Rule = "has parts within parts more than 10 deep, or more than 200"
	ErrReport   Rule = "is a notice about delivery in which no recipient can be found"
	ErrFeedback Rule = "is a complaint whose type cannot be found"
	ErrUnknown  Rule = "is a notice of a mail server in a form that is not known"
	ErrFrom     Rule = "has no sender's address that can be read"
)

// Read reads a message (RFC 5322). Its error is a [Rule].
func Read(raw []byte) (Message, error) {
	top, err := parse(raw)
	if err != nil {
		return Message{}, err
	}
	m := Message{Name: nameOf(top.header, raw)}
	if date, err := mail.ParseDate(top.header.get("Date")); err == nil {
		m.Date = date
	}
	m.Links = links(top)
	switch report := top.find(isReport); {
	case report != nil:
		err = m.readReport(*report)
	case top.find(isFeedback) != nil:
		err = m.readFeedback(top)
	case isReportOf(top, "delivery-status"):
		err = ErrReport
	case isReportOf(top, "feedback-report"):
		err = ErrFeedback
	case m.readQmail(top), m.readExim(top):
	case automatic(top), toMany(top.header) && fromServer(top):
		m.Kind = Automatic
		if fromServer(top) {
			err = ErrUnknown
		}
	default:
		err = m.readReply(top)
	}
	return m, err
}

// nameOf hashes a message without a Message-ID as it is stored, but for line ends
// and empty lines at its end, which a mailbox changes.
func nameOf(h header, raw []byte) string {
	if id := strings.Trim(strings.TrimSpace(h.get("Message-ID")), "<>"); id != "" {
		return id
	}
	sum := sha256.Sum256(bytes.TrimSpace(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (m *Message) readReply(top entity) error {
	m.Kind, m.Subject = Reply, top.header.text("Subject")
	if toMany(top.header) {
		m.Kind = Bulk
	}
	from := addresses(top.header.get("From"))
	if len(from) == 0 {
		from = addresses(top.header.get("Sender"))
	}
	if len(from) == 0 {
		return ErrFrom
	}
	m.From = from[0]
	for _, name := range []string{"To", "Cc", "Delivered-To", "X-Original-To"} {
		m.To = append(m.To, addresses(top.header.get(name))...)
	}
	m.Own = ownLines(top)
	return nil
}

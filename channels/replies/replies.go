// Package replies takes the mail that comes back to us: it finds out whom a
// message is about, and decides what follows from it, as providers' webhooks do
// for what they tell.
package replies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"utskick/audience"
	"utskick/channels/mailback"
	"utskick/suppression"
	"utskick/tracking"
)

// Taker takes what a message says, and knows whose addresses we have; see
// [suppression.Mailroom].
type Taker interface {
	Take(ctx context.Context, m suppression.Mail) (fresh bool, err error)
	Knows(ctx context.Context, k audience.Key) (bool, error)
}

// Importer imports mail. All fields but the last two have to be set.
type Importer struct {
	Taker  Taker
	Keyer  *audience.Keyer
	Signer *tracking.Signer
	Now    func() time.Time
	// Problems is told of each message that nothing was taken of. Its error ends
	// the import. It may be nil.
	Problems func(Problem) error
	// Progress is told after each message how many bytes were read. It may be nil.
	Progress func(read int64)
}

// Problem is what is wrong with a message. It holds nothing of the message.
type Problem struct {
	Message int    `json:"message"` // counted from 1
	Offset  int64  `json:"offset"`  // where it begins, in bytes
	Rule    string `json:"rule"`    // to be read behind the message
}

// Report counts what was in a mailbox. Notices of servers are counted by recipient,
// all else by message.
type Report struct {
	Messages   int     `json:"messages"`
	Repeated   int     `json:"repeated"` // taken by an import before; in none of the following
	Bounces    Bounces `json:"bounces"`
	Delays     int     `json:"delays"`
	Delivered  int     `json:"delivered"`
	Complaints int     `json:"complaints"`
	// Unsubscribes are those that a mailbox provider tells of.
	Unsubscribes int `json:"unsubscribes"`
	// Feedback has the other types of complaints, from which nothing follows.
	Feedback   map[string]int `json:"feedback,omitempty"`
	Objections int            `json:"objections"` // by a person's reply
	Queued     int            `json:"queued"`     // replies, for customer service
	Automatic  int            `json:"automatic"`  // answers by machines, ignored
	Unknown    int            `json:"unknown"`    // about nobody whom we know
	Problems   int            `json:"problems"`   // messages of which nothing was taken
}

// Bounces counts recipients to whom a message was not delivered.
type Bounces struct {
	Suppressing int `json:"suppressing"` // the address can never work
	Counting    int `json:"counting"`    // several messages in a row suppress it
	Harmless    int `json:"harmless"`    // it lies in us, or in the server
}

// Import takes every message of a mailbox, or the one message that is not in a
// mailbox. What is counted is durable and in force. Importing the same again is
// harmless, and counts nothing but repeated messages. A message that cannot be
// read is listed, and the others count.
func (im Importer) Import(ctx context.Context, r io.Reader) (Report, error) {
	report := Report{Feedback: map[string]int{}}
	box := mailback.NewMailbox(r)
	for {
		raw, offset, err := box.Next()
		var rule mailback.Rule
		switch {
		case errors.Is(err, io.EOF):
			return report, nil
		case errors.As(err, &rule):
		case err != nil:
			return report, fmt.Errorf("read the mailbox behind message %d: %w", report.Messages, err)
		default:
			rule, err = im.message(ctx, raw, &report)
			if err != nil {
				return report, fmt.Errorf("message %d was not taken, import the whole mailbox again: %w", report.Messages+1, err)
			}
		}
		report.Messages++
		if rule != "" {
			report.Problems++
			if im.Problems != nil {
				if err := im.Problems(Problem{report.Messages, offset, string(rule)}); err != nil {
					return report, fmt.Errorf("list what is wrong with message %d: %w", report.Messages, err)
				}
			}
		}
		if im.Progress != nil {
			im.Progress(box.Read())
		}
	}
}

// message takes one message, or says which rule it breaks.
func (im Importer) message(ctx context.Context, raw []byte, report *Report) (mailback.Rule, error) {
	m, err := mailback.Read(raw)
	var rule mailback.Rule
	if errors.As(err, &rule) {
		return rule, nil
	}
	t := &taking{im: im, m: m, id: "mail-" + im.Keyer.Key("message", m.Name).String(), at: im.when(m)}
	t.token = im.verified(m.Links)
	switch m.Kind {
	case mailback.Delivery:
		err = t.delivery(ctx)
	case mailback.Feedback:
		err = t.feedback(ctx)
	case mailback.Reply, mailback.Bulk:
		rule = t.reply()
	default:
		t.counts.Automatic++
	}
	if err != nil || rule != "" {
		return rule, err
	}
	t.mail.ID = t.id
	fresh, err := im.Taker.Take(ctx, t.mail)
	switch {
	case err != nil:
		return "", err
	case !fresh:
		report.Repeated++
	default:
		report.add(t.counts)
	}
	return "", nil
}

// when is the time that a message names, unless that is nonsense.
func (im Importer) when(m mailback.Message) time.Time {
	now := im.Now()
	if m.Date.Year() < 2000 || m.Date.After(now) {
		return now
	}
	return m.Date
}

// verified returns the first link that we have signed for somebody, or a zero
// token.
func (im Importer) verified(links []mailback.Link) tracking.Token {
	for _, l := range links {
		t, err := im.Signer.Parse(tracking.Purpose(l.Letter), l.Token)
		if err == nil && !t.Key.IsZero() {
			return t
		}
	}
	return tracking.Token{}
}

// taking is one message on its way to being taken.
type taking struct {
	im     Importer
	m      mailback.Message
	id     string
	at     time.Time
	token  tracking.Token // of the message of ours that it is about; zero: it does not say
	mail   suppression.Mail
	counts Report
}

func (t *taking) key(address string) (k audience.Key, is bool) {
	normalised, err := audience.NormalizeEmail(address)
	if err != nil {
		return k, false
	}
	return t.im.Keyer.Key(audience.KindEmail, normalised), true
}

// known returns the key of the first of the addresses that somebody has, or had.
func (t *taking) known(ctx context.Context, addresses ...string) (k audience.Key, known bool, err error) {
	for _, a := range addresses {
		if k, is := t.key(a); is {
			if known, err = t.im.Taker.Knows(ctx, k); known || err != nil {
				return k, known, err
			}
		}
	}
	return k, false, nil
}

// notice adds what is told of a message of ours. n tells what one message tells
// apart.
func (t *taking) notice(k audience.Key, what tracking.EventType, e suppression.Effect, n int) {
	t.mail.Notices = append(t.mail.Notices, suppression.Notice{Effect: e,
		Event: tracking.Event{Type: what, At: t.at, Group: t.token.Group, Key: k, Dedupe: fmt.Sprintf("%s-%d", t.id, n)}})
}

// wish adds what follows for an address of which the message is not known. Without
// one nothing can be counted.
func (t *taking) wish(k audience.Key, e suppression.Effect) {
	if e.Cause != "" && !e.Counts {
		t.mail.Wishes = append(t.mail.Wishes, suppression.Provider(k, e.Channel, e.Cause, e.Evidence))
	}
}

// tell does the one or the other.
func (t *taking) tell(k audience.Key, what tracking.EventType, e suppression.Effect, n int) {
	if t.token.Group != 0 {
		t.notice(k, what, e, n)
	} else {
		t.wish(k, e)
	}
}

func (r *Report) add(b Report) {
	for _, n := range []struct{ to, by *int }{
		{&r.Bounces.Suppressing, &b.Bounces.Suppressing}, {&r.Bounces.Counting, &b.Bounces.Counting}, {&r.Bounces.Harmless, &b.Bounces.Harmless},
		{&r.Delays, &b.Delays}, {&r.Delivered, &b.Delivered}, {&r.Complaints, &b.Complaints}, {&r.Unsubscribes, &b.Unsubscribes},
		{&r.Objections, &b.Objections}, {&r.Queued, &b.Queued}, {&r.Automatic, &b.Automatic}, {&r.Unknown, &b.Unknown},
	} {
		*n.to += *n.by
	}
	for kind, n := range b.Feedback {
		r.Feedback[kind] += n
	}
}

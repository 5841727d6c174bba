package suppression

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"utskick/audience"
	"utskick/internal/failpoint"
)

// Reply is what somebody answered to a message of ours.
type Reply struct {
	// ID is its sender's or carrier's name for it: told again, it is the same one.
	ID      string
	At      time.Time
	Channel audience.Channel
	Key     audience.Key // of the address that it came from
	// To says whom it was for: the numbers, the messaging services or the e-mail
	// addresses that a sender's record has.
	To      []string
	Meaning Meaning
	// Address and Text are kept only as long as customer service has to deal with
	// what is not clear.
	Address string
	Text    string
}

// Clear reports whether nobody has to read it.
func (r Reply) Clear() bool { return r.Meaning == SaysStop || r.Meaning == SaysStart }

// Wish is what a clear stop is recorded as: no more messages on the channel from
// any of our senders, to any number of the person. By mail, which has no word of
// its own for it, it is an objection to marketing (GDPR 21(2)).
func (r Reply) Wish() Wish {
	e := Entry{Key: r.Key, Channel: string(r.Channel), Topic: Any, Purpose: Any, Sender: Any,
		Cause: Stopped, Active: true, Source: string(r.Channel), Evidence: "answered stop"}
	if r.Channel == audience.Email {
		e.Purpose, e.Cause, e.Evidence = string(Marketing), Objected, "objected in a reply"
	}
	return Wish{Person: true, Entry: e}
}

// MaxReply is how many characters of a text are kept: an SMS has no more, and a
// mail lies in its mailbox.
const MaxReply = 1600

// Inbound is a reply that somebody has to read, or has read.
type Inbound struct {
	ID        int64            `json:"id"`
	At        time.Time        `json:"at"`
	Channel   audience.Channel `json:"channel"`
	Key       audience.Key     `json:"-"`
	Contact   string           `json:"contact,omitempty"` // external id
	Sender    string           `json:"sender,omitempty"`  // name of the sender's record
	Meaning   Meaning          `json:"meaning"`
	Address   string           `json:"address,omitempty"`
	Text      string           `json:"text,omitempty"`
	Open      bool             `json:"open"`
	HandledAt time.Time        `json:"handled_at,omitzero"`
	HandledBy string           `json:"handled_by,omitempty"`
}

// Answer returns when a reply is durable and what it says is in force: after a
// stop no send to the person on the channel can be started any more, and a start
// has lifted what a stop on the channel has set, and nothing else. A reply that is
// already there changes nothing.
func (r *Register) Answer(ctx context.Context, reply Reply) error {
	if err := reply.Wish().Entry.Validate(); err != nil {
		return fmt.Errorf("this reply cannot be recorded: %w", err)
	}
	if reply.Clear() {
		reply.Address, reply.Text = "", ""
	}
	reply.Text = keepable(reply.Text)
	claims, err := r.store.TakeReply(ctx, reply)
	if err != nil {
		return fmt.Errorf("take a reply: %w", err)
	}
	r.wait(ctx, claims)
	failpoint.Hit(failpoint.Acknowledged)
	return nil
}

// keepable bounds a text, and leaves out what no database or page takes.
func keepable(text string) string {
	shown := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if runes := []rune(shown); len(runes) > MaxReply {
		return string(runes[:MaxReply])
	}
	return shown
}

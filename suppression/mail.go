package suppression

import (
	"context"
	"fmt"

	"utskick/audience"
	"utskick/internal/failpoint"
)

// Mail is what one message says that came back to us: a notice of a server, a
// complaint, or a person's answer.
type Mail struct {
	// ID is by what the message is known when it comes again. No address is in it.
	ID string
	// Notices are about messages of ours.
	Notices []Notice
	// Wishes are what follows for addresses where it is not known which message it
	// is about.
	Wishes []Wish
	// Replies are what a person wrote.
	Replies []Reply
}

// Binds reports whether anybody is contacted less because of the message.
func (m Mail) Binds() bool {
	for _, n := range m.Notices {
		if n.Effect.Cause != "" {
			return true
		}
	}
	for _, r := range m.Replies {
		if r.Clear() {
			return true
		}
	}
	return len(m.Wishes) > 0
}

// MailStore keeps what comes back by mail.
type MailStore interface {
	// TakeMail commits all that a message says, if it is new, in one transaction,
	// and then asks which claims are open over a key of anybody whom it concerns.
	TakeMail(ctx context.Context, m Mail) (fresh bool, claims []InFlight, err error)
	// KnowsKey reports whether a contact has the key, or had it.
	KnowsKey(ctx context.Context, k audience.Key) (bool, error)
}

// Mailroom takes what comes back by mail.
type Mailroom struct {
	store    MailStore
	register *Register
}

// NewMailroom acknowledges as register does.
func NewMailroom(store MailStore, register *Register) Mailroom { return Mailroom{store, register} }

// Knows reports whether a contact has the key, or had it.
func (m Mailroom) Knows(ctx context.Context, k audience.Key) (bool, error) {
	return m.store.KnowsKey(ctx, k)
}

// Take returns when all that the message says is durable, or nothing is, and no
// send to anybody whom it stops can be started any more. A message that was taken
// before changes nothing, and is acknowledged like the first, since the first may
// not have been: what was lifted since stays lifted.
//
// When it returns an error, nothing is acknowledged; it may be durable.
func (m Mailroom) Take(ctx context.Context, mail Mail) (fresh bool, err error) {
	if err := mail.validate(); err != nil {
		return false, err
	}
	for i, r := range mail.Replies {
		if r.Clear() {
			mail.Replies[i].Address, mail.Replies[i].Text = "", ""
		}
		mail.Replies[i].Text = keepable(mail.Replies[i].Text)
	}
	fresh, claims, err := m.store.TakeMail(ctx, mail)
	if err != nil {
		return false, fmt.Errorf("take a message: %w", err)
	}
	m.register.wait(ctx, claims)
	failpoint.Hit(failpoint.Acknowledged)
	return fresh, nil
}

func (m Mail) validate() error {
	wishes := m.Wishes
	for _, n := range m.Notices {
		if n.Effect.Cause != "" {
			wishes = append(wishes[:len(wishes):len(wishes)], n.Wish())
		}
	}
	for _, r := range m.Replies {
		wishes = append(wishes[:len(wishes):len(wishes)], r.Wish())
	}
	if m.ID == "" {
		return fmt.Errorf("a message without a name cannot be known when it comes again")
	}
	return validate(wishes)
}

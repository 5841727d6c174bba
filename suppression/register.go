package suppression

import (
	"context"
	"fmt"
	"time"

	"utskick/audience"
	"utskick/internal/failpoint"
)

// Wish is one change of what a person allows: an entry to set or to lift.
type Wish struct {
	// Entry is the entry to write. Its Key is the one that the wish came with.
	Entry Entry
	// Person extends the wish to every key that the person who has Entry.Key
	// has, or ever had: an objection is a person's, not an address's. Without
	// it only Entry.Key is written, as for a mailbox that bounced.
	Person bool
	// Group is the group of the message whose link was used, 0 for none. The
	// wish is then an event of that message too.
	Group int64
	// From is the group of the message whose pages it was said on, where that is no
	// event of it: by it we know whose privacy notice was in force.
	From int64
	// At is when the person told us, and Mark what makes that event the same one
	// when the wish is recorded again. Without a mark it is one of its own, now.
	At   time.Time
	Mark string
	// Visit is the visit to the pages of a message in which the person said it,
	// if she did: what was said in one can be taken back together.
	Visit string
}

// InFlight is a claim that may include the person of a wish.
type InFlight struct {
	Batch int64
	Fence int64
}

// Recorded is what a store says of a committed wish.
type Recorded struct {
	Version  int64 // of the index, with this wish
	Keys     int   // how many keys it was written for
	InFlight []InFlight
}

// Store keeps wishes.
type Store interface {
	// Record commits the wish durably and then asks, in a new statement, which
	// claims are open over a range that covers one of the person's keys.
	Record(ctx context.Context, w Wish) (Recorded, error)
	// RecordAll does the same for at most [ImportSize] wishes in one transaction.
	RecordAll(ctx context.Context, wishes []Wish) ([]Recorded, error)
	// Revise does so after it has taken back what was recorded in a visit: each
	// entry that the visit was the last to change is as it was before, and so are
	// the consents that it withdrew. Doing it again changes nothing.
	Revise(ctx context.Context, visit string, wishes []Wish) ([]Recorded, error)
	// TakeNotices commits the notices, and what follows from those that are new, in
	// one transaction, and then asks which claims are open over a key of anybody
	// whom one of them suppresses.
	TakeNotices(ctx context.Context, notices []Notice) ([]InFlight, error)
	// TakeReply commits the reply, and what follows from it if it is new, and then
	// asks for claims like TakeNotices.
	TakeReply(ctx context.Context, r Reply) ([]InFlight, error)
	// Open returns those of the claims that still stand at their fence.
	Open(ctx context.Context, claims []InFlight) ([]InFlight, error)
}

// Register takes wishes and acknowledges them.
type Register struct {
	store Store
	clock Clock
	pause func(time.Duration) <-chan time.Time
}

// NewRegister measures its waits on clock.
func NewRegister(store Store, clock Clock) *Register {
	return &Register{store: store, clock: clock, pause: time.After}
}

// pollEvery is how often an acknowledgement looks whether the claims it waits
// for have ended. Most end within a few milliseconds.
const pollEvery = 5 * time.Millisecond

// Record returns when the wish is durable and no send to the person can be
// started any more: every claim that was open when the wish was committed has
// ended, or its permits are dead. Claims made later see the wish.
//
// When it returns an error, the wish is not acknowledged; it may be durable.
func (r *Register) Record(ctx context.Context, w Wish) (Recorded, error) {
	if err := w.Entry.Validate(); err != nil {
		return Recorded{}, fmt.Errorf("this wish cannot be recorded: %w", err)
	}
	rec, err := r.store.Record(ctx, w)
	if err != nil {
		return Recorded{}, fmt.Errorf("record a wish: %w", err)
	}
	r.wait(ctx, rec.InFlight)
	failpoint.Hit(failpoint.Acknowledged)
	return rec, nil
}

// ImportSize is how many wishes are committed together at most: the head stays
// locked meanwhile, and other wishes wait.
const ImportSize = 1000

// RecordAll records at most [ImportSize] wishes together, and returns as
// [Register.Record] does.
func (r *Register) RecordAll(ctx context.Context, wishes []Wish) error {
	if err := validate(wishes); err != nil {
		return err
	}
	recorded, err := r.store.RecordAll(ctx, wishes)
	return r.acknowledge(ctx, len(wishes), recorded, err)
}

// Revise takes back what was recorded in a visit, records the wishes in its
// place, and returns as [Register.Record] does. Both are done, or neither.
func (r *Register) Revise(ctx context.Context, visit string, wishes []Wish) error {
	if err := validate(wishes); err != nil {
		return err
	}
	recorded, err := r.store.Revise(ctx, visit, wishes)
	if err := r.acknowledge(ctx, len(wishes), recorded, err); err != nil {
		return err
	}
	failpoint.Hit(failpoint.Acknowledged)
	return nil
}

func validate(wishes []Wish) error {
	for i, w := range wishes {
		if err := w.Entry.Validate(); err != nil {
			return fmt.Errorf("wish %d of %d cannot be recorded: %w", i+1, len(wishes), err)
		}
	}
	return nil
}

// acknowledge returns when nothing can be started any more that the recorded
// wishes forbid.
func (r *Register) acknowledge(ctx context.Context, n int, recorded []Recorded, err error) error {
	if err != nil {
		return fmt.Errorf("record %d wishes: %w", n, err)
	}
	var claims []InFlight
	for _, rec := range recorded {
		claims = append(claims, rec.InFlight...)
	}
	r.wait(ctx, claims)
	return nil
}

// wait waits for the claims, WaitAtMost at the longest. It goes on when ctx
// ends: whoever asks again must find the wait made.
func (r *Register) wait(ctx context.Context, claims []InFlight) {
	until := r.clock().Add(WaitAtMost)
	for len(claims) > 0 {
		left := time.Duration(until - r.clock())
		if left <= 0 {
			return
		}
		<-r.pause(min(pollEvery, left))
		asked, cancel := context.WithTimeout(context.WithoutCancel(ctx), WaitAtMost)
		open, err := r.store.Open(asked, claims)
		cancel()
		if err == nil {
			claims = open
		}
	}
}

// Provider records that a provider told us to leave an address alone. What is a
// person's own word, such as a complaint, holds for all of her addresses on the
// channel.
func Provider(key audience.Key, channel audience.Channel, cause Cause, evidence string) Wish {
	return Wish{Person: personal(cause), Entry: Entry{Key: key, Channel: string(channel), Topic: Any, Purpose: Any, Sender: Any,
		Cause: cause, Active: true, Source: "provider", Evidence: evidence}}
}

// Unsubscribe records the use of the link in a message: no more direct
// marketing on its channel, from any of our senders.
func Unsubscribe(key audience.Key, channel audience.Channel, group int64) Wish {
	return Wish{Person: true, Group: group, Entry: Entry{Key: key, Channel: string(channel), Topic: Any,
		Purpose: string(Marketing), Sender: Any, Cause: Unsubscribed, Active: true, Source: "link",
		Evidence: fmt.Sprintf("link in a message of group %d", group)}}
}

package suppression

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"utskick/tracking"
)

// Kept is what an instance keeps until the database has it: a wish or an event.
type Kept struct {
	Wish  *Wish
	Event *tracking.Event
}

// Spool keeps on this machine's disk what the database cannot take.
type Spool interface {
	// Keep returns when k is on the disk, and in which part of the spool.
	Keep(k Kept) (part int64, err error)
	// Drain begins a new part and hands over the records of those before, in
	// order and at most [ImportSize] at a time. It forgets a part when take has
	// taken all of it, and then says so.
	Drain(take func([]Kept) error, taken func(part int64)) error
}

// Leases is the part of the database that an instance holds its lease in. before
// is the last instant, by the database's clock, at which a request may still
// take effect.
type Leases interface {
	LeaseClock(ctx context.Context) (clock int64, err error)
	JoinLease(ctx context.Context, h Holder, before int64) (clock int64, err error)
	RenewLease(ctx context.Context, h Holder, before int64) (clock int64, err error)
	LeaveLease(ctx context.Context, h Holder) error
}

// Events is where events of messages go.
type Events interface {
	AppendEvent(ctx context.Context, e tracking.Event) error
	AppendEvents(ctx context.Context, events []tracking.Event) error
}

// IntakeConfig is what an [Intake] works with.
type IntakeConfig struct {
	Holder   Holder
	Leases   Leases
	Spool    Spool
	Register *Register
	Events   Events
	// ChannelOf returns what a wish covers that came by a message of the group,
	// as a channel or [Any]. It is asked when the database was away before.
	ChannelOf func(ctx context.Context, group int64) (string, error)
	// TopicOf returns what the messages of the group are about, or [Any].
	TopicOf func(ctx context.Context, group int64) (string, error)
	// SenderOf returns the name of their sender, or [Any].
	SenderOf func(ctx context.Context, group int64) (string, error)
	Clock    Clock
	Now      func() time.Time
	Log      *slog.Logger
	Pause    func(time.Duration) <-chan time.Time // nil: time.After
}

// Intake takes wishes and events over HTTP, whether or not the database can be
// reached. What the database does not take goes into the spool; an event is
// acknowledged as soon as it is there, and a wish once nothing can be claimed
// any more because this instance's lease has lapsed, or once it was brought to
// the database after all.
//
// As long as the spool holds anything, the lease is neither renewed nor taken:
// what was acknowledged from the spool is in force before anybody claims.
type Intake struct {
	IntakeConfig

	mu      sync.Mutex
	pending int             // records in the spool, or on their way into it
	taken   int64           // the last part that the database has
	parts   map[int64]*part // those that it has not
	sent    Instant         // when a renewal was last sent
	joined  bool
	clock   int64   // the database's, when it was last read
	read    Instant // not before that
	away    bool
	turned  chan struct{} // closed while away
}

// part is what waits for a part of the spool to be taken.
type part struct {
	records int
	taken   chan struct{}
}

// Standing is how an instance stands.
type Standing struct {
	Joined bool // its lease was renewed last time
	Away   bool // the database did not answer last time
	Kept   int  // records in its spool
}

// NewIntake makes an instance; [Intake.Start] must come before anything is taken.
func NewIntake(c IntakeConfig) *Intake {
	if c.Pause == nil {
		c.Pause = time.After
	}
	return &Intake{IntakeConfig: c, parts: map[int64]*part{}, turned: make(chan struct{})}
}

// Standing returns how the instance stands now.
func (i *Intake) Standing() Standing {
	i.mu.Lock()
	defer i.mu.Unlock()
	return Standing{Joined: i.joined, Away: i.away, Kept: i.pending}
}

// patience is how long the database may take for a wish, its wait included.
const patience = WaitAtMost + 3*time.Second

// Record returns when the wish is acknowledged: durable, and no send to the
// person can be started any more. kept says that it is in the spool alone.
//
// When it returns an error, the wish is not acknowledged; it may be recorded.
// Entry.Channel, Topic or Sender may be empty: that of the message, which is
// looked up later.
func (i *Intake) Record(ctx context.Context, w Wish) (kept bool, err error) {
	if err := w.Entry.whole().Validate(); err != nil {
		return false, fmt.Errorf("this wish cannot be recorded: %w", err)
	}
	w.At = i.Now()
	if w.Mark == "" {
		w.Mark = rand.Text()
	}
	if w.Entry.whole() == w.Entry {
		record := func(ctx context.Context) error { _, err := i.Register.Record(ctx, w); return err }
		if i.attempt(ctx, record) == nil {
			return false, nil
		}
	}
	return i.keepAndWait([]Wish{w})
}

// Revise takes back what was recorded in a visit and records the wishes in its
// place, or else, as long as the database is away, beside it: to say more is
// always possible. revised says which; with no wishes it is an error.
//
// A wish may lack its channel, topic or sender, as for [Intake.Record].
func (i *Intake) Revise(ctx context.Context, visit string, wishes []Wish) (revised bool, err error) {
	whole := true
	for n := range wishes {
		w := &wishes[n]
		if err := w.Entry.whole().Validate(); err != nil {
			return false, fmt.Errorf("this wish cannot be recorded: %w", err)
		}
		w.At, whole = i.Now(), whole && w.Entry.whole() == w.Entry
	}
	err = errAway
	if whole {
		err = i.attempt(ctx, func(ctx context.Context) error { return i.Register.Revise(ctx, visit, wishes) })
	}
	if err == nil {
		return true, nil
	}
	if len(wishes) == 0 {
		return false, fmt.Errorf("take back what was recorded in a visit: %w", err)
	}
	_, err = i.keepAndWait(wishes)
	return false, err
}

// whole returns the entry with any channel, topic and sender where it says none yet.
func (e Entry) whole() Entry {
	e.Channel, e.Topic = cmp.Or(e.Channel, Any), cmp.Or(e.Topic, Any)
	e.Sender = cmp.Or(e.Sender, Any)
	return e
}

// AppendEvent returns when the event is durable.
func (i *Intake) AppendEvent(ctx context.Context, e tracking.Event) error {
	if i.attempt(ctx, func(ctx context.Context) error { return i.Events.AppendEvent(ctx, e) }) == nil {
		return nil
	}
	_, _, err := i.keep(Kept{Event: &e})
	return err
}

var errAway = errors.New("the database does not answer")

// attempt does something with the database unless it is away, and finds out
// whether it is. What is given up may still come to its end later.
func (i *Intake) attempt(ctx context.Context, do func(context.Context) error) error {
	i.mu.Lock()
	away, turned := i.away, i.turned
	i.mu.Unlock()
	if away {
		return errAway
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	go func() {
		defer cancel()
		done <- do(ctx)
	}()
	var err error
	select {
	case err = <-done:
	case <-turned:
		return errAway
	case <-ctx.Done():
		err = errAway
	}
	if err != nil {
		i.setAway(err)
	}
	return err
}

func (i *Intake) setAway(why error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch away := why != nil; {
	case away == i.away:
	case away:
		i.away = true
		close(i.turned)
		i.Log.Warn("the database does not answer; what comes is kept in the spool", "instance", i.Holder.Name, "error", why)
	default:
		i.away, i.turned = false, make(chan struct{})
		i.Log.Info("the database answers", "instance", i.Holder.Name)
	}
}

// keep puts k into the spool. It returns what is closed when the database has
// it, and when no claim can be made any more that began without it: from here on
// no renewal is sent.
func (i *Intake) keep(k Kept) (taken <-chan struct{}, safe Instant, err error) {
	i.mu.Lock()
	i.pending++
	safe = i.sent.Add(AwayWait)
	i.mu.Unlock()
	n, err := i.Spool.Keep(k)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		i.pending--
		return nil, 0, fmt.Errorf("the database is away, and the spool cannot be written: %w", err)
	}
	p := i.parts[n]
	if p == nil {
		p = &part{taken: make(chan struct{})}
		i.parts[n] = p
	}
	p.records++
	if n <= i.taken {
		i.forget(n)
	}
	return p.taken, safe, nil
}

// forget lets go of a part that the database has.
func (i *Intake) forget(n int64) {
	if p := i.parts[n]; p != nil {
		i.pending -= p.records
		delete(i.parts, n)
		close(p.taken)
	}
}

// keepAndWait keeps wishes, and returns when they are acknowledged. Those that
// were kept before an error come into force all the same.
func (i *Intake) keepAndWait(wishes []Wish) (kept bool, err error) {
	var taken <-chan struct{} // of the last one, and with it of all
	var safe Instant
	for n := range wishes {
		if taken, safe, err = i.keep(Kept{Wish: &wishes[n]}); err != nil {
			return false, err
		}
	}
	for {
		left := time.Duration(safe - i.Clock())
		if left <= 0 {
			return true, nil
		}
		select {
		case <-taken:
			return false, nil
		case <-i.Pause(left):
		}
	}
}

package suppression

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/tracking"
)

// cutOff is a database that can be cut off, and the disk of the instance.
type cutOff struct {
	mu      sync.Mutex
	away    error
	hangs   bool // instead of failing
	full    error
	clock   int64
	lease   int64 // when it was renewed
	lapsed  bool
	asked   []int64 // the limits of renewals
	joins   int
	left    bool
	onClock func() // while the clock is read
	wishes  []Wish
	revised []string // the visits
	events  []tracking.Event
	file    []Kept // the newest part
	parts   map[int64][]Kept
	newest  int64
}

func (d *cutOff) answers(ctx context.Context) error {
	d.mu.Lock()
	away, hangs := d.away, d.hangs
	d.mu.Unlock()
	if away != nil && hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return away
}

func (d *cutOff) Record(ctx context.Context, w Wish) (Recorded, error) {
	r, err := d.RecordAll(ctx, []Wish{w})
	if err != nil {
		return Recorded{}, err
	}
	return r[0], nil
}

func (d *cutOff) RecordAll(ctx context.Context, wishes []Wish) ([]Recorded, error) {
	if err := d.answers(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wishes = append(d.wishes, wishes...)
	return make([]Recorded, len(wishes)), nil
}

func (d *cutOff) Revise(ctx context.Context, visit string, wishes []Wish) ([]Recorded, error) {
	r, err := d.RecordAll(ctx, wishes)
	if err == nil {
		d.revised = append(d.revised, visit)
	}
	return r, err
}

func (d *cutOff) TakeNotices(ctx context.Context, notices []Notice) ([]InFlight, error) {
	return nil, d.answers(ctx)
}

func (d *cutOff) TakeReply(context.Context, Reply) ([]InFlight, error) { return nil, nil }

func (d *cutOff) Open(context.Context, []InFlight) ([]InFlight, error) { return nil, nil }

func (d *cutOff) AppendEvent(ctx context.Context, e tracking.Event) error {
	return d.AppendEvents(ctx, []tracking.Event{e})
}

func (d *cutOff) AppendEvents(ctx context.Context, events []tracking.Event) error {
	if err := d.answers(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, events...)
	return nil
}

func (d *cutOff) LeaseClock(ctx context.Context) (int64, error) {
	if d.onClock != nil {
		d.onClock()
	}
	return d.clock, d.answers(ctx)
}

func (d *cutOff) JoinLease(ctx context.Context, _ Holder, before int64) (int64, error) {
	if err := d.answers(ctx); err != nil {
		return 0, err
	}
	d.joins++
	d.lapsed = false
	return d.renewed(before)
}

func (d *cutOff) RenewLease(ctx context.Context, _ Holder, before int64) (int64, error) {
	d.asked = append(d.asked, before)
	if err := d.answers(ctx); err != nil {
		return 0, err
	}
	if d.lapsed {
		return 0, ErrNotRenewed
	}
	return d.renewed(before)
}

func (d *cutOff) renewed(before int64) (int64, error) {
	if d.clock > before {
		return 0, ErrNotRenewed
	}
	d.lease = d.clock
	return d.clock, nil
}

func (d *cutOff) LeaveLease(context.Context, Holder) error { d.left = true; return d.away }

func (d *cutOff) Keep(k Kept) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full != nil {
		return 0, d.full
	}
	if d.file == nil {
		d.newest++
	}
	d.file = append(d.file, k)
	return d.newest, nil
}

func (d *cutOff) Drain(take func([]Kept) error, taken func(int64)) error {
	d.mu.Lock()
	if d.file != nil {
		d.parts[d.newest], d.file = d.file, nil
	}
	d.mu.Unlock()
	for n := int64(1); n <= d.newest; n++ {
		if d.parts[n] == nil {
			continue
		}
		if err := take(d.parts[n]); err != nil {
			return err
		}
		delete(d.parts, n)
		taken(n)
	}
	return nil
}

func (d *cutOff) cut(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = why
}

// newTestIntake runs on the clock of the bubble that the test is in.
func newTestIntake(t *testing.T) (*Intake, *cutOff) {
	t.Helper()
	began := time.Now()
	clock := func() Instant { return Instant(time.Since(began)) }
	d := &cutOff{clock: 1_000_000, parts: map[int64][]Kept{}}
	i := NewIntake(IntakeConfig{Holder: Holder{Name: "serve-1"}, Leases: d, Spool: d, Register: NewRegister(d, clock), Events: d, Clock: clock, Now: time.Now,
		ChannelOf: func(context.Context, int64) (string, error) { return string(audience.SMS), nil },
		TopicOf:   func(context.Context, int64) (string, error) { return "newsletter", nil },
		SenderOf:  func(context.Context, int64) (string, error) { return "exempelbolaget", nil }, Log: slog.New(slog.DiscardHandler)})
	if err := i.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return i, d
}

var errCut = errors.New("cut off")

func wishOf(n byte) Wish { return Unsubscribe(audience.Key{n}, audience.Email, 1) }

// TestAWishIsAcknowledgedFromTheSpool: only once no claim can be made any more
// that began with the lease, and until then no renewal is sent.
func TestAWishIsAcknowledgedFromTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, d := newTestIntake(t)
		time.Sleep(3 * time.Second)
		i.Round(t.Context()) // the last renewal
		sent := time.Now()
		d.cut(errCut)
		time.Sleep(time.Second)
		kept, err := i.Record(t.Context(), wishOf(1))
		if waited := time.Since(sent); err != nil || !kept || waited != AwayWait {
			t.Errorf("acknowledged %v after the last renewal, want %v: %v, %v", waited, AwayWait, kept, err)
		}
		renewals := len(d.asked)
		i.Round(t.Context())
		if len(d.asked) != renewals {
			t.Error("a renewal was sent while a wish was in the spool")
		}
		asked := time.Now()
		if kept, err := i.Record(t.Context(), wishOf(2)); err != nil || !kept || time.Since(asked) != 0 {
			t.Errorf("once the lease has lapsed: after %v, %v, %v", time.Since(asked), kept, err)
		}
		d.lapsed = true
		d.cut(nil)
		i.Round(t.Context())
		if s := i.Standing(); s != (Standing{Joined: true}) || d.joins != 2 || len(d.wishes) != 2 || d.wishes[1].Entry.Key != (audience.Key{2}) {
			t.Errorf("after the round: %+v, %d joins, %+v", s, d.joins, d.wishes)
		}
	})
}

// TestAWishThatIsBroughtInTimeIsRecorded: nobody waits for longer than needed.
func TestAWishThatIsBroughtInTimeIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, d := newTestIntake(t)
		d.cut(errCut)
		go func() {
			time.Sleep(time.Second)
			d.cut(nil)
			i.Round(t.Context())
		}()
		began := time.Now()
		kept, err := i.Record(t.Context(), wishOf(1))
		if err != nil || kept || time.Since(began) != time.Second || len(d.wishes) != 1 {
			t.Errorf("%v, %v after %v, %d wishes", kept, err, time.Since(began), len(d.wishes))
		}
		if w := d.wishes[0]; w.Mark == "" || !w.At.Equal(began) {
			t.Errorf("it is another wish when it is recorded again: %+v", w)
		}
	})
}

// TestASilentDatabase: what hangs is left as soon as a renewal has failed.
func TestASilentDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, d := newTestIntake(t)
		d.hangs = true
		d.cut(errCut)
		go i.Round(t.Context())
		synctest.Wait()
		began := time.Now()
		kept, err := i.Record(t.Context(), wishOf(1))
		if err != nil || !kept || time.Since(began) != AwayWait {
			t.Errorf("%v, %v after %v", kept, err, time.Since(began))
		}
		if limit := d.asked[0]; limit != d.lease+LateAtMost.Milliseconds() {
			t.Errorf("the renewal may take effect until %d, the lease is of %d", limit, d.lease)
		}
	})
}

// TestNoLeaseIsTakenOverAWish that comes while it is being taken.
func TestNoLeaseIsTakenOverAWish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, d := newTestIntake(t)
		w := wishOf(1)
		d.lapsed = true
		d.onClock = func() {
			if _, _, err := i.keep(Kept{Wish: &w}); err != nil {
				t.Error(err)
			}
		}
		i.Round(t.Context())
		if d.joins != 1 || i.Standing().Joined {
			t.Error("the lease was taken with a wish in the spool")
		}
		d.onClock = nil
		i.Round(t.Context())
		if d.joins != 2 || len(d.wishes) != 1 || !i.Standing().Joined {
			t.Errorf("%d joins, %d wishes", d.joins, len(d.wishes))
		}
	})
}

// TestChoicesAreKeptBesideTheVisit: while the database is away, a person can say
// more, and take nothing back.
func TestChoicesAreKeptBesideTheVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, d := newTestIntake(t)
		chooser := Chooser{Key: audience.Key{1}, Group: 1, Visit: "v"}
		if revised, err := i.Revise(t.Context(), "v", chooser.Wishes([]Choice{StopEmail})); err != nil || !revised {
			t.Fatalf("with the database: %v, %v", revised, err)
		}
		if revised, err := i.Revise(t.Context(), "v", nil); err != nil || !revised || len(d.revised) != 2 {
			t.Fatalf("taken back: %v, %v", revised, err)
		}
		began := time.Now()
		d.cut(errCut)
		revised, err := i.Revise(t.Context(), "v", chooser.Wishes([]Choice{StopKind, StopSMS}))
		if err != nil || revised || time.Since(began) != AwayWait || i.Standing().Kept != 2 {
			t.Errorf("%v, %v after %v, %d kept", revised, err, time.Since(began), i.Standing().Kept)
		}
		if _, err := i.Revise(t.Context(), "v", nil); err == nil {
			t.Error("it says that something was taken back")
		}
		d.cut(nil)
		i.Round(t.Context())
		var got []string
		for _, w := range d.wishes[1:] {
			got = append(got, w.Entry.Channel+" "+w.Entry.Topic+" "+w.Visit)
		}
		if want := []string{"* newsletter v", "sms * v"}; !cmp.Equal(want, got) || len(d.revised) != 2 {
			t.Errorf("brought %v, revised %v", got, d.revised)
		}
	})
}

func TestAFullDiskAcknowledgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, d := newTestIntake(t)
		d.full = errors.New("no space left")
		d.cut(errCut)
		if _, err := i.Record(t.Context(), wishOf(1)); !errors.Is(err, d.full) {
			t.Errorf("a wish: %v", err)
		}
		if err := i.AppendEvent(t.Context(), tracking.Event{Type: tracking.Clicks, Dedupe: "c"}); !errors.Is(err, d.full) {
			t.Errorf("an event: %v", err)
		}
		if s := i.Standing(); s.Kept != 0 {
			t.Errorf("%d records", s.Kept)
		}
	})
}

// TestTheSpoolIsBroughtInOrder, with the channel that nobody could be asked for.
func TestTheSpoolIsBroughtInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, d := newTestIntake(t)
		d.cut(errCut)
		if err := i.AppendEvent(t.Context(), tracking.Event{Type: tracking.Clicks, Dedupe: "c"}); err != nil {
			t.Fatal(err)
		}
		unknown := wishOf(3)
		unknown.Entry.Channel = ""
		for _, w := range []Wish{wishOf(1), wishOf(2), unknown} {
			go i.Record(t.Context(), w) // each is waited for by nobody here
			synctest.Wait()
		}
		time.Sleep(AwayWait)
		if err := i.Leave(t.Context()); err == nil || d.left {
			t.Error("it left with a spool that is not empty")
		}
		d.cut(nil)
		if err := i.Leave(t.Context()); err != nil || !d.left {
			t.Errorf("it has not left: %v", err)
		}
		var got []string
		for _, w := range d.wishes {
			got = append(got, w.Entry.Channel+" "+w.Entry.Key.Short())
		}
		if want := []string{"email 01000000", "email 02000000", "sms 03000000"}; !cmp.Equal(want, got) || len(d.events) != 1 {
			t.Errorf("brought: %v, %d events", got, len(d.events))
		}
	})
}

// TestStartBringsTheSpoolFirst: what an earlier life acknowledged is in force
// before the lease is taken.
func TestStartBringsTheSpoolFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, d := newTestIntake(t)
		w := wishOf(1)
		d.newest, d.file = 7, []Kept{{Wish: &w}}
		next := NewIntake(IntakeConfig{Leases: d, Spool: d, Register: NewRegister(d, SystemClock), Events: d, Clock: SystemClock, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		d.cut(errCut)
		if err := next.Start(t.Context()); !errors.Is(err, errCut) || d.joins != 1 {
			t.Errorf("started without the database: %v, %d joins", err, d.joins)
		}
		d.cut(nil)
		if err := next.Start(t.Context()); err != nil || len(d.wishes) != 1 || d.joins != 2 {
			t.Errorf("%v, %d wishes, %d joins", err, len(d.wishes), d.joins)
		}
	})
}

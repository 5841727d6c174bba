package suppression

import (
	"context"
	"errors"
	"testing"
	"time"

	"utskick/audience"
)

func key(b byte) audience.Key { return audience.Key{b} }

// index is a fake that remembers whether it was asked before the claim.
type index struct {
	matches []Match
	err     error
	claimed *bool
	early   bool
}

func (i *index) Matching(context.Context, Scope, []audience.Key) ([]Match, int64, error) {
	i.early = i.early || !*i.claimed
	return i.matches, 7, i.err
}

// clock is a hand-moved clock.
type clock struct{ now Instant }

func (c *clock) read() Instant { return c.now }

func admit(t *testing.T, i *index, c *clock, candidates ...Candidate) Verdict {
	t.Helper()
	claimed := false
	i.claimed = &claimed
	v, err := NewGate(i, c.read).Admit(t.Context(), Scope{}, candidates, func(context.Context) error { claimed = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if i.early {
		t.Fatal("the index was asked before the claim")
	}
	return v
}

func TestGateRules(t *testing.T) {
	i := &index{matches: []Match{{key(1), Bounced}, {key(1), Objected}, {key(12), Complained}, {key(3), Paused}}}
	v := admit(t, i, &clock{},
		NewCandidate(key(1), key(11), true, "one"),
		NewCandidate(key(2), key(12), true, "two"),
		NewCandidate(key(3), key(13), false, "three"),
		NewCandidate(key(4), key(14), false, "four"),
		NewCandidate(key(5), key(15), true, "five"))
	want := []Cause{Objected, Complained, Paused, NoBasis, ""}
	for n, r := range v.Rulings {
		if r.Cause != want[n] || (r.Permit == nil) == (want[n] == "") {
			t.Errorf("candidate %d: %+v, want cause %q", n+1, r, want[n])
		}
	}
	if v.Version != 7 {
		t.Errorf("version %d", v.Version)
	}
	if address, err := v.Rulings[4].Permit.Open(); err != nil || address != "five" {
		t.Errorf("open: %q %v", address, err)
	}
}

func TestPermitDiesWithTheWindowThatBeganBeforeTheClaim(t *testing.T) {
	c := &clock{now: 100}
	claimed := false
	i := &index{claimed: &claimed}
	v, err := NewGate(i, c.read).Admit(t.Context(), Scope{}, []Candidate{NewCandidate(key(1), key(2), true, "x")}, func(context.Context) error {
		claimed = true
		c.now = c.now.Add(Window / 2) // a slow claim is paid from the window
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p := v.Rulings[0].Permit
	c.now = Instant(100).Add(Window)
	if err := p.Gate(); err != nil {
		t.Errorf("at the end of the window: %v", err)
	}
	c.now++
	if _, err := p.Open(); !errors.Is(err, ErrExpired) {
		t.Errorf("past the window: %v", err)
	}
	if p.Remaining() >= 0 {
		t.Errorf("remaining %v", p.Remaining())
	}
}

func TestNoPermitWithoutTheGate(t *testing.T) {
	for name, p := range map[string]*Permit{"nil": nil, "zero": {}} {
		if err := p.Gate(); !errors.Is(err, ErrExpired) {
			t.Errorf("%s permit: %v", name, err)
		}
	}
}

func TestGateDoesNotCheckWithoutClaim(t *testing.T) {
	no := errors.New("no")
	claimed := false
	i := &index{claimed: &claimed}
	_, err := NewGate(i, (&clock{}).read).Admit(t.Context(), Scope{}, nil, func(context.Context) error { return no })
	if !errors.Is(err, no) || i.early {
		t.Errorf("err %v, asked %v", err, i.early)
	}
	i.err = errors.New("database away")
	v, err := NewGate(i, (&clock{}).read).Admit(t.Context(), Scope{}, []Candidate{NewCandidate(key(1), key(2), true, "x")},
		func(context.Context) error { claimed = true; return nil })
	if err == nil || len(v.Rulings) > 0 {
		t.Errorf("with the index away: %+v %v", v, err)
	}
}

// wishes is a fake store whose claims end when told.
type wishes struct {
	open  [][]InFlight // answers of Open, one after the other
	asked int
	fails error
}

func (w *wishes) Record(context.Context, Wish) (Recorded, error) {
	return Recorded{Version: 1, InFlight: []InFlight{{1, 1}, {2, 5}}}, w.fails
}

func (w *wishes) RecordAll(_ context.Context, all []Wish) ([]Recorded, error) {
	r, err := w.Record(context.Background(), Wish{})
	return []Recorded{r}, err
}

func (w *wishes) Revise(ctx context.Context, _ string, wishes []Wish) ([]Recorded, error) {
	return w.RecordAll(ctx, wishes)
}

func (w *wishes) TakeNotices(context.Context, []Notice) ([]InFlight, error) {
	return []InFlight{{1, 1}, {2, 5}}, w.fails
}

func (w *wishes) TakeReply(context.Context, Reply) ([]InFlight, error) { return nil, nil }

func (w *wishes) Open(context.Context, []InFlight) ([]InFlight, error) {
	w.asked++
	return w.open[min(w.asked, len(w.open))-1], nil
}

// register's time passes by its pauses alone.
func register(w *wishes) (*Register, *clock) {
	c := &clock{}
	r := NewRegister(w, c.read)
	r.pause = func(d time.Duration) <-chan time.Time {
		c.now = c.now.Add(d)
		done := make(chan time.Time, 1)
		done <- time.Time{}
		return done
	}
	return r, c
}

var leave = Unsubscribe(key(1), audience.Email, 1)

func TestNoticesWaitForOpenClaims(t *testing.T) {
	w := &wishes{open: [][]InFlight{{{2, 5}}, nil}}
	r, c := register(w)
	complaint := Notice{Effect: Effect{Channel: audience.Email, Cause: Complained}}
	complaint.Key = key(1)
	if err := r.Take(t.Context(), []Notice{{}, complaint}); err != nil {
		t.Fatal(err)
	}
	if w.asked != 2 || c.now != Instant(2*pollEvery) {
		t.Errorf("asked %d times, until %v", w.asked, c.now)
	}
	complaint.Effect.Cause = "bored"
	if err := r.Take(t.Context(), []Notice{complaint}); err == nil {
		t.Error("an effect of no known cause was taken")
	}
	w.fails = errors.New("gone")
	if err := r.Take(t.Context(), []Notice{{}}); !errors.Is(err, w.fails) {
		t.Errorf("%v", err)
	}
}

func TestAcknowledgementWaitsForOpenClaims(t *testing.T) {
	w := &wishes{open: [][]InFlight{{{1, 1}, {2, 5}}, {{2, 5}}, nil}}
	r, c := register(w)
	if _, err := r.Record(t.Context(), leave); err != nil {
		t.Fatal(err)
	}
	if w.asked != 3 || c.now != Instant(3*pollEvery) {
		t.Errorf("asked %d times in %v", w.asked, time.Duration(c.now))
	}
}

func TestAcknowledgementWaitsNoLongerThanPermitsLive(t *testing.T) {
	for _, all := range []bool{false, true} {
		w := &wishes{open: [][]InFlight{{{2, 5}}}}
		r, c := register(w)
		var err error
		if all {
			err = r.RecordAll(t.Context(), []Wish{leave})
		} else {
			_, err = r.Record(t.Context(), leave)
		}
		if err != nil || c.now != Instant(WaitAtMost) {
			t.Errorf("waited %v, want %v: %v", time.Duration(c.now), WaitAtMost, err)
		}
	}
}

func TestNoAcknowledgementOfWhatWasNotRecorded(t *testing.T) {
	away := errors.New("database away")
	r, _ := register(&wishes{fails: away})
	if _, err := r.Record(t.Context(), leave); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
	bad := leave
	bad.Entry.Cause = "whim"
	if _, err := r.Record(t.Context(), bad); err == nil || errors.Is(err, away) {
		t.Errorf("a wish with an unknown cause: %v", err)
	}
	if err := r.RecordAll(t.Context(), []Wish{bad}); err == nil || errors.Is(err, away) {
		t.Errorf("wishes with an unknown cause: %v", err)
	}
}

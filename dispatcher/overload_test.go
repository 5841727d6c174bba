package dispatcher_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
)

// count returns how often a step was done.
func count(l *ledger, step string) (n int) {
	for _, s := range l.steps {
		if s == step {
			n++
		}
	}
	return n
}

// failing makes a provider answer every row with r.
func failing(p *provider, r channels.Result) { p.answers = slices.Repeat([]channels.Result{r}, 1000) }

func TestAProviderThatIsDownIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, p := worker(t, 50, 1000)
		w.Now = time.Now
		failing(p, channels.Result{Class: channels.NotTaken, Reason: channels.ReasonNetwork})
		for range 2 {
			if err := dispatch(t, w); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		p.answers, p.sent = nil, nil
		l.claimErr = dispatcher.ErrNotClaimed // somebody else has the first canary's batch
		if err := dispatch(t, w); err != nil {
			t.Fatal(err)
		}
		l.claimErr = nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Dispatch(ctx, dispatcher.BatchRef{ID: 1, Fence: 3, Channel: audience.SMS}); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 500*time.Millisecond || waited > 2*time.Second {
			t.Errorf("left alone for %v", waited)
		}
		// Ten first; then, since it works, all the others.
		if len(l.settled) != 2 || l.settled[0].Members != 10 || l.settled[1].Members != 40 {
			t.Errorf("settled %d times: %+v", len(l.settled), l.settled)
		}
	})
}

func TestNothingIsClaimedWhileTheBreakerIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, p := worker(t, 50, 1000)
		w.Now = time.Now
		failing(p, channels.Result{Class: channels.NotTaken, Reason: channels.ReasonThrottled, Pause: 20 * time.Second})
		if err := dispatch(t, w); err != nil || count(l, "claim") != 1 {
			t.Fatal(err, l.steps)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := w.Dispatch(ctx, dispatcher.BatchRef{ID: 1, Fence: 3, Channel: audience.SMS}); err != nil {
			t.Errorf("not now is no failure: %v", err)
		}
		if count(l, "claim") != 1 || count(l, "read") != 1 {
			t.Errorf("another batch did not obey the pause: %v", l.steps)
		}
		l.batch.RunState = dispatcher.Cancelling
		began := time.Now()
		if err := dispatch(t, w); err != nil || l.closed != dispatcher.CauseCancelled || time.Since(began) > 0 {
			t.Errorf("a cancelled batch waited: %v, closed %q", err, l.closed)
		}
	})
}

func TestACancelIsSeenWhileABatchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, _ := worker(t, 50, 1000)
		w.Now = time.Now
		w.Limiters = map[audience.Channel]dispatcher.Limiter{audience.SMS: &limiter{most: []int{0}, quiet: func() time.Duration {
			l.batch.RunState = dispatcher.Cancelling // just after the batch was read
			return 20 * time.Second
		}}}
		began := time.Now()
		if err := dispatch(t, w); err != nil || l.closed != dispatcher.CauseCancelled || time.Since(began) > 2*time.Second {
			t.Errorf("%v, closed %q after %v", err, l.closed, time.Since(began))
		}
	})
}

func TestALongPauseIsWaitedForInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, p := worker(t, 50, 1000)
		w.Now = time.Now
		failing(p, channels.Result{Class: channels.NotTaken, Reason: channels.ReasonThrottled, Pause: time.Hour})
		if err := dispatch(t, w); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := dispatch(t, w); err != nil || time.Since(began) > 0 || count(l, "read") != 1 {
			t.Errorf("%v after %v: %v", err, time.Since(began), l.steps)
		}
	})
}

// limiter is a fake whose most changes while a chunk waits.
type limiter struct {
	most    []int
	waiting func() // what happens while the first chunk waits
	quiet   func() time.Duration
	paused  time.Duration
	asked   []int
	begun   []time.Duration // how long after it was let go each chunk was to begin
	late    error           // what becomes of that
}

func (l *limiter) Most() int { return l.most[0] }

func (l *limiter) Wait(_ context.Context, n int) error {
	l.asked = append(l.asked, n)
	if len(l.most) > 1 {
		l.most = l.most[1:]
	}
	if meanwhile := l.waiting; meanwhile != nil {
		l.waiting = nil
		meanwhile()
	}
	if l.most[0] > 0 && n > l.most[0] {
		return dispatcher.ErrNotNow
	}
	return nil
}

func (l *limiter) Begin(_ context.Context, _ int, since time.Duration) error {
	l.begun = append(l.begun, since)
	return l.late
}

func (l *limiter) Pause(_ context.Context, d time.Duration) { l.paused = d }

func (l *limiter) Paused() time.Duration {
	if l.quiet == nil {
		return 0
	}
	return l.quiet()
}

func TestAChunkThatIsTooLargeNowIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, p := worker(t, 30, 1000)
		limit := &limiter{most: []int{20, 5, 5, 30}}
		w.Limiters = map[audience.Channel]dispatcher.Limiter{audience.SMS: limit}
		failing(p, channels.Result{Class: channels.NotTaken, Reason: channels.ReasonThrottled, Pause: time.Minute})
		if err := dispatch(t, w); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(limit.asked, []int{20, 5}) || count(l, "claim") != 1 || len(p.sent) != 5 {
			t.Errorf("asked for %v, sent %d: %v", limit.asked, len(p.sent), l.steps)
		}
		if limit.paused != time.Minute {
			t.Errorf("the others are to wait %v", limit.paused)
		}
	})
}

// TestAPauseThatComesWhileAChunkWaits is about a chunk that was prepared before
// another one met the pause.
func TestAPauseThatComesWhileAChunkWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, p := worker(t, 30, 1000)
		w.Now = time.Now
		failing(p, channels.Result{Class: channels.NotTaken, Reason: channels.ReasonThrottled, Pause: 20 * time.Second})
		w.Limiters = map[audience.Channel]dispatcher.Limiter{audience.SMS: &limiter{most: []int{0}, waiting: func() {
			if err := dispatch(t, w); err != nil {
				t.Error(err)
			}
		}}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := w.Dispatch(ctx, dispatcher.BatchRef{ID: 1, Fence: 3, Channel: audience.SMS}); err != nil || count(l, "claim") != 1 {
			t.Errorf("%v: %v", err, l.steps)
		}
	})
}

// TestAChunkThatBeginsTooLateIsGivenBack is about a claim that took so long that
// its messages would come together with others.
func TestAChunkThatBeginsTooLateIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, p := worker(t, 30, 1000)
		ticks := time.Now()
		w.Now = func() time.Time { ticks = ticks.Add(time.Millisecond); return ticks }
		limit := &limiter{most: []int{20}, late: context.DeadlineExceeded}
		w.Limiters = map[audience.Channel]dispatcher.Limiter{audience.SMS: limit}
		if err := dispatch(t, w); err != nil {
			t.Fatal(err)
		}
		if len(p.sent) != 0 || count(l, "claim") != 1 || count(l, "release") != 1 || len(l.settled) != 0 {
			t.Errorf("sent %d: %v", len(p.sent), l.steps)
		}
		if len(limit.begun) != 1 || limit.begun[0] <= 0 || limit.begun[0] > 20*time.Millisecond {
			t.Errorf("begun %v after they were let go", limit.begun)
		}
	})
}

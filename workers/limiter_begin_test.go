package workers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"utskick/dispatcher"
)

// claimed is a chunk that was let go and has not begun.
type claimed struct {
	n           int
	letGo       time.Duration
	next        time.Duration // when something happens to it
	rest        time.Duration // how long it waits once it has paid again
	ready, paid bool          // it is claimed and checked; it need not pay again
}

// claiming is a process that begins what it was let go once it has claimed it.
type claiming struct {
	*process
	takes  func(at time.Duration) time.Duration
	chunks []*claimed
}

// mostClaims is how many chunks a process has at once.
const mostClaims = 8

func (c *claiming) step() {
	w := c.world
	if c.beats <= w.at {
		c.beat(w.t.Context())
		c.beats = w.at + beatEvery
	}
	c.chunks = slices.DeleteFunc(c.chunks, c.begins)
	if c.next > w.at || len(c.chunks) == mostClaims {
		return
	}
	n := c.Most()
	wait, err := c.try(w.t.Context(), n)
	if err != nil && !errors.Is(err, dispatcher.ErrNotNow) {
		w.t.Fatal(err)
	}
	if err == nil && wait == 0 {
		c.chunks = append(c.chunks, &claimed{n: n, letGo: w.at, next: w.at + c.takes(w.at)})
	}
	c.next = w.at + wait
}

func (c *claiming) begins(chunk *claimed) bool {
	w := c.world
	if chunk.next > w.at {
		return false
	}
	if !chunk.ready {
		wait, late := c.lags(w.at - chunk.letGo)
		chunk.ready, chunk.paid, chunk.next = true, !late, w.at+wait
		if late {
			chunk.rest, chunk.next = wait, w.at
		}
		return false
	}
	if chunk.paid {
		w.sent = append(w.sent, sending{w.at, chunk.n})
		return true
	}
	wait, err := c.try(w.t.Context(), chunk.n)
	if err != nil {
		w.t.Fatal(err)
	}
	if chunk.next = w.at + wait; wait == 0 {
		chunk.paid, chunk.next = true, w.at+chunk.rest
	}
	return false
}

// TestAStalledDatabaseMakesNoBurst lets claims take as long as they may, and looks
// at when messages begin.
func TestAStalledDatabaseMakesNoBurst(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		takes func(at time.Duration) time.Duration
		share float64 // of the limit that is used
	}{
		"quick":  {func(time.Duration) time.Duration { return 3 * ms }, 0.92},
		"slow":   {func(time.Duration) time.Duration { return 150 * ms }, 0.85},
		"uneven": {func(at time.Duration) time.Duration { return 3*ms + at%(17*ms) }, 0.92},
		// Each 1.3 s it stands still for 0.3 s, and then does all at once.
		"stalls": {func(at time.Duration) time.Duration { return 3*ms + max(0, 300*ms-at%(1300*ms)) }, 0.6},
		// It becomes slow, and is quick again.
		"changes": {func(at time.Duration) time.Duration {
			if at%(8*time.Second) > 4*time.Second {
				return 200 * ms
			}
			return 3 * ms
		}, 0.6},
	} {
		t.Run(name, func(t *testing.T) {
			everyRedis(t, func(t *testing.T, r *Redis) {
				w := newSimulation(t, r, 2, LimiterConfig{PerSecond: 300, PerCall: 1, Processes: 2})
				var all []*claiming
				for _, p := range w.processes {
					all = append(all, &claiming{process: p, takes: c.takes})
				}
				for ; w.at < 16*time.Second; w.at += ms {
					for _, i := range w.random.Perm(len(all)) {
						all[i].step()
					}
				}
				w.expect(c.share, time.Second, 16*time.Second)
			})
		})
	}
}

// TestALongLagLeavesPermitsTheirTime has claims that take half of it, for good.
func TestALongLagLeavesPermitsTheirTime(t *testing.T) {
	var k lag
	for at := start; at.Before(start.Add(10 * time.Second)); at = at.Add(40 * time.Millisecond) {
		if wait, late := k.of(500*time.Millisecond, 30*time.Millisecond, at); wait > 0 || !late {
			t.Fatalf("after %v: waits %v more, late %v", at.Sub(start), wait, late)
		}
	}
}

// TestWhoBeginsLatePaysAgain asks as the dispatcher does.
func TestWhoBeginsLatePaysAgain(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerSecond: 1000, PerCall: 1, Log: slog.New(slog.DiscardHandler)})
	at := start
	l.now = func() time.Time { return at }
	slept := time.Duration(0)
	l.sleep = func(_ context.Context, d time.Duration) error { slept += d; at = at.Add(d); return nil }
	for _, c := range []struct {
		since time.Duration
		again bool
	}{{5 * time.Millisecond, false}, {25 * time.Millisecond, false}, {120 * time.Millisecond, true}, {4 * time.Millisecond, false}} {
		if err := l.Wait(t.Context(), l.Most()); err != nil {
			t.Fatal(err)
		}
		slept = 0
		if err := l.Begin(t.Context(), l.Most(), c.since); err != nil || (slept > 0) != c.again {
			t.Errorf("after %v: %v, slept %v", c.since, err, slept)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.sleep = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	if err := l.Begin(ctx, l.Most(), time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ends: %v", err)
	}
	l.PerSecond = 0
	if err := l.Begin(ctx, 1000, time.Hour); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

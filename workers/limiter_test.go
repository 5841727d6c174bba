package workers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"utskick/dispatcher"
)

// world is some processes that share a limit, in simulated time.
type world struct {
	t         *testing.T
	at        time.Duration
	random    *mathrand.Rand
	processes []*process
	sent      []sending
}

type sending struct {
	at time.Duration
	n  int
}

// process is one of them. Its wall clock is off by skew.
type process struct {
	*Limiter
	world       *world
	from, until time.Duration // when it has something to send
	away        bool          // Redis does not answer it
	next, beats time.Duration // when it does what
}

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func newSimulation(t *testing.T, r *Redis, processes int, c LimiterConfig) *world {
	t.Helper()
	w := &world{t: t, random: mathrand.New(mathrand.NewPCG(7, uint64(processes)))}
	c.Redis, c.Log, c.Name = r, slog.New(slog.DiscardHandler), rand.Text()
	for i := range processes {
		p := &process{Limiter: NewLimiter(c), world: w, until: time.Hour, beats: time.Duration(i) * 300 * time.Millisecond}
		skew := time.Duration(i) * time.Hour
		p.now = func() time.Time { return start.Add(w.at + skew) }
		p.bucket = newBucket(r, c.Name)
		p.bucket.client = promptClient(r.client)
		p.bucket.client.AddHook(p)
		p.bucket.clock = func() int64 { return start.Add(w.at).UnixMicro() }
		t.Cleanup(func() { _ = p.bucket.client.Close() })
		w.processes = append(w.processes, p)
	}
	return w
}

// A process is also a hook of its client, which cuts it off from Redis.
func (p *process) DialHook(next redis.DialHook) redis.DialHook { return next }
func (p *process) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (p *process) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if p.away {
			cmd.SetErr(errors.New("away"))
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

// step lets the process do what is due.
func (p *process) step() {
	w := p.world
	if p.beats <= w.at {
		p.beat(w.t.Context())
		p.beats = w.at + beatEvery
	}
	if p.next > w.at {
		return
	}
	if w.at < p.from || w.at >= p.until {
		p.next = w.at + 10*time.Millisecond
		return
	}
	n := 1 + w.random.IntN(p.Most())
	if w.random.IntN(2) == 0 {
		n = p.Most()
	}
	wait, err := p.try(w.t.Context(), n)
	if err != nil && !errors.Is(err, dispatcher.ErrNotNow) {
		w.t.Fatal(err)
	}
	if err == nil && wait == 0 {
		w.sent = append(w.sent, sending{w.at, n})
	}
	p.next = w.at + wait + time.Duration(w.random.IntN(2000))*time.Microsecond
}

// run runs the processes for d, and calls each at its instant.
func (w *world) run(d time.Duration, at map[time.Duration]func()) {
	w.t.Helper()
	for end := w.at + d; w.at < end; w.at += 500 * time.Microsecond {
		if f := at[w.at]; f != nil {
			f()
		}
		for _, i := range w.random.Perm(len(w.processes)) {
			w.processes[i].step()
		}
	}
}

// most returns how many were sent in the fullest window of that length, and
// when it began.
func (w *world) most(window time.Duration) (most int, at time.Duration) {
	first, sum := 0, 0
	for _, s := range w.sent {
		sum += s.n
		for ; w.sent[first].at <= s.at-window; first++ {
			sum -= w.sent[first].n
		}
		if sum > most {
			most, at = sum, w.sent[first].at
		}
	}
	return most, at
}

func (w *world) between(from, until time.Duration) (n int) {
	for _, s := range w.sent {
		if s.at >= from && s.at < until {
			n += s.n
		}
	}
	return n
}

// expect wants no window to hold more than 1.1 times the limit, and at least
// share of the limit to be used between two instants.
func (w *world) expect(share float64, from, until time.Duration) {
	w.t.Helper()
	c, window := w.processes[0].LimiterConfig, time.Second
	if c.PerCall > 1 {
		window = 10 * time.Second
	}
	limit := float64(c.PerSecond) * window.Seconds()
	if most, at := w.most(window); float64(most) > 1.1*limit {
		w.t.Errorf("the %v from %v hold %d, the limit is %.0f", window, at, most, limit)
	}
	got, could := w.between(from, until), float64(c.PerSecond)*(until-from).Seconds()
	if float64(got) < share*could {
		w.t.Errorf("%d were sent between %v and %v of %.0f that could", got, from, until, could)
	}
}

func away(p []*process, is bool) func() {
	return func() {
		for _, p := range p {
			p.away = is
		}
	}
}

func TestProcessesShareALimit(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		for _, c := range []struct {
			perSecond, perCall, processes int
		}{{1000, 1, 2}, {10, 1, 2}, {37, 1, 3}, {20_000, 1, 4}, {1000, 1000, 2}, {3, 1000, 2}, {40_000, 1000, 3}} {
			t.Run(fmt.Sprint(c.perSecond, "-", c.perCall), func(t *testing.T) {
				w := newSimulation(t, r, c.processes, LimiterConfig{PerSecond: c.perSecond, PerCall: c.perCall, Processes: 4})
				w.run(20*time.Second, nil)
				w.expect(0.92, 0, 20*time.Second)
			})
			if embedded(r) {
				break
			}
		}
	})
}

// embedded is where scripts are slow: not every case is run there.
func embedded(r *Redis) bool { return r.server != nil }

// TestAQuietTimeEarnsNothing has nothing to send for a while, and then much.
func TestAQuietTimeEarnsNothing(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		w := newSimulation(t, r, 3, LimiterConfig{PerSecond: 500, PerCall: 1, Processes: 4})
		w.processes[0].until = time.Second
		w.processes[1].from, w.processes[2].from = 4*time.Second, 4*time.Second
		w.run(6*time.Second, nil)
		w.expect(0.9, 4*time.Second, 6*time.Second)
	})
}

// TestAForgottenKeyIsTakenForOneJustUsed asks as another process, right after
// Redis was emptied.
func TestAForgottenKeyIsTakenForOneJustUsed(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		for _, perCall := range []int{1, 1000} {
			w := newSimulation(t, r, 1, LimiterConfig{PerSecond: 1000, PerCall: perCall})
			l, s := w.processes[0], w.processes[0].share(1)
			_ = r.Flush(t.Context())
			for _, n := range []int{1, s.most} {
				if wait, _, err := l.bucket.take(t.Context(), n, s); err != nil || wait != s.cost(s.most) {
					t.Errorf("%d of %d: %v %v", n, s.most, wait, err)
				}
			}
		}
	})
}

// TestEmptiedRedisLetsNothingThrough empties Redis all the time.
func TestEmptiedRedisLetsNothingThrough(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		flushes := map[time.Duration]func(){}
		for at := time.Second; at < 20*time.Second; at += 1300 * time.Millisecond {
			flushes[at] = func() {
				if err := r.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for perCall, share := range map[int]float64{1: 0.9, 1000: 0.5} {
			w := newSimulation(t, r, 3, LimiterConfig{PerSecond: 200, PerCall: perCall, Processes: 4})
			w.run(20*time.Second, flushes)
			w.expect(share, 0, 20*time.Second)
		}
	})
}

// TestRedisAwayAndBack takes Redis away from all at once, and gives it back
// empty or as it was.
func TestRedisAwayAndBack(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		for i, gap := range []time.Duration{time.Second, 1900 * time.Millisecond, 2200 * time.Millisecond, 2900 * time.Millisecond, 4 * time.Second} {
			for _, perSecond := range []int{10, 1000} {
				gone, back := 3*time.Second, 3*time.Second+gap
				w := newSimulation(t, r, 3, LimiterConfig{PerSecond: perSecond, PerCall: 1, Processes: 4})
				w.processes[2].from = back // notices nothing but by its heartbeat
				w.run(12*time.Second, map[time.Duration]func(){gone: away(w.processes, true), back: func() {
					if i%2 == 0 {
						_ = r.Flush(t.Context())
					}
					away(w.processes, false)()
				}})
				w.expect(0.9, back+3500*time.Millisecond, 12*time.Second)
				if embedded(r) {
					break
				}
			}
		}
	})
}

// TestWithoutRedisTheLimitIsDivided looks at what goes out while Redis is away
// for long.
func TestWithoutRedisTheLimitIsDivided(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		for _, perCall := range []int{1, 1000} {
			w := newSimulation(t, r, 3, LimiterConfig{PerSecond: 999, PerCall: perCall, Processes: 4})
			w.run(40*time.Second, map[time.Duration]func(){5 * time.Second: away(w.processes, true)})
			w.expect(0.92, 8*time.Second, 40*time.Second)
			if n := w.between(5100*time.Millisecond, 7*time.Second); n > 0 {
				t.Errorf("%d were sent before all could know that Redis is away", n)
			}
		}
	})
}

func TestARedisNeverSeenLeavesTheConfiguredShare(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		w := newSimulation(t, r, 2, LimiterConfig{PerSecond: 1000, PerCall: 1, Processes: 4})
		away(w.processes, true)()
		w.run(12*time.Second, nil)
		if n := w.between(2*time.Second, 12*time.Second); n < 4600 || n > 5100 {
			t.Errorf("two of four processes sent %d in 10 s, of 10,000 that the limit is", n)
		}
	})
}

// TestASlowAnswerIsNoLostRedis cuts off one process, for less than it takes to
// go its own way.
func TestASlowAnswerIsNoLostRedis(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		for gap := 400 * time.Millisecond; gap < 2*time.Second; gap += 300 * time.Millisecond {
			w := newSimulation(t, r, 2, LimiterConfig{PerSecond: 500, PerCall: 1, Processes: 4})
			one := w.processes[:1]
			w.run(10*time.Second, map[time.Duration]func(){3 * time.Second: away(one, true), 3*time.Second + gap: away(one, false)})
			w.expect(0.92, 0, 10*time.Second)
			if embedded(r) {
				break
			}
		}
	})
}

func TestAPauseIsObeyedByAll(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		for _, perSecond := range []int{0, 1000} {
			w := newSimulation(t, r, 2, LimiterConfig{PerSecond: perSecond, PerCall: 1, Processes: 4})
			a, b := w.processes[0], w.processes[1]
			a.Pause(t.Context(), time.Minute)
			a.Pause(t.Context(), time.Second) // shortens nothing
			if _, err := a.try(t.Context(), 1); !errors.Is(err, dispatcher.ErrNotNow) || a.Paused() != time.Minute {
				t.Errorf("the one who was asked to wait: %v, %v", err, a.Paused())
			}
			if perSecond > 0 {
				if _, err := b.try(t.Context(), 1); !errors.Is(err, dispatcher.ErrNotNow) {
					t.Errorf("the other, as it asks: %v", err)
				}
				continue
			}
			b.beat(t.Context())
			if _, err := b.try(t.Context(), 1); !errors.Is(err, dispatcher.ErrNotNow) || b.Paused() < 50*time.Second {
				t.Errorf("the other, by its heartbeat: %v, %v", err, b.Paused())
			}
			w.at += time.Hour
			if wait, err := b.try(t.Context(), 1_000_000); wait != 0 || err != nil || b.Most() != 0 {
				t.Errorf("afterwards, without a limit: %v %v", wait, err)
			}
		}
	})
}

// TestRedisTellsTheTime takes messages by Redis' own clock, and by that of the
// process.
func TestRedisTellsTheTime(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		l := NewLimiter(LimiterConfig{Name: t.Name(), PerSecond: 100_000, PerCall: 1, Redis: r, Processes: 4, Log: slog.New(slog.DiscardHandler)})
		l.bucket = newBucket(r, t.Name())
		for range 5 {
			if err := l.Wait(t.Context(), l.Most()); err != nil {
				t.Fatal(err)
			}
		}
		ahead := time.Now().Add(time.Hour).UnixMicro()
		if err := r.client.Set(t.Context(), l.bucket.key("rate"), ahead, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if wait, _, err := l.bucket.take(t.Context(), 1, l.share(1)); err != nil || wait == 0 || wait > time.Second {
			t.Errorf("after Redis' clock went back: %v %v", wait, err)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	l := NewLimiter(LimiterConfig{PerSecond: 1, PerCall: 1, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	l.sleep = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	if err := l.Wait(ctx, 1); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := l.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("the second: %v", err)
	}
	if err := l.Wait(t.Context(), 2); !errors.Is(err, dispatcher.ErrNotNow) {
		t.Errorf("more than may go at once: %v", err)
	}
}

// TestASilentRedisIsNotWaitedFor has a Redis that takes connections and says
// nothing.
func TestASilentRedisIsNotWaitedFor(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	r, err := OpenRedis("redis://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l := NewLimiter(LimiterConfig{Name: "n", PerSecond: 1000, PerCall: 1, Redis: r, Processes: 4, Log: slog.New(slog.DiscardHandler)})
	began := time.Now()
	if wait, err := l.try(t.Context(), 1); wait != askAgain || err != nil || time.Since(began) > 20*answerWithin {
		t.Errorf("%v %v after %v", wait, err, time.Since(began))
	}
}

func TestWithTheInProcessRedisAProcessIsAlone(t *testing.T) {
	r, err := EmbeddedRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l := NewLimiter(LimiterConfig{PerSecond: 1000, PerCall: 1, Redis: r, Processes: 4})
	if l.bucket != nil || l.Most() != 40 {
		t.Errorf("bucket %v, most %d", l.bucket, l.Most())
	}
	l.Run(t.Context()) // returns at once
}

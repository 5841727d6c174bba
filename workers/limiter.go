package workers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"utskick/dispatcher"
)

// LimiterConfig is what a [Limiter] is made from.
type LimiterConfig struct {
	// Name is of the provider, such as email-smtp. Processes whose limiters have
	// the same name and the same Redis share one limit.
	Name      string
	PerSecond int // messages a second; 0 is no limit
	PerCall   int // recipients that one call to the provider carries at most
	// Redis is where the processes share the limit. With the in-process one, or
	// without, this process is alone.
	Redis *Redis
	// Processes is how many share the limit, as long as Redis has not told.
	Processes int
	Log       *slog.Logger
}

// Limiter paces the messages of one provider over all processes. A chunk goes
// when those before it have been paid for at the rate, so that the burst is one
// chunk: 4 % of a second's messages, or one call.
//
// While Redis does not answer, each process keeps to its share of the limit; see
// [link].
type Limiter struct {
	LimiterConfig
	bucket *bucket       // nil: this process is alone
	turn   chan struct{} // held by whoever asks first: first come, first served
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error

	asking  sync.Mutex // held by whoever asks
	mu      sync.Mutex
	lag     lag
	paid    time.Time // what this process has sent is paid for then
	quietTo time.Time // the provider asked for it
	link    link
	told    bool // the log says that Redis is away
}

// NewLimiter makes a limiter. [Limiter.Run] has to run beside its use.
func NewLimiter(c LimiterConfig) *Limiter {
	l := &Limiter{LimiterConfig: c, turn: make(chan struct{}, 1), now: time.Now, sleep: sleep}
	l.link.assumed = c.Processes
	if c.Redis != nil && c.Redis.server == nil {
		l.bucket = newBucket(c.Redis, c.Name)
	}
	return l
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Most returns how many messages may go at once now; 0 is any number.
func (l *Limiter) Most() int {
	if l.PerSecond == 0 {
		return 0
	}
	return l.shareNow().most
}

func (l *Limiter) shareNow() share {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.share(l.link.sharers(l.now()))
}

// Paused returns for how long the provider is to be left alone.
func (l *Limiter) Paused() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.quietTo.Sub(l.now()))
}

// Pause keeps every process from the provider for d: the others learn of it when
// they ask for messages, or within a second.
func (l *Limiter) Pause(ctx context.Context, d time.Duration) {
	l.quiet(d)
	if l.bucket == nil {
		return
	}
	if err := l.bucket.pause(ctx, d); err != nil {
		l.Log.Warn("the other workers cannot be told of a provider's pause", "provider", l.Name, "for", d)
	}
}

func (l *Limiter) quiet(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := l.now().Add(d); until.After(l.quietTo) {
		l.quietTo = until
	}
}

// Wait returns when n messages may go out, or when ctx ends. It returns
// [dispatcher.ErrNotNow] when the provider is to be left alone, or when n is more
// than may go at once now.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return l.ask(ctx, n)
}

// Begin returns when n messages may begin that [Limiter.Wait] let go that long
// ago; see [lag]. Who pays again does not queue behind those that have claimed
// nothing yet.
func (l *Limiter) Begin(ctx context.Context, n int, since time.Duration) error {
	if l.PerSecond == 0 {
		return nil
	}
	wait, late := l.lags(since)
	if late {
		if err := l.ask(ctx, n); err != nil {
			return err
		}
	}
	if wait == 0 {
		return nil
	}
	return l.sleep(ctx, wait)
}

func (l *Limiter) lags(since time.Duration) (wait time.Duration, late bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return l.lag.of(since, l.share(l.link.sharers(now)).slack, now)
}

func (l *Limiter) ask(ctx context.Context, n int) error {
	for {
		wait, err := l.tryAlone(ctx, n)
		if err != nil || wait == 0 {
			return err
		}
		if err := l.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// askAgain is how soon Redis is asked again that did not answer.
const askAgain = 100 * time.Millisecond

func (l *Limiter) tryAlone(ctx context.Context, n int) (time.Duration, error) {
	l.asking.Lock()
	defer l.asking.Unlock()
	return l.try(ctx, n)
}

// try takes n messages, or says how long to wait before trying again.
func (l *Limiter) try(ctx context.Context, n int) (wait time.Duration, err error) {
	s, wait, err := l.own(n)
	if wait > 0 || err != nil || l.PerSecond == 0 {
		return wait, err
	}
	if s.asks {
		wait, quiet, err := l.bucket.take(ctx, n, l.share(1))
		l.heard(ctx, err)
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err != nil:
			return askAgain, nil
		case quiet > 0:
			l.quiet(quiet)
			return 0, dispatcher.ErrNotNow
		case wait > 0:
			return wait, nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paid = s.pay(l.paid, l.now(), n)
	return 0, nil
}

// own asks what this process knows by itself. Its own pace binds it always, so
// that a Redis that forgets lets no process go faster than the limit.
func (l *Limiter) own(n int) (s share, wait time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.quietTo.After(now) {
		return s, 0, dispatcher.ErrNotNow
	}
	if l.PerSecond == 0 {
		return s, 0, nil
	}
	s = l.share(l.link.sharers(now))
	s.asks = l.bucket != nil && !l.link.lost(now)
	if n > s.most {
		return s, 0, dispatcher.ErrNotNow
	}
	return s, max(0, l.paid.Sub(now)), nil
}

// heard notes whether Redis answered, and logs it when that changes what is done.
func (l *Limiter) heard(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // it was not given its time
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if err == nil {
		l.link.answered(now)
	} else {
		l.link.failed(now)
	}
	if lost := l.link.lost(now); lost != l.told {
		l.told = lost
		if lost {
			l.Log.Warn("Redis is away; this process keeps to its share of the rate", "provider", l.Name, "processes", l.link.sharers(now))
		} else {
			l.Log.Info("Redis answers; the rate is shared again", "provider", l.Name)
		}
	}
}

// beatEvery is how often a process says that it shares a limit, and asks a Redis
// that was away.
const beatEvery = time.Second

// Run keeps this process counted among those that share the limit until ctx
// ends. Without a Redis to share it in, there is nothing to do.
func (l *Limiter) Run(ctx context.Context) {
	if l.bucket == nil {
		return
	}
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		l.beat(ctx)
		select {
		case <-ctx.Done():
			l.bucket.leave(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
		}
	}
}

func (l *Limiter) beat(ctx context.Context) {
	processes, quiet, err := l.bucket.beat(ctx)
	l.heard(ctx, err)
	if err != nil {
		return
	}
	l.quiet(quiet)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.link.counted(processes, l.now())
}

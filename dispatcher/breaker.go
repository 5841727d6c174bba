package dispatcher

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

// ErrNotNow says that a prepared chunk is not to be sent now. Nothing of it was
// claimed, and its batch may be tried again soon: that waits for as long as it
// has to.
var ErrNotNow = errors.New("not now")

// The breaker of a provider opens when most of its last chunks failed. Then
// nothing is claimed for it. After a pause one chunk of ten tries it again: what
// a provider that is still down may leave in doubt is ten recipients, and not a
// call of a thousand.
const (
	canaryChunk    = 10
	chunksWatched  = 5
	fewestFailures = 2 // one failed chunk is no reason to stop
	firstOpening   = time.Second
	longestOpening = time.Minute
	canaryTakes    = 250 * time.Millisecond // after which it is asked whether the canary is back
)

// breaker keeps the batches of one channel away from a provider that fails, or
// that asked to be left alone. Its zero value is closed.
type breaker struct {
	mu      sync.Mutex
	failed  []bool    // of the last chunks, the newest last
	opened  int       // times in a row; 0 is closed
	until   time.Time // open until then, then half open
	canary  bool      // it is out
	quietTo time.Time // the provider asked for it
}

// enter asks whether a chunk may be begun. Zero is yes, and leave must be called
// when the chunk has come to its end, whatever became of it.
func (b *breaker) enter(now time.Time) (wait time.Duration, leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.shut(now); wait > 0 {
		return wait, nil
	}
	if b.opened == 0 {
		return 0, func() {}
	}
	if b.canary {
		return canaryTakes, nil
	}
	b.canary = true
	return 0, b.canaryBack
}

func (b *breaker) canaryBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.canary = false
}

// shut returns for how long nothing may be begun.
func (b *breaker) shut(now time.Time) time.Duration {
	shut := b.quietTo.Sub(now)
	if b.opened > 0 {
		shut = max(shut, b.until.Sub(now))
	}
	return max(0, shut)
}

// allows says whether n messages that were prepared may still be sent: the
// breaker may have opened meanwhile.
func (b *breaker) allows(n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shut(now) == 0 && (b.opened == 0 || n <= canaryChunk)
}

// bound returns how many of size a chunk may hold now.
func (b *breaker) bound(size int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened > 0 {
		return min(size, canaryChunk)
	}
	return size
}

// quiet keeps everybody away for d.
func (b *breaker) quiet(d time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := now.Add(d); until.After(b.quietTo) {
		b.quietTo = until
	}
}

// note takes in how a chunk went. It returns for how long the breaker has
// opened with it, and whether it has closed.
func (b *breaker) note(h health, now time.Time) (opened time.Duration, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case h == unknown:
		return 0, false
	case b.opened == 0:
		b.failed = append(b.failed, h == bad)
		if len(b.failed) > chunksWatched {
			b.failed = b.failed[1:]
		}
		if !b.mostFailed() {
			return 0, false
		}
		return b.open(now), false
	case now.Before(b.until): // was under way when the breaker opened
		return 0, false
	case h == bad:
		return b.open(now), false
	}
	b.opened, b.failed = 0, nil
	return 0, true
}

func (b *breaker) mostFailed() bool {
	n := 0
	for _, f := range b.failed {
		if f {
			n++
		}
	}
	return n >= fewestFailures && 2*n > len(b.failed)
}

// open opens for twice as long as the last time, with jitter: several processes
// do not come back in step.
func (b *breaker) open(now time.Time) time.Duration {
	d := min(longestOpening, firstOpening<<min(b.opened, 10))
	d = d/2 + rand.N(d/2)
	b.opened++
	b.until, b.failed = now.Add(d), nil
	return d
}

// health is what the answers to a chunk say of its provider.
type health uint8

const (
	unknown health = iota // it was not asked
	good
	bad
)

// healthOf is bad when most of those who were asked for were not taken or are in
// doubt. A refusal is an answer of a provider that works, and a recipient whose
// own server says "later" says nothing about the provider.
func healthOf(permits []*suppression.Permit, results []channels.Result) health {
	asked, failed := 0, 0
	for i, r := range results {
		if permits[i] == nil || r.Class == channels.Withheld {
			continue
		}
		asked++
		if r.Class == channels.InDoubt || (r.Class == channels.NotTaken && !ofRecipient[r.Reason]) {
			failed++
		}
	}
	switch {
	case asked == 0:
		return unknown
	case 2*failed > asked:
		return bad
	}
	return good
}

var ofRecipient = map[string]bool{channels.ReasonGreylisted: true, channels.ReasonRecipientLater: true}

// quietFor returns how long the provider asks us all to leave it alone: by a 429
// or a 503 with a time. Other pauses are about one recipient or one sender.
func quietFor(results []channels.Result) (d time.Duration) {
	for _, r := range results {
		if r.Reason == channels.ReasonThrottled || r.Reason == channels.ReasonServerError {
			d = max(d, r.Pause)
		}
	}
	return d
}

// enter asks the breaker and the limiter of a channel whether a chunk may be
// begun, and if not, how long to wait. leave must be called after the chunk.
func (w *Worker) enter(ch audience.Channel) (wait time.Duration, leave func()) {
	if l := w.Limiters[ch]; l != nil {
		if d := l.Paused(); d > 0 {
			return d, nil
		}
	}
	return w.breakers[ch].enter(w.Now())
}

// noteAnswers lets the breaker see the answers to a chunk, and lets everybody
// obey the pause that the provider asked for.
func (w *Worker) noteAnswers(ctx context.Context, ch audience.Channel, permits []*suppression.Permit, results []channels.Result) {
	b, name := w.breakers[ch], w.Providers[ch].Name()
	opened, closed := b.note(healthOf(permits, results), w.Now())
	if opened > 0 {
		w.Log.Warn("a provider fails and is left alone", "channel", ch, "provider", name, "for", opened)
	}
	if closed {
		w.Log.Info("a provider works again", "channel", ch, "provider", name)
	}
	d := quietFor(results)
	if d == 0 {
		return
	}
	b.quiet(d, w.Now())
	w.Log.Warn("a provider asked for a pause", "channel", ch, "provider", name, "for", d)
	if l := w.Limiters[ch]; l != nil {
		l.Pause(context.WithoutCancel(ctx), d)
	}
}

const (
	// lookAgain is how soon a batch that waits for its provider is read again:
	// it may have been cancelled.
	lookAgain = time.Second
	// soonAgain is when a chunk is made anew that was not to be sent as it was.
	soonAgain = 20 * time.Millisecond
	// longestWait is how long a batch waits here. When it is to take longer, it
	// waits in the ledger, and the doorbell rings for it again.
	longestWait = 30 * time.Second
)

// notNow leaves a batch unclaimed for a while, a second at most, and reads it
// again.
func (w *Worker) notNow(ctx context.Context, b *Batch, wait time.Duration) (more bool, err error) {
	if wait > longestWait {
		return false, nil
	}
	timer := time.NewTimer(min(wait, lookAgain))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true, nil
	case <-timer.C:
	}
	fresh, err := w.Ledger.Batch(ctx, b.ID)
	if err != nil || !fresh.Ready || fresh.Fence != b.Fence {
		return false, err
	}
	*b = fresh
	return true, nil
}

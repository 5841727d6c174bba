package dispatcher

import (
	"context"
	"slices"
	"sync"
	"time"

	"utskick/audience"
)

// A receiving mail domain may want less than the relay can do. Members of a
// domain that has a limit are set aside when a chunk meets them: they go on in
// batches of their own, each of one domain, made to come due one after the other
// at the domain's pace. So a slow domain holds up nobody else, and each of its
// members is moved once.

// DomainLimit is how fast one mail domain may be sent to.
type DomainLimit struct {
	Limiter   Limiter
	PerSecond int // what Limiter keeps to
}

// domainBatch is how long sending a batch of one domain takes at its limit: as
// long as it may occupy a worker.
const domainBatch = 10 * time.Second

// betweenBatches is what lies between two batches of a domain, since the doorbell
// rings once a second: one that comes while the other is still being sent would
// have to go to the end of the queue.
const betweenBatches = time.Second

// lane is the queue for one domain, as this process sees it.
type lane struct {
	DomainLimit
	turn chan struct{} // full while a batch is being sent

	mu    sync.Mutex
	until time.Time // when all that was put into the queue has gone
}

// lanes are the queues of all domains that have a limit.
type lanes struct {
	of    map[string]*lane
	slots chan struct{} // how many batches of domains may be worked on at once
}

func newLanes(limits map[string]DomainLimit, slots int) lanes {
	l := lanes{of: make(map[string]*lane, len(limits)), slots: make(chan struct{}, max(1, slots))}
	for domain, limit := range limits {
		l.of[domain] = &lane{DomainLimit: limit, turn: make(chan struct{}, 1)}
	}
	return l
}

// lane returns the lane that a batch is in; nil: none.
func (l lanes) lane(b Batch) *lane {
	if b.Domain == "" {
		return nil
	}
	return l.of[b.Domain]
}

// sets says for which domain a member of an ordinary batch has to be set aside.
func (l lanes) sets(m Member) (domain string, aside bool) {
	if len(l.of) == 0 {
		return "", false
	}
	domain = m.Candidate.Domain()
	return domain, l.of[domain] != nil
}

// moves puts members that were set aside into the queues of their domains.
func (l lanes) moves(aside map[string][]audience.Key, now time.Time) (moves []Move) {
	for domain, keys := range aside {
		lane := l.of[domain]
		for keys := range slices.Chunk(keys, lane.most()) {
			moves = append(moves, Move{Keys: keys, RetryAt: lane.queue(len(keys), now), Domain: domain})
		}
	}
	return moves
}

// most is how many members a batch of the domain has at most.
func (l *lane) most() int { return max(1, int(domainBatch.Seconds())*l.PerSecond) }

// queue puts n messages at the end of the queue, and returns when their turn
// comes.
func (l *lane) queue(n int, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn := now
	if l.until.After(now) {
		turn = l.until
	}
	l.until = turn.Add(time.Duration(n)*time.Second/time.Duration(l.PerSecond) + betweenBatches)
	return turn
}

// enter gives a batch its turn, which ends with leave, or says when to come
// again: another batch of the domain is on its way, or too many of others are.
func (l lanes) enter(b Batch, now time.Time) (leave func(), again time.Time) {
	lane := l.lane(b)
	if lane == nil {
		return func() {}, time.Time{}
	}
	select {
	case lane.turn <- struct{}{}:
	default:
		return nil, lane.later(now)
	}
	select {
	case l.slots <- struct{}{}:
	default:
		<-lane.turn
		return nil, lane.later(now)
	}
	return func() {
		<-l.slots
		<-lane.turn
	}, time.Time{}
}

// later is when to try again to be sent: at the end of the queue.
func (l *lane) later(now time.Time) time.Time {
	again := l.queue(l.most(), now)
	if soonest := now.Add(time.Second); again.Before(soonest) {
		return soonest
	}
	return again
}

// pace waits until n messages of the batch may go, by the limits of its domain
// and of its channel.
func (w *Worker) pace(ctx context.Context, b Batch, n int) error {
	if lane := w.lanes.lane(b); lane != nil {
		if err := lane.Limiter.Wait(ctx, n); err != nil {
			return err
		}
	}
	if l := w.Limiters[b.Channel]; l != nil {
		return l.Wait(ctx, n)
	}
	return nil
}

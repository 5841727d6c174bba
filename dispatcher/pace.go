package dispatcher

import (
	"sync"
	"time"

	"utskick/channels"
	"utskick/suppression"
)

// Bounds on a chunk for providers that take one recipient a call. What does not
// start within the send window has to be claimed again, so a chunk is what this
// worker sends in half a window.
const (
	mostSingles   = 500
	firstSingles  = 50
	doubtfulChunk = 10
	halfTheWindow = suppression.Window / 2
)

// pace knows how many messages a second a channel's provider takes here.
type pace struct {
	mu    sync.Mutex
	perS  float64 // smoothed; 0 is unknown
	doubt bool    // the last chunk had members in doubt
}

func (p *pace) note(n int, took time.Duration, results []channels.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubt = false
	for _, r := range results {
		if r.Class == channels.InDoubt {
			p.doubt = true
		}
	}
	rate := float64(n) / max(took, time.Millisecond).Seconds()
	if p.perS == 0 {
		p.perS = rate
	} else {
		p.perS = 0.7*p.perS + 0.3*rate
	}
}

// size returns how many single calls a chunk may hold.
func (p *pace) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.doubt:
		return doubtfulChunk
	case p.perS == 0:
		return firstSingles
	}
	return max(1, min(mostSingles, int(p.perS*halfTheWindow.Seconds())))
}

// chunkSize returns how many members the next claim of a batch may cover.
func (w *Worker) chunkSize(b Batch, provider channels.Provider) int {
	size := provider.PerCall()
	if size == 1 {
		size = w.paces[b.Channel].size()
	}
	if lane := w.lanes.lane(b); lane != nil {
		size = boundBy(lane.Limiter, size)
	}
	return w.breakers[b.Channel].bound(boundBy(w.Limiters[b.Channel], size))
}

func boundBy(l Limiter, size int) int {
	if l == nil {
		return size
	}
	if most := l.Most(); most > 0 {
		return min(size, most)
	}
	return size
}

package dispatcher

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// auditEvery is how often the promises are recomputed from the ledger, and
// auditShare how much of its own duration an audit waits at least: it reads the
// whole ledger, and takes 2 % of the time at most.
const (
	auditEvery = 10 * time.Minute
	auditShare = 50
)

// Audit is what an audit found.
type Audit struct {
	At       time.Time // when it ended
	Took     time.Duration
	Breaches []Breach
}

// Auditor recomputes again and again whether the promises were kept.
type Auditor struct {
	// Breaches reads them from the ledger.
	Breaches func(ctx context.Context) ([]Breach, error)
	Log      *slog.Logger

	mu   sync.Mutex
	last Audit
}

// Run audits at once and then every ten minutes, until ctx ends. An audit that
// fails is logged, and leaves the last one standing with its time.
func (a *Auditor) Run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		found, err := a.Breaches(ctx)
		took := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.Log.Warn("the audit failed and will be made again", "error", err)
		default:
			a.note(Audit{At: time.Now(), Took: took, Breaches: found})
		}
		timer := time.NewTimer(max(auditEvery, auditShare*took))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (a *Auditor) note(found Audit) {
	for _, b := range found.Breaches {
		if b.Count > 0 {
			a.Log.Error("a promise was broken; keep the database as it is, and look at them", "promise", b.Promise, "name", b.Name, "count", b.Count)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = found
}

// Last returns the last audit; its time is zero when there is none yet.
func (a *Auditor) Last() Audit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

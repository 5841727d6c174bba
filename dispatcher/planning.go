package dispatcher

import (
	"context"
	"errors"
	"time"

	"utskick/suppression"
)

// Calling is a batch that a worker has claimed and not settled yet.
type Calling struct {
	Batch int64
	Fence int64
	Beat  int64 // changes while its worker is alive; never compared with a clock
}

// Planning is the part of the store that moves runs forward.
type Planning interface {
	// NoteLapses writes down which instances have let their lease lapse, and all
	// of them when the database's clock was set back: a lease that has lapsed
	// once is never good again, whatever the clock says later.
	NoteLapses(ctx context.Context) error
	// StartDueRuns cuts the audience of scheduled runs whose instant has come
	// into slices, and sets them sending.
	StartDueRuns(ctx context.Context) (started int, err error)
	// PlanSlice makes the groups, members and batches of a slice in one
	// transaction. A slice that is planned already is left as it is.
	PlanSlice(ctx context.Context, ref SliceRef) error
	// FinishRuns ends the runs of which nothing is left to do.
	FinishRuns(ctx context.Context) (ended int, err error)
	// CallingBatches lists the claims that stand now.
	CallingBatches(ctx context.Context) ([]Calling, error)
	// Sweep declares the members of a claim in doubt, if it still stands at
	// this fence, and lets the rest of its batch go on under a new one.
	Sweep(ctx context.Context, c Calling) error
	// ForgetRequesters removes from old events who made them.
	ForgetRequesters(ctx context.Context) (forgotten int, err error)
}

// SweepAfter is how long this process must have watched a claim stand still
// before it takes its worker for lost. It is never less than the send window:
// the permits of the claim must be dead by then.
const SweepAfter = 10 * suppression.Window

// Keeper does the regular duties of a worker process: it starts runs that are
// due, ends those that are done, and sweeps up after lost workers. Any number
// of keepers may run at once.
type Keeper struct {
	store   Planning
	clock   suppression.Clock
	watched map[int64]watch
	forget  suppression.Instant // when requesters are to be forgotten next
}

// forgetEvery is how often requesters are forgotten.
const forgetEvery = time.Hour

type watch struct {
	fence, beat int64
	since       suppression.Instant
}

// NewKeeper watches claims on clock.
func NewKeeper(store Planning, clock suppression.Clock) *Keeper {
	return &Keeper{store: store, clock: clock, watched: map[int64]watch{}}
}

// Every is how often [Keeper.Round] is to be called.
const Every = time.Second

// Round does what is due now. It reports whether it changed anything, so that
// the doorbell can ring at once.
func (k *Keeper) Round(ctx context.Context) (changed bool, err error) {
	if err := k.store.NoteLapses(ctx); err != nil {
		return false, err
	}
	started, err := k.store.StartDueRuns(ctx)
	if err != nil {
		return false, err
	}
	swept, err := k.sweep(ctx)
	if err != nil {
		return started > 0, err
	}
	ended, err := k.store.FinishRuns(ctx)
	return started+swept+ended > 0, errors.Join(err, k.forgetRequesters(ctx))
}

func (k *Keeper) forgetRequesters(ctx context.Context) error {
	now := k.clock()
	if now < k.forget {
		return nil
	}
	k.forget = now.Add(forgetEvery)
	_, err := k.store.ForgetRequesters(ctx)
	return err
}

// sweep compares the claims with what this process has itself seen of them.
// Clocks of other machines are never asked.
func (k *Keeper) sweep(ctx context.Context) (swept int, err error) {
	claims, err := k.store.CallingBatches(ctx)
	if err != nil {
		return 0, err
	}
	now := k.clock()
	seen := make(map[int64]watch, len(claims))
	for _, c := range claims {
		w, known := k.watched[c.Batch]
		if !known || w.fence != c.Fence || w.beat != c.Beat {
			w = watch{fence: c.Fence, beat: c.Beat, since: now}
		}
		if time.Duration(now-w.since) >= SweepAfter {
			if err := k.store.Sweep(ctx, c); err != nil {
				return swept, err
			}
			swept++
			continue
		}
		seen[c.Batch] = w
	}
	k.watched = seen
	return swept, nil
}

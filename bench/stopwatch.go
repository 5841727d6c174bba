package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
)

// phase is a step of the way of a chunk; planning is beside it.
type phase int

const (
	plan phase = iota
	read
	render // what is left of a batch when the other steps are taken off
	encode
	claim
	check
	send
	settle
	phases
)

var phaseNames = [phases]string{"plan", "read", "render", "encode", "claim", "check", "send", "settle"}

// spent is how long each phase took, summed over all that went on at once.
type spent [phases]time.Duration

// per1000 tells the times in milliseconds for 1000 recipients.
func (s spent) per1000(recipients int64) string {
	var b strings.Builder
	for p, d := range s {
		fmt.Fprintf(&b, " %s %.2f", phaseNames[p], float64(d.Microseconds())/float64(max(recipients, 1)))
	}
	return b.String()[1:]
}

// stopwatch measures the phases, and remembers when the last batch was settled.
type stopwatch struct {
	batches atomic.Int64 // all of Dispatch
	phases  [phases]atomic.Int64
	settled atomic.Int64 // unix nanoseconds
}

// time adds what has passed since start.
func (w *stopwatch) time(p phase, start time.Time) { w.phases[p].Add(int64(time.Since(start))) }

func (w *stopwatch) spent() (s spent) {
	rest := w.batches.Load()
	for p := range s {
		s[p] = time.Duration(w.phases[p].Load())
		if phase(p) != plan {
			rest -= int64(s[p])
		}
	}
	s[render] = time.Duration(rest)
	return s
}

// timedStore is the store under a stopwatch.
type timedStore struct {
	*storage.Store
	watch *stopwatch
}

func (s timedStore) PlanSlice(ctx context.Context, ref dispatcher.SliceRef) error {
	defer s.watch.time(plan, time.Now())
	return s.Store.PlanSlice(ctx, ref)
}

func (s timedStore) Batch(ctx context.Context, id int64) (dispatcher.Batch, error) {
	defer s.watch.time(read, time.Now())
	return s.Store.Batch(ctx, id)
}

func (s timedStore) Members(ctx context.Context, b dispatcher.Batch, limit int) ([]dispatcher.Member, error) {
	defer s.watch.time(read, time.Now())
	return s.Store.Members(ctx, b, limit)
}

func (s timedStore) Claim(ctx context.Context, c dispatcher.Claim) error {
	defer s.watch.time(claim, time.Now())
	return s.Store.Claim(ctx, c)
}

func (s timedStore) Matching(ctx context.Context, scope suppression.Scope, ks []audience.Key) ([]suppression.Match, int64, error) {
	defer s.watch.time(check, time.Now())
	return s.Store.Matching(ctx, scope, ks)
}

func (s timedStore) Settle(ctx context.Context, m dispatcher.Settlement) (dispatcher.Progress, error) {
	defer s.watch.time(settle, time.Now())
	p, err := s.Store.Settle(ctx, m)
	s.watch.settled.Store(time.Now().UnixNano())
	return p, err
}

// timedProvider is a provider under a stopwatch.
type timedProvider struct {
	channels.Provider
	watch *stopwatch
}

func (p timedProvider) Prepare(ctx context.Context, d channels.Draft) (channels.Call, error) {
	defer p.watch.time(encode, time.Now())
	call, err := p.Provider.Prepare(ctx, d)
	return timedCall{call, p.watch}, err
}

type timedCall struct {
	channels.Call
	watch *stopwatch
}

func (c timedCall) Send(ctx context.Context, permits []*suppression.Permit) []channels.Result {
	defer c.watch.time(send, time.Now())
	return c.Call.Send(ctx, permits)
}

// timedWorker is the worker under a stopwatch.
type timedWorker struct {
	*dispatcher.Worker
	watch *stopwatch
}

func (w timedWorker) Dispatch(ctx context.Context, ref dispatcher.BatchRef) error {
	start := time.Now()
	defer func() { w.watch.batches.Add(int64(time.Since(start))) }()
	return w.Worker.Dispatch(ctx, ref)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
	"utskick/tracking"
	"utskick/workers"
)

// workJob is one run of a campaign, from its launch to its end.
type workJob struct {
	Case    string
	Store   place
	Sink    sink
	Workers int    // batches at once; 0 is the case's
	Profile string // folder for profiles; empty: none
}

// worked is what a run came to.
type worked struct {
	Seconds float64 // from the launch to the last settlement
	Sent    int64
	Blocked int64
	CPU     int64 // nanoseconds
	Peak    int64 // bytes
	Spent   spent
}

// work is the child that runs the product: planner, doorbell and worker, with
// the in-process Redis and a real provider.
func work(ctx context.Context, p *parent) error {
	var job workJob
	if err := p.next(&job); err != nil {
		return err
	}
	p.dieWith()
	found, err := findCases(job.Case)
	if err != nil {
		return err
	}
	store, err := job.Store.open(ctx)
	if err != nil {
		return err
	}
	result, err := job.run(ctx, found[0], store)
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	return p.tell(result)
}

func (job workJob) run(ctx context.Context, c benchCase, store *storage.Store) (worked, error) {
	watch := new(stopwatch)
	pool, closeAll, err := job.pool(c, timedStore{store, watch})
	if err != nil {
		return worked{}, err
	}
	if _, err := store.CreateCampaign(ctx, campaign(c)); err != nil {
		return worked{}, err
	}
	profiled, err := startProfile(job.Profile, c.name)
	if err != nil {
		return worked{}, err
	}
	used, launched := processorTime(), time.Now()
	if _, err := store.LaunchRun(ctx, c.name, dispatcher.Launch{}); err != nil {
		return worked{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	report, err := awaitEnd(ctx, store, c.name)
	result := worked{CPU: int64(processorTime() - used), Seconds: time.Unix(0, watch.settled.Load()).Sub(launched).Seconds(), Spent: watch.spent()}
	err = errors.Join(err, profiled())
	stop()
	if err := errors.Join(err, <-ended, closeAll()); err != nil {
		return worked{}, err
	}
	result.Sent, result.Blocked, result.Peak = report.Sent, report.Suppressed, peakMemory()
	return result, nil
}

// pool wires a worker process as the product's command does.
func (job workJob) pool(c benchCase, store timedStore) (*workers.Pool, func() error, error) {
	key, err := c.signer()
	if err != nil {
		return nil, nil, err
	}
	provider, err := c.open(job.Sink, key)
	if err != nil {
		return nil, nil, err
	}
	signer, err := tracking.NewSigner([]byte(linkKey))
	if err != nil {
		return nil, nil, err
	}
	redis, err := workers.EmbeddedRedis()
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	snapshot := suppression.NewSnapshot(store.Store, suppression.SystemClock, log)
	worker := dispatcher.NewWorker(dispatcher.Config{
		Ledger: store, Library: store, Gate: suppression.NewGate(timedIndex{snapshot, store.watch}, suppression.SystemClock),
		Suppressor: suppression.NewRegister(store, suppression.SystemClock),
		Providers:  map[audience.Channel]channels.Provider{c.channel: timedProvider{provider, store.watch}},
		Signer:     signer, PublicURL: publicURL, Owner: "bench", Now: time.Now, Log: log,
	})
	if job.Workers > 0 {
		c.workers = job.Workers
	}
	pool := workers.NewPool(workers.Config{Redis: redis, Rings: store, Planner: store, Sender: timedWorker{worker, store.watch},
		Keeper: dispatcher.NewKeeper(store, suppression.SystemClock), Log: log,
		Concurrency: map[string]int{"plan": 1, string(c.channel): c.workers}})
	return pool, func() error { snapshot.Close(); redis.Close(); return provider.Close() }, nil
}

// timedIndex is the suppression index under a stopwatch, with its snapshot.
type timedIndex struct {
	suppression.Index
	watch *stopwatch
}

func (i timedIndex) Matching(ctx context.Context, scope suppression.Scope, ks []audience.Key) ([]suppression.Match, int64, error) {
	defer i.watch.time(check, time.Now())
	return i.Index.Matching(ctx, scope, ks)
}

// awaitEnd waits until the run is finished, and holds its report to its rules.
func awaitEnd(ctx context.Context, store *storage.Store, campaign string) (dispatcher.ChannelReport, error) {
	const often = 100 * time.Millisecond
	for {
		r, err := store.Progress(ctx, campaign)
		switch {
		case err != nil:
			return dispatcher.ChannelReport{}, err
		case r.State == dispatcher.Paused:
			return dispatcher.ChannelReport{}, fmt.Errorf("the run was paused: %s", r.Reason)
		case r.State.Ended():
			return r.Channels[0], r.Reconcile()
		}
		select {
		case <-ctx.Done():
			return dispatcher.ChannelReport{}, ctx.Err()
		case <-time.After(often):
		}
	}
}

// startProfile profiles the processor until the returned function is called,
// which writes the heap's profile too.
func startProfile(dir, name string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	cpu, err := os.Create(filepath.Join(dir, name+".cpu.pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		heap, err := os.Create(filepath.Join(dir, name+".heap.pprof"))
		if err != nil {
			return err
		}
		runtime.GC()
		return errors.Join(cpu.Close(), pprof.WriteHeapProfile(heap), heap.Close())
	}, nil
}

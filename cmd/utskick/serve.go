package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"utskick/api"
	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/internal/failpoint"
	"utskick/rights"
	"utskick/storage"
	"utskick/suppression"
	"utskick/workers"
)

type serveCommand struct{}

// Run serves HTTP. Without a Redis of its own it is the whole product in one
// process.
func (serveCommand) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		redis, err := a.openRedis()
		if err != nil {
			return err
		}
		defer redis.Close()
		return a.serve(sh.ctx, redis, a.cfg.RedisURL == "", nil)
	})
}

type workCommand struct{}

func (workCommand) Run(sh *shell) error {
	cfg, err := readConfig(sh.lookup, false)
	if err != nil {
		return err
	}
	if cfg.RedisURL == "" {
		return misuse{errors.New("UTSKICK_REDIS_URL is not set: without it utskick serve does the work, in its own process")}
	}
	return sh.with(func(a *app) error {
		redis, err := a.openRedis()
		if err != nil {
			return err
		}
		defer redis.Close()
		w, err := a.work(redis)
		if err != nil {
			return err
		}
		a.log.Info("working", "channels", a.channels())
		var watch sync.WaitGroup
		watch.Go(func() { a.store.Watch(sh.ctx) })
		watch.Go(func() { a.retention().Run(sh.ctx) })
		watch.Go(func() { a.eraser().Run(sh.ctx) })
		err = w.run(sh.ctx)
		watch.Wait()
		return err
	})
}

func (a *app) openRedis() (*workers.Redis, error) {
	if a.cfg.RedisURL != "" {
		return workers.OpenRedis(a.cfg.RedisURL)
	}
	return workers.EmbeddedRedis()
}

func (a *app) channels() (names []string) {
	for ch, provider := range a.cfg.Providers {
		if provider != "" {
			names = append(names, string(ch)+": "+provider)
		}
	}
	slices.Sort(names)
	return names
}

// work is what plans and sends.
type work struct {
	pool      *workers.Pool
	confirmer *dispatcher.Confirmer // nil: there is no e-mail here
	close     func() error
}

// run works until ctx ends.
func (w *work) run(ctx context.Context) error {
	var confirming sync.WaitGroup
	if w.confirmer != nil {
		confirming.Go(func() { w.confirmer.Run(ctx) })
	}
	err := w.pool.Run(ctx)
	confirming.Wait()
	return errors.Join(err, w.close())
}

func (a *app) work(redis *workers.Redis) (*work, error) {
	providers, err := openProviders(a.cfg)
	if err != nil {
		return nil, err
	}
	limiters := a.openLimiters(providers, redis)
	worker, closeProviders := a.worker(providers, limiters)
	pool := workers.NewPool(workers.Config{Redis: redis, Rings: a.store, Planner: a.store, Sender: worker,
		Keeper: dispatcher.NewKeeper(a.store, suppression.SystemClock), Concurrency: a.cfg.Concurrency,
		Limiters: limiters.all(), LookUps: a.lookUps(providers), Log: a.log})
	return &work{pool, a.confirmer(providers, limiters), closeProviders}, nil
}

// confirmer makes what sends the mails of confirmations. Its gate asks the
// database alone: they are few.
func (a *app) confirmer(providers map[audience.Channel]channels.Provider, l limiters) *dispatcher.Confirmer {
	email := providers[audience.Email]
	if email == nil {
		return nil
	}
	return &dispatcher.Confirmer{Store: a.store, Library: a.store, Gate: suppression.NewGate(a.store, suppression.SystemClock), Suppressor: a.register,
		Provider: email, Limiter: l.channels[audience.Email], Signer: a.signer, PublicURL: a.cfg.PublicURL, Now: failpoint.Now, Log: a.log}
}

// lookUps makes what asks about those in doubt, where a provider can be asked:
// of those that we have, Twilio.
func (a *app) lookUps(providers map[audience.Channel]channels.Provider) *workers.LookUps {
	looker, can := providers[audience.SMS].(workers.Looker)
	if !can {
		return nil
	}
	return &workers.LookUps{Doubts: a.store, Looker: looker, Channel: audience.SMS, Log: a.log, Now: failpoint.Now}
}

// serve runs the listeners, and where it is working the pool, until ctx ends. ready is
// called once both listeners are open; it may be nil.
func (a *app) serve(ctx context.Context, redis *workers.Redis, working bool, ready func(*api.Server, api.Addresses, *workers.Pool)) error {
	in, err := a.openIntake(ctx)
	if err != nil {
		return err
	}
	return errors.Join(a.serveWith(ctx, in, redis, working, ready), in.close())
}

func (a *app) serveWith(ctx context.Context, in *intake, redis *workers.Redis, working bool, ready func(*api.Server, api.Addresses, *workers.Pool)) error {
	auditor := &dispatcher.Auditor{Breaches: a.breachesFor("serve"), Log: a.log}
	latencies := &rights.Latencies{Keep: a.store.AddLatencies, Log: a.log}
	server, err := a.server(redis, auditor, in, latencies)
	if err != nil {
		return err
	}
	var pool *workers.Pool
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		a.store.Watch(ctx)
		return nil
	})
	if working {
		w, err := a.work(redis)
		if err != nil {
			return err
		}
		pool = w.pool
		g.Go(func() error { return w.run(ctx) })
		g.Go(func() error {
			a.retention().Run(ctx)
			return nil
		})
		g.Go(func() error {
			a.eraser().Run(ctx)
			return nil
		})
	}
	g.Go(func() error {
		auditor.Run(ctx)
		return nil
	})
	g.Go(func() error {
		latencies.Run(ctx)
		return nil
	})
	g.Go(func() error {
		return in.during(ctx, func() error {
			return server.Serve(ctx, a.cfg.Listen, a.cfg.PublicListen, func(at api.Addresses) {
				a.log.Info("serving", "operator", at.Operator, "public", at.Public, "working", working, "channels", a.channels())
				if ready != nil {
					ready(server, at, pool)
				}
			})
		})
	})
	return g.Wait()
}

func (a *app) server(redis *workers.Redis, auditor *dispatcher.Auditor, in *intake, latencies *rights.Latencies) (*api.Server, error) {
	counts := api.NewHookCounts()
	hooks, err := openHooks(a.cfg)
	if err != nil {
		return nil, err
	}
	c := api.Config{
		Store: a.store, Keys: apiKeys{a.store}, Register: a.register, Intake: timedIntake{in.Intake, latencies}, Contacts: a.contacts(), Keyer: a.keyer, Signer: a.signer,
		NotFound: storage.ErrNotFound, Conflict: storage.ErrConflict, Secret: a.secret.SessionKey, Region: a.cfg.Region, About: a.about(),
		PublicURL: a.cfg.PublicURL, Proxies: a.cfg.Proxies, Queues: redis.Dashboard("/ops/queues"), Redis: redis.Ping, Metrics: metrics(auditor, a.held, in.Standing, counts), Now: failpoint.Now, Log: a.log,
		Hooks: hooks, HookCounts: counts,
	}
	for ch, provider := range a.cfg.Providers {
		if provider != "" {
			c.Channels = append(c.Channels, ch)
		}
	}
	if slices.Contains(a.channelProviders(), "outbox") {
		dir, err := filepath.Abs(outboxDir(a.cfg))
		if err != nil {
			return nil, fmt.Errorf("the outbox folder: %w", err)
		}
		c.OutboxDir = dir
	}
	return api.New(c)
}

func (a *app) channelProviders() (names []string) {
	for _, name := range a.cfg.Providers {
		names = append(names, name)
	}
	return names
}

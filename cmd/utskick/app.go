package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/internal/failpoint"
	"utskick/storage"
	"utskick/suppression"
	"utskick/tracking"
)

// app is what every command that touches data works with.
type app struct {
	cfg      config
	secret   secret
	keyer    *audience.Keyer
	signer   *tracking.Signer
	store    *storage.Store
	register *suppression.Register
	log      *slog.Logger
}

// open reads the configuration and opens the database. An embedded database
// and its secrets are made when they are not there; a Postgres database and
// its secrets are made by utskick migrate alone, so that a mistyped address
// is found out.
func (sh *shell) open(demo bool) (*app, error) {
	cfg, err := readConfig(sh.lookup, demo)
	if err != nil {
		return nil, err
	}
	a := &app{cfg: cfg, log: sh.log}
	embedded := cfg.DatabaseURL == ""
	if err := a.readSecret(embedded); err != nil {
		return nil, err
	}
	if embedded {
		if err := storage.Migrate(sh.ctx, a.storage()); err != nil {
			return nil, err
		}
	}
	if a.store, err = storage.Open(sh.ctx, a.storage()); err != nil {
		return nil, err
	}
	a.register = suppression.NewRegister(a.store, suppression.SystemClock)
	return a, nil
}

func (a *app) readSecret(make bool) (err error) {
	if a.secret, err = readSecret(a.cfg.SecretFile, make); err != nil {
		return err
	}
	a.keyer, a.signer, err = a.secret.keys()
	return err
}

func (a *app) storage() storage.Config {
	return storage.Config{URL: a.cfg.DatabaseURL, DataDir: a.cfg.DataDir, Keyer: a.keyer, Now: failpoint.Now, Log: a.log}
}

func (a *app) close() error { return a.store.Close() }

// with opens the database, runs f, and closes it.
func (sh *shell) with(f func(*app) error) error {
	a, err := sh.open(false)
	if err != nil {
		return err
	}
	return errors.Join(f(a), a.close())
}

// contacts saves contacts with the refusals in them.
func (a *app) contacts() audience.Store {
	return suppression.Contacts{Store: a.store, Register: a.register, Keyer: a.keyer}
}

// worker makes the worker of this process.
func (a *app) worker(providers map[audience.Channel]channels.Provider, paced limiters) (*dispatcher.Worker, func() error) {
	limiters, domains := map[audience.Channel]dispatcher.Limiter{}, map[string]dispatcher.DomainLimit{}
	for ch, l := range paced.channels {
		limiters[ch] = l
	}
	for domain, l := range paced.domains {
		domains[domain] = dispatcher.DomainLimit{Limiter: l, PerSecond: l.PerSecond}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	snapshot := suppression.NewSnapshot(a.store, suppression.SystemClock, a.log)
	w := dispatcher.NewWorker(dispatcher.Config{
		Ledger: a.store, Library: a.store, Gate: suppression.NewGate(snapshot, suppression.SystemClock), Suppressor: a.register,
		Providers: providers, Limiters: limiters, Domains: domains, DomainSlots: a.cfg.Concurrency[string(audience.Email)] / 2, Signer: a.signer, PublicURL: a.cfg.PublicURL,
		Owner: fmt.Sprintf("%s/%d", host, os.Getpid()), Now: failpoint.Now, Log: a.log,
	})
	closeAll := func() error {
		snapshot.Close()
		var all error
		for _, p := range providers {
			all = errors.Join(all, p.Close())
		}
		return all
	}
	return w, closeAll
}

type migrateCommand struct{}

// Run makes the secret file, too, when there is none: it belongs to the
// database for as long as that lives.
func (migrateCommand) Run(sh *shell) error {
	cfg, err := readConfig(sh.lookup, false)
	if err != nil {
		return err
	}
	a := &app{cfg: cfg, log: sh.log}
	if err := a.readSecret(true); err != nil {
		return err
	}
	if err := storage.Migrate(sh.ctx, a.storage()); err != nil {
		return err
	}
	store, err := storage.Open(sh.ctx, a.storage())
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	return sh.print(map[string]bool{"migrated": true}, "The database is at this version.")
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"utskick/audience"
	"utskick/internal/testserver"
	"utskick/storage"
)

// place is where a database is: an address, or a folder.
type place struct{ URL, Dir string }

func (p place) config() (storage.Config, error) {
	keyer, err := audience.NewKeyer([]byte(pepper))
	return storage.Config{URL: p.URL, DataDir: p.Dir, Keyer: keyer}, err
}

func (p place) open(ctx context.Context) (*storage.Store, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	return storage.Open(ctx, config)
}

// load makes the database and fills it.
func (p place) load(ctx context.Context, contacts int, progress func(int)) error {
	config, err := p.config()
	if err != nil {
		return err
	}
	if err := storage.Migrate(ctx, config); err != nil {
		return err
	}
	store, err := storage.Open(ctx, config)
	if err != nil {
		return err
	}
	return errors.Join(importContacts(ctx, store, contacts, progress), saveLibrary(ctx, store), store.Close())
}

// engine keeps a loaded database, and gives each run a copy of its own: the
// tables of a run are new, and no statistics of them exist.
type engine interface {
	load(ctx context.Context, contacts int, progress func(int)) error
	// fresh makes a copy, and returns when the server is at rest again. drop
	// removes it.
	fresh(ctx context.Context) (copy place, drop func() error, err error)
	// processorTime is what a database server of its own has used so far.
	processorTime() time.Duration
	close() error
}

func startEngine(ctx context.Context, name string) (engine, error) {
	switch name {
	case "sqlite":
		dir, err := os.MkdirTemp("", "utskick-bench-")
		return &sqliteEngine{dir: dir}, err
	case "postgres":
		return startPostgres(ctx)
	}
	return nil, fmt.Errorf("--engines: there is no %q", name)
}

type sqliteEngine struct {
	dir  string
	runs int
}

func (e *sqliteEngine) load(ctx context.Context, contacts int, progress func(int)) error {
	return place{Dir: e.folder("loaded")}.load(ctx, contacts, progress)
}

func (e *sqliteEngine) folder(name string) string { return filepath.Join(e.dir, name) }

func (e *sqliteEngine) fresh(context.Context) (place, func() error, error) {
	const file = "utskick.db" // closed, a database is one file
	e.runs++
	p := place{Dir: e.folder(fmt.Sprint("run", e.runs))}
	drop := func() error { return os.RemoveAll(p.Dir) }
	if err := os.Mkdir(p.Dir, 0o700); err != nil {
		return p, nil, err
	}
	return p, drop, copyFile(filepath.Join(p.Dir, file), filepath.Join(e.folder("loaded"), file))
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Sync(), target.Close())
}

func (e *sqliteEngine) processorTime() time.Duration { return 0 } // it is the worker's

func (e *sqliteEngine) close() error { return os.RemoveAll(e.dir) }

type postgresEngine struct {
	server *testserver.Server
	admin  *pgx.Conn
	loaded string // address of the filled database
	pid    int
	runs   int
}

// postgresOptions make a server as durable as in production. Its memory is a
// tenth of what a small machine has; the log may grow so that checkpoints come
// by time, not in the middle of each run.
var postgresOptions = testserver.Options{Durable: true,
	Settings: []string{"shared_buffers=512MB", "max_wal_size=4GB", "checkpoint_timeout=15min"}}

func startPostgres(ctx context.Context) (engine, error) {
	server, err := testserver.StartPostgres(ctx, postgresOptions)
	if err != nil {
		return nil, err
	}
	e := &postgresEngine{server: server}
	if e.loaded, err = server.NewDatabase(ctx); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	if e.admin, err = pgx.Connect(ctx, server.URL); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	if e.pid, err = postmaster(ctx, e.admin); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *postgresEngine) load(ctx context.Context, contacts int, progress func(int)) error {
	if err := (place{URL: e.loaded}).load(ctx, contacts, progress); err != nil {
		return err
	}
	db, err := pgx.Connect(ctx, e.loaded)
	if err != nil {
		return err
	}
	// Those are the tables that have been there for long when a campaign is
	// launched. The ledger's are left as they are.
	_, err = db.Exec(ctx, `vacuum (analyze, freeze) contacts, devices, address_keys, consents, suppressions`)
	return errors.Join(err, db.Close(ctx))
}

func (e *postgresEngine) fresh(ctx context.Context) (place, func() error, error) {
	e.runs++
	name := fmt.Sprintf("run_%d", e.runs)
	loaded, err := url.Parse(e.loaded)
	if err != nil {
		return place{}, nil, err
	}
	text := fmt.Sprintf(`create database %s template %s owner %s`, name, strings.TrimPrefix(loaded.Path, "/"), loaded.User.Username())
	var version int
	if err := e.admin.QueryRow(ctx, `select current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return place{}, nil, err
	}
	if version >= 150000 { // the way of all versions before
		text += ` strategy file_copy`
	}
	if _, err := e.admin.Exec(ctx, text); err != nil {
		return place{}, nil, fmt.Errorf("copy the database: %w", err)
	}
	if err := e.rest(ctx); err != nil {
		return place{}, nil, fmt.Errorf("wait until the server is at rest: %w", err)
	}
	drop := func() error {
		_, err := e.admin.Exec(context.WithoutCancel(ctx), `drop database `+name+` with (force)`)
		return err
	}
	loaded.Path = "/" + name
	return place{URL: loaded.String()}, drop, nil
}

// rest waits for the vacuums that earlier work has called for, and writes out
// what they and it have left: neither is the work that is measured next. During
// the measurement the server vacuums and writes as it does in production.
func (e *postgresEngine) rest(ctx context.Context) error {
	const often = 50 * time.Millisecond
	for {
		var vacuums int
		err := e.admin.QueryRow(ctx, `select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'`).Scan(&vacuums)
		if err != nil {
			return err
		}
		if vacuums == 0 {
			_, err := e.admin.Exec(ctx, `checkpoint`)
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(often):
		}
	}
}

func (e *postgresEngine) processorTime() time.Duration { return familyTime(e.pid) }

func (e *postgresEngine) close() error {
	ctx := context.Background()
	return errors.Join(e.admin.Close(ctx), e.server.Close())
}

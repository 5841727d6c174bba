// Package storage keeps everything in Postgres or SQLite. It is the only
// package with SQL in it. Statements are written by hand, one text for both
// engines wherever that can be; what differs stands in dialect.go.
package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

//go:embed migrations
var migrations embed.FS

// Config says where the database is and with which secret its keys are made.
type Config struct {
	// URL is a postgres:// address, or empty for SQLite in DataDir.
	URL string
	// DataDir also holds the journal and what is remembered of the database. With
	// a URL it may be empty: then there is neither, as some tests want it.
	DataDir string
	Keyer   *audience.Keyer
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: slog.Default
	// Connections bounds the Postgres pool; 0 is 16.
	Connections int
	// Clock is the SQL expression by which leases are judged: the database's own
	// clock in milliseconds since 1970. Empty: its wall clock.
	Clock string
}

// Store is the database. It is safe for concurrent use.
type Store struct {
	d     dialect
	write *sql.DB // on SQLite a single connection: one writer
	read  *sql.DB
	// leases are renewed past whatever keeps the others busy. On SQLite there is
	// nothing past the writer.
	leases *sql.DB
	keyer  *audience.Keyer
	now    func() time.Time
	clock  string // SQL, of the database's clock
	watch  clockWatch
	claim  string // SQL, written once
	log    *slog.Logger

	dir      string // for the journal and the memory; empty: neither
	journal  *journal
	guard    guard
	identity string // the expression that reads it

	wishes  *committer[wish, suppression.Recorded]
	notices *committer[suppression.Notice, []suppression.InFlight]
	events  *committer[tracking.Event, struct{}]
}

// ErrNotFound is returned, wrapped with what was looked for, when a record does
// not exist.
var ErrNotFound = errors.New("not found")

// ErrConflict is returned, wrapped, when a record stands in the way of a change.
var ErrConflict = errors.New("conflict")

// ErrPepper says that the database was filled with another pepper.
var ErrPepper = errors.New("this database was filled with another pepper: with this one no suppression would be found. " +
	"Use the secret file that the database was made with (UTSKICK_SECRET_FILE)")

// ErrSchema says that the database is not at the version of this program.
var ErrSchema = errors.New("the database is not at this program's version: run utskick migrate")

// Open connects to a database that [Migrate] has prepared.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := connect(c)
	if err != nil {
		return nil, err
	}
	for _, check := range []func(context.Context) error{s.checkSchema, s.checkPepper, s.openGuard} {
		if err := check(ctx); err != nil {
			return nil, errors.Join(err, s.journal.close(), s.closePools())
		}
	}
	s.startCommitters()
	return s, nil
}

func connect(c Config) (*Store, error) {
	s := &Store{keyer: c.Keyer, now: c.Now, clock: c.Clock, log: c.Log, dir: c.DataDir, journal: openJournal(c.DataDir)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if c.Connections == 0 {
		c.Connections = 16
	}
	open := s.connectSQLite
	if c.DataDir != "" {
		if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("UTSKICK_DATA_DIR: %w", err)
		}
	}
	if c.URL != "" {
		open = s.connectPostgres
	}
	if err := open(c); err != nil {
		return nil, err
	}
	if s.clock == "" {
		s.clock = s.d.clock
	}
	s.claim = s.claimText()
	return s, nil
}

func (s *Store) connectPostgres(c Config) error {
	if !strings.HasPrefix(c.URL, "postgres://") && !strings.HasPrefix(c.URL, "postgresql://") {
		return errors.New("UTSKICK_DATABASE_URL: it starts with postgres://, or is empty for the embedded database")
	}
	db, err := sql.Open("pgx", postgresDSN(c.URL))
	if err != nil {
		// The driver's error may quote the address with its password.
		return errors.New("UTSKICK_DATABASE_URL is not a valid postgres:// address")
	}
	db.SetMaxOpenConns(c.Connections)
	db.SetMaxIdleConns(c.Connections)
	leases, err := sql.Open("pgx", postgresDSN(c.URL))
	if err != nil {
		return errors.Join(errors.New("UTSKICK_DATABASE_URL is not a valid postgres:// address"), db.Close())
	}
	leases.SetMaxOpenConns(1)
	s.d, s.write, s.read, s.leases = postgres, db, db, leases
	return nil
}

// postgresDSN adds what every connection needs: a claim or a suppression that
// was acknowledged survives a crash of the server, and short statements are
// neither compiled nor spread over processes, and planned once a connection:
// none of them has a plan that depends on its arguments.
func postgresDSN(url string) string {
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	return url + separator + "synchronous_commit=on&jit=off&max_parallel_workers_per_gather=0&plan_cache_mode=force_generic_plan&application_name=utskick"
}

// databaseFile is the embedded database in the data directory.
const databaseFile = "utskick.db"

func (s *Store) connectSQLite(c Config) error {
	file := "file:" + filepath.Join(c.DataDir, databaseFile)
	const settings = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(20000)" +
		"&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(8000)"
	// A page cache in KiB each: the writer sorts keys into wide tables, readers
	// find theirs in the system's cache.
	const writer, reader = "&_pragma=cache_size(-32000)&_txlock=immediate", "&_pragma=cache_size(-4000)&_pragma=query_only(1)"
	write, err := sql.Open("sqlite", file+settings+writer)
	if err != nil {
		return fmt.Errorf("open the embedded database: %w", err)
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", file+settings+reader)
	if err != nil {
		return errors.Join(fmt.Errorf("open the embedded database: %w", err), write.Close())
	}
	read.SetMaxOpenConns(4)
	read.SetMaxIdleConns(4)
	s.d, s.write, s.read, s.leases = sqlite, write, read, write
	return nil
}

// Migrate brings the database to this program's version. It may be run again,
// and by several processes at once.
func Migrate(ctx context.Context, c Config) error {
	s, err := connect(c)
	if err != nil {
		return err
	}
	provider, err := s.migrator()
	if err == nil {
		_, err = provider.Up(ctx)
	}
	if err := errors.Join(err, s.closePools()); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return nil
}

func (s *Store) migrator() (*goose.Provider, error) {
	folder, err := fs.Sub(migrations, "migrations/"+s.d.name)
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithLogger(goose.NopLogger())}
	if s.d.name == postgres.name {
		lock, err := sessionLocker()
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(lock))
	}
	return goose.NewProvider(database.Dialect(s.d.goose), s.write, folder, options...)
}

func (s *Store) checkSchema(ctx context.Context) error {
	provider, err := s.migrator()
	if err != nil {
		return err
	}
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("read the database's version: %w", err)
	}
	if pending {
		return ErrSchema
	}
	return nil
}

// checkPepper remembers the fingerprint of the first pepper, and refuses any
// other from then on.
func (s *Store) checkPepper(ctx context.Context) error {
	const remember = `insert into meta (name, value) values ('pepper', $1) on conflict (name) do nothing`
	if _, err := s.write.ExecContext(ctx, remember, s.keyer.Fingerprint()); err != nil {
		return fmt.Errorf("remember the pepper's fingerprint: %w", err)
	}
	var known string
	if err := s.read.QueryRowContext(ctx, `select value from meta where name = 'pepper'`).Scan(&known); err != nil {
		return fmt.Errorf("read the pepper's fingerprint: %w", err)
	}
	if known != s.keyer.Fingerprint() {
		return ErrPepper
	}
	return nil
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.write.PingContext(ctx) }

// Close waits for what is being committed and closes the connections.
func (s *Store) Close() error {
	s.wishes.close()
	s.notices.close()
	s.events.close()
	return errors.Join(s.journal.close(), s.closePools())
}

func (s *Store) closePools() error {
	err := s.write.Close()
	for _, other := range []*sql.DB{s.read, s.leases} {
		if other != s.write {
			err = errors.Join(err, other.Close())
		}
	}
	return err
}

// untorn returns a context that outlives ctx's end, but not its deadline: a claim
// or a wish must not be torn by a caller who leaves.
func untorn(ctx context.Context) (context.Context, context.CancelFunc) {
	whole := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(whole, deadline)
	}
	return whole, func() {}
}

// tx runs f in one transaction of the writer, which is not torn when ctx ends
// before its deadline.
func (s *Store) tx(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	ctx, cancel := untorn(ctx)
	defer cancel()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(ctx, tx); err != nil {
		if rollback := tx.Rollback(); rollback != nil {
			s.log.Warn("roll back", "error", rollback)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (s *Store) millis() int64 { return s.now().UnixMilli() }

func timeOf(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

func millisOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

package storage

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"utskick/dispatcher"
)

// guard is what this process knows of its database, and whether that still
// holds.
type guard struct {
	off bool // nothing is remembered: without a data directory there is no place for it

	mu    sync.Mutex
	known state
	held  dispatcher.Hold
}

func (g *guard) now() state {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known
}

// acknowledges remembers a version that this process is about to acknowledge.
func (g *guard) acknowledges(version int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.off {
		g.known.Version = max(g.known.Version, version)
	}
}

// becomes sets what is known, and reports whether sending was held until now or
// is from now on. After a release nothing of what was known before holds.
func (g *guard) becomes(now state, held dispatcher.Hold, released bool) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !released {
		now.Version = max(now.Version, g.known.Version)
	}
	changed = g.held.Held() != held.Held()
	g.known, g.held = now, held
	return changed
}

// openGuard reads what the data directory remembers, and looks at the database
// for the first time: nothing is claimed before.
func (s *Store) openGuard(ctx context.Context) error {
	if s.dir == "" {
		s.guard.off = true
		return nil
	}
	if err := s.findIdentity(ctx); err != nil {
		return err
	}
	known, err := readMemory(s.dir)
	if err != nil {
		return err
	}
	last, err := s.journal.lastVersion()
	if err != nil {
		return err
	}
	known.Version = max(known.Version, last)
	s.guard.becomes(known, dispatcher.Hold{}, false)
	_, err = s.look(ctx, 0)
	return err
}

// watchEvery is how often the counter is raised and the database looked at.
const watchEvery = time.Second

// Watch looks every second whether the database is still the one that it was,
// until ctx ends. A database that does not answer is not judged.
func (s *Store) Watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		if _, err := s.Look(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the database cannot be looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Look raises the database's counter, and holds all sending if the database is
// another one than this process remembers, or went back. It returns the hold
// that there is now.
func (s *Store) Look(ctx context.Context) (dispatcher.Hold, error) {
	if s.guard.off {
		return s.Hold(ctx)
	}
	return s.look(ctx, 1)
}

// Hold returns the hold that there is, if any.
func (s *Store) Hold(ctx context.Context) (h dispatcher.Hold, err error) {
	var at int64
	err = s.read.QueryRowContext(ctx, `select held_at, held_why from guard`).Scan(&at, &h.Why)
	h.Since = timeOf(at)
	if err != nil {
		return h, fmt.Errorf("ask whether sending is held: %w", err)
	}
	return h, nil
}

// HeldHere returns what this process found when it looked last, without asking.
func (s *Store) HeldHere() dispatcher.Hold {
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	return s.guard.held
}

// look compares the database with what is known, and remembers it. The counter
// is compared as it was before it is raised by beats.
func (s *Store) look(ctx context.Context, beats int64) (dispatcher.Hold, error) {
	known := s.guard.now()
	var now state
	var held dispatcher.Hold
	released := false
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if now, held, err = s.readState(ctx, tx, beats); err != nil {
			return err
		}
		// After a release what was known before says nothing. Without a memory
		// the journal may still tell of a version.
		released = !held.Held() && known.Identity != "" && now.Releases > known.Releases
		if held.Held() {
			return s.outdo(ctx, tx, known)
		}
		if why := known.doubt(now); why != "" && !released {
			held, err = s.hold(ctx, tx, known, why)
		}
		return err
	})
	if err != nil {
		return held, fmt.Errorf("look at the database: %w", err)
	}
	if held.Held() {
		now = known // until it is released
	} else {
		now.Counter += beats
	}
	changed := s.guard.becomes(now, held, released)
	switch {
	case changed && held.Held():
		s.log.Error("all sending is held", "reason", held.Why, "way out", dispatcher.WayOut)
	case changed:
		s.log.Info("sending is no longer held")
	}
	if held.Held() {
		return held, nil
	}
	return held, writeMemory(s.dir, s.guard.now())
}

// readState raises the counter and reads the state as it was before.
func (s *Store) readState(ctx context.Context, tx *sql.Tx, beats int64) (now state, held dispatcher.Hold, err error) {
	text := `update guard set counter = counter + $1 where id = 1
		returning counter - $1, releases, held_at, held_why, (select ver from suppression_head), ` + s.identity
	var at int64
	err = tx.QueryRowContext(ctx, text, beats).Scan(&now.Counter, &now.Releases, &at, &held.Why, &now.Version, &now.Identity)
	now.Identity, held.Since = s.withInode(now.Identity), timeOf(at)
	return now, held, err
}

// jump is how far versions, ids and the counter go ahead at a hold: farther
// than what the database has lost. What is numbered after it is never taken for
// what was numbered before.
const jump = 1_000_000_000

// outdo brings a held database beyond all that a process knows, so that the
// process finds it ahead, and its release a new one, once it is released.
func (s *Store) outdo(ctx context.Context, tx *sql.Tx, known state) error {
	const guarded = `update guard set passed = case when passed < $1 then $1 else passed end,
		counter = case when counter < $2 then $2 + $3 else counter end where id = 1 and (passed < $1 or counter < $2)`
	const head = `update suppression_head set ver = $1 + $2 where id = 1 and ver < $1`
	_, err := tx.ExecContext(ctx, guarded, known.Releases, known.Counter, jump)
	if err == nil {
		_, err = tx.ExecContext(ctx, head, known.Version, jump)
	}
	if err != nil {
		return fmt.Errorf("bring the held database ahead: %w", err)
	}
	return nil
}

// hold holds all sending: no claim succeeds until the hold is released.
func (s *Store) hold(ctx context.Context, tx *sql.Tx, known state, why string) (dispatcher.Hold, error) {
	held := dispatcher.Hold{Since: timeOf(s.millis()), Why: why}
	if err := s.outdo(ctx, tx, known); err != nil {
		return held, err
	}
	const hold = `update guard set held_at = $1, held_why = $2, counter = counter + $3
		where id = 1 and held_at = 0`
	n, err := affected(tx.ExecContext(ctx, hold, millisOf(held.Since), why, jump))
	if err != nil || n == 0 { // another process was first
		return held, err
	}
	if _, err := tx.ExecContext(ctx, `update suppression_head set ver = ver + $1 where id = 1`, jump); err != nil {
		return held, err
	}
	return held, s.jumpIDs(ctx, tx)
}

// jumpIDs lets the ids that stand in messages, or that people have written down,
// go far ahead: mails that were sent in the lost stretch name groups and links
// that are not there, and must never name others.
func (s *Store) jumpIDs(ctx context.Context, tx *sql.Tx) error {
	for _, table := range []string{"templates", "links", "campaigns", "runs", "groups", "batches", "cases", "erasures", "inbound", "confirmations"} {
		if err := s.jumpID(ctx, tx, table); err != nil {
			return fmt.Errorf("let the ids of %s go ahead: %w", table, err)
		}
	}
	return nil
}

func (s *Store) jumpID(ctx context.Context, tx *sql.Tx, table string) error {
	if !s.d.embedded() {
		_, err := tx.ExecContext(ctx, `select setval(pg_get_serial_sequence($1, 'id'), nextval(pg_get_serial_sequence($1, 'id')) + $2)`, table, jump)
		return err
	}
	n, err := affected(tx.ExecContext(ctx, `update sqlite_sequence set seq = seq + $2 where name = $1`, table, jump))
	if err == nil && n == 0 { // nothing was ever in the table
		_, err = tx.ExecContext(ctx, `insert into sqlite_sequence (name, seq) values ($1, $2)`, table, jump)
	}
	return err
}

// undisturbed is a condition on the whole database: sending is not held, and the
// database is the one that this process knows and has not gone back. In the
// statement that claims it leaves no time between the look and the claim.
func (s *Store) undisturbed(q *query) string {
	if s.guard.off {
		return `exists (select 1 from guard g where g.held_at = 0)`
	}
	known := s.guard.now()
	identity := ""
	if !s.d.embedded() {
		identity = " and " + s.identity + " = " + q.cast(known.Identity, "text")
	}
	return fmt.Sprintf(`exists (select 1 from guard g, suppression_head gh where g.held_at = 0 and g.releases = %s and g.counter >= %s and gh.ver >= %s%s)`,
		q.arg(known.Releases), q.arg(known.Counter), q.arg(known.Version), identity)
}

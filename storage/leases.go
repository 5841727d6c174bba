package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"utskick/suppression"
)

// lapsedText says of a row of instances that nobody may rely on its lease: it
// was not renewed in time, or it was once seen so. A renewal from the future is
// one from before the clock was set back.
func (s *Store) lapsedText() string {
	return fmt.Sprintf(`i.left_at = 0 and (i.lapsed_at > 0 or i.renewed_at < %[1]s - %[2]d or i.renewed_at > %[1]s + %[3]d)`,
		s.clock, suppression.LeaseLife.Milliseconds(), suppression.ClockStep.Milliseconds())
}

// heldText is true while nothing may be claimed.
func (s *Store) heldText() string {
	return `exists (select 1 from instances i where ` + s.lapsedText() + `)`
}

// LeaseClock returns the database's clock in milliseconds since 1970.
func (s *Store) LeaseClock(ctx context.Context) (clock int64, err error) {
	if err := s.leases.QueryRowContext(ctx, `select `+s.clock).Scan(&clock); err != nil {
		return 0, fmt.Errorf("read the database's clock: %w", err)
	}
	return clock, nil
}

// JoinLease gives the holder a lease, whether or not it had one that lapsed. It
// does so only while the database's clock is at most at before, and returns the
// clock, or [suppression.ErrNotRenewed].
func (s *Store) JoinLease(ctx context.Context, h suppression.Holder, before int64) (clock int64, err error) {
	var known bool
	if err := s.leases.QueryRowContext(ctx, `select exists (select 1 from instances where name = $1 and left_at = 0)`, h.Name).Scan(&known); err != nil {
		return 0, fmt.Errorf("look for instance %s: %w", h.Name, err)
	}
	join := fmt.Sprintf(`insert into instances (name, about, session, joined_at, renewed_at)
		select $1, $2, $3, x.clock, x.clock from (select %s as clock) x where x.clock <= $4
		on conflict (name) do update set about = excluded.about, session = excluded.session, joined_at = excluded.joined_at,
		renewed_at = excluded.renewed_at, lapsed_at = 0, left_at = 0 returning renewed_at`, s.clock)
	clock, err = s.renewed(ctx, join, h.Name, h.About, h.Session, before)
	if err != nil || !known {
		return clock, err
	}
	// Claims were refused meanwhile: their batches are rung for again at once.
	if _, err := s.leases.ExecContext(ctx, forgetBatchRings); err != nil {
		return clock, fmt.Errorf("ring again after instance %s has joined: %w", h.Name, err)
	}
	return clock, nil
}

// RenewLease renews a lease that has not lapsed, within the same limit.
func (s *Store) RenewLease(ctx context.Context, h suppression.Holder, before int64) (clock int64, err error) {
	renew := fmt.Sprintf(`update instances set renewed_at = x.clock from (select %s as clock) x
		where name = $1 and session = $2 and left_at = 0 and lapsed_at = 0 and x.clock <= $3
		and renewed_at between x.clock - %d and x.clock + %d returning renewed_at`,
		s.clock, suppression.LeaseLife.Milliseconds(), suppression.ClockStep.Milliseconds())
	return s.renewed(ctx, renew, h.Name, h.Session, before)
}

func (s *Store) renewed(ctx context.Context, text string, args ...any) (clock int64, err error) {
	err = s.leases.QueryRowContext(ctx, text, args...).Scan(&clock)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, suppression.ErrNotRenewed
	}
	if err != nil {
		return 0, fmt.Errorf("renew the lease of instance %s: %w", args[0], err)
	}
	return clock, nil
}

// LeaveLease gives a lease up.
func (s *Store) LeaveLease(ctx context.Context, h suppression.Holder) error {
	text := `update instances set left_at = ` + s.clock + ` where name = $1 and session = $2`
	if _, err := s.leases.ExecContext(ctx, text, h.Name, h.Session); err != nil {
		return fmt.Errorf("give up the lease of instance %s: %w", h.Name, err)
	}
	return nil
}

// ReleaseInstance lets sending go on without an instance whose lease has lapsed.
// What it has acknowledged and not yet brought is then not kept. Its errors wrap
// ErrNotFound and ErrConflict.
func (s *Store) ReleaseInstance(ctx context.Context, name string) error {
	release := `update instances as i set left_at = ` + s.clock + ` where i.name = $1 and ` + s.lapsedText()
	res, err := s.write.ExecContext(ctx, release, name)
	if err = exactlyOne(res, err, ErrConflict); err == nil {
		_, err = s.write.ExecContext(ctx, forgetBatchRings)
	}
	if !errors.Is(err, ErrConflict) {
		return err
	}
	var known int
	if err := s.read.QueryRowContext(ctx, `select count(*) from instances where name = $1`, name).Scan(&known); err != nil {
		return fmt.Errorf("look for instance %s: %w", name, err)
	}
	if known == 0 {
		return fmt.Errorf("instance %q: %w", name, ErrNotFound)
	}
	return fmt.Errorf("instance %q holds up nothing, its lease has not lapsed: %w", name, ErrConflict)
}

// Instances lists all that hold a lease or held one, by name.
func (s *Store) Instances(ctx context.Context) ([]suppression.Instance, error) {
	text := fmt.Sprintf(`select i.name, i.about, i.joined_at, i.renewed_at, case when i.left_at > 0 then '%s' when %s then '%s' else '%s' end
		from instances i order by i.name`, suppression.LeaseLeft, s.lapsedText(), suppression.LeaseLapsed, suppression.LeaseHeld)
	all := []suppression.Instance{}
	err := each(ctx, s.read, text, nil, func(rows *sql.Rows) error {
		var i suppression.Instance
		var joined, renewed int64
		err := rows.Scan(&i.Name, &i.About, &joined, &renewed, &i.State)
		i.Joined, i.Renewed = timeOf(joined), timeOf(renewed)
		all = append(all, i)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	return all, nil
}

// NoteLapses implements [dispatcher.Planning].
func (s *Store) NoteLapses(ctx context.Context) error {
	least := s.watch.least()
	var clock int64
	var lapsed bool
	text := `select ` + s.clock + `, exists (select 1 from instances i where i.lapsed_at = 0 and ` + s.lapsedText() + `)`
	if err := s.read.QueryRowContext(ctx, text).Scan(&clock, &lapsed); err != nil {
		return fmt.Errorf("look for lapsed leases: %w", err)
	}
	seen := suppression.SystemClock()
	if setBack := clock < least; setBack || lapsed {
		mark := `update instances as i set lapsed_at = ` + s.clock + ` where i.left_at = 0 and i.lapsed_at = 0`
		if !setBack {
			mark += ` and ` + s.lapsedText()
		}
		if _, err := s.write.ExecContext(ctx, mark); err != nil {
			return fmt.Errorf("note lapsed leases: %w", err)
		}
	}
	s.watch.saw(clock, seen)
	return nil
}

// clockWatch tells by this process's own clock where the database's must be by
// now. A clock that was set back would lengthen every lease that is no longer
// renewed; whoever claims looks for that.
type clockWatch struct {
	mu    sync.Mutex
	clock int64 // 0: not seen yet
	seen  suppression.Instant
}

// saw remembers what the database's clock was, at seen or before.
func (w *clockWatch) saw(clock int64, seen suppression.Instant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock, w.seen = clock, seen
}

// least returns what the clock has reached by now, unless it was set back.
func (w *clockWatch) least() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clock == 0 {
		return 0
	}
	since := time.Duration(suppression.SystemClock() - w.seen)
	return w.clock + (since - suppression.ClockStep).Milliseconds()
}

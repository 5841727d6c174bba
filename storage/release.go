package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"utskick/dispatcher"
)

// ReleaseHold ends a hold. It writes what the journals have and the database has
// lost: those of this data directory, and others by name. Every member without an
// outcome of a run that was due before now is in doubt from then on: the lost
// history may have sent to her. Interrupted, it leaves sending held and may be
// run again. Without a hold it returns [dispatcher.ErrNotHeld].
func (s *Store) ReleaseHold(ctx context.Context, actor string, others []string) (r dispatcher.Released, err error) {
	if r.Hold, err = s.Hold(ctx); err != nil {
		return r, err
	}
	if !r.Hold.Held() {
		return r, dispatcher.ErrNotHeld
	}
	replayed := replay{store: s, applied: map[identityOf]there{}}
	if r.Journals, err = replayed.all(ctx, others); err != nil {
		return r, fmt.Errorf("release: %w", err)
	}
	if r.Erasing, err = s.eraseAgain(ctx, replayed.erasures); err != nil {
		return r, fmt.Errorf("release: %w", err)
	}
	if r.Relaunched, err = s.launchLost(ctx, replayed.launches); err != nil {
		return r, fmt.Errorf("release: %w", err)
	}
	if err = s.doubtDueRuns(ctx, &r); err != nil {
		return r, fmt.Errorf("release: %w", err)
	}
	if err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error { return s.endHold(ctx, tx, actor, r) }); err != nil {
		return r, fmt.Errorf("release: %w", err)
	}
	if s.guard.off {
		return r, nil
	}
	_, err = s.look(ctx, 0)
	return r, err
}

// all replays the journal of this data directory and the others, and none if one
// of them is not there.
func (r *replay) all(ctx context.Context, others []string) ([]dispatcher.Replayed, error) {
	files, err := r.store.journal.parts()
	if err != nil {
		return nil, err
	}
	files = append(files, others...)
	for _, name := range files {
		if _, err := os.Stat(name); err != nil {
			return nil, fmt.Errorf("a journal cannot be read: %w", err)
		}
	}
	done := []dispatcher.Replayed{}
	for _, name := range files {
		one, err := r.file(ctx, name)
		if err != nil {
			return nil, err
		}
		done = append(done, one)
	}
	return done, nil
}

// launchLost launches again, as it was due, what was launched in the lost history
// and was due before now: its whole audience may have been sent to, and is in
// doubt then. Otherwise the campaign could be launched as if it never had been.
func (s *Store) launchLost(ctx context.Context, launches []launched) ([]int64, error) {
	again := []int64{}
	for _, l := range launches {
		if l.Due > s.millis() {
			continue
		}
		const lost = `select count(*) from campaigns c where c.name = $1 and not exists (select 1 from runs r where r.campaign = c.id and
			(r.id = $2 or r.state not in ('cancelled', 'cancelling')))`
		var n int
		if err := s.write.QueryRowContext(ctx, lost, l.Campaign, l.Run).Scan(&n); err != nil {
			return again, fmt.Errorf("look for a run that was lost: %w", err)
		}
		if n == 0 {
			continue // its run is there, or the campaign is not
		}
		run, err := s.launchRun(ctx, l.Campaign, dispatcher.Launch{Due: timeOf(l.Due), SendBy: timeOf(l.SendBy)}, always)
		if err != nil {
			return again, err
		}
		again = append(again, run.ID)
	}
	return again, nil
}

// doubtDueRuns plans what is not planned yet of the runs that the lost history
// may have worked on, so that everybody has an outcome, and then closes them in
// doubt. (None is launched under a hold.)
func (s *Store) doubtDueRuns(ctx context.Context, r *dispatcher.Released) error {
	r.Runs = []int64{}
	const due = `select r.id from runs r where r.due_at <= $1 and r.state in ('scheduled', 'sending', 'paused') order by r.id`
	runs, err := valuesOf[int64](ctx, s.write, due, s.millis())
	if err != nil {
		return fmt.Errorf("find the runs that were due: %w", err)
	}
	for _, run := range runs {
		if err := s.startRun(ctx, run); err != nil {
			return fmt.Errorf("start run %d: %w", run, err)
		}
		if err := s.planWhole(ctx, run); err != nil {
			return err
		}
		n, err := s.doubtRun(ctx, run)
		if err != nil {
			return fmt.Errorf("declare run %d in doubt: %w", run, err)
		}
		if n > 0 {
			r.Runs, r.InDoubt = append(r.Runs, run), r.InDoubt+n
		}
	}
	return nil
}

// planWhole plans every slice of a run, the closing ones last.
func (s *Store) planWhole(ctx context.Context, run int64) error {
	var slices []dispatcher.SliceRef
	const text = `select channel, slice from slices where run = $1 and planned_at = 0 order by closing, channel, slice`
	err := each(ctx, s.write, text, []any{run}, func(rows *sql.Rows) error {
		ref := dispatcher.SliceRef{Run: run}
		err := rows.Scan(&ref.Channel, &ref.Slice)
		slices = append(slices, ref)
		return err
	})
	for _, ref := range slices {
		if err == nil {
			err = s.planSlice(ctx, ref, always)
		}
	}
	return err
}

// always is the condition of what a release does under the hold.
func always(*query) string { return "1 = 1" }

// doubtRun closes every open batch of a run, a transaction each.
func (s *Store) doubtRun(ctx context.Context, run int64) (n int64, err error) {
	batches, err := valuesOf[int64](ctx, s.write, `select id from batches where run = $1 and state <> 2 order by id`, run)
	for _, batch := range batches {
		if err != nil {
			break
		}
		err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if err := s.lockDoubt(ctx, tx); err != nil {
				return err
			}
			in, err := s.doubtBatch(ctx, tx, batch)
			n += in
			return err
		})
	}
	return n, err
}

// doubtBatch declares the unsettled members of a batch in doubt, claimed or not.
// A worker that still has its claim delivers what it knows as late evidence.
func (s *Store) doubtBatch(ctx context.Context, tx *sql.Tx, batch int64) (int64, error) {
	const take = `update batches set fence = fence + 1 where id = $1 and state <> 2 returning grp, k_lo, last_k, k_hi`
	var b dispatcher.Batch
	err := tx.QueryRowContext(ctx, take, batch).Scan(&b.Group, &b.Low, &b.Last, &b.High)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil // its worker settled it meanwhile
	}
	if err != nil {
		return 0, err
	}
	const doubt = `update members set code = $1, cause = $2 where grp = $3 and k > $4 and k <= $5 and code is null`
	n, err := affected(tx.ExecContext(ctx, doubt, int(dispatcher.InDoubt), string(dispatcher.CauseRestored), b.Group, afterOf(b), keyArg(b.High)))
	if err != nil {
		return 0, err
	}
	const settle = `update batches set state = 2, settled = settled + $1, in_doubt = in_doubt + $1, last_k = k_hi, claim_k = null where id = $2`
	if _, err = tx.ExecContext(ctx, settle, n, batch); err != nil {
		return 0, err
	}
	return n, s.doubted(ctx, tx, batch, b.Group, b.Low, b.High)
}

// endHold lets sending go on, in all processes: each takes the database as it is
// now for the right one, because it has a release that the process has not seen.
// The number of a release is beyond all that a process remembers, and not below
// the time, so that no two releases of different histories have the same.
func (s *Store) endHold(ctx context.Context, tx *sql.Tx, actor string, r dispatcher.Released) error {
	const end = `update guard set held_at = 0, held_why = '', passed = 0,
		releases = 1 + case when passed > releases and passed > $1 then passed when releases > $1 then releases else $1 end where id = 1 and held_at = $2`
	res, err := tx.ExecContext(ctx, end, s.millis(), millisOf(r.Hold.Since))
	if err := exactlyOne(res, err, dispatcher.ErrNotHeld); err != nil {
		return err
	}
	applied := 0
	for _, j := range r.Journals {
		applied += j.Applied
	}
	for _, step := range []struct {
		text string
		args []any
	}{
		{`update suppression_head set generation = generation + 1 where id = 1`, nil},
		{`update batches set rung_at = 0 where state = 0 and rung_at > 0`, nil},
		{`update confirmations set state = 3, reason = $1 where state in (0, 1) and asked_at < $2`, []any{dispatcher.CauseRestored, millisOf(r.Hold.Since)}},
		{`update slices set rung_at = 0 where planned_at = 0 and rung_at > 0`, nil},
		{`insert into audit (at, actor, action, object, detail) values ($1, $2, 'database release', 'database', $3)`,
			[]any{s.millis(), actor, fmt.Sprintf("held because %s; %d lines replayed, %d members in doubt", r.Hold.Why, applied, r.InDoubt)}},
	} {
		if _, err := tx.ExecContext(ctx, step.text, step.args...); err != nil {
			return err
		}
	}
	return nil
}

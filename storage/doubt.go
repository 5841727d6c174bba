package storage

import (
	"context"
	"database/sql"
	"fmt"

	"utskick/audience"
	"utskick/dispatcher"
)

// doubtful is a batch with members in doubt.
type doubtful struct {
	id, group int64
	low, high []byte
	erased    bool // those in it were: nobody could be sent to any more
}

// WriteOff gives up on those in doubt of a campaign's newest run: they have
// failed. Late evidence no longer counts for them. It returns how many they were.
func (s *Store) WriteOff(ctx context.Context, campaign string) (dispatcher.Run, int64, error) {
	return s.resolveDoubt(ctx, campaign, "write off", s.writeOffBatch)
}

// Resend sends again to those in doubt of a campaign's newest run. Whoever did
// get the message gets it twice: it is the one exception from "never twice", and
// counted apart. A run that has ended goes on for them, for a day at least; one
// that was cancelled does not. It returns how many they are.
func (s *Store) Resend(ctx context.Context, campaign string) (dispatcher.Run, int64, error) {
	return s.resolveDoubt(ctx, campaign, "send again to", s.resendBatch)
}

func (s *Store) resolveDoubt(ctx context.Context, campaign, what string,
	resolve func(context.Context, *sql.Tx, doubtful) (int64, error)) (run dispatcher.Run, n int64, err error) {
	if run, err = s.LatestRun(ctx, campaign); err != nil {
		return run, 0, err
	}
	var batches []doubtful
	const text = `select b.id, b.grp, b.k_lo, b.k_hi, g.slice = $2 from batches b join groups g on g.id = b.grp where b.run = $1 and b.in_doubt > 0 order by b.id`
	err = each(ctx, s.write, text, []any{run.ID, erasedSlice}, func(rows *sql.Rows) error {
		var b doubtful
		err := rows.Scan(&b.id, &b.group, &b.low, &b.high, &b.erased)
		batches = append(batches, b)
		return err
	})
	// A transaction each: nothing is half done when it is interrupted, and doing
	// it again does the rest.
	for _, b := range batches {
		if err != nil {
			break
		}
		err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if err := s.lockDoubt(ctx, tx); err != nil {
				return err
			}
			done, err := resolve(ctx, tx, b)
			n += done
			return err
		})
	}
	if err != nil {
		return run, n, fmt.Errorf("%s those in doubt of campaign %q: %w", what, campaign, err)
	}
	run, err = s.LatestRun(ctx, campaign)
	return run, n, err
}

func (s *Store) writeOffBatch(ctx context.Context, tx *sql.Tx, b doubtful) (int64, error) {
	const members = `update members set code = cast($1 as smallint), cause = $2 where grp = $3 and k >= $4 and k <= $5 and code = $6`
	n, err := affected(tx.ExecContext(ctx, members, int(dispatcher.Failed), string(dispatcher.CauseWrittenOff), b.group, b.low, b.high,
		int(dispatcher.InDoubt)))
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `update batches set failed = failed + $1, in_doubt = in_doubt - $1 where id = $2`, n, b.id)
	return n, err
}

// resendBatch moves the members in doubt to a group of their own, as if they had
// not been sent to.
func (s *Store) resendBatch(ctx context.Context, tx *sql.Tx, b doubtful) (int64, error) {
	if b.erased {
		return 0, nil
	}
	if err := s.reopenRun(ctx, tx, b.id); err != nil {
		return 0, err
	}
	const members = `update members set code = null, cause = null where grp = $1 and k >= $2 and k <= $3 and code = $4 returning k`
	ks, err := valuesOf[audience.Key](ctx, tx, members, b.group, b.low, b.high, int(dispatcher.InDoubt))
	if err != nil || len(ks) == 0 {
		return 0, err
	}
	group, err := s.moveMembers(ctx, tx, b.group, dispatcher.Move{Keys: ks, RetryAt: s.now()})
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `update groups set resend = 1 where id = $1`, group); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `update batches set moved = moved + $1, in_doubt = in_doubt - $1 where id = $2`, len(ks), b.id)
	return int64(len(ks)), err
}

// reopenRun lets the run of a batch go on when it has ended.
func (s *Store) reopenRun(ctx context.Context, tx *sql.Tx, batch int64) error {
	const reopen = `update runs set state = case when state = 'finished' then 'sending' else state end, rev = rev + 1, finished_at = 0,
		send_by = case when send_by < $1 then $1 else send_by end
		where id = (select run from batches where id = $2) and state in ('sending', 'paused', 'finished')`
	res, err := tx.ExecContext(ctx, reopen, millisOf(s.now().Add(dispatcher.DefaultSendBy)), batch)
	return exactlyOne(res, err, fmt.Errorf("its run was cancelled: %w", ErrConflict))
}

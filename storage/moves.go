package storage

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
)

// moveMembers rewrites members into a new group with a batch of its own.
func (s *Store) moveMembers(ctx context.Context, tx *sql.Tx, from int64, m dispatcher.Move) (group int64, err error) {
	const copyGroup = `insert into groups (run, channel, slice, sender, template, language, variant, due_at, parent, resend)
		select run, channel, slice, sender, template, language, variant, due_at, id, resend from groups where id = $1 returning id`
	if err := tx.QueryRowContext(ctx, copyGroup, from).Scan(&group); err != nil {
		return 0, fmt.Errorf("make a group for members to move to: %w", err)
	}
	q := s.query()
	table, picked := s.d.members(q, from, keys("k", m.Keys))
	text := fmt.Sprintf(`update members set grp = %s from %s where %s and members.code is null`, q.arg(group), table, picked)
	n, err := affected(tx.ExecContext(ctx, text, q.args...))
	if err != nil {
		return 0, fmt.Errorf("move members: %w", err)
	}
	if n != int64(len(m.Keys)) {
		return 0, dispatcher.ErrLostClaim
	}
	order := func(a, b audience.Key) int { return bytes.Compare(a[:], b[:]) }
	const batch = `insert into batches (grp, run, channel, n, k_lo, k_hi, not_before, attempts, origin, depth, refusal, domain)
		select id, run, channel, $1, $2, $3, $4, $5, $6, $7, $8, $9 from groups where id = $10`
	_, err = tx.ExecContext(ctx, batch, len(m.Keys), keyArg(slices.MinFunc(m.Keys, order)), keyArg(slices.MaxFunc(m.Keys, order)),
		millisOf(m.RetryAt), m.Attempts, m.Piece.Origin, m.Piece.Depth, m.Piece.Refusal, m.Domain, group)
	if err != nil {
		return 0, fmt.Errorf("make a batch for moved members: %w", err)
	}
	return group, nil
}

// waitForPieces is how long a piece waits before it looks for the others again.
const waitForPieces = 500 * time.Millisecond

// halving is what is known of the pieces of one refused call.
type halving struct {
	out   int // neither settled nor refused yet
	alike int // waiting, refused for the same reason as the one that asks
}

// DecidePiece implements [dispatcher.Ledger].
func (s *Store) DecidePiece(ctx context.Context, b dispatcher.Batch, reason string) (held bool, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.keepSending(ctx, tx, b.Run); err != nil {
			return err
		}
		h, err := s.lockHalving(ctx, tx, b)
		switch {
		case err != nil:
			return err
		case h.out > 0:
			_, err := tx.ExecContext(ctx, postponeText, millisOf(s.now().Add(waitForPieces)), b.ID, b.Fence)
			return err
		case h.alike == dispatcher.HoldingPieces:
			held = true
			return s.holdPieces(ctx, tx, b, reason)
		default:
			return s.splitPiece(ctx, tx, b)
		}
	})
	if errors.Is(err, dispatcher.ErrNotClaimed) {
		return false, nil // somebody else decided
	}
	if err != nil {
		return false, fmt.Errorf("decide on batch %d, whose call was refused: %w", b.ID, err)
	}
	return held, nil
}

// keepSending keeps a run from being paused or edited until the transaction ends.
func (s *Store) keepSending(ctx context.Context, tx *sql.Tx, run int64) error {
	var state dispatcher.RunState
	if err := tx.QueryRowContext(ctx, `select r.state from runs r where r.id = $1`+s.d.sharedOf("r"), run).Scan(&state); err != nil {
		return err
	}
	if state != dispatcher.Sending {
		return dispatcher.ErrNotClaimed
	}
	return nil
}

// lockHalving keeps the pieces as they are until the transaction ends.
func (s *Store) lockHalving(ctx context.Context, tx *sql.Tx, b dispatcher.Batch) (h halving, err error) {
	text := `select x.depth, x.state, x.refusal from batches x where x.origin = $1 and x.state <> 2 order by x.id` + s.d.updateOf("x")
	err = each(ctx, tx, text, []any{b.Piece.Origin}, func(rows *sql.Rows) error {
		var depth, state int
		var refusal string
		if err := rows.Scan(&depth, &state, &refusal); err != nil {
			return err
		}
		switch {
		case refusal == "" && depth <= dispatcher.HoldingDepth:
			h.out++
		case refusal == b.Piece.Refusal:
			h.alike++
		}
		return nil
	})
	return h, err
}

// holdPieces makes the pieces batches like any other, for when the run goes on.
func (s *Store) holdPieces(ctx context.Context, tx *sql.Tx, b dispatcher.Batch, reason string) error {
	const free = `update batches set origin = 0, depth = 0, refusal = '', not_before = $1, rung_at = 0 where origin = $2 and refusal <> '' and state = 0`
	if _, err := tx.ExecContext(ctx, free, s.millis(), b.Piece.Origin); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, pauseText, reason, b.Run)
	return err
}

// splitPiece closes a piece: its members go on in halves, or, when there is but
// one, she has failed.
func (s *Store) splitPiece(ctx context.Context, tx *sql.Tx, b dispatcher.Batch) error {
	const members = `select k from members where grp = $1 and k > $2 and k <= $3 and code is null order by k`
	ks, err := valuesOf[audience.Key](ctx, tx, members, b.Group, afterOf(b), keyArg(b.High))
	if err != nil {
		return err
	}
	code := "moved"
	if len(ks) == 1 {
		code = dispatcher.Failed.String()
		_, err = s.setCode(ctx, tx, b.Group, ks, dispatcher.Failed, dispatcher.CauseRefused)
	} else {
		m := dispatcher.Move{Keys: ks, RetryAt: s.now(), Piece: dispatcher.Piece{Origin: b.Piece.Origin, Depth: b.Piece.Depth + 1}, Domain: b.Domain}
		for _, half := range dispatcher.Halves(m) {
			if err == nil {
				_, err = s.moveMembers(ctx, tx, b.Group, half)
			}
		}
	}
	if err != nil {
		return err
	}
	text := `update batches set state = 2, last_k = k_hi, settled = settled + $1, ` + code + ` = ` + code + ` + $1 where id = $2 and state = 0 and fence = $3`
	res, err := tx.ExecContext(ctx, text, len(ks), b.ID, b.Fence)
	return exactlyOne(res, err, dispatcher.ErrNotClaimed)
}

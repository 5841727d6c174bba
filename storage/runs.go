package storage

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/internal/failpoint"
)

// LaunchRun makes a run of a campaign, with the newest version of each of its
// templates. A campaign that has a run which was not cancelled is not launched
// again: that would send twice. For the same reason none is launched while
// sending is held: the database may have forgotten that it was.
func (s *Store) LaunchRun(ctx context.Context, campaign string, l dispatcher.Launch) (dispatcher.Run, error) {
	return s.launchRun(ctx, campaign, l, s.undisturbed)
}

// launchRun makes a run if the condition holds.
func (s *Store) launchRun(ctx context.Context, campaign string, l dispatcher.Launch, condition func(*query) string) (dispatcher.Run, error) {
	if l.Due.IsZero() {
		l.Due = s.now()
	}
	if l.SendBy.IsZero() {
		l.SendBy = l.Due.Add(dispatcher.DefaultSendBy)
	}
	if !l.SendBy.After(l.Due) {
		return dispatcher.Run{}, fmt.Errorf("send_by: it must lie after due_at: %w", ErrConflict)
	}
	var run dispatcher.Run
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.requires(ctx, tx, condition); err != nil {
			return err
		}
		c, err := s.lockCampaign(ctx, tx, campaign)
		if err != nil {
			return err
		}
		var open int
		const other = `select count(*) from runs where campaign = $1 and state not in ('cancelled', 'cancelling')`
		if err := tx.QueryRowContext(ctx, other, c.ID).Scan(&open); err != nil {
			return err
		}
		if open > 0 {
			return fmt.Errorf("campaign %q was launched before; make a new campaign to send again: %w", campaign, ErrConflict)
		}
		pinned, err := s.pinTemplates(ctx, tx, c)
		if err != nil {
			return err
		}
		run = dispatcher.Run{Campaign: c.ID, State: dispatcher.Scheduled, Rev: 1, Due: l.Due, SendBy: l.SendBy, Channels: pinned}
		channels, err := json.Marshal(pinned)
		if err != nil {
			return err
		}
		const insert = `insert into runs (campaign, state, due_at, send_by, channels, created_at)
			values ($1, $2, $3, $4, $5, $6) returning id`
		err = tx.QueryRowContext(ctx, insert, c.ID, string(run.State), millisOf(l.Due), millisOf(l.SendBy), string(channels),
			s.millis()).Scan(&run.ID)
		if err != nil {
			return err
		}
		return s.journalLaunch(campaign, run)
	})
	if err != nil {
		return dispatcher.Run{}, fmt.Errorf("launch: %w", err)
	}
	return run, nil
}

// requires returns ErrConflict when a condition on the whole database does not
// hold.
func (s *Store) requires(ctx context.Context, tx *sql.Tx, condition func(*query) string) error {
	q := s.query()
	var holds int
	text := `select count(*) from guard where ` + condition(q)
	if err := tx.QueryRowContext(ctx, text, q.args...).Scan(&holds); err != nil {
		return err
	}
	if holds == 0 {
		return fmt.Errorf("sending is held; utskick database status tells why: %w", ErrConflict)
	}
	return nil
}

// journalLaunch remembers a launch outside the database. It is written before the
// commit, so that no run begins that a restore would let begin again.
func (s *Store) journalLaunch(campaign string, run dispatcher.Run) error {
	line, err := appendLine(nil, journalLine{At: s.millis(),
		Launch: &launched{Campaign: campaign, Run: run.ID, Due: millisOf(run.Due), SendBy: millisOf(run.SendBy)}})
	if err != nil {
		return err
	}
	return s.journal.append(line)
}

func (s *Store) pinTemplates(ctx context.Context, tx *sql.Tx, c dispatcher.Campaign) ([]dispatcher.RunChannel, error) {
	var pinned []dispatcher.RunChannel
	for _, ch := range c.Channels {
		const newest = `select id, channel from templates where name = $1 order by version desc limit 1`
		var id int64
		var channel audience.Channel
		err := tx.QueryRowContext(ctx, newest, ch.Template).Scan(&id, &channel)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("template %q: %w", ch.Template, ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		if channel != ch.Channel {
			return nil, fmt.Errorf("template %q is for %s, the campaign uses it on %s: %w", ch.Template, channel, ch.Channel, ErrConflict)
		}
		pinned = append(pinned, dispatcher.RunChannel{Channel: ch.Channel, Template: id})
	}
	return pinned, nil
}

const runColumns = `r.id, r.campaign, r.state, r.reason, r.rev, r.due_at, r.send_by, r.planned, r.channels`

func scanRun(row interface{ Scan(...any) error }) (dispatcher.Run, error) {
	var r dispatcher.Run
	var due, sendBy int64
	var channels string
	if err := row.Scan(&r.ID, &r.Campaign, &r.State, &r.Reason, &r.Rev, &due, &sendBy, &r.Planned, &channels); err != nil {
		return r, err
	}
	r.Due, r.SendBy = timeOf(due), timeOf(sendBy)
	if err := json.Unmarshal([]byte(channels), &r.Channels); err != nil {
		return r, fmt.Errorf("read the channels of run %d: %w", r.ID, err)
	}
	return r, nil
}

// LatestRun returns the newest run of a campaign, or ErrNotFound.
func (s *Store) LatestRun(ctx context.Context, campaign string) (dispatcher.Run, error) {
	const text = `select ` + runColumns + ` from runs r join campaigns c on c.id = r.campaign where c.name = $1 order by r.id desc limit 1`
	r, err := scanRun(s.read.QueryRowContext(ctx, text, campaign))
	if errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("run of campaign %q: %w", campaign, ErrNotFound)
	}
	return r, err
}

const pauseText = `update runs set state = 'paused', reason = $1, rev = rev + 1 where id = $2 and state = 'sending'`

// PauseRun implements [dispatcher.Ledger].
func (s *Store) PauseRun(ctx context.Context, run int64, reason string) error {
	_, err := s.write.ExecContext(context.WithoutCancel(ctx), pauseText, reason, run)
	if err != nil {
		return fmt.Errorf("pause run %d: %w", run, err)
	}
	return nil
}

// changeRun moves a run to another state if it stands in one of those named.
func (s *Store) changeRun(ctx context.Context, campaign string, to dispatcher.RunState, reason string, from ...dispatcher.RunState) (dispatcher.Run, error) {
	run, err := s.LatestRun(ctx, campaign)
	if err != nil {
		return run, err
	}
	q := s.query()
	states := make([]string, len(from))
	for i, state := range from {
		states[i] = string(state)
	}
	text := fmt.Sprintf(`update runs set state = %s, reason = %s, rev = rev + 1 where id = %s and state in (select u.state from %s) returning id`,
		q.arg(string(to)), q.arg(reason), q.arg(run.ID), q.table("u", texts("state", states)))
	var id int64
	err = s.write.QueryRowContext(ctx, text, q.args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return run, fmt.Errorf("the run of campaign %q is %s: %w", campaign, run.State, ErrConflict)
	}
	if err == nil {
		// What was rung for before is rung for again at once.
		_, err = s.write.ExecContext(ctx, `update batches set rung_at = 0 where run = $1 and state = 0 and rung_at > 0`, id)
	}
	if err != nil {
		return run, fmt.Errorf("change the run of campaign %q: %w", campaign, err)
	}
	return s.LatestRun(ctx, campaign)
}

// Pause stops a campaign's run; what is being called ends within seconds.
func (s *Store) Pause(ctx context.Context, campaign, reason string) (dispatcher.Run, error) {
	return s.changeRun(ctx, campaign, dispatcher.Paused, reason, dispatcher.Sending)
}

// Resume lets a paused run go on.
func (s *Store) Resume(ctx context.Context, campaign string) (dispatcher.Run, error) {
	return s.changeRun(ctx, campaign, dispatcher.Sending, "", dispatcher.Paused)
}

// Cancel ends a run; the rest of its audience is skipped.
func (s *Store) Cancel(ctx context.Context, campaign string) (dispatcher.Run, error) {
	return s.changeRun(ctx, campaign, dispatcher.Cancelling, "", dispatcher.Scheduled, dispatcher.Sending, dispatcher.Paused)
}

// StartDueRuns implements [dispatcher.Planning].
func (s *Store) StartDueRuns(ctx context.Context) (int, error) {
	const text = `select id from runs where state = 'scheduled' and due_at <= $1 order by due_at`
	due, err := valuesOf[int64](ctx, s.read, text, s.millis())
	if err != nil {
		return 0, fmt.Errorf("find due runs: %w", err)
	}
	for i, id := range due {
		if err := s.startRun(ctx, id); err != nil {
			return i, fmt.Errorf("start run %d: %w", id, err)
		}
	}
	return len(due), nil
}

func (s *Store) startRun(ctx context.Context, id int64) error {
	return s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		const start = `update runs set state = 'sending', started_at = $1 where id = $2 and state = 'scheduled' returning channels`
		var stored string
		err := tx.QueryRowContext(ctx, start, s.millis(), id).Scan(&stored)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // another worker was first
		}
		if err != nil {
			return err
		}
		var channels []dispatcher.RunChannel
		if err := json.Unmarshal([]byte(stored), &channels); err != nil {
			return err
		}
		var contacts int64
		if err := tx.QueryRowContext(ctx, `select count(*) from contacts`).Scan(&contacts); err != nil {
			return err
		}
		n := 1 + int(contacts/dispatcher.SliceSize)
		for _, c := range channels {
			if err := insertSlices(ctx, tx, id, string(c.Channel), n); err != nil {
				return err
			}
		}
		return nil
	})
}

// insertSlices cuts the space of keys into n ranges and adds the closing slice.
func insertSlices(ctx context.Context, tx *sql.Tx, run int64, channel string, n int) error {
	const insert = `insert into slices (run, channel, slice, k_lo, k_hi, closing) values ($1, $2, $3, $4, $5, $6)`
	for i := range n {
		if _, err := tx.ExecContext(ctx, insert, run, channel, i, sliceStart(i, n), sliceStart(i+1, n), false); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, insert, run, channel, n, nil, nil, true)
	return err
}

// sliceStart returns where slice i of n begins, as the first four bytes of a
// key; the end of the last slice is open.
func sliceStart(i, n int) []byte {
	if i == n {
		return nil
	}
	return binary.BigEndian.AppendUint32(nil, uint32(uint64(i)<<32/uint64(n)))
}

// sliceOf returns the slice, of n, that a key lies in: the inverse of
// sliceStart.
func sliceOf(k audience.Key, n int) int {
	first := uint64(binary.BigEndian.Uint32(k[:4]))
	i := int(first * uint64(n) >> 32)
	if i+1 < n && first >= uint64(i+1)<<32/uint64(n) {
		i++
	}
	return i
}

// FinishRuns implements [dispatcher.Planning].
func (s *Store) FinishRuns(ctx context.Context) (int, error) {
	const planned = `update runs set planned = true where state in ('sending', 'paused') and not planned
		and not exists (select 1 from slices x where x.run = runs.id and x.planned_at = 0)`
	if _, err := s.write.ExecContext(ctx, planned); err != nil {
		return 0, fmt.Errorf("mark planned runs: %w", err)
	}
	const ended = `update runs set finished_at = $1, reason = '',
		state = case when state = 'cancelling' then 'cancelled' else 'finished' end
		where ((state = 'sending' and planned) or state = 'cancelling')
		and not exists (select 1 from batches b where b.run = runs.id and b.state <> 2)`
	failpoint.Hit(failpoint.RunFinishing)
	res, err := s.write.ExecContext(ctx, ended, s.millis())
	if err != nil {
		return 0, fmt.Errorf("end finished runs: %w", err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// CallingBatches implements [dispatcher.Planning].
func (s *Store) CallingBatches(ctx context.Context) ([]dispatcher.Calling, error) {
	var claims []dispatcher.Calling
	err := each(ctx, s.read, `select id, fence, beat_at from batches where state = 1`, nil, func(rows *sql.Rows) error {
		var c dispatcher.Calling
		err := rows.Scan(&c.Batch, &c.Fence, &c.Beat)
		claims = append(claims, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	return claims, nil
}

// Sweep implements [dispatcher.Planning].
func (s *Store) Sweep(ctx context.Context, c dispatcher.Calling) error {
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockDoubt(ctx, tx); err != nil {
			return err
		}
		const take = `update batches set fence = fence + 1 where id = $1 and fence = $2 and state = 1 and beat_at = $3
			returning grp, k_lo, last_k, claim_k`
		var b dispatcher.Batch
		var through audience.Key
		err := tx.QueryRowContext(ctx, take, c.Batch, c.Fence, c.Beat).Scan(&b.Group, &b.Low, &b.Last, &through)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // its worker lives, or another one swept
		}
		if err != nil {
			return err
		}
		const doubt = `update members set code = $1, cause = $2 where grp = $3 and k > $4 and k <= $5 and code is null`
		res, err := tx.ExecContext(ctx, doubt, int(dispatcher.InDoubt), string(dispatcher.CauseWorkerLost), b.Group, afterOf(b), keyArg(through))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		const settle = `update batches set settled = settled + $1, in_doubt = in_doubt + $1, last_k = claim_k, claim_k = null,
			rung_at = 0, state = case when settled + $1 = n then 2 else 0 end where id = $2`
		if _, err = tx.ExecContext(ctx, settle, n, c.Batch); err != nil {
			return err
		}
		return s.doubted(ctx, tx, c.Batch, b.Group, b.Low, through)
	})
	if err != nil {
		return fmt.Errorf("sweep batch %d: %w", c.Batch, err)
	}
	failpoint.Hit(failpoint.Swept)
	return nil
}

// ringAgain is how long a doorbell that was rung is taken to be heard. One that
// was rung in the future, by a clock that was wrong, is taken for not rung.
const ringAgain = 30_000 // milliseconds

// RingBatches marks batches that are due as rung and returns them. Two
// doorbells never get the same one.
func (s *Store) RingBatches(ctx context.Context, channel audience.Channel, limit int) ([]dispatcher.BatchRef, error) {
	// While nothing may be claimed, only what is to be closed is rung for.
	due := `(r.state = 'sending' and (r.send_by < $1 or (b.not_before <= $1 and not ` + s.heldText() + `
		and b.channel not in (select channel from channel_holds)))) or r.state = 'cancelling'`
	return s.ringBatches(ctx, due, channel, limit)
}

// RingEnded does the same for those batches alone that are only to be closed,
// for which no provider is needed.
func (s *Store) RingEnded(ctx context.Context, channel audience.Channel, limit int) ([]dispatcher.BatchRef, error) {
	return s.ringBatches(ctx, `(r.state = 'sending' and r.send_by < $1) or r.state = 'cancelling'`, channel, limit)
}

// notHeld keeps the doorbell quiet while nothing could be done about a ring.
const notHeld = `exists (select 1 from guard where held_at = 0)`

func (s *Store) ringBatches(ctx context.Context, due string, channel audience.Channel, limit int) ([]dispatcher.BatchRef, error) {
	// Picked once: Postgres may run a subquery again for each row that it compares,
	// and, skipping what it has locked itself, pick others the second time.
	text := `with picked as materialized (select b.id from batches b join runs r on r.id = b.run
		where b.state = 0 and b.channel = $2 and (b.rung_at <= $3 or b.rung_at > $5) and (` + due + `) and ` + notHeld + `
		order by b.not_before, b.id limit $4` + s.d.skipLockedOf("b") + `)
		update batches set rung_at = $1 where id in (select id from picked) returning id, fence, channel`
	var refs []dispatcher.BatchRef
	now := s.millis()
	err := each(ctx, s.write, text, []any{now, string(channel), now - ringAgain, limit, now + ringAgain}, func(rows *sql.Rows) error {
		var r dispatcher.BatchRef
		err := rows.Scan(&r.ID, &r.Fence, &r.Channel)
		refs = append(refs, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find ready batches: %w", err)
	}
	return refs, nil
}

// RingSlices does the same for planning slices. The closing slice of a channel
// is rung when all its others are planned.
func (s *Store) RingSlices(ctx context.Context, limit int) ([]dispatcher.SliceRef, error) {
	text := `select x.run, x.channel, x.slice from slices x join runs r on r.id = x.run
		where x.planned_at = 0 and (x.rung_at <= $1 or x.rung_at > $3) and r.state in ('sending', 'paused') and ` + notHeld + ` and (not x.closing or
		not exists (select 1 from slices o where o.run = x.run and o.channel = x.channel and not o.closing and o.planned_at = 0))
		order by x.run, x.slice limit $2` + s.d.skipLockedOf("x")
	var refs []dispatcher.SliceRef
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := each(ctx, tx, text, []any{s.millis() - ringAgain, limit, s.millis() + ringAgain}, func(rows *sql.Rows) error {
			var r dispatcher.SliceRef
			err := rows.Scan(&r.Run, &r.Channel, &r.Slice)
			refs = append(refs, r)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range refs {
			const mark = `update slices set rung_at = $1 where run = $2 and channel = $3 and slice = $4`
			if _, err := tx.ExecContext(ctx, mark, s.millis(), r.Run, string(r.Channel), r.Slice); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find slices to plan: %w", err)
	}
	return refs, nil
}

const forgetBatchRings = `update batches set rung_at = 0 where state = 0 and rung_at > 0`

// ForgetRings lets everything be rung again: the doorbell's own memory is gone.
func (s *Store) ForgetRings(ctx context.Context) error {
	return s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, text := range []string{forgetBatchRings,
			`update slices set rung_at = 0 where planned_at = 0 and rung_at > 0`} {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				return fmt.Errorf("forget rings: %w", err)
			}
		}
		return nil
	})
}

// GroupChannel returns the channel of a group of messages, or ErrNotFound.
func (s *Store) GroupChannel(ctx context.Context, group int64) (ch audience.Channel, err error) {
	err = s.read.QueryRowContext(ctx, `select channel from groups where id = $1`, group).Scan(&ch)
	return ch, orNotFound(err, "group %d", group)
}

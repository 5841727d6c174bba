package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"utskick/audience"
	"utskick/dispatcher"
)

// A message of an erased person stays in the sums of its run, as a member whom
// nothing leads to: in a group of the run for the erased, with a random key, in a
// batch of its own. Its old batch counts it as moved (docs/adr/0012-erasure.md).

// graveOf is what the groups of the erased are for: one each.
type graveOf struct {
	run     int64
	channel audience.Channel
	resend  int64
}

// erasedSlice is the slice of the groups of the erased: no run plans one.
const erasedSlice = -1

// randomKey is the key of nobody.
func randomKey() (k audience.Key) {
	rand.Read(k[:]) // never fails (crypto/rand, Go 1.24)
	return k
}

// cutLoose moves a member out of reach.
func (x *erasing) cutLoose(ctx context.Context, p spot) error {
	var batch int64
	const covering = `select b.id from batches b where b.grp = $1 and b.k_lo <= $2 and b.k_hi >= $2`
	if err := x.tx.QueryRowContext(ctx, covering, p.group, keyArg(p.key)).Scan(&batch); err != nil {
		return fmt.Errorf("find the batch: %w", err)
	}
	code := dispatcher.Sent // what has none, and is settled
	const outcome = `select coalesce(code, $3) from members where grp = $1 and k = $2`
	if err := x.tx.QueryRowContext(ctx, outcome, p.group, keyArg(p.key), int(code)).Scan(&code); err != nil {
		return fmt.Errorf("read the outcome: %w", err)
	}
	grave, err := x.grave(ctx, p)
	if err != nil {
		return err
	}
	alias := randomKey()
	x.aliases[p.inRun()], x.homes[alias] = alias, grave
	return x.run(ctx,
		statement{`update members set grp = $3, k = $4, contact = 0, provider_id = null where grp = $1 and k = $2`,
			[]any{p.group, keyArg(p.key), grave, keyArg(alias)}},
		statement{fmt.Sprintf(`update batches set %[1]s = %[1]s - 1, moved = moved + 1 where id = $1`, code), []any{batch}},
		statement{fmt.Sprintf(`insert into batches (grp, run, channel, n, k_lo, k_hi, last_k, settled, state, %s) values ($1, $2, $3, 1, $4, $4, $4, 1, $5, 1)`, code),
			[]any{grave, p.run, string(p.channel), keyArg(alias), batchDone}})
}

// grave returns the group of a run for the erased, and makes it if it is the first.
func (x *erasing) grave(ctx context.Context, p spot) (id int64, err error) {
	of := graveOf{run: p.run, channel: p.channel}
	if err := x.tx.QueryRowContext(ctx, `select resend from groups where id = $1`, p.group).Scan(&of.resend); err != nil {
		return 0, err
	}
	if id, known := x.graves[of]; known {
		return id, nil
	}
	const there = `select id from groups where run = $1 and channel = $2 and slice = $3 and resend = $4`
	err = x.tx.QueryRowContext(ctx, there, of.run, string(of.channel), erasedSlice, of.resend).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		const dig = `insert into groups (run, channel, slice, sender, template, language, due_at, resend)
			select run, channel, $2, sender, template, '', due_at, resend from groups where id = $1 returning id`
		err = x.tx.QueryRowContext(ctx, dig, p.group, erasedSlice).Scan(&id)
	}
	x.graves[of] = id
	return id, err
}

// cutEvents gives her events the key of her message, or a random one where that
// is not known, so that a report counts as many people as before. Their marks go:
// a link of hers, or the provider, would give them again. They are found by the
// key: what is done to the other columns keeps a planner without statistics from
// reading all events of the run.
func (x *erasing) cutEvents(ctx context.Context) error {
	q := x.s.query()
	text := fmt.Sprintf(`select distinct e.k, e.run, e.channel from %s join events e on e.k = a.k where %s`,
		q.table("a", keys("k", x.all)), q.isHers("e", x.contact, x.alone))
	var found []spot
	err := each(ctx, x.tx, text, q.args, func(rows *sql.Rows) error {
		var p spot
		err := rows.Scan(&p.key, &p.run, &p.channel)
		found = append(found, p)
		return err
	})
	for _, p := range found {
		alias, known := x.aliases[p]
		if !known {
			alias = randomKey()
		}
		q := x.s.query()
		text := fmt.Sprintf(`update events set dedupe = %s, k = %s, grp = coalesce(nullif(%s, 0), grp), contact = null, requester = null, counts = null
			where k = %s and run + 0 = %s and channel || '' = %s and %s`,
			x.s.d.randomText(), q.cast(alias, "bytea"), q.cast(x.homes[alias], "bigint"), q.arg(p.key), q.arg(p.run), q.arg(string(p.channel)), q.isHers("events", x.contact, x.alone))
		if err == nil {
			_, err = x.tx.ExecContext(ctx, text, q.args...)
		}
	}
	return err
}

// bounds are the keys at which a batch begins and ends.
type bounds struct {
	batch, group             int64
	low, high, last, claimed audience.Key
}

// moveBounds takes her keys out of the bounds of batches and calls, those included
// that her messages were moved from before.
func (x *erasing) moveBounds(ctx context.Context) error {
	for _, p := range x.spots {
		const around = `select id, grp, k_lo, k_hi, last_k, claim_k from batches where run = $1 and channel = $2 and k_lo <= $3 and k_hi >= $3`
		var found []bounds
		err := each(ctx, x.tx, around, []any{p.run, string(p.channel), keyArg(p.key)}, func(rows *sql.Rows) error {
			var b bounds
			err := rows.Scan(&b.batch, &b.group, &b.low, &b.high, &b.last, &b.claimed)
			found = append(found, b)
			return err
		})
		for _, b := range found {
			if err == nil {
				err = x.narrow(ctx, b, p.key)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// narrow makes a batch and its calls begin and end at members that are left. A
// batch that was hers alone has a random key at both ends.
func (x *erasing) narrow(ctx context.Context, b bounds, k audience.Key) error {
	before, after, err := x.neighbours(ctx, b, k)
	if err != nil {
		return err
	}
	narrowed := b
	if b.low == k {
		narrowed.low = firstOf(after, other(b.high, k), randomKey())
	}
	if b.high == k {
		narrowed.high = firstOf(before, narrowed.low)
	}
	for _, end := range []*audience.Key{&narrowed.last, &narrowed.claimed} {
		if *end == k {
			*end = firstOf(before, narrowed.low)
		}
	}
	if narrowed != b {
		const text = `update batches set k_lo = $2, k_hi = $3, last_k = $4, claim_k = $5 where id = $1`
		if err := x.run(ctx, statement{text, []any{b.batch, keyArg(narrowed.low), keyArg(narrowed.high), keyArg(narrowed.last), keyArg(narrowed.claimed)}}); err != nil {
			return err
		}
	}
	return x.narrowCalls(ctx, narrowed, k, before)
}

// firstOf returns the first key that is one.
func firstOf(ks ...audience.Key) audience.Key {
	for _, k := range ks {
		if !k.IsZero() {
			return k
		}
	}
	return audience.Key{}
}

// other returns a key unless it is k.
func other(key, k audience.Key) audience.Key {
	if key == k {
		return audience.Key{}
	}
	return key
}

// neighbours returns the members of a batch on both sides of a key that is none
// any more; a zero key is none.
func (x *erasing) neighbours(ctx context.Context, b bounds, k audience.Key) (before, after audience.Key, err error) {
	for _, side := range []struct {
		text string
		from audience.Key
		to   audience.Key
		into *audience.Key
	}{
		{`select k from members where grp = $1 and k >= $2 and k < $3 order by k desc limit 1`, b.low, k, &before},
		{`select k from members where grp = $1 and k > $2 and k <= $3 order by k limit 1`, k, b.high, &after},
	} {
		err = x.tx.QueryRowContext(ctx, side.text, b.group, keyArg(side.from), keyArg(side.to)).Scan(side.into)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return before, after, err
		}
	}
	return before, after, nil
}

// narrowCalls does the same for calls. One that is left with nobody ends before
// all keys.
func (x *erasing) narrowCalls(ctx context.Context, b bounds, k, before audience.Key) error {
	to := keyArg(before)
	if to == nil {
		to = make([]byte, audience.KeySize)
	}
	err := x.run(ctx,
		statement{`update calls set k_from = $3 where batch = $1 and k_from = $2`, []any{b.batch, keyArg(k), keyArg(before)}},
		statement{`update calls set k_to = $3 where batch = $1 and k_to = $2`, []any{b.batch, keyArg(k), to}})
	if err != nil {
		return err
	}
	q := x.s.query()
	text := fmt.Sprintf(`select fence, message_ids from calls where batch = %s and message_ids like %s`, q.arg(b.batch), q.arg("%"+k.String()+" %"))
	packed := map[int64]string{}
	err = each(ctx, x.tx, text, q.args, func(rows *sql.Rows) error {
		var fence int64
		var lines string
		err := rows.Scan(&fence, &lines)
		packed[fence] = lines
		return err
	})
	for fence, lines := range packed {
		if err == nil {
			const rest = `update calls set message_ids = nullif($3, '') where batch = $1 and fence = $2`
			err = x.run(ctx, statement{rest, []any{b.batch, fence, withoutLine(lines, k)}})
		}
	}
	return err
}

// withoutLine leaves out of packed lines that of a key.
func withoutLine(packed string, k audience.Key) string {
	var b strings.Builder
	for line := range strings.Lines(packed) {
		if !strings.HasPrefix(line, k.String()+" ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/internal/failpoint"
	"utskick/templates"
)

// slicePlan is what planning a slice needs to know of its run.
type slicePlan struct {
	ref       dispatcher.SliceRef
	low, high []byte // high nil: open
	closing   bool
	slices    int // of the channel, the closing one not counted

	sender    string
	version   int64              // of the template: its id
	template  templates.Template // its languages
	languages []string           // the same, in order
	due       int64
	started   int64
}

// PlanSlice implements [dispatcher.Planning]. While sending is held it does
// nothing.
func (s *Store) PlanSlice(ctx context.Context, ref dispatcher.SliceRef) error {
	return s.planSlice(ctx, ref, s.undisturbed)
}

// planSlice plans a slice if the condition holds.
func (s *Store) planSlice(ctx context.Context, ref dispatcher.SliceRef, condition func(*query) string) error {
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.keepPeople(ctx, tx); err != nil {
			return err
		}
		p, err := s.slicePlan(ctx, tx, ref, condition)
		if err != nil || p == nil {
			return err
		}
		var audienceSize, duplicates int64
		if p.closing {
			audienceSize, err = s.planMoved(ctx, tx, p)
		} else {
			audienceSize, duplicates, err = s.planRange(ctx, tx, p)
		}
		if err != nil {
			return err
		}
		const planned = `update slices set planned_at = $1, audience = $2, duplicates = $3 where run = $4 and channel = $5 and slice = $6`
		_, err = tx.ExecContext(ctx, planned, s.millis(), audienceSize, duplicates, ref.Run, string(ref.Channel), ref.Slice)
		failpoint.Hit(failpoint.PlannedBeforeCommit)
		return err
	})
	if err != nil {
		return fmt.Errorf("plan slice %d of run %d, %s: %w", ref.Slice, ref.Run, ref.Channel, err)
	}
	failpoint.Hit(failpoint.PlannedAfterCommit)
	return nil
}

// slicePlan locks the slice and reads what is needed. It returns nil when the
// slice is planned already, its turn has not come, its run is to end, or the
// condition does not hold. The
// run is locked against a cancel until the slice is committed, so that a
// cancelled run never gets another batch.
func (s *Store) slicePlan(ctx context.Context, tx *sql.Tx, ref dispatcher.SliceRef, condition func(*query) string) (*slicePlan, error) {
	p := &slicePlan{ref: ref}
	var state dispatcher.RunState
	var channels string
	q := s.query()
	text := `select r.state, r.due_at, r.started_at, r.channels, c.sender from runs r join campaigns c on c.id = r.campaign
		where r.id = ` + q.arg(ref.Run) + ` and ` + condition(q) + s.d.sharedOf("r")
	err := tx.QueryRowContext(ctx, text, q.args...).Scan(&state, &p.due, &p.started, &channels, &p.sender)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if state != dispatcher.Sending && state != dispatcher.Paused {
		return nil, nil
	}
	var plannedAt int64
	text = `select k_lo, k_hi, closing, planned_at from slices x where run = $1 and channel = $2 and slice = $3` + s.d.updateOf("x")
	err = tx.QueryRowContext(ctx, text, ref.Run, string(ref.Channel), ref.Slice).Scan(&p.low, &p.high, &p.closing, &plannedAt)
	if errors.Is(err, sql.ErrNoRows) || plannedAt > 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var planned int
	const count = `select count(*), count(case when planned_at > 0 then 1 end) from slices where run = $1 and channel = $2 and not closing`
	if err := tx.QueryRowContext(ctx, count, ref.Run, string(ref.Channel)).Scan(&p.slices, &planned); err != nil {
		return nil, err
	}
	if p.closing && planned < p.slices {
		return nil, nil // whom it added, their own slice would add again
	}
	return p, s.planLanguages(ctx, tx, p, channels)
}

func (s *Store) planLanguages(ctx context.Context, tx *sql.Tx, p *slicePlan, channels string) error {
	var pinned []dispatcher.RunChannel
	if err := json.Unmarshal([]byte(channels), &pinned); err != nil {
		return err
	}
	for _, c := range pinned {
		if c.Channel == p.ref.Channel {
			p.version = c.Template
		}
	}
	var contents string
	const text = `select default_language, contents from templates where id = $1`
	if err := tx.QueryRowContext(ctx, text, p.version).Scan(&p.template.Default, &contents); err != nil {
		return fmt.Errorf("template %d: %w", p.version, err)
	}
	if err := json.Unmarshal([]byte(contents), &p.template.Contents); err != nil {
		return fmt.Errorf("template %d: %w", p.version, err)
	}
	p.languages = slices.Sorted(maps.Keys(p.template.Contents))
	return nil
}

// planRange plans the contacts whose address has a key in the slice, and those
// without an address whose contact key lies in it.
func (s *Store) planRange(ctx context.Context, tx *sql.Tx, p *slicePlan) (size, duplicates int64, err error) {
	groups, err := s.makeGroups(ctx, tx, p)
	if err != nil {
		return 0, 0, err
	}
	write := s.writeMembersAtOnce
	if s.d.embedded() {
		write = s.writeMembersInSteps
	}
	rows, members, err := write(ctx, tx, p, groups)
	if err != nil {
		return 0, 0, fmt.Errorf("write members: %w", err)
	}
	without, err := s.planWithoutAddress(ctx, tx, p)
	return rows + without, rows - members, err
}

// sliceText selects one row (grp, k, id) for each key of the slice: the contact
// with the lowest id stands for all who share the address. It reads an index in
// its order, and where there is one language nothing else.
func (s *Store) sliceText(q *query, p *slicePlan, groups map[string]int64) string {
	o, from, locale := p.source()
	return fmt.Sprintf(`select %[1]s as grp, k, id from (select %[2]s as k, %[3]s as id, %[4]s as locale,
		lag(%[2]s) over (order by %[2]s, %[3]s) as previous from %[5]s where %[6]s) x where previous is null or previous <> k`,
		p.groupOf(q, groups), o.key, o.contact, locale, from, p.within(q, o.key)+o.and)
}

// writeMembersAtOnce writes the members of a slice and their batches. It returns
// how many contacts have an address in the slice, and how many members were
// written. The contacts of a slice lie all over their table: they are passed
// over once.
func (s *Store) writeMembersAtOnce(ctx context.Context, tx *sql.Tx, p *slicePlan, groups map[string]int64) (rows, members int64, err error) {
	q := s.query()
	partition, sorted := "", ""
	if len(p.languages) > 1 {
		partition, sorted = "partition by grp", " order by grp, k"
	}
	text := fmt.Sprintf(`with slice as materialized (
			select grp, k, id, (row_number() over w - 1) / %[1]d as batch, (row_number() over w - 1) %% %[1]d as place, lead(k) over w is null as last
			from (%[2]s) s window w as (%[3]s order by k)),
		written as (insert into members (grp, k, contact) select grp, k, id from slice%[4]s),
		cut as (insert into batches (grp, run, channel, n, k_lo, k_hi, not_before)
			select grp, %[5]s, %[6]s, count(*), (array_agg(k) filter (where place = 0))[1],
				(array_agg(k) filter (where place = %[1]d - 1 or last))[1], %[7]s from slice group by grp, batch order by grp, batch)
		select (%[8]s), count(*) from slice`,
		dispatcher.BatchSize, s.sliceText(q, p, groups), partition, sorted,
		q.cast(p.ref.Run, "bigint"), q.cast(string(p.ref.Channel), "text"), q.cast(p.due, "bigint"), p.countText(q))
	err = tx.QueryRowContext(ctx, text, q.args...).Scan(&rows, &members)
	return rows, members, err
}

// writeMembersInSteps does the same where a statement writes one table.
func (s *Store) writeMembersInSteps(ctx context.Context, tx *sql.Tx, p *slicePlan, groups map[string]int64) (rows, members int64, err error) {
	q := s.query()
	text := `insert into members (grp, k, contact) select grp, k, id from (` + s.sliceText(q, p, groups) + `) x order by grp, k`
	if members, err = affected(tx.ExecContext(ctx, text, q.args...)); err != nil {
		return 0, 0, err
	}
	q = s.query()
	text = p.countText(q)
	if err := tx.QueryRowContext(ctx, text, q.args...).Scan(&rows); err != nil {
		return 0, 0, err
	}
	return rows, members, s.makeAllBatches(ctx, tx, p, groups)
}

// countText counts the destinations of the slice, duplicates included.
func (p *slicePlan) countText(q *query) string {
	o := destinations[p.ref.Channel]
	return `select count(*) from ` + o.from + ` where ` + p.within(q, o.key) + o.and
}

func (s *Store) makeAllBatches(ctx context.Context, tx *sql.Tx, p *slicePlan, groups map[string]int64) error {
	for _, language := range p.languages {
		if err := s.makeBatches(ctx, tx, p, groups[language]); err != nil {
			return err
		}
	}
	return nil
}

// within is the condition that a key column lies in the slice.
func (p *slicePlan) within(q *query, column string) string {
	text := column + " >= " + q.arg(p.low)
	if p.high != nil {
		text += " and " + column + " < " + q.arg(p.high)
	}
	return text
}

// source says where the slice is read from, and the contacts' locales, which are
// read only where they matter.
func (p *slicePlan) source() (o destinationOf, from, locale string) {
	o = destinations[p.ref.Channel]
	switch {
	case o.beside == "":
		return o, o.from, "c.locale"
	case len(p.languages) == 1:
		return o, o.from, "''"
	default:
		return o, o.from + " join " + o.beside, "c.locale"
	}
}

// makeGroups makes a group for each language of the template. Those that stay
// empty are left in place: they cost a row, and hold nobody.
func (s *Store) makeGroups(ctx context.Context, tx *sql.Tx, p *slicePlan) (map[string]int64, error) {
	groups := make(map[string]int64, len(p.languages))
	for _, language := range p.languages {
		id, err := s.makeGroup(ctx, tx, p, language)
		if err != nil {
			return nil, err
		}
		groups[language] = id
	}
	return groups, nil
}

func (s *Store) makeGroup(ctx context.Context, tx *sql.Tx, p *slicePlan, language string) (int64, error) {
	const text = `insert into groups (run, channel, slice, sender, template, language, due_at)
		values ($1, $2, $3, $4, $5, $6, $7) returning id`
	var id int64
	err := tx.QueryRowContext(ctx, text, p.ref.Run, string(p.ref.Channel), p.ref.Slice, p.sender, p.version, language, p.due).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("make a group: %w", err)
	}
	return id, nil
}

// groupOf is the expression for the group of a contact, by her locale. It
// chooses as templates.LanguageFor does: the longest of the template's tags that
// her locale begins with, else the template's default.
func (p *slicePlan) groupOf(q *query, groups map[string]int64) string {
	fallback := q.cast(groups[p.template.Default], "bigint")
	if len(p.languages) == 1 {
		return fallback
	}
	longestFirst := slices.Clone(p.languages)
	slices.SortStableFunc(longestFirst, func(a, b string) int { return len(b) - len(a) })
	var b strings.Builder
	fmt.Fprintf(&b, "case")
	for _, language := range longestFirst {
		tag := q.arg(plainTag(language))
		fmt.Fprintf(&b, " when replace(lower(locale), '_', '-') = %[1]s or replace(lower(locale), '_', '-') like %[1]s || '-%%' then %[2]s",
			tag, q.cast(groups[language], "bigint"))
	}
	fmt.Fprintf(&b, " else %s end", fallback)
	return b.String()
}

// plainTag writes a language tag as it is compared: case and underscores do not
// matter.
func plainTag(tag string) string { return strings.ReplaceAll(strings.ToLower(tag), "_", "-") }

// makeBatches cuts the members of a group into batches, in key order.
func (s *Store) makeBatches(ctx context.Context, tx *sql.Tx, p *slicePlan, group int64) error {
	text := fmt.Sprintf(`select k, rn, cnt from (select k, row_number() over (order by k) - 1 as rn, count(*) over () as cnt
		from members where grp = $1) x where rn %% %[1]d = 0 or rn %% %[1]d = %[1]d - 1 or rn = cnt - 1 order by rn`, dispatcher.BatchSize)
	var lows, highs []audience.Key
	var sizes []int64
	err := each(ctx, tx, text, []any{group}, func(rows *sql.Rows) error {
		var k audience.Key
		var rn, cnt int64
		if err := rows.Scan(&k, &rn, &cnt); err != nil {
			return err
		}
		if rn%dispatcher.BatchSize == 0 {
			lows = append(lows, k)
		}
		if rn%dispatcher.BatchSize == dispatcher.BatchSize-1 || rn == cnt-1 {
			highs, sizes = append(highs, k), append(sizes, rn%dispatcher.BatchSize+1)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cut batches: %w", err)
	}
	if len(lows) == 0 {
		return nil
	}
	q := s.query()
	text = fmt.Sprintf(`insert into batches (grp, run, channel, n, k_lo, k_hi, not_before) select %s, %s, %s, u.n, u.lo, u.hi, %s from %s`,
		q.cast(group, "bigint"), q.cast(p.ref.Run, "bigint"), q.cast(string(p.ref.Channel), "text"), q.cast(p.due, "bigint"),
		q.table("u", ints("n", sizes), keys("lo", lows), keys("hi", highs)))
	if _, err := tx.ExecContext(ctx, text, q.args...); err != nil {
		return fmt.Errorf("write batches: %w", err)
	}
	return nil
}

// planWithoutAddress writes those who have no destination on the channel: in a
// group of their own, under the key of the contact, settled when written.
func (s *Store) planWithoutAddress(ctx context.Context, tx *sql.Tx, p *slicePlan) (int64, error) {
	q := s.query()
	group, err := s.makeGroup(ctx, tx, p, p.template.Default)
	if err != nil {
		return 0, err
	}
	text := fmt.Sprintf(`insert into members (grp, k, contact, code, cause) select %s, c.contact_k, c.id, %d, '%s'
		from contacts c where %s and %s order by c.contact_k`, q.cast(group, "bigint"), dispatcher.Skipped, dispatcher.CauseNoAddress,
		p.within(q, "c.contact_k"), withoutDestination(p.ref.Channel))
	n, err := affected(tx.ExecContext(ctx, text, q.args...))
	if err != nil {
		return 0, fmt.Errorf("write members without address: %w", err)
	}
	return n, s.closedBatch(ctx, tx, p, group)
}

func withoutDestination(ch audience.Channel) string {
	switch ch {
	case audience.Push:
		return "not exists (select 1 from devices d where d.contact = c.id and d.active)"
	case audience.SMS:
		return "c.phone_k is null"
	default:
		return "c.email_k is null"
	}
}

// closedBatch writes a batch that is born done over all members of a group.
func (s *Store) closedBatch(ctx context.Context, tx *sql.Tx, p *slicePlan, group int64) error {
	const text = `insert into batches (grp, run, channel, n, settled, skipped, k_lo, k_hi, last_k, state)
		select $1, $2, $3, x.n, x.n, x.n, lo.k, hi.k, hi.k, 2 from
		(select count(*) as n from members where grp = $1) x,
		(select k from members where grp = $1 order by k limit 1) lo,
		(select k from members where grp = $1 order by k desc limit 1) hi`
	if _, err := tx.ExecContext(ctx, text, group, p.ref.Run, string(p.ref.Channel)); err != nil {
		return fmt.Errorf("write the batch of those without address: %w", err)
	}
	return nil
}

func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

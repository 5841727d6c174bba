package storage

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"utskick/audience"
	"utskick/suppression"
)

// noteChanges adds what the entries have become to the list of changes. Each is
// looked up by its version: on a table that was never analysed, the planner
// would otherwise read all of it.
func (s *Store) noteChanges(ctx context.Context, tx *sql.Tx, entries []suppression.Entry, in map[int64]string) error {
	if len(entries) == 0 {
		return nil
	}
	versions, visits := make([]int64, len(entries)), make([]string, len(entries))
	for i, e := range entries {
		versions[i], visits[i] = e.Version, in[e.Version]
	}
	q := s.query()
	join := `%s cross join suppressions x on x.ver = u.ver`
	if !s.d.embedded() {
		join = `%s, lateral (select y.* from suppressions y where y.ver = u.ver offset 0) x`
	}
	text := `insert into suppression_changes (ver, at, k, channel, topic, purpose, sender, cause, active, source, evidence, notice, expires_at, visit)
		select x.ver, x.updated_at, x.k, x.channel, x.topic, x.purpose, x.sender, x.cause, x.active, x.source, x.evidence, x.notice, x.expires_at, u.visit
		from ` + fmt.Sprintf(join, q.table("u", ints("ver", versions), texts("visit", visits)))
	if _, err := tx.ExecContext(ctx, text, q.args...); err != nil {
		return fmt.Errorf("note changes of suppressions: %w", err)
	}
	return nil
}

// entryOf is an entry as it was set in a visit, or in none.
type entryOf struct {
	suppression.Entry
	visit string
}

// beforeVisit returns the entries that a visit was the last to change, as they
// were before it: as the latest change left them that was not made in it and is
// not undone, or lifted if there was none. What somebody else has changed since
// is none of them. It marks the changes of the visit as undone; undoing it again
// finds nothing.
func (s *Store) beforeVisit(ctx context.Context, tx *sql.Tx, visit string) ([]entryOf, error) {
	if visit == "" {
		return nil, nil
	}
	// Two who undo the same visit come one after the other.
	if _, err := s.raiseHead(ctx, tx, 0); err != nil {
		return nil, err
	}
	const text = `select l.k, l.channel, l.topic, l.purpose, l.sender, l.cause, p.ver is not null and p.active, coalesce(p.source, l.source),
		coalesce(p.evidence, l.evidence), coalesce(p.notice, l.notice), coalesce(p.expires_at, 0), coalesce(p.visit, '')
		from suppression_changes l join suppressions x on x.ver = l.ver
		left join suppression_changes p on p.ver = (select max(o.ver) from suppression_changes o where o.k = l.k and o.channel = l.channel
			and o.topic = l.topic and o.purpose = l.purpose and o.sender = l.sender and o.cause = l.cause and o.visit <> l.visit and not o.undone)
		where l.visit = $1 and not l.undone order by l.ver`
	var entries []entryOf
	err := each(ctx, tx, text, []any{visit}, func(rows *sql.Rows) error {
		var e entryOf
		var expires int64
		err := rows.Scan(&e.Key, &e.Channel, &e.Topic, &e.Purpose, &e.Sender, &e.Cause, &e.Active, &e.Source, &e.Evidence, &e.Notice, &expires, &e.visit)
		e.ExpiresAt = timeOf(expires)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find what a visit has changed: %w", err)
	}
	const mark = `update suppression_changes set undone = true where visit = $1 and not undone`
	if _, err := tx.ExecContext(ctx, mark, visit); err != nil {
		return nil, fmt.Errorf("mark the changes of a visit: %w", err)
	}
	return entries, nil
}

// restoreEntries makes entries that are there exactly what is given, and brings
// back the consents that the visit withdrew.
func (s *Store) restoreEntries(ctx context.Context, tx *sql.Tx, visit string, entries []suppression.Entry, in map[int64]string) error {
	if len(entries) == 0 {
		return nil
	}
	n := len(entries)
	ks, active, expires, versions := make([]audience.Key, n), make([]int64, n), make([]int64, n), make([]int64, n)
	var fields [8][]string
	for i, e := range entries {
		ks[i], expires[i], versions[i] = e.Key, millisOf(e.ExpiresAt), e.Version
		if e.Active {
			active[i] = 1
		}
		for j, v := range []string{e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause), e.Source, e.Evidence, e.Notice} {
			fields[j] = append(fields[j], v)
		}
	}
	q := s.query()
	text := fmt.Sprintf(`update suppressions set active = u.active = 1, expires_at = nullif(u.expires_at, 0), source = u.source,
		evidence = u.evidence, notice = u.notice, ver = u.ver, updated_at = %s from %s where suppressions.k = u.k and suppressions.channel = u.channel
		and suppressions.topic = u.topic and suppressions.purpose = u.purpose and suppressions.sender = u.sender and suppressions.cause = u.cause`,
		q.cast(q.now, "bigint"), q.table("u", keys("k", ks), ints("active", active), ints("expires_at", expires), ints("ver", versions),
			texts("channel", fields[0]), texts("topic", fields[1]), texts("purpose", fields[2]), texts("sender", fields[3]),
			texts("cause", fields[4]), texts("source", fields[5]), texts("evidence", fields[6]), texts("notice", fields[7])))
	if _, err := tx.ExecContext(ctx, text, q.args...); err != nil {
		return fmt.Errorf("restore suppression entries: %w", err)
	}
	if err := s.noteChanges(ctx, tx, entries, in); err != nil {
		return err
	}
	return s.restoreGrants(ctx, tx, visit, ks)
}

// withdrawGrants takes back what was consented to for the purposes that are
// opt-in, towards the sender that an entry names or all, and refuses what was
// never asked: a sender may track without consent. What was granted to all goes on
// to hold for those whom an entry does not name.
// Grants are read with the contact, not asked of the index for each recipient,
// so an entry against one must show in them.
func (s *Store) withdrawGrants(ctx context.Context, tx *sql.Tx, entries []suppression.Entry) error {
	var ks []audience.Key
	var purposes, senders, notices []string
	var versions []int64
	for _, e := range entries {
		if e.Active && suppression.OptIn(suppression.Purpose(e.Purpose)) {
			ks, purposes, notices = append(ks, e.Key), append(purposes, e.Purpose), append(notices, e.Notice)
			senders, versions = append(senders, e.Sender), append(versions, e.Version)
		}
	}
	if len(ks) == 0 {
		return nil
	}
	const named = `(u.sender = '*' or u.sender = `
	const unasked = `not exists (select 1 from consents x where x.contact_k = u.k and x.purpose = u.purpose and x.sender = u.sender)`
	for _, text := range []string{
		`insert into withdrawn_consents (ver, contact_k, purpose, sender, granted, at, source, evidence, notice)
			select u.ver, x.contact_k, x.purpose, x.sender, x.granted, x.at, x.source, x.evidence, x.notice
			from %[1]s join consents x on x.contact_k = u.k and x.purpose = u.purpose and ` + named + `x.sender) where x.granted on conflict do nothing`,
		`insert into withdrawn_consents (ver, contact_k, purpose, sender, granted, at, source, evidence, notice)
			select u.ver, c.contact_k, u.purpose, u.sender, null, %[2]s, 'wish', '', '' from %[1]s join contacts c on c.contact_k = u.k
			where ` + unasked + ` on conflict do nothing`,
		`update consents set granted = false, at = %[2]s, source = 'wish', notice = u.notice from %[1]s
			where consents.contact_k = u.k and consents.purpose = u.purpose and ` + named + `consents.sender) and consents.granted`,
		`insert into consents (contact_k, purpose, sender, granted, at, source, evidence, notice)
			select distinct c.contact_k, u.purpose, u.sender, false, %[2]s, 'wish', '', u.notice from %[1]s join contacts c on c.contact_k = u.k
			where ` + unasked + ` on conflict do nothing`,
	} {
		q := s.query()
		table := q.table("u", keys("k", ks), texts("purpose", purposes), texts("sender", senders), texts("notice", notices), ints("ver", versions))
		now := ""
		if strings.Contains(text, "%[2]s") {
			now = q.cast(q.now, "bigint")
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(text, table, now), q.args...); err != nil {
			return fmt.Errorf("withdraw consents: %w", err)
		}
	}
	return s.copyGrants(ctx, tx, ks)
}

// restoreGrants brings back the consents that a visit withdrew, unless somebody
// has refused them since, or another wish stands against them.
func (s *Store) restoreGrants(ctx context.Context, tx *sql.Tx, visit string, ks []audience.Key) error {
	const open = `consents.source = 'wish' and not consents.granted and not exists (select 1 from suppressions x
		where x.k = consents.contact_k and x.purpose = consents.purpose and x.sender in ('*', consents.sender) and x.active and (x.expires_at is null or x.expires_at > $2))`
	const taken = `withdrawn_consents w join suppression_changes l on l.ver = w.ver where l.visit = $1`
	for _, text := range []string{
		`update consents set granted = true, at = u.at, source = u.source, evidence = u.evidence, notice = u.notice
			from (select w.contact_k, w.purpose, w.sender, w.at, w.source, w.evidence, w.notice from ` + taken + ` and w.granted) u
			where consents.contact_k = u.contact_k and consents.purpose = u.purpose and consents.sender = u.sender and ` + open,
		`delete from consents where exists (select 1 from ` + taken + ` and w.granted is null
			and w.contact_k = consents.contact_k and w.purpose = consents.purpose and w.sender = consents.sender) and ` + open,
	} {
		if _, err := tx.ExecContext(ctx, text, visit, s.millis()); err != nil {
			return fmt.Errorf("restore consents: %w", err)
		}
	}
	return s.copyGrants(ctx, tx, ks)
}

// Revise implements [suppression.Store].
func (s *Store) Revise(ctx context.Context, visit string, wishes []suppression.Wish) ([]suppression.Recorded, error) {
	return s.commitRevision(ctx, visit, wishes)
}

// Changes returns every change of the entries of any of the keys, the newest
// first: each as the entry was after it, created when it was changed. That it was
// undone is a change of its own.
func (s *Store) Changes(ctx context.Context, ks []audience.Key) ([]suppression.Entry, error) {
	q := s.query()
	text := fmt.Sprintf(`select x.k, x.channel, x.topic, x.purpose, x.sender, x.cause, x.active, x.source, x.evidence, x.notice, x.expires_at, x.at, x.ver
		from suppression_changes x where x.k in (select u.k from %s) order by x.ver desc`, q.table("u", keys("k", ks)))
	return s.entries(ctx, text, q.args)
}

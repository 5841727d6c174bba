package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"utskick/audience"
	"utskick/internal/failpoint"
	"utskick/suppression"
	"utskick/tracking"
)

type wish = suppression.Wish

// Record implements [suppression.Store]. Wishes that come at about the same
// time share a transaction.
func (s *Store) Record(_ context.Context, w suppression.Wish) (suppression.Recorded, error) {
	return s.wishes.do(w)
}

// RecordAll implements [suppression.Store] in one transaction for all wishes.
func (s *Store) RecordAll(ctx context.Context, wishes []suppression.Wish) ([]suppression.Recorded, error) {
	return s.commitWishes(ctx, wishes)
}

// commitWishes writes wishes in one transaction.
func (s *Store) commitWishes(ctx context.Context, wishes []wish) ([]suppression.Recorded, error) {
	return s.commitRevision(ctx, "", wishes)
}

// commitRevision takes back what was done in a visit, if one is named, and writes
// wishes, in one transaction; then the journal; and then it asks in a new
// statement which claims cover the people in the wishes. Asking within the
// transaction would miss a claim that commits just before it.
func (s *Store) commitRevision(ctx context.Context, visit string, wishes []wish) ([]suppression.Recorded, error) {
	ctx, cancel := untorn(ctx)
	defer cancel()
	var people [][]audience.Key
	var w written
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var err error
		if people, err = s.keysOfPeople(ctx, tx, wishes); err != nil {
			return err
		}
		var undone []entryOf
		if undone, err = s.beforeVisit(ctx, tx, visit); err != nil {
			return err
		}
		w, err = s.writeWishes(ctx, tx, visit, undone, wishes, people)
		failpoint.Hit(failpoint.WishBeforeCommit)
		return err
	})
	if err != nil {
		return nil, err
	}
	failpoint.Hit(failpoint.WishCommitted)
	if err := s.journalEntries(w); err != nil {
		return nil, err
	}
	inFlight, err := s.claimsCovering(ctx, people)
	if err != nil {
		return nil, err
	}
	results := make([]suppression.Recorded, len(wishes))
	for i := range wishes {
		results[i] = suppression.Recorded{Version: w.versions[i], Keys: len(people[i]), InFlight: inFlight[i]}
	}
	return results, nil
}

// keysOfPeople returns, for each wish, the keys it is to be written for: its
// own first, then every other key of whoever has or had it. With a wish of a whole
// person it locks the head, so that nobody gets a key meanwhile.
func (s *Store) keysOfPeople(ctx context.Context, tx *sql.Tx, wishes []wish) ([][]audience.Key, error) {
	people := make([][]audience.Key, len(wishes))
	var own []audience.Key
	var index []int64
	for i, w := range wishes {
		people[i] = []audience.Key{w.Entry.Key}
		if w.Person {
			own, index = append(own, w.Entry.Key), append(index, int64(i))
		}
	}
	if len(own) == 0 {
		return people, nil
	}
	if err := s.lockHead(ctx, tx); err != nil {
		return nil, err
	}
	q := s.query()
	text := `select distinct u.i, p.k from ` + s.d.otherKeys(q.table("u", ints("i", index), keys("k", own)))
	err := each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var i int64
		var k audience.Key
		if err := rows.Scan(&i, &k); err != nil {
			return err
		}
		people[i] = append(people[i], k)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the keys of the people: %w", err)
	}
	return people, nil
}

// written is what a transaction has written of wishes.
type written struct {
	entries  []suppression.Entry
	versions []int64 // that each wish ends at
	head     head
}

// head is the head of the suppressions.
type head struct{ version, generation int64 }

// writeWishes writes the entries, those of a visit that are undone first, and
// the events.
func (s *Store) writeWishes(ctx context.Context, tx *sql.Tx, visit string, undone []entryOf, wishes []wish, people [][]audience.Key) (w written, err error) {
	var events []tracking.Event
	var visits []string
	var told []saidTo
	for _, u := range undone {
		w.entries, visits = append(w.entries, u.Entry), append(visits, u.visit)
	}
	for i := range wishes {
		for _, k := range people[i] {
			e := wishes[i].Entry
			e.Key = k
			w.entries, visits = append(w.entries, e), append(visits, wishes[i].Visit)
			told = append(told, saidTo{cmp.Or(wishes[i].Group, wishes[i].From), e.Sender})
		}
	}
	if err := s.stamp(ctx, tx, w.entries[len(undone):], told); err != nil {
		return w, err
	}
	if w.head, err = s.raiseHead(ctx, tx, len(w.entries)); err != nil {
		return w, err
	}
	version := w.head.version - int64(len(w.entries))
	in := make(map[int64]string, len(visits))
	for i := range w.entries {
		w.entries[i].Version = version + int64(i) + 1
		in[w.entries[i].Version] = visits[i]
	}
	version += int64(len(undone))
	w.versions = make([]int64, len(wishes))
	for i, wish := range wishes {
		version += int64(len(people[i]))
		w.versions[i] = version
		if wish.Group != 0 {
			e := tracking.Event{Type: tracking.Unsubscribes, At: s.now(), Group: wish.Group, Key: wish.Entry.Key, Dedupe: fmt.Sprintf("wish-%d", version)}
			if wish.Mark != "" {
				e.At, e.Dedupe = wish.At, "wish-"+wish.Mark
			}
			events = append(events, e)
		}
	}
	if err := s.restoreEntries(ctx, tx, visit, w.entries[:len(undone)], in); err != nil {
		return w, err
	}
	if err := s.writeEntries(ctx, tx, w.entries[len(undone):], in); err != nil {
		return w, err
	}
	return w, s.insertEvents(ctx, tx, events, nil)
}

// raiseHead locks the head and takes n versions; it returns the last of them. A
// head that is behind what this process knows is that of a database which was
// restored: sending is held before anything is numbered as something that was
// lost.
func (s *Store) raiseHead(ctx context.Context, tx *sql.Tx, n int) (h head, err error) {
	const raise = `update suppression_head set ver = ver + $1 where id = 1 and ver >= $2
		and exists (select 1 from guard where counter >= $3) returning ver, generation`
	known := s.guard.now()
	err = tx.QueryRowContext(ctx, raise, n, known.Version, known.Counter).Scan(&h.version, &h.generation)
	if errors.Is(err, sql.ErrNoRows) {
		var now state
		if now, _, err = s.readState(ctx, tx, 0); err != nil {
			return h, err
		}
		if _, err = s.hold(ctx, tx, known, known.doubt(now)); err == nil {
			err = tx.QueryRowContext(ctx, raise, n, 0, 0).Scan(&h.version, &h.generation)
		}
	}
	if err != nil {
		return h, fmt.Errorf("raise the suppression version: %w", err)
	}
	return h, nil
}

// writeEntries writes entries in their order, and by their versions in which
// visits. A statement cannot update a row twice, so entries that come again have
// one of their own.
func (s *Store) writeEntries(ctx context.Context, tx *sql.Tx, entries []suppression.Entry, in map[int64]string) error {
	for len(entries) > 0 {
		first, again := firstOfEach(entries)
		if err := s.writeEntriesOnce(ctx, tx, first); err != nil {
			return err
		}
		if err := s.noteChanges(ctx, tx, first, in); err != nil {
			return err
		}
		entries = again
	}
	return nil
}

// writeEntriesOnce writes entries that all differ in one statement. Those
// without a time of their own are made now. One that is
// there and active is never made to end sooner: that would be lifting it.
func (s *Store) writeEntriesOnce(ctx context.Context, tx *sql.Tx, entries []suppression.Entry) error {
	n := len(entries)
	ks, active, expires, versions, created := make([]audience.Key, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	var fields [8][]string
	for i, e := range entries {
		ks[i], expires[i], versions[i], created[i] = e.Key, millisOf(e.ExpiresAt), e.Version, millisOf(e.CreatedAt)
		if e.Active {
			active[i] = 1
		}
		for j, v := range []string{e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause), e.Source, e.Evidence, e.Notice} {
			fields[j] = append(fields[j], v)
		}
	}
	q := s.query()
	table := q.table("u", keys("k", ks), texts("channel", fields[0]), texts("topic", fields[1]), texts("purpose", fields[2]),
		texts("sender", fields[3]), texts("cause", fields[4]), ints("active", active), texts("source", fields[5]),
		texts("evidence", fields[6]), texts("notice", fields[7]), ints("expires_at", expires), ints("ver", versions), ints("created_at", created))
	now := q.arg(s.millis())
	text := fmt.Sprintf(`insert into suppressions
		(k, channel, topic, purpose, sender, cause, active, source, evidence, notice, expires_at, created_at, updated_at, ver)
		select u.k, u.channel, u.topic, u.purpose, u.sender, u.cause, u.active = 1, u.source, u.evidence, u.notice,
		nullif(u.expires_at, 0), coalesce(nullif(u.created_at, 0), cast(%[2]s as bigint)), cast(%[2]s as bigint), u.ver from %[1]s where true
		on conflict (k, channel, topic, purpose, sender, cause) do update set
		active = excluded.active, source = excluded.source, evidence = excluded.evidence, notice = excluded.notice,
		expires_at = case when not (suppressions.active and excluded.active) then excluded.expires_at
			when suppressions.expires_at is null or suppressions.expires_at > excluded.expires_at then suppressions.expires_at
			else excluded.expires_at end, updated_at = excluded.updated_at, ver = excluded.ver`, table, now)
	if _, err := tx.ExecContext(ctx, text, q.args...); err != nil {
		return fmt.Errorf("write suppression entries: %w", err)
	}
	if err := s.retireDevices(ctx, tx, entries); err != nil {
		return err
	}
	return s.withdrawGrants(ctx, tx, entries)
}

// firstOfEach parts entries from those that are the same as one before them.
func firstOfEach(entries []suppression.Entry) (first, again []suppression.Entry) {
	type identity struct {
		k                                      audience.Key
		channel, topic, purpose, sender, cause string
	}
	seen := make(map[identity]bool, len(entries))
	for _, e := range entries {
		id := identity{e.Key, e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause)}
		if seen[id] {
			again = append(again, e)
			continue
		}
		seen[id], first = true, append(first, e)
	}
	return first, again
}

// claimsCovering asks which open claims cover a key of each person.
func (s *Store) claimsCovering(ctx context.Context, people [][]audience.Key) ([][]suppression.InFlight, error) {
	var ks []audience.Key
	var index []int64
	for i := range people {
		for _, k := range people[i] {
			ks, index = append(ks, k), append(index, int64(i))
		}
	}
	q := s.query()
	text := fmt.Sprintf(`select distinct u.i, b.id, b.fence from %s
		join batches b on b.state = 1 and b.k_lo <= u.k and b.k_hi >= u.k`,
		q.table("u", ints("i", index), keys("k", ks)))
	out := make([][]suppression.InFlight, len(people))
	err := each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		var i int64
		var f suppression.InFlight
		if err := rows.Scan(&i, &f.Batch, &f.Fence); err != nil {
			return err
		}
		out[i] = append(out[i], f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the claims in flight: %w", err)
	}
	return out, nil
}

// Open implements [suppression.Store].
func (s *Store) Open(ctx context.Context, claims []suppression.InFlight) ([]suppression.InFlight, error) {
	ids, fences := make([]int64, len(claims)), make([]int64, len(claims))
	for i, c := range claims {
		ids[i], fences[i] = c.Batch, c.Fence
	}
	q := s.query()
	text := fmt.Sprintf(`select b.id, b.fence from %s join batches b on b.id = u.id and b.fence = u.fence and b.state = 1`,
		q.table("u", ints("id", ids), ints("fence", fences)))
	var open []suppression.InFlight
	err := each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		var f suppression.InFlight
		if err := rows.Scan(&f.Batch, &f.Fence); err != nil {
			return err
		}
		open = append(open, f)
		return nil
	})
	return open, err
}

// Matching implements [suppression.Index]. The version is read by the same
// statement, so that it says exactly what the ruling knew.
func (s *Store) Matching(ctx context.Context, scope suppression.Scope, ks []audience.Key) ([]suppression.Match, int64, error) {
	ctx = context.WithoutCancel(ctx)
	q := s.query()
	text := `select h.ver, m.k, m.cause from suppression_head h left join (` + q.blocked(scope, ks) + `) m on true`
	var matches []suppression.Match
	var version int64
	err := each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		var m suppression.Match
		var cause sql.NullString
		if err := rows.Scan(&version, &m.Key, &cause); err != nil {
			return err
		}
		if cause.Valid {
			m.Cause = suppression.Cause(cause.String)
			matches = append(matches, m)
		}
		return nil
	})
	return matches, version, err
}

// blocked selects key and cause of the active, unexpired entries within scope
// for any of the keys.
func (q *query) blocked(scope suppression.Scope, ks []audience.Key) string {
	rows := q.table("u", keys("k", ks))
	condition := fmt.Sprintf(`x.k = u.k and x.active and (x.expires_at is null or x.expires_at > %s)
		and x.channel in ('*', %s) and x.topic in ('*', %s) and x.purpose in ('*', %s) and x.sender in ('*', %s)`,
		q.arg(q.now), q.arg(string(scope.Channel)), q.arg(scope.Topic), q.purposesOf(scope), q.arg(scope.Sender))
	if q.d.embedded() {
		return fmt.Sprintf(`select x.k, x.cause from %s cross join suppressions x on %s`, rows, condition)
	}
	return fmt.Sprintf(`select x.k, x.cause from %s, lateral (select x.k, x.cause from suppressions x where %s offset 0) x`, rows, condition)
}

func (q *query) purposesOf(scope suppression.Scope) string {
	purposes := q.arg(string(scope.Purpose))
	if scope.Targeted {
		purposes += ", " + q.arg(string(suppression.Profiling))
	}
	return purposes
}

// MatchingAndChanged implements [suppression.Source]. Its three parts are one
// statement, so they see one state of the database: every change up to the
// version of the head, since changes lock the head, and none after it. The
// range of versions has two ends, because an open one would be taken for a
// third of the table and might be read without the index.
func (s *Store) MatchingAndChanged(ctx context.Context, scope suppression.Scope, ks []audience.Key, after, through int64) (suppression.Changes, error) {
	ctx = context.WithoutCancel(ctx)
	q := s.query()
	text := fmt.Sprintf(`select h.ver, %s, null, null from suppression_head h
		union all select null, null, x.k, null from suppressions x where x.ver > %s and x.ver <= %s and x.active
		union all select null, null, m.k, m.cause from (%s) m`, s.d.epoch(), q.arg(after), q.arg(through), q.blocked(scope, ks))
	var c suppression.Changes
	err := each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		var k audience.Key
		var cause sql.NullString
		head, err := scanHead(rows, &c.Head, &k, &cause)
		switch {
		case err != nil || head:
		case cause.Valid:
			c.Matches = append(c.Matches, suppression.Match{Key: k, Cause: suppression.Cause(cause.String)})
		default:
			c.Keys = append(c.Keys, k)
		}
		return err
	})
	return c, err
}

// ActiveKeys implements [suppression.Source], in one statement for the same
// reason. It may be cut short: nobody waits for it.
func (s *Store) ActiveKeys(ctx context.Context, f func(audience.Key) error) (suppression.Head, error) {
	var h suppression.Head
	text := fmt.Sprintf(`select h.ver, %s, null from suppression_head h
		union all select null, null, x.k from suppressions x where x.active`, s.d.epoch())
	err := each(ctx, s.read, text, nil, func(rows *sql.Rows) error {
		var k audience.Key
		head, err := scanHead(rows, &h, &k)
		if err != nil || head {
			return err
		}
		return f(k)
	})
	return h, err
}

// scanHead scans a row that is either the head, in its first two columns, or
// something else, in the others. It reports which.
func scanHead(rows *sql.Rows, h *suppression.Head, others ...any) (bool, error) {
	var version sql.NullInt64
	var epoch sql.NullString
	if err := rows.Scan(append([]any{&version, &epoch}, others...)...); err != nil {
		return false, err
	}
	if version.Valid {
		*h = suppression.Head{Version: version.Int64, Epoch: epoch.String}
	}
	return version.Valid, nil
}

// epoch tells one history of versions from another. A server that took over, or
// was started on restored files, has started at another instant; a restored
// dump has made the table anew. An embedded database cannot be exchanged below
// a running process.
func (d dialect) epoch() string {
	if d.embedded() {
		return "cast(h.generation as text)"
	}
	return "concat_ws('/', h.generation, h.tableoid, extract(epoch from pg_postmaster_start_time()))"
}

// Entries returns the entries of any of the keys, lifted and expired ones
// included, newest first.
func (s *Store) Entries(ctx context.Context, ks []audience.Key) ([]suppression.Entry, error) {
	q := s.query()
	text := fmt.Sprintf(`select %s from suppressions x where x.k in (select u.k from %s) order by x.ver desc`,
		entryColumns, q.table("u", keys("k", ks)))
	return s.entries(ctx, text, q.args)
}

// EachEntry calls f for every entry in the order of their versions.
func (s *Store) EachEntry(ctx context.Context, f func(suppression.Entry) error) error {
	return each(ctx, s.read, `select `+entryColumns+` from suppressions x order by x.ver`, nil, func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		if err != nil {
			return err
		}
		return f(e)
	})
}

const entryColumns = `x.k, x.channel, x.topic, x.purpose, x.sender, x.cause, x.active, x.source, x.evidence, x.notice, x.expires_at, x.created_at, x.ver`

func (s *Store) entries(ctx context.Context, text string, args []any) ([]suppression.Entry, error) {
	var out []suppression.Entry
	err := each(ctx, s.read, text, args, func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		out = append(out, e)
		return err
	})
	return out, err
}

func scanEntry(rows *sql.Rows, others ...any) (suppression.Entry, error) {
	var e suppression.Entry
	var expires sql.NullInt64
	var created int64
	err := rows.Scan(append([]any{&e.Key, &e.Channel, &e.Topic, &e.Purpose, &e.Sender, &e.Cause, &e.Active, &e.Source, &e.Evidence, &e.Notice,
		&expires, &created, &e.Version}, others...)...)
	e.CreatedAt = timeOf(created)
	if expires.Valid {
		e.ExpiresAt = timeOf(expires.Int64)
	}
	return e, err
}

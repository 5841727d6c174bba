package storage

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"utskick/audience"
	"utskick/tracking"
)

// markingLock keeps two transactions from marking the events of one message in
// different orders. It comes before resolvingLock.
const markingLock = 0x7574736b03

// moment is a message with the instants between which others of its opens and
// clicks tell something of those that have come.
type moment struct{ from, to int64 }

// markMachines marks the opens and clicks that only others of the same message
// give away: those that have come just now, and those that came before and are
// given away by them. Links and pictures without a person are many people's, and
// are not judged.
func (s *Store) markMachines(ctx context.Context, tx *sql.Tx, came []tracking.Event) error {
	around := map[place]moment{}
	for _, e := range came {
		if (e.Type != tracking.Opens && e.Type != tracking.Clicks) || e.Key.IsZero() {
			continue
		}
		reach := tracking.BurstWithin
		if e.Machine == tracking.Honeypot {
			reach = 24 * time.Hour // as long as a requester is the same one
		}
		p, at := place{e.Group, e.Key}, millisOf(e.At)
		m, known := around[p]
		if !known {
			m = moment{at, at}
		}
		around[p] = moment{min(m.from, at-reach.Milliseconds()), max(m.to, at+reach.Milliseconds())}
	}
	if len(around) == 0 {
		return nil
	}
	messages, err := s.opensAndClicks(ctx, tx, around)
	if err != nil {
		return err
	}
	var marks []mark
	for _, m := range messages {
		for i, machine := range tracking.Judge(m.seen, timeOf(m.claimed)) {
			if machine != "" {
				marks = append(marks, mark{m.ids[i], machine})
			}
		}
	}
	return s.writeMarks(ctx, tx, marks)
}

// eventID is the primary key of an event.
type eventID struct {
	day    int64
	dedupe string
}

type mark struct {
	eventID
	machine tracking.Machine
}

// message is what is known of a message when its opens and clicks are judged.
type message struct {
	seen    []tracking.Seen
	ids     []eventID
	claimed int64
}

// opensAndClicks reads the opens and clicks of messages around an instant, and
// those that took the bait at any time.
func (s *Store) opensAndClicks(ctx context.Context, tx *sql.Tx, around map[place]moment) (map[place]*message, error) {
	places := slices.SortedFunc(maps.Keys(around), comparePlaces)
	groups, ks := make([]int64, len(places)), make([]audience.Key, len(places))
	froms, tos := make([]int64, len(places)), make([]int64, len(places))
	for i, p := range places {
		groups[i], ks[i], froms[i], tos[i] = p.group, p.key, around[p].from, around[p].to
	}
	q := s.query()
	u := q.table("u", ints("grp", groups), keys("k", ks), ints("t_from", froms), ints("t_to", tos))
	text := fmt.Sprintf(`with u as (select grp, k, t_from, t_to from %[1]s)
		select u.grp, u.k, e.day, e.dedupe, e.type, e.at, coalesce(e.link, 0), e.machine, coalesce(e.requester, 0),
			case when e.type = 'click' and e.machine = '' then %[2]s else 0 end
		from u %[3]s
		union select u.grp, u.k, e.day, e.dedupe, e.type, e.at, 0, e.machine, coalesce(e.requester, 0), 0 from u %[4]s`, u, claimedAt,
		s.d.eachOf("events e", "day, dedupe, type, at, link, machine, requester",
			`e.k = u.k and e.grp = u.grp and e.at >= u.t_from and e.at <= u.t_to and e.type in ('open', 'click')`),
		s.d.eachOf("events e", "day, dedupe, type, at, machine, requester",
			`e.k = u.k and e.grp = u.grp and e.machine = 'honeypot' and e.link is null and e.type = 'click'`))
	messages := map[place]*message{}
	err := each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var p place
		var id eventID
		var e tracking.Seen
		var at, claimed int64
		if err := rows.Scan(&p.group, &p.key, &id.day, &id.dedupe, &e.Type, &at, &e.Link, &e.Machine, &e.Requester, &claimed); err != nil {
			return err
		}
		m := messages[p]
		if m == nil {
			m = &message{}
			messages[p] = m
		}
		e.At = timeOf(at)
		m.seen, m.ids, m.claimed = append(m.seen, e), append(m.ids, id), max(m.claimed, claimed)
		return nil
	})
	return messages, err
}

// claimedAt is when the message u was last claimed to be sent.
const claimedAt = `coalesce((select max(c.t0) from calls c
	where c.batch = (select b.id from batches b where b.grp = u.grp and b.k_hi >= u.k order by b.k_hi limit 1)
	and (c.k_from is null or u.k > c.k_from) and u.k <= c.k_to), 0)`

// eachOf joins the rows of a table that satisfy a condition on u. On Postgres they
// are looked up for each row of u, whatever the planner knows of the table.
func (d dialect) eachOf(table, columns, on string) string {
	if d.embedded() {
		return "cross join " + table + " on " + on
	}
	return "cross join lateral (select " + columns + " from " + table + " where " + on + " offset 0) e"
}

// writeMarks marks events that have no mark yet.
func (s *Store) writeMarks(ctx context.Context, tx *sql.Tx, marks []mark) error {
	if len(marks) == 0 {
		return nil
	}
	if err := s.lockAdvisory(ctx, tx, "pg_advisory_xact_lock", markingLock); err != nil {
		return err
	}
	slices.SortFunc(marks, func(a, b mark) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.dedupe, b.dedupe)) })
	days, dedupes, machines := make([]int64, len(marks)), make([]string, len(marks)), make([]string, len(marks))
	for i, m := range marks {
		days[i], dedupes[i], machines[i] = m.day, m.dedupe, string(m.machine)
	}
	q := s.query()
	text := `update events set machine = u.machine from ` + q.table("u", ints("day", days), texts("dedupe", dedupes), texts("machine", machines)) +
		` where events.day = u.day and events.dedupe = u.dedupe and events.machine = ''`
	_, err := tx.ExecContext(ctx, text, q.args...)
	return err
}

// ForgetRequesters removes from events who made them, where that is some days
// ago, and returns how many there were. It does so some at a time: on the embedded
// database, wishes and leases wait for the same writer.
func (s *Store) ForgetRequesters(ctx context.Context) (forgotten int, err error) {
	const text = `update events set requester = null where (day, dedupe) in
		(select day, dedupe from events where requester is not null and at < $1 limit $2)`
	before := millisOf(s.now().Add(-tracking.RequesterFor))
	for {
		n, err := affected(s.write.ExecContext(ctx, text, before, forgetAtOnce))
		forgotten += int(n)
		if err != nil {
			return forgotten, fmt.Errorf("forget who made requests: %w", err)
		}
		if n < forgetAtOnce {
			return forgotten, nil
		}
	}
}

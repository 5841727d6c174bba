package storage

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/tracking"
)

// An event and the settlement of its message may be written at the same time, and
// neither transaction would see the other's row: the event would find nobody in
// doubt, and the settlement no event. So whoever writes or changes doubt has the
// ledger to itself among those who write events, from before its first row until
// its commit (docs/adr/0010-evidence.md). Events do not wait for each other, nor
// for settlements that leave nobody in doubt.
//
// The locks come before all others but that of the suppressions' head. Events
// that do resolve doubt do it one transaction after the other.
const (
	doubtLock     = 0x7574736b01
	resolvingLock = 0x7574736b02
)

// lockDoubt waits for the events that are being written, and keeps others out
// until the transaction ends.
func (s *Store) lockDoubt(ctx context.Context, tx *sql.Tx) error {
	return s.lockAdvisory(ctx, tx, "pg_advisory_xact_lock", doubtLock)
}

// keepDoubtOut waits for those who write doubt, and keeps others out until the
// transaction ends. Events that prove nothing need not wait.
func (s *Store) keepDoubtOut(ctx context.Context, tx *sql.Tx, said saying) error {
	if len(said) == 0 {
		return nil
	}
	return s.lockAdvisory(ctx, tx, "pg_advisory_xact_lock_shared", doubtLock)
}

// lockAdvisory does nothing on SQLite, which has one writer.
func (s *Store) lockAdvisory(ctx context.Context, tx *sql.Tx, how string, lock int64) error {
	if s.d.embedded() {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `select `+how+`($1)`, lock); err != nil {
		return fmt.Errorf("wait for those in doubt: %w", err)
	}
	return nil
}

// outcome is a code with its cause.
type outcome struct {
	code  dispatcher.Code
	cause dispatcher.Cause
}

var (
	taken   = outcome{code: dispatcher.Sent}
	doubt   = outcome{code: dispatcher.InDoubt} // for any cause
	dropped = outcome{dispatcher.Failed, dispatcher.CauseDropped}
)

// inDoubt returns the keys, in their order, of whom a settlement leaves in doubt.
func inDoubt(m dispatcher.Settlement) (ks []audience.Key) {
	for _, e := range m.Exceptions {
		if e.Code == dispatcher.InDoubt {
			ks = append(ks, e.Key)
		}
	}
	slices.SortFunc(ks, compareKeys)
	return ks
}

func compareKeys(a, b audience.Key) int { return bytes.Compare(a[:], b[:]) }

// doubted is the end of every transaction that has put members of a batch in
// doubt, all within a range of keys: events that came before are looked at now,
// and the provider is to be asked for the others.
func (s *Store) doubted(ctx context.Context, tx *sql.Tx, batch, group int64, low, high audience.Key) error {
	const note = `update batches set doubt_at = $1, looks = 0, look_at = $2 where id = $3`
	if _, err := tx.ExecContext(ctx, note, s.millis(), millisOf(s.now().Add(dispatcher.LookAfter(0))), batch); err != nil {
		return err
	}
	said := saying{}
	text := `select e.k, e.type from members m cross join events e
		where m.grp = $1 and m.k >= $2 and m.k <= $3 and m.code = $4 and e.k = m.k and e.grp = m.grp`
	if !s.d.embedded() {
		text = `select e.k, e.type from members m cross join lateral
			(select x.k, x.type from events x where x.k = m.k and x.grp = m.grp offset 0) e
			where m.grp = $1 and m.k >= $2 and m.k <= $3 and m.code = $4`
	}
	err := each(ctx, tx, text, []any{group, keyArg(low), keyArg(high), int(dispatcher.InDoubt)}, func(rows *sql.Rows) error {
		var k audience.Key
		var t tracking.EventType
		err := rows.Scan(&k, &t)
		said.add(place{group, k}, t)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the events of those in doubt: %w", err)
	}
	return s.believe(ctx, tx, said)
}

// saying is what events say of members: sent, or dropped. Sent is the last word,
// in whichever order they come.
type saying map[place]bool

func (s saying) add(p place, t tracking.EventType) {
	switch {
	case p.key.IsZero():
	case t.ProvesSent():
		s[p] = true
	case t == tracking.Dropped && !s[p]:
		s[p] = false
	}
}

// resolveBy takes events for evidence. Most are of members who are not in doubt:
// that is found out by a look at each row, and nothing is written.
func (s *Store) resolveBy(ctx context.Context, tx *sql.Tx, said saying) error {
	if len(said) == 0 {
		return nil
	}
	places := slices.SortedFunc(maps.Keys(said), comparePlaces)
	groups, ks := make([]int64, len(places)), make([]audience.Key, len(places))
	for i, p := range places {
		groups[i], ks[i] = p.group, p.key
	}
	q := s.query()
	u := q.table("u", ints("grp", groups), keys("k", ks))
	open := fmt.Sprintf(`(m.code = %d or (m.code = %d and m.cause = %s))`, dispatcher.InDoubt, dispatcher.Failed, q.cast(string(dispatcher.CauseDropped), "text"))
	text := fmt.Sprintf(`select u.grp, u.k from %s join members m on m.grp = u.grp and m.k = u.k where %s`, u, open)
	if !s.d.embedded() {
		text = fmt.Sprintf(`select u.grp, u.k from %s cross join lateral
			(select m.code, m.cause from members m where m.grp = u.grp and m.k = u.k offset 0) m where %s`, u, open)
	}
	found := saying{}
	err := each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var p place
		err := rows.Scan(&p.group, &p.key)
		found[p] = said[p]
		return err
	})
	if err != nil {
		return fmt.Errorf("find those in doubt: %w", err)
	}
	if len(found) == 0 {
		return nil
	}
	if err := s.lockAdvisory(ctx, tx, "pg_advisory_xact_lock", resolvingLock); err != nil {
		return err
	}
	return s.believe(ctx, tx, found)
}

func comparePlaces(a, b place) int {
	if a.group != b.group {
		return int(min(max(a.group-b.group, -1), 1))
	}
	return compareKeys(a.key, b.key)
}

// believe writes what is said, group by group.
func (s *Store) believe(ctx context.Context, tx *sql.Tx, said saying) error {
	sent, not := map[int64][]dispatcher.Message{}, map[int64][]dispatcher.Message{}
	for _, p := range slices.SortedFunc(maps.Keys(said), comparePlaces) {
		to := not
		if said[p] {
			to = sent
		}
		to[p.group] = append(to[p.group], dispatcher.Message{Key: p.key})
	}
	for _, group := range slices.Sorted(maps.Keys(sent)) {
		if err := s.proveSent(ctx, tx, group, sent[group]); err != nil {
			return err
		}
	}
	for _, group := range slices.Sorted(maps.Keys(not)) {
		if _, err := s.turn(ctx, tx, group, not[group], doubt, dropped); err != nil {
			return err
		}
	}
	return nil
}

// Evidence implements [dispatcher.Ledger].
func (s *Store) Evidence(ctx context.Context, group int64, sent []dispatcher.Message) error {
	if len(sent) == 0 {
		return nil
	}
	return s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockDoubt(ctx, tx); err != nil {
			return err
		}
		return s.proveSent(ctx, tx, group, sent)
	})
}

func (s *Store) proveSent(ctx context.Context, tx *sql.Tx, group int64, sent []dispatcher.Message) error {
	if _, err := s.turn(ctx, tx, group, sent, doubt, taken); err != nil {
		return err
	}
	_, err := s.turn(ctx, tx, group, sent, dropped, taken)
	return err
}

// turn gives those of the members who have one outcome the other, and returns how
// many they were.
func (s *Store) turn(ctx context.Context, tx *sql.Tx, group int64, members []dispatcher.Message, from, to outcome) (int, error) {
	ks, ids := make([]audience.Key, len(members)), make([]string, len(members))
	for i, m := range members {
		ks[i], ids[i] = m.Key, m.ProviderID
	}
	q := s.query()
	u, picked := s.d.members(q, group, keys("k", ks), texts("pid", ids))
	text := fmt.Sprintf(`update members set code = %d, cause = nullif(%s, ''), provider_id = coalesce(nullif(u.pid, ''), provider_id) from %s
		where %s and members.code = %d`, to.code, q.cast(string(to.cause), "text"), u, picked, from.code)
	if from.cause != "" {
		text += ` and members.cause = ` + q.cast(string(from.cause), "text")
	}
	changed, err := valuesOf[audience.Key](ctx, tx, text+` returning members.k`, q.args...)
	if err != nil || len(changed) == 0 {
		return 0, err
	}
	resolved := 0
	if from == doubt {
		resolved = 1
	}
	q = s.query()
	g, table := q.arg(group), q.table("u", keys("k", changed))
	text = fmt.Sprintf(`update batches set %[1]s = %[1]s + x.n, %[2]s = %[2]s - x.n, resolved = resolved + x.n * %[3]d from
		(select b.id, count(*) as n from batches b join %[4]s on b.grp = %[5]s and u.k between b.k_lo and b.k_hi group by b.id) x
		where batches.id = x.id`, to.code, from.code, resolved, table, g)
	_, err = tx.ExecContext(ctx, text, q.args...)
	return len(changed), err
}

package storage

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"utskick/audience"
	"utskick/internal/failpoint"
	"utskick/suppression"
	"utskick/tracking"
)

// TakeNotices implements [suppression.Store]. Most notices have no effect, and
// there may be thousands a second of them: they are events like others, and do
// not lock the head.
func (s *Store) TakeNotices(ctx context.Context, notices []suppression.Notice) ([]suppression.InFlight, error) {
	events, effects := make([]tracking.Event, len(notices)), false
	for i, n := range notices {
		events[i] = n.Event
		effects = effects || n.Effect.Cause != ""
	}
	switch {
	case len(notices) == 0:
		return nil, nil
	case effects && len(notices) == 1:
		return s.notices.do(notices[0])
	case effects:
		return s.commitNotices(ctx, notices)
	case len(notices) == 1:
		return nil, s.AppendEvent(ctx, events[0])
	}
	return nil, s.AppendEvents(ctx, events)
}

// commitNotices writes notices and what follows from them in one transaction, then
// the journal, and then asks which claims cover the people who are suppressed now.
func (s *Store) commitNotices(ctx context.Context, notices []suppression.Notice) ([]suppression.InFlight, error) {
	ctx, cancel := untorn(ctx)
	defer cancel()
	var w written
	var people [][]audience.Key
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		failpoint.Hit(failpoint.EventBeforeCommit)
		w, people, err = s.takeNotices(ctx, tx, notices)
		failpoint.Hit(failpoint.WishBeforeCommit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write %d notices: %w", len(notices), err)
	}
	failpoint.Hit(failpoint.WishCommitted)
	return s.inForce(ctx, w, people)
}

// takeNotices writes the events, and the wishes that follow from those of them
// that are new. With a notice that has an effect it locks the head first, so that
// of two transactions with the same notice only one finds it new.
//
// What is returned also has the entries of notices that are not new and whose
// suppression stands: whoever wrote them may have died before they were in the
// journal, and before anybody waited for the claims.
func (s *Store) takeNotices(ctx context.Context, tx *sql.Tx, notices []suppression.Notice) (w written, people [][]audience.Key, err error) {
	events, counts := make([]tracking.Event, len(notices)), map[string]suppression.Cause{}
	var effects []suppression.Notice
	for i, n := range notices {
		events[i] = n.Event
		if n.Effect.Cause != "" && !n.Key.IsZero() {
			effects = append(effects, n)
		}
		if n.Effect.Counts {
			counts[n.Dedupe] = n.Effect.Cause
		}
	}
	if len(effects) == 0 {
		return w, nil, s.insertEvents(ctx, tx, events, nil)
	}
	first, err := s.raiseHead(ctx, tx, 0)
	if err != nil {
		return w, nil, err
	}
	fresh, again, err := s.freshNotices(ctx, tx, effects)
	if err != nil {
		return w, nil, err
	}
	if err := s.insertEvents(ctx, tx, withoutKnown(events, again), counts); err != nil {
		return w, nil, err
	}
	if fresh, err = s.enough(ctx, tx, fresh); err != nil {
		return w, nil, err
	}
	w.head = first
	if wishes := wishesOf(fresh); len(wishes) > 0 {
		if people, err = s.keysOfPeople(ctx, tx, wishes); err != nil {
			return w, nil, err
		}
		if w, err = s.writeWishes(ctx, tx, "", nil, wishes, people); err != nil {
			return w, nil, err
		}
	}
	stands, err := s.standing(ctx, tx, wishesOf(again))
	if err != nil {
		return w, nil, err
	}
	w.entries = append(w.entries, stands...)
	return w, append(people, peopleOf(stands)...), nil
}

func wishesOf(notices []suppression.Notice) []wish {
	wishes := make([]wish, len(notices))
	for i, n := range notices {
		wishes[i] = n.Wish()
	}
	return wishes
}

// withoutKnown leaves out what was told on another day: some providers do not say
// when it happened.
func withoutKnown(events []tracking.Event, again []suppression.Notice) []tracking.Event {
	known := map[string]bool{}
	for _, n := range again {
		known[n.Dedupe] = true
	}
	var out []tracking.Event
	for _, e := range events {
		if !known[e.Dedupe] {
			out = append(out, e)
		}
	}
	return out
}

// freshNotices parts the notices that are on record from those that are not, each
// once. A group that is not there may have been lost with what a restore has
// forgotten: what is told of it counts if the key is somebody's here. Else it is of
// another database, and left out; and so is what says of somebody who was erased
// that her address is dead.
func (s *Store) freshNotices(ctx context.Context, tx *sql.Tx, notices []suppression.Notice) (fresh, again []suppression.Notice, err error) {
	seen := map[string]bool{}
	var ask []suppression.Notice
	for _, n := range notices {
		if !seen[n.Dedupe] {
			seen[n.Dedupe], ask = true, append(ask, n)
		}
	}
	index, ks, groups, dedupes := make([]int64, len(ask)), make([]audience.Key, len(ask)), make([]int64, len(ask)), make([]string, len(ask))
	for i, n := range ask {
		index[i], ks[i], groups[i], dedupes[i] = int64(i), n.Key, n.Group, n.Dedupe
	}
	q := s.query()
	text := fmt.Sprintf(`select u.i, exists (select 1 from events e where e.k = u.k and e.dedupe = u.dedupe),
		exists (select 1 from groups g where g.id = u.grp),
		exists (select 1 from members m where m.grp = u.grp and m.k = u.k) or exists (select 1 from address_keys a where a.k = u.k)
		from %s`,
		q.table("u", ints("i", index), keys("k", ks), ints("grp", groups), texts("dedupe", dedupes)))
	err = each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var i int64
		var known, ours, somebody bool
		err := rows.Scan(&i, &known, &ours, &somebody)
		switch {
		case known:
			again = append(again, ask[i])
		case somebody || ours && ask[i].Wish().Person:
			fresh = append(fresh, ask[i])
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for the notices: %w", err)
	}
	return fresh, again, nil
}

// enough leaves out of new notices those that count, unless they are enough now.
// Their events are written already. Messages before a delivery do not count, and
// neither do those before the cause was lifted: it begins anew.
func (s *Store) enough(ctx context.Context, tx *sql.Tx, fresh []suppression.Notice) (due []suppression.Notice, err error) {
	var counting []suppression.Notice
	for _, n := range fresh {
		if n.Effect.Counts {
			counting = append(counting, n)
		} else {
			due = append(due, n)
		}
	}
	if len(counting) == 0 {
		return due, nil
	}
	index, ks, since, causes := make([]int64, len(counting)), make([]audience.Key, len(counting)), make([]int64, len(counting)), make([]string, len(counting))
	for i, n := range counting {
		index[i], ks[i], since[i], causes[i] = int64(i), n.Key, millisOf(n.At.Add(-suppression.CountWithin)), string(n.Effect.Cause)
	}
	q := s.query()
	text := fmt.Sprintf(`select u.i, count(distinct e.grp), min(e.at), max(e.at) from %s join events e on e.k = u.k and e.counts = u.cause and e.at > u.since
		where e.at > coalesce((select max(d.at) from events d where d.k = u.k and d.type in ('%s', '%s')), 0)
		and e.at > coalesce((select max(x.updated_at) from suppressions x where x.k = u.k and x.cause = u.cause and not x.active), 0) group by u.i`,
		q.table("u", ints("i", index), keys("k", ks), ints("since", since), texts("cause", causes)), tracking.Delivered, tracking.Clicks)
	err = each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var i, first, last int64
		var messages int
		err := rows.Scan(&i, &messages, &first, &last)
		if suppression.Enough(messages, timeOf(first), timeOf(last)) {
			n := counting[i]
			n.Effect.Evidence = fmt.Sprintf("%s, %d messages since %s", n.Effect.Evidence, messages, timeOf(first).Format(time.DateOnly))
			due = append(due, n)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count messages that were not delivered: %w", err)
	}
	return due, nil
}

// standing returns the active entries of wishes, for every key of their people.
func (s *Store) standing(ctx context.Context, tx *sql.Tx, wishes []wish) ([]suppression.Entry, error) {
	if len(wishes) == 0 {
		return nil, nil
	}
	people, err := s.keysOfPeople(ctx, tx, wishes)
	if err != nil {
		return nil, err
	}
	wanted, ks := map[identityOf]bool{}, []audience.Key(nil)
	for i, of := range people {
		for _, k := range of {
			e := wishes[i].Entry
			wanted[identityOf{k, e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause)}] = true
			ks = append(ks, k)
		}
	}
	q := s.query()
	text := fmt.Sprintf(`select %s from suppressions x where x.active and x.k in (select u.k from %s)`, entryColumns, q.table("u", keys("k", ks)))
	var found []suppression.Entry
	err = each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		if wanted[identityOf{e.Key, e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause)}] {
			found = append(found, e)
		}
		return err
	})
	return found, err
}

// retireDevices takes devices that the app is gone from out of the next audiences,
// and takes them back when that is lifted. A file that names the same token again
// does not.
func (s *Store) retireDevices(ctx context.Context, tx *sql.Tx, entries []suppression.Entry) error {
	var ks []audience.Key
	var gone []int64
	for _, e := range entries {
		if e.Cause == suppression.Unregistered {
			ks, gone = append(ks, e.Key), append(gone, 0)
			if e.Active {
				gone[len(gone)-1] = 1
			}
		}
	}
	if len(ks) == 0 {
		return nil
	}
	q := s.query()
	text := fmt.Sprintf(`update devices set active = (u.gone = 0), updated_at = %s from %s where devices.k = u.k`,
		q.cast(s.millis(), "bigint"), q.table("u", keys("k", ks), ints("gone", gone)))
	if _, err := tx.ExecContext(ctx, text, q.args...); err != nil {
		return fmt.Errorf("retire devices: %w", err)
	}
	return nil
}

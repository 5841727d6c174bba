package storage

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"utskick/audience"
	"utskick/internal/failpoint"
	"utskick/suppression"
	"utskick/tracking"
)

// startCommitters starts what gathers concurrent writes into one transaction.
func (s *Store) startCommitters() {
	s.wishes = newCommitter(suppression.ImportSize/4, func(wishes []wish) ([]suppression.Recorded, error) {
		ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
		defer cancel()
		return s.commitWishes(ctx, wishes)
	})
	s.notices = newCommitter(suppression.ImportSize/4, func(notices []suppression.Notice) ([][]suppression.InFlight, error) {
		ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
		defer cancel()
		claims, err := s.commitNotices(ctx, notices)
		return slices.Repeat([][]suppression.InFlight{claims}, len(notices)), err
	})
	s.events = newCommitter(suppression.ImportSize, func(events []tracking.Event) ([]struct{}, error) {
		ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
		defer cancel()
		return make([]struct{}, len(events)), s.AppendEvents(ctx, events)
	})
}

// commitWithin bounds a commit that others wait behind: on a connection that is
// dead without a word it would never end.
const commitWithin = 10 * time.Second

// AppendEvent returns when the event is durable. An event that is already there
// changes nothing.
func (s *Store) AppendEvent(_ context.Context, e tracking.Event) error {
	_, err := s.events.do(e)
	return err
}

// AppendEvents returns when all of the events are durable, or none is. Those that
// are already there change nothing.
func (s *Store) AppendEvents(ctx context.Context, events []tracking.Event) error {
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		failpoint.Hit(failpoint.EventBeforeCommit)
		return s.insertEvents(ctx, tx, events, nil)
	})
	if err != nil {
		return fmt.Errorf("append %d events: %w", len(events), err)
	}
	return nil
}

const millisADay = 24 * 60 * 60 * 1000

// insertEvents writes events, and takes those in doubt for sent whom one of them
// proves sent. Two transactions with the same events write them in the same
// order, so that none waits for the other in a circle. counts has the causes that
// some of them count towards.
func (s *Store) insertEvents(ctx context.Context, tx *sql.Tx, events []tracking.Event, counts map[string]suppression.Cause) error {
	if len(events) == 0 {
		return nil
	}
	said := saying{}
	for _, e := range events {
		said.add(place{e.Group, e.Key}, e.Type)
	}
	if err := s.keepDoubtOut(ctx, tx, said); err != nil {
		return err
	}
	events = slices.SortedFunc(slices.Values(events), func(a, b tracking.Event) int {
		return cmp.Or(cmp.Compare(millisOf(a.At)/millisADay, millisOf(b.At)/millisADay), cmp.Compare(a.Dedupe, b.Dedupe))
	})
	for part := range slices.Chunk(events, suppression.ImportSize) {
		if err := s.insertPart(ctx, tx, part, counts); err != nil {
			return fmt.Errorf("write events: %w", err)
		}
	}
	if err := s.markMachines(ctx, tx, events); err != nil {
		return fmt.Errorf("tell opens and clicks from machines': %w", err)
	}
	return s.resolveBy(ctx, tx, said)
}

// insertPart writes events in one statement. Run, channel and contact come from
// the ledger; an event of a group that is not there is left out, as it is not
// one of this database's, and so is one that a person does not want to be kept.
// Whoever is neither a member nor known as a contact was erased, and an event that
// comes late leads to nobody. Of a member whom retention has cut loose no contact is
// known.
func (s *Store) insertPart(ctx context.Context, tx *sql.Tx, events []tracking.Event, counts map[string]suppression.Cause) error {
	n := len(events)
	towards := make([]string, n)
	days, ats, groups, links := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	dedupes, types, ks := make([]string, n), make([]string, n), make([]audience.Key, n)
	machines, agents, requesters := make([]string, n), make([]string, n), make([]int64, n)
	for i, e := range events {
		ats[i] = millisOf(e.At)
		days[i] = ats[i] / millisADay
		dedupes[i], types[i], groups[i], ks[i], links[i] = e.Dedupe, string(e.Type), e.Group, e.Key, e.Link
		towards[i] = string(counts[e.Dedupe])
		machines[i], agents[i], requesters[i] = string(e.Machine), string(e.Agent), int64(e.Requester)
	}
	q := s.query()
	text := fmt.Sprintf(`insert into events (day, dedupe, at, type, run, grp, channel, k, contact, link, counts, machine, agent, requester)
		select u.day, u.dedupe, u.at, u.type, g.run, g.id, g.channel,
		case when exists (select 1 from members m where m.grp = g.id and m.k = u.k) or exists (select 1 from address_keys a where a.k = u.k) then u.k end,
		(select nullif(m.contact, 0) from members m where m.grp = g.id and m.k = u.k), nullif(u.link, 0), nullif(u.counts, ''), u.machine, u.agent, nullif(u.requester, 0)
		from %s join groups g on g.id = u.grp where not (%s) order by u.day, u.dedupe on conflict (day, dedupe) do nothing`,
		q.table("u", ints("day", days), texts("dedupe", dedupes), ints("at", ats), texts("type", types),
			ints("grp", groups), keys("k", ks), ints("link", links), texts("counts", towards),
			texts("machine", machines), texts("agent", agents), ints("requester", requesters)), q.untracked())
	_, err := tx.ExecContext(ctx, text, q.args...)
	return err
}

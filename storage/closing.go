package storage

import (
	"context"
	"database/sql"
	"fmt"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/templates"
)

// moved is a contact that was changed after its run began, with the destination
// that it has now; a zero key is none.
type moved struct {
	contact int64
	key     audience.Key
	own     audience.Key // of kind contact
	locale  string
}

// planMoved plans the closing slice: contacts whose key changed while the slices
// were planned, so that they stood in none of them.
func (s *Store) planMoved(ctx context.Context, tx *sql.Tx, p *slicePlan) (size int64, err error) {
	groups, err := s.makeGroups(ctx, tx, p)
	if err != nil {
		return 0, err
	}
	without, err := s.makeGroup(ctx, tx, p, p.template.Default)
	if err != nil {
		return 0, err
	}
	after := changed{at: p.started - 1}
	for {
		page, last, err := s.movedSince(ctx, tx, p, after)
		if err != nil {
			return 0, err
		}
		if last == after {
			break
		}
		after = last
		n, err := s.addMissing(ctx, tx, p, page, groups, without)
		if err != nil {
			return 0, err
		}
		size += n
	}
	if err := s.makeAllBatches(ctx, tx, p, groups); err != nil {
		return 0, err
	}
	return size, s.closedBatch(ctx, tx, p, without)
}

// changed is a place in the order in which contacts were changed.
type changed struct{ at, contact int64 }

// movedSince returns a page of contacts that were changed after a place, in the
// order of their changes, and the place of the last.
func (s *Store) movedSince(ctx context.Context, tx *sql.Tx, p *slicePlan, after changed) ([]moved, changed, error) {
	from := "contacts c"
	if p.ref.Channel == audience.Push {
		from += " left join devices d on d.contact = c.id and d.active"
	}
	text := fmt.Sprintf(`select c.id, c.updated_at, %s, c.contact_k, c.locale from %s where c.id in
		(select id from contacts where (updated_at, id) > ($1, $2) order by updated_at, id limit 1000) order by c.updated_at, c.id`,
		destinations[p.ref.Channel].key, from)
	var page []moved
	err := each(ctx, tx, text, []any{after.at, after.contact}, func(rows *sql.Rows) error {
		var m moved
		err := rows.Scan(&m.contact, &after.at, &m.key, &m.own, &m.locale)
		page, after.contact = append(page, m), m.contact
		return err
	})
	return page, after, err
}

// addMissing adds those of the page who are not in the run under any key that
// they have or had, and returns how many. A contact whose address is in the run
// already, under another contact, is no new member: her own slice may have
// counted her as a duplicate.
func (s *Store) addMissing(ctx context.Context, tx *sql.Tx, p *slicePlan, page []moved, groups map[string]int64, without int64) (size int64, err error) {
	present, err := s.presentIn(ctx, tx, p, page)
	if err != nil {
		return 0, err
	}
	for _, m := range page {
		if present[m.contact] {
			continue
		}
		n := int64(1)
		if m.key.IsZero() {
			const insert = `insert into members (grp, k, contact, code, cause) values ($1, $2, $3, $4, $5)`
			_, err = tx.ExecContext(ctx, insert, without, keyArg(m.own), m.contact, int(dispatcher.Skipped), string(dispatcher.CauseNoAddress))
		} else {
			n, err = s.addMember(ctx, tx, p, m, groups)
		}
		if err != nil {
			return 0, fmt.Errorf("add a moved member: %w", err)
		}
		size += n
	}
	return size, nil
}

// addMember adds a member unless its key is in the run already.
func (s *Store) addMember(ctx context.Context, tx *sql.Tx, p *slicePlan, m moved, groups map[string]int64) (int64, error) {
	group := groups[templates.LanguageFor(p.template, m.locale)]
	q := s.query()
	text := fmt.Sprintf(`insert into members (grp, k, contact) select %s, %s, %s where not exists
		(select 1 from groups g join members m on m.grp = g.id and m.k = %s where g.run = %s and g.channel = %s and g.slice in (%s, %s))`,
		q.cast(group, "bigint"), q.cast(m.key, "bytea"), q.cast(m.contact, "bigint"), q.arg(m.key),
		q.arg(p.ref.Run), q.arg(string(p.ref.Channel)), q.arg(sliceOf(m.key, p.slices)), q.arg(p.ref.Slice))
	return affected(tx.ExecContext(ctx, text, q.args...))
}

// presentIn returns the contacts of the page that are members under a key that
// they have or had, on this channel's kind or as a contact.
func (s *Store) presentIn(ctx context.Context, tx *sql.Tx, p *slicePlan, page []moved) (map[int64]bool, error) {
	contacts := make([]int64, len(page))
	for i, m := range page {
		contacts[i] = m.contact
	}
	q := s.query()
	text := fmt.Sprintf(`select a.contact, a.k from %s join address_keys a on a.contact = u.contact where a.kind in (%s, 'contact')`,
		q.table("u", ints("contact", contacts)), q.arg(string(p.ref.Channel.Kind())))
	var holders, slices []int64
	var ks []audience.Key
	err := each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var contact int64
		var k audience.Key
		err := rows.Scan(&contact, &k)
		holders, ks, slices = append(holders, contact), append(ks, k), append(slices, int64(sliceOf(k, p.slices)))
		return err
	})
	if err != nil || len(ks) == 0 {
		return nil, err
	}
	q = s.query()
	table := q.table("u", ints("contact", holders), keys("k", ks), ints("slice", slices))
	text = fmt.Sprintf(`select distinct u.contact from %s join groups g on g.run = %s and g.channel = %s and g.slice in (u.slice, %s)
		join members m on m.grp = g.id and m.k = u.k and m.contact = u.contact`, table, q.arg(p.ref.Run), q.arg(string(p.ref.Channel)), q.arg(p.ref.Slice))
	present := map[int64]bool{}
	err = each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var contact int64
		err := rows.Scan(&contact)
		present[contact] = true
		return err
	})
	return present, err
}

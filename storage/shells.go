package storage

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
)

// Of somebody who subscribed without being known a contact is made here. When the
// retailer names one who has the address, that one takes it over, and of the other
// a shell is left: a contact without any address, who has what was sent to her
// until then. It is nobody else, so an export and an erasure cover it.

// madeHere is the condition that a contact was made here.
func madeHere(contact string) string {
	return contact + `.external_id like '` + audience.MadeHere + `%'`
}

// isShellOf is the condition that a contact s, who has or had the address of key k,
// is a shell of a contact: of the first who got the address after it was made, or
// else of the first who had it.
func isShellOf(s, k, contact string) string {
	return fmt.Sprintf(`(%[1]s and %[2]s.email_k is null and %[2]s.phone_k is null and not exists (select 1 from devices d where d.contact = %[2]s.id)
		and %[3]s = (select h.contact from address_keys h join contacts hc on hc.id = h.contact where h.k = %[4]s and not %[5]s
			order by case when h.first_seen >= %[2]s.created_at then 0 else 1 end, h.first_seen, h.contact limit 1))`,
		madeHere(s), s, contact, k, madeHere("hc"))
}

// shell is the contact that is left of a subscriber.
type shell struct {
	id       int64
	external string
	own      audience.Key
}

func (s *Store) shellsOf(ctx context.Context, from queryer, contact int64) (found []shell, err error) {
	text := `select distinct c.id, c.external_id, c.contact_k from address_keys mine join address_keys theirs on theirs.k = mine.k and theirs.contact <> mine.contact
		join contacts c on c.id = theirs.contact where mine.contact = $1 and mine.kind = 'email' and ` + isShellOf("c", "mine.k", "mine.contact") + ` order by c.id`
	err = each(ctx, from, text, []any{contact}, func(rows *sql.Rows) error {
		var f shell
		err := rows.Scan(&f.id, &f.external, &f.own)
		found = append(found, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find what is left of subscribers: %w", err)
	}
	return found, nil
}

// findShells finds what is left of the subscriber that a person was: messages to it
// are hers, and are waited for like hers.
func (x *erasing) findShells(ctx context.Context) error {
	shells, err := x.s.shellsOf(ctx, x.tx, x.contact)
	if err != nil {
		return err
	}
	for _, found := range shells {
		y := &erasing{s: x.s, tx: x.tx, declined: x.declined, contact: found.id, own: found.own}
		if y.all, y.alone, y.shared, err = x.s.keysAlone(ctx, x.tx, y.contact); err != nil {
			return err
		}
		if err := y.findSpots(ctx); err != nil {
			return err
		}
		x.spots, x.waits = append(x.spots, y.spots...), append(x.waits, y.waits...)
		y.spots = nil
		x.shells = append(x.shells, y)
	}
	return nil
}

// scrubShells removes them. Their messages are cut loose already.
func (x *erasing) scrubShells(ctx context.Context) error {
	for _, y := range x.shells {
		y.graves, y.aliases, y.homes = x.graves, x.aliases, x.homes
		if err := y.scrub(ctx); err != nil {
			return err
		}
	}
	return nil
}

// readShells adds what the tables hold of the subscriber that a person was.
func (p *person) readShells(ctx context.Context) error {
	shells, err := p.s.shellsOf(ctx, p.tx, p.contact)
	if err != nil {
		return err
	}
	for _, found := range shells {
		y := &person{s: p.s, tx: p.tx, contact: found.id, rows: map[string][]rights.Row{}}
		if y.all, y.alone, _, err = p.s.keysAlone(ctx, p.tx, y.contact); err != nil {
			return err
		}
		for _, t := range rights.Register() {
			if len(t.Columns) == 0 {
				continue
			}
			if err := y.read(ctx, t); err != nil {
				return fmt.Errorf("read what table %s has of a subscriber: %w", t.Name, err)
			}
		}
		for table, rows := range y.rows {
			p.addOthers(table, rows)
		}
	}
	return nil
}

// addOthers adds rows that are not there yet: both have had the address.
func (p *person) addOthers(table string, rows []rights.Row) {
	for _, row := range rows {
		same := func(there rights.Row) bool {
			return maps.EqualFunc(there, row, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
		}
		if !slices.ContainsFunc(p.rows[table], same) {
			p.rows[table] = append(p.rows[table], row)
		}
	}
}

// withShells adds the communications with the subscriber that a person was, the
// newest run first.
func (s *Store) withShells(ctx context.Context, contact int64, all []dispatcher.Communication) ([]dispatcher.Communication, error) {
	shells, err := s.shellsOf(ctx, s.read, contact)
	if err != nil || len(shells) == 0 {
		return all, err
	}
	for _, found := range shells {
		more, err := s.History(ctx, found.external)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	slices.SortStableFunc(all, func(a, b dispatcher.Communication) int { return cmp.Compare(b.Run, a.Run) })
	for i := range all {
		all[i].NoticeFirst = false
	}
	markFirst(all)
	return all, nil
}

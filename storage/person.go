package storage

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"utskick/audience"
	"utskick/rights"
)

// PersonalData implements [rights.Source]: all that the tables of the register
// hold about a contact, in one snapshot.
func (s *Store) PersonalData(ctx context.Context, externalID string) (rights.Data, error) {
	var d rights.Data
	var err error
	if d.Contact, err = s.Contact(ctx, externalID); err != nil {
		return d, err
	}
	if d.Communications, err = s.History(ctx, externalID); err != nil {
		return d, err
	}
	if d.Communications, err = s.withShells(ctx, d.Contact.ID, d.Communications); err != nil {
		return d, err
	}
	if d.Senders, err = s.Senders(ctx); err != nil {
		return d, fmt.Errorf("read the senders: %w", err)
	}
	d.Rows, err = s.personalRows(ctx, d.Contact.ID, func(tx *sql.Tx) (all, alone []audience.Key, err error) {
		all, alone, _, err = s.keysAlone(ctx, tx, d.Contact.ID)
		return all, alone, err
	})
	return d, err
}

// DataOfKey implements [rights.Source].
func (s *Store) DataOfKey(ctx context.Context, k audience.Key) (d rights.Data, err error) {
	if d.Senders, err = s.Senders(ctx); err != nil {
		return d, fmt.Errorf("read the senders: %w", err)
	}
	d.Rows, err = s.personalRows(ctx, 0, func(tx *sql.Tx) (all, alone []audience.Key, err error) {
		return []audience.Key{k}, []audience.Key{k}, s.ofNobody(ctx, tx, k)
	})
	return d, err
}

// personalRows reads the rows of a contact, or of nobody, with the keys that find
// returns in the same snapshot.
func (s *Store) personalRows(ctx context.Context, contact int64, find func(*sql.Tx) (all, alone []audience.Key, err error)) (map[string][]rights.Row, error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{Isolation: s.d.snapshot(), ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("read a person's data: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	p := &person{s: s, tx: tx, contact: contact, rows: map[string][]rights.Row{}}
	if p.all, p.alone, err = find(tx); err != nil {
		return nil, err
	}
	for _, t := range rights.Register() {
		if len(t.Columns) == 0 {
			continue
		}
		if err := p.read(ctx, t); err != nil {
			return nil, fmt.Errorf("read what table %s has of a person: %w", t.Name, err)
		}
	}
	if p.contact != 0 {
		if err := p.readShells(ctx); err != nil {
			return nil, err
		}
	}
	return p.rows, nil
}

// person is somebody whose rows are read.
type person struct {
	s          *Store
	tx         *sql.Tx
	contact    int64 // 0: she is none
	all, alone []audience.Key
	rows       map[string][]rights.Row
}

// read reads her rows of a table.
func (p *person) read(ctx context.Context, t rights.Table) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = "x." + c.Name
	}
	q := p.s.query()
	text := `select distinct ` + strings.Join(names, ", ") + `, x.` + t.Order + ` from ` + p.found(q, t) + ` order by x.` + t.Order
	return each(ctx, p.tx, text, q.args, func(rows *sql.Rows) error {
		values := make([]any, len(names)+1)
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		row, err := p.row(t, values)
		if len(row) > 0 {
			p.rows[t.Name] = append(p.rows[t.Name], row)
		}
		return err
	})
}

// found is what to select a person's rows of a table x from.
func (p *person) found(q *query, t rights.Table) string {
	from, mine := t.Name+` x where x.`+t.By, func(ks []audience.Key) string { return `(select u.k from ` + q.table("u", keys("k", ks)) + `)` }
	switch t.Found {
	case rights.ByKey:
		return from + ` in ` + mine(p.all)
	case rights.ByKeyOrContact:
		return from + ` in ` + mine(p.all) + ` and ` + q.isHers("x", p.contact, p.alone)
	case rights.ByCase:
		return from + ` in (select c.id from cases c where c.k in ` + mine(p.all) + ` and ` + q.isHers("c", p.contact, p.alone) + `)`
	case rights.ByName:
		return from + ` in (select u.name from ` + q.table("u", texts("name", auditNames(p.contact, p.alone))) + `)`
	case rights.ByPlace:
		return q.table("u", keys("k", p.all)) + ` join groups g on true join ` + t.Name + ` x on x.grp = g.id and x.` + t.By + ` = u.k and ` + q.isHers("x", p.contact, p.alone)
	case rights.ByBound:
		runs := `(select distinct g.run, g.channel, m.k from ` + q.table("u", keys("k", p.all)) +
			` join groups g on true join members m on m.grp = g.id and m.k = u.k and ` + q.isHers("m", p.contact, p.alone) + `) u`
		around := ` join batches b on b.run = u.run and b.channel = u.channel and b.k_lo <= u.k and b.k_hi >= u.k`
		return runs + around + ` join ` + t.Name + ` x on x.` + t.By + ` = b.id`
	default:
		return from + ` = ` + q.arg(p.contact)
	}
}

// auditNames are what the audit log calls a person.
func auditNames(contact int64, alone []audience.Key) []string {
	names := []string{fmt.Sprintf("contact %d", contact)}
	for _, k := range alone {
		names = append(names, k.Short())
	}
	return names
}

// row brings values into the form of an export. NULL and what is not hers is left
// out.
func (p *person) row(t rights.Table, values []any) (rights.Row, error) {
	row := rights.Row{}
	for i, c := range t.Columns {
		v, err := valueOf(c, values[i])
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		switch {
		case c.As == rights.Lines:
			v = p.ownLines(v)
		case t.Found == rights.ByBound && !p.has(v):
			v = nil
		}
		if v != nil {
			row[c.Name] = v
		}
	}
	return row, nil
}

// has reports whether a value is one of her keys.
func (p *person) has(v any) bool {
	for _, k := range p.all {
		if k.String() == v {
			return true
		}
	}
	return false
}

// ownLines is what is hers of the lines about many.
func (p *person) ownLines(v any) any {
	var own []string
	lines, _ := v.(string)
	for _, k := range p.all {
		if id := messageID(lines, k); id != "" {
			own = append(own, id)
		}
	}
	if len(own) == 0 {
		return nil
	}
	return strings.Join(own, " ")
}

// valueOf brings what a driver read into a form that is the same for both engines.
func valueOf(c rights.Column, v any) (any, error) {
	switch c.As {
	case rights.Time:
		if n, ok := v.(int64); ok && n != 0 {
			return timeOf(n).Format(time.RFC3339Nano), nil
		}
		return nil, nil
	case rights.Flag:
		if n, ok := v.(int64); ok {
			return n != 0, nil
		}
		return v, nil
	case rights.Key:
		if b, ok := v.([]byte); ok {
			return hex.EncodeToString(b), nil
		}
		return nil, nil
	case rights.Object:
		var object any
		text, _ := v.(string)
		err := json.Unmarshal([]byte(text), &object)
		return object, err
	}
	if b, ok := v.([]byte); ok {
		return string(b), nil
	}
	return v, nil
}

package storage

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"utskick/rights"
)

const caseColumns = `s.id, s.kind, s.way, s.received_at, s.due_on, s.state, s.route, s.opened_at, s.opened_by, coalesce(c.external_id, ''), s.k, s.external,
	s.identity_method, s.identity_by, s.identity_at, s.extended_reason, s.extended_told, s.outcome, s.ended_at, s.ended_by`

const casesWithContact = ` from cases s left join contacts c on c.id = s.contact `

func scanCase(row interface{ Scan(...any) error }) (c rights.Case, err error) {
	var received, due, opened, checked, told, ended int64
	err = row.Scan(&c.ID, &c.Kind, &c.Way, &received, &due, &c.State, &c.Route, &opened, &c.OpenedBy, &c.Contact, &c.Key, &c.External,
		&c.Identity.Method, &c.Identity.By, &checked, &c.ExtendedReason, &told, &c.Outcome, &ended, &c.EndedBy)
	c.Received, c.Due, c.Opened, c.Identity.At = timeOf(received), timeOf(due), timeOf(opened), timeOf(checked)
	c.ExtendedTold, c.Ended = timeOf(told), timeOf(ended)
	return c, err
}

// OpenCase implements [rights.Cases]. Of a contact who has been erased meanwhile it
// is ErrNotFound: nothing may be written of her by the name that she had.
func (s *Store) OpenCase(ctx context.Context, c rights.Case) (rights.Case, error) {
	const text = `insert into cases (kind, way, received_at, due_on, state, route, opened_at, opened_by, contact, k, external)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning id`
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.keepPeople(ctx, tx); err != nil {
			return err
		}
		var contact sql.NullInt64
		if c.Contact != "" {
			if err := tx.QueryRowContext(ctx, `select id from contacts where external_id = $1`, c.Contact).Scan(&contact); err != nil {
				return orNotFound(err, "contact of a case")
			}
		}
		err := tx.QueryRowContext(ctx, text, string(c.Kind), string(c.Way), millisOf(c.Received), millisOf(c.Due), string(c.State), string(c.Route),
			millisOf(c.Opened), c.OpenedBy, contact, keyArg(c.Key), c.External).Scan(&c.ID)
		if err != nil {
			return err
		}
		return insertNotes(ctx, tx, c.ID, c.Notes)
	})
	if err != nil {
		return c, fmt.Errorf("open a case: %w", err)
	}
	return c, nil
}

// Case implements [rights.Cases].
func (s *Store) Case(ctx context.Context, id int64) (rights.Case, error) {
	return readCase(ctx, s.read, id, "")
}

// readCase reads a case with its notes.
func readCase(ctx context.Context, from interface {
	queryer
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, id int64, lock string) (rights.Case, error) {
	c, err := scanCase(from.QueryRowContext(ctx, `select `+caseColumns+casesWithContact+`where s.id = $1`+lock, id))
	if err != nil {
		return c, orNotFound(err, "case %d", id)
	}
	const text = `select at, author, words from case_notes where case_id = $1 order by id`
	err = each(ctx, from, text, []any{id}, func(rows *sql.Rows) error {
		var n rights.Note
		var at int64
		err := rows.Scan(&at, &n.By, &n.Text)
		n.At = timeOf(at)
		c.Notes = append(c.Notes, n)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("read the notes of case %d: %w", id, err)
	}
	return c, nil
}

// Cases implements [rights.Cases].
func (s *Store) Cases(ctx context.Context, f rights.CaseFilter, today time.Time) (found []rights.Case, err error) {
	q := s.query()
	where := []string{"s.id > " + q.arg(f.After)}
	if f.Waiting || f.Overdue {
		where = append(where, "s.ended_at = 0")
	}
	if f.Overdue {
		where = append(where, "s.due_on < "+q.arg(millisOf(rights.DayOf(today))))
	}
	if f.Route != "" {
		where = append(where, "s.route = "+q.arg(string(f.Route)))
	}
	if f.Kind != "" {
		where = append(where, "s.kind = "+q.arg(string(f.Kind)))
	}
	text := `select ` + caseColumns + casesWithContact + `where ` + strings.Join(where, " and ") + ` order by s.id limit ` + q.arg(f.Limit)
	err = each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		c, err := scanCase(rows)
		found = append(found, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	return found, nil
}

// ChangeCase implements [rights.Cases]. Of two who change a case at the same time,
// the second sees what the first has made of it.
func (s *Store) ChangeCase(ctx context.Context, id int64, change func(*rights.Case) error) (c rights.Case, err error) {
	const text = `update cases set due_on = $2, state = $3, route = $4, identity_method = $5, identity_by = $6, identity_at = $7,
		extended_reason = $8, extended_told = $9, outcome = $10, ended_at = $11, ended_by = $12 where id = $1`
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if c, err = readCase(ctx, tx, id, s.d.updateOf("s")); err != nil {
			return err
		}
		had := len(c.Notes)
		if err := change(&c); err != nil {
			return err
		}
		if err := insertNotes(ctx, tx, id, c.Notes[had:]); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, text, id, millisOf(c.Due), string(c.State), string(c.Route), string(c.Identity.Method), c.Identity.By,
			millisOf(c.Identity.At), c.ExtendedReason, millisOf(c.ExtendedTold), c.Outcome, millisOf(c.Ended), c.EndedBy)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("change case %d: %w", id, err)
	}
	return c, nil
}

func insertNotes(ctx context.Context, tx *sql.Tx, id int64, notes []rights.Note) error {
	for _, n := range notes {
		const text = `insert into case_notes (case_id, at, author, words) values ($1, $2, $3, $4)`
		if _, err := tx.ExecContext(ctx, text, id, millisOf(n.At), n.By, n.Text); err != nil {
			return err
		}
	}
	return nil
}

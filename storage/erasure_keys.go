package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"utskick/audience"
	"utskick/rights"
)

// keysAlone returns the keys that a contact has or had, and which of them nobody
// else has or had. A shell of hers is nobody else.
func (s *Store) keysAlone(ctx context.Context, from queryer, contact int64) (all, alone, shared []audience.Key, err error) {
	text := `select a.k, exists (select 1 from address_keys o where o.k = a.k and o.contact <> a.contact
		and not exists (select 1 from contacts oc where oc.id = o.contact and ` + isShellOf("oc", "a.k", "a.contact") + `)) from address_keys a where a.contact = $1 order by a.k`
	err = each(ctx, from, text, []any{contact}, func(rows *sql.Rows) error {
		var k audience.Key
		var others bool
		err := rows.Scan(&k, &others)
		all = append(all, k)
		if others {
			shared = append(shared, k)
		} else {
			alone = append(alone, k)
		}
		return err
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("find the keys of a person: %w", err)
	}
	return all, alone, shared, nil
}

// keyAlone returns the key of somebody who is no contact. If one has got the address
// meanwhile, what is held under it is the contact's.
func (s *Store) keyAlone(ctx context.Context, from rowQueryer, k audience.Key) (all, alone []audience.Key, err error) {
	err = s.ofNobody(ctx, from, k)
	if errors.Is(err, rights.ErrContact) {
		return []audience.Key{k}, nil, nil
	}
	return []audience.Key{k}, []audience.Key{k}, err
}

// isHers is the condition that a row x is a person's: it names her as the contact,
// or nobody under a key that she alone has or had. Retention leaves rows that name
// nobody, and what comes in for somebody unknown names nobody from the beginning.
func (q *query) isHers(x string, contact int64, alone []audience.Key) string {
	return fmt.Sprintf(`(%[1]s.contact = %[2]s or coalesce(%[1]s.contact, 0) = 0 and %[1]s.k in (select own.k from %[3]s))`,
		x, q.arg(contact), q.table("own", keys("k", alone)))
}

package storage

import (
	"context"
	"database/sql"
	"fmt"

	"utskick/audience"
)

// writeRelations writes what the rows say of relations to senders, and brings
// contacts.relations of contacts that are there up to date. Contacts that are
// inserted afterwards find it.
func (s *Store) writeRelations(ctx context.Context, tx *sql.Tx, rows []audience.Row, stored map[string]audience.Contact) error {
	var ks, known []audience.Key
	var senders, since []string
	var ended []int64
	for _, r := range rows {
		if len(r.Relations) == 0 {
			continue
		}
		k := s.keyer.Key(audience.KindContact, r.Contact.ExternalID)
		for sender, relation := range r.Relations {
			ks, senders, since = append(ks, k), append(senders, sender), append(since, relation.Since)
			ended = append(ended, map[bool]int64{true: 1}[relation.Ended])
		}
		if _, there := stored[r.Contact.ExternalID]; there {
			known = append(known, k)
		}
	}
	if len(ks) == 0 {
		return nil
	}
	q := s.query()
	// One that had ended and goes on again has begun anew.
	text := fmt.Sprintf(`insert into relations (contact_k, sender, since, ended_at, source, told_at)
		select u.k, u.sender, u.since, case when u.ended = 1 then %[1]s else 0 end, 'import', %[1]s from %[2]s where true
		on conflict (contact_k, sender) do update set ended_at = excluded.ended_at, source = excluded.source, told_at = excluded.told_at,
		since = case when excluded.since = '' and (relations.ended_at = 0 or excluded.ended_at > 0) then relations.since else excluded.since end
		where (relations.ended_at > 0) <> (excluded.ended_at > 0) or excluded.since not in ('', relations.since)`,
		q.cast(q.now, "bigint"), q.table("u", keys("k", ks), texts("sender", senders), texts("since", since), ints("ended", ended)))
	if _, err := tx.ExecContext(ctx, text, q.args...); err != nil {
		return err
	}
	return s.copyRelations(ctx, tx, known)
}

// relationsOf is the expression for contacts.relations of the contact whose key
// it is formatted with as third argument.
const relationsOf = `(select case when count(*) = 0 then '' else ' ' || coalesce(string_agg(case when y.ended_at = 0 then y.sender end, ' ' order by y.sender) || ' ', '') end
	from relations y where y.contact_k = %[3]s)`

func (s *Store) copyRelations(ctx context.Context, tx *sql.Tx, ks []audience.Key) error {
	if len(ks) == 0 {
		return nil
	}
	q := s.query()
	text := fmt.Sprintf(`update contacts set relations = `+relationsOf+` where contact_k in (select u.k from %[1]s) and relations <> `+relationsOf,
		q.table("u", keys("k", ks)), nil, "contacts.contact_k")
	_, err := tx.ExecContext(ctx, text, q.args...)
	return err
}

// Relations returns the relations of a contact to senders, by their names, those
// that have ended included.
func (s *Store) Relations(ctx context.Context, externalID string) (all []audience.Relation, err error) {
	const text = `select sender, since, ended_at > 0 from relations where contact_k = $1 order by sender`
	k := s.keyer.Key(audience.KindContact, externalID)
	err = each(ctx, s.read, text, []any{keyArg(k)}, func(rows *sql.Rows) error {
		var r audience.Relation
		err := rows.Scan(&r.Sender, &r.Since, &r.Ended)
		all = append(all, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the relations of a contact: %w", err)
	}
	return all, nil
}

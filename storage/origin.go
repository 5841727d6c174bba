package storage

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"

	"utskick/audience"
	"utskick/dispatcher"
)

// Origin returns where the messages of a group come from, or ErrNotFound.
func (s *Store) Origin(ctx context.Context, group int64) (o dispatcher.Origin, err error) {
	const text = `select g.channel, g.sender, c.topic from groups g join runs r on r.id = g.run join campaigns c on c.id = r.campaign where g.id = $1`
	err = s.read.QueryRowContext(ctx, text, group).Scan(&o.Channel, &o.Sender, &o.Topic)
	return o, orNotFound(err, "group %d", group)
}

// Addressee returns whoever has or had the address of a key; of several, the
// first says in which language.
func (s *Store) Addressee(ctx context.Context, key audience.Key) (audience.Addressee, error) {
	who := audience.Addressee{Keys: []audience.Key{key}}
	q := s.query()
	text := `select distinct p.k from ` + s.d.otherKeys(q.table("u", keys("k", who.Keys)))
	others, err := valuesOf[audience.Key](ctx, s.read, text, q.args...)
	if err != nil {
		return who, fmt.Errorf("find the keys of a person: %w", err)
	}
	who.Keys = append(who.Keys, others...)
	const known = `select c.locale, case when c.email_k = $1 then c.email else '' end
		from address_keys a join contacts c on c.id = a.contact where a.k = $1 order by c.id desc`
	err = each(ctx, s.read, known, []any{keyArg(key)}, func(rows *sql.Rows) error {
		var email string
		err := rows.Scan(&who.Locale, &email)
		who.Email = cmp.Or(email, who.Email)
		return err
	})
	if err != nil {
		return who, fmt.Errorf("find who has an address: %w", err)
	}
	return who, nil
}

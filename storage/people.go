package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"utskick/audience"
	"utskick/rights"
	"utskick/suppression"
)

// mostFound bounds the people that are found by addresses. Beyond it, somebody
// has to be looked for by more.
const mostFound = 100

// hasNow says whether a contact c has the address of a key a now.
const hasNow = `coalesce(a.k in (c.contact_k, c.email_k, c.phone_k), false)
	or exists (select 1 from devices d where d.contact = c.id and d.k = a.k and d.active)`

// FindPeople returns up to 100 contacts who have or had an address with one of
// the keys, once for each such key, in the order of their ids.
func (s *Store) FindPeople(ctx context.Context, ks []audience.Key) (found []audience.Found, err error) {
	q := s.query()
	text := `select c.id, c.external_id, c.first_name, c.last_name, a.kind, a.k, a.first_seen, ` + hasNow + ` from ` +
		s.d.lookUp(q.table("u", keys("k", ks)), "address_keys", "a", "%[1]s.k = u.k") +
		fmt.Sprintf(` join contacts c on c.id = a.contact order by c.id, a.kind limit %d`, mostFound)
	err = each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		var f audience.Found
		var seen int64
		err := rows.Scan(&f.ID, &f.ExternalID, &f.FirstName, &f.LastName, &f.Kind, &f.Key, &seen, &f.Current)
		f.FirstSeen = timeOf(seen)
		found = append(found, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find people by their keys: %w", err)
	}
	return found, nil
}

// Person returns a contact by id, with her devices and every key that she has
// or had, or ErrNotFound.
func (s *Store) Person(ctx context.Context, id int64) (c audience.Contact, ks []audience.KnownKey, err error) {
	c, err = scanContact(s.read.QueryRowContext(ctx, `select `+contactColumns+` from contacts c where c.id = $1`, id))
	if err != nil {
		return c, nil, orNotFound(err, "contact %d", id)
	}
	devices, err := s.devicesOf(ctx, s.read, map[int64]string{id: c.ExternalID})
	if err != nil {
		return c, nil, fmt.Errorf("read the devices of contact %d: %w", id, err)
	}
	c.Devices = devices[id]
	text := `select a.kind, a.k, a.first_seen, ` + hasNow + ` from address_keys a join contacts c on c.id = a.contact where a.contact = $1
		order by a.kind, a.first_seen desc, a.k`
	err = each(ctx, s.read, text, []any{id}, func(rows *sql.Rows) error {
		var k audience.KnownKey
		var seen int64
		err := rows.Scan(&k.Kind, &k.Key, &seen, &k.Current)
		k.FirstSeen = timeOf(seen)
		ks = append(ks, k)
		return err
	})
	if err != nil {
		return c, nil, fmt.Errorf("read the keys of contact %d: %w", id, err)
	}
	return c, ks, nil
}

// lookForMessage is how long a message is looked for by its provider's id: no
// index has them, since a second write for each message would cost more than all
// the rest. The newest calls are read first.
const lookForMessage = 5 * time.Second

// KeyOfMessage returns the key that a message was sent to, by its provider's id
// for it, or ErrNotFound: also when it is too old to be found in five seconds,
// and when the id is that of a call to many.
func (s *Store) KeyOfMessage(ctx context.Context, id string) (audience.Key, error) {
	looking, cancel := context.WithTimeout(ctx, lookForMessage)
	defer cancel()
	k, err := s.keyOfMessage(looking, id)
	switch {
	case ctx.Err() == nil && looking.Err() != nil, errors.Is(err, sql.ErrNoRows):
		return audience.Key{}, fmt.Errorf("message of this id among the newest: %w", ErrNotFound)
	case err != nil:
		return audience.Key{}, fmt.Errorf("find a message by its id: %w", err)
	}
	return k, nil
}

func (s *Store) keyOfMessage(ctx context.Context, id string) (k audience.Key, err error) {
	if id == "" || strings.ContainsAny(id, "\n\x00") {
		return k, sql.ErrNoRows
	}
	text := `select c.batch, coalesce(c.k_from, $3), c.k_to, coalesce(c.message_ids, ''), coalesce(c.provider_id, '') from calls c where c.provider_id = $1 or ` +
		s.d.within("c.message_ids", "$2") + ` order by c.batch desc, c.fence desc limit 1`
	var batch int64
	var from, to []byte
	var packed, call string
	err = s.read.QueryRowContext(ctx, text, id, " "+id+"\n", []byte{}).Scan(&batch, &from, &to, &packed, &call)
	if errors.Is(err, sql.ErrNoRows) {
		// What was in doubt has its id on the member.
		resolved := `select m.k from ` + s.d.lookUp("batches b", "members", "m", "%[1]s.grp = b.grp and %[1]s.k >= b.k_lo and %[1]s.k <= b.k_hi") +
			` where b.resolved > 0 and m.provider_id = $1 limit 1`
		err = s.read.QueryRowContext(ctx, resolved, id).Scan(&k)
		return k, err
	}
	if err != nil {
		return k, err
	}
	if k, found := keyOfMessageID(packed, id); found {
		return k, nil
	}
	if call != id {
		return k, sql.ErrNoRows
	}
	return s.onlyMember(ctx, batch, from, to)
}

// onlyMember returns the key of a call's member, or sql.ErrNoRows if it has many.
func (s *Store) onlyMember(ctx context.Context, batch int64, from, to []byte) (k audience.Key, err error) {
	const text = `select m.k from batches b join members m on m.grp = b.grp and m.k >= b.k_lo where b.id = $1 and m.k > $2 and m.k <= $3 limit 2`
	n := 0
	err = each(ctx, s.read, text, []any{batch, from, to}, func(rows *sql.Rows) error {
		n++
		return rows.Scan(&k)
	})
	if err == nil && n != 1 {
		err = sql.ErrNoRows
	}
	return k, err
}

// Consents returns what the contact with a key has granted and refused, and what
// she had granted before a wish took it back, the newest first.
func (s *Store) Consents(ctx context.Context, contact audience.Key) (now []suppression.Grant, before []suppression.PastGrant, err error) {
	const text = `select purpose, sender, granted, at, source, evidence, notice from consents where contact_k = $1 order by purpose, sender`
	err = each(ctx, s.read, text, []any{keyArg(contact)}, func(rows *sql.Rows) error {
		g := suppression.Grant{Contact: contact}
		var at int64
		err := rows.Scan(&g.Purpose, &g.Sender, &g.Granted, &at, &g.Source, &g.Evidence, &g.Notice)
		g.At = timeOf(at)
		now = append(now, g)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read consents: %w", err)
	}
	const past = `select w.purpose, w.sender, w.at, w.source, w.evidence, w.notice, w.ver, coalesce(l.at, 0) from withdrawn_consents w
		left join suppression_changes l on l.ver = w.ver where w.contact_k = $1 and w.granted order by w.ver desc`
	err = each(ctx, s.read, past, []any{keyArg(contact)}, func(rows *sql.Rows) error {
		g := suppression.PastGrant{Grant: suppression.Grant{Contact: contact, Granted: true}}
		var at, withdrawn int64
		err := rows.Scan(&g.Purpose, &g.Sender, &at, &g.Source, &g.Evidence, &g.Notice, &g.Version, &withdrawn)
		g.At, g.WithdrawnAt = timeOf(at), timeOf(withdrawn)
		before = append(before, g)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read consents that were withdrawn: %w", err)
	}
	return now, before, nil
}

// NewestChanges is as [Store.Changes], up to limit of them.
func (s *Store) NewestChanges(ctx context.Context, ks []audience.Key, limit int) ([]suppression.Entry, error) {
	q := s.query()
	text := `select x.k, x.channel, x.topic, x.purpose, x.sender, x.cause, x.active, x.source, x.evidence, x.notice, x.expires_at, x.at, x.ver from ` +
		s.d.lookUp(q.table("u", keys("k", ks)), "suppression_changes", "x", "%[1]s.k = u.k") + ` order by x.ver desc limit ` + q.arg(limit)
	entries, err := s.entries(ctx, text, q.args)
	if err != nil {
		return nil, fmt.Errorf("read the changes of wishes: %w", err)
	}
	return entries, nil
}

// RepliesOf returns what came from addresses with the keys, up to limit of it,
// the newest first.
func (s *Store) RepliesOf(ctx context.Context, ks []audience.Key, limit int) (found []suppression.Inbound, err error) {
	q := s.query()
	text := `select i.id, i.at, i.channel, i.k, i.sender, i.meaning, i.address, i.words, i.done, i.handled_at, i.handled_by from ` +
		s.d.lookUp(q.table("u", keys("k", ks)), "inbound", "i", "%[1]s.k = u.k") + ` order by i.id desc limit ` + q.arg(limit)
	err = each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		var r suppression.Inbound
		var at, done, handled int64
		err := rows.Scan(&r.ID, &at, &r.Channel, &r.Key, &r.Sender, &r.Meaning, &r.Address, &r.Text, &done, &handled, &r.HandledBy)
		r.At, r.HandledAt, r.Open = timeOf(at), timeOf(handled), done == 0
		found = append(found, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the replies of a person: %w", err)
	}
	return found, nil
}

// AuditOf returns the lines of the audit log about any of the objects, up to
// limit of them, the newest first.
func (s *Store) AuditOf(ctx context.Context, objects []string, limit int) (lines []rights.Audited, err error) {
	q := s.query()
	text := `select a.id, a.at, a.actor, a.action, a.object, a.detail from ` +
		s.d.lookUp(q.table("u", texts("object", objects)), "audit", "a", "%[1]s.object = u.object") + ` order by a.id desc limit ` + q.arg(limit)
	err = each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		var l rights.Audited
		var at int64
		err := rows.Scan(&l.ID, &at, &l.Actor, &l.Action, &l.Object, &l.Detail)
		l.At = timeOf(at)
		lines = append(lines, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return lines, nil
}

package storage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"utskick/audience"
	"utskick/suppression"
)

// A wish covers every key that a person has when she says it. What is written here
// makes it cover those that she gets later: an address with a wish on record that
// is new to a contact binds the contact.

// newKey is a key of an address that is new to a contact.
type newKey struct {
	k, own audience.Key // own is the contact's
	kind   audience.Kind
}

// binds says whether a wish about the address is its owner's wherever it comes up:
// a device changes hands, and what is said of a contact binds it by its own key.
func (n newKey) binds() bool { return n.kind == audience.KindEmail || n.kind == audience.KindPhone }

// bringsAddress says whether a contact gets an address that she had not.
func bringsAddress(created, updated []audience.Contact, stored map[string]audience.Contact) bool {
	return len(created) > 0 || slices.ContainsFunc(updated, func(c audience.Contact) bool {
		before := stored[c.ExternalID]
		return c.Email != before.Email || c.Phone != before.Phone
	})
}

// writeAddressKeys remembers every key that the contacts have now, and returns
// those that they had not before.
func (s *Store) writeAddressKeys(ctx context.Context, tx *sql.Tx, contacts []audience.Contact) (fresh []newKey, err error) {
	var owners []int64
	var kinds []string
	var ks []audience.Key
	own := make(map[int64]audience.Key, len(contacts))
	for _, c := range contacts {
		own[c.ID] = s.keyer.Key(audience.KindContact, c.ExternalID)
		for _, k := range s.keyer.ContactKeys(c) {
			owners, kinds, ks = append(owners, c.ID), append(kinds, string(k.Kind)), append(ks, k.Key)
		}
	}
	if len(owners) == 0 {
		return nil, nil
	}
	q := s.query()
	now := q.cast(s.millis(), "bigint")
	text := fmt.Sprintf(`insert into address_keys (k, contact, kind, first_seen) select u.k, u.contact, u.kind, %s from %s where true
		on conflict (k, contact) do nothing returning k, contact, kind`, now, q.table("u", ints("contact", owners), texts("kind", kinds), keys("k", ks)))
	err = each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var n newKey
		var contact int64
		err := rows.Scan(&n.k, &contact, &n.kind)
		n.own = own[contact]
		fresh = append(fresh, n)
		return err
	})
	return fresh, err
}

// lockHead keeps the wishes as they are until the transaction ends. Whoever writes
// a wish for all keys of a person locks before he reads the keys, and whoever
// writes keys locks before he reads the wishes: of two at once, one finds what the
// other has written. It is locked before any contact and consent, which a wish
// changes while it holds the head. SQLite has one writer.
func (s *Store) lockHead(ctx context.Context, tx *sql.Tx) error {
	if s.d.embedded() {
		return nil
	}
	_, err := s.raiseHead(ctx, tx, 0)
	return err
}

// bindWishes writes what people have said at addresses that are new to contacts
// for the contacts' own keys, too. Keys that are not new bind nothing: what was
// lifted is not brought back by the same file.
func (s *Store) bindWishes(ctx context.Context, tx *sql.Tx, fresh []newKey) (w written, err error) {
	var ks, own []audience.Key
	for _, n := range fresh {
		if n.binds() {
			ks, own = append(ks, n.k), append(own, n.own)
		}
	}
	if len(ks) == 0 {
		return w, nil
	}
	q := s.query()
	from := s.d.lookUp(q.table("u", keys("k", ks), keys("own", own)), "suppressions", "x", `%[1]s.k = u.k and `+q.ownWord("%[1]s"))
	copies, err := s.copiesOf(ctx, tx, q, "u.own", "x.sender", from+` where true`)
	if err != nil {
		return w, fmt.Errorf("find what was said at addresses: %w", err)
	}
	return s.writeCopies(ctx, tx, copies)
}

// bindSender writes what stands against senders to come for one that has come.
func (s *Store) bindSender(ctx context.Context, tx *sql.Tx, name string) (w written, err error) {
	q := s.query()
	from := `suppressions x where x.sender = ` + q.arg(suppression.Later) + ` and ` + q.ownWord("x")
	copies, err := s.copiesOf(ctx, tx, q, "x.k", q.cast(name, "text"), from)
	if err != nil {
		return w, fmt.Errorf("find what stands against senders to come: %w", err)
	}
	return s.writeCopies(ctx, tx, copies)
}

// ownWord is the condition that an entry is in force and a person's own word.
func (q *query) ownWord(x string) string {
	var own []suppression.Cause
	for _, c := range suppression.Causes {
		if c.OwnWord() {
			own = append(own, c)
		}
	}
	return fmt.Sprintf(`%[1]s.active and (%[1]s.expires_at is null or %[1]s.expires_at > %[2]s) and %[1]s.cause in (%[3]s)`, x, q.arg(q.now), quoted(own...))
}

// copiesOf reads entries x as they would be for another key or sender, both
// expressions, but for those that are in force there, and as long. The offset keeps
// Postgres from reading all suppressions where a few are looked up.
func (s *Store) copiesOf(ctx context.Context, tx *sql.Tx, q *query, key, sender, from string) (copies []entryOf, err error) {
	text := fmt.Sprintf(`select %[1]s, x.channel, x.topic, x.purpose, %[2]s, x.cause, x.active, x.source, x.evidence, x.notice, x.expires_at, x.created_at, x.ver,
		coalesce((select l.visit from suppression_changes l where l.ver = x.ver), '') from %[3]s
		and not exists (select 1 from suppressions y where y.k = %[1]s and y.channel = x.channel and y.topic = x.topic and y.purpose = x.purpose
			and y.sender = %[2]s and y.cause = x.cause and y.active and (y.expires_at is null or y.expires_at >= x.expires_at) limit 1 offset 0)
		order by x.ver`, key, sender, from)
	err = each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var c entryOf
		c.Entry, err = scanEntry(rows, &c.visit)
		copies = append(copies, c)
		return err
	})
	return copies, err
}

// writeCopies writes entries as they stand, with the visit in which they were said:
// undoing that undoes them, too.
func (s *Store) writeCopies(ctx context.Context, tx *sql.Tx, copies []entryOf) (w written, err error) {
	if len(copies) == 0 {
		return w, nil
	}
	if w.head, err = s.raiseHead(ctx, tx, len(copies)); err != nil {
		return w, err
	}
	in := make(map[int64]string, len(copies))
	for i, c := range copies {
		c.Version = w.head.version - int64(len(copies)-1-i)
		w.entries, in[c.Version] = append(w.entries, c.Entry), c.visit
	}
	for some := range slices.Chunk(w.entries, suppression.ImportSize) {
		if err := s.writeEntries(ctx, tx, some, in); err != nil {
			return w, err
		}
	}
	return w, nil
}

// and is what two steps of one transaction have written.
func (w written) and(later written) written {
	if len(later.entries) > 0 {
		w.entries, w.head = append(w.entries, later.entries...), later.head
	}
	return w
}

package storage

import (
	"context"
	"database/sql"
	"fmt"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

// untracked is the condition that an open or a click u of a message of the group g
// is not to be kept, since the person has said no to its being tied to her: by a
// wish, or by a consent that was refused or taken back, towards the message's
// sender or all. It is asked when the event is written, so that it binds what a
// spool brings late as well: what counts is what she wants now, not when she
// looked. Nothing is kept in its place: the link names her, and so would any trace
// of it.
//
// A wish about all purposes is one about this, too, if it is her own word: a
// bounce is none.
func (q *query) untracked() string {
	wish := fmt.Sprintf(`x.active and (x.expires_at is null or x.expires_at > %s) and x.channel in ('*', g.channel) and x.sender in ('*', g.sender)
		and (x.purpose = '%s' or x.purpose = '*' and x.cause in (%s))`,
		q.arg(q.now), suppression.OpenTracking, quoted(suppression.Erased, suppression.Objected, suppression.Withdrawn, suppression.Restricted))
	return fmt.Sprintf(`u.k is not null and u.type in (%[1]s) and (
		exists (select 1 from suppressions x where x.k = u.k and %[2]s)
		or exists (select 1 from members m join contacts c on c.id = m.contact where m.grp = g.id and m.k = u.k and (
			exists (select 1 from suppressions x where x.k = c.contact_k and %[2]s)
			or exists (select 1 from consents y where y.contact_k = c.contact_k and y.purpose = '%[3]s' and y.sender in ('*', g.sender) and not y.granted))))`,
		quoted(tracking.Behaviour...), wish, suppression.OpenTracking)
}

// refuseAsWished refuses, for contacts that were just saved, what a wish for any of
// their keys stands against: one that is older than the contact, or came with an
// address of hers.
func (s *Store) refuseAsWished(ctx context.Context, tx *sql.Tx, contacts []audience.Contact) error {
	var own, ks []audience.Key
	for _, c := range contacts {
		k := s.keyer.Key(audience.KindContact, c.ExternalID)
		for _, of := range s.keyer.ContactKeys(c) {
			own, ks = append(own, k), append(ks, of.Key)
		}
	}
	if len(ks) == 0 {
		return nil
	}
	q := s.query()
	find := fmt.Sprintf(`select u.contact_k, e.purpose, e.sender, e.ver from %s %s`, q.table("u", keys("contact_k", own), keys("k", ks)),
		s.d.eachOf("suppressions e", "purpose, sender, ver", fmt.Sprintf(`e.k = u.k and e.active and (e.expires_at is null or e.expires_at > %s)
			and e.purpose in ('%s', '%s')`, q.arg(q.now), suppression.OpenTracking, suppression.AdTracking)))
	var found []suppression.Entry
	err := each(ctx, tx, find, q.args, func(rows *sql.Rows) error {
		var e suppression.Entry
		err := rows.Scan(&e.Key, &e.Purpose, &e.Sender, &e.Version)
		e.Active = true
		found = append(found, e)
		return err
	})
	if err != nil {
		return fmt.Errorf("find the wishes of contacts: %w", err)
	}
	return s.withdrawGrants(ctx, tx, found)
}

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
		and (x.purpose = '%s' or x.purpose = '*' and x.cause in ('%s', '%s'))`,
		q.arg(q.now), suppression.OpenTracking, suppression.Objected, suppression.Withdrawn)
	return fmt.Sprintf(`u.k is not null and u.type in ('%[1]s', '%[2]s') and (
		exists (select 1 from suppressions x where x.k = u.k and %[3]s)
		or exists (select 1 from members m join contacts c on c.id = m.contact where m.grp = g.id and m.k = u.k and (
			exists (select 1 from suppressions x where x.k = c.contact_k and %[3]s)
			or exists (select 1 from consents y where y.contact_k = c.contact_k and y.purpose = '%[4]s' and y.sender in ('*', g.sender) and not y.granted))))`,
		tracking.Opens, tracking.Clicks, wish, suppression.OpenTracking)
}

// ofSenders parts entries that name a sender from those that mean all.
func ofSenders(entries []suppression.Entry) (all, named []suppression.Entry) {
	for _, e := range entries {
		if e.Sender == suppression.Any {
			all = append(all, e)
		} else {
			named = append(named, e)
		}
	}
	return all, named
}

// refuseSenders makes a wish against a purpose that is opt-in, towards one sender,
// a refusal of that sender alone: what was consented to for all goes on to hold for
// the others.
func (s *Store) refuseSenders(ctx context.Context, tx *sql.Tx, entries []suppression.Entry) error {
	var ks []audience.Key
	var purposes, senders []string
	for _, e := range entries {
		if e.Active && suppression.OptIn(suppression.Purpose(e.Purpose)) {
			ks, purposes, senders = append(ks, e.Key), append(purposes, e.Purpose), append(senders, e.Sender)
		}
	}
	if len(ks) == 0 {
		return nil
	}
	q := s.query()
	text := fmt.Sprintf(refusal, `select distinct c.contact_k, u.purpose, u.sender from `+q.table("u", keys("k", ks), texts("purpose", purposes), texts("sender", senders))+
		` join contacts c on c.contact_k = u.k`, q.cast(q.now, "bigint"))
	if _, err := tx.ExecContext(ctx, text, q.args...); err != nil {
		return fmt.Errorf("refuse senders: %w", err)
	}
	return s.copyGrants(ctx, tx, ks)
}

// refusal writes that what it selects is refused because of a wish.
const refusal = `insert into consents (contact_k, purpose, sender, granted, at, source, evidence)
	select r.contact_k, r.purpose, r.sender, false, %[2]s, 'wish', '' from (%[1]s) r where true
	on conflict (contact_k, purpose, sender) do update set granted = false, at = excluded.at, source = excluded.source
	where consents.granted`

// refuseAsWished refuses, for contacts that were just saved, what a wish for any of
// their keys stands against: one that is older than the contact, or came with an
// address of hers.
func (s *Store) refuseAsWished(ctx context.Context, tx *sql.Tx, contacts []audience.Contact) error {
	var ks []audience.Key
	var own []audience.Key
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
	find := fmt.Sprintf(`select distinct u.contact_k, e.purpose, e.sender from %s %s`, q.table("u", keys("contact_k", own), keys("k", ks)),
		s.d.eachOf("suppressions e", "purpose, sender", fmt.Sprintf(`e.k = u.k and e.active and (e.expires_at is null or e.expires_at > %s)
			and e.purpose in ('%s', '%s')`, q.arg(q.now), suppression.OpenTracking, suppression.AdTracking)))
	var found []suppression.Entry
	err := each(ctx, tx, find, q.args, func(rows *sql.Rows) error {
		var e suppression.Entry
		err := rows.Scan(&e.Key, &e.Purpose, &e.Sender)
		e.Active = true
		found = append(found, e)
		return err
	})
	if err != nil {
		return fmt.Errorf("find the wishes of contacts: %w", err)
	}
	return s.refuseSenders(ctx, tx, found)
}

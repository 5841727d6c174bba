package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
)

// The states of a confirmation's mail. It is called once: back to waiting it
// goes only when the provider has certainly not taken it.
const (
	confirmationWaits      = 0
	confirmationCalling    = 1
	confirmationSent       = 2
	confirmationInDoubt    = 3
	confirmationFailed     = 4
	confirmationSuppressed = 5
)

// saveSubscriptions makes the topics for subscribers those of the record.
func (s *Store) saveSubscriptions(ctx context.Context, tx *sql.Tx, sender templates.Sender) error {
	if _, err := tx.ExecContext(ctx, `delete from subscription_topics where sender = $1`, sender.Name); err != nil {
		return err
	}
	for _, topic := range sender.Subscriptions {
		const text = `insert into subscription_topics (sender, topic) values ($1, $2) on conflict do nothing`
		if _, err := tx.ExecContext(ctx, text, sender.Name, topic); err != nil {
			return err
		}
	}
	return nil
}

// AskConfirmation returns when a request is durable, from which one mail follows;
// or, for an address that has had its mails of the day, at once. Which of the two
// it was is nobody's business. Of two at once that take the same number, one takes
// the next.
func (s *Store) AskConfirmation(ctx context.Context, a suppression.Asking) error {
	k := s.keyOf(audience.KindEmail, a.Address)
	for {
		asked, err := s.askOnce(ctx, k, a)
		if err != nil {
			return fmt.Errorf("ask for a confirmation: %w", err)
		}
		if asked {
			return nil
		}
		const text = `select count(*) from confirmations c where c.k = $1 and c.asked_at > $2`
		var today int
		if err := s.read.QueryRowContext(ctx, text, keyArg(k), s.aDayAgo()).Scan(&today); err != nil {
			return fmt.Errorf("count the confirmations of a day: %w", err)
		}
		if today >= suppression.MostConfirmations {
			return nil
		}
	}
}

func (s *Store) aDayAgo() int64 { return s.now().Add(-24 * time.Hour).UnixMilli() }

// askOnce reports whether the request was written.
func (s *Store) askOnce(ctx context.Context, key audience.Key, a suppression.Asking) (bool, error) {
	q := s.query()
	k := q.cast(keyArg(key), "bytea")
	now, since := q.cast(q.now, "bigint"), q.arg(s.aDayAgo())
	text := fmt.Sprintf(`insert into confirmations (k, n, address, sender, topic, locale, source, notice, asked_at)
		select %[1]s, coalesce(max(c.n), 0) + 1, %[2]s, %[3]s, %[4]s, %[5]s, %[6]s, %[7]s, %[8]s from confirmations c where c.k = %[1]s
		having coalesce(sum(case when c.asked_at > %[9]s then 1 else 0 end), 0) < %[10]d on conflict (k, n) do nothing`,
		k, q.cast(a.Address, "text"), q.cast(a.Sender, "text"), q.cast(a.Topic, "text"), q.cast(a.Locale, "text"), q.cast(a.Source, "text"),
		q.cast(a.Notice, "text"), now, since, suppression.MostConfirmations)
	n, err := affected(s.write.ExecContext(ctx, text, q.args...))
	return n == 1, err
}

// AskReturn does so of whoever has or had the address of a key, at the e-mail
// address that she has now. Of somebody who has none, nothing is asked.
func (s *Store) AskReturn(ctx context.Context, of audience.Key, a suppression.Asking) error {
	const text = `select c.email from address_keys a join contacts c on c.id = a.contact where a.k = $1 and c.email <> ''
		order by case when c.email_k = $1 then 0 else 1 end, c.id desc limit 1`
	err := s.read.QueryRowContext(ctx, text, keyArg(of)).Scan(&a.Address)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find where to ask for a confirmation: %w", err)
	}
	return s.AskConfirmation(ctx, a)
}

// NextConfirmation implements [dispatcher.Confirmations].
func (s *Store) NextConfirmation(ctx context.Context) (c dispatcher.DueConfirmation, err error) {
	const text = `select c.id, c.k, c.address, c.sender, c.topic, c.locale, c.attempts from confirmations c
		where c.state = 0 and c.not_before <= $1 order by c.id limit 1`
	var address string
	err = s.write.QueryRowContext(ctx, text, s.millis()).Scan(&c.ID, &c.Key, &address, &c.Sender, &c.Topic, &c.Locale, &c.Attempts)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("find a confirmation to send: %w", err)
	}
	c.Candidate = suppression.NewCandidate(c.Key, c.Key, true, address)
	c.Nonce = rand.Int64()
	return c, nil
}

// ClaimConfirmation implements [dispatcher.Confirmations].
func (s *Store) ClaimConfirmation(ctx context.Context, due dispatcher.DueConfirmation, wording string) error {
	q := s.query()
	now := q.arg(q.now)
	text := fmt.Sprintf(`update confirmations set state = 1, attempts = attempts + 1, claimed_at = %s, wording = %s, nonce = %s
		where id = %s and state = 0 and asked_at > %s and not exists (select 1 from channel_holds h where h.channel = 'email') and `,
		now, q.arg(wording), q.arg(due.Nonce), q.arg(due.ID), q.arg(q.now-suppression.ConfirmationWaits.Milliseconds())) + s.undisturbed(q)
	res, err := s.write.ExecContext(context.WithoutCancel(ctx), text, q.args...)
	if err := exactlyOne(res, err, dispatcher.ErrNotClaimed); err != nil {
		return fmt.Errorf("claim confirmation %d: %w", due.ID, err)
	}
	return nil
}

var confirmationStates = map[dispatcher.Code]int{dispatcher.Pending: confirmationWaits, dispatcher.Sent: confirmationSent,
	dispatcher.InDoubt: confirmationInDoubt, dispatcher.Failed: confirmationFailed, dispatcher.Suppressed: confirmationSuppressed}

// SettleConfirmation implements [dispatcher.Confirmations]. What was taken for
// lost meanwhile may turn out to be sent, and is never sent again.
func (s *Store) SettleConfirmation(ctx context.Context, due dispatcher.DueConfirmation, o dispatcher.ConfirmationOutcome) error {
	const text = `update confirmations set state = $1, reason = $2, not_before = $3 where id = $4 and nonce = $5 and (state = 1 or state = 3 and $6 = 1)`
	sent := 0
	if o.Code == dispatcher.Sent {
		sent = 1
	}
	_, err := s.write.ExecContext(context.WithoutCancel(ctx), text, confirmationStates[o.Code], o.Reason, millisOf(o.RetryAt), due.ID, due.Nonce, sent)
	if err != nil {
		return fmt.Errorf("settle confirmation %d: %w", due.ID, err)
	}
	return nil
}

// lostAfter is when the worker of a confirmation is taken for lost. Nothing is
// sent again for that, so it is only a word in the record.
const lostAfter = 10 * time.Minute

// TidyConfirmations implements [dispatcher.Confirmations].
func (s *Store) TidyConfirmations(ctx context.Context) error {
	before := func(d time.Duration) int64 { return s.millis() - d.Milliseconds() }
	for _, step := range []struct {
		text string
		at   int64
	}{
		{`update confirmations set state = 3, reason = 'worker_lost' where state = 1 and claimed_at < $1`, before(lostAfter)},
		{`update confirmations set state = 4, reason = 'expired' where state = 0 and asked_at <= $1`, before(suppression.ConfirmationWaits)},
		{`delete from confirmations where address <> '' and asked_at <= $1`, before(suppression.ConfirmWithin)},
	} {
		if _, err := s.write.ExecContext(ctx, step.text, step.at); err != nil {
			return fmt.Errorf("tidy up the confirmations: %w", err)
		}
	}
	return nil
}

const confirmationColumns = `c.id, c.sender, c.topic, c.locale, c.asked_at, c.confirmed_at`

func scanConfirmation(row *sql.Row, others ...any) (c suppression.Confirmation, err error) {
	var asked, confirmed int64
	err = row.Scan(append([]any{&c.ID, &c.Sender, &c.Topic, &c.Locale, &asked, &confirmed}, others...)...)
	c.AskedAt, c.ConfirmedAt = timeOf(asked), timeOf(confirmed)
	return c, err
}

// Confirmation returns a request of the address with a key, or ErrNotFound: also
// when it is too old to be confirmed.
func (s *Store) Confirmation(ctx context.Context, id int64, key audience.Key) (c suppression.Confirmation, err error) {
	const text = `select ` + confirmationColumns + ` from confirmations c where c.id = $1 and c.k = $2 and (c.confirmed_at > 0 or c.asked_at > $3)`
	row := s.read.QueryRowContext(ctx, text, id, keyArg(key), s.millis()-suppression.ConfirmWithin.Milliseconds())
	if c, err = scanConfirmation(row); err != nil {
		return c, orNotFound(err, "confirmation %d", id)
	}
	entries, err := s.entriesOfHolders(ctx, s.read, key)
	c.Wider = c.IsWider(entries, s.now())
	return c, err
}

// Confirm records that a request was confirmed, with its proof, and lifts what
// stands against it, in one transaction. A link confirms once: used again, it
// changes nothing, whatever the person has said since. Its errors wrap
// ErrNotFound.
func (s *Store) Confirm(ctx context.Context, by suppression.Confirmed) (suppression.Confirmation, error) {
	var c suppression.Confirmation
	var w written
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if err := s.keepPeople(ctx, tx); err != nil {
			return err
		}
		// Of two at once, the second finds the first one's.
		if _, err = s.raiseHead(ctx, tx, 0); err != nil {
			return err
		}
		c, w, err = s.confirm(ctx, tx, by)
		return err
	})
	if err == nil && len(w.entries) > 0 {
		err = s.journalEntries(w)
	}
	if err != nil {
		return c, fmt.Errorf("confirm request %d: %w", by.ID, err)
	}
	return c, nil
}

func (s *Store) confirm(ctx context.Context, tx *sql.Tx, by suppression.Confirmed) (c suppression.Confirmation, w written, err error) {
	const read = `select ` + confirmationColumns + `, c.address from confirmations c where c.id = $1 and c.k = $2 and (c.confirmed_at > 0 or c.asked_at > $3)`
	now := s.now()
	var address string
	c, err = scanConfirmation(tx.QueryRowContext(ctx, read, by.ID, keyArg(by.Key), now.Add(-suppression.ConfirmWithin).UnixMilli()), &address)
	if err != nil {
		return c, w, orNotFound(err, "confirmation %d", by.ID)
	}
	if c.Before = !c.ConfirmedAt.IsZero(); c.Before {
		return c, w, nil
	}
	const mark = `update confirmations set confirmed_at = $1, address = '' where id = $2`
	if _, err := tx.ExecContext(ctx, mark, now.UnixMilli(), c.ID); err != nil {
		return c, w, err
	}
	c.ConfirmedAt = timeOf(now.UnixMilli())
	made, fresh, err := s.makeSubscriber(ctx, tx, by.Key, c, address)
	if err != nil {
		return c, w, err
	}
	if err := s.subscribe(ctx, tx, by, made); err != nil {
		return c, w, err
	}
	entries, err := s.entriesOfHolders(ctx, tx, by.Key)
	if err != nil {
		return c, w, err
	}
	senders, err := senderNames(ctx, tx)
	if err != nil {
		return c, w, err
	}
	c.Wider = !by.Wider && c.IsWider(entries, now)
	if w, err = s.lift(ctx, tx, c.Lifts(entries, by.Wider, senders, now), fmt.Sprintf("confirmed by mail, request %d", c.ID)); err != nil {
		return c, w, err
	}
	// What is left of what was said at the address binds the contact.
	bound, err := s.bindWishes(ctx, tx, fresh)
	return c, w.and(bound), err
}

// lift writes changes of entries, of which those that are lifted get the proof.
func (s *Store) lift(ctx context.Context, tx *sql.Tx, changes []suppression.Entry, proof string) (w written, err error) {
	if len(changes) == 0 {
		return w, nil
	}
	wishes, people := make([]wish, len(changes)), make([][]audience.Key, len(changes))
	for i, e := range changes {
		if !e.Active {
			e.Source, e.Evidence = "link", proof
		}
		wishes[i], people[i] = wish{Entry: e}, []audience.Key{e.Key}
	}
	return s.writeWishes(ctx, tx, "", nil, wishes, people)
}

// subscribe writes what was confirmed, in the place of an earlier proof.
func (s *Store) subscribe(ctx context.Context, tx *sql.Tx, by suppression.Confirmed, made sql.NullInt64) error {
	const text = `insert into subscriptions (k, sender, topic, asked_at, confirmed_at, confirmation, source, evidence, notice, wording, made)
		select c.k, c.sender, c.topic, c.asked_at, c.confirmed_at, c.id, c.source, cast($2 as text), c.notice, c.wording, cast($3 as bigint)
		from confirmations c where c.id = $1
		on conflict (k, sender, topic) do update set asked_at = excluded.asked_at, confirmed_at = excluded.confirmed_at,
		confirmation = excluded.confirmation, source = excluded.source, evidence = excluded.evidence, notice = excluded.notice,
		wording = excluded.wording, made = coalesce(excluded.made, subscriptions.made)`
	if _, err := tx.ExecContext(ctx, text, by.ID, by.Evidence, made); err != nil {
		return fmt.Errorf("write a subscription: %w", err)
	}
	return nil
}

// makeSubscriber makes a contact of an address that no contact has. It has no
// basis: she has asked for the topic, and for nothing else.
func (s *Store) makeSubscriber(ctx context.Context, tx *sql.Tx, key audience.Key, c suppression.Confirmation, address string) (made sql.NullInt64, fresh []newKey, err error) {
	holders, err := s.holders(ctx, tx, key)
	if err != nil || len(holders) > 0 {
		return made, nil, err
	}
	who := []audience.Contact{{ExternalID: fmt.Sprintf("%s%d", audience.MadeHere, c.ID), Email: address, Locale: c.Locale}}
	if _, fresh, err = s.writeContacts(ctx, tx, who, nil, nil, nil); err != nil {
		return made, nil, fmt.Errorf("make a contact: %w", err)
	}
	return sql.NullInt64{Int64: who[0].ID, Valid: true}, fresh, nil
}

// holders returns the contacts that have an e-mail address now.
func (s *Store) holders(ctx context.Context, from queryer, email audience.Key) ([]int64, error) {
	return valuesOf[int64](ctx, from, `select id from contacts where email_k = $1`, keyArg(email))
}

// entriesOfHolders returns the active entries of whoever has an e-mail address
// now, and of the address. Those of somebody who had it before are left out: the
// address may be another person's by now.
func (s *Store) entriesOfHolders(ctx context.Context, from queryer, email audience.Key) (entries []suppression.Entry, err error) {
	text := `select ` + entryColumns + ` from suppressions x where x.active and (x.k = $1 or x.k in
		(select p.k from contacts c join address_keys p on p.contact = c.id where c.email_k = $1)) order by x.ver`
	err = each(ctx, from, text, []any{keyArg(email)}, func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find what somebody has said: %w", err)
	}
	return entries, nil
}

// yieldAddresses takes an address from the contact that was made here of a person
// who was not known, when the retailer names one who has it: of two with one
// address only the first would be sent to, and her basis would count.
func (s *Store) yieldAddresses(ctx context.Context, tx *sql.Tx, contacts []audience.Contact) error {
	var ks []audience.Key
	var ids []string
	for _, c := range contacts {
		if c.Email != "" {
			ks, ids = append(ks, s.keyOf(audience.KindEmail, c.Email)), append(ids, c.ExternalID)
		}
	}
	if len(ks) == 0 {
		return nil
	}
	q := s.query()
	made := s.d.lookUp(q.table("u", keys("k", ks), texts("external_id", ids)), "subscriptions", "y", "%[1]s.k = u.k and %[1]s.made is not null")
	text := `update contacts set email = '', email_k = null, updated_at = ` + q.cast(q.now, "bigint") + ` where id in
		(select c.id from ` + made + `
		join contacts c on c.id = y.made and c.email_k = u.k and c.external_id <> u.external_id)`
	if _, err := tx.ExecContext(ctx, text, q.args...); err != nil {
		return fmt.Errorf("yield addresses: %w", err)
	}
	return nil
}

// Subscriptions returns what was confirmed from an e-mail address.
func (s *Store) Subscriptions(ctx context.Context, email audience.Key) (found []suppression.Subscription, err error) {
	const text = `select x.sender, x.topic, x.asked_at, x.confirmed_at, x.source, x.evidence, x.notice, x.wording
		from subscriptions x where x.k = $1 order by x.sender, x.topic`
	err = each(ctx, s.read, text, []any{keyArg(email)}, func(rows *sql.Rows) error {
		var f suppression.Subscription
		var asked, confirmed int64
		err := rows.Scan(&f.Sender, &f.Topic, &asked, &confirmed, &f.Source, &f.Evidence, &f.Notice, &f.Wording)
		f.AskedAt, f.ConfirmedAt = timeOf(asked), timeOf(confirmed)
		found = append(found, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read subscriptions: %w", err)
	}
	return found, nil
}

package storage

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"utskick/audience"
	"utskick/suppression"
)

// TakeReply implements [suppression.Store]. A reply that is clear locks the head
// before its row is written, so that of two transactions with the same one only
// one finds it new.
func (s *Store) TakeReply(ctx context.Context, r suppression.Reply) ([]suppression.InFlight, error) {
	ctx, cancel := untorn(ctx)
	defer cancel()
	sender, err := s.senderOf(ctx, r.To)
	if err != nil {
		return nil, err
	}
	var w written
	var people [][]audience.Key
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if err := s.keepPeople(ctx, tx); err != nil {
			return err
		}
		w, people, err = s.takeReply(ctx, tx, r, sender)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write a reply: %w", err)
	}
	return s.inForce(ctx, w, people)
}

func (s *Store) takeReply(ctx context.Context, tx *sql.Tx, r suppression.Reply, sender string) (w written, people [][]audience.Key, err error) {
	if r.Clear() {
		if w.head, err = s.raiseHead(ctx, tx, 0); err != nil {
			return w, nil, err
		}
	}
	fresh, err := s.insertReply(ctx, tx, r, sender)
	if err != nil {
		return w, nil, err
	}
	var wishes []wish
	switch {
	case fresh && r.Meaning == suppression.SaysStop:
		wishes = []wish{r.Wish()}
	case r.Meaning == suppression.SaysStop:
		// Whoever took it first may have died before it was in the journal.
		w.entries, err = s.standing(ctx, tx, []wish{r.Wish()})
		return w, peopleOf(w.entries), err
	case fresh && r.Meaning == suppression.SaysStart:
		if wishes, err = s.stopped(ctx, tx, r); err != nil {
			return w, nil, err
		}
	}
	if len(wishes) == 0 {
		return w, nil, nil
	}
	notice, err := s.noticeOf(ctx, tx, sender)
	if err != nil {
		return w, nil, err
	}
	for i := range wishes {
		wishes[i].Entry.Notice = notice
	}
	if people, err = s.keysOfPeople(ctx, tx, wishes); err == nil {
		w, err = s.writeWishes(ctx, tx, "", nil, wishes, people)
	}
	return w, people, err
}

// insertReply writes a reply, and reports whether it is new.
func (s *Store) insertReply(ctx context.Context, tx *sql.Tx, r suppression.Reply, sender string) (bool, error) {
	const text = `insert into inbound (message, at, channel, k, contact, sender, meaning, address, words, done)
		values ($1, $2, $3, $4, (select min(a.contact) from address_keys a where a.k = $4), $5, $6, $7, $8, $9) on conflict (message) do nothing`
	done := 0
	if r.Clear() {
		done = 1
	}
	n, err := affected(tx.ExecContext(ctx, text, r.ID, millisOf(r.At), string(r.Channel), keyArg(r.Key), sender, string(r.Meaning), r.Address, r.Text, done))
	return n == 1, err
}

// senderOf returns the sender whose number, service or address a reply came to, or
// nothing.
func (s *Store) senderOf(ctx context.Context, to []string) (string, error) {
	senders, err := s.Senders(ctx)
	if err != nil {
		return "", fmt.Errorf("find whom a reply is for: %w", err)
	}
	for _, sender := range senders {
		for _, t := range to {
			if t != "" && (t == sender.SMSService || t == sender.SMSSender || strings.EqualFold(t, sender.ReplyTo) || strings.EqualFold(t, sender.FromEmail)) {
				return sender.Name, nil
			}
		}
	}
	return "", nil
}

// stopped returns what lifts every stop of the person on the channel.
func (s *Store) stopped(ctx context.Context, tx *sql.Tx, r suppression.Reply) (lifts []wish, err error) {
	people, err := s.keysOfPeople(ctx, tx, []wish{r.Wish()})
	if err != nil {
		return nil, err
	}
	q := s.query()
	text := fmt.Sprintf(`select %s from suppressions x where x.active and x.channel = %s and x.cause = %s and x.k in (select u.k from %s)`,
		entryColumns, q.cast(string(r.Channel), "text"), q.cast(string(suppression.Stopped), "text"), q.table("u", keys("k", people[0])))
	err = each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		e.Active, e.Source, e.Evidence = false, string(r.Channel), "answered start"
		lifts = append(lifts, wish{Entry: e})
		return err
	})
	return lifts, err
}

func peopleOf(entries []suppression.Entry) (people [][]audience.Key) {
	for _, e := range entries {
		people = append(people, []audience.Key{e.Key})
	}
	return people
}

// inForce is the end of what has written entries and is committed: the journal,
// and then the claims that cover one of the people.
func (s *Store) inForce(ctx context.Context, w written, people [][]audience.Key) (claims []suppression.InFlight, err error) {
	if len(people) == 0 {
		return nil, nil
	}
	if err := s.journalEntries(w); err != nil {
		return nil, err
	}
	inFlight, err := s.claimsCovering(ctx, people)
	for _, of := range inFlight {
		claims = append(claims, of...)
	}
	return claims, err
}

// Inbound returns replies in the order in which they came, up to limit with an id
// above after: those that are open, or those that are done.
func (s *Store) Inbound(ctx context.Context, open bool, after int64, limit int) (found []suppression.Inbound, err error) {
	const text = `select i.id, i.at, i.channel, i.k, coalesce(c.external_id, ''), i.sender, i.meaning, i.address, i.words, i.handled_at, i.handled_by
		from inbound i left join contacts c on c.id = i.contact where i.done = $1 and i.id > $2 order by i.id limit $3`
	done := 1
	if open {
		done = 0
	}
	err = each(ctx, s.read, text, []any{done, after, limit}, func(rows *sql.Rows) error {
		r := suppression.Inbound{Open: open}
		var at, handled int64
		err := rows.Scan(&r.ID, &at, &r.Channel, &r.Key, &r.Contact, &r.Sender, &r.Meaning, &r.Address, &r.Text, &handled, &r.HandledBy)
		r.At, r.HandledAt = timeOf(at), timeOf(handled)
		found = append(found, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read replies: %w", err)
	}
	return found, nil
}

// CloseInbound notes that somebody has dealt with a reply. What it said, and from
// which address, is kept no longer. One that was closed before stays as it is.
func (s *Store) CloseInbound(ctx context.Context, id int64, by string) error {
	const text = `update inbound set done = 1, address = '', words = '', handled_at = $2, handled_by = $3 where id = $1 and done = 0`
	n, err := affected(s.write.ExecContext(ctx, text, id, s.millis(), by))
	if err != nil {
		return fmt.Errorf("close reply %d: %w", id, err)
	}
	if n == 1 {
		return nil
	}
	var there int
	if err := s.read.QueryRowContext(ctx, `select count(*) from inbound where id = $1`, id).Scan(&there); err != nil {
		return fmt.Errorf("close reply %d: %w", id, err)
	}
	if there == 0 {
		return fmt.Errorf("reply %d: %w", id, ErrNotFound)
	}
	return nil
}

package storage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"utskick/audience"
	"utskick/suppression"
)

// mailTaken is what has to be done for a message once it is committed.
type mailTaken struct {
	written
	people [][]audience.Key
}

// TakeMail implements [suppression.MailStore]. What stops anybody locks the head
// before the message is noted, so that of two transactions with the same one only
// one finds it new.
func (s *Store) TakeMail(ctx context.Context, m suppression.Mail) (fresh bool, claims []suppression.InFlight, err error) {
	ctx, cancel := untorn(ctx)
	defer cancel()
	senders := make([]string, len(m.Replies))
	for i, r := range m.Replies {
		if senders[i], err = s.senderOf(ctx, r.To); err != nil {
			return false, nil, err
		}
	}
	var parts []mailTaken
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		fresh, parts, err = s.takeMail(ctx, tx, m, senders)
		return err
	})
	if err != nil {
		return false, nil, fmt.Errorf("write a message: %w", err)
	}
	for _, p := range parts {
		more, err := s.inForce(ctx, p.written, p.people)
		if err != nil {
			return fresh, nil, err
		}
		claims = append(claims, more...)
	}
	return fresh, claims, nil
}

// takeMail hands each part to what takes it from webhooks, too. Those know by
// themselves what is not new, but not an event without an effect that is told on
// another day.
func (s *Store) takeMail(ctx context.Context, tx *sql.Tx, m suppression.Mail, senders []string) (fresh bool, parts []mailTaken, err error) {
	if err := s.keepPeople(ctx, tx); err != nil {
		return false, nil, err
	}
	var now head
	if m.Binds() {
		if now, err = s.raiseHead(ctx, tx, 0); err != nil {
			return false, nil, err
		}
	}
	const note = `insert into mail_taken (message, at) values ($1, $2) on conflict (message) do nothing`
	n, err := affected(tx.ExecContext(ctx, note, m.ID, s.millis()))
	if err != nil {
		return false, nil, fmt.Errorf("note a message: %w", err)
	}
	fresh = n == 1
	notices := m.Notices
	if !fresh {
		notices = slices.DeleteFunc(slices.Clone(notices), func(n suppression.Notice) bool { return n.Effect.Cause == "" })
	}
	add := func(w written, people [][]audience.Key, err error) error {
		parts = append(parts, mailTaken{w, people})
		return err
	}
	if err := add(s.takeNotices(ctx, tx, notices)); err != nil {
		return false, nil, err
	}
	if err := add(s.takeMailWishes(ctx, tx, m.Wishes, fresh, now)); err != nil {
		return false, nil, err
	}
	for i, r := range m.Replies {
		if err := add(s.takeReply(ctx, tx, r, senders[i])); err != nil {
			return false, nil, err
		}
	}
	return fresh, parts, nil
}

// takeMailWishes writes what follows from a message that is new. Of one that is
// not it finds what stands: whoever wrote it may have died before it was in the
// journal.
func (s *Store) takeMailWishes(ctx context.Context, tx *sql.Tx, wishes []wish, fresh bool, now head) (w written, people [][]audience.Key, err error) {
	if len(wishes) == 0 {
		return w, nil, nil
	}
	if !fresh {
		w.head = now
		w.entries, err = s.standing(ctx, tx, wishes)
		return w, peopleOf(w.entries), err
	}
	if people, err = s.keysOfPeople(ctx, tx, wishes); err == nil {
		w, err = s.writeWishes(ctx, tx, "", nil, wishes, people)
	}
	return w, people, err
}

// KnowsKey implements [suppression.MailStore].
func (s *Store) KnowsKey(ctx context.Context, k audience.Key) (known bool, err error) {
	err = s.read.QueryRowContext(ctx, `select exists (select 1 from address_keys where k = $1)`, keyArg(k)).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("look for a key: %w", err)
	}
	return known, nil
}

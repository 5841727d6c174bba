package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/tracking"
)

// lookFor is how long a batch is kept from others whose provider is being asked.
// Should two ask all the same, nothing is lost but their time.
const lookFor = 10 * time.Minute

// TakeLook takes the batch of a channel that has waited longest for its provider to
// be asked about those in doubt, and returns these; without one, the batch is 0.
// While the database may have forgotten sends, nothing is asked: one of them could
// be taken for another.
func (s *Store) TakeLook(ctx context.Context, ch audience.Channel) (look dispatcher.Look, err error) {
	text := `update batches set look_at = $1 where id = (select b.id from batches b where b.channel = $2 and b.look_at > 0 and b.look_at <= $3
		and ` + notHeld + ` order by b.look_at limit 1` + s.d.skipLockedOf("b") + `) returning id, grp, k_lo, k_hi, looks, look_at`
	var b doubtful
	var until int64
	row := s.write.QueryRowContext(ctx, text, millisOf(s.now().Add(lookFor)), string(ch), s.millis())
	err = row.Scan(&b.id, &b.group, &b.low, &b.high, &look.Asked, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return look, nil
	}
	if err != nil {
		return look, fmt.Errorf("find those in doubt to ask for: %w", err)
	}
	look.Batch, look.Until = b.id, timeOf(until)
	if look.Doubts, err = s.doubts(ctx, b, ch); err != nil {
		return look, fmt.Errorf("read those in doubt of batch %d: %w", b.id, err)
	}
	return look, nil
}

// doubts returns the members in doubt of a batch who can be asked for: whose
// address is still theirs, and whose claim is on record and not too long ago. A
// database that was restored does not know of their last claim.
func (s *Store) doubts(ctx context.Context, b doubtful, ch audience.Channel) (found []dispatcher.Doubt, err error) {
	var name string
	if err := s.read.QueryRowContext(ctx, `select sender from groups where id = $1`, b.group).Scan(&name); err != nil {
		return nil, err
	}
	sender, err := s.SenderByName(ctx, name)
	if err != nil {
		return nil, err
	}
	since := s.now().Add(-dispatcher.LookUpFor)
	args := []any{b.id, b.group, b.low, b.high, int(dispatcher.InDoubt), string(dispatcher.CauseRestored)}
	err = each(ctx, s.read, s.d.doubtsText(destinations[ch]), args, func(rows *sql.Rows) error {
		d := dispatcher.Doubt{Group: b.group}
		var address string
		var claimed int64
		if err := rows.Scan(&d.Key, &address, &claimed); err != nil {
			return err
		}
		if d.Claimed = timeOf(claimed); claimed == 0 || !d.Claimed.After(since) {
			return nil
		}
		d.Inquiry = channels.NewInquiry(address)
		d.Inquiry.Service, d.Inquiry.Sender = sender.SMSService, sender.SMSSender
		d.Inquiry.From, d.Inquiry.Until = dispatcher.LookAt(d.Claimed)
		found = append(found, d)
		return nil
	})
	return found, err
}

// doubtsText reads members in doubt with the address that they have now, if it is
// still the one that was planned. Each contact is looked up by itself, as in
// membersText.
func (d dialect) doubtsText(o destinationOf) string {
	const members = `select m.k, m.contact, coalesce((select max(c.t0) from calls c
		where c.batch = $1 and (c.k_from is null or m.k > c.k_from) and m.k <= c.k_to), 0) as claimed
		from members m where m.grp = $2 and m.k >= $3 and m.k <= $4 and m.code = $5 and m.cause <> $6`
	on := o.key + " = m.k and " + o.contact + " = m.contact" + o.and
	if d.embedded() {
		return fmt.Sprintf(`select m.k, %s, m.claimed from (%s) m join %s on %s order by m.k`, o.address, members, o.from, on)
	}
	return fmt.Sprintf(`select m.k, a.address, m.claimed from (%s) m cross join lateral (select %s as address from %s where %s offset 0) a order by m.k`,
		members, o.address, o.from, on)
}

// Sighted holds what a provider has taken against what is on record, and writes
// down what that proves. It reports whether the doubt is resolved, by this or by
// what came meanwhile. Nothing is changed by what the provider has not.
func (s *Store) Sighted(ctx context.Context, d dispatcher.Doubt, seen []channels.Sighting) (resolved bool, err error) {
	if len(seen) == 0 {
		return false, nil
	}
	var w written
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if slices.ContainsFunc(seen, func(m channels.Sighting) bool { return m.Effect.Cause != "" }) {
			// It is locked before the doubt, as everywhere.
			if _, err := s.raiseHead(ctx, tx, 0); err != nil {
				return err
			}
		}
		if err := s.lockDoubt(ctx, tx); err != nil {
			return err
		}
		attempts, err := s.attempts(ctx, tx, d, seen)
		if err != nil {
			return err
		}
		own := func(a dispatcher.Attempt) bool { return a.Group == d.Group && a.Standing == dispatcher.Doubted }
		if resolved = !slices.ContainsFunc(attempts, own); resolved {
			return nil
		}
		var message channels.Sighting
		if message, resolved = dispatcher.Recognise(d, attempts, seen); resolved {
			w, err = s.recognised(ctx, tx, d, message)
		}
		return err
	})
	if err == nil && len(w.entries) > 0 {
		// Nobody is told that this is in force, so there are no claims to wait for.
		err = s.journalEntries(w)
	}
	if err != nil {
		return false, fmt.Errorf("resolve a doubt of group %d: %w", d.Group, err)
	}
	return resolved, nil
}

// recognised resolves a doubt, and writes down what has become of the message as
// if the provider had told it by webhook: told once more, it is the same event,
// and has the same effect.
func (s *Store) recognised(ctx context.Context, tx *sql.Tx, d dispatcher.Doubt, message channels.Sighting) (w written, err error) {
	if message.Type != tracking.Dropped {
		if err := s.proveSent(ctx, tx, d.Group, []dispatcher.Message{{Key: d.Key, ProviderID: message.ID}}); err != nil {
			return w, err
		}
	}
	if message.ID == "" {
		return w, nil
	}
	event := tracking.Event{Type: message.Type, At: message.At, Group: d.Group, Key: d.Key, Dedupe: message.Dedupe}
	w, _, err = s.takeNotices(ctx, tx, []suppression.Notice{{Event: event, Effect: message.Effect}})
	return w, err
}

// attempts returns what is on record of messages to the address of a doubt, in
// whichever run, at about its time. A run that began later or had ended before
// had no call then.
func (s *Store) attempts(ctx context.Context, tx *sql.Tx, d dispatcher.Doubt, seen []channels.Sighting) (all []dispatcher.Attempt, err error) {
	told, err := s.idsTold(ctx, tx, d.Key, seen)
	if err != nil {
		return nil, err
	}
	const text = `select g.id, m.code, coalesce(m.cause, ''), coalesce(m.provider_id, ''), b.last_k is not null and m.k <= b.last_k,
		b.state = 1 and b.fence = coalesce(c.fence, -1), coalesce(c.t0, 0), coalesce(c.message_ids, '')
		from groups own join groups g on g.channel = own.channel join runs r on r.id = g.run join members m on m.grp = g.id and m.k = $1
		join batches b on b.run = r.id and b.channel = g.channel and b.grp = g.id and m.k >= b.k_lo and m.k <= b.k_hi
		left join calls c on c.batch = b.id and c.fence = (select max(x.fence) from calls x
			where x.batch = b.id and (x.k_from is null or m.k > x.k_from) and m.k <= x.k_to)
		where own.id = $2 and r.started_at > 0 and r.started_at <= $3 and (r.finished_at = 0 or r.finished_at >= $4)`
	args := []any{keyArg(d.Key), d.Group, millisOf(d.Inquiry.Until), millisOf(d.Inquiry.From)}
	err = each(ctx, tx, text, args, func(rows *sql.Rows) error {
		var row attemptRow
		if err := rows.Scan(&row.group, &row.code, &row.cause, &row.id, &row.settled, &row.calling, &row.claimed, &row.ids); err != nil {
			return err
		}
		if a, made := row.attempt(d.Key, told); made {
			all = append(all, a)
		}
		return nil
	})
	return all, err
}

// attemptRow is what is on record of a member and her last call.
type attemptRow struct {
	group            int64
	code             sql.NullInt64
	cause, id, ids   string
	settled, calling bool
	claimed          int64
}

// attempt says what a row means. Whoever was certainly not sent to has made none:
// she is not settled and not with a provider, or was refused, suppressed or skipped.
func (r attemptRow) attempt(k audience.Key, told map[int64][]string) (a dispatcher.Attempt, made bool) {
	a = dispatcher.Attempt{Group: r.group, Claimed: timeOf(r.claimed)}
	code, cause := dispatcher.Code(r.code.Int64), dispatcher.Cause(r.cause)
	if !r.code.Valid && r.settled {
		code = dispatcher.Sent
	}
	switch {
	case code == dispatcher.InDoubt && cause == dispatcher.CauseRestored:
		// Its last call may be one that the database has forgotten.
		a.Claimed, a.Standing = time.Time{}, dispatcher.Unclear
	case code == dispatcher.InDoubt:
		a.Standing = dispatcher.Doubted
	case code == dispatcher.Failed && cause == dispatcher.CauseWrittenOff, code == dispatcher.Pending && r.calling:
		a.Standing = dispatcher.Unclear
	case code == dispatcher.Sent, code == dispatcher.Failed && cause == dispatcher.CauseDropped:
		a.Standing, a.IDs = dispatcher.Known, r.known(k, told)
	default:
		return a, false
	}
	return a, true
}

// known returns the ids that are on record of a message which was taken.
func (r attemptRow) known(k audience.Key, told map[int64][]string) []string {
	ids := told[r.group]
	for _, id := range []string{r.id, messageID(r.ids, k)} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// idsTold returns which of the messages events name, by group: the mark of a
// provider's event has the id of its message in it.
func (s *Store) idsTold(ctx context.Context, tx *sql.Tx, k audience.Key, seen []channels.Sighting) (map[int64][]string, error) {
	told := map[int64][]string{}
	err := each(ctx, tx, `select grp, dedupe from events where k = $1`, []any{keyArg(k)}, func(rows *sql.Rows) error {
		var group int64
		var dedupe string
		if err := rows.Scan(&group, &dedupe); err != nil {
			return err
		}
		for _, m := range seen {
			if strings.Contains(dedupe, m.ID) {
				told[group] = append(told[group], m.ID)
			}
		}
		return nil
	})
	return told, err
}

// EndLook ends a round of inquiries in which everybody was asked for, those who are
// left in vain. New doubt in the batch has a round of its own meanwhile.
func (s *Store) EndLook(ctx context.Context, l dispatcher.Look, left []dispatcher.Doubt) error {
	next := dispatcher.LookNext(left, l.Asked+1, s.now())
	return s.setLook(ctx, l, l.Asked+1, next)
}

// PutOffLook gives a round back that came to no end.
func (s *Store) PutOffLook(ctx context.Context, l dispatcher.Look, until time.Time) error {
	return s.setLook(ctx, l, l.Asked, until)
}

func (s *Store) setLook(ctx context.Context, l dispatcher.Look, asked int, next time.Time) error {
	const text = `update batches set looks = $1, look_at = $2 where id = $3 and look_at = $4`
	if _, err := s.write.ExecContext(ctx, text, asked, millisOf(next), l.Batch, millisOf(l.Until)); err != nil {
		return fmt.Errorf("note when to ask about batch %d again: %w", l.Batch, err)
	}
	return nil
}

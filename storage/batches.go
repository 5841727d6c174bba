package storage

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/internal/failpoint"
	"utskick/suppression"
	"utskick/templates"
)

// The states of a batch.
const (
	batchReady   = 0
	batchCalling = 1
	batchDone    = 2
)

// Batch implements [dispatcher.Ledger].
func (s *Store) Batch(ctx context.Context, id int64) (dispatcher.Batch, error) {
	const text = `select b.id, b.fence, b.channel, b.grp, b.run, r.rev, r.state, r.send_by, b.k_lo, b.k_hi, b.last_k, b.state,
		b.attempts, g.sender, g.template, g.language, c.topic, c.family, c.targeted, b.origin, b.depth, b.refusal, b.domain, b.n,
		exists (select 1 from channel_holds h where h.channel = b.channel),
		(select count(*) from slices s where s.run = b.run and s.channel = b.channel),
		exists (select 1 from subscription_topics t where t.sender = g.sender and t.topic = c.topic)
		from batches b join groups g on g.id = b.grp join runs r on r.id = b.run join campaigns c on c.id = r.campaign
		where b.id = $1`
	var b dispatcher.Batch
	var sendBy, members, slices int64
	var state int
	err := s.write.QueryRowContext(ctx, text, id).Scan(&b.ID, &b.Fence, &b.Channel, &b.Group, &b.Run, &b.Rev, &b.RunState,
		&sendBy, &b.Low, &b.High, &b.Last, &state, &b.Attempts, &b.Sender, &b.Template, &b.Language, &b.Topic, &b.Family, &b.Targeted,
		&b.Piece.Origin, &b.Piece.Depth, &b.Piece.Refusal, &b.Domain, &members, &b.Held, &slices, &b.Subscribers)
	if errors.Is(err, sql.ErrNoRows) {
		return b, fmt.Errorf("batch %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return b, fmt.Errorf("read batch %d: %w", id, err)
	}
	b.SendBy, b.Ready = timeOf(sendBy), state == batchReady
	// Keys are spread evenly, so a range has its share of all contacts.
	contacts := float64(slices*dispatcher.SliceSize) * (part(b.High) - part(b.Low))
	b.Dense = contacts < 2*float64(members)
	return b, nil
}

// part is how large a part of all keys lies before k.
func part(k audience.Key) float64 { return float64(binary.BigEndian.Uint64(k[:8])) / (1 << 64) }

// Members implements [dispatcher.Ledger]. The contact is found by the key of
// its current address: a member whose contact has another one by now is Gone.
func (s *Store) Members(ctx context.Context, b dispatcher.Batch, limit int) ([]dispatcher.Member, error) {
	q := s.query()
	group, low, high := q.arg(b.Group), q.arg(afterOf(b)), q.arg(b.High)
	chunk := fmt.Sprintf(`select m.k, m.contact from members m where m.grp = %s and m.k > %s and m.k <= %s and m.code is null
		order by m.k limit %s`, group, low, high, q.arg(limit))
	to := destinations[b.Channel]
	columns := fmt.Sprintf(memberColumns, to.address, q.basis(b, to))
	text := s.d.membersText(to, columns, chunk)
	if b.Dense && !s.d.embedded() {
		text = rangeText(to, columns, chunk, low, high)
	}
	members := make([]dispatcher.Member, 0, limit)
	row := memberRow{sender: b.Sender, subscribers: b.Subscribers}
	err := each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		m, err := row.read(rows)
		members = append(members, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read members of batch %d: %w", b.ID, err)
	}
	return members, nil
}

// afterOf returns the key after which the unsettled members of a batch begin:
// the last settled one, or what lies just before the first.
func afterOf(b dispatcher.Batch) []byte {
	if !b.Last.IsZero() {
		return keyArg(b.Last)
	}
	before := b.Low
	for i := len(before) - 1; i >= 0; i-- {
		before[i]--
		if before[i] != 0xff {
			return before[:]
		}
	}
	// Low is the smallest key there is: an empty text lies before it.
	return []byte{}
}

// destinationOf says where the address of a channel lies: the table with its key
// and the contact's id, and for push the contact beside it.
type destinationOf struct {
	from    string
	and     string // a condition on from
	key     string
	contact string
	address string
	beside  string
}

var destinations = map[audience.Channel]destinationOf{
	audience.Email: {from: "contacts c", key: "c.email_k", contact: "c.id", address: "c.email"},
	audience.SMS:   {from: "contacts c", key: "c.phone_k", contact: "c.id", address: "c.phone"},
	audience.Push: {from: "devices d", and: " and d.active", key: "d.k", contact: "d.contact", address: "d.token",
		beside: "contacts c on c.id = d.contact"},
}

// memberColumns has the address and the basis.
const memberColumns = `c.contact_k, %[1]s as address, c.first_name, c.last_name, c.locale, c.attributes, (%[2]s) as basis, c.grants`

// basis is the condition for a legal ground: soft opt-in is one only with all
// that it rests on, and for similar products, those of the family that the
// message is about, and of a sender to whom she has a relation, if any relation is
// known. A topic that is for subscribers needs a subscription, and
// nothing else will do. What was confirmed from the address itself is looked for
// last, since it costs the most.
func (q *query) basis(b dispatcher.Batch, to destinationOf) string {
	confirmed := fmt.Sprintf(`exists (select 1 from subscriptions s where s.k = %s and s.sender = %s and s.topic in (%s, `,
		to.key, q.cast(b.Sender, "text"), q.cast(b.Topic, "text"))
	if b.Subscribers {
		return confirmed + `''))`
	}
	return fmt.Sprintf(`c.basis = 'consent' or c.basis = 'soft_optin' and c.sale <> '' and c.sale_offered = 'yes' and c.sale_family <> ''
		and (%[1]s = '' or %[1]s = c.sale_family) and (c.relations = '' or replace(c.relations, %[2]s, '') <> c.relations) or `,
		q.cast(b.Family, "text"), q.cast(" "+b.Sender+" ", "text")) + confirmed + `'*'))`
}

// membersText reads the members of a chunk and their contacts, one by one: no
// engine has a reason to read more than those, whatever it knows of the tables.
func (d dialect) membersText(o destinationOf, columns, chunk string) string {
	on := o.key + " = m.k and " + o.contact + " = m.contact" + o.and
	beside := ""
	if d.embedded() {
		if o.beside != "" {
			beside = " left join " + o.beside
		}
		return fmt.Sprintf(`select m.k, %s from (%s) m left join %s on %s%s order by m.k`, columns, chunk, o.from, on, beside)
	}
	if o.beside != "" {
		beside = " join " + o.beside
	}
	return fmt.Sprintf(`select m.k, c.* from (%s) m left join lateral (select %s from %s%s where %s offset 0) c on true order by m.k`,
		chunk, columns, o.from, beside, on)
}

// rangeText does the same where about all contacts of the range are members: it
// reads the range, and spares a descent of the index for each.
func rangeText(o destinationOf, columns, chunk, low, high string) string {
	beside := ""
	if o.beside != "" {
		beside = " join " + o.beside
	}
	return fmt.Sprintf(`select m.k, c.contact_k, c.address, c.first_name, c.last_name, c.locale, c.attributes, c.basis, c.grants
		from (%[1]s) m left join (select %[2]s as k, %[3]s as contact, %[4]s from %[5]s%[6]s
			where %[2]s > %[7]s and %[2]s <= %[8]s%[9]s order by 1, 2 offset 0) c on c.k = m.k and c.contact = m.contact order by m.k`,
		chunk, o.key, o.contact, columns, o.from, beside, low, high, o.and)
}

// memberRow is where the rows of a chunk are read to, one after the other: what
// is passed to Scan lies on the heap, once a chunk instead of once a member.
type memberRow struct {
	sender      string
	subscribers bool

	key, contact                 audience.Key
	address, first, last, locale sql.NullString
	attributes, grants           sql.RawBytes
	basis                        sql.NullBool
	texts                        []byte // attributes of all members so far
}

func (r *memberRow) read(rows *sql.Rows) (m dispatcher.Member, err error) {
	err = rows.Scan(&r.key, &r.contact, &r.address, &r.first, &r.last, &r.locale, &r.attributes, &r.basis, &r.grants)
	if err != nil {
		return m, err
	}
	start := len(r.texts)
	r.texts = append(r.texts, r.attributes...)
	marketing, tracking, refused := readGrants(r.grants, r.sender)
	m.Key, m.Gone = r.key, r.contact.IsZero()
	m.Candidate = suppression.NewCandidate(r.key, r.contact, r.basis.Bool || marketing && !r.subscribers, r.address.String)
	m.Recipient = templates.Recipient{Key: r.key, FirstName: r.first.String, LastName: r.last.String, Locale: r.locale.String,
		Attributes: r.texts[start:len(r.texts):len(r.texts)], Tracked: tracking, Untracked: refused}
	return m, nil
}

// readGrants says whether contacts.grants has a consent to marketing and to open
// tracking, towards the sender or towards all: a no to either is a no. untracked
// is a no to open tracking.
func readGrants(grants []byte, sender string) (marketing, tracking, untracked bool) {
	var refused struct{ marketing, tracking bool }
	for len(grants) > 0 {
		var line, purpose, whom []byte
		line, grants, _ = bytes.Cut(grants, []byte("\n"))
		purpose, line, _ = bytes.Cut(line, []byte(" "))
		whom, line, _ = bytes.Cut(line, []byte(" "))
		if string(whom) != suppression.Any && string(whom) != sender {
			continue
		}
		yes := string(line) == "yes"
		switch suppression.Purpose(purpose) {
		case suppression.Marketing:
			marketing, refused.marketing = true, refused.marketing || !yes
		case suppression.OpenTracking:
			tracking, refused.tracking = true, refused.tracking || !yes
		}
	}
	return marketing && !refused.marketing, tracking && !refused.tracking, refused.tracking
}

// claimText takes a batch if it is as the claimer knew it, its run is sending,
// and every instance that takes wishes can be relied on: the database's clock
// has not been set back since the claimer looked, and no lease has lapsed.
func (s *Store) claimText() string {
	return `update batches set state = 1, fence = fence + 1, nonce = $1, owner = $2, beat_at = $3, claim_k = $4
		where id = $5 and state = 0 and fence = $6
		and exists (select 1 from runs r where r.id = $7 and r.state = 'sending' and r.rev = $8)
		and ` + s.clock + ` >= $9 and not ` + s.heldText()
}

// Claim implements [dispatcher.Ledger]. A claim that commits before a pause is a
// claim that began before it.
func (s *Store) Claim(ctx context.Context, c dispatcher.Claim) error {
	failpoint.Hit(failpoint.ClaimBeforeCommit)
	now := s.millis()
	q := s.query()
	q.args = []any{c.Nonce, c.Owner, now, keyArg(c.Through), c.Batch, c.Fence, c.Run, c.Rev, s.watch.least()}
	claim := s.claim + " and " + s.undisturbed(q)
	var err error
	if s.d.embedded() {
		err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			res, err := tx.ExecContext(ctx, claim, q.args...)
			if err := exactlyOne(res, err, dispatcher.ErrNotClaimed); err != nil {
				return err
			}
			const call = `insert into calls (batch, fence, k_from, k_to, t0, claim_ver, template, notice) select $1, $2, $3, $4, $5, ver, $6, $7 from suppression_head`
			_, err = tx.ExecContext(ctx, call, c.Batch, c.Fence+1, keyArg(c.From), keyArg(c.Through), now, c.Template, c.Notice)
			return err
		})
	} else {
		// The same in one statement, and so in one commit.
		both := `with claimed as (` + claim + ` returning id, fence)
			insert into calls (batch, fence, k_from, k_to, t0, claim_ver, template, notice)
			select c.id, c.fence, ` + q.arg(keyArg(c.From)) + `, $4, $3, h.ver, ` + q.arg(c.Template) + `, ` + q.arg(c.Notice) + ` from claimed c, suppression_head h`
		res, failed := s.write.ExecContext(context.WithoutCancel(ctx), both, q.args...)
		err = exactlyOne(res, failed, dispatcher.ErrNotClaimed)
	}
	if err != nil {
		return fmt.Errorf("claim batch %d: %w", c.Batch, err)
	}
	return failpoint.Err(failpoint.ClaimAnswer)
}

// exactlyOne returns otherwise when a statement did not change exactly one row.
func exactlyOne(res sql.Result, err, otherwise error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return otherwise
	}
	return nil
}

// Release implements [dispatcher.Ledger].
func (s *Store) Release(ctx context.Context, c dispatcher.Claim, retryAt time.Time) error {
	const text = `update batches set state = 0, claim_k = null, not_before = $1, rung_at = 0, attempts = attempts + 1
		where id = $2 and state = 1 and fence = $3 and nonce = $4`
	res, err := s.write.ExecContext(context.WithoutCancel(ctx), text, millisOf(retryAt), c.Batch, c.Fence+1, c.Nonce)
	if err := exactlyOne(res, err, dispatcher.ErrLostClaim); err != nil {
		return fmt.Errorf("release batch %d: %w", c.Batch, err)
	}
	failpoint.Hit(failpoint.Released)
	return nil
}

const postponeText = `update batches set not_before = $1, rung_at = 0 where id = $2 and state = 0 and fence = $3`

// Postpone implements [dispatcher.Ledger].
func (s *Store) Postpone(ctx context.Context, b dispatcher.Batch, until time.Time) error {
	if _, err := s.write.ExecContext(ctx, postponeText, millisOf(until), b.ID, b.Fence); err != nil {
		return fmt.Errorf("postpone batch %d: %w", b.ID, err)
	}
	return nil
}

// Beat implements [dispatcher.Ledger].
func (s *Store) Beat(ctx context.Context, batch, fence int64) error {
	_, err := s.write.ExecContext(ctx, `update batches set beat_at = $1 where id = $2 and fence = $3 and state = 1`,
		s.millis(), batch, fence)
	return err
}

// LateStarts implements [dispatcher.Ledger].
func (s *Store) LateStarts(ctx context.Context, batch, fence int64, n int) error {
	res, err := s.write.ExecContext(context.WithoutCancel(ctx), `update calls set late_starts = $1 where batch = $2 and fence = $3`, n, batch, fence)
	if err := exactlyOne(res, err, ErrNotFound); err != nil {
		return fmt.Errorf("note the late starts of batch %d: %w", batch, err)
	}
	return nil
}

// Settle implements [dispatcher.Ledger].
func (s *Store) Settle(ctx context.Context, m dispatcher.Settlement) (p dispatcher.Progress, err error) {
	failpoint.Hit(failpoint.SettleBeforeCommit)
	if s.d.embedded() || len(m.Moves) > 0 || len(inDoubt(m)) > 0 {
		p.Done, err = s.settleInSteps(ctx, m)
	} else {
		p.Done, err = s.settleAtOnce(ctx, m)
	}
	if err != nil {
		return p, fmt.Errorf("settle batch %d: %w", m.Batch, err)
	}
	if err := failpoint.Err(failpoint.SettleAnswer); err != nil {
		return p, err
	}
	failpoint.Hit(failpoint.Settled)
	return p, nil
}

func (s *Store) settleInSteps(ctx context.Context, m dispatcher.Settlement) (done bool, err error) {
	doubtful := inDoubt(m)
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if len(doubtful) > 0 {
			if err := s.lockDoubt(ctx, tx); err != nil {
				return err
			}
		}
		if err := s.writeExceptions(ctx, tx, m.Group, m.Exceptions); err != nil {
			return err
		}
		for _, move := range m.Moves {
			if _, err := s.moveMembers(ctx, tx, m.Group, move); err != nil {
				return err
			}
		}
		if done, err = s.advance(ctx, tx, m); err != nil {
			return err
		}
		const call = `update calls set suppression_ver = $1, provider_id = nullif($2, ''), message_ids = nullif($3, '') where batch = $4 and fence = $5`
		_, err = tx.ExecContext(ctx, call, m.Version, m.ProviderID, packMessageIDs(m.Messages), m.Batch, m.Fence)
		if err != nil || len(doubtful) == 0 {
			return err
		}
		return s.doubted(ctx, tx, m.Batch, m.Group, doubtful[0], doubtful[len(doubtful)-1])
	})
	return done, err
}

// settleAtOnce settles in one statement on Postgres, and so in one commit. When
// the claim is no longer held, no part of it changes anything.
func (s *Store) settleAtOnce(ctx context.Context, m dispatcher.Settlement) (done bool, err error) {
	q := s.query()
	batch, fence := q.arg(m.Batch), q.arg(m.Fence)
	held := fmt.Sprintf(`exists (select 1 from batches b where b.id = %s and b.fence = %s and b.state = 1)`, batch, fence)
	n := len(m.Exceptions)
	ks, codes, causes := make([]audience.Key, n), make([]int64, n), make([]string, n)
	for i, e := range m.Exceptions {
		ks[i], codes[i], causes[i] = e.Key, int64(e.Code), string(e.Cause)
	}
	from, picked := s.d.members(q, m.Group, keys("k", ks), ints("code", codes), texts("cause", causes))
	exceptions := fmt.Sprintf(`update members set code = u.code::smallint, cause = u.cause from %s where %s and members.code is null and %s returning 1`,
		from, picked, held)
	advance := advanceText(q, m, batch, fence) + fmt.Sprintf(` and (select count(*) from excepted) = %s returning state`, q.arg(n))
	call := fmt.Sprintf(`update calls set suppression_ver = %s, provider_id = nullif(%s, ''), message_ids = nullif(%s, '')
		where batch = %s and fence = %s and exists (select 1 from advanced)`,
		q.arg(m.Version), q.cast(m.ProviderID, "text"), q.cast(packMessageIDs(m.Messages), "text"), batch, fence)
	text := fmt.Sprintf(`with excepted as (%s), advanced as (%s), called as (%s) select state from advanced`, exceptions, advance, call)
	var state int
	err = s.write.QueryRowContext(context.WithoutCancel(ctx), text, q.args...).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return false, dispatcher.ErrLostClaim
	}
	return state == batchDone, err
}

// advance moves the batch's last settled key forward and adds the counts. It
// fails with ErrLostClaim, and with it the whole transaction, when the claim is
// no longer held.
func (s *Store) advance(ctx context.Context, tx *sql.Tx, m dispatcher.Settlement) (done bool, err error) {
	q := s.query()
	text := advanceText(q, m, q.arg(m.Batch), q.arg(m.Fence)) + " returning state"
	var state int
	err = tx.QueryRowContext(ctx, text, q.args...).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return false, dispatcher.ErrLostClaim
	}
	return state == batchDone, err
}

// advanceText is the statement of advance, up to its condition. The ring is
// renewed, so that the worker who goes on is not rung for meanwhile.
func advanceText(q *query, m dispatcher.Settlement, batch, fence string) string {
	counted := map[dispatcher.Code]int{dispatcher.Sent: m.Members - m.Moved()}
	for _, e := range m.Exceptions {
		counted[e.Code]++
		counted[dispatcher.Sent]--
	}
	settled := q.cast(m.Members, "bigint")
	return fmt.Sprintf(`update batches set last_k = %s, claim_k = null, settled = settled + %s, sent = sent + %s, suppressed = suppressed + %s,
		failed = failed + %s, in_doubt = in_doubt + %s, skipped = skipped + %s, moved = moved + %s, attempts = 0, rung_at = %s,
		state = case when settled + %s = n then 2 else 0 end where id = %s and fence = %s and state = 1`,
		q.arg(m.Through), settled, q.arg(counted[dispatcher.Sent]), q.arg(counted[dispatcher.Suppressed]), q.arg(counted[dispatcher.Failed]),
		q.arg(counted[dispatcher.InDoubt]), q.arg(counted[dispatcher.Skipped]), q.arg(m.Moved()), q.arg(q.now), settled, batch, fence)
}

// writeExceptions writes the members that differ from what their batch says.
func (s *Store) writeExceptions(ctx context.Context, tx *sql.Tx, group int64, exceptions []dispatcher.Exception) error {
	type kind struct {
		code  dispatcher.Code
		cause dispatcher.Cause
	}
	same := map[kind][]audience.Key{}
	for _, e := range exceptions {
		same[kind{e.Code, e.Cause}] = append(same[kind{e.Code, e.Cause}], e.Key)
	}
	for k, ks := range same {
		n, err := s.setCode(ctx, tx, group, ks, k.code, k.cause)
		if err != nil {
			return err
		}
		if n != int64(len(ks)) {
			// Another settlement has coded one of them: this claim is not held.
			return dispatcher.ErrLostClaim
		}
	}
	return nil
}

func (s *Store) setCode(ctx context.Context, tx *sql.Tx, group int64, ks []audience.Key, code dispatcher.Code, cause dispatcher.Cause) (int64, error) {
	q := s.query()
	from, picked := s.d.members(q, group, keys("k", ks))
	text := fmt.Sprintf(`update members set code = cast(%s as smallint), cause = %s from %s where %s and members.code is null`,
		q.arg(int(code)), q.arg(string(cause)), from, picked)
	res, err := tx.ExecContext(ctx, text, q.args...)
	if err != nil {
		return 0, fmt.Errorf("write %s members: %w", code, err)
	}
	return res.RowsAffected()
}

// members is the table u, whose first column is k, for the FROM of an update of
// members, and the condition that picks those of the group with these keys. On
// Postgres each key is looked up by itself: on a table that was never analysed
// the planner would otherwise read all of it.
func (d dialect) members(q *query, group int64, columns ...column) (from, picked string) {
	g, table := q.arg(group), q.table("u", columns...)
	if d.embedded() {
		return table, fmt.Sprintf(`members.grp = %s and members.k = u.k`, g)
	}
	return fmt.Sprintf(`(select m.place, u.* from %s, lateral (select m.ctid as place from members m
		where m.grp = %s and m.k = u.k offset 0) m) u`, table, g), `members.ctid = u.place`
}

// CloseRest implements [dispatcher.Ledger].
func (s *Store) CloseRest(ctx context.Context, b dispatcher.Batch, code dispatcher.Code, cause dispatcher.Cause) error {
	err := s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		const members = `update members set code = cast($1 as smallint), cause = $2
			where grp = $3 and k > $4 and k <= $5 and code is null`
		res, err := tx.ExecContext(ctx, members, int(code), string(cause), b.Group, afterOf(b), keyArg(b.High))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		q := s.query()
		q.args = []any{n, b.ID, b.Fence}
		batch := `update batches set state = 2, last_k = k_hi, settled = settled + $1, ` + code.String() + ` = ` + code.String() +
			` + $1 where id = $2 and state = 0 and fence = $3 and ` + s.undisturbed(q)
		done, err := tx.ExecContext(ctx, batch, q.args...)
		return exactlyOne(done, err, dispatcher.ErrNotClaimed)
	})
	if err != nil {
		return fmt.Errorf("close batch %d: %w", b.ID, err)
	}
	return nil
}

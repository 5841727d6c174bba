package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/suppression"
)

// peopleLock is shared by those who read contacts and write what refers to them,
// and held alone by whoever erases one: neither must see the other half done. It
// comes before all other locks.
const peopleLock = 0x7574736b04

// keepPeople keeps everybody from being erased until the transaction ends.
func (s *Store) keepPeople(ctx context.Context, tx *sql.Tx) error {
	return s.lockAdvisory(ctx, tx, "pg_advisory_xact_lock_shared", peopleLock)
}

// OpenErasure implements [rights.Erasures]. The line of the audit log names her, so
// it is written with the request: whoever finishes it finds the line, too.
func (s *Store) OpenErasure(ctx context.Context, a rights.Asked) (e rights.Erasure, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.keepPeople(ctx, tx); err != nil {
			return err
		}
		contact := int64(0)
		if contact, a.Key, err = s.whom(ctx, tx, a); err != nil {
			return err
		}
		id, err := s.openErasure(ctx, tx, contact, a, s.millis())
		if err != nil {
			return err
		}
		if e, err = s.erasure(ctx, tx, id); err != nil {
			return err
		}
		return s.noteAudit(ctx, tx, a.By, "person.erase", e.Key.Short(), "case "+a.Case)
	})
	if err != nil {
		return rights.Erasure{}, fmt.Errorf("write an erasure: %w", err)
	}
	line, err := appendLine(nil, journalLine{At: s.millis(), Key: e.Key.String(),
		Erase: &erased{Case: a.Case, By: a.By, Declined: a.Declined, Address: a.ExternalID == ""}})
	if err == nil {
		err = s.journal.append(line)
	}
	if err != nil {
		return e, fmt.Errorf("the erasure is in the database: %w", err)
	}
	return e, nil
}

// whom returns the contact who asked, with her key, or no contact and the key of an
// address that no contact has or had.
func (s *Store) whom(ctx context.Context, from rowQueryer, a rights.Asked) (contact int64, k audience.Key, err error) {
	if a.Key.IsZero() {
		err = from.QueryRowContext(ctx, `select id, contact_k from contacts where external_id = $1`, a.ExternalID).Scan(&contact, &k)
		return contact, k, orNotFound(err, "contact %q", a.ExternalID)
	}
	return 0, a.Key, s.ofNobody(ctx, from, a.Key)
}

// ofNobody wants no contact to have or to have had a key.
func (s *Store) ofNobody(ctx context.Context, from rowQueryer, k audience.Key) error {
	var known bool
	err := from.QueryRowContext(ctx, `select exists (select 1 from address_keys where k = $1)`, keyArg(k)).Scan(&known)
	if err == nil && known {
		err = rights.ErrContact
	}
	return err
}

func (s *Store) openErasure(ctx context.Context, to rowQueryer, contact int64, a rights.Asked, at int64) (id int64, err error) {
	const text = `insert into erasures (contact, k, asked_at, asked_by, case_number, declined) values (nullif(cast($1 as bigint), 0), $2, $3, $4, $5, $6)
		on conflict (k) do update set declined = excluded.declined, case_number = excluded.case_number returning id`
	err = to.QueryRowContext(ctx, text, contact, keyArg(a.Key), at, a.By, a.Case, a.Declined).Scan(&id)
	return id, err
}

const erasureColumns = `e.id, e.case_number, e.asked_at, e.asked_by, e.declined, e.done_at, e.messages, e.k from erasures e`

func scanErasure(row interface{ Scan(...any) error }) (e rights.Erasure, err error) {
	var asked, done int64
	err = row.Scan(&e.ID, &e.Case, &asked, &e.AskedBy, &e.Declined, &done, &e.Messages, &e.Key)
	e.AskedAt, e.DoneAt = timeOf(asked), timeOf(done)
	return e, err
}

type rowQueryer interface {
	queryer
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *Store) erasure(ctx context.Context, from rowQueryer, id int64) (rights.Erasure, error) {
	e, err := scanErasure(from.QueryRowContext(ctx, `select `+erasureColumns+` where e.id = $1`, id))
	return e, orNotFound(err, "erasure %d", id)
}

// ErasureList implements [rights.Erasures].
func (s *Store) ErasureList(ctx context.Context, open bool, limit int) ([]rights.Erasure, error) {
	if open {
		return s.erasures(ctx, `where e.done_at = 0 order by e.id desc limit $1`, limit)
	}
	return s.erasures(ctx, `order by e.id desc limit $1`, limit)
}

// OpenErasures implements [rights.Erasures].
func (s *Store) OpenErasures(ctx context.Context, after int64, limit int) ([]rights.Erasure, error) {
	return s.erasures(ctx, `where e.done_at = 0 and e.id > $1 order by e.id limit $2`, after, limit)
}

func (s *Store) erasures(ctx context.Context, which string, args ...any) ([]rights.Erasure, error) {
	list := []rights.Erasure{}
	err := each(ctx, s.read, `select `+erasureColumns+` `+which, args, func(rows *sql.Rows) error {
		e, err := scanErasure(rows)
		list = append(list, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	return list, nil
}

// FinishErasure implements [rights.Erasures], in one transaction.
func (s *Store) FinishErasure(ctx context.Context, id int64) (e rights.Erasure, err error) {
	waits, err := s.erasureWaits(ctx, id)
	if err != nil {
		return e, err
	}
	if len(waits) > 0 {
		e, err = s.erasure(ctx, s.read, id)
		e.Waits = waits
		return e, err
	}
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lockAdvisory(ctx, tx, "pg_advisory_xact_lock", peopleLock); err != nil {
			return err
		}
		if e, err = s.erasure(ctx, tx, id); err != nil || e.Done() {
			return err
		}
		x := &erasing{s: s, tx: tx, declined: e.Declined}
		if err := x.find(ctx, id); err != nil {
			return err
		}
		e.Waits = x.waits
		switch {
		case len(x.waits) > 0:
			return nil
		case x.speaks:
			return rights.ErrSpeaks
		}
		if err := x.erase(ctx); err != nil {
			return err
		}
		if err := x.end(ctx, id, e); err != nil {
			return err
		}
		e, err = s.erasure(ctx, tx, id)
		return err
	})
	if err != nil {
		return e, fmt.Errorf("erasure %d: %w", id, err)
	}
	return e, nil
}

// erasureWaits asks for the campaigns that an erasure has to wait for, among the
// runs that have not ended, and keeps nobody waiting: a request that waits is tried
// again every few seconds, and to look through all messages takes the writer of the
// embedded database from wishes and leases. The erasure itself looks at all again.
func (s *Store) erasureWaits(ctx context.Context, id int64) (campaigns []string, err error) {
	text := fmt.Sprintf(`select distinct p.name from erasures e join address_keys a on a.contact = e.contact
		join runs r on r.state not in ('%s', '%s') join groups g on g.run = r.id join members m on m.grp = g.id and m.k = a.k and m.contact = e.contact
		join campaigns p on p.id = r.campaign where e.id = $1 and e.done_at = 0 order by p.name`, dispatcher.Finished, dispatcher.Cancelled)
	campaigns, err = valuesOf[string](ctx, s.read, text, id)
	if err != nil {
		return nil, fmt.Errorf("find what erasure %d waits for: %w", id, err)
	}
	return campaigns, nil
}

// erasing is an erasure under way.
type erasing struct {
	s        *Store
	tx       *sql.Tx
	declined bool

	contact int64
	own     audience.Key   // of the contact
	all     []audience.Key // that she has or had
	alone   []audience.Key // that nobody else has or had
	shared  []audience.Key // the others
	spots   []spot
	waits   []string // campaigns
	speaks  bool     // a key lacks the suppression
	shells  []*erasing

	graves  map[graveOf]int64      // groups of the erased
	aliases map[spot]audience.Key  // by run, channel and key: what stands for it in events
	homes   map[audience.Key]int64 // by alias: its group
}

// spot is a member of a run who is she.
type spot struct {
	group   int64
	key     audience.Key
	run     int64
	channel audience.Channel
}

// inRun leaves out the group: events of a message may name one that it has left.
func (p spot) inRun() spot { return spot{key: p.key, run: p.run, channel: p.channel} }

// find reads whom it is about and where she is.
func (x *erasing) find(ctx context.Context, id int64) error {
	const who = `select coalesce(c.id, 0), e.k from erasures e left join contacts c on c.id = e.contact where e.id = $1`
	err := x.tx.QueryRowContext(ctx, who, id).Scan(&x.contact, &x.own)
	if err != nil {
		return err
	}
	if x.contact == 0 {
		x.all, x.alone, err = x.s.keyAlone(ctx, x.tx, x.own)
	} else {
		x.all, x.alone, x.shared, err = x.s.keysAlone(ctx, x.tx, x.contact)
	}
	if err != nil {
		return err
	}
	if err := x.findSpots(ctx); err != nil {
		return err
	}
	if err := x.findShells(ctx); err != nil {
		return err
	}
	return x.listen(ctx)
}

// findSpots finds the messages to her, and what they wait for.
func (x *erasing) findSpots(ctx context.Context) error {
	q := x.s.query()
	text := fmt.Sprintf(`select m.grp, m.k, r.id, g.channel, r.state, camp.name from %s join groups g on true
		join members m on m.grp = g.id and m.k = u.k and %s join runs r on r.id = g.run join campaigns camp on camp.id = r.campaign
		order by m.grp, m.k`, q.table("u", keys("k", x.all)), q.isHers("m", x.contact, x.alone))
	err := each(ctx, x.tx, text, q.args, func(rows *sql.Rows) error {
		var p spot
		var state dispatcher.RunState
		var campaign string
		err := rows.Scan(&p.group, &p.key, &p.run, &p.channel, &state, &campaign)
		x.spots = append(x.spots, p)
		if !state.Ended() {
			x.waits = append(x.waits, campaign)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("find the messages of a person: %w", err)
	}
	return nil
}

// listen finds out whether all of her keys are suppressed.
func (x *erasing) listen(ctx context.Context) error {
	e := rights.Silence(x.own).Entry
	q := x.s.query()
	text := fmt.Sprintf(`select count(*) from %s where not exists (select 1 from suppressions s where s.k = u.k and s.active and s.expires_at is null
		and s.channel = '*' and s.topic = '*' and s.purpose = '*' and s.sender = '*' and s.cause = %s)`, q.table("u", keys("k", x.all)), q.arg(string(e.Cause)))
	var n int
	err := x.tx.QueryRowContext(ctx, text, q.args...).Scan(&n)
	x.speaks = n > 0
	return err
}

// erase removes her, and cuts loose from her what has to stay.
func (x *erasing) erase(ctx context.Context) error {
	if x.contact == 0 && len(x.alone) == 0 {
		return nil
	}
	// A wish, and evidence of a message, that arrive now are taken before this or
	// after it.
	if _, err := x.s.raiseHead(ctx, x.tx, 0); err != nil {
		return err
	}
	if err := x.s.lockDoubt(ctx, x.tx); err != nil {
		return err
	}
	x.graves, x.aliases, x.homes = map[graveOf]int64{}, map[spot]audience.Key{}, map[audience.Key]int64{}
	for _, p := range x.spots {
		if err := x.cutLoose(ctx, p); err != nil {
			return fmt.Errorf("cut a message loose: %w", err)
		}
	}
	if err := x.scrubShells(ctx); err != nil {
		return err
	}
	return x.scrub(ctx)
}

// scrub takes her out of all tables, once her messages are cut loose.
func (x *erasing) scrub(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"bounds of ranges", x.moveBounds}, {"events", x.cutEvents}, {"answers", x.scrubAnswers}, {"cases", x.scrubCases}, {"wishes", x.scrubWishes},
		{"consents, relations and subscriptions", x.dropConsents}, {"the audit log", x.scrubAudit}, {"the contact", x.dropContact},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// end says that it is done, and of nobody.
func (x *erasing) end(ctx context.Context, id int64, e rights.Erasure) error {
	const done = `update erasures set contact = null, k = null, done_at = $1, messages = $2 where id = $3`
	if _, err := x.tx.ExecContext(ctx, done, x.s.millis(), len(x.spots), id); err != nil {
		return err
	}
	return x.s.noteAudit(ctx, x.tx, e.AskedBy, "person.erased", fmt.Sprintf("erasure %d", id), "case "+e.Case)
}

// run executes statements with arguments of their own.
func (x *erasing) run(ctx context.Context, statements ...statement) error {
	for _, s := range statements {
		if _, err := x.tx.ExecContext(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

type statement struct {
	text string
	args []any
}

// about makes a statement for some keys; the text has %s where they are listed.
func (x *erasing) about(text string, ks []audience.Key, args ...any) statement {
	q := x.s.query()
	q.args = args
	return statement{fmt.Sprintf(text, `select u.k from `+q.table("u", keys("k", ks))), q.args}
}

// scrubWishes leaves of her wishes what binds a later import: the entries that
// are in force, without what was noted with them. Of what others have, too, it
// takes back nothing but the suppression of a person who declined it.
func (x *erasing) scrubWishes(ctx context.Context) error {
	erased := string(suppression.Erased)
	if x.declined {
		// What she had said before is hers to take back, and nobody else's: a file that
		// brings her again finds it.
		if err := x.run(ctx,
			x.about(`delete from suppressions where cause = $1 and k in (%s)`, x.all, erased),
			x.about(`delete from suppression_changes where cause = $1 and k in (%s)`, x.all, erased)); err != nil {
			return err
		}
	}
	return x.run(ctx,
		x.about(`delete from suppressions where (not active or expires_at <= $1) and k in (%s)`, x.alone, x.s.millis()),
		x.about(`update suppressions set evidence = '' where cause <> $1 and k in (%s)`, x.alone, erased),
		x.about(`delete from suppression_changes where cause <> $1 and k in (%s)`, x.alone, erased))
}

func (x *erasing) dropConsents(ctx context.Context) error {
	own := []audience.Key{x.own}
	return x.run(ctx, x.about(`delete from consents where contact_k in (%s)`, own), x.about(`delete from withdrawn_consents where contact_k in (%s)`, own),
		x.about(`delete from relations where contact_k in (%s)`, own),
		x.about(`delete from subscriptions where k in (%s)`, x.alone), x.about(`delete from confirmations where k in (%s)`, x.alone))
}

// scrubAnswers leaves of her answers that there were some.
func (x *erasing) scrubAnswers(ctx context.Context) error {
	q := x.s.query()
	text := `select i.id from inbound i where ` + q.isHers("i", x.contact, x.alone)
	ids, err := valuesOf[int64](ctx, x.tx, text, q.args...)
	if err != nil {
		return err
	}
	const scrub = `update inbound set k = $2, contact = null, address = '', words = '', done = 1,
		handled_at = case when done = 1 then handled_at else $3 end, handled_by = case when done = 1 then handled_by else 'erasure' end where id = $1`
	for _, id := range ids {
		if err := x.run(ctx, statement{scrub, []any{id, keyArg(randomKey()), x.s.millis()}}); err != nil {
			return err
		}
	}
	return nil
}

// scrubCases leaves of her cases that there were some, and whether they were dealt
// with in time. Each is changed first: whoever is writing a note holds it, and the
// note is there when the notes are deleted.
func (x *erasing) scrubCases(ctx context.Context) error {
	q := x.s.query()
	text := `select c.id from cases c where ` + q.isHers("c", x.contact, x.alone)
	ids, err := valuesOf[int64](ctx, x.tx, text, q.args...)
	for _, id := range ids {
		if err == nil {
			err = x.run(ctx, statement{`update cases set contact = null, k = null, external = '', outcome = '', extended_reason = '' where id = $1`, []any{id}},
				statement{`delete from case_notes where case_id = $1`, []any{id}})
		}
	}
	return err
}

// scrubAudit takes her names out of the log of what was done.
func (x *erasing) scrubAudit(ctx context.Context) error {
	for _, name := range auditNames(x.contact, x.alone) {
		if err := x.run(ctx, statement{`update audit set object = 'erased' where object = $1`, []any{name}}); err != nil {
			return err
		}
	}
	return nil
}

func (x *erasing) dropContact(ctx context.Context) error {
	return x.run(ctx, statement{`delete from devices where contact = $1`, []any{x.contact}},
		statement{`delete from address_keys where contact = $1`, []any{x.contact}},
		statement{`delete from contacts where id = $1`, []any{x.contact}})
}

// heldUnder is the condition that something is held under a key that was there at
// an instant. An erasure leaves none of it.
const heldUnder = `(exists (select 1 from inbound where k = $1 and at <= $2) or exists (select 1 from cases where k = $1 and opened_at <= $2)
	or exists (select 1 from confirmations where k = $1 and asked_at <= $2) or exists (select 1 from subscriptions where k = $1 and asked_at <= $2))
	and not exists (select 1 from address_keys where k = $1)`

// eraseAgain opens the erasures of a journal anew for those who are there again:
// a backup from before has brought them back. Whoever was added after her erasure
// is there by her own will, or by a file that her suppression binds.
func (s *Store) eraseAgain(ctx context.Context, lines []journalLine) (n int, err error) {
	for _, l := range lines {
		again := `select c.id from contacts c where c.contact_k = $1 and c.created_at <= $2 and not exists (select 1 from erasures e where e.k = $1)`
		if l.Erase.Address {
			again = `select 0 where ` + heldUnder + ` and not exists (select 1 from erasures e where e.k = $1)`
		}
		var contact int64
		err := s.write.QueryRowContext(ctx, again, keyArg(l.key), l.At).Scan(&contact)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err == nil {
			_, err = s.openErasure(ctx, s.write, contact, rights.Asked{Key: l.key, Case: l.Erase.Case, By: l.Erase.By, Declined: l.Erase.Declined}, l.At)
		}
		if err != nil {
			return n, fmt.Errorf("open an erasure again: %w", err)
		}
		n++
	}
	return n, nil
}

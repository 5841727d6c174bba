package storage

import (
	"context"
	"fmt"

	"utskick/dispatcher"
	"utskick/suppression"
)

// Breaches recomputes from the ledger whether the promises were kept, for all
// runs that it still holds: each figure is 0, or a promise was broken. It reads
// the whole ledger, some seconds for each million recipients.
func (s *Store) Breaches(ctx context.Context) ([]dispatcher.Breach, error) {
	questions := []struct {
		promise, name, text string
		args                []any
	}{
		{"P1", "sent_after_objection", sentAfterObjection(byAddress), []any{string(suppression.Marketing), string(suppression.Profiling)}},
		{"P1", "sent_after_objection_of_contact", sentAfterObjection(byContact), []any{string(suppression.Marketing), string(suppression.Profiling)}},
		{"P1", "checked_before_claim", `select count(*) from calls where suppression_ver < claim_ver`, nil},
		{"P1", "late_starts", `select coalesce(sum(late_starts), 0) from calls`, nil},
		{"P2", "duplicates", duplicates, nil},
		{"P3", "unreconciled_batches", unreconciled, nil},
		{"P3", "members_in_no_batch", strays, nil},
		{"P3", "ended_runs_with_open_batches", openAfterEnd, nil},
	}
	var found []dispatcher.Breach
	for _, q := range questions {
		b := dispatcher.Breach{Promise: q.promise, Name: q.name}
		if err := s.read.QueryRowContext(ctx, q.text, q.args...).Scan(&b.Count); err != nil {
			return nil, fmt.Errorf("audit %s: %w", q.name, err)
		}
		found = append(found, b)
	}
	return found, nil
}

// How an entry is tied to a member: by the key of her address, or by the contact
// who has the address.
const (
	byAddress = `suppression_changes s join calls c on s.k <= c.k_to and (c.k_from is null or s.k > c.k_from)
		join batches b on b.id = c.batch and s.k >= b.k_lo
		join members m on m.grp = b.grp and m.k = s.k`
	byContact = `suppression_changes s join contacts ct on ct.contact_k = s.k join address_keys a on a.contact = ct.id and a.k <> s.k
		join groups g0 on true join members m on m.grp = g0.id and m.k = a.k and m.contact = ct.id
		join batches b on b.grp = m.grp and m.k between b.k_lo and b.k_hi
		join calls c on c.batch = b.id and m.k <= c.k_to and (c.k_from is null or m.k > c.k_from)`
)

// sentAfterObjection counts members who were sent to by a call that knew an
// entry against it, or that was claimed when the entry was in force already. It
// goes by versions: the clocks of two processes are never compared; and by the
// changes of entries, so that what was said again, or lifted, since hides nothing.
//
// A call that was never settled says what it was claimed at, and counts if it is
// the last one for the member: the provider has told that he has the message.
func sentAfterObjection(tied string) string {
	return fmt.Sprintf(`select count(*) from %[1]s
		join groups g on g.id = b.grp join runs r on r.id = b.run join campaigns p on p.id = r.campaign
		where s.active and (s.expires_at is null or s.expires_at > c.t0) and (s.purpose in ('*', $1) or p.targeted and s.purpose = $2)
		and s.channel in ('*', g.channel) and s.topic in ('*', p.topic) and s.sender in ('*', g.sender)
		and (s.ver <= c.suppression_ver or s.ver <= c.claim_ver)
		and not exists (select 1 from suppression_changes l where l.k = s.k and l.ver > s.ver and (l.ver <= c.suppression_ver or l.ver <= c.claim_ver)
			and l.channel = s.channel and l.topic = s.topic and l.purpose = s.purpose and l.sender = s.sender and l.cause = s.cause)
		and (c.suppression_ver is not null or not exists (select 1 from calls z where z.batch = c.batch and z.fence > c.fence
			and m.k <= z.k_to and (z.k_from is null or m.k > z.k_from)))
		and m.k <= b.last_k and coalesce(m.code, %[2]d) = %[2]d`, tied, dispatcher.Sent)
}

// duplicates counts addresses that are in a run and channel more than once.
const duplicates = `select count(*) from (select g.run, g.channel, m.k from groups g join members m on m.grp = g.id
	group by g.run, g.channel, m.k having count(*) > 1) x`

// unreconciled counts batches whose counts are not those of their settled
// members.
var unreconciled = fmt.Sprintf(`select count(*) from (select b.id from batches b left join members m on m.grp = b.grp and m.k >= b.k_lo and m.k <= b.k_hi
	group by b.id having
	sum(case when m.code = %[1]d then 1 else 0 end) <> b.suppressed or
	sum(case when m.code = %[2]d then 1 else 0 end) <> b.failed or
	sum(case when m.code = %[3]d then 1 else 0 end) <> b.in_doubt or
	sum(case when m.code = %[4]d then 1 else 0 end) <> b.skipped or
	sum(case when coalesce(m.code, %[5]d) = %[5]d and m.k <= b.last_k then 1 else 0 end) <> b.sent or
	count(m.k) <> b.n - b.moved) x`,
	dispatcher.Suppressed, dispatcher.Failed, dispatcher.InDoubt, dispatcher.Skipped, dispatcher.Sent)

const strays = `select count(*) from members m where not exists
	(select 1 from batches b where b.grp = m.grp and m.k between b.k_lo and b.k_hi)`

const openAfterEnd = `select count(*) from batches b join runs r on r.id = b.run where b.state <> 2 and r.state in ('finished', 'cancelled')`

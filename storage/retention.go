package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"time"

	"utskick/audience"
	"utskick/rights"
)

// forgetAtOnce is how many rows one transaction of the retention job touches, or
// persons in the case of events: a few milliseconds' work.
const forgetAtOnce = 500

// forgetting is how a rule is carried out.
type forgetting struct {
	count string // of what lies before $1
	do    func(s *Store, ctx context.Context, before int64, step func(int64) error) error
}

var forgettings = map[rights.RuleName]forgetting{
	rights.KeepEvents: {`select count(*) from events where day <= cast($1 as bigint) / 86400000 and at < $1 and k is not null and forgotten = 0`, (*Store).forgetEvents},
	rights.KeepCommunications: {`select count(*) from runs r join groups g on g.run = r.id join members m on m.grp = g.id
		where ` + oldRuns + ` and m.contact <> 0`, (*Store).forgetCommunications},
	rights.KeepReplies: {`select count(*) from inbound where ` + oldReplies, forgetByID("inbound", oldReplies,
		`update inbound set contact = null, k = null, address = '', words = ''`)},
	rights.KeepCases: {`select count(*) from cases where ` + oldCases, forgetByID("cases", oldCases,
		`delete from case_notes`, `update cases set contact = null, k = null, external = '', outcome = '', extended_reason = ''`)},
	rights.KeepAudit: {`select count(*) from audit where at < $1`, forgetByID("audit", `at < $1`, `delete from audit`)},
	rights.KeepConsents: {`select count(*) from withdrawn_consents w join suppression_changes c on c.ver = w.ver where c.at < $1`,
		forgetByVersion(`select distinct w.ver from withdrawn_consents w join suppression_changes c on c.ver = w.ver where c.at < $1 and w.ver > $2 order by w.ver limit $3`,
			`delete from withdrawn_consents`)},
	rights.KeepEvidence: {`select count(*) from suppression_changes where at < $1 and evidence <> ''`,
		forgetByVersion(`select ver from suppression_changes where at < $1 and evidence <> '' and ver > $2 order by ver limit $3`,
			`update suppression_changes set evidence = ''`)},
}

const (
	oldRuns = `r.finished_at > 0 and r.finished_at < $1 and r.forgotten = 0`
	// oldReplies are those that somebody has dealt with. One that nobody has read
	// may be an objection.
	oldReplies = `done = 1 and at < $1 and (contact is not null or address <> '' or words <> '' or k is not null)`
	// oldCases leaves a restriction that is in force: only its case can lift it.
	oldCases = `ended_at > 0 and ended_at < $1 and (contact is not null or k is not null or external <> '' or outcome <> '' or extended_reason <> ''
		or exists (select 1 from case_notes n where n.case_id = cases.id))
		and not (kind = 'restriction' and exists (select 1 from suppressions x where x.k = cases.k and x.cause = 'restricted' and x.active))`
)

// Forget implements [rights.Forgetful].
func (s *Store) Forget(ctx context.Context, rule rights.RuleName, before time.Time, step func(int64) error) error {
	return forgettings[rule].do(s, ctx, millisOf(before), step)
}

// Forgettable implements [rights.Forgetful].
func (s *Store) Forgettable(ctx context.Context, rule rights.RuleName, before time.Time) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, forgettings[rule].count, millisOf(before)).Scan(&n)
	return n, err
}

// forgetByID finds rows by their ids and does to them what the statements say,
// some at a time.
func forgetByID(table, old string, statements ...string) func(*Store, context.Context, int64, func(int64) error) error {
	find := `select id from ` + table + ` where ` + old + ` and id > $2 order by id limit $3`
	return func(s *Store, ctx context.Context, before int64, step func(int64) error) error {
		return s.forgetFound(ctx, find, before, step, func(name string) string {
			if name == `delete from case_notes` {
				return "case_id"
			}
			return "id"
		}, statements...)
	}
}

func forgetByVersion(find string, statement string) func(*Store, context.Context, int64, func(int64) error) error {
	return func(s *Store, ctx context.Context, before int64, step func(int64) error) error {
		return s.forgetFound(ctx, find, before, step, func(string) string { return "ver" }, statement)
	}
}

// forgetFound does statements to what find finds, some at a time. The rows that
// count are those of the last statement.
func (s *Store) forgetFound(ctx context.Context, find string, before int64, step func(int64) error, column func(statement string) string, statements ...string) error {
	for after := int64(0); ; {
		ids, err := valuesOf[int64](ctx, s.read, find, before, after, forgetAtOnce)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		var n int64
		err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			for _, statement := range statements {
				q := s.query()
				text := statement + ` where ` + column(statement) + ` in (select u.id from ` + q.table("u", ints("id", ids)) + `)`
				if n, err = affected(tx.ExecContext(ctx, text, q.args...)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := step(n); err != nil {
			return err
		}
	}
}

// forgetEvents ties the events of a person in a run to a key that is made up for
// them and kept nowhere else, once the oldest of them is old: the report goes on
// counting one person. Should she open the message again, years later, she counts
// as another. Their marks go: a link of hers, or the provider, would give them again.
func (s *Store) forgetEvents(ctx context.Context, before int64, step func(int64) error) error {
	for day := int64(-1); ; {
		const next = `select coalesce(min(day), -1) from events where day > $1 and day <= $2`
		if err := s.read.QueryRowContext(ctx, next, day, before/millisADay).Scan(&day); err != nil || day < 0 {
			return err
		}
		for {
			n, err := s.forgetEventsOf(ctx, day, before)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			if err := step(n); err != nil {
				return err
			}
		}
	}
}

// forgetEventsOf forgets some persons with an old event on a day.
func (s *Store) forgetEventsOf(ctx context.Context, day, before int64) (n int64, err error) {
	var runs []int64
	var ks, nobodies []audience.Key
	const find = `select distinct run, k from events where day = $1 and at < $2 and k is not null and forgotten = 0 limit $3`
	err = each(ctx, s.read, find, []any{day, before, forgetAtOnce}, func(rows *sql.Rows) error {
		var run int64
		var k, nobody audience.Key
		err := rows.Scan(&run, &k)
		rand.Read(nobody[:]) // never fails (crypto/rand, Go 1.24)
		runs, ks, nobodies = append(runs, run), append(ks, k), append(nobodies, nobody)
		return err
	})
	if err != nil || len(ks) == 0 {
		return 0, err
	}
	q := s.query()
	text := `update events set dedupe = ` + s.d.randomText() + `, k = u.nobody, contact = null, agent = '', requester = null, forgotten = 1
		from ` + q.table("u", ints("run", runs), keys("k", ks), keys("nobody", nobodies)) + ` where events.k = u.k and events.run = u.run`
	return affected(s.write.ExecContext(ctx, text, q.args...))
}

// forgetCommunications cuts the members of old runs loose from their contacts.
// Their keys stay, and so do all sums: without them nobody could show that
// nobody was sent to twice, or after an objection.
func (s *Store) forgetCommunications(ctx context.Context, before int64, step func(int64) error) error {
	runs, err := valuesOf[int64](ctx, s.read, `select r.id from runs r where `+oldRuns+` order by r.id`, before)
	if err != nil {
		return err
	}
	for _, run := range runs {
		groups, err := valuesOf[int64](ctx, s.read, `select id from groups where run = $1 order by id`, run)
		if err != nil {
			return err
		}
		for _, group := range groups {
			if err := s.forgetMembers(ctx, group, step); err != nil {
				return err
			}
		}
		if err := s.forgetMessageIDs(ctx, run, step); err != nil {
			return err
		}
		if _, err := s.write.ExecContext(ctx, `update runs set forgotten = 1 where id = $1`, run); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) forgetMembers(ctx context.Context, group int64, step func(int64) error) error {
	const find = `select k from members where grp = $1 and k > $2 and contact <> 0 order by k limit $3`
	for after := []byte{}; ; {
		ks, err := valuesOf[audience.Key](ctx, s.read, find, group, after, forgetAtOnce)
		if err != nil || len(ks) == 0 {
			return err
		}
		after = ks[len(ks)-1][:]
		q := s.query()
		text := `update members set contact = 0, provider_id = null where grp = ` + q.arg(group) + ` and k in (select u.k from ` + q.table("u", keys("k", ks)) + `)`
		n, err := affected(s.write.ExecContext(ctx, text, q.args...))
		if err == nil {
			err = step(n)
		}
		if err != nil {
			return err
		}
	}
}

// forgetMessageIDs removes the provider's names of single messages. They count as
// no rows of their own.
func (s *Store) forgetMessageIDs(ctx context.Context, run int64, step func(int64) error) error {
	const find = `select id from batches where run = $1 and id > $2 order by id limit $3`
	const text = `update calls set message_ids = null where message_ids is not null and batch in (select u.id from `
	for after := int64(0); ; {
		ids, err := valuesOf[int64](ctx, s.read, find, run, after, forgetAtOnce)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		q := s.query()
		statement := text + q.table("u", ints("id", ids)) + `)`
		if _, err := s.write.ExecContext(ctx, statement, q.args...); err != nil {
			return err
		}
		if err := step(0); err != nil {
			return err
		}
	}
}

// NoteForgotten implements [rights.Forgetful].
func (s *Store) NoteForgotten(ctx context.Context, rule rights.RuleName, rows int64) error {
	const text = `insert into retention_runs (rule, ran_at, touched, total) values ($1, $2, $3, $3)
		on conflict (rule) do update set ran_at = excluded.ran_at, touched = excluded.touched, total = retention_runs.total + excluded.touched`
	if _, err := s.write.ExecContext(ctx, text, string(rule), s.millis(), rows); err != nil {
		return fmt.Errorf("note what was forgotten: %w", err)
	}
	return nil
}

// TakeTurn implements [rights.Forgetful].
func (s *Store) TakeTurn(ctx context.Context, until time.Time) (bool, error) {
	n, err := affected(s.write.ExecContext(ctx, `update retention_turn set due_at = $1 where id = 1 and due_at <= $2`, millisOf(until), s.millis()))
	if err != nil {
		return false, fmt.Errorf("take the turn of retention: %w", err)
	}
	return n == 1, nil
}

// EndTurn implements [rights.Forgetful].
func (s *Store) EndTurn(ctx context.Context, next time.Time) error {
	if _, err := s.write.ExecContext(ctx, `update retention_turn set due_at = $1 where id = 1`, millisOf(next)); err != nil {
		return fmt.Errorf("end the turn of retention: %w", err)
	}
	return nil
}

package storage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"utskick/dispatcher"
	"utskick/rights"
)

// NoteBreaches keeps what an audit has found, for whoever asks in another process.
func (s *Store) NoteBreaches(ctx context.Context, auditor string, found []dispatcher.Breach) error {
	const text = `insert into breach_counts (promise, name, found, at, auditor) values ($1, $2, $3, $4, $5)
		on conflict (promise, name) do update set found = excluded.found, at = excluded.at, auditor = excluded.auditor`
	return s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, b := range found {
			if _, err := tx.ExecContext(ctx, text, b.Promise, b.Name, b.Count, s.millis(), auditor); err != nil {
				return fmt.Errorf("note what an audit has found: %w", err)
			}
		}
		return nil
	})
}

// AddLatencies adds to how long acknowledging took.
func (s *Store) AddLatencies(ctx context.Context, gathered []rights.Latency) error {
	// In one order, so that two processes do not wait for each other in a circle.
	gathered = slices.SortedFunc(slices.Values(gathered), func(a, b rights.Latency) int { return int(a.Day-b.Day)*1000 + int(a.Bucket-b.Bucket) })
	const text = `insert into optout_latency (day, bucket, n) values ($1, $2, $3)
		on conflict (day, bucket) do update set n = optout_latency.n + excluded.n`
	return s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, l := range gathered {
			if _, err := tx.ExecContext(ctx, text, l.Day, l.Bucket, l.N); err != nil {
				return fmt.Errorf("note how long acknowledging took: %w", err)
			}
		}
		return nil
	})
}

// Facts returns what the database knows for the officer's report.
func (s *Store) Facts(ctx context.Context) (f rights.Facts, err error) {
	for _, read := range []func(context.Context, *rights.Facts) error{s.auditFacts, s.latencyFacts, s.caseFacts, s.logFacts, s.otherFacts, s.forgottenFacts} {
		if err := read(ctx, &f); err != nil {
			return f, fmt.Errorf("read the facts of the report: %w", err)
		}
	}
	hold, err := s.Hold(ctx)
	f.Held = hold.Why
	return f, err
}

func (s *Store) auditFacts(ctx context.Context, f *rights.Facts) error {
	f.Breaches = map[string]int64{}
	return each(ctx, s.read, `select name, found, at, auditor from breach_counts`, nil, func(rows *sql.Rows) error {
		var name string
		var found, at int64
		err := rows.Scan(&name, &found, &at, &f.AuditedBy)
		f.Breaches[name], f.Audited = found, timeOf(at)
		return err
	})
}

func (s *Store) latencyFacts(ctx context.Context, f *rights.Facts) error {
	const text = `select bucket, sum(n) from optout_latency where day > $1 group by bucket order by bucket`
	return each(ctx, s.read, text, []any{s.millis()/millisADay - rights.LatencyDays}, func(rows *sql.Rows) error {
		var l rights.Latency
		err := rows.Scan(&l.Bucket, &l.N)
		f.Latencies = append(f.Latencies, l)
		return err
	})
}

func (s *Store) caseFacts(ctx context.Context, f *rights.Facts) error {
	const text = `select coalesce(sum(case when ended_at = 0 then 1 else 0 end), 0),
		coalesce(sum(case when ended_at = 0 and due_on < $1 then 1 else 0 end), 0),
		coalesce(sum(case when ended_at >= $2 then 1 else 0 end), 0),
		coalesce(sum(case when ended_at >= $2 and ended_at < due_on + $3 then 1 else 0 end), 0) from cases`
	err := s.read.QueryRowContext(ctx, text, millisOf(rights.DayOf(s.now())), s.yearAgo(), int64(millisADay)).Scan(&f.Open, &f.Overdue, &f.Ended, &f.InTime)
	if err != nil {
		return err
	}
	return s.read.QueryRowContext(ctx, `select count(*) from erasures where done_at >= $1`, s.yearAgo()).Scan(&f.Erasures)
}

func (s *Store) yearAgo() int64 { return s.millis() - rights.YearDays*millisADay }

func (s *Store) logFacts(ctx context.Context, f *rights.Facts) error {
	var from, imported int64
	if err := s.read.QueryRowContext(ctx, `select coalesce(min(at), 0) from audit`).Scan(&from); err != nil {
		return err
	}
	for _, c := range []struct {
		actions []string
		what    string
		since   int64
		to      *int64
	}{
		{rights.ExportActions, "count(*)", s.yearAgo(), &f.Exports},
		{rights.ImportActions, "coalesce(max(at), 0)", 0, &imported},
	} {
		q := s.query()
		text := `select ` + c.what + ` from audit where at >= ` + q.arg(c.since) + ` and action in (select u.name from ` + q.table("u", texts("name", c.actions)) + `)`
		if err := s.read.QueryRowContext(ctx, text, q.args...).Scan(c.to); err != nil {
			return err
		}
	}
	f.LogFrom, f.Imported = timeOf(from), timeOf(imported)
	return nil
}

func (s *Store) otherFacts(ctx context.Context, f *rights.Facts) error {
	var oldest, changed int64
	for _, c := range []struct {
		text string
		to   []any
	}{
		{`select count(*), coalesce(min(at), 0) from inbound where done = 0`, []any{&f.UnreadReplies, &oldest}},
		{`select coalesce(max(at), 0) from suppression_changes where ver = (select max(ver) from suppression_changes)`, []any{&changed}},
		{`select count(*) from channel_holds`, []any{&f.HeldChannels}},
		{`select count(*) from instances where left_at = 0 and lapsed_at > 0`, []any{&f.LapsedInstance}},
	} {
		if err := s.read.QueryRowContext(ctx, c.text).Scan(c.to...); err != nil {
			return err
		}
	}
	f.OldestReply, f.Suppressed = timeOf(oldest), timeOf(changed)
	return nil
}

func (s *Store) forgottenFacts(ctx context.Context, f *rights.Facts) error {
	return each(ctx, s.read, `select rule, ran_at, touched, total from retention_runs order by rule`, nil, func(rows *sql.Rows) error {
		var r rights.Forgotten
		var at int64
		err := rows.Scan(&r.Rule, &at, &r.Touched, &r.Total)
		r.At = timeOf(at)
		if r.At.After(f.Retained) {
			f.Retained = r.At
		}
		f.Forgotten = append(f.Forgotten, r)
		return err
	})
}

// AuditLog returns up to limit rows of the audit log with an id below before, the
// newest first; 0 begins with the newest.
func (s *Store) AuditLog(ctx context.Context, before int64, limit int) (found []rights.Audited, err error) {
	const text = `select id, at, actor, action, object, detail from audit where cast($1 as bigint) = 0 or id < $1 order by id desc limit $2`
	err = each(ctx, s.read, text, []any{before, limit}, func(rows *sql.Rows) error {
		var a rights.Audited
		var at int64
		err := rows.Scan(&a.ID, &at, &a.Actor, &a.Action, &a.Object, &a.Detail)
		a.At = time.UnixMilli(at).UTC()
		found = append(found, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return found, nil
}

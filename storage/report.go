package storage

import (
	"context"
	"database/sql"
	"fmt"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/tracking"
)

// Report returns the report of the newest run of a campaign. It is one
// consistent picture: all of it is read in one snapshot.
func (s *Store) Report(ctx context.Context, campaign string) (dispatcher.Report, error) {
	return s.report(ctx, campaign, true)
}

// Progress returns the report without causes and events, which is quick at any
// size.
func (s *Store) Progress(ctx context.Context, campaign string) (dispatcher.Report, error) {
	return s.report(ctx, campaign, false)
}

func (s *Store) report(ctx context.Context, campaign string, whole bool) (dispatcher.Report, error) {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{Isolation: s.d.snapshot(), ReadOnly: true})
	if err != nil {
		return dispatcher.Report{}, fmt.Errorf("report: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	const text = `select ` + runColumns + ` from runs r join campaigns c on c.id = r.campaign where c.name = $1 order by r.id desc limit 1`
	run, err := scanRun(tx.QueryRowContext(ctx, text, campaign))
	if err != nil {
		return dispatcher.Report{}, orNotFound(err, "run of campaign %q", campaign)
	}
	r := dispatcher.Report{Campaign: campaign, Run: run.ID, State: run.State, Reason: run.Reason, Planned: run.Planned}
	at := map[audience.Channel]*dispatcher.ChannelReport{}
	for _, ch := range audience.Channels {
		for _, c := range run.Channels {
			if c.Channel == ch {
				at[ch] = &dispatcher.ChannelReport{Channel: ch, Causes: map[string]map[string]int64{}}
			}
		}
	}
	steps := []func(context.Context, *sql.Tx, int64, map[audience.Channel]*dispatcher.ChannelReport) error{reportAudience, reportOutcomes, reportHolds, s.reportFinal}
	if whole {
		steps = append(steps, reportCauses, reportEvents)
	}
	for _, step := range steps {
		if err := step(ctx, tx, run.ID, at); err != nil {
			return r, fmt.Errorf("report of run %d: %w", run.ID, err)
		}
	}
	for _, ch := range audience.Channels {
		if c := at[ch]; c != nil {
			c.Pending = c.Audience - c.Duplicates - c.Settled()
			r.Channels = append(r.Channels, *c)
		}
	}
	return r, nil
}

func reportAudience(ctx context.Context, tx *sql.Tx, run int64, at map[audience.Channel]*dispatcher.ChannelReport) error {
	const text = `select channel, sum(audience), sum(duplicates) from slices where run = $1 group by channel`
	return each(ctx, tx, text, []any{run}, func(rows *sql.Rows) error {
		var ch audience.Channel
		var size, duplicates int64
		if err := rows.Scan(&ch, &size, &duplicates); err != nil {
			return err
		}
		at[ch].Audience, at[ch].Duplicates = size, duplicates
		return nil
	})
}

// reportHolds says which channels of the run wait for an operator.
func reportHolds(ctx context.Context, tx *sql.Tx, run int64, at map[audience.Channel]*dispatcher.ChannelReport) error {
	const text = `select channel, reason from channel_holds where exists (select 1 from runs where id = $1 and finished_at = 0)`
	return each(ctx, tx, text, []any{run}, func(rows *sql.Rows) error {
		var ch audience.Channel
		var reason string
		if err := rows.Scan(&ch, &reason); err != nil {
			return err
		}
		if c := at[ch]; c != nil {
			c.Held = reason
		}
		return nil
	})
}

func reportOutcomes(ctx context.Context, tx *sql.Tx, run int64, at map[audience.Channel]*dispatcher.ChannelReport) error {
	const text = `select b.channel, sum(b.sent), sum(b.suppressed), sum(b.failed), sum(b.in_doubt), sum(b.skipped),
		sum(case when g.resend = 1 then b.sent else 0 end), sum(b.resolved)
		from batches b join groups g on g.id = b.grp where b.run = $1 group by b.channel`
	return each(ctx, tx, text, []any{run}, func(rows *sql.Rows) error {
		var ch audience.Channel
		var sent, suppressed, failed, inDoubt, skipped, resent, resolved int64
		if err := rows.Scan(&ch, &sent, &suppressed, &failed, &inDoubt, &skipped, &resent, &resolved); err != nil {
			return err
		}
		c := at[ch]
		c.Sent, c.Suppressed, c.Failed, c.InDoubt, c.Skipped, c.Resent, c.Resolved = sent, suppressed, failed, inDoubt, skipped, resent, resolved
		return nil
	})
}

// reportFinal counts those in doubt whose claim is too long ago to ask for them.
// Whom a release put in doubt without a claim counts from then on.
func (s *Store) reportFinal(ctx context.Context, tx *sql.Tx, run int64, at map[audience.Channel]*dispatcher.ChannelReport) error {
	const text = `select b.channel, count(*) from batches b
		join members m on m.grp = b.grp and m.k >= b.k_lo and m.k <= b.k_hi and m.code = $1
		where b.run = $2 and b.in_doubt > 0 and coalesce((select max(c.t0) from calls c
			where c.batch = b.id and (c.k_from is null or m.k > c.k_from) and m.k <= c.k_to), b.doubt_at) <= $3
		group by b.channel`
	args := []any{int(dispatcher.InDoubt), run, millisOf(s.now().Add(-dispatcher.LookUpFor))}
	return each(ctx, tx, text, args, func(rows *sql.Rows) error {
		var ch audience.Channel
		var n int64
		if err := rows.Scan(&ch, &n); err != nil {
			return err
		}
		at[ch].InDoubtFinal = n
		return nil
	})
}

func reportCauses(ctx context.Context, tx *sql.Tx, run int64, at map[audience.Channel]*dispatcher.ChannelReport) error {
	const text = `select g.channel, m.code, m.cause, count(*) from groups g join members m on m.grp = g.id
		where g.run = $1 and m.code is not null and m.cause is not null group by g.channel, m.code, m.cause`
	return each(ctx, tx, text, []any{run}, func(rows *sql.Rows) error {
		var ch audience.Channel
		var code dispatcher.Code
		var cause string
		var n int64
		if err := rows.Scan(&ch, &code, &cause, &n); err != nil {
			return err
		}
		causes := at[ch].Causes
		if causes[code.String()] == nil {
			causes[code.String()] = map[string]int64{}
		}
		causes[code.String()][cause] = n
		return nil
	})
}

// reportEvents counts persons. One of whom a machine's opens alone are known is
// counted apart from those who opened; so with clicks, of which those without a
// person are counted each.
func reportEvents(ctx context.Context, tx *sql.Tx, run int64, at map[audience.Channel]*dispatcher.ChannelReport) error {
	// Persons are hashed, not sorted: there may be millions of them.
	const text = `select channel, type, sum(people), sum(machines) from (
			select channel, type,
				case when k is null then sum(case when machine = '' then 1 else 0 end) else max(case when machine = '' then 1 else 0 end) end as people,
				case when k is null then sum(case when machine = '' then 0 else 1 end) else min(case when machine = '' then 0 else 1 end) end as machines
			from events where run = $1 group by channel, type, k
		) persons group by channel, type`
	err := each(ctx, tx, text, []any{run}, func(rows *sql.Rows) error {
		var ch audience.Channel
		var kind tracking.EventType
		var people, machines int64
		if err := rows.Scan(&ch, &kind, &people, &machines); err != nil {
			return err
		}
		at[ch].Count(kind, people, machines)
		return nil
	})
	if err != nil {
		return err
	}
	return reportMachines(ctx, tx, run, at)
}

// reportMachines counts, by reason, the persons with an event that is a machine's.
func reportMachines(ctx context.Context, tx *sql.Tx, run int64, at map[audience.Channel]*dispatcher.ChannelReport) error {
	const text = `select channel, type, machine, sum(n) from (
			select channel, type, machine, case when k is null then count(*) else 1 end as n
			from events where run = $1 and machine <> '' group by channel, type, machine, k
		) persons group by channel, type, machine`
	return each(ctx, tx, text, []any{run}, func(rows *sql.Rows) error {
		var ch audience.Channel
		var kind, machine string
		var n int64
		if err := rows.Scan(&ch, &kind, &machine, &n); err != nil {
			return err
		}
		c := at[ch]
		if c.Machines == nil {
			c.Machines = map[string]map[string]int64{}
		}
		if c.Machines[kind] == nil {
			c.Machines[kind] = map[string]int64{}
		}
		c.Machines[kind][machine] = n
		return nil
	})
}

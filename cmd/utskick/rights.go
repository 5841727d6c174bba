package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"utskick/api"
	"utskick/dispatcher"
	"utskick/internal/failpoint"
	"utskick/rights"
	"utskick/suppression"
)

// retention makes the job that forgets what was kept long enough.
func (a *app) retention() *rights.Retention {
	return &rights.Retention{Store: a.store, Rules: rights.Rules(a.cfg.Retention), Now: failpoint.Now, Log: a.log}
}

// breachesFor recomputes the breaches and keeps them for the officer's report. That
// they were not kept takes nothing from what was found.
func (a *app) breachesFor(auditor string) func(context.Context) ([]dispatcher.Breach, error) {
	return func(ctx context.Context) ([]dispatcher.Breach, error) {
		found, err := a.store.Breaches(ctx)
		if err != nil {
			return found, err
		}
		if err := a.store.NoteBreaches(ctx, auditor, found); err != nil {
			a.log.Warn("what an audit found was not kept for the compliance report", "error", err)
		}
		return found, nil
	}
}

// timedIntake measures how long whoever says no waits until it is acknowledged.
type timedIntake struct {
	api.Intake
	latencies *rights.Latencies
}

func (t timedIntake) Record(ctx context.Context, w suppression.Wish) (kept bool, err error) {
	began := time.Now()
	kept, err = t.Intake.Record(ctx, w)
	t.note(began, err)
	return kept, err
}

func (t timedIntake) Revise(ctx context.Context, visit string, wishes []suppression.Wish) (revised bool, err error) {
	began := time.Now()
	revised, err = t.Intake.Revise(ctx, visit, wishes)
	if len(wishes) > 0 {
		t.note(began, err)
	}
	return revised, err
}

func (t timedIntake) note(began time.Time, err error) {
	if err == nil {
		t.latencies.Note(began, time.Since(began))
	}
}

type retentionCommand struct {
	Run retentionRun `cmd:"" help:"Forget what was kept long enough, as the job does every day."`
}

type retentionRun struct {
	DryRun bool `help:"Count what would be touched, and touch nothing."`
}

func (c retentionRun) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		rules, now := rights.Rules(a.cfg.Retention), failpoint.Now()
		var applied []rights.Applied
		var err error
		if c.DryRun {
			applied, err = rights.Preview(sh.ctx, a.store, rules, now)
		} else {
			applied, err = rights.Apply(sh.ctx, a.store, rules, now, sh.ctx.Err)
		}
		if err != nil {
			return err
		}
		if !c.DryRun {
			if err := a.store.Audit(sh.ctx, "command line", "retention run", "database", sumOf(applied)); err != nil {
				return err
			}
		}
		return sh.print(applied, "%s", retentionText(applied))
	})
}

func sumOf(applied []rights.Applied) string {
	var n int64
	for _, a := range applied {
		n += a.Rows
	}
	return fmt.Sprintf("%d rows", n)
}

func retentionText(applied []rights.Applied) string {
	var b strings.Builder
	for _, a := range applied {
		after := fmt.Sprintf("after %d days", a.Days)
		if a.Days == 0 {
			after = "never"
		}
		fmt.Fprintf(&b, "%-15s %-16s %8d rows  %s\n", a.Name, after, a.Rows, a.Says)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

type complianceCommand struct{}

// Run knows nothing of what serve has in its memory, and says so.
func (complianceCommand) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		facts, err := a.store.Facts(sh.ctx)
		if err != nil {
			return err
		}
		report := rights.Report(facts, rights.Process{}, failpoint.Now())
		var b strings.Builder
		for _, f := range report.Figures {
			mark := ""
			if f.Wrong {
				mark = "  LOOK AT THIS"
			}
			fmt.Fprintf(&b, "%-24s %s%s\n    %s\n", f.Name, f.Shown(), mark, f.Says)
		}
		return sh.print(report, "%s", strings.TrimSuffix(b.String(), "\n"))
	})
}

package rights

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// RuleName is the name of a rule of retention, as in UTSKICK_RETENTION_<NAME>.
type RuleName string

// The rules.
const (
	KeepEvents         RuleName = "events"
	KeepCommunications RuleName = "communications"
	KeepReplies        RuleName = "replies"
	KeepCases          RuleName = "cases"
	KeepAudit          RuleName = "audit"
	KeepConsents       RuleName = "consents"
	KeepEvidence       RuleName = "evidence"
)

// Rule says for how long something about a person is kept.
type Rule struct {
	Name RuleName `json:"rule"`
	Days int      `json:"days"` // 0: for good
	// Least is the lowest number of days that is not 0: what the rule touches is
	// needed by something else as long as that.
	Least int    `json:"-"`
	Says  string `json:"says"` // what becomes of it then
}

// Rules returns the rules with the days that are configured for each.
func Rules(days map[RuleName]int) []Rule {
	rules := []Rule{
		{Name: KeepEvents, Least: 60, Says: "opens, clicks and what providers told: tied to no person any more. They are still counted, each person once"},
		{Name: KeepCommunications, Least: 30, Says: "who was sent what in a run that ended: tied to no contact any more, and to no message id. The outcomes are still counted"},
		{Name: KeepReplies, Least: 30, Says: "answers that were dealt with: tied to no person any more. Those that nobody has read are kept"},
		{Name: KeepCases, Least: YearDays, Says: "cases that ended: without person, notes and outcome. They are still counted. Those of a restriction in force are kept"},
		{Name: KeepAudit, Least: YearDays, Says: "rows of the audit log: deleted"},
		{Name: KeepConsents, Least: 30, Says: "consents as they were before they were withdrawn: deleted"},
		{Name: KeepEvidence, Least: 30, Says: "how each change of a wish is known: deleted. The change itself, and the evidence of a wish as it stands, are kept"},
	}
	for i := range rules {
		rules[i].Days = days[rules[i].Name]
	}
	return rules
}

// Before returns the instant before which the rule forgets.
func (r Rule) Before(now time.Time) time.Time { return now.AddDate(0, 0, -r.Days) }

// Forgetful is where rules are carried out.
type Forgetful interface {
	// Forget forgets what is older than before, in small transactions, and calls
	// step after each with the number of rows; an error of step ends it. It may
	// end anywhere, and go on another time.
	Forget(ctx context.Context, rule RuleName, before time.Time, step func(rows int64) error) error
	// Forgettable counts the rows that Forget would touch.
	Forgettable(ctx context.Context, rule RuleName, before time.Time) (int64, error)
	// NoteForgotten keeps how many rows a rule has touched.
	NoteForgotten(ctx context.Context, rule RuleName, rows int64) error
	// TakeTurn says whether it is this process's turn to forget, which it is for
	// one process until then.
	TakeTurn(ctx context.Context, until time.Time) (bool, error)
	// EndTurn says when it is somebody's turn next.
	EndTurn(ctx context.Context, next time.Time) error
}

// Applied is what a rule did, or would do.
type Applied struct {
	Rule
	Rows int64 `json:"rows"`
}

// Apply carries out the rules one after the other, and calls step between the
// transactions. Of a rule that fails, what it has done is noted, and it goes on
// another time.
func Apply(ctx context.Context, store Forgetful, rules []Rule, now time.Time, step func() error) (applied []Applied, err error) {
	for _, r := range rules {
		if r.Days == 0 {
			applied = append(applied, Applied{Rule: r})
			continue
		}
		a := Applied{Rule: r}
		err := store.Forget(ctx, r.Name, r.Before(now), func(rows int64) error {
			a.Rows += rows
			return step()
		})
		if noted := store.NoteForgotten(context.WithoutCancel(ctx), r.Name, a.Rows); err == nil {
			err = noted
		}
		if err != nil {
			return applied, fmt.Errorf("retention of %s: %w", r.Name, err)
		}
		applied = append(applied, a)
	}
	return applied, nil
}

// Preview counts what the rules would touch.
func Preview(ctx context.Context, store Forgetful, rules []Rule, now time.Time) (applied []Applied, err error) {
	for _, r := range rules {
		a := Applied{Rule: r}
		if r.Days > 0 {
			if a.Rows, err = store.Forgettable(ctx, r.Name, r.Before(now)); err != nil {
				return nil, fmt.Errorf("retention of %s: %w", r.Name, err)
			}
		}
		applied = append(applied, a)
	}
	return applied, nil
}

// Retention applies the rules once a day, in one of the processes that run it.
type Retention struct {
	Store Forgetful
	Rules []Rule
	Now   func() time.Time
	Log   *slog.Logger
	// Wait returns when d has passed, or when ctx ends; nil is a timer.
	Wait func(ctx context.Context, d time.Duration)
}

const (
	retainEvery  = 24 * time.Hour
	retainLook   = 10 * time.Minute // how often a process looks whether it is due
	retainTurn   = time.Hour        // after which another process may go on with it
	retainPause  = 200 * time.Millisecond
	retainShares = 4 // pauses at least so many times as long as a transaction took
)

// Run works until ctx ends.
func (r *Retention) Run(ctx context.Context) {
	if r.Wait == nil {
		r.Wait = wait
	}
	for ctx.Err() == nil {
		if err := r.round(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn("retention stopped and goes on later", "error", err)
		}
		r.Wait(ctx, retainLook)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// round applies the rules if it is this process's turn. Sending comes first: most
// of the time it pauses.
func (r *Retention) round(ctx context.Context) error {
	turn, err := r.Store.TakeTurn(ctx, r.Now().Add(retainTurn))
	if err != nil || !turn {
		return err
	}
	began, renewed := time.Now(), time.Now()
	applied, err := Apply(ctx, r.Store, r.Rules, r.Now(), func() error {
		r.Wait(ctx, max(retainPause, retainShares*time.Since(began)))
		began = time.Now()
		if began.Sub(renewed) < retainTurn/4 {
			return ctx.Err()
		}
		renewed = began
		return r.Store.EndTurn(ctx, r.Now().Add(retainTurn))
	})
	for _, a := range applied {
		if a.Rows > 0 {
			r.Log.Info("what was kept long enough was forgotten", "rule", a.Name, "rows", a.Rows)
		}
	}
	if err != nil {
		return err
	}
	return r.Store.EndTurn(ctx, r.Now().Add(retainEvery))
}

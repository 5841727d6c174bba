package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
)

type doctorCommand struct{}

// check is one thing that the doctor looked at.
type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Says string `json:"says,omitempty"`
}

// errUnwell makes the doctor's exit code 1; what is wrong has been printed.
var errUnwell = errors.New("something is wrong; see above")

func (doctorCommand) Run(sh *shell) error {
	a, err := sh.open(false)
	if err != nil {
		return err
	}
	checks, err := a.examine(sh)
	if err := errors.Join(err, a.close()); err != nil {
		return err
	}
	return sh.diagnose(checks)
}

// examine looks at the parts and recomputes every run's sums. (Opening the
// database has checked its version and pepper already.)
func (a *app) examine(sh *shell) ([]check, error) {
	checks := []check{{Name: "database", OK: true, Says: "answers, at this version, with this pepper"}}
	hold, err := a.store.Hold(sh.ctx)
	if err != nil {
		return nil, err
	}
	sending := check{Name: "sending", OK: !hold.Held(), Says: "not held"}
	if hold.Held() {
		sending.Says = fmt.Sprintf("held since %s: %s; %s", hold.Since.Format(time.RFC3339), hold.Why, dispatcher.WayOut)
	}
	checks = append(checks, sending)
	redis, err := a.openRedis()
	if err != nil {
		return nil, err
	}
	defer redis.Close()
	answers := check{Name: "redis", OK: true, Says: "answers"}
	if a.cfg.RedisURL == "" {
		answers.Says = "in this process"
	} else if redis.Ping(sh.ctx) != nil {
		answers = check{Name: "redis", Says: "does not answer; sends go on, taken from the database"}
	}
	checks = append(checks, answers)
	for _, ch := range a.channels() {
		checks = append(checks, check{Name: "provider", OK: true, Says: ch})
	}
	checks = append(checks, a.exportsName())
	for _, look := range []func(*shell) ([]check, error){a.holds, a.lapses} {
		found, err := look(sh)
		if err != nil {
			return nil, err
		}
		checks = append(checks, found...)
	}
	campaigns, err := a.store.Campaigns(sh.ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range campaigns {
		checks = append(checks, a.reconcile(sh, c.Name))
	}
	breaches, err := a.breachesFor("doctor")(sh.ctx)
	for _, b := range breaches {
		c := check{Name: b.Promise + " " + b.Name, OK: b.Count == 0, Says: "none"}
		if !c.OK {
			c.Says = fmt.Sprintf("%d: a promise was broken; keep the database as it is, and look at them", b.Count)
		}
		checks = append(checks, c)
	}
	return checks, err
}

// exportsName says whom an access export that is made here names as recipients of
// the address. It is nothing wrong: this may be a worker of one channel, where none
// is made.
func (a *app) exportsName() check {
	c := check{Name: "access exports", OK: true, Says: "name the provider of every channel"}
	var lacking []string
	for _, ch := range audience.Channels {
		if a.cfg.Providers[ch] == "" {
			lacking = append(lacking, "UTSKICK_"+strings.ToUpper(string(ch)))
		}
	}
	if len(lacking) > 0 {
		c.Says = "those made here name no recipient for what is not set: " + strings.Join(lacking, ", ") + "; serve and people export need all that anybody sends by"
	}
	return c
}

func (a *app) reconcile(sh *shell, campaign string) check {
	c := check{Name: "campaign " + campaign}
	if _, err := a.store.LatestRun(sh.ctx, campaign); err != nil {
		c.OK, c.Says = true, "not launched"
		return c
	}
	r, err := a.store.Report(sh.ctx, campaign)
	if err == nil {
		err = r.Reconcile()
	}
	if err != nil {
		c.Says = err.Error()
		return c
	}
	c.OK, c.Says = true, fmt.Sprintf("run %d is %s and its sums meet", r.Run, r.State)
	return c
}

func (sh *shell) diagnose(checks []check) error {
	well := true
	for _, c := range checks {
		well = well && c.OK
		if sh.json {
			continue
		}
		mark := "ok   "
		if !c.OK {
			mark = "WRONG"
		}
		fmt.Fprintf(sh.stdout, "%s  %s: %s\n", mark, c.Name, c.Says)
	}
	if sh.json {
		if err := sh.print(checks, ""); err != nil {
			return err
		}
	}
	if !well {
		return errUnwell
	}
	return nil
}

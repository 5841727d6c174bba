package main

import (
	"fmt"

	"utskick/suppression"
)

type instancesCommand struct {
	List    instancesList    `cmd:"" help:"List the processes that take wishes over HTTP."`
	Release instancesRelease `cmd:"" help:"Let sending go on without one that is gone for good."`
}

type instancesList struct{}

func (instancesList) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		all, err := a.store.Instances(sh.ctx)
		if err != nil || sh.json {
			return firstError(err, func() error { return sh.print(all, "") })
		}
		for _, i := range all {
			if _, err := fmt.Fprintf(sh.stdout, "%-16s %-7s renewed %s  %s\n", i.Name, i.State, i.Renewed.Format("2006-01-02 15:04:05"), i.About); err != nil {
				return err
			}
		}
		return nil
	})
}

type instancesRelease struct {
	Name string `arg:"" help:"Name of the instance."`
}

func (c instancesRelease) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		if err := a.store.ReleaseInstance(sh.ctx, c.Name); err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "instances release", c.Name, ""); err != nil {
			return err
		}
		return sh.print(map[string]string{"released": c.Name}, "Sending goes on without %s.", c.Name)
	})
}

// lapses is the doctor's look at the instances.
func (a *app) lapses(sh *shell) ([]check, error) {
	all, err := a.store.Instances(sh.ctx)
	var checks []check
	for _, i := range all {
		switch i.State {
		case suppression.LeaseHeld:
			checks = append(checks, check{Name: "instance " + i.Name, OK: true, Says: i.About})
		case suppression.LeaseLapsed:
			checks = append(checks, check{Name: "instance " + i.Name, Says: fmt.Sprintf("%s has not renewed its lease since %s, and nothing is sent until it has. "+
				"Start it again with its data directory, or give it back its way to the database; if it is gone for good: utskick instances release %s",
				i.About, i.Renewed.Format("2006-01-02 15:04:05 MST"), i.Name)})
		}
	}
	return checks, err
}

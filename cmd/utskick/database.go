package main

import (
	"fmt"

	"utskick/dispatcher"
)

type databaseCommand struct {
	Status  databaseStatus  `cmd:"" help:"Tell whether sending is held because the database was restored or failed over."`
	Release databaseRelease `cmd:"" help:"Let sending go on: replay the journals, and declare in doubt who may have been sent to."`
}

type databaseStatus struct{}

// Run exits 0 when sending is held, too: it was asked, and it answers.
func (databaseStatus) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		hold, err := a.store.Hold(sh.ctx)
		if err != nil {
			return err
		}
		result := struct {
			Held bool `json:"held"`
			dispatcher.Hold
		}{hold.Held(), hold}
		if !hold.Held() {
			return sh.print(result, "Sending is not held: the database is the one that is remembered.")
		}
		return sh.print(result, "All sending is held since %s: %s.\nThe way out: %s.", hold.Since.Format("2006-01-02 15:04:05 MST"), hold.Why, dispatcher.WayOut)
	})
}

type databaseRelease struct {
	Journal []string `help:"A part of another instance's journal to replay, too; may be given again." placeholder:"FILE" type:"existingfile"`
}

func (c databaseRelease) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		r, err := a.store.ReleaseHold(sh.ctx, "command line", c.Journal)
		if err != nil {
			return err
		}
		if sh.json {
			return sh.print(r, "")
		}
		for _, j := range r.Journals {
			fmt.Fprintf(sh.stdout, "%s: %d lines, %d of them lost by the database and written again, %d damaged %v\n", j.File, j.Lines, j.Applied, len(j.Damaged), j.Damaged)
		}
		if len(r.Relaunched) > 0 {
			fmt.Fprintf(sh.stdout, "Campaigns were launched in what was lost; as runs %v their audience is in doubt.\n", r.Relaunched)
		}
		if r.Erasing > 0 {
			fmt.Fprintf(sh.stdout, "%d people are there again who were to be erased; they are being erased again.\n", r.Erasing)
		}
		return sh.print(r, "Sending goes on. %d members of %d runs are in doubt, because they may have been sent to in what was lost.", r.InDoubt, len(r.Runs))
	})
}

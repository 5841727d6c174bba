package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"utskick/audience"
	"utskick/rights"
)

type peopleCommand struct {
	Export   peopleExport   `cmd:"" help:"Write all that is held about a person, for herself to read and for other programs."`
	Erase    peopleErase    `cmd:"" help:"Erase a person; nothing new is sent to her when the command returns."`
	Erasures peopleErasures `cmd:"" help:"List erasures, and what those wait for that are not done."`
}

type peopleExport struct {
	ID   string `arg:"" help:"External id of the contact."`
	Out  string `required:"" help:"Folder for export.json and export.html; it is made if it is not there." placeholder:"DIR"`
	Lang string `help:"Language of the page, sv or en; by the person's locale if it is not given." enum:",sv,en" default:""`
}

func (c peopleExport) Run(sh *shell) error {
	id, err := audience.NormalizeExternalID(c.ID)
	if err != nil {
		return misuse{fmt.Errorf("the external id %w", err)}
	}
	return sh.with(func(a *app) error {
		x := rights.Exporter{Source: a.store, About: a.about(), Now: time.Now}
		made, err := x.Make(sh.ctx, id, c.Lang)
		if err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "people export", a.keyer.Key(audience.KindContact, id).Short(), "json, html"); err != nil {
			return err
		}
		if err := os.MkdirAll(c.Out, 0o700); err != nil {
			return err
		}
		files := []string{filepath.Join(c.Out, "export.json"), filepath.Join(c.Out, "export.html")}
		for i, write := range []func(io.Writer) error{made.WriteJSON, made.WriteHTML} {
			if err := writePrivate(files[i], write); err != nil {
				return err
			}
		}
		return sh.print(map[string][]string{"files": files}, "All that is held is in %s.", strings.Join(files, " and "))
	})
}

// writePrivate writes a file that nobody else may read.
func writePrivate(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Sync(), f.Close())
}

type peopleErase struct {
	ID                string `arg:"" help:"External id of the contact."`
	Case              string `required:"" help:"Number of the case; no name, no address and no identity number."`
	KeepNoSuppression bool   `help:"The person wants no suppression to be kept, and may be sent to when a file brings her again."`
}

func (c peopleErase) Run(sh *shell) error {
	id, err := audience.NormalizeExternalID(c.ID)
	if err != nil {
		return misuse{fmt.Errorf("the external id %w", err)}
	}
	asked := rights.Asked{ExternalID: id, Case: c.Case, By: "command line", Declined: c.KeepNoSuppression}
	if err := asked.Check(); err != nil {
		return misuse{fmt.Errorf("--%w", err)}
	}
	return sh.with(func(a *app) error {
		eraser := a.eraser()
		open, err := eraser.Ask(sh.ctx, asked)
		if err != nil {
			return err
		}
		now, err := eraser.Finish(sh.ctx, open)
		if err != nil {
			return err
		}
		return sh.print(now, "%s", erasureSays(now))
	})
}

func erasureSays(e rights.Erasure) string {
	switch {
	case e.Done():
		return fmt.Sprintf("Erasure %d is done; %d messages were cut loose from the person.", e.ID, e.Messages)
	case len(e.Waits) > 0:
		return fmt.Sprintf("Erasure %d is on record, and nothing new is sent to the person. It is finished when these campaigns have ended: %s.", e.ID, strings.Join(e.Waits, ", "))
	}
	return fmt.Sprintf("Erasure %d is on record, and nothing new is sent to the person. It is not finished yet.", e.ID)
}

type peopleErasures struct {
	Open bool `help:"Only those that are not done."`
}

func (c peopleErasures) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		list, err := a.store.ErasureList(sh.ctx, c.Open, 1000)
		if err != nil || sh.json {
			return firstError(err, func() error { return sh.print(list, "") })
		}
		for _, e := range list {
			done := "waits"
			if e.Done() {
				done = "done " + e.DoneAt.Format("2006-01-02 15:04:05")
			}
			if _, err := fmt.Fprintf(sh.stdout, "%d  case %s  asked %s  %s\n", e.ID, e.Case, e.AskedAt.Format("2006-01-02 15:04:05"), done); err != nil {
				return err
			}
		}
		return nil
	})
}

// eraser finishes erasures wherever work is done.
func (a *app) eraser() *rights.Eraser {
	return &rights.Eraser{Store: a.store, Recorder: a.register, Log: a.log}
}

// companies are whom messages are handed over to by a provider's name (GDPR 15(1)(c)).
var companies = map[string]string{
	"sendgrid": "Twilio SendGrid",
	"twilio":   "Twilio",
	"fcm":      "Google Firebase Cloud Messaging",
	"smtp":     "SMTP relay",
	"outbox":   "nobody (captured in a folder)",
}

// about is what an access export says besides the data.
func (a *app) about() rights.About {
	about := rights.About{Authority: a.cfg.Authority, Retention: a.cfg.RetentionText}
	for ch, provider := range a.cfg.Providers {
		if provider != "" {
			about.Recipients = append(about.Recipients, rights.Recipient{Channel: ch, Provider: companies[provider]})
		}
	}
	slices.SortFunc(about.Recipients, func(x, y rights.Recipient) int { return strings.Compare(string(x.Channel), string(y.Channel)) })
	return about
}

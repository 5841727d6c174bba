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
	"utskick/suppression"
)

type peopleCommand struct {
	Export   peopleExport   `cmd:"" help:"Write all that is held about a person, for herself to read and for other programs."`
	Erase    peopleErase    `cmd:"" help:"Erase a person; nothing new is sent to her when the command returns."`
	Erasures peopleErasures `cmd:"" help:"List erasures, and what those wait for that are not done."`
}

// whom is a contact, or somebody who is none, of whom something may be held under
// the key of her address.
type whom struct {
	ID    string `arg:"" optional:"" help:"External id of the contact."`
	Email string `help:"Instead: the e-mail address of somebody who is no contact."`
	Phone string `help:"Instead: the phone number of somebody who is no contact."`
}

// read returns an external id, or the key of an address.
func (w whom) read(keyer *audience.Keyer, region string) (id string, k audience.Key, err error) {
	var given []suppression.Fields
	for _, f := range []suppression.Fields{{Kind: string(audience.KindContact), Address: w.ID}, {Kind: string(audience.KindEmail), Address: w.Email},
		{Kind: string(audience.KindPhone), Address: w.Phone}} {
		if f.Address != "" {
			given = append(given, f)
		}
	}
	if len(given) != 1 {
		return "", k, misuse{errors.New("give one of an external id, --email and --phone")}
	}
	if w.ID != "" {
		if id, err = audience.NormalizeExternalID(w.ID); err != nil {
			err = misuse{fmt.Errorf("the external id %w", err)}
		}
		return id, k, err
	}
	k, err = suppression.Reader{Keyer: keyer, Region: region}.Key(given[0].Kind, given[0].Address)
	if err != nil {
		err = misuse{fmt.Errorf("--%s %w", given[0].Kind, err)}
	}
	return "", k, err
}

type peopleExport struct {
	whom
	Out  string `required:"" help:"Folder for export.json and export.html; it is made if it is not there." placeholder:"DIR"`
	Lang string `help:"Language of the page, sv or en; by the person's locale if it is not given." enum:",sv,en" default:""`
}

func (c peopleExport) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		id, k, err := c.read(a.keyer, a.cfg.Region)
		if err != nil {
			return err
		}
		x := rights.Exporter{Source: a.store, About: a.about(), Now: time.Now}
		export := func() (rights.Export, error) { return x.MakeOfKey(sh.ctx, k, c.Lang) }
		if id != "" {
			k = a.keyer.Key(audience.KindContact, id)
			export = func() (rights.Export, error) { return x.Make(sh.ctx, id, c.Lang) }
		}
		made, err := export()
		if err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "people export", k.Short(), "json, html"); err != nil {
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
	whom
	Case              string `required:"" help:"Number of the case; no name, no address and no identity number."`
	KeepNoSuppression bool   `help:"The person wants no suppression to be kept, and may be sent to when a file brings her again."`
}

func (c peopleErase) Run(sh *shell) error {
	asked := rights.Asked{Case: c.Case, By: "command line", Declined: c.KeepNoSuppression}
	if err := asked.Check(); err != nil {
		return misuse{fmt.Errorf("--%w", err)}
	}
	return sh.with(func(a *app) (err error) {
		if asked.ExternalID, asked.Key, err = c.read(a.keyer, a.cfg.Region); err != nil {
			return err
		}
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

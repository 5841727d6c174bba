package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"utskick/audience"
	"utskick/suppression"
)

type suppressionsCommand struct {
	Import suppressionsImport `cmd:"" help:"Import wishes from a CSV file of addresses or keys."`
	Export suppressionsExport `cmd:"" help:"Export what is in force, as keys."`
	Add    suppressionsAdd    `cmd:"" help:"Record one wish; it is in force when the command returns."`
	Lift   suppressionsLift   `cmd:"" help:"Lift one wish, such as when a consent is given again."`
	Check  suppressionsCheck  `cmd:"" help:"Tell whether a message would be withheld from an address."`
}

type suppressionsImport struct {
	File     string `arg:"" help:"CSV file; - is the standard input."`
	Problems string `help:"File for what is wrong, line by line; FILE.problems.csv if it is not given." placeholder:"FILE"`
}

func (c suppressionsImport) Run(sh *shell) error {
	file, _, err := openInput(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	problems := newProblemFile(contactsImport{File: c.File, Problems: c.Problems}.problemsFile())
	return sh.with(func(a *app) error {
		bar := sh.progress(0, "importing")
		report, err := suppression.ImportFile(sh.ctx, file, a.register, a.keyer, a.cfg.Region, suppression.FileOptions{
			Problems: problems.write, Progress: func(r suppression.FileReport) { _ = bar.Set(r.Lines) }})
		_ = bar.Finish()
		if err := errors.Join(err, problems.close()); err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "suppressions import", "file", fmt.Sprintf("%d recorded, %d rejected", report.Recorded, report.Rejected)); err != nil {
			return err
		}
		return sh.print(report, "%d lines: %d recorded, %d rejected.%s", report.Lines, report.Recorded, report.Rejected, problems.hint())
	})
}

type suppressionsExport struct {
	File string `arg:"" optional:"" help:"File to write; the standard output if it is not given."`
}

func (c suppressionsExport) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		if c.File == "" {
			_, err := suppression.WriteEntries(sh.ctx, sh.stdout, a.store, time.Now())
			return err
		}
		f, err := os.OpenFile(c.File, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		n, err := suppression.WriteEntries(sh.ctx, f, a.store, time.Now())
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
		return sh.print(map[string]int{"entries": n}, "%d entries are in %s.", n, c.File)
	})
}

type suppressionsAdd struct {
	Address  string `arg:"" help:"E-mail address, phone number, external id of a contact, push token or key."`
	Kind     string `help:"What the address is: email, phone, push, contact or key; guessed if it is not given."`
	Channel  string `help:"email, sms, push, post or phone; all if it is not given."`
	Topic    string `help:"Topic; all if it is not given."`
	Purpose  string `help:"Purpose; all if it is not given."`
	Sender   string `help:"Sender; all if it is not given."`
	Cause    string `help:"Cause; objected if it is not given."`
	Evidence string `help:"How we know, such as a case number; no address."`
	Until    string `help:"End of a pause, such as 2026-12-24T00:00:00+01:00."`
}

func (c suppressionsAdd) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		reader := suppression.Reader{Keyer: a.keyer, Region: a.cfg.Region, Source: "operator"}
		wish, problems := reader.Wish(suppression.Fields{Kind: kindOf(c.Kind, c.Address), Address: c.Address, Channel: c.Channel, Topic: c.Topic,
			Purpose: c.Purpose, Sender: c.Sender, Cause: c.Cause, Evidence: c.Evidence, ExpiresAt: c.Until})
		if len(problems) > 0 {
			return misuse{fmt.Errorf("%s: %s", problems[0].Field, problems[0].Rule)}
		}
		recorded, err := a.register.Record(sh.ctx, wish)
		if err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "suppressions add", wish.Entry.Key.Short(), string(wish.Entry.Cause)); err != nil {
			return err
		}
		return sh.print(map[string]any{"cause": wish.Entry.Cause, "keys": recorded.Keys, "version": recorded.Version},
			"Recorded as %s for %d keys; in force since version %d.", wish.Entry.Cause, recorded.Keys, recorded.Version)
	})
}

type suppressionsLift struct {
	Address  string `arg:"" help:"E-mail address, phone number, external id of a contact, push token or key."`
	Kind     string `help:"What the address is: email, phone, push, contact or key; guessed if it is not given."`
	Channel  string `help:"As the wish has it; all if it is not given."`
	Topic    string `help:"As the wish has it; all if it is not given."`
	Purpose  string `help:"As the wish has it; all if it is not given."`
	Sender   string `help:"As the wish has it; all if it is not given."`
	Cause    string `required:"" help:"Cause of the wish; those of other causes stay."`
	Evidence string `required:"" help:"How we know that the person wants this, such as a case number; no address."`
}

func (c suppressionsLift) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		reader := suppression.Reader{Keyer: a.keyer, Region: a.cfg.Region, Source: "operator"}
		wish, problems := reader.Lift(suppression.Fields{Kind: kindOf(c.Kind, c.Address), Address: c.Address, Channel: c.Channel, Topic: c.Topic,
			Purpose: c.Purpose, Sender: c.Sender, Cause: c.Cause, Evidence: c.Evidence})
		if len(problems) > 0 {
			return misuse{fmt.Errorf("%s: %s", problems[0].Field, problems[0].Rule)}
		}
		recorded, err := a.register.Record(sh.ctx, wish)
		if err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "suppressions lift", wish.Entry.Key.Short(), string(wish.Entry.Cause)); err != nil {
			return err
		}
		return sh.print(map[string]any{"cause": wish.Entry.Cause, "keys": recorded.Keys, "version": recorded.Version},
			"Of %d keys nothing is %s in this scope any more, since version %d.", recorded.Keys, wish.Entry.Cause, recorded.Version)
	})
}

func kindOf(kind, address string) string {
	if kind != "" {
		return kind
	}
	return string(suppression.GuessKind(address))
}

type suppressionsCheck struct {
	Address string `arg:"" help:"E-mail address, phone number, external id of a contact, push token or key."`
	Kind    string `help:"What the address is; guessed if it is not given."`
	Channel string `help:"Channel; that of the address if it is not given."`
	Topic   string `help:"Topic; one that nobody has objected to by itself if it is not given."`
}

func (c suppressionsCheck) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		kind := kindOf(c.Kind, c.Address)
		key, err := suppression.Reader{Keyer: a.keyer, Region: a.cfg.Region}.Key(kind, c.Address)
		if err != nil {
			return misuse{err}
		}
		channel := audience.Channel(c.Channel)
		if channel == "" {
			channel = channelOf(audience.Kind(kind))
		}
		own, err := a.store.ContactKeys(sh.ctx, key)
		if err != nil {
			return err
		}
		scope := suppression.Scope{Channel: channel, Topic: c.Topic, Purpose: suppression.Marketing}
		cause, version, err := suppression.Check(sh.ctx, a.store, scope, append(own, key)...)
		if err != nil {
			return err
		}
		answer := "clear"
		if cause != "" {
			answer = "suppressed " + string(cause)
		}
		return sh.print(map[string]any{"suppressed": cause != "", "cause": cause, "version": version}, "%s", answer)
	})
}

func channelOf(kind audience.Kind) audience.Channel {
	switch kind {
	case audience.KindPhone:
		return audience.SMS
	case audience.KindPush:
		return audience.Push
	default:
		return audience.Email
	}
}

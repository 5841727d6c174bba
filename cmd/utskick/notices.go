package main

import (
	"errors"
	"fmt"
	"io"

	"utskick/templates"
)

type noticesCommand struct {
	Save noticeSave  `cmd:"" help:"Save a version of a privacy notice. Its text is not kept, its hash is."`
	List noticesList `cmd:"" help:"List the versions."`
}

type noticeSave struct {
	File     string `arg:"" optional:"" help:"File with the text; - is the standard input."`
	URL      string `name:"url" help:"Web address where it stands. Without a file, the version is known by it alone."`
	Version  string `required:"" help:"What it is called, such as 2026-01-15."`
	Date     string `required:"" help:"The day from which it is in force, such as 2026-01-15."`
	Sender   string `default:"*" help:"Name of the sender whose notice it is; all if it is not given."`
	Language string `help:"Language of the text, such as sv."`
}

func (c noticeSave) Run(sh *shell) error {
	n := templates.PrivacyNotice{Sender: c.Sender, Version: c.Version, Language: c.Language, Date: c.Date, URL: c.URL}
	if c.File != "" {
		file, _, err := openInput(c.File)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("read the privacy notice: %w", err)
		}
		n.Hash = templates.HashNotice(text)
	}
	if err := templates.CheckNotice(n); err != nil {
		return misuse{err}
	}
	return sh.with(func(a *app) error {
		saved, err := a.store.SaveNotice(sh.ctx, n)
		if err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "notices save", n.Version, n.Sender); err != nil {
			return err
		}
		return sh.print(saved, "Version %q of the privacy notice of %s is saved.", saved.Version, saved.Sender)
	})
}

type noticesList struct{}

func (noticesList) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		all, err := a.store.Notices(sh.ctx)
		if err != nil {
			return err
		}
		if sh.json {
			if all == nil {
				all = []templates.PrivacyNotice{}
			}
			return sh.print(all, "")
		}
		for _, n := range all {
			if _, err := fmt.Fprintf(sh.stdout, "%s\t%s\t%s\t%s\t%s\t%s\n", n.Sender, n.Version, n.Language, n.Date, n.URL, n.Hash); err != nil {
				return err
			}
		}
		return nil
	})
}

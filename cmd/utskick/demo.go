package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"utskick/api"
	"utskick/audience"
	"utskick/dispatcher"
	"utskick/examples"
	"utskick/storage"
	"utskick/suppression"
	"utskick/templates"
	"utskick/workers"
)

type demoCommand struct {
	Exit     bool `help:"End after the report, instead of staying up to be looked at."`
	Contacts int  `help:"Make this many contacts instead of the examples." placeholder:"N"`
}

// demoCampaign is the one campaign of the demo. It is launched once: a demo
// that is started again on its data resumes or reports it.
const demoCampaign = "Höstens erbjudanden"

// demoPublicURL stands in the demo's messages. The outbox viewer leads its
// links to the local listener.
const demoPublicURL = "https://utskick.exempelbolaget.test"

// Run is the demo.
func (c demoCommand) Run(sh *shell) error {
	if c.Contacts < 0 {
		return misuse{errors.New("--contacts: it needs a number above 0")}
	}
	a, err := sh.open(true)
	if err != nil {
		return err
	}
	if a.cfg.PublicURL == "" {
		a.cfg.PublicURL = demoPublicURL
	}
	return errors.Join(c.run(sh, a), a.close())
}

func (c demoCommand) run(sh *shell, a *app) error {
	if err := c.setUp(sh, a); err != nil {
		return fmt.Errorf("set up the demo: %w", err)
	}
	redis, err := workers.EmbeddedRedis()
	if err != nil {
		return err
	}
	defer redis.Close()
	ctx, stop := context.WithCancel(sh.ctx)
	defer stop()
	var reported error
	err = a.serve(ctx, redis, true, func(server *api.Server, at api.Addresses, pool *workers.Pool) {
		go func() {
			reported = c.follow(ctx, sh, a, server, at)
			if c.Exit || reported != nil {
				stop()
			}
		}()
	})
	return errors.Join(reported, err)
}

// follow shows progress until the run has ended, then the report and where to
// look.
func (c demoCommand) follow(ctx context.Context, sh *shell, a *app, server *api.Server, at api.Addresses) error {
	if err := sh.watch(ctx, a, demoCampaign); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted: started again, the demo resumes
		}
		return err
	}
	if err := sh.printReport(a, demoCampaign); err != nil || c.Exit {
		return err
	}
	operator := "http://" + at.Operator
	_, err := fmt.Fprintf(sh.stderr, `
The demo stays up; Ctrl-C ends it, and started again it reports this campaign.
  log in here first      %s%s
  captured messages      %s/outbox/
  campaigns and report   %s/ops
  queue dashboard        %s/ops/queues
  API documentation      %s/docs
  what customers see     http://%s (the links in the messages lead there)
`, operator, server.NewLoginLink(), operator, operator, operator, operator, at.Public)
	return err
}

// watch shows a run's progress until it has ended.
func (sh *shell) watch(ctx context.Context, a *app, campaign string) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	bar := sh.progress(1, "sending")
	defer func() { _ = bar.Finish() }()
	for {
		r, err := a.store.Progress(ctx, campaign)
		if err != nil {
			return err
		}
		if r.State.Ended() || r.State == dispatcher.Paused {
			return nil
		}
		var all, done int64
		for _, c := range r.Channels {
			all, done = all+c.Audience-c.Duplicates, done+c.Settled()
		}
		bar.ChangeMax64(max(all, 1))
		_ = bar.Set64(done)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// setUp does whatever of the demo's beginning has not been done yet. Each step
// can be repeated, so an interrupted start goes on where it was.
func (c demoCommand) setUp(sh *shell, a *app) error {
	_, err := a.store.LatestRun(sh.ctx, demoCampaign)
	if err == nil {
		return nil
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if err := c.importContacts(sh, a); err != nil {
		return err
	}
	if err := importExampleSuppressions(sh, a); err != nil {
		return err
	}
	campaign, err := saveExampleLibrary(sh.ctx, a.store)
	if err != nil {
		return err
	}
	if _, err := a.store.CreateCampaign(sh.ctx, campaign); err != nil && !errors.Is(err, storage.ErrConflict) {
		return err
	}
	_, err = a.store.LaunchRun(sh.ctx, demoCampaign, dispatcher.Launch{})
	return err
}

func (c demoCommand) importContacts(sh *shell, a *app) error {
	var file io.ReadCloser
	var size int64
	if c.Contacts > 0 {
		file = generatedContacts(c.Contacts)
	} else {
		f, err := examples.Files.Open(examples.Contacts)
		if err != nil {
			return err
		}
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		file = f
	}
	defer file.Close()
	listed := 0
	report, err := a.importContacts(sh, file, size, audience.ImportOptions{Problems: func(audience.Problem) error { listed++; return nil }})
	if err != nil {
		return fmt.Errorf("import contacts: %w", err)
	}
	a.log.Info("contacts imported", "rows", report.Rows, "created", report.Created, "rejected", report.Rejected, "warnings", report.Warnings)
	return nil
}

func importExampleSuppressions(sh *shell, a *app) error {
	f, err := examples.Files.Open(examples.Suppressions)
	if err != nil {
		return err
	}
	defer f.Close()
	report, err := suppression.ImportFile(sh.ctx, f, a.register, a.keyer, a.cfg.Region, suppression.FileOptions{})
	if err != nil {
		return fmt.Errorf("import suppressions: %w", err)
	}
	a.log.Info("suppressions imported", "lines", report.Lines, "recorded", report.Recorded)
	return nil
}

// saveExampleLibrary saves the senders and the templates, and returns the
// campaign over them. A template that is there already is left as it is.
func saveExampleLibrary(ctx context.Context, store *storage.Store) (dispatcher.Campaign, error) {
	campaign := dispatcher.Campaign{Name: demoCampaign, Topic: "offer"}
	for _, name := range examples.Senders {
		var sender templates.Sender
		if err := readExample(name, &sender); err != nil {
			return campaign, err
		}
		campaign.Sender = cmp.Or(campaign.Sender, sender.Name)
		if err := saveSender(ctx, store, sender); err != nil {
			return campaign, err
		}
	}
	for _, name := range examples.Templates {
		var t templates.Template
		if err := readExample(name, &t); err != nil {
			return campaign, err
		}
		campaign.Channels = append(campaign.Channels, dispatcher.CampaignChannel{Channel: t.Channel, Template: t.Name})
		if _, err := store.TemplateByName(ctx, t.Name); err == nil {
			continue
		}
		if _, err := saveTemplate(ctx, store, t); err != nil {
			return campaign, err
		}
	}
	return campaign, nil
}

func readExample(name string, v any) error {
	content, err := fs.ReadFile(examples.Files, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("example %s: %w", name, err)
	}
	return nil
}

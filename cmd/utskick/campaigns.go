package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
)

type campaignsCommand struct {
	Create campaignCreate `cmd:"" help:"Create a campaign."`
	Launch campaignLaunch `cmd:"" help:"Launch a campaign, now or at an instant."`
	Pause  campaignPause  `cmd:"" help:"Stop a running campaign; it can be resumed."`
	Edit   campaignEdit   `cmd:"" help:"Change what a paused campaign says, or until when."`
	Resume campaignResume `cmd:"" help:"Let a paused campaign go on."`
	Cancel campaignCancel `cmd:"" help:"End a campaign; whoever was not sent to is skipped."`
	Report campaignReport `cmd:"" help:"Tell what became of everybody."`

	Resend   campaignResend   `cmd:"" help:"Send again to those in doubt. Who did get the message gets it twice."`
	WriteOff campaignWriteOff `cmd:"" help:"Give up on those in doubt: they have failed."`
}

type campaignCreate struct {
	Name     string `arg:"" help:"Unique name."`
	Sender   string `required:"" help:"Name of a saved sender."`
	Topic    string `required:"" help:"What it is about, such as newsletter or offer."`
	Family   string `help:"Product family that it is about; soft opt-in for another one is then no ground."`
	Targeted bool   `help:"It is chosen by what is known of people: whoever objects to profiling is left out."`
	Email    string `help:"Template to send by e-mail." placeholder:"TEMPLATE"`
	SMS      string `help:"Template to send by SMS." name:"sms" placeholder:"TEMPLATE"`
	Push     string `help:"Template to send by push." placeholder:"TEMPLATE"`
}

func (c campaignCreate) Run(sh *shell) error {
	campaign := dispatcher.Campaign{Name: c.Name, Sender: c.Sender, Topic: c.Topic, Family: c.Family, Targeted: c.Targeted, Channels: templatesOf(c.Email, c.SMS, c.Push)}
	if err := campaign.Validate(); err != nil {
		return misuse{err}
	}
	return sh.with(func(a *app) error {
		created, err := a.store.CreateCampaign(sh.ctx, campaign)
		if err != nil {
			return err
		}
		return sh.print(created, "Campaign %q is created. Launch it with: utskick campaigns launch %q", created.Name, created.Name)
	})
}

// templatesOf lists the channels for which a template is named.
func templatesOf(email, sms, push string) (named []dispatcher.CampaignChannel) {
	for _, ch := range []dispatcher.CampaignChannel{{Channel: audience.Email, Template: email},
		{Channel: audience.SMS, Template: sms}, {Channel: audience.Push, Template: push}} {
		if ch.Template != "" {
			named = append(named, ch)
		}
	}
	return named
}

type campaignLaunch struct {
	Name   string    `arg:"" help:"Name of the campaign."`
	At     time.Time `help:"When to begin, such as 2026-10-01T09:00:00+02:00; now if it is not given."`
	SendBy time.Time `help:"When to give up on whoever was not sent to; a day after the beginning if it is not given."`
}

func (c campaignLaunch) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		campaign, err := a.store.CampaignByName(sh.ctx, c.Name)
		if err != nil {
			return err
		}
		a.warnUnserved(campaign)
		run, err := a.store.LaunchRun(sh.ctx, c.Name, dispatcher.Launch{Due: c.At, SendBy: c.SendBy})
		if err != nil {
			return err
		}
		return sh.print(run, "Run %d of %q is scheduled for %s.", run.ID, c.Name, run.Due.Format(time.RFC3339))
	})
}

// warnUnserved tells of a channel that nothing is configured for here. Workers
// may know better, so it is no error; without any, messages wait until they
// expire.
func (a *app) warnUnserved(campaign dispatcher.Campaign) {
	for _, ch := range campaign.Channels {
		if a.cfg.Providers[ch.Channel] == "" {
			a.log.Warn("no provider is configured here for a channel of the campaign", "channel", ch.Channel,
				"set", "UTSKICK_"+strings.ToUpper(string(ch.Channel)))
		}
	}
}

type campaignPause struct {
	Name   string `arg:"" help:"Name of the campaign."`
	Reason string `help:"Why, for whoever looks at the report." default:"paused by an operator"`
}

func (c campaignPause) Run(sh *shell) error {
	return sh.change(func(a *app) (dispatcher.Run, error) { return a.store.Pause(sh.ctx, c.Name, c.Reason) })
}

type campaignEdit struct {
	Name   string    `arg:"" help:"Name of the campaign."`
	Email  string    `help:"Template to go on with by e-mail, in its newest version." placeholder:"TEMPLATE"`
	SMS    string    `help:"The same by SMS." name:"sms" placeholder:"TEMPLATE"`
	Push   string    `help:"The same by push." placeholder:"TEMPLATE"`
	At     time.Time `help:"When to begin, if it has not begun."`
	SendBy time.Time `help:"When to give up on whoever was not sent to."`
}

func (c campaignEdit) Run(sh *shell) error {
	edit := dispatcher.Edit{Channels: templatesOf(c.Email, c.SMS, c.Push), Due: c.At, SendBy: c.SendBy}
	if edit.IsZero() {
		return misuse{dispatcher.ErrNoEdit}
	}
	return sh.with(func(a *app) error {
		run, err := a.store.EditRun(sh.ctx, c.Name, edit)
		if err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "campaigns edit", c.Name, fmt.Sprintf("run %d, rev %d", run.ID, run.Rev)); err != nil {
			return err
		}
		return sh.print(run, "Run %d is edited, and %s.", run.ID, run.State)
	})
}

type campaignResume struct {
	Name string `arg:"" help:"Name of the campaign."`
}

func (c campaignResume) Run(sh *shell) error {
	return sh.change(func(a *app) (dispatcher.Run, error) { return a.store.Resume(sh.ctx, c.Name) })
}

type campaignCancel struct {
	Name string `arg:"" help:"Name of the campaign."`
}

func (c campaignCancel) Run(sh *shell) error {
	return sh.change(func(a *app) (dispatcher.Run, error) { return a.store.Cancel(sh.ctx, c.Name) })
}

type campaignResend struct {
	Name string `arg:"" help:"Name of the campaign."`
}

func (c campaignResend) Run(sh *shell) error {
	return sh.resolve("resend", c.Name, "%d who were in doubt are sent to again.", (*storage.Store).Resend)
}

type campaignWriteOff struct {
	Name string `arg:"" help:"Name of the campaign."`
}

func (c campaignWriteOff) Run(sh *shell) error {
	return sh.resolve("write-off", c.Name, "%d who were in doubt are given up on.", (*storage.Store).WriteOff)
}

func (sh *shell) resolve(action, campaign, says string, f func(*storage.Store, context.Context, string) (dispatcher.Run, int64, error)) error {
	return sh.with(func(a *app) error {
		run, n, err := f(a.store, sh.ctx, campaign)
		if err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "campaigns "+action, campaign, fmt.Sprintf("run %d: %d", run.ID, n)); err != nil {
			return err
		}
		return sh.print(dispatcher.Resolved{Run: run, Members: n}, says, n)
	})
}

func (sh *shell) change(f func(*app) (dispatcher.Run, error)) error {
	return sh.with(func(a *app) error {
		run, err := f(a)
		if err != nil {
			return err
		}
		return sh.print(run, "Run %d is %s.", run.ID, run.State)
	})
}

type campaignReport struct {
	Name string `arg:"" help:"Name of the campaign."`
}

func (c campaignReport) Run(sh *shell) error {
	return sh.with(func(a *app) error { return sh.printReport(a, c.Name) })
}

func (sh *shell) printReport(a *app, campaign string) error {
	r, err := a.store.Report(sh.ctx, campaign)
	if err != nil {
		return err
	}
	if err := r.Reconcile(); err != nil {
		return err
	}
	if sh.json {
		return sh.print(r, "")
	}
	return sh.writeReport(r)
}

// writeReport writes a report as a table, with the causes below.
func (sh *shell) writeReport(r dispatcher.Report) error {
	w := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(sh.stdout, "Campaign %s, run %d: %s %s\n\n", r.Campaign, r.Run, r.State, r.Reason)
	fmt.Fprintln(w, "channel\taudience\tduplicates\tsent\tsuppressed\tfailed\tin doubt\tskipped\tpending\topened\tclicked\tunsubscribed\t")
	for _, c := range r.Channels {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", c.Channel, c.Audience, c.Duplicates, c.Sent, c.Suppressed, c.Failed,
			c.InDoubt, c.Skipped, c.Pending, c.Opened, c.Clicked, c.Unsubscribed)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, c := range r.Channels {
		if c.Held != "" {
			fmt.Fprintf(sh.stdout, "\n%s is held: %s. Mend the cause, then\n  utskick providers release %s\n", c.Channel, c.Held, c.Channel)
		}
		if c.InDoubt > 0 {
			fmt.Fprintf(sh.stdout, "\n%s: %d are in doubt, %d open and %d final, and are not sent to again by themselves. Decide with\n"+
				"  utskick campaigns write-off|resend %q\n", c.Channel, c.InDoubt, c.InDoubt-c.InDoubtFinal, c.InDoubtFinal, r.Campaign)
		}
		if c.Resolved > 0 {
			fmt.Fprintf(sh.stdout, "\n%s: of %d who were in doubt, evidence has told since what became of their message.\n", c.Channel, c.Resolved)
		}
		if c.OpenedByMachines+c.ClickedByMachines > 0 || len(c.Machines) > 0 {
			fmt.Fprintf(sh.stdout, "\n%s: machines alone opened %d and clicked %d of these messages, which are not counted above. What machines did, in persons:\n%s",
				c.Channel, c.OpenedByMachines, c.ClickedByMachines, machineLines(c))
		}
		if c.Resent > 0 {
			fmt.Fprintf(sh.stdout, "\n%s: %d of the sent were sent to again, after they had been in doubt.\n", c.Channel, c.Resent)
		}
	}
	fmt.Fprintln(sh.stdout, "\nCauses:")
	for _, c := range r.Channels {
		for _, line := range causeLines(c) {
			if _, err := fmt.Fprintf(sh.stdout, "  %-6s %s\n", c.Channel, line); err != nil {
				return err
			}
		}
	}
	return nil
}

func causeLines(c dispatcher.ChannelReport) []string {
	var lines []string
	for code, causes := range c.Causes {
		for cause, n := range causes {
			lines = append(lines, fmt.Sprintf("%-11s %-16s %8d", code, cause, n))
		}
	}
	sort.Strings(lines)
	return lines
}

func machineLines(c dispatcher.ChannelReport) string {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(c.Machines)) {
		for _, reason := range slices.Sorted(maps.Keys(c.Machines[kind])) {
			fmt.Fprintf(&b, "  %-6s %-14s %8d\n", kind, reason, c.Machines[kind][reason])
		}
	}
	return b.String()
}

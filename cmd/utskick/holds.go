package main

import (
	"fmt"

	"utskick/audience"
)

type providersCommand struct {
	List    providersList    `cmd:"" help:"List the channels that are held because their provider refuses everything."`
	Release providersRelease `cmd:"" help:"Let sending go on when the cause is mended."`
}

type providersList struct{}

func (providersList) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		held, err := a.store.ChannelHolds(sh.ctx)
		if err != nil || sh.json {
			return firstError(err, func() error { return sh.print(held, "") })
		}
		if len(held) == 0 {
			return sh.print(nil, "No channel is held.")
		}
		for _, h := range held {
			if _, err := fmt.Fprintf(sh.stdout, "%-6s held since %s: %s\n", h.Channel, h.At.Format("2006-01-02 15:04:05 MST"), h.Reason); err != nil {
				return err
			}
		}
		return nil
	})
}

type providersRelease struct {
	Channel string `arg:"" enum:"email,sms,push" help:"email, sms or push."`
}

func (c providersRelease) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		if err := a.store.ReleaseChannel(sh.ctx, audience.Channel(c.Channel)); err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "providers release", c.Channel, ""); err != nil {
			return err
		}
		return sh.print(map[string]string{"released": c.Channel}, "Sending by %s goes on.", c.Channel)
	})
}

// holds is the doctor's look at channels that are held.
func (a *app) holds(sh *shell) ([]check, error) {
	held, err := a.store.ChannelHolds(sh.ctx)
	var checks []check
	for _, h := range held {
		checks = append(checks, check{Name: string(h.Channel), Says: fmt.Sprintf("held since %s: %s. Nothing is sent by it. Mend the cause, then: utskick providers release %s",
			h.At.Format("2006-01-02 15:04:05 MST"), h.Reason, h.Channel)})
	}
	return checks, err
}

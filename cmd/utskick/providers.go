package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/fcm"
	"utskick/channels/outbox"
	"utskick/channels/sendgrid"
	"utskick/channels/smtp"
	"utskick/channels/twilio"
	"utskick/workers"
)

// openProviders makes the provider of each channel that has one.
func openProviders(c config) (map[audience.Channel]channels.Provider, error) {
	providers := map[audience.Channel]channels.Provider{}
	for ch, name := range c.Providers {
		if name == "" {
			continue
		}
		p, err := openProvider(c, ch, name)
		if err != nil {
			return nil, fmt.Errorf("set up %s for %s: %w", name, ch, err)
		}
		providers[ch] = p
	}
	return providers, nil
}

func openProvider(c config, ch audience.Channel, name string) (channels.Provider, error) {
	switch name {
	case "sendgrid":
		return sendgrid.New(sendgrid.Config{URL: c.SendGridURL, Key: c.SendGridKey})
	case "smtp":
		return openSMTP(c)
	case "twilio":
		return twilio.New(twilio.Config{URL: c.TwilioURL, Account: c.TwilioAccount, Token: c.TwilioToken, StatusCallback: twilioCallback(c)})
	case "fcm":
		credentials, err := os.ReadFile(c.FCMFile)
		if err != nil {
			return nil, fmt.Errorf("GOOGLE_APPLICATION_CREDENTIALS: %w", err)
		}
		return fcm.New(fcm.Config{URL: c.FCMURL, Credentials: credentials})
	default:
		return outbox.New(outbox.Config{Dir: c.DataDir, Channel: ch})
	}
}

func openSMTP(c config) (channels.Provider, error) {
	cfg := smtp.Config{URL: c.SMTPURL}
	if c.DKIMKeyFile != "" {
		file, err := os.ReadFile(c.DKIMKeyFile)
		if err != nil {
			return nil, fmt.Errorf("UTSKICK_DKIM_KEY_FILE: %w", err)
		}
		if cfg.DKIM, err = smtp.ParseKey(file); err != nil {
			return nil, fmt.Errorf("UTSKICK_DKIM_KEY_FILE: %w", err)
		}
	}
	return smtp.New(cfg)
}

// outboxDir is where captured messages lie.
func outboxDir(c config) string { return filepath.Join(c.DataDir, "outbox") }

// limiters are what this process shares with others of its kind.
type limiters struct {
	channels map[audience.Channel]*workers.Limiter
	domains  map[string]*workers.Limiter
}

// openLimiters makes a limiter for each provider, also for one without a limit:
// the pauses that it asks for are shared all the same.
func (a *app) openLimiters(providers map[audience.Channel]channels.Provider, redis *workers.Redis) limiters {
	l := limiters{map[audience.Channel]*workers.Limiter{}, map[string]*workers.Limiter{}}
	open := func(name string, perSecond, perCall int) *workers.Limiter {
		return workers.NewLimiter(workers.LimiterConfig{Name: name, PerSecond: perSecond, PerCall: perCall,
			Redis: redis, Processes: a.cfg.RateProcesses, Log: a.log})
	}
	for ch, p := range providers {
		l.channels[ch] = open(string(ch)+"-"+p.Name(), a.cfg.Rates[ch], p.PerCall())
	}
	if email := providers[audience.Email]; email != nil {
		for domain, rate := range a.cfg.DomainRates {
			l.domains[domain] = open("email-"+email.Name()+"-to-"+domain, rate, 1)
		}
	}
	return l
}

func (l limiters) all() []*workers.Limiter {
	return slices.Concat(slices.Collect(maps.Values(l.channels)), slices.Collect(maps.Values(l.domains)))
}

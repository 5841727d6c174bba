package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"utskick/audience"
	"utskick/rights"
)

// config is what the environment says. docs/configuration.md lists every name.
type config struct {
	DataDir       string
	DatabaseURL   string
	RedisURL      string
	PublicURL     string
	Listen        string
	PublicListen  string
	Proxies       []netip.Prefix
	SecretFile    string
	Region        string
	Authority     string // that people may complain to
	RetentionText string // how long data is kept, for access exports; empty: the default words
	Providers     map[audience.Channel]string
	Rates         map[audience.Channel]int
	DomainRates   map[string]int // of mail domains
	RateProcesses int
	Concurrency   map[string]int
	SendGridURL   string
	SendGridKey   string
	SendGridHook  string // the key that its webhooks are verified with; empty: none are taken
	TwilioURL     string
	TwilioAccount string
	TwilioToken   string
	FCMURL        string
	FCMFile       string
	SMTPURL       string
	DKIMKeyFile   string
	Retention     map[rights.RuleName]int // days; 0: for good
}

// configError lists everything that is wrong with the environment at once.
type configError struct{ problems []string }

func (e *configError) Error() string {
	return "the configuration is not usable:\n  " + strings.Join(e.problems, "\n  ")
}

// environment reads variables, and gathers what is wrong with them.
type environment struct {
	lookup   func(string) (string, bool)
	problems []string
}

func (e *environment) wrong(name, format string, args ...any) {
	e.problems = append(e.problems, name+": "+fmt.Sprintf(format, args...))
}

// text returns a variable, or the content of the file that NAME_FILE names, or
// the fallback. Both at once is a mistake: one of them would be ignored.
func (e *environment) text(name, fallback string) string {
	value, direct := e.lookup(name)
	file, indirect := e.lookup(name + "_FILE")
	switch {
	case direct && value != "" && indirect && file != "":
		e.wrong(name, "it is set, and so is %s_FILE; set one of them", name)
	case direct && value != "":
		return value
	case indirect && file != "":
		content, err := os.ReadFile(file)
		if err != nil {
			e.wrong(name+"_FILE", "the file cannot be read: %v", errors.Unwrap(err))
			return fallback
		}
		return strings.TrimRight(string(content), "\r\n")
	}
	return fallback
}

// file returns a path as it is: for variables that name a file themselves.
func (e *environment) file(name, fallback string) string {
	if value, ok := e.lookup(name); ok && value != "" {
		return value
	}
	return fallback
}

func (e *environment) number(name string, fallback, least, most int) int {
	value := e.text(name, "")
	if value == "" {
		return fallback
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		e.wrong(name, "it needs a whole number from %d to %d", least, most)
		return fallback
	}
	return n
}

func (e *environment) address(name, fallback string) string {
	value := e.text(name, fallback)
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		e.wrong(name, "it needs an address and a port, such as %s", fallback)
	}
	return value
}

// webAddress returns an http(s) address without its trailing slash.
func (e *environment) webAddress(name string) string {
	value := strings.TrimRight(e.text(name, ""), "/")
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		e.wrong(name, "it needs a web address such as https://mail.example.com")
	}
	return value
}

// The providers that each channel can go through.
var providerNames = map[audience.Channel][]string{
	audience.Email: {"sendgrid", "smtp", "outbox"},
	audience.SMS:   {"twilio", "outbox"},
	audience.Push:  {"fcm", "outbox"},
}

// readConfig reads the environment. With demo, what the demo decides itself
// need not be there.
func readConfig(lookup func(string) (string, bool), demo bool) (config, error) {
	e := &environment{lookup: lookup}
	c := config{
		DataDir:       e.file("UTSKICK_DATA_DIR", "./data"),
		DatabaseURL:   e.text("UTSKICK_DATABASE_URL", ""),
		RedisURL:      e.text("UTSKICK_REDIS_URL", ""),
		PublicURL:     e.webAddress("UTSKICK_PUBLIC_URL"),
		Listen:        e.address("UTSKICK_LISTEN", "127.0.0.1:8080"),
		PublicListen:  e.address("UTSKICK_PUBLIC_LISTEN", "127.0.0.1:8081"),
		Region:        e.text("UTSKICK_REGION", "SE"),
		Authority:     e.text("UTSKICK_AUTHORITY", "Integritetsskyddsmyndigheten (IMY), https://www.imy.se"),
		RetentionText: e.text("UTSKICK_RETENTION_TEXT", ""),
		DKIMKeyFile:   e.file("UTSKICK_DKIM_KEY_FILE", ""),
		FCMFile:       e.file("GOOGLE_APPLICATION_CREDENTIALS", ""),
		Providers:     map[audience.Channel]string{},
		Rates:         map[audience.Channel]int{},
		Concurrency:   map[string]int{"plan": 1},
	}
	c.SecretFile = e.file("UTSKICK_SECRET_FILE", "")
	if c.SecretFile == "" && c.DatabaseURL != "" {
		e.wrong("UTSKICK_SECRET_FILE", "with UTSKICK_DATABASE_URL it must name the file with the pepper and the signing keys; "+
			"utskick migrate makes it when it is not there yet")
	} else if c.SecretFile == "" {
		c.SecretFile = filepath.Join(c.DataDir, "secret.json")
	}
	if len(c.Region) != 2 || strings.ToUpper(c.Region) != c.Region {
		e.wrong("UTSKICK_REGION", "it needs a country of two capital letters, such as SE")
	}
	if c.PublicURL == "" && !demo {
		e.wrong("UTSKICK_PUBLIC_URL", "it is required: the https address under which customers reach the public listener")
	} else if strings.HasPrefix(c.PublicURL, "http://") {
		e.wrong("UTSKICK_PUBLIC_URL", "it begins with https://: one-click unsubscribing needs it (RFC 8058)")
	}
	c.readProxies(e)
	c.readProviders(e, demo)
	c.readRetention(e)
	if len(e.problems) > 0 {
		return c, &configError{e.problems}
	}
	return c, nil
}

func (c *config) readProxies(e *environment) {
	for _, text := range strings.FieldsFunc(e.text("UTSKICK_TRUSTED_PROXIES", ""), func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(text)
		if addr, single := netip.ParseAddr(text); err != nil && single == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			e.wrong("UTSKICK_TRUSTED_PROXIES", "it needs addresses or networks such as 10.0.0.0/8, separated by commas")
			return
		}
		c.Proxies = append(c.Proxies, prefix)
	}
}

func (c *config) readProviders(e *environment, demo bool) {
	for _, ch := range audience.Channels {
		name := "UTSKICK_" + strings.ToUpper(string(ch))
		fallback := ""
		if demo {
			fallback = "outbox"
		}
		provider := e.text(name, fallback)
		if provider != "" && !slices.Contains(providerNames[ch], provider) {
			e.wrong(name, "it is one of %s", strings.Join(providerNames[ch], ", "))
			continue
		}
		c.Providers[ch] = provider
		c.Rates[ch] = e.number(name+"_RATE", 0, 1, 1_000_000)
		if provider != "" {
			c.Concurrency[string(ch)] = e.number(name+"_WORKERS", defaultWorkers[ch], 1, 256)
		}
	}
	c.DomainRates = e.domainRates("UTSKICK_EMAIL_DOMAIN_RATES")
	c.RateProcesses = e.number("UTSKICK_RATE_PROCESSES", 4, 1, 1000)
	c.SendGridURL, c.SendGridKey = e.webAddress("UTSKICK_SENDGRID_URL"), e.text("SENDGRID_API_KEY", "")
	c.SendGridHook = e.text("UTSKICK_SENDGRID_WEBHOOK_KEY", "")
	c.TwilioURL, c.TwilioAccount = e.webAddress("UTSKICK_TWILIO_URL"), e.text("TWILIO_ACCOUNT_SID", "")
	c.TwilioToken = e.text("TWILIO_AUTH_TOKEN", "")
	c.FCMURL = e.webAddress("UTSKICK_FCM_URL")
	c.SMTPURL = e.text("UTSKICK_SMTP_URL", "")
	required := []struct {
		channel                  audience.Channel
		provider, name, is, what string
	}{
		{audience.Email, "sendgrid", "SENDGRID_API_KEY", c.SendGridKey, "the key that SendGrid is called with"},
		{audience.Email, "smtp", "UTSKICK_SMTP_URL", c.SMTPURL, "the relay, such as smtp://user:password@relay.example.com:587"},
		{audience.SMS, "twilio", "TWILIO_ACCOUNT_SID", c.TwilioAccount, "the account that Twilio is called with"},
		{audience.SMS, "twilio", "TWILIO_AUTH_TOKEN", c.TwilioToken, "the token that Twilio is called with"},
		{audience.Push, "fcm", "GOOGLE_APPLICATION_CREDENTIALS", c.FCMFile, "the service account file that Firebase is called with"},
	}
	for _, r := range required {
		if c.Providers[r.channel] == r.provider && r.is == "" {
			e.wrong(r.name, "%s needs it: %s", r.provider, r.what)
		}
	}
}

// maxRetention is a hundred years, in days.
const maxRetention = 36500

// readRetention reads for how many days what is kept.
func (c *config) readRetention(e *environment) {
	c.Retention = map[rights.RuleName]int{
		rights.KeepEvents:         e.number("UTSKICK_RETENTION_EVENTS", 730, 0, maxRetention),
		rights.KeepCommunications: e.number("UTSKICK_RETENTION_COMMUNICATIONS", 1095, 0, maxRetention),
		rights.KeepReplies:        e.number("UTSKICK_RETENTION_REPLIES", 365, 0, maxRetention),
		rights.KeepCases:          e.number("UTSKICK_RETENTION_CASES", 1095, 0, maxRetention),
		rights.KeepAudit:          e.number("UTSKICK_RETENTION_AUDIT", 1825, 0, maxRetention),
		rights.KeepConsents:       e.number("UTSKICK_RETENTION_CONSENTS", 1825, 0, maxRetention),
		rights.KeepEvidence:       e.number("UTSKICK_RETENTION_EVIDENCE", 1825, 0, maxRetention),
	}
	for _, r := range rights.Rules(c.Retention) {
		if r.Days > 0 && r.Days < r.Least {
			e.wrong("UTSKICK_RETENTION_"+strings.ToUpper(string(r.Name)), "it needs 0 (for good), or at least %d days", r.Least)
		}
	}
}

// maxDomains bounds how many mail domains may have a limit: each is shared by
// itself.
const maxDomains = 100

// domainRates reads limits of mail domains: example.com=20, example.org=5.
func (e *environment) domainRates(name string) map[string]int {
	rates := map[string]int{}
	for i, pair := range strings.FieldsFunc(e.text(name, ""), func(r rune) bool { return r == ',' || r == ' ' }) {
		text, number, _ := strings.Cut(pair, "=")
		address, err := audience.NormalizeEmail("x@" + text)
		rate, notNumber := strconv.Atoi(number)
		if err != nil || notNumber != nil || rate < 1 || rate > 1_000_000 || i == maxDomains {
			e.wrong(name, "entry %d: at most %d entries such as example.com=20, messages a second from 1 to 1000000", i+1, maxDomains)
			return nil
		}
		rates[strings.TrimPrefix(address, "x@")] = rate
	}
	return rates
}

// defaultWorkers is how many batches of a channel one process works on at once.
var defaultWorkers = map[audience.Channel]int{audience.Email: 4, audience.SMS: 8, audience.Push: 8}

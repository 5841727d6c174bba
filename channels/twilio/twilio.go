// Package twilio sends SMS through Twilio's Messages API, one request a message
// (https://www.twilio.com/docs/messaging/api/message-resource).
//
// Requests are made with net/http. twilio-go takes no context and no prepared
// body, and nearly doubles the processor time of a message (BenchmarkSendBySDK);
// the tests hold what is sent here against what it sends.
package twilio

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"utskick/audience"
	"utskick/channels"
)

// Global is the base address of the API.
const Global = "https://api.twilio.com"

// Config is what a [Provider] needs.
type Config struct {
	URL     string // base address; empty is Global
	Account string // account SID
	Token   string // auth token
	// From is the number or alphanumeric sender, and Service the SID of the
	// messaging service, for senders that have neither of their own. Service
	// wins.
	From    string
	Service string
	// StatusCallback is the public address that gets the message's further
	// fate; empty is none. The ids g (group) and k (key) are added to its query:
	// an attempt whose answer was lost has no SID by which to know it.
	StatusCallback string
	Timeout        time.Duration // for one message; zero is 10 s
	Connections    int           // how many requests at most go at once; zero is 32
	// Dial opens connections; nil is the net package's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now tells the time, against which a Retry-After date is measured; nil is
	// time.Now.
	Now func() time.Time
}

// Provider sends SMS. It is safe for concurrent use.
type Provider struct {
	config  Config
	header  http.Header
	list    *url.URL // where messages are posted, and listed
	reading http.Header
	single  *channels.Single
}

var _ channels.Provider = (*Provider)(nil)

var accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)

// New checks the configuration; it contacts nobody.
func New(c Config) (*Provider, error) {
	if c.URL == "" {
		c.URL = Global
	}
	base, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, errors.New("twilio: the base address is not of the form https://host; set UTSKICK_TWILIO_URL")
	}
	if !accountSID.MatchString(c.Account) {
		return nil, errors.New("twilio: an account SID is AC and 32 hexadecimal digits; set TWILIO_ACCOUNT_SID")
	}
	if c.Token == "" || strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("twilio: the auth token is empty or has characters that no token has; set TWILIO_AUTH_TOKEN")
	}
	if err := checkCallback(c.StatusCallback); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	base.Path += "/2010-04-01/Accounts/" + c.Account + "/Messages.json"
	p := &Provider{config: c, list: base, single: channels.NewSingle(channels.SingleConfig{Endpoint: base, Timeout: c.Timeout, Connections: c.Connections, Dial: c.Dial})}
	p.header = http.Header{
		"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.Account+":"+c.Token))},
		"Content-Type":  {"application/x-www-form-urlencoded"},
		"Accept":        {"application/json"},
		"User-Agent":    {"utskick"},
	}
	p.reading = p.header.Clone()
	p.reading.Del("Content-Type")
	return p, nil
}

// checkCallback refuses what Twilio refuses with 21609, for each message.
func checkCallback(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Fragment != "" {
		return errors.New("twilio: the status callback is not a web address; set UTSKICK_PUBLIC_URL")
	}
	if strings.Contains(u.Host, "_") {
		return errors.New("twilio: the status callback's host has an underscore, which Twilio refuses; set UTSKICK_PUBLIC_URL")
	}
	return nil
}

// Name returns "twilio".
func (p *Provider) Name() string { return "twilio" }

// Channel returns [audience.SMS].
func (p *Provider) Channel() audience.Channel { return audience.SMS }

// PerCall returns 1.
func (p *Provider) PerCall() int { return 1 }

// Close drops idle connections. Attempts that are under way are not touched.
func (p *Provider) Close() error { return p.single.Close() }

// check refuses a draft that cannot be sent.
func check(d channels.Draft) error {
	if err := d.Check(audience.SMS); err != nil {
		return fmt.Errorf("twilio: %w", err)
	}
	if len(d.Skeleton.Text) == 0 {
		return fmt.Errorf("twilio: the message of group %d has no text", d.Group)
	}
	for _, segment := range d.Skeleton.Text {
		if segment.Hole >= d.Sheet.Columns() {
			return fmt.Errorf("twilio: the message of group %d has a hole %d, its rows have %d values", d.Group, segment.Hole, d.Sheet.Columns())
		}
	}
	return nil
}

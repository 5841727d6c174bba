// Package fcm sends push messages through the HTTP v1 API of Firebase Cloud
// Messaging, one request a device
// (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages).
//
// Requests are made with net/http. The Admin SDK sends a request again by itself
// after 503 and network errors, nearly doubles the processor time of a message
// (BenchmarkSendBySDK) and brings Firestore and gRPC into the binary; the
// tests hold what is sent here against what it sends.
package fcm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"utskick/audience"
	"utskick/channels"
)

// Global is the base address of the API.
const Global = "https://fcm.googleapis.com"

const (
	defaultTTL = 24 * time.Hour
	maxTTL     = 4 * 7 * 24 * time.Hour
)

// Config is what a [Provider] needs.
type Config struct {
	URL string // base address; empty is Global
	// Credentials is the content of a service account's key file, which
	// GOOGLE_APPLICATION_CREDENTIALS names. The project is the one in it.
	Credentials []byte
	// TTL is how long a message waits for a device that is off; zero is a day,
	// four weeks are the most.
	TTL         time.Duration
	Timeout     time.Duration // for one message; zero is 10 s
	Connections int           // how many requests at most go at once; zero is 32
	// Dial opens connections; nil is the net package's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now tells the time, from which a message's TTL is counted; nil is time.Now.
	Now func() time.Time
}

// Provider sends push messages. It is safe for concurrent use.
type Provider struct {
	config Config
	tokens oauth2.TokenSource
	single *channels.Single
}

var _ channels.Provider = (*Provider)(nil)

// New checks the configuration; it contacts nobody.
func New(c Config) (*Provider, error) {
	if c.URL == "" {
		c.URL = Global
	}
	base, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, errors.New("fcm: the base address is not of the form https://host; set UTSKICK_FCM_URL")
	}
	account, err := readAccount(c.Credentials)
	if err != nil {
		return nil, err
	}
	if c.TTL < 0 || c.TTL > maxTTL {
		return nil, fmt.Errorf("fcm: a message waits from 0 s to 4 weeks for its device, not %s", c.TTL)
	}
	c.Credentials = nil // the account has what is needed
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	base.Path += "/v1/projects/" + account.ProjectID + "/messages:send"
	p := &Provider{config: c, single: channels.NewSingle(channels.SingleConfig{Endpoint: base, Timeout: c.Timeout, Connections: c.Connections, Dial: c.Dial})}
	p.tokens = account.tokens(p.single.Client())
	return p, nil
}

// Name returns "fcm".
func (p *Provider) Name() string { return "fcm" }

// Channel returns [audience.Push].
func (p *Provider) Channel() audience.Channel { return audience.Push }

// PerCall returns 1.
func (p *Provider) PerCall() int { return 1 }

// Close drops idle connections. Attempts that are under way are not touched.
func (p *Provider) Close() error { return p.single.Close() }

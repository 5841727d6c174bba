// Package api is all that Utskick says over HTTP: the operator's API and pages
// on one listener, and the pages that recipients meet on another.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"utskick/audience"
	"utskick/rights"
	"utskick/suppression"
	"utskick/tracking"
)

// Config is what the two sites are made of.
type Config struct {
	Store    Store
	Keys     Keys
	Register *suppression.Register
	// Intake takes what comes by the links in messages. Nil: the register and the
	// store, which take nothing while the database is away.
	Intake Intake
	// Contacts saves what is imported, and records what it refuses.
	Contacts audience.Store
	Keyer    *audience.Keyer
	Signer   *tracking.Signer

	// NotFound and Conflict are the errors that Store and Keys wrap when a
	// record does not exist, or stands in the way of a change.
	NotFound, Conflict error

	// Channels are those that a provider is configured for. A campaign over
	// another one is not launched: its messages would wait until they expire.
	// Nil: all.
	Channels []audience.Channel

	// About is what access exports say besides the data.
	About rights.About

	Secret    []byte // signs sessions; at least 32 bytes, the same in every process
	Region    string // two-letter country of phone numbers without a country code
	PublicURL string // web address of the public site, as it stands in messages
	// Proxies are those whose word is taken for where a request comes from.
	Proxies []netip.Prefix
	// OperatorURL is the web address of the operator site where a proxy stands
	// before it. Empty: browsers come straight to the listener.
	OperatorURL string
	// OutboxDir holds what the outbox captured instead of sending it. Empty:
	// there is no outbox, and no page for it.
	OutboxDir string

	// Hooks take what providers tell, by the path below /hooks/. HookCounts
	// counts it; nil: nobody reads the count.
	Hooks      map[string]Hook
	HookCounts *prometheus.CounterVec

	Queues  http.Handler                // the queue dashboard, rooted at /ops/queues; nil: none
	Metrics prometheus.Gatherer         // nil: no /metrics
	Redis   func(context.Context) error // asks whether Redis answers; nil: there is none
	Version string
	Log     *slog.Logger     // nil: slog.Default
	Now     func() time.Time // nil: time.Now
}

const minSecret = 32

func (c *Config) check() error {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HookCounts == nil {
		c.HookCounts = NewHookCounts()
	}
	switch {
	case c.Store == nil || c.Keys == nil || c.Register == nil || c.Contacts == nil || c.Keyer == nil || c.Signer == nil:
		return errors.New("the web sites need a store, keys, a register, a contact store, a keyer and a signer")
	case c.NotFound == nil || c.Conflict == nil:
		return errors.New("the web sites need to know the store's errors")
	case len(c.Secret) < minSecret:
		return fmt.Errorf("the session secret has %d bytes, it needs at least %d", len(c.Secret), minSecret)
	}
	if c.Intake == nil {
		c.Intake = direct{c.Register, c.Store}
	}
	c.PublicURL, c.OperatorURL = strings.TrimSuffix(c.PublicURL, "/"), strings.TrimSuffix(c.OperatorURL, "/")
	if c.OperatorURL == "" {
		return nil
	}
	if u, err := url.Parse(c.OperatorURL); err != nil || !isWebAddress(c.OperatorURL) || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return errors.New("the address of the operator site has the form https://host, without a path")
	}
	return nil
}

// Server holds the two sites.
type Server struct {
	operator *operator
	public   *public
}

// New makes the sites. It starts nothing.
func New(c Config) (*Server, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Server{operator: newOperator(c), public: newPublic(c)}, nil
}

// Operator returns the site of the people who run campaigns. Everything on it
// needs a key or a session, but /healthz, /readyz and /login.
func (s *Server) Operator() http.Handler { return s.operator.handler }

// Public returns the site whose addresses stand in messages. It knows no
// sessions, sets no cookies and runs no scripts.
func (s *Server) Public() http.Handler { return s.public.handler }

// NewLoginLink returns the path, on the operator site, of a page that logs in
// whoever opens it and presses its button: once, within 15 minutes, for as long
// as this process lives, with every right. It is for the demo.
func (s *Server) NewLoginLink() string { return s.operator.guard.newLink() }

package smtp

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config of a provider. Only URL is needed.
type Config struct {
	// URL is the relay: smtp://user:password@host:port (port 587 if none is
	// given; TLS by STARTTLS) or smtps:// (port 465; TLS from the first byte).
	// Its options, as in ?connections=50&timeout=30s:
	//
	//	connections  kept open at most, 1 to 1000; default 20
	//	starttls     required (default), opportunistic (encrypts if offered and
	//	             checks no certificate), or off (default on the loopback)
	//	helo         name given in EHLO; default the host's name
	//	timeout      for each answer, such as 30s; default 30s, and 60s for the
	//	             one to a message
	URL string
	// DKIM signs each message whose sender has a DKIM selector; nil signs none.
	// See [ParseKey].
	DKIM crypto.Signer
	// TLS is for roots that the system does not have; nil is the usual.
	TLS *tls.Config
	// Dial opens connections; nil is net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeouts that are not zero win over the URL's.
	Timeouts Timeouts
	// Now is the clock for the Date line and for idle connections; nil is
	// time.Now.
	Now func() time.Time
}

// Timeouts of the phases of a session. RFC 5321, 4.5.3.2 has minutes for each,
// for relays that retry for days; here a slow relay would hold up a campaign.
type Timeouts struct {
	Connect time.Duration // until the session is ready for MAIL
	Command time.Duration // for the answers to MAIL, RCPT and DATA
	Body    time.Duration // for writing a message
	Final   time.Duration // for the answer to a message
}

// startTLS is when a plain connection is encrypted.
type startTLS string

const (
	required      startTLS = "required"
	opportunistic startTLS = "opportunistic"
	off           startTLS = "off"
)

// settings are what a Config comes to.
type settings struct {
	host, address  string
	user, password string
	implicit       bool // TLS from the first byte
	startTLS       startTLS
	connections    int
	helo           string
	timeouts       Timeouts
	tls            *tls.Config
	dial           func(ctx context.Context, network, address string) (net.Conn, error)
}

// maxConnections keeps a slip in the URL from using up the relay.
const maxConnections = 1000

// settings reads and checks a configuration. No error holds the URL, since a
// password is in it.
func (c Config) settings() (settings, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return settings{}, errors.New("smtp: the URL cannot be read; it is smtp://user:password@host:port, with %XX for signs in the password")
	}
	s := settings{
		host: u.Hostname(), implicit: u.Scheme == "smtps", connections: 20, helo: hostname(), dial: c.Dial,
		timeouts: Timeouts{Connect: 10 * time.Second, Command: 30 * time.Second, Body: 60 * time.Second, Final: 60 * time.Second},
	}
	switch {
	case u.Scheme != "smtp" && u.Scheme != "smtps":
		return settings{}, errors.New("smtp: the URL begins with smtp:// or smtps://")
	case s.host == "":
		return settings{}, errors.New("smtp: the URL names no host")
	case u.Path != "" && u.Path != "/" || u.Fragment != "":
		return settings{}, errors.New("smtp: the URL has a path or a fragment; options follow a ?")
	}
	s.address = net.JoinHostPort(s.host, port(u))
	s.user = u.User.Username()
	s.password, _ = u.User.Password()
	s.startTLS = required
	if loopback(s.host) {
		s.startTLS = off
	}
	if err := s.options(u.RawQuery); err != nil {
		return settings{}, fmt.Errorf("smtp: URL: %w", err)
	}
	if s.user != "" && !s.implicit && s.startTLS != required && !loopback(s.host) {
		return settings{}, errors.New("smtp: a password is sent over verified TLS only: use smtps:// or starttls=required")
	}
	s.timeouts.override(c.Timeouts)
	s.tls = tlsConfig(c.TLS, s.host, s.startTLS == opportunistic && !s.implicit)
	if s.dial == nil {
		s.dial = new(net.Dialer).DialContext
	}
	return s, nil
}

// options reads the query of the URL, and refuses what it does not know.
func (s *settings) options(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the options cannot be read; they are name=value, joined by &")
	}
	for name, all := range values {
		value := all[0]
		switch name {
		case "connections":
			s.connections, err = strconv.Atoi(value)
			if err != nil || s.connections < 1 || s.connections > maxConnections {
				return fmt.Errorf("connections=%q: a number from 1 to %d", value, maxConnections)
			}
		case "starttls":
			s.startTLS = startTLS(value)
			if s.startTLS != required && s.startTLS != opportunistic && s.startTLS != off {
				return fmt.Errorf("starttls=%q: required, opportunistic or off", value)
			}
		case "helo":
			if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				return fmt.Errorf("helo=%q: the name of a host", value)
			}
			s.helo = value
		case "timeout":
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 {
				return fmt.Errorf("timeout=%q: a duration, such as 30s", value)
			}
			s.timeouts = Timeouts{Connect: min(d, s.timeouts.Connect), Command: d, Body: d, Final: d}
		default:
			return fmt.Errorf("unknown option %q; there are connections, starttls, helo and timeout", name)
		}
	}
	return nil
}

func (t *Timeouts) override(o Timeouts) {
	for _, pair := range [][2]*time.Duration{{&t.Connect, &o.Connect}, {&t.Command, &o.Command}, {&t.Body, &o.Body}, {&t.Final, &o.Final}} {
		if *pair[1] > 0 {
			*pair[0] = *pair[1]
		}
	}
}

// port defaults to submission (RFC 6409), or submission over TLS (RFC 8314).
func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "smtps":
		return "465"
	default:
		return "587"
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "localhost"
	}
	return name
}

func tlsConfig(base *tls.Config, host string, unverified bool) *tls.Config {
	c := &tls.Config{}
	if base != nil {
		c = base.Clone()
	}
	c.ServerName = host
	c.MinVersion = tls.VersionTLS12
	// Opportunistic TLS stands between plain text and TLS: it keeps out who
	// listens, not who intercepts (RFC 7435).
	c.InsecureSkipVerify = unverified
	return c
}

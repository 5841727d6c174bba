// Package fcm sends push messages through the HTTP v1 API of Firebase Cloud
// Messaging, one request a device
// (https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages).
//
// Requests are made with net/http. The Admin SDK sends a request again by itself
// after 503 and network errors, takes three quarters more processor time for a
// message (BenchmarkSendBySDK) and brings Firestore and gRPC into the binary; the
// tests hold what is sent here against what it sends.
package fcm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	defaultTimeout     = 10 * time.Second
	defaultConnections = 32
	defaultTTL         = 24 * time.Hour
	maxTTL             = 4 * 7 * 24 * time.Hour
	// idle is shorter than what load balancers commonly allow (60 s), so that a
	// request seldom meets a connection that is just being closed: it would be
	// in doubt.
	idle      = 30 * time.Second
	maxAnswer = 64 << 10 // bytes; an answer is well below one KiB
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
	config   Config
	endpoint *url.URL
	tokens   oauth2.TokenSource
	gate     *channels.GateTransport
	pool     *http.Transport
	slots    chan struct{}
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
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Connections <= 0 {
		c.Connections = defaultConnections
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	base.Path += "/v1/projects/" + account.ProjectID + "/messages:send"
	p := &Provider{config: c, endpoint: base, slots: make(chan struct{}, c.Connections)}
	// Over HTTP/2, one broken connection would leave many messages in doubt.
	p.pool = &http.Transport{DialContext: c.Dial, Proxy: http.ProxyFromEnvironment, Protocols: new(http.Protocols), MaxIdleConnsPerHost: c.Connections, IdleConnTimeout: idle, TLSHandshakeTimeout: 5 * time.Second}
	p.pool.Protocols.SetHTTP1(true)
	p.gate = &channels.GateTransport{Base: p.pool}
	p.tokens = account.tokens(&http.Client{Transport: p.pool, Timeout: c.Timeout})
	return p, nil
}

// Name returns "fcm".
func (p *Provider) Name() string { return "fcm" }

// Channel returns [audience.Push].
func (p *Provider) Channel() audience.Channel { return audience.Push }

// PerCall returns 1.
func (p *Provider) PerCall() int { return 1 }

// Close drops idle connections. Attempts that are under way are not touched.
func (p *Provider) Close() error {
	p.pool.CloseIdleConnections()
	return nil
}

// take waits for a slot, and reports false when ctx has ended.
func (p *Provider) take(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Provider) give() { <-p.slots }

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// post makes the one request of an attempt and reads its answer. It goes by the
// transport itself: a client would follow redirects. The header is shared,
// nothing below writes to it.
func (p *Provider) post(attempt *channels.Attempt, header http.Header, body string) (reply, error) {
	// The chunk's context is not handed down: once begun, an attempt has its
	// time-out, since nobody could say whether it was taken.
	ctx, cancel := context.WithTimeout(channels.WithAttempt(context.Background(), attempt), p.config.Timeout)
	defer cancel()
	request := &http.Request{
		Method: http.MethodPost, URL: p.endpoint, Host: p.endpoint.Host, Header: header,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	response, err := p.gate.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	// The status is what counts: a body that breaks off leaves only the name or
	// the error code unknown.
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return reply{response.StatusCode, response.Header, text}, nil
}

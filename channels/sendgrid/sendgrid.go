// Package sendgrid sends e-mail through SendGrid's v3 Mail Send API, up to 1000
// recipients a call
// (https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send).
//
// A call is one request whose personalizations are the recipients. Nearly all
// of it is encoded in Prepare, before the addresses are known; Send puts the
// addresses in, and leaves out whoever may not be written to.
package sendgrid

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sendgrid/rest"
	"github.com/sendgrid/sendgrid-go"

	"utskick/audience"
	"utskick/channels"
	"utskick/templates"
)

// The base addresses of the API. Keys of a subuser in the EU work with EU only.
const (
	Global = "https://api.sendgrid.com"
	EU     = "https://api.eu.sendgrid.com"
)

const (
	// MaxRecipients is how many personalizations one request may have.
	MaxRecipients = 1000
	// maxMessage is the largest request, in bytes.
	maxMessage = 30 << 20
	// maxSubstitutions is the most that the substitutions of one recipient may
	// take, in bytes. It is held against their encoded length, which is never
	// below what SendGrid counts.
	maxSubstitutions = 10_000

	endpoint = "/v3/mail/send"
	// idle is shorter than what load balancers commonly allow (60 s), so that a
	// request seldom meets a connection that is just being closed: it would be
	// in doubt.
	idle           = 30 * time.Second
	defaultTimeout = 30 * time.Second
)

// Config is what a [Provider] needs.
type Config struct {
	URL     string        // base address; empty is Global
	Key     string        // API key with the permission mail.send
	Timeout time.Duration // for one call; zero is 30 s
	// Dial opens connections; nil is the net package's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now tells the time, against which the end of a rate limit is measured;
	// nil is time.Now.
	Now func() time.Time
}

// Provider sends e-mail. It is safe for concurrent use.
type Provider struct {
	key     string
	host    string
	client  *rest.Client
	pool    *http.Transport
	now     func() time.Time
	limit   int       // bytes of a request
	buffers sync.Pool // of *[]byte
}

var _ channels.Provider = (*Provider)(nil)

// New checks the configuration; it contacts nobody.
func New(c Config) (*Provider, error) {
	host := strings.TrimSuffix(c.URL, "/")
	if host == "" {
		host = Global
	}
	if err := checkURL(host); err != nil {
		return nil, err
	}
	if c.Key == "" || strings.ContainsFunc(c.Key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("sendgrid: the API key is empty or has characters that no key has; set SENDGRID_API_KEY")
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Provider{key: c.Key, host: host, now: c.Now, limit: maxMessage}
	p.buffers.New = func() any { return new([]byte) }
	// Over HTTP/2, one broken connection would leave all calls in doubt.
	p.pool = &http.Transport{DialContext: channels.Watch(c.Dial), Proxy: http.ProxyFromEnvironment, Protocols: new(http.Protocols), MaxIdleConnsPerHost: 64, IdleConnTimeout: idle, TLSHandshakeTimeout: 10 * time.Second}
	p.pool.Protocols.SetHTTP1(true)
	p.client = &rest.Client{HTTPClient: &http.Client{
		Transport:     &channels.GateTransport{Base: p.pool},
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return p, nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The text is not repeated: somebody may have put a key into it.
		return errors.New("sendgrid: the base address is not of the form https://host; set UTSKICK_SENDGRID_URL to " + Global + " or " + EU)
	}
	return nil
}

// Name returns "sendgrid".
func (p *Provider) Name() string { return "sendgrid" }

// Channel returns [audience.Email].
func (p *Provider) Channel() audience.Channel { return audience.Email }

// PerCall returns [MaxRecipients].
func (p *Provider) PerCall() int { return MaxRecipients }

// Close drops idle connections. Calls that are under way are not touched.
func (p *Provider) Close() error {
	p.pool.CloseIdleConnections()
	return nil
}

// request returns a request of its own for each call: the client that
// sendgrid-go offers to be shared keeps the body in a field, where calls
// overwrite each other's.
func (p *Provider) request(body []byte) rest.Request {
	r := sendgrid.GetRequest(p.key, endpoint, p.host)
	r.Method = rest.Post
	r.Body = body
	return r
}

// check refuses a draft that cannot be a call.
func check(d channels.Draft) error {
	if err := d.Check(audience.Email); err != nil {
		return fmt.Errorf("sendgrid: %w", err)
	}
	if rows := d.Sheet.Rows(); rows > MaxRecipients {
		return fmt.Errorf("sendgrid: the draft has %d rows, a call takes %d at most", rows, MaxRecipients)
	}
	parts := []templates.Part{d.Skeleton.Subject, d.Skeleton.Text, d.Skeleton.HTML}
	for _, field := range d.Skeleton.Headers {
		parts = append(parts, field.Value)
	}
	for _, segment := range slices.Concat(parts...) {
		if segment.Hole >= d.Sheet.Columns() {
			return fmt.Errorf("sendgrid: the message of group %d has a hole %d, its rows have %d values", d.Group, segment.Hole, d.Sheet.Columns())
		}
	}
	return nil
}

// duplicates marks the rows whose key an earlier row has: SendGrid takes an
// address once in a request, and two rows with one key have one address. Rows
// come in the order of their keys as a rule, which settles it in one pass.
func duplicates(keys []audience.Key) []int {
	ascending := true
	for i := 1; i < len(keys) && ascending; i++ {
		ascending = bytes.Compare(keys[i-1][:], keys[i][:]) < 0
	}
	if ascending {
		return nil
	}
	var rows []int
	seen := make(map[audience.Key]bool, len(keys))
	for row, k := range keys {
		if seen[k] {
			rows = append(rows, row)
		}
		seen[k] = true
	}
	return rows
}

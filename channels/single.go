package channels

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"utskick/audience"
	"utskick/suppression"
)

// DefaultTimeout is how long a vendor may take for one message, unless it is told
// otherwise.
const DefaultTimeout = 10 * time.Second

const (
	defaultConnections = 32
	// idle is shorter than what load balancers commonly allow (60 s), so that a
	// request seldom meets a connection that is just being closed: it would be
	// in doubt.
	idle      = 30 * time.Second
	maxAnswer = 64 << 10 // bytes; the vendors' answers are about one KiB
)

// SingleConfig is what a [Single] needs.
type SingleConfig struct {
	Endpoint    *url.URL      // where each request goes
	Timeout     time.Duration // for one message; zero is 10 s
	Connections int           // how many requests at most go at once; zero is 32
	// Dial opens connections; nil is the net package's.
	Dial DialFunc
}

// Single sends to a vendor whose API takes one recipient a request. It holds the
// connections of a provider, bounds how many requests go at once over all of its
// calls, and is safe for concurrent use.
type Single struct {
	endpoint *url.URL
	timeout  time.Duration
	pool     *http.Transport
	slots    chan struct{}
}

// NewSingle contacts nobody.
func NewSingle(c SingleConfig) *Single {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Connections <= 0 {
		c.Connections = defaultConnections
	}
	s := &Single{endpoint: c.Endpoint, timeout: c.Timeout, slots: make(chan struct{}, c.Connections)}
	s.pool = &http.Transport{
		DialContext: Watch(c.Dial), Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: c.Connections, IdleConnTimeout: idle,
		DisableCompression: true, // answers are short
		Protocols:          new(http.Protocols),
	}
	// Over HTTP/2, one broken connection would leave many messages in doubt.
	s.pool.Protocols.SetHTTP1(true)
	return s
}

// Client returns a client for the vendor's other requests, such as for access
// tokens, over the same connections and with the same time-out. It asks for no
// permit.
func (s *Single) Client() *http.Client { return &http.Client{Transport: s.pool, Timeout: s.timeout} }

// Close drops idle connections. Attempts that are under way are not touched.
func (s *Single) Close() error {
	s.pool.CloseIdleConnections()
	return nil
}

// SingleCall is a chunk of messages that go by one request each. It is a [Call].
type SingleCall struct {
	Single *Single
	Header http.Header    // of each request; nothing writes to it
	Keys   []audience.Key // of each row
	// Body returns the body of a row's request, which it does not use again. If
	// it is nil, there is no request and the result is the row's. Body and Answer
	// are called by several goroutines at once.
	Body func(row int, address string) ([]byte, Result)
	// Answer says what an answer means for the message. Its bytes are those of
	// the next answer when it has returned.
	Answer func(Answer) Result
}

// Reasons of results that need no request.
const (
	reasonForeign = "foreign_permit" // the permit is for another recipient than the row
	reasonStopped = "stopped"        // the send was ended before this row
)

// Send makes one request for each permit.
func (c *SingleCall) Send(ctx context.Context, permits []*suppression.Permit) []Result {
	results := Fill(permits, Result{Class: Withheld, Reason: reasonStopped})
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(len(permits), cap(c.Single.slots)) {
		workers.Go(func() {
			var answer bytes.Buffer
			for row := int(next.Add(1)) - 1; row < len(permits); row = int(next.Add(1)) - 1 {
				if permits[row] == nil {
					continue
				}
				if !c.Single.take(ctx) {
					return
				}
				results[row] = c.attempt(row, permits[row], &answer)
				c.Single.give()
			}
		})
	}
	workers.Wait()
	return results
}

// take waits for a slot, and reports false when ctx has ended. A slot is for one
// request, so that calls at the same time get their turns.
func (s *Single) take(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case s.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Single) give() { <-s.slots }

// attempt makes the one request of a message, and reads the answer into memory
// that is used again.
func (c *SingleCall) attempt(row int, permit *suppression.Permit, answer *bytes.Buffer) Result {
	if permit.Key() != c.Keys[row] {
		return Result{Class: Withheld, Reason: reasonForeign}
	}
	address, err := permit.Open()
	if err != nil {
		return Result{Class: Withheld, Reason: ReasonExpired}
	}
	body, without := c.Body(row, address)
	if body == nil {
		return without
	}
	// The chunk's context is not handed down: once begun, an attempt has its
	// time-out, since nobody could say whether it was taken.
	ctx, cancel := context.WithTimeout(context.Background(), c.Single.timeout)
	defer cancel()
	attempt := NewAttempt(permit)
	result := c.exchange(ctx, attempt, body, answer)
	result.Late = attempt.Late()
	return result
}

// exchange sends the request of an attempt, and says what its answer means.
func (c *SingleCall) exchange(ctx context.Context, attempt *Attempt, body []byte, answer *bytes.Buffer) Result {
	response, err := attempt.roundTrip(c.Single.pool, c.request(ctx, attempt, body))
	if err != nil {
		return Failure(err, attempt.Written())
	}
	defer response.Body.Close()
	answer.Reset()
	// The status is what counts: a body that breaks off leaves only the vendor's
	// name for the message or the error's code unknown.
	_, _ = answer.ReadFrom(io.LimitReader(response.Body, maxAnswer))
	return c.Answer(Answer{response.StatusCode, response.Header, answer.Bytes()})
}

// request returns a gated request. It goes by the transport itself: a client
// would follow redirects.
func (c *SingleCall) request(ctx context.Context, a *Attempt, body []byte) *http.Request {
	r := (&http.Request{
		Method: http.MethodPost, URL: c.Single.endpoint, Host: c.Single.endpoint.Host, Header: c.Header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if len(body) <= maxParcel {
		return inParcel(r, a, body)
	}
	r.Body, r.ContentLength = NewGateReader(a, io.NopCloser(bytes.NewReader(body)), int64(len(body))), int64(len(body))
	return r
}

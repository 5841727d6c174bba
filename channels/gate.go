package channels

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"

	"utskick/internal/failpoint"
	"utskick/suppression"
)

// Written says how much of an attempt's body was handed to the connection. It
// never claims too little: what was handed over may still not have left.
type Written uint8

const (
	// NotStarted: not one byte. The connection failed, or was never made.
	NotStarted Written = iota
	// Expired: the window had passed at the first byte; nothing was handed over.
	Expired
	// Partly: it began and stopped short of the end, so that no provider can
	// have acted on it.
	Partly
	// Fully: the provider may have all of it. What leaves in one write is full
	// from its first byte.
	Fully
)

var (
	// ErrNoAttempt is returned for a request that no permit stands behind.
	ErrNoAttempt = errors.New("the request carries no attempt, so no permit allows it")
	// ErrSecondRequest is returned when an attempt is used again, by a retry of
	// an SDK or by a redirect: each attempt is one request.
	ErrSecondRequest = errors.New("the attempt has had its one request")

	errStopped = errors.New("the attempt is over, the rest of its body is kept back")
)

// Attempt is one request to a provider, the permits that allow it, and the
// record of how much of its body was handed over. It is used once and is safe
// for concurrent use.
type Attempt struct {
	permits []*suppression.Permit

	mu      sync.Mutex
	used    bool
	over    bool
	written Written
	gone    bool // the first write is over
	late    bool // and it was too late
}

// NewAttempt makes an attempt under all permits that are not nil. With none, it
// is expired from the start.
func NewAttempt(permits ...*suppression.Permit) *Attempt { return &Attempt{permits: permits} }

// Written returns the record. It is final once [GateTransport.RoundTrip] has
// returned an error.
func (a *Attempt) Written() Written {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.written
}

// begin takes the attempt's one use.
func (a *Attempt) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used {
		return ErrSecondRequest
	}
	a.used = true
	return nil
}

// stop keeps back whatever of the body has not been handed over, which makes
// the record final.
func (a *Attempt) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

// start asks the permits at the first byte. The caller holds the lock.
func (a *Attempt) start() error {
	switch {
	case a.over:
		return errStopped
	case a.written == Expired:
		return suppression.ErrExpired
	case a.written != NotStarted:
		return nil
	}
	failpoint.Hit(failpoint.Opened)
	if !a.allowed() {
		a.written = Expired
		return suppression.ErrExpired
	}
	failpoint.Hit(failpoint.Allowed)
	a.written = Partly
	return nil
}

// allowed reports whether there are permits, and all of them live. The permits
// of a call share their window, which is asked once: reading the clock for each
// of a thousand would cost more than writing them out.
func (a *Attempt) allowed() bool {
	var asked *suppression.Permit
	for _, p := range a.permits {
		if p == nil || p.SharesWindow(asked) {
			continue
		}
		if p.Gate() != nil {
			return false
		}
		asked = p
	}
	return asked != nil
}

// GateReader is the body of an attempt. Its first Read asks the permits, and
// past their window fails with [suppression.ErrExpired]; each Read records what
// it hands over.
type GateReader struct {
	attempt *Attempt
	body    io.ReadCloser
	left    int64
	sized   bool
}

// NewGateReader wraps body, which is size bytes long; a negative size is an
// unknown one.
func NewGateReader(a *Attempt, body io.ReadCloser, size int64) *GateReader {
	return &GateReader{attempt: a, body: body, left: size, sized: size >= 0}
}

// Read hands over the next bytes of the body.
func (g *GateReader) Read(p []byte) (int, error) {
	a := g.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.start(); err != nil {
		return 0, err
	}
	n, err := g.body.Read(p)
	g.left -= int64(n)
	if err == io.EOF || (g.sized && g.left <= 0) {
		a.written = Fully
	}
	return n, err
}

// Close closes the wrapped body.
func (g *GateReader) Close() error { return g.body.Close() }

// GateTransport lets one request through for each attempt, with a body that
// asks the permits at its first byte. The attempt is the field, for an SDK that
// takes no context (a transport value a call, over a shared Base), else the one
// that [WithAttempt] put into the request's context.
//
// Go's http.Transport sends a request again by itself when it has a GetBody, or
// no body and an Idempotency-Key or X-Idempotency-Key header (net/http,
// Request.isReplayable). The request that goes on has none of these.
//
// A body of a known length up to 3 KiB is read beforehand, and leaves in one
// write with the head if Base is an http.Transport. Past the window, not even
// the head leaves.
type GateTransport struct {
	Base    http.RoundTripper // nil is http.DefaultTransport
	Attempt *Attempt
}

type attemptKey struct{}

// WithAttempt puts an attempt into the context of its request.
func WithAttempt(ctx context.Context, a *Attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// RoundTrip sends the request once. When it fails, the attempt's record is
// final and says what the failure means: see [Classify]. Its own errors are
// [ErrNoAttempt] and [ErrSecondRequest].
func (t *GateTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	a := t.Attempt
	if a == nil {
		a, _ = req.Context().Value(attemptKey{}).(*Attempt)
	}
	if a == nil {
		closeBody(req)
		return nil, ErrNoAttempt
	}
	if err := a.begin(); err != nil {
		closeBody(req)
		return nil, err
	}
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	gated, err := gate(req, a, base)
	if err != nil {
		a.stop()
		return nil, err
	}
	return a.roundTrip(base, gated)
}

// roundTrip sends a gated request. When it fails, the record is final.
func (a *Attempt) roundTrip(base http.RoundTripper, gated *http.Request) (*http.Response, error) {
	resp, err := base.RoundTrip(gated)
	if err != nil {
		a.stop()
	}
	if a.Written() == Expired {
		// net/http says of a parcel that stays empty that its length is wrong, and
		// over HTTP/2 leaves that to the other end.
		if err == nil {
			resp.Body.Close()
		}
		return nil, suppression.ErrExpired
	}
	return resp, err
}

// gate returns a copy of the request with a gated body and without what makes
// the transport replay it. A request without a body is asked for here.
func gate(req *http.Request, a *Attempt, base http.RoundTripper) (*http.Request, error) {
	gated := req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: a.ride}))
	gated.GetBody = nil
	if len(req.Header["Idempotency-Key"])+len(req.Header["X-Idempotency-Key"]) > 0 {
		gated.Header = req.Header.Clone()
		gated.Header.Del("Idempotency-Key")
		gated.Header.Del("X-Idempotency-Key")
	}
	if fitsParcel(req, base) {
		body, err := readBody(req)
		if err != nil {
			return nil, err
		}
		return inParcel(gated, a, body), nil
	}
	if req.Body != nil && req.Body != http.NoBody {
		size := req.ContentLength
		if size == 0 { // with a body, net/http takes it for unknown
			size = -1
		}
		gated.Body = NewGateReader(a, req.Body, size)
		return gated, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.start(); err != nil {
		return nil, err
	}
	a.written = Fully
	return gated, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// Classify says what the failure of an attempt means, from its error and from
// how much of its body was handed over: nothing or a part is NotTaken, all of
// it InDoubt, an expired permit Withheld. It is for attempts that got no answer.
func Classify(err error, w Written) Class {
	switch {
	case w == Fully:
		return InDoubt
	case w == Expired, errors.Is(err, suppression.ErrExpired):
		return Withheld
	default:
		return NotTaken
	}
}

// Reasons of attempts that got no answer.
const (
	ReasonExpired = "expired"           // the window had passed
	ReasonTimeout = "timeout"           // no answer in time
	ReasonNetwork = "connection_failed" // no connection, or it broke
)

// Failure is the result of an attempt that got no answer: its class, and the
// reason for it.
func Failure(err error, w Written) Result {
	r := Result{Class: Classify(err, w), Reason: ReasonNetwork}
	var timeout net.Error
	switch {
	case r.Class == Withheld:
		r.Reason = ReasonExpired
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		r.Reason = ReasonTimeout
	}
	return r
}

package channels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"utskick/suppression"
	"utskick/tracking"
)

// Inquiry asks a provider what it has taken for one address of us. It holds the
// address, which the provider goes by, and is no message: a [Call] is sent under
// permits, and no permit comes of an inquiry.
type Inquiry struct {
	address string
	// Service and Sender are those of the sender's record; without either, the
	// provider goes by its default, as it does when it sends.
	Service, Sender string
	// From and Until bound when the provider took what is asked for.
	From, Until time.Time
}

// NewInquiry asks for one address.
func NewInquiry(address string) Inquiry { return Inquiry{address: address} }

// Address is for the provider alone.
func (q Inquiry) Address() string { return q.address }

// String says nothing of the address, so that no log can hold it.
func (q Inquiry) String() string {
	return fmt.Sprintf("an inquiry about %s to %s", q.From.Format(time.RFC3339), q.Until.Format(time.RFC3339))
}

// GoString does the same for %#v.
func (q Inquiry) GoString() string { return q.String() }

// Sighting is a message that a provider has taken from us for the address that
// was asked for.
type Sighting struct {
	ID      string // the provider's
	Created time.Time
	// Type, At, Dedupe and Effect are those of the notice by which the provider
	// would tell its present state.
	Type   tracking.EventType
	At     time.Time
	Dedupe string
	Effect suppression.Effect
}

// Unanswered is the error of an inquiry that says something of the provider, and
// nothing of a message: it is to be left alone for a while.
type Unanswered struct {
	Reason string
	Pause  time.Duration // as it asked for; 0: it did not
}

// Error implements error. The address is not in it.
func (e *Unanswered) Error() string { return "the provider does not answer: " + e.Reason }

// Read asks the vendor for something that it has. It can send nothing to anybody,
// and so needs no permit: it is a GET without a body. No redirect is followed, and
// of an answer at most so many bytes are read; a longer one is [ErrUnreadable]. An
// error does not hold the address, which may name a recipient.
func (s *Single) Read(ctx context.Context, from *url.URL, header http.Header, most int64) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r := (&http.Request{Method: http.MethodGet, URL: from, Host: from.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	response, err := s.pool.RoundTrip(r)
	if err != nil {
		return Answer{}, unanswered(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	switch {
	case err != nil:
		return Answer{}, unanswered(ctx, err)
	case int64(len(body)) > most:
		return Answer{}, ErrUnreadable
	}
	return Answer{response.StatusCode, response.Header, body}, nil
}

func unanswered(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &Unanswered{Reason: Failure(err, Fully).Reason}
}

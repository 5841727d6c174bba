package channels_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/suppression"
)

// singles returns a call whose rows' bodies are the addresses, and whose results
// name what was answered.
func singles(t *testing.T, c channels.SingleConfig, address string, rows int) (*channels.SingleCall, []*suppression.Permit) {
	t.Helper()
	endpoint, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c.Endpoint = endpoint
	single := channels.NewSingle(c)
	t.Cleanup(func() { single.Close() })
	addresses := channeltest.Addresses(audience.SMS, rows)
	return &channels.SingleCall{
		Single: single, Header: http.Header{"X-Test": {"yes"}}, Keys: channeltest.Keys(audience.KindPhone, addresses...),
		Body: func(_ int, address string) ([]byte, channels.Result) { return []byte(address), channels.Result{} },
		Answer: func(a channels.Answer) channels.Result {
			return channels.Result{Class: channels.Accepted, ProviderID: fmt.Sprint(a.Status, " ", string(a.Body))}
		},
	}, channeltest.Permits(t, new(channeltest.Clock), audience.KindPhone, addresses...)
}

// echo answers with what it got.
func echo(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusCreated)
	io.Copy(w, r.Body)
}

func TestSingleKeepsTheRows(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	call, permits := singles(t, channels.SingleConfig{Connections: 3}, server.URL, 40)
	permits[5] = nil
	permits[7], permits[8] = permits[8], permits[7] // another's message
	tooLarge := channels.Result{Class: channels.Refused, Reason: channels.ReasonTooLarge}
	body := call.Body
	call.Body = func(row int, address string) ([]byte, channels.Result) {
		if row == 11 {
			return nil, tooLarge
		}
		return body(row, address)
	}
	want := make([]channels.Result, len(permits))
	for row, address := range channeltest.Addresses(audience.SMS, len(permits)) {
		want[row] = channels.Result{Class: channels.Accepted, ProviderID: "201 " + address}
	}
	want[5] = channels.Result{}
	want[7] = channels.Result{Class: channels.Withheld, Reason: "foreign_permit"}
	want[8] = want[7]
	want[11] = tooLarge
	if diff := cmp.Diff(want, call.Send(context.Background(), permits)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSingleBound: calls at the same time share the bound, and use all of it.
func TestSingleBound(t *testing.T) {
	const bound = 3
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	var now, most atomic.Int64
	full := make(chan struct{})
	closeFull := sync.OnceFunc(func() { close(full) })
	first, permits := singles(t, channels.SingleConfig{Connections: bound}, server.URL, 40)
	first.Body = func(int, string) ([]byte, channels.Result) {
		n := now.Add(1)
		if n >= bound {
			closeFull()
		}
		<-full // nothing is sent before as many go as may
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		return []byte("a message"), channels.Result{}
	}
	first.Answer = func(channels.Answer) channels.Result {
		now.Add(-1)
		return channels.Result{Class: channels.Accepted}
	}
	second := *first
	var sends sync.WaitGroup
	for _, call := range []*channels.SingleCall{first, &second} {
		sends.Go(func() {
			for row, r := range call.Send(context.Background(), permits) {
				if r.Class != channels.Accepted {
					t.Errorf("row %d: %s", row, r.Reason)
				}
			}
		})
	}
	sends.Wait()
	if most.Load() != bound {
		t.Errorf("%d requests at once, want %d", most.Load(), bound)
	}
}

// TestSingleLargeBody: what is longer than one write arrives whole, and if it
// does not, was not taken.
func TestSingleLargeBody(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/cut") {
			io.CopyN(io.Discard, r.Body, 1000)
			cut(w)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}))
	defer server.Close()
	for path, want := range map[string]channels.Result{
		"/":    {Class: channels.Accepted, ProviderID: "200 8388608"},
		"/cut": {Class: channels.NotTaken, Reason: channels.ReasonNetwork},
	} {
		call, permits := singles(t, channels.SingleConfig{}, server.URL+path, 1)
		call.Body = func(int, string) ([]byte, channels.Result) {
			return bytes.Repeat([]byte("x"), 8<<20), channels.Result{}
		}
		if got := call.Send(context.Background(), permits)[0]; got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

// TestSingleAnswer: an answer is read so far and no further, in bounded time,
// and each row's is its own.
func TestSingleAnswer(t *testing.T) {
	silent := make(chan struct{})
	defer close(silent)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			w.Write(bytes.Repeat([]byte("x"), 1<<20))
		case "/stuck":
			fmt.Fprint(w, "begun")
			w.(http.Flusher).Flush()
			<-silent
		case "/elsewhere":
			http.Redirect(w, r, "/long", http.StatusTemporaryRedirect)
		}
	}))
	defer server.CloseClientConnections()
	for path, want := range map[string]string{"/long": "200 " + strings.Repeat("x", 64<<10), "/stuck": "200 begun", "/elsewhere": "307 "} {
		call, permits := singles(t, channels.SingleConfig{Timeout: 200 * time.Millisecond}, server.URL+path, 2)
		for row, r := range call.Send(context.Background(), permits) {
			if r.ProviderID != want {
				t.Errorf("%s, row %d: %s, an answer of %d characters", path, row, r.Class, len(r.ProviderID))
			}
		}
	}
}

func TestByStatus(t *testing.T) {
	for status, want := range map[int]channels.Result{
		202: {Class: channels.InDoubt, Reason: "server_error"},
		307: {Class: channels.Hold, Reason: "redirected"},
		401: {Class: channels.Hold, Reason: "bad_credentials"},
		403: {Class: channels.Hold, Reason: "forbidden"},
		404: {Class: channels.Hold, Reason: "wrong_endpoint"},
		405: {Class: channels.Hold, Reason: "wrong_endpoint"},
		408: {Class: channels.InDoubt, Reason: "timeout"},
		422: {Class: channels.Rejected, Reason: "bad_request"},
		429: {Class: channels.NotTaken, Reason: "throttled"},
		500: {Class: channels.InDoubt, Reason: "server_error"},
		503: {Class: channels.InDoubt, Reason: "server_error"},
	} {
		if got := (channels.Answer{Status: status}).ByStatus(); got != want {
			t.Errorf("%d: %+v, want %+v", status, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for after, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-3": 0, "31536000": time.Hour, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat):   time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat):  0,
		now.AddDate(100, 0, 0).Format(http.TimeFormat): time.Hour,
	} {
		if got := (channels.Answer{Header: http.Header{"Retry-After": {after}}}).RetryAfter(now); got != want {
			t.Errorf("%q: %s, want %s", after, got, want)
		}
	}
}

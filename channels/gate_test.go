package channels_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/suppression"
)

func permit(t *testing.T, clock *channeltest.Clock) *suppression.Permit {
	t.Helper()
	return channeltest.Permits(t, clock, audience.KindEmail, "mottagare@example.com")[0]
}

func TestGateReader(t *testing.T) {
	const body = "0123456789"
	expired := func(t *testing.T) *suppression.Permit {
		clock := new(channeltest.Clock)
		p := permit(t, clock)
		clock.Expire()
		return p
	}
	live := func(t *testing.T) *suppression.Permit { return permit(t, new(channeltest.Clock)) }
	for name, c := range map[string]struct {
		permits []*suppression.Permit
		size    int64
		read    int64 // bytes
		want    channels.Written
		err     error
	}{
		"nothing read":      {[]*suppression.Permit{live(t)}, 10, 0, channels.NotStarted, nil},
		"a part":            {[]*suppression.Permit{live(t)}, 10, 9, channels.Partly, nil},
		"all":               {[]*suppression.Permit{live(t)}, 10, 10, channels.Fully, nil},
		"all, size unknown": {[]*suppression.Permit{live(t)}, -1, 11, channels.Fully, nil},
		"some are nil":      {[]*suppression.Permit{nil, live(t), nil}, 10, 10, channels.Fully, nil},
		"expired":           {[]*suppression.Permit{expired(t)}, 10, 10, channels.Expired, suppression.ErrExpired},
		"one of them is":    {[]*suppression.Permit{live(t), expired(t)}, 10, 10, channels.Expired, suppression.ErrExpired},
		"all are nil":       {[]*suppression.Permit{nil}, 10, 10, channels.Expired, suppression.ErrExpired},
		"none":              {nil, 10, 10, channels.Expired, suppression.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			a := channels.NewAttempt(c.permits...)
			r := channels.NewGateReader(a, io.NopCloser(strings.NewReader(body)), c.size)
			n, err := io.Copy(io.Discard, io.LimitReader(r, c.read))
			if a.Written() != c.want || !errors.Is(err, c.err) {
				t.Errorf("%d bytes, record %d, want %d; %v", n, a.Written(), c.want, err)
			}
			if c.err != nil && n != 0 {
				t.Errorf("%d bytes were handed over", n)
			}
		})
	}
}

// TestGateReaderAsksOnce: the window counts at the first byte. A body that began
// within it goes on to its end.
func TestGateReaderAsksOnce(t *testing.T) {
	clock := new(channeltest.Clock)
	a := channels.NewAttempt(permit(t, clock))
	r := channels.NewGateReader(a, io.NopCloser(strings.NewReader("0123456789")), 10)
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	clock.Expire()
	if _, err := io.ReadAll(r); err != nil || a.Written() != channels.Fully {
		t.Errorf("record %d, %v", a.Written(), err)
	}
}

// vendor is an HTTP server that counts what reached it whole.
type vendor struct {
	*httptest.Server

	mu     sync.Mutex
	whole  int
	chunks int
}

func startVendor(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, n int)) *vendor {
	v := new(vendor)
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		v.mu.Lock()
		v.whole++
		if len(r.TransferEncoding) > 0 {
			v.chunks++
		}
		n := v.whole
		v.mu.Unlock()
		answer(w, r, n)
	}))
	t.Cleanup(func() {
		v.CloseClientConnections()
		v.Close()
	})
	return v
}

func (v *vendor) received() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.whole
}

// cut breaks the connection.
func cut(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

func request(t *testing.T, url string, body []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNoReplay: a connection that was kept and breaks at the next request would
// have net/http send that again. Behind a gate it is sent once.
func TestNoReplay(t *testing.T) {
	for _, header := range []string{"", "Idempotency-Key", "X-Idempotency-Key"} {
		for _, body := range []string{"a message", ""} {
			t.Run(header+" "+body, func(t *testing.T) {
				v := startVendor(t, func(w http.ResponseWriter, _ *http.Request, n int) {
					if n == 2 {
						cut(w)
					}
				})
				base := new(http.Transport)
				defer base.CloseIdleConnections()
				var err error
				attempts := [2]*channels.Attempt{}
				for i := range attempts {
					attempts[i] = channels.NewAttempt(permit(t, new(channeltest.Clock)))
					client := &http.Client{Transport: &channels.GateTransport{Base: base, Attempt: attempts[i]}}
					r := request(t, v.URL, []byte(body))
					if header != "" {
						r.Header.Set(header, "x")
					}
					var resp *http.Response
					if resp, err = client.Do(r); err == nil {
						resp.Body.Close()
					}
				}
				if err == nil || v.received() != 2 {
					t.Errorf("%d requests for 2 attempts, %v", v.received(), err)
				}
				if class := channels.Classify(err, attempts[1].Written()); class != channels.InDoubt {
					t.Errorf("%s, want in_doubt", class)
				}
			})
		}
	}
}

// TestRedirect: an attempt is not carried on to another place.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		v := startVendor(t, func(w http.ResponseWriter, r *http.Request, _ int) { http.Redirect(w, r, "/elsewhere", status) })
		a := channels.NewAttempt(permit(t, new(channeltest.Clock)))
		resp, err := (&http.Client{Transport: &channels.GateTransport{Attempt: a}}).Do(request(t, v.URL, []byte("a message")))
		if err == nil {
			resp.Body.Close()
		}
		if v.received() != 1 {
			t.Errorf("%d: %d requests", status, v.received())
		}
		if err != nil && !errors.Is(err, channels.ErrSecondRequest) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestAttemptOnce: a retry of an SDK is refused, whatever became of the first.
func TestAttemptOnce(t *testing.T) {
	v := startVendor(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusServiceUnavailable) })
	ctx := channels.WithAttempt(context.Background(), channels.NewAttempt(permit(t, new(channeltest.Clock))))
	client := &http.Client{Transport: new(channels.GateTransport)}
	for i, want := range []error{nil, channels.ErrSecondRequest, channels.ErrSecondRequest} {
		resp, err := client.Do(request(t, v.URL, []byte("a message")).WithContext(ctx))
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("request %d: %v, want %v", i, err, want)
		}
	}
	if _, err := client.Do(request(t, v.URL, []byte("a message"))); !errors.Is(err, channels.ErrNoAttempt) {
		t.Errorf("without an attempt: %v", err)
	}
	if v.received() != 1 || v.chunks != 0 {
		t.Errorf("%d requests, %d of them without a length", v.received(), v.chunks)
	}
}

// seen keeps the request that goes on.
type seen struct{ request *http.Request }

func (s *seen) RoundTrip(r *http.Request) (*http.Response, error) {
	s.request = r
	return &http.Response{Body: http.NoBody}, nil
}

// TestRequestThatGoesOn has nothing that could be sent again, and the length of
// the one that came. That one is left alone, as a RoundTripper must.
func TestRequestThatGoesOn(t *testing.T) {
	var base seen
	r := request(t, "http://example.com", []byte("a message"))
	r.Header.Set("Idempotency-Key", "x")
	r.Header.Set("Content-Type", "text/plain")
	body := r.Body
	if _, err := (&channels.GateTransport{Base: &base, Attempt: channels.NewAttempt(permit(t, new(channeltest.Clock)))}).RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	if g := base.request; g.GetBody != nil || len(g.Header) != 1 || g.ContentLength != int64(len("a message")) {
		t.Errorf("the request that goes on: GetBody %t, headers %v, length %d", g.GetBody != nil, g.Header, g.ContentLength)
	}
	if r.GetBody == nil || r.Body != body || r.Header.Get("Idempotency-Key") != "x" {
		t.Error("the request was changed")
	}
}

// TestFailures goes through the ways in which an attempt gets no answer.
func TestFailures(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 8<<20) // more than the buffers in between hold
	small := []byte("a message")
	silent := make(chan struct{})
	defer close(silent)
	for _, c := range []struct {
		name   string
		body   []byte
		server func(http.ResponseWriter, *http.Request)
		client http.Client
		expire bool // while connecting
		want   channels.Result
		whole  bool // the server got all of it
	}{
		{name: "expired while connecting", body: small, expire: true, want: channels.Result{Class: channels.Withheld, Reason: "expired"}},
		{name: "expired, no body", expire: true, want: channels.Result{Class: channels.Accepted}, whole: true},
		{name: "cut in the middle", body: large, want: channels.Result{Class: channels.NotTaken, Reason: "connection_failed"},
			server: func(w http.ResponseWriter, r *http.Request) {
				io.CopyN(io.Discard, r.Body, 1000)
				cut(w)
			}},
		{name: "silent in the middle", body: large, client: http.Client{Timeout: 100 * time.Millisecond}, want: channels.Result{Class: channels.NotTaken, Reason: "timeout"},
			server: func(_ http.ResponseWriter, r *http.Request) { <-silent }},
		{name: "cut at the end", body: small, want: channels.Result{Class: channels.InDoubt, Reason: "connection_failed"}, whole: true,
			server: func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				cut(w)
			}},
		{name: "silent at the end", body: small, client: http.Client{Timeout: 100 * time.Millisecond}, want: channels.Result{Class: channels.InDoubt, Reason: "timeout"}, whole: true,
			server: func(_ http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				<-silent
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := make(chan bool, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.server != nil {
					c.server(w, r)
					return
				}
				_, err := io.Copy(io.Discard, r.Body)
				whole <- err == nil
			}))
			defer server.CloseClientConnections()
			clock := new(channeltest.Clock)
			a := channels.NewAttempt(permit(t, clock))
			base := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if c.expire {
					clock.Expire()
				}
				return new(net.Dialer).DialContext(ctx, network, address)
			}}
			defer base.CloseIdleConnections()
			client := c.client
			client.Transport = &channels.GateTransport{Base: base, Attempt: a}
			resp, err := client.Do(request(t, server.URL, c.body))
			got := channels.Result{Class: channels.Accepted}
			if err == nil {
				resp.Body.Close()
			} else {
				got = channels.Failure(err, a.Written())
			}
			if got != c.want {
				t.Errorf("%+v, want %+v (%v)", got, c.want, err)
			}
			if err != nil && (a.Written() == channels.Fully) != c.whole {
				t.Errorf("record %d", a.Written())
			}
		})
	}
}

// TestNoConnection: what fails before a connection is there was not taken.
func TestNoConnection(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	plain := startVendor(t, func(http.ResponseWriter, *http.Request, int) {})
	unknown := httptest.NewTLSServer(nil)
	unknown.Config.ErrorLog = nil
	defer unknown.Close()
	for name, url := range map[string]string{
		"refused":             "http://" + closed.Addr().String(),
		"no TLS":              strings.Replace(plain.URL, "http", "https", 1),
		"unknown certificate": unknown.URL,
		"no such scheme":      "gopher://example.com",
	} {
		a := channels.NewAttempt(permit(t, new(channeltest.Clock)))
		_, err := (&http.Client{Transport: &channels.GateTransport{Attempt: a}}).Do(request(t, url, []byte("a message")))
		want := channels.Result{Class: channels.NotTaken, Reason: "connection_failed"}
		if got := channels.Failure(err, a.Written()); err == nil || got != want || a.Written() != channels.NotStarted {
			t.Errorf("%s: %+v, record %d, %v", name, got, a.Written(), err)
		}
	}
}

// late reads the body only after the request has failed, as the writing half of
// a connection may.
type late struct{ body io.ReadCloser }

func (l *late) RoundTrip(r *http.Request) (*http.Response, error) {
	l.body = r.Body
	return nil, errors.New("broken")
}

// TestRecordIsFinal: once an attempt has failed, no more of it is handed over,
// so that what its failure meant stays true.
func TestRecordIsFinal(t *testing.T) {
	var base late
	a := channels.NewAttempt(permit(t, new(channeltest.Clock)))
	_, err := (&channels.GateTransport{Base: &base, Attempt: a}).RoundTrip(request(t, "http://example.com", []byte("a message")))
	if channels.Classify(err, a.Written()) != channels.NotTaken {
		t.Errorf("record %d, %v", a.Written(), err)
	}
	if n, err := base.body.Read(make([]byte, 100)); n != 0 || err == nil || a.Written() != channels.NotStarted {
		t.Errorf("%d bytes were handed over afterwards, record %d, %v", n, a.Written(), err)
	}
}

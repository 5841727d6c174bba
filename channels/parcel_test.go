package channels_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/suppression"
)

// written counts what goes out over the connections it dials.
type written struct{ writes, bytes atomic.Int64 }

func (w *written) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	return &writtenConn{conn, w}, err
}

type writtenConn struct {
	net.Conn
	count *written
}

func (c *writtenConn) Write(p []byte) (int, error) {
	c.count.writes.Add(1)
	c.count.bytes.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// TestOneWrite: a small request leaves in one write, and past the window not a
// byte of it does, whatever is between here and the vendor.
func TestOneWrite(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			got := make(chan string, 1)
			server := start(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got <- string(body)
			}))
			defer server.Close()
			var out written
			base := server.Client().Transport.(*http.Transport)
			base.DialContext = out.Dial
			defer base.CloseIdleConnections()
			clock := new(channeltest.Clock)
			send := func(body string) (*channels.Attempt, error) {
				a := channels.NewAttempt(permit(t, clock))
				if body == "late" {
					clock.Expire()
				}
				resp, err := (&channels.GateTransport{Base: base, Attempt: a}).RoundTrip(request(t, server.URL, []byte(body)))
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				return a, err
			}
			for i := range 3 {
				before := out.writes.Load()
				a, err := send("a message")
				if err != nil || <-got != "a message" || a.Written() != channels.Fully {
					t.Fatalf("record %d, %v", a.Written(), err)
				}
				// The first has the handshake before it.
				if n := out.writes.Load() - before; i > 0 && n != 1 {
					t.Errorf("%d writes", n)
				}
			}
			base.CloseIdleConnections() // TLS takes its leave
			send("a message")
			<-got
			before := out.bytes.Load()
			a, err := send("late")
			if !errors.Is(err, suppression.ErrExpired) || a.Written() != channels.Expired {
				t.Errorf("late: record %d, %v", a.Written(), err)
			}
			if n := out.bytes.Load() - before; n > closeNotify {
				t.Errorf("late: %d bytes went out", n)
			}
		})
	}
}

// closeNotify is more than what TLS takes leave with, and less than any head.
const closeNotify = 40

// TestHTTP2: where the head goes by itself in any case, a body that is late does
// not follow it.
func TestHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	clock := new(channeltest.Clock)
	for _, late := range []bool{false, true} {
		a := channels.NewAttempt(permit(t, clock))
		if late {
			clock.Expire()
		}
		resp, err := (&channels.GateTransport{Base: server.Client().Transport, Attempt: a}).RoundTrip(request(t, server.URL, []byte("a message")))
		if late {
			if !errors.Is(err, suppression.ErrExpired) {
				t.Errorf("late: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "a message" || resp.ProtoMajor != 2 {
			t.Errorf("%q over %s, %v", body, resp.Proto, err)
		}
		resp.Body.Close()
	}
}

// TestExpectContinue: the vendor may take its time to ask for the body, which
// then asks for itself.
func TestExpectContinue(t *testing.T) {
	clock := new(channeltest.Clock)
	got := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		clock.Expire()
		body, _ := io.ReadAll(r.Body)
		got <- len(body)
	}))
	defer server.Close()
	base := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer base.CloseIdleConnections()
	r := request(t, server.URL, []byte("a message"))
	r.Header.Set("Expect", "100-continue")
	_, err := (&channels.GateTransport{Base: base, Attempt: channels.NewAttempt(permit(t, clock))}).RoundTrip(r)
	if n := <-got; n != 0 || !errors.Is(err, suppression.ErrExpired) {
		t.Errorf("%d bytes of the body arrived, %v", n, err)
	}
}

// closed tells whether it was.
type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error {
	c.closed = true
	return nil
}

// TestBodyOfAnotherLength is found out before there is a connection, and a body
// is closed either way.
func TestBodyOfAnotherLength(t *testing.T) {
	v := startVendor(t, func(http.ResponseWriter, *http.Request, int) {})
	for body, fits := range map[string]bool{"": false, "a messag": false, "a message": true, "a message!": false} {
		a := channels.NewAttempt(permit(t, new(channeltest.Clock)))
		r := request(t, v.URL, []byte("a message"))
		c := &closed{Reader: strings.NewReader(body)}
		r.Body = c
		resp, err := (&channels.GateTransport{Attempt: a}).RoundTrip(r)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != fits || !c.closed || (a.Written() == channels.NotStarted) == fits {
			t.Errorf("%q: record %d, closed %t, %v", body, a.Written(), c.closed, err)
		}
	}
	if v.received() != 1 {
		t.Errorf("%d requests", v.received())
	}
}

// TestParcelIsHandedOverOnce, and not when the attempt has failed before.
func TestParcelIsHandedOverOnce(t *testing.T) {
	for name, c := range map[string]struct {
		stopped bool
		want    []string // what each telling that the head is there gives out
		record  channels.Written
	}{
		"told twice":    {want: []string{"a message", ""}, record: channels.Fully},
		"told too late": {stopped: true, want: []string{"", ""}, record: channels.NotStarted},
	} {
		a := channels.NewAttempt(permit(t, new(channeltest.Clock)))
		r := channels.InParcel(request(t, "http://example.com", nil), a, []byte("a message"))
		if c.stopped {
			a.Stop()
		}
		for i, want := range c.want {
			httptrace.ContextClientTrace(r.Context()).WroteHeaders()
			if body, err := io.ReadAll(r.Body); string(body) != want || err != nil {
				t.Errorf("%s, %d: %q, %v", name, i, body, err)
			}
		}
		if a.Written() != c.record {
			t.Errorf("%s: record %d", name, a.Written())
		}
	}
}

// TestOnlySmallBodiesAreParcels: of a longer one it is known how much of it was
// handed over.
func TestOnlySmallBodiesAreParcels(t *testing.T) {
	var out written
	v := startVendor(t, func(http.ResponseWriter, *http.Request, int) {})
	base := &http.Transport{DialContext: out.Dial}
	defer base.CloseIdleConnections()
	for size, want := range map[int]int64{3 << 10: 1, 3<<10 + 1: 2, 64 << 10: 2} {
		before := out.writes.Load()
		a := channels.NewAttempt(permit(t, new(channeltest.Clock)))
		resp, err := (&channels.GateTransport{Base: base, Attempt: a}).RoundTrip(request(t, v.URL, bytes.Repeat([]byte("x"), size)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := out.writes.Load() - before; min(n, 2) != want {
			t.Errorf("%d bytes: %d writes", size, n)
		}
	}
}

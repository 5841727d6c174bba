package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestServe(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := newSite(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	started, release := make(chan struct{}), make(chan struct{})
	s.server.public.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-release
		if r.Context().Err() != nil {
			t.Error("a request that was begun is cancelled with the process")
		}
		_, _ = io.WriteString(w, "done")
	})
	at, served := make(chan Addresses, 1), make(chan error, 1)
	go func() { served <- s.server.Serve(ctx, "127.0.0.1:0", "127.0.0.1:0", func(a Addresses) { at <- a }) }()
	addresses := <-at
	if got := s.server.operator.outbox.localSite(); got != "http://"+addresses.Public {
		t.Errorf("the outbox leads to %q", got)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	r, err := client.Get("http://" + addresses.Operator + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("the operator site: got %d", r.StatusCode)
	}
	body := make(chan string, 1)
	go func() {
		r, err := client.Get("http://" + addresses.Public + "/")
		if err != nil {
			body <- err.Error()
			return
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		body <- string(text)
	}()
	<-started
	stop()
	close(release)
	if got := <-body; got != "done" {
		t.Errorf("a request that was begun ended with %q", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServeSaysWhichAddressIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newSite(t, nil)
	for _, c := range []struct{ operator, public, want string }{
		{taken.Addr().String(), "127.0.0.1:0", "UTSKICK_LISTEN"}, {"127.0.0.1:0", taken.Addr().String(), "UTSKICK_PUBLIC_LISTEN"},
	} {
		err := s.server.Serve(t.Context(), c.operator, c.public, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v", err)
		}
	}
}

func TestWhereTheOutboxLeads(t *testing.T) {
	s := newSite(t, nil)
	for address, want := range map[string]string{
		"127.0.0.1:8081": "http://127.0.0.1:8081", "[::]:8081": "http://localhost:8081", "0.0.0.0:1": "http://localhost:1", "[::1]:2": "http://[::1]:2",
	} {
		s.server.operator.showPublicAt(address)
		if got := s.server.operator.outbox.localSite(); got != want {
			t.Errorf("%s: got %q", address, got)
		}
	}
}

func TestTooManyAtATime(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := limited(2, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-release }),
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	get := func() int { return ask(h, httptest.NewRequest(http.MethodGet, "/", nil)).status }
	ended := make(chan int, 2)
	for range 2 {
		go func() { ended <- get() }()
		<-entered
	}
	if got := get(); got != http.StatusServiceUnavailable {
		t.Errorf("the third: got %d", got)
	}
	close(release)
	for range 2 {
		if got := <-ended; got != http.StatusOK {
			t.Errorf("one of two: got %d", got)
		}
	}
}

func TestAPanicIsAnsweredAndLoggedWithoutItsValue(t *testing.T) {
	s := newSite(t, nil)
	s.server.operator.routes.HandleFunc("GET /panics", func(http.ResponseWriter, *http.Request) { panic("anna@example.com") })
	a := s.as(s.admin, http.MethodGet, "/panics", "")
	a.want(t, http.StatusInternalServerError)
	if log := s.log.String(); strings.Contains(log, "anna") || strings.Contains(a.body, "anna") || !strings.Contains(log, "serve_test.go") {
		t.Errorf("answer %s, log %s", a.body, log)
	}
}

func TestConfig(t *testing.T) {
	good := newSite(t, nil).server.operator.c
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no store":      {func(c *Config) { c.Store = nil }, "need a store"},
		"no errors":     {func(c *Config) { c.Conflict = nil }, "store's errors"},
		"short secret":  {func(c *Config) { c.Secret = make([]byte, 31) }, "31 bytes"},
		"a path":        {func(c *Config) { c.OperatorURL = "https://example.com/ops" }, "without a path"},
		"no scheme":     {func(c *Config) { c.OperatorURL = "example.com" }, "without a path"},
		"a credential":  {func(c *Config) { c.OperatorURL = "https://a:b@example.com" }, "without a path"},
		"another sheme": {func(c *Config) { c.OperatorURL = "ftp://example.com" }, "without a path"},
	} {
		config := good
		c.change(&config)
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A slow upload is given its time, as long as something comes.
func TestUnhurried(t *testing.T) {
	var deadlines []time.Time
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder(), set: func(d time.Time) { deadlines = append(deadlines, d) }}
	rc := http.NewResponseController(w)
	in := &unhurriedReader{strings.NewReader("abc"), rc}
	if _, err := io.ReadFull(in, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	out := &unhurriedWriter{w, rc}
	if _, err := out.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if len(deadlines) != 3 {
		t.Fatalf("%d deadlines were set", len(deadlines))
	}
	for _, d := range deadlines {
		if left := time.Until(d); left < stall-time.Second {
			t.Errorf("a deadline in %s", left)
		}
	}
	if err := rc.EnableFullDuplex(); !errors.Is(err, http.ErrNotSupported) {
		t.Error(err)
	}
}

type deadlineWriter struct {
	*httptest.ResponseRecorder
	set func(time.Time)
}

func (d *deadlineWriter) SetReadDeadline(t time.Time) error  { d.set(t); return nil }
func (d *deadlineWriter) SetWriteDeadline(t time.Time) error { d.set(t); return nil }

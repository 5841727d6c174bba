package channels

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"testing"

	"utskick/audience"
	"utskick/suppression"
)

// discard is a connection that takes everything.
type discard struct{ net.Conn }

func (discard) Write(p []byte) (int, error) { return len(p), nil }

type nobody struct{}

func (nobody) Matching(context.Context, suppression.Scope, []audience.Key) ([]suppression.Match, int64, error) {
	return nil, 0, nil
}

// TestTheFirstAllowedWriteCounts lets the clock jump at one moment of an
// attempt, and asks whether that made it late.
func TestTheFirstAllowedWriteCounts(t *testing.T) {
	const before, written, never = 0, 1, 2
	for _, secured := range []bool{false, true} {
		for jump, late := range map[int]bool{before: true, written: false, never: false} {
			var now suppression.Instant
			clock := func() suppression.Instant { return now }
			one := suppression.NewCandidate(audience.Key{1}, audience.Key{2}, true, "anna@example.com")
			verdict, err := suppression.NewGate(nobody{}, clock).Admit(t.Context(), suppression.Scope{}, []suppression.Candidate{one},
				func(context.Context) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			a := NewAttempt(verdict.Rulings[0].Permit)
			conn, err := Watch(func(context.Context, string, string) (net.Conn, error) { return discard{}, nil })(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			got := httptrace.GotConnInfo{Conn: conn}
			if secured {
				got.Conn = tls.Client(conn, &tls.Config{ServerName: "example.com"})
			}
			a.ride(got)
			step := func(moment int, do func()) {
				if moment == jump {
					now = now.Add(suppression.WaitAtMost + 1)
				}
				do()
			}
			write := func() { _, _ = conn.Write([]byte("x")) }
			write() // the head, ahead of what the permits allow
			a.mu.Lock()
			if err := a.start(); err != nil {
				t.Fatal(err)
			}
			a.mu.Unlock()
			step(before, write)
			step(written, write)
			if got := a.Late(); got != late {
				t.Errorf("a jump at %d, over TLS %v: late is %v", jump, secured, got)
			}
		}
	}
}

package channeltest

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"utskick/channels"
	"utskick/suppression"
)

// greeted is in every message of [Skeleton], and in nothing that goes before a
// message.
var greeted = []byte("Hej")

// late freezes the provider for some time between its last look at the clock
// and the write: shorter than an acknowledgement waits at most, which is no
// matter, and longer, which it must see and say.
func (s *suite) late(t *testing.T) {
	for _, c := range []struct {
		name   string
		frozen time.Duration
		want   bool
	}{
		{"not", 0, false},
		{"shortly", suppression.WaitAtMost - 1, false},
		{"for long", suppression.WaitAtMost + 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			freeze := new(freezer)
			b := s.open(t, Options{Dial: freeze.Dial})
			freeze.now = func() { b.clock.Advance(c.frozen) }
			// One message, so that no other is expired by the same freeze.
			results := b.send(t, b.addresses(1))
			if r := results[0]; r.Class != channels.Accepted || r.Late != c.want {
				t.Errorf("%+v, late should be %v", r, c.want)
			}
		})
	}
}

// freezer opens connections that freeze before they write a message.
type freezer struct{ now func() }

func (f *freezer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	return &freezing{conn, f}, err
}

type freezing struct {
	net.Conn
	freezer *freezer
}

func (f *freezing) Write(p []byte) (int, error) {
	if bytes.Contains(p, greeted) {
		f.freezer.now()
	}
	return f.Conn.Write(p)
}

package channeltest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/channels"
)

// expiry lets the window pass before the send, between any two readings of the
// clock, and while a connection is made.
func (s *suite) expiry(t *testing.T) {
	t.Run("before the send", func(t *testing.T) {
		b := s.open(t, Options{})
		addresses := b.addresses(5)
		permits := b.permits(t, addresses)
		call := b.prepare(t, addresses)
		b.clock.Expire()
		b.wantNothing(t, b.check(t, call.Send(context.Background(), permits), permits))
		b.wantNotBegun(t)
	})
	t.Run("between readings", func(t *testing.T) {
		for readings := 0; ; readings++ {
			b := s.open(t, Options{})
			addresses := b.addresses(1)
			permits := b.permits(t, addresses)
			call := b.prepare(t, addresses)
			b.clock.ExpireAfter(readings)
			results := b.check(t, call.Send(context.Background(), permits), permits)
			if results[0].Class == channels.Accepted {
				if readings < 2 {
					t.Fatalf("the permit was read %d times, so not again at the first byte", readings)
				}
				return
			}
			if results[0].Class != channels.Withheld || len(b.standIn.Received()) > 0 {
				t.Fatalf("expired after %d readings: %s, %d messages sent", readings, results[0].Class, len(b.standIn.Received()))
			}
			if readings > 20 {
				t.Fatal("nothing is ever sent")
			}
		}
	})
	if s.Local {
		return
	}
	t.Run("while connecting", func(t *testing.T) {
		var b *bench
		b = s.open(t, Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			b.clock.Expire()
			return conn, err
		}})
		addresses := b.addresses(1)
		b.wantNothing(t, b.send(t, addresses))
	})
}

func (b *bench) wantNothing(t *testing.T, results []channels.Result) {
	t.Helper()
	if diff := cmp.Diff(all(channels.Withheld, len(results)), classes(results)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if got := len(b.standIn.Received()); got != 0 {
		t.Errorf("%d messages were sent", got)
	}
}

func (b *bench) wantNotBegun(t *testing.T) {
	t.Helper()
	if got := b.standIn.Attempts(); got != 0 {
		t.Errorf("%d attempts were begun", got)
	}
}

// answers goes through the vendor's table. Each answer is to one attempt: a
// client that tries again by itself is seen as a second.
func (s *suite) answers(t *testing.T) {
	for _, c := range s.Answers {
		t.Run(c.Name, func(t *testing.T) {
			b := s.open(t, Options{})
			n := max(1, c.Rows)
			b.standIn.Script(c.Answer)
			results := b.send(t, b.addresses(n))
			for row, got := range results {
				if c.Want.ProviderID == AnyID && got.ProviderID != "" {
					got.ProviderID = AnyID
				}
				if diff := cmp.Diff(c.Want, got); diff != "" {
					t.Errorf("row %d (-want +got):\n%s", row, diff)
				}
			}
			if got := b.standIn.Attempts(); got != b.attempts(n) {
				t.Errorf("%d attempts for %d messages", got, n)
			}
		})
	}
	t.Run("in row order", s.order)
}

// order refuses every third of many recipients, and expects it at their rows.
func (s *suite) order(t *testing.T) {
	b := s.open(t, Options{})
	var refusal *Answer
	for _, c := range s.Answers {
		if c.Want.Class == channels.Refused && c.Rows < 2 {
			refusal = &c.Answer
			break
		}
	}
	if refusal == nil || b.provider.PerCall() > 1 {
		return // one answer for all rows, or none that is about one recipient
	}
	addresses := b.addresses(60)
	want := all(channels.Accepted, len(addresses))
	for row := 0; row < len(addresses); row += 3 {
		answer := *refusal
		answer.To = addresses[row]
		b.standIn.Script(answer)
		want[row] = channels.Refused
	}
	if diff := cmp.Diff(want, classes(b.send(t, addresses))); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// faults are attempts without an answer. A provider goes on working after each.
func (s *suite) faults(t *testing.T) {
	const short = time.Second // long enough for what is answered on a busy machine
	for _, c := range []struct {
		name    string
		answer  Answer
		timeout time.Duration
	}{
		{"silence after the whole message", Answer{Fault: Silence}, short},
		{"reset after the whole message", Answer{Fault: Reset}, patience},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := s.open(t, Options{Timeout: c.timeout})
			addresses := b.addresses(3)
			b.send(t, addresses[:1]) // so that the fault meets a connection that is used again
			b.standIn.Script(c.answer)
			if got := b.send(t, addresses[1:2]); got[0].Class != channels.InDoubt {
				t.Errorf("%s, want in_doubt", got[0].Class)
			}
			if got := b.send(t, addresses[2:]); got[0].Class != channels.Accepted {
				t.Errorf("afterwards: %s (%s), want accepted", got[0].Class, got[0].Reason)
			}
			if got := b.standIn.Attempts(); got != 3 {
				t.Errorf("%d attempts for 3 messages", got)
			}
		})
	}
	t.Run("connection refused", func(t *testing.T) {
		gone := s.Start(t)
		gone.Close()
		b := s.openAt(t, gone, gone.Address(), Options{})
		results := b.send(t, b.addresses(4), 2)
		want := all(channels.NotTaken, 4)
		want[2] = channels.Withheld
		if diff := cmp.Diff(want, classes(results)); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
	})
}

// stopping ends the context before a send, and in the middle of one.
func (s *suite) stopping(t *testing.T) {
	t.Run("before the send", func(t *testing.T) {
		b := s.open(t, Options{})
		addresses := b.addresses(5)
		permits := b.permits(t, addresses)
		call := b.prepare(t, addresses)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		b.wantNothing(t, b.check(t, call.Send(ctx, permits), permits))
		b.wantNotBegun(t)
	})
	if s.Local {
		return
	}
	t.Run("in the middle", func(t *testing.T) {
		b := s.open(t, Options{})
		addresses := b.addresses(90)
		permits := b.permits(t, addresses)
		call := b.prepare(t, addresses)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		b.standIn.Script(Answer{Before: cancel})
		sent := 0
		for row, r := range b.check(t, call.Send(ctx, permits), permits) {
			switch r.Class {
			case channels.Accepted:
				sent++
			case channels.Withheld:
			default:
				t.Errorf("row %d: %s (%s), though its attempt could have been waited for", row, r.Class, r.Reason)
			}
		}
		if got := len(b.standIn.Received()); got != sent || sent == 0 {
			t.Errorf("%d results say sent, %d messages were", sent, got)
		}
	})
}

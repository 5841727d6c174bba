package channeltest

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"utskick/audience"
	"utskick/suppression"
)

// Clock is a [suppression.Clock] that moves when it is told to.
type Clock struct {
	mu        sync.Mutex
	now       suppression.Instant
	countdown bool
	left      int
}

// Now is the clock's reading.
func (c *Clock) Now() suppression.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.countdown {
		if c.left == 0 {
			c.countdown = false
			c.now = c.now.Add(2 * suppression.Window)
		}
		c.left--
	}
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Expire moves the clock past the life of every permit that there is.
func (c *Clock) Expire() { c.Advance(2 * suppression.Window) }

// ExpireAfter does what Expire does, but between the given number of further
// readings and the one that follows: wherever a provider does not ask again, it
// sends on an expired permit.
func (c *Clock) ExpireAfter(readings int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.countdown, c.left = true, readings
}

// Keys returns the keys of addresses of a kind, made with a pepper for tests.
func Keys(kind audience.Kind, addresses ...string) []audience.Key {
	keyer, err := audience.NewKeyer(bytes.Repeat([]byte("pepper"), 6))
	if err != nil {
		panic(err)
	}
	keys := make([]audience.Key, len(addresses))
	for i, address := range addresses {
		keys[i] = keyer.Key(kind, address)
	}
	return keys
}

// Permits lets a real gate admit the addresses. An empty address is one that
// the gate refuses: its permit is nil.
func Permits(t testing.TB, clock *Clock, kind audience.Kind, addresses ...string) []*suppression.Permit {
	t.Helper()
	candidates := make([]suppression.Candidate, len(addresses))
	for i, key := range Keys(kind, addresses...) {
		candidates[i] = suppression.NewCandidate(key, audience.Key{}, addresses[i] != "", addresses[i])
	}
	gate := suppression.NewGate(nobodySuppressed{}, clock.Now)
	claim := func(context.Context) error { return nil }
	verdict, err := gate.Admit(context.Background(), suppression.Scope{}, candidates, claim)
	if err != nil {
		t.Fatalf("the gate failed: %v", err)
	}
	permits := make([]*suppression.Permit, len(addresses))
	for i, ruling := range verdict.Rulings {
		permits[i] = ruling.Permit
	}
	return permits
}

type nobodySuppressed struct{}

func (nobodySuppressed) Matching(context.Context, suppression.Scope, []audience.Key) ([]suppression.Match, int64, error) {
	return nil, 0, nil
}

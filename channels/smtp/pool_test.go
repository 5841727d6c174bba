package smtp

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"utskick/audience"
	"utskick/channels/channeltest"
	"utskick/channels/smtp/smtptest"
)

// TestConnectionsAreKept: a limit on connections is kept by all sends together,
// and later sends use the same connections.
func TestConnectionsAreKept(t *testing.T) {
	f := start(t, smtptest.Config{}, "connections=3", Config{})
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() { wantResults(t, f.send(t, 30), map[string]int{"accepted": 30}) })
	}
	done.Wait()
	wantResults(t, f.send(t, 30), map[string]int{"accepted": 30})
	if n := f.server.Connections(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// TestFewConnectionsForFew: a call of one message needs one connection.
func TestFewConnectionsForFew(t *testing.T) {
	f := start(t, smtptest.Config{}, "", Config{})
	wantResults(t, f.send(t, 1), map[string]int{"accepted": 1})
	if n := f.server.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestIdleConnections: one that idled is asked before it is used, and replaced
// when it is gone. No message pays for that.
func TestIdleConnections(t *testing.T) {
	for _, c := range []struct {
		name   string
		idle   time.Duration
		answer smtptest.Action
		noops  int
		conns  int
	}{
		{"in use", idleCheck - time.Second, smtptest.Action{}, 0, 1},
		{"idle", idleCheck + time.Second, smtptest.Action{}, 1, 1},
		{"gone", idleCheck + time.Second, smtptest.Action{Fault: smtptest.Reset}, 1, 2},
		{"closing", idleCheck + time.Second, smtptest.Action{Reply: "421 4.4.2 idle for too long"}, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			noops := 0
			respond := func(e smtptest.Event) smtptest.Action {
				mu.Lock()
				defer mu.Unlock()
				if e.Stage != smtptest.NOOP {
					return smtptest.Action{}
				}
				noops++
				return c.answer
			}
			f := start(t, smtptest.Config{Respond: respond}, "connections=1", Config{})
			wantResults(t, f.send(t, 1), map[string]int{"accepted": 1})
			f.advance(c.idle)
			wantResults(t, f.send(t, 1), map[string]int{"accepted": 1})
			mu.Lock()
			defer mu.Unlock()
			if noops != c.noops || f.server.Connections() != c.conns {
				t.Errorf("%d NOOPs and %d connections, want %d and %d", noops, f.server.Connections(), c.noops, c.conns)
			}
		})
	}
}

// TestRelayLimitsConnections: a relay that allows fewer connections than we may
// open is used with those, and not asked for more with every chunk.
func TestRelayLimitsConnections(t *testing.T) {
	respond := func(e smtptest.Event) smtptest.Action {
		if e.Stage == smtptest.Banner && e.Conn > 2 && e.Conn <= 10 {
			return smtptest.Action{Reply: "421 4.7.0 too many connections"}
		}
		return smtptest.Action{}
	}
	f := start(t, smtptest.Config{Respond: respond}, "connections=10", Config{})
	for range 5 {
		wantResults(t, f.send(t, 20), map[string]int{"accepted": 20})
	}
	if n := f.server.Connections(); n != 10 {
		t.Errorf("%d connections were tried, want 10", n)
	}
	f.advance(dialPause + time.Second)
	wantResults(t, f.send(t, 20), map[string]int{"accepted": 20})
	if n := f.server.Connections(); n != 18 {
		t.Errorf("%d connections were tried after a pause, want 18", n)
	}
}

// TestRelayDown: as long as a relay is down, one connection is tried for each
// chunk.
func TestRelayDown(t *testing.T) {
	f := start(t, smtptest.Config{Respond: at(smtptest.Banner, smtptest.Action{Reply: "554 closed"})}, "connections=10", Config{})
	for range 3 {
		wantResults(t, f.send(t, 20), map[string]int{"not_taken service_unavailable": 20})
	}
	if n := f.server.Connections(); n != 12 {
		t.Errorf("%d connections were tried, want 10 and then one a chunk", n)
	}
}

// TestSlowConnection: a server that takes its time over one message holds up
// that connection alone.
func TestSlowConnection(t *testing.T) {
	slow := channeltest.Addresses(audience.Email, 1)[0]
	release := make(chan struct{})
	var mu sync.Mutex
	left := 18 // the slow one, and the one whose envelope went with it, wait
	respond := func(e smtptest.Event) smtptest.Action {
		if e.Stage != smtptest.End {
			return smtptest.Action{}
		}
		if e.To == slow {
			<-release
			return smtptest.Action{}
		}
		mu.Lock()
		defer mu.Unlock()
		if left--; left == 0 {
			close(release)
		}
		return smtptest.Action{}
	}
	f := start(t, smtptest.Config{Respond: respond}, "connections=2", Config{})
	wantResults(t, f.send(t, 20), map[string]int{"accepted": 20})
}

// TestWaitingEndsWithTheWindow: a send that gets no connection while its permits
// live returns what it has not begun as withheld.
func TestWaitingEndsWithTheWindow(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	respond := func(e smtptest.Event) smtptest.Action {
		if e.Stage == smtptest.End && e.To == "mottagare.0@example.com" {
			close(entered)
			<-release
		}
		return smtptest.Action{}
	}
	f := start(t, smtptest.Config{Respond: respond}, "connections=1", Config{})
	addresses := channeltest.Addresses(audience.Email, 4)
	skeleton := channeltest.Skeleton(audience.Email)
	waiting, err := f.Prepare(context.Background(), f.draft(skeleton, addresses[2:]))
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { wantResults(t, f.sendTo(t, skeleton, addresses[0]), map[string]int{"accepted": 1}) })
	<-entered
	permits := channeltest.Permits(t, f.clock, audience.KindEmail, addresses[2:]...)
	f.clock.Advance(permits[0].Remaining() - time.Millisecond)
	results := waiting.Send(context.Background(), permits)
	close(release)
	done.Wait()
	wantResults(t, results, map[string]int{"withheld expired": 2})
}

// TestCancelledWithoutConnection: rows that no connection was free for are not begun.
func TestCancelledWithoutConnection(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	respond := func(e smtptest.Event) smtptest.Action {
		if e.Stage == smtptest.End {
			cancel()
			<-release
		}
		return smtptest.Action{}
	}
	f := start(t, smtptest.Config{Respond: respond}, "connections=1", Config{})
	addresses := channeltest.Addresses(audience.Email, 3)
	skeleton := channeltest.Skeleton(audience.Email)
	waiting, err := f.Prepare(context.Background(), f.draft(skeleton, addresses[1:]))
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { wantResults(t, f.sendTo(t, skeleton, addresses[0]), map[string]int{"accepted": 1}) })
	<-ctx.Done() // the only connection is in use
	results := waiting.Send(ctx, channeltest.Permits(t, f.clock, audience.KindEmail, addresses[1:]...))
	close(release)
	done.Wait()
	wantResults(t, results, map[string]int{"withheld stopped": 2})
}

// TestClose takes leave of the relay, and nothing is sent afterwards.
func TestClose(t *testing.T) {
	f := start(t, smtptest.Config{}, "connections=2", Config{})
	wantResults(t, f.send(t, 10), map[string]int{"accepted": 10})
	call, err := f.Prepare(context.Background(), f.draft(channeltest.Skeleton(audience.Email), channeltest.Addresses(audience.Email, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(f.server.Raw()), "QUIT\r\n"); n != 2 {
		t.Errorf("%d QUITs, want 2", n)
	}
	results := call.Send(context.Background(), channeltest.Permits(t, f.clock, audience.KindEmail, channeltest.Addresses(audience.Email, 1)...))
	wantResults(t, append(results, f.send(t, 1)...), map[string]int{"not_taken connection_failed": 2})
}

package dispatcher

import (
	"testing"
	"time"

	"utskick/channels"
	"utskick/suppression"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestBreakerOpensWhenMostChunksFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		chunks []health
		opens  bool
	}{
		{"one failure", []health{bad}, false},
		{"two failures", []health{bad, bad}, true},
		{"one of two", []health{good, bad}, false},
		{"two of three", []health{bad, good, bad}, true},
		{"two of four", []health{good, good, bad, bad}, false},
		{"three of the last five", []health{good, good, good, good, good, bad, bad, bad}, true},
		{"two of the last five", []health{bad, good, good, good, good, bad}, false},
		{"one, and one that was not asked", []health{bad, unknown}, false},
	} {
		var b breaker
		for _, h := range c.chunks {
			b.note(h, noon)
		}
		if wait, _ := b.enter(noon); (wait > 0) != c.opens {
			t.Errorf("%s: wait %v", c.name, wait)
		}
	}
}

// opened is a breaker that has just opened, and how long for.
func opened(t *testing.T) (*breaker, time.Duration) {
	t.Helper()
	b := &breaker{}
	b.note(bad, noon)
	d, _ := b.note(bad, noon)
	if d < firstOpening/2 || d > firstOpening {
		t.Fatalf("open for %v", d)
	}
	return b, d
}

func TestHalfOpenLetsOneCanaryThrough(t *testing.T) {
	b, d := opened(t)
	later := noon.Add(d)
	if wait, _ := b.enter(later.Add(-1)); wait != 1 {
		t.Errorf("open for %v more", wait)
	}
	wait, leave := b.enter(later)
	if wait != 0 || b.bound(1000) != canaryChunk || b.bound(3) != 3 {
		t.Errorf("the canary waits %v and has %d", wait, b.bound(1000))
	}
	if wait, _ := b.enter(later); wait != canaryTakes {
		t.Errorf("a second canary waits %v", wait)
	}
	if b.allows(canaryChunk+1, later) || !b.allows(canaryChunk, later) || b.allows(1, noon) {
		t.Error("a chunk that was prepared before is sent whole, or while it is open")
	}
	leave() // the claim was not to be had: nothing is known, and another tries
	if wait, _ := b.enter(later); wait != 0 {
		t.Errorf("the next canary waits %v", wait)
	}
}

func TestCanaryDecides(t *testing.T) {
	b, d := opened(t)
	at := noon.Add(d)
	if again, closed := b.note(good, noon); again > 0 || closed {
		t.Error("a straggler decided")
	}
	for want := 2 * firstOpening; want <= 4*longestOpening; want *= 2 {
		_, leave := b.enter(at)
		again, _ := b.note(bad, at)
		leave()
		if limit := min(want, longestOpening); again < limit/2 || again > limit {
			t.Fatalf("open again for %v, not %v", again, limit)
		}
		at = at.Add(again)
	}
	_, leave := b.enter(at)
	if _, closed := b.note(good, at); !closed {
		t.Error("still open")
	}
	leave()
	if b.bound(1000) != 1000 || !b.allows(1000, at) {
		t.Error("closed, and small chunks still")
	}
	if d, _ := b.note(bad, at); d > 0 {
		t.Error("opened by one failure after it had closed")
	}
}

func TestHealthOfAChunk(t *testing.T) {
	taken, network := channels.Result{Class: channels.Accepted}, channels.Result{Class: channels.NotTaken, Reason: channels.ReasonNetwork}
	doubt := channels.Result{Class: channels.InDoubt}
	greylisted := channels.Result{Class: channels.NotTaken, Reason: channels.ReasonGreylisted}
	for _, c := range []struct {
		name    string
		results []channels.Result
		want    health
	}{
		{"nobody asked", []channels.Result{{}}, unknown},
		{"taken", []channels.Result{taken}, good},
		{"half", []channels.Result{taken, network}, good},
		{"most not taken, or in doubt", []channels.Result{taken, network, doubt}, bad},
		{"throttled", []channels.Result{{Class: channels.NotTaken, Reason: channels.ReasonThrottled}}, bad},
		{"recipients' servers say later", []channels.Result{greylisted, greylisted}, good},
		{"refused, in whatever way", []channels.Result{{Class: channels.Refused}, {Class: channels.Rejected}, {Class: channels.Hold}}, good},
	} {
		permits := make([]*suppression.Permit, len(c.results))
		for i := range permits {
			permits[i] = &suppression.Permit{}
		}
		if got := healthOf(permits, c.results); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if got := healthOf([]*suppression.Permit{nil}, []channels.Result{network}); got != unknown {
		t.Errorf("withheld by the gate: %v", got)
	}
}

func TestWhosePauseIsEverybodys(t *testing.T) {
	for reason, want := range map[string]time.Duration{
		channels.ReasonThrottled: time.Minute, channels.ReasonServerError: time.Minute, channels.ReasonGreylisted: 0, "queue_full": 0,
	} {
		results := []channels.Result{{Class: channels.Accepted}, {Class: channels.NotTaken, Reason: reason, Pause: time.Minute}}
		if got := quietFor(results); got != want {
			t.Errorf("%s: %v", reason, got)
		}
	}
}

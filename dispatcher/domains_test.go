package dispatcher_test

import (
	"context"
	"testing"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
)

// slowly is a worker over four members, of whom the second and the fourth are at
// a domain that takes ten a second.
func slowly(t *testing.T, slots int) (*dispatcher.Worker, *ledger, *limiter) {
	t.Helper()
	w, l, _ := worker(t, 0, 1000)
	for i, at := range []string{"a@example.com", "b@example.org", "c@example.com", "d@example.org"} {
		k := key(byte(i + 1))
		l.members = append(l.members, dispatcher.Member{Key: k, Candidate: suppression.NewCandidate(k, key(byte(100+i)), true, at), Recipient: templates.Recipient{Key: k}})
	}
	limit := &limiter{most: []int{1}}
	c := w.Config
	c.Domains, c.DomainSlots = map[string]dispatcher.DomainLimit{"example.org": {Limiter: limit, PerSecond: 10}, "example.net": {Limiter: limit, PerSecond: 10}}, slots
	return dispatcher.NewWorker(c), l, limit
}

func TestMembersOfASlowDomainAreSetAside(t *testing.T) {
	w, l, limit := slowly(t, 1)
	l.members[3].Gone = true // has no address any more, and so no domain
	if err := dispatch(t, w); err != nil {
		t.Fatal(err)
	}
	s := l.settled[0]
	if len(s.Moves) != 1 || s.Moves[0].Domain != "example.org" || len(s.Moves[0].Keys) != 1 || s.Moves[0].Keys[0] != key(2) || !s.Moves[0].RetryAt.Equal(now) {
		t.Errorf("moves: %+v", s.Moves)
	}
	if len(s.Exceptions) != 1 || s.Exceptions[0].Cause != dispatcher.CauseAddressChanged || s.Members != 4 || len(limit.asked) != 0 {
		t.Errorf("%+v, asked %v", s, limit.asked)
	}
}

// TestADomainTakesTurns has a second batch rung for while one is being sent: of
// the same domain, or of another when there is one slot.
func TestADomainTakesTurns(t *testing.T) {
	for _, c := range []struct {
		domain    string
		slots     int
		postponed bool
	}{{"example.org", 2, true}, {"example.net", 1, true}, {"example.net", 2, false}, {"", 1, false}} {
		w, l, limit := slowly(t, c.slots)
		l.batch.Domain = "example.org"
		limit.waiting = func() {
			limit.most = []int{1000}
			ref := dispatcher.BatchRef{ID: 1, Fence: l.batch.Fence, Channel: audience.SMS}
			l.batch.Domain = c.domain
			if err := w.Dispatch(context.Background(), ref); err != nil {
				t.Error(err)
			}
			l.claimErr = dispatcher.ErrNotClaimed // the other one has settled it, in this fake
		}
		if err := dispatch(t, w); err != nil {
			t.Fatal(err)
		}
		if got := count(l, "postpone") == 1; got != c.postponed {
			t.Errorf("%+v: %v", c, l.steps)
		}
		if c.postponed && l.retryAt.Sub(now) < time.Second {
			t.Errorf("%+v: again after %v", c, l.retryAt.Sub(now))
		}
	}
}

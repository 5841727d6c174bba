package storagetest

import (
	"errors"
	"fmt"
	"testing"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/tracking"
)

func historyTells(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 100)
	e.must(e.Claim(e.ctx(), c))
	s := settlementOf(b, c, ks)
	s.Version, s.ProviderID = 42, "call-1"
	s.Exceptions = []dispatcher.Exception{{Key: e.email(address(1)), Code: dispatcher.Suppressed, Cause: "objected"}}
	if _, err := e.Settle(e.ctx(), s); err != nil {
		t.Fatal(err)
	}
	e.must(e.AppendEvent(e.ctx(), tracking.Event{Type: tracking.Opens, At: e.Now, Group: b.Group, Key: e.email(address(0)), Dedupe: "o"}))
	for i, want := range []string{"sent", "suppressed objected"} {
		got, err := e.History(e.ctx(), fmt.Sprintf("c%d", i))
		e.must(err)
		if len(got) != 1 {
			t.Fatalf("contact %d: %d communications", i, len(got))
		}
		h := got[0]
		outcome := h.Outcome
		if h.Cause != "" {
			outcome += " " + h.Cause
		}
		if outcome != want || h.SuppressionVersion != 42 || h.Campaign != campaign || h.ProviderID != []string{"call-1", ""}[i] || !h.At.Equal(e.Now) {
			t.Errorf("contact %d: %+v", i, h)
		}
		if len(h.Events) != 1-i {
			t.Errorf("contact %d: events %+v", i, h.Events)
		}
	}
	if _, err := e.KeyOfMessage(e.ctx(), "call-1"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the id of a call to many names somebody: %v", err)
	}
}

func messagesKeepTheirIDs(t *testing.T, e *Env) {
	b := e.started(3)[0]
	c, ks := e.claimOf(b, 2)
	e.must(e.Claim(e.ctx(), c))
	s := settlementOf(b, c, ks)
	s.Messages = []dispatcher.Message{{Key: ks[0], ProviderID: "id 0"}, {Key: ks[1], ProviderID: "id-1"}}
	if _, err := e.Settle(e.ctx(), s); err != nil {
		t.Fatal(err)
	}
	b, err := e.Batch(e.ctx(), b.ID)
	e.must(err)
	c, rest := e.claimOf(b, 1)
	e.must(e.Claim(e.ctx(), c))
	claims, err := e.CallingBatches(e.ctx())
	e.must(err)
	e.must(e.Sweep(e.ctx(), claims[0]))
	e.must(e.Evidence(e.ctx(), b.Group, []dispatcher.Message{{Key: rest[0], ProviderID: "id-2"}}))
	want := map[audience.Key]string{ks[0]: "id 0", ks[1]: "id-1", rest[0]: "id-2"}
	for i := range 3 {
		got, err := e.History(e.ctx(), fmt.Sprintf("c%d", i))
		e.must(err)
		if k := e.email(address(i)); len(got) != 1 || got[0].Outcome != "sent" || got[0].ProviderID != want[k] {
			t.Errorf("contact %d: %+v, want the id %q", i, got, want[k])
		}
	}
	for k, id := range want {
		if got, err := e.KeyOfMessage(e.ctx(), id); err != nil || got != k {
			t.Errorf("%q is found as %s, %v", id, got.Short(), err)
		}
	}
	for _, id := range []string{"id", "d-1", "0", "", ks[0].String(), "id-3"} {
		if _, err := e.KeyOfMessage(e.ctx(), id); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

package storagetest

import (
	"errors"
	"testing"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/storage"
)

// heldChannel has a provider that refuses all that we send, until an operator
// has mended that.
func heldChannel(t *testing.T, e *Env) {
	rung := e.started(30)
	p := &poisoned{class: channels.Hold, sent: map[audience.Key]int{}}
	w := e.worker(p, nil)
	for _, b := range append(rung, rung...) { // the second time it is an old ring
		e.must(w.Dispatch(e.ctx(), dispatcher.BatchRef{ID: b.ID, Fence: b.Fence, Channel: b.Channel}))
		b, err := e.Batch(e.ctx(), b.ID)
		e.must(err)
		e.must(w.Dispatch(e.ctx(), b.BatchRef))
	}
	held, err := e.ChannelHolds(e.ctx())
	e.must(err)
	if len(held) != 1 || held[0].Channel != audience.Email || held[0].Reason != "poisoned answered bad_request" || p.calls != 1 {
		t.Errorf("after %d calls held: %+v", p.calls, held)
	}
	e.must(e.HoldChannel(e.ctx(), audience.Email, "another reason"))
	e.Now = e.Now.Add(time.Minute)
	if b := e.batches(audience.Email); len(b) > 0 {
		t.Errorf("%d batches of it are rung for", len(b))
	}
	e.ends(dispatcher.Sending)
	if r := e.report(audience.Email); r.Pending != 30 || r.Held != held[0].Reason {
		t.Errorf("%+v", r)
	}

	p.poison = map[audience.Key]bool{}
	e.must(e.HoldChannel(e.ctx(), audience.SMS, "which is none of this one's"))
	e.must(e.ReleaseChannel(e.ctx(), audience.Email))
	if err := e.ReleaseChannel(e.ctx(), audience.Email); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("released twice: %v", err)
	}
	for _, b := range e.batches(audience.Email) { // at once
		e.must(w.Dispatch(e.ctx(), b.BatchRef))
	}
	if r := e.report(audience.Email); r.Sent != 30 || r.Held != "" {
		t.Errorf("after the release: %+v", r)
	}
}

// cancelledWhileHeld closes a run that cannot be sent.
func cancelledWhileHeld(t *testing.T, e *Env) {
	e.started(30)
	e.must(e.HoldChannel(e.ctx(), audience.Email, "bad_credentials"))
	_, err := e.Cancel(e.ctx(), campaign)
	e.must(err)
	e.dispatchAll(&poisoned{})
	e.ends(dispatcher.Cancelled)
	if r := e.report(audience.Email); r.Skipped != 30 || r.Held != "" {
		t.Errorf("%+v", r)
	}
}

package storagetest

import (
	"errors"
	"testing"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
)

// doubtful starts a run of n, and loses the worker that has claimed the first of
// them. It returns their group and keys.
func (e *Env) doubtful(n, claimed int) (group int64, ks []audience.Key) {
	e.t.Helper()
	b := e.started(n)[0]
	c, ks := e.claimOf(b, claimed)
	e.must(e.Claim(e.ctx(), c))
	claims, err := e.CallingBatches(e.ctx())
	e.must(err)
	e.must(e.Sweep(e.ctx(), claims[0]))
	return b.Group, ks
}

// finishes sends to everybody who is pending, and returns how many those were.
func (e *Env) finishes() (sent int) {
	e.t.Helper()
	e.Now = e.Now.Add(time.Minute)
	for _, b := range e.batches(audience.Email) {
		c, ks := e.claimOf(b, 1000)
		e.must(e.Claim(e.ctx(), c))
		_, err := e.Settle(e.ctx(), settlementOf(b, c, ks))
		e.must(err)
		sent += len(ks)
	}
	e.ends(dispatcher.Finished)
	return sent
}

func writingOff(t *testing.T, e *Env) {
	group, ks := e.doubtful(20, 5)
	e.must(e.Evidence(e.ctx(), group, []dispatcher.Message{{Key: ks[0]}}))
	for _, want := range []int64{4, 0} {
		if _, n, err := e.WriteOff(e.ctx(), campaign); err != nil || n != want {
			t.Errorf("wrote off %d, %v; want %d", n, err, want)
		}
	}
	e.must(e.Evidence(e.ctx(), group, []dispatcher.Message{{Key: ks[1]}}))
	if sent := e.finishes(); sent != 15 {
		t.Errorf("%d were sent to, want those who were not in doubt", sent)
	}
	if r := e.report(audience.Email); r.Failed != 4 || r.Causes["failed"]["written_off"] != 4 || r.Sent != 16 || r.InDoubt != 0 || r.Resent != 0 {
		t.Errorf("%+v", r)
	}
}

func resending(t *testing.T, e *Env) {
	group, ks := e.doubtful(20, 5)
	e.finishes()
	e.Now = e.Now.Add(100 * time.Hour) // long after send_by
	run, n, err := e.Resend(e.ctx(), campaign)
	if err != nil || n != 5 || run.State != dispatcher.Sending || run.SendBy.Sub(e.Now) != dispatcher.DefaultSendBy {
		t.Fatalf("%d, %v, %+v", n, err, run)
	}
	if r := e.report(audience.Email); r.Pending != 5 || r.InDoubt != 0 || r.Sent != 15 || r.Resent != 0 {
		t.Errorf("after the operator's word: %+v", r)
	}
	if _, n, err := e.Resend(e.ctx(), campaign); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
	e.must(e.Evidence(e.ctx(), group, []dispatcher.Message{{Key: ks[0]}}))
	if sent := e.finishes(); sent != 5 {
		t.Errorf("%d were sent to", sent)
	}
	if r := e.report(audience.Email); r.Sent != 20 || r.Resent != 5 || r.InDoubt != 0 {
		t.Errorf("in the end: %+v", r)
	}
}

func resendingToNobody(t *testing.T, e *Env) {
	if _, _, err := e.Resend(e.ctx(), campaign); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("no run: %v", err)
	}
	e.doubtful(20, 5)
	_, err := e.Cancel(e.ctx(), campaign)
	e.must(err)
	if _, n, err := e.Resend(e.ctx(), campaign); !errors.Is(err, storage.ErrConflict) || n != 0 {
		t.Errorf("of a cancelled run: %d, %v", n, err)
	}
	if r := e.report(audience.Email); r.InDoubt != 5 {
		t.Errorf("%+v", r)
	}
	if _, n, err := e.WriteOff(e.ctx(), campaign); err != nil || n != 5 {
		t.Errorf("wrote off %d, %v", n, err)
	}
}

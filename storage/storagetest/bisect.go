package storagetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/tracking"
)

// poisoned is a provider of large calls that refuses each call with a poisonous
// recipient in it, as a whole.
type poisoned struct {
	class  channels.Class
	poison map[audience.Key]bool // nil: everybody
	calls  int
	sent   map[audience.Key]int
}

func (p *poisoned) Name() string              { return "poisoned" }
func (p *poisoned) Channel() audience.Channel { return audience.Email }
func (p *poisoned) PerCall() int              { return dispatcher.BatchSize }
func (p *poisoned) Close() error              { return nil }

func (p *poisoned) Prepare(_ context.Context, d channels.Draft) (channels.Call, error) {
	return poisonedCall{p, d.Keys}, nil
}

type poisonedCall struct {
	*poisoned
	keys []audience.Key
}

func (c poisonedCall) Send(_ context.Context, permits []*suppression.Permit) []channels.Result {
	c.poisoned.calls++
	answer := channels.Result{Class: channels.Accepted, ProviderID: "id"}
	for _, k := range c.keys {
		if c.poison == nil || c.poison[k] {
			answer = channels.Result{Class: c.class, Reason: "bad_request"}
		}
	}
	if answer.Class == channels.Accepted {
		for _, k := range c.keys {
			c.sent[k]++
		}
	}
	return channels.Fill(permits, answer)
}

// dispatchAll lets a worker do all that is rung, for as long as it takes.
func (e *Env) dispatchAll(p channels.Provider) {
	e.t.Helper()
	w := e.worker(p, nil)
	for idle := 0; idle < 3; idle++ {
		for _, b := range e.batches(p.Channel()) {
			idle = 0
			e.must(w.Dispatch(e.ctx(), b.BatchRef))
		}
		e.Now = e.Now.Add(time.Minute) // whoever was rung for is rung for again
	}
	_, err := e.FinishRuns(e.ctx())
	e.must(err)
}

// worker makes a worker over the store, with limits for mail domains.
func (e *Env) worker(p channels.Provider, domains map[string]dispatcher.DomainLimit) *dispatcher.Worker {
	e.t.Helper()
	signer, err := tracking.NewSigner(make([]byte, 32))
	e.must(err)
	return dispatcher.NewWorker(dispatcher.Config{Domains: domains, Ledger: e.Store, Library: e.Store, Gate: suppression.NewGate(e.Store, suppression.SystemClock),
		Suppressor: suppression.NewRegister(e.Store, suppression.SystemClock), Providers: map[audience.Channel]channels.Provider{p.Channel(): p},
		Signer: signer, PublicURL: "https://utskick.exempelbolaget.test", Owner: "test", Now: func() time.Time { return e.Now }, Log: slog.New(slog.DiscardHandler)})
}

// bisected sends to a batch with poisonous members, and returns how many calls
// that took.
func (e *Env) bisected(class channels.Class, poison ...int) (calls int, r dispatcher.ChannelReport) {
	e.t.Helper()
	b := e.started(dispatcher.BatchSize)[0]
	_, ks := e.claimOf(b, dispatcher.BatchSize)
	p := &poisoned{class: class, poison: map[audience.Key]bool{}, sent: map[audience.Key]int{}}
	for _, i := range poison {
		p.poison[ks[i]] = true
	}
	e.dispatchAll(p)
	for k, n := range p.sent {
		if n != 1 || p.poison[k] {
			e.t.Errorf("somebody was sent to %d times", n)
		}
	}
	e.ends(dispatcher.Finished)
	r = e.report(audience.Email)
	if r.Sent != int64(len(ks)-len(poison)) || r.Failed != int64(len(poison)) || len(p.sent) != int(r.Sent) {
		e.t.Errorf("%+v; %d were sent to", r, len(p.sent))
	}
	return p.calls, r
}

func poisonOfOne(t *testing.T, e *Env) {
	if calls, r := e.bisected(channels.Rejected, 417); calls > 21 || r.Causes["failed"]["refused"] != 1 {
		t.Errorf("%d calls, %+v", calls, r)
	}
}

func poisonInEachHalf(t *testing.T, e *Env) {
	if calls, _ := e.bisected(channels.Rejected, 3, 996); calls > 41 {
		t.Errorf("%d calls", calls)
	}
}

func tooLarge(t *testing.T, e *Env) {
	if calls, r := e.bisected(channels.TooLarge, 999); calls > 21 || r.Causes["failed"]["too_large"] != 1 {
		t.Errorf("%d calls, %+v", calls, r)
	}
}

func refusedThroughout(t *testing.T, e *Env) {
	e.started(dispatcher.BatchSize)
	p := &poisoned{class: channels.Rejected, sent: map[audience.Key]int{}}
	e.dispatchAll(p)
	if got := e.report(audience.Email); got.Failed != 0 || got.Pending != dispatcher.BatchSize || p.calls != 1+2+4+8 {
		t.Errorf("%+v after %d calls", got, p.calls)
	}
	e.ends(dispatcher.Paused)
	_, err := e.Resume(e.ctx(), campaign)
	e.must(err)
	p.poison = map[audience.Key]bool{}
	e.dispatchAll(p)
	if got := e.report(audience.Email); got.Sent != dispatcher.BatchSize {
		t.Errorf("after the cause was mended: %+v", got)
	}
}

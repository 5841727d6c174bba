package storagetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/suppression"
)

// noted is a provider that takes everything and notes when.
type noted struct {
	*poisoned
	env *Env
	at  map[audience.Key]time.Time
}

func (n *noted) Prepare(_ context.Context, d channels.Draft) (channels.Call, error) {
	return notedCall{n, d.Keys}, nil
}

type notedCall struct {
	*noted
	keys []audience.Key
}

func (c notedCall) Send(_ context.Context, permits []*suppression.Permit) []channels.Result {
	for i, k := range c.keys {
		if _, twice := c.at[k]; twice {
			c.env.t.Errorf("somebody was sent to twice")
		}
		if permits[i] != nil {
			c.at[k] = c.env.Now
		}
	}
	return channels.Fill(permits, channels.Result{Class: channels.Accepted})
}

// few lets a few messages go at once, and counts those it was asked for.
type few struct{ most, asked int }

func (f *few) Most() int { return f.most }
func (f *few) Wait(_ context.Context, n int) error {
	f.asked += n
	if n > f.most {
		return dispatcher.ErrNotNow
	}
	return nil
}
func (f *few) Begin(context.Context, int, time.Duration) error { return nil }
func (f *few) Pause(context.Context, time.Duration)            {}
func (f *few) Paused() time.Duration                           { return 0 }

// domainsHaveLanes sends to 200 people, half of them at a domain that takes two
// a second.
func domainsHaveLanes(t *testing.T, e *Env) {
	slow := map[audience.Key]bool{}
	var people []audience.Contact
	for i := range 200 {
		a := fmt.Sprintf("c%d@example.com", i)
		if i%2 == 0 {
			a = fmt.Sprintf("c%d@example.org", i)
			slow[e.email(a)] = true
		}
		people = append(people, contact(fmt.Sprintf("c%d", i), a))
	}
	e.save(people...)
	e.library(audience.Email)
	e.launch()
	e.plan()
	p := &noted{&poisoned{}, e, map[audience.Key]time.Time{}}
	limit := &few{most: 5}
	w := e.worker(p, map[string]dispatcher.DomainLimit{"example.org": {Limiter: limit, PerSecond: 2}})
	began := e.Now
	for range 70 {
		for _, b := range e.batches(audience.Email) {
			e.must(w.Dispatch(e.ctx(), b.BatchRef))
		}
		e.Now = e.Now.Add(time.Second)
	}
	// The slow come in batches of ten seconds, one after the other, and one
	// second apart.
	after := map[time.Duration]int{}
	for k, at := range p.at {
		switch d := at.Sub(began); {
		case slow[k]:
			after[d.Truncate(11*time.Second)]++
		case d > 0:
			t.Errorf("somebody at another domain waited %v", d)
		}
	}
	for i := range 5 {
		if n := after[time.Duration(i)*11*time.Second]; n != 20 {
			t.Errorf("batch %d: %d at the slow domain; all: %v", i, n, after)
		}
	}
	if len(p.at) != 200 || limit.asked != 100 {
		t.Errorf("%d were sent to, the limit was asked for %d", len(p.at), limit.asked)
	}
	_, err := e.FinishRuns(e.ctx())
	e.must(err)
	e.ends(dispatcher.Finished)
	if r := e.report(audience.Email); r.Sent != 200 {
		t.Errorf("%+v", r)
	}
	e.clean("afterwards")
}

package storagetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/tracking"
)

// told is an event as a provider tells it.
func (e *Env) told(t tracking.EventType, group int64, k audience.Key) tracking.Event {
	return tracking.Event{Type: t, At: e.Now, Group: group, Key: k, Dedupe: fmt.Sprintf("told-%s-%d-%s", t, group, k)}
}

func (e *Env) append(events ...tracking.Event) {
	e.t.Helper()
	e.must(e.AppendEvents(e.ctx(), events))
}

// leavesInDoubt are the roads on which members come to be in doubt: each puts the
// first five of a batch there.
func (e *Env) leavesInDoubt(road string, b dispatcher.Batch, c dispatcher.Claim, ks []audience.Key) {
	e.t.Helper()
	switch road {
	case "settled", "settled with moves":
		s := settlementOf(b, c, ks)
		for _, k := range ks[:5] {
			s.Exceptions = append(s.Exceptions, dispatcher.Exception{Key: k, Code: dispatcher.InDoubt, Cause: dispatcher.CauseServer})
		}
		if road == "settled with moves" {
			s.Moves = []dispatcher.Move{{Keys: ks[5:7], RetryAt: e.Now}}
		}
		_, err := e.Settle(e.ctx(), s)
		e.must(err)
	case "swept":
		claims, err := e.CallingBatches(e.ctx())
		e.must(err)
		e.must(e.Sweep(e.ctx(), claims[0]))
	}
}

var roads = []string{"settled", "settled with moves", "swept"}

// evidenceFirst: what came before the outcome is not lost.
func evidenceFirst(t *testing.T, engine Engine) {
	for _, road := range roads {
		t.Run(road, func(t *testing.T) {
			e := Open(t, engine)
			b := e.started(20)[0]
			n := 10
			if road == "swept" {
				n = 5
			}
			c, ks := e.claimOf(b, n)
			e.must(e.Claim(e.ctx(), c))
			e.append(e.told(tracking.Processed, b.Group, ks[0]), e.told(tracking.Delivered, b.Group, ks[1]),
				e.told(tracking.Dropped, b.Group, ks[2]), e.told(tracking.Foreign("sendgrid", "new"), b.Group, ks[3]))
			e.leavesInDoubt(road, b, c, ks)
			r := e.report(audience.Email)
			if r.InDoubt != 2 || r.Resolved != 3 || r.Causes["failed"]["dropped"] != 1 {
				t.Errorf("%+v", r)
			}
			e.sound()
		})
	}
}

// sound asks the auditor.
func (e *Env) sound() {
	e.t.Helper()
	found, err := e.Breaches(e.ctx())
	e.must(err)
	for _, b := range found {
		if b.Count != 0 {
			e.t.Errorf("%s: %d", b.Name, b.Count)
		}
	}
}

// evidenceLater: what comes later counts, in whichever order and however often.
func evidenceLater(t *testing.T, engine Engine) {
	for _, road := range roads {
		t.Run(road, func(t *testing.T) {
			e := Open(t, engine)
			b := e.started(20)[0]
			n := 10
			if road == "swept" {
				n = 5
			}
			c, ks := e.claimOf(b, n)
			e.must(e.Claim(e.ctx(), c))
			e.leavesInDoubt(road, b, c, ks)
			if r := e.report(audience.Email); r.InDoubt != 5 || r.Resolved != 0 {
				t.Fatalf("%+v", r)
			}
			events := []tracking.Event{
				e.told(tracking.Processed, b.Group, ks[0]), e.told(tracking.Delivered, b.Group, ks[0]),
				e.told(tracking.Bounced, b.Group, ks[1]), e.told(tracking.Processed, b.Group, ks[1]),
				e.told(tracking.Dropped, b.Group, ks[2]),
				e.told(tracking.Dropped, b.Group, ks[3]), e.told(tracking.Complained, b.Group, ks[3]),
				e.told(tracking.Delivered, 999_999, ks[4]),
			}
			var all []tracking.Event
			for range 46 {
				all = append(all, events...)
			}
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			e.appendAtOnce(all)
			r := e.report(audience.Email)
			if r.InDoubt != 1 || r.Resolved != 4 || r.Failed != 1 || r.Causes["failed"]["dropped"] != 1 {
				t.Errorf("%+v", r)
			}
			if r.Delivered != 1 || r.Bounced != 1 || r.Complained != 1 || r.Events["processed"] != 2 || r.Events["dropped"] != 2 {
				t.Errorf("counted more than once, or not: %+v", r)
			}
			e.sound()
		})
	}
}

// appendAtOnce appends parts of the events side by side.
func (e *Env) appendAtOnce(events []tracking.Event) {
	var wg sync.WaitGroup
	for part := range slices.Chunk(events, 9) {
		wg.Go(func() {
			if err := e.AppendEvents(e.ctx(), part); err != nil {
				e.t.Error(err)
			}
		})
	}
	wg.Wait()
}

// evidenceMeanwhile: an event and the settlement of its message are written at the
// same moment. Whichever is first, nobody stays in doubt.
func evidenceMeanwhile(t *testing.T, e *Env) {
	const rounds = 300
	b := e.started(rounds + 10)[0]
	for range rounds {
		c, ks := e.claimOf(b, 1)
		e.must(e.Claim(e.ctx(), c))
		s := settlementOf(b, c, ks)
		s.Exceptions = []dispatcher.Exception{{Key: ks[0], Code: dispatcher.InDoubt, Cause: dispatcher.CauseNoAnswer}}
		start := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			<-start
			if _, err := e.Settle(e.ctx(), s); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			<-start
			e.append(e.told(tracking.Processed, b.Group, ks[0]), e.told(tracking.Delivered, b.Group, ks[0]))
		})
		close(start)
		wg.Wait()
		b.Fence, b.Last = b.Fence+1, ks[0]
	}
	if r := e.report(audience.Email); r.InDoubt != 0 || r.Sent != rounds || r.Resolved != rounds {
		t.Errorf("%d are in doubt, %d sent, %d resolved", r.InDoubt, r.Sent, r.Resolved)
	}
	e.sound()
}

// doubtIsFinal: 72 hours after the claim nobody is asked any more, and evidence
// that comes by itself still counts.
func doubtIsFinal(t *testing.T, e *Env) {
	group, ks := e.doubtful(20, 5)
	if r := e.report(audience.Email); r.InDoubtFinal != 0 {
		t.Errorf("at once: %+v", r)
	}
	e.Now = e.Now.Add(dispatcher.LookUpFor)
	if r := e.report(audience.Email); r.InDoubt != 5 || r.InDoubtFinal != 5 {
		t.Errorf("after 72 hours: %+v", r)
	}
	e.append(e.told(tracking.Delivered, group, ks[0]))
	if r := e.report(audience.Email); r.InDoubt != 4 || r.InDoubtFinal != 4 || r.Resolved != 1 {
		t.Errorf("evidence later: %+v", r)
	}
}

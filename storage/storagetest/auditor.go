package storagetest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
)

// breaches returns the figures of the auditor that are not zero.
func (e *Env) breaches() map[string]int64 {
	e.t.Helper()
	all, err := e.Breaches(e.ctx())
	e.must(err)
	found := map[string]int64{}
	for _, b := range all {
		if b.Count != 0 {
			found[b.Name] = b.Count
		}
	}
	if len(all) < 6 {
		e.t.Errorf("only %d questions", len(all))
	}
	return found
}

// clean fails the test when the auditor finds anything.
func (e *Env) clean(when string) {
	e.t.Helper()
	if found := e.breaches(); len(found) > 0 {
		e.t.Errorf("%s: the auditor finds %v", when, found)
	}
}

// auditing plants sends to people who had objected, in a run that is right
// otherwise.
func auditing(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 12)
	e.clean("when planned")
	e.must(e.Claim(e.ctx(), c))
	e.clean("when claimed")
	s := settlementOf(b, c, ks)
	s.Version = 0 // nobody has objected yet
	s.Exceptions = []dispatcher.Exception{{Key: ks[0], Code: dispatcher.Suppressed, Cause: dispatcher.Cause(suppression.Objected)},
		{Key: ks[1], Code: dispatcher.InDoubt, Cause: dispatcher.CauseNoAnswer}}
	s.Moves = []dispatcher.Move{{Keys: ks[2:4], RetryAt: e.Now}}
	_, err := e.Settle(e.ctx(), s)
	e.must(err)
	e.clean("when a part is settled")
	e.must1(e.Record(e.ctx(), objection(ks[5])))
	e.clean("when somebody objects after she was sent to")

	b, err = e.Batch(e.ctx(), b.ID)
	e.must(err)
	c, ks = e.claimOf(b, 100)
	single := objection(ks[0])
	single.Person = false
	e.must1(e.Record(e.ctx(), single))
	single.Entry.Key = e.contactOf(ks[1])
	e.must1(e.Record(e.ctx(), single))
	elsewhere := objection(ks[2])
	elsewhere.Person, elsewhere.Entry.Channel = false, string(audience.SMS)
	e.must1(e.Record(e.ctx(), elsewhere))
	e.must(e.Claim(e.ctx(), c))
	s = settlementOf(b, c, ks)
	s.Version = 0 // it was checked before it was claimed
	_, err = e.Settle(e.ctx(), s)
	e.must(err)
	e.must(e.LateStarts(e.ctx(), c.Batch, c.Fence+1, 3))
	want := map[string]int64{"late_starts": 3, "sent_after_objection": 1, "sent_after_objection_of_contact": 1, "checked_before_claim": 1}
	if diff := cmp.Diff(want, e.breaches()); diff != "" {
		t.Error(diff)
	}
}

// auditingChanges: what people say after they were sent to against their word, and
// what is lifted then, hides nothing of it.
func auditingChanges(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 6)
	for _, k := range ks[:5] {
		single := objection(k)
		single.Person = false
		e.must1(e.Record(e.ctx(), single))
	}
	e.lifted(ks[3]) // in time
	e.must(e.Claim(e.ctx(), c))
	s := settlementOf(b, c, ks)
	_, version, err := e.Matching(e.ctx(), marketing, ks)
	e.must(err)
	s.Version = version // what it knew, and did not heed
	s.Exceptions = []dispatcher.Exception{{Key: ks[4], Code: dispatcher.Suppressed, Cause: dispatcher.Cause(suppression.Unsubscribed)}}
	_, err = e.Settle(e.ctx(), s)
	e.must(err)
	want := map[string]int64{"sent_after_objection": 3}
	for _, when := range []func(){func() {}, func() { e.must1(e.Record(e.ctx(), objection(ks[1]))) }, func() { e.lifted(ks[2]) }} {
		when()
		if diff := cmp.Diff(want, e.breaches()); diff != "" {
			t.Error(diff)
		}
	}
}

// auditingLost: the worker was lost, and its provider tells that one of those in
// doubt has the message, who had objected before the claim.
func auditingLost(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 6)
	single := objection(ks[1])
	single.Person = false
	e.must1(e.Record(e.ctx(), single))
	e.must(e.Claim(e.ctx(), c))
	claims, err := e.CallingBatches(e.ctx())
	e.must(err)
	e.must(e.Sweep(e.ctx(), claims[0]))
	e.clean("in doubt")
	e.must(e.Evidence(e.ctx(), b.Group, []dispatcher.Message{{Key: ks[0]}, {Key: ks[1]}}))
	if diff := cmp.Diff(map[string]int64{"sent_after_objection": 1}, e.breaches()); diff != "" {
		t.Error(diff)
	}
}

func (e *Env) lifted(k audience.Key) {
	e.t.Helper()
	single := objection(k)
	single.Person, single.Entry.Active = false, false
	e.must1(e.Record(e.ctx(), single))
}

// contactOf returns the key of the contact who has one of the suite's addresses.
func (e *Env) contactOf(k audience.Key) audience.Key {
	for i := 0; ; i++ {
		if e.email(address(i)) == k {
			return e.Keyer.Key(audience.KindContact, fmt.Sprintf("c%d", i))
		}
	}
}

package storagetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/suppression"
	"utskick/tracking"
)

// subscriber is somebody who was sent a newsletter, opened it, answered and had a
// case before the retailer named her.
func (r *restored) subscriber(address string) (made audience.Contact) {
	r.t.Helper()
	r.confirm(address, "newsletter", false)
	all, err := r.Contacts(r.ctx(), 0, 100)
	r.must(err)
	made = all[len(all)-1]
	group := r.mailed()
	k, own := r.email(address), r.Keyer.Key(audience.KindContact, made.ExternalID)
	for _, mark := range []string{"one", "two"} {
		r.must(r.AppendEvent(r.ctx(), tracking.Event{Type: tracking.Clicks, At: r.Now, Group: group, Key: k, Link: 1, Dedupe: mark}))
	}
	reply := suppression.Reply{ID: "reply", At: r.Now, Channel: audience.Email, Key: k, Meaning: suppression.Unclear, Address: address, Text: "ord-i-svaret"}
	r.answer(reply)
	r.choose(address, "offer", suppression.StopKind, suppression.NoOpenTracking)
	r.must(r.Audit(r.ctx(), "desk", "person.show", own.Short(), "uppgift"))
	c := rights.Case{Kind: rights.CaseAccess, Way: "mail", Contact: made.ExternalID, Key: own, External: "akt-7"}
	r.must(c.Open(r.Now, "desk"))
	r.must(c.Write("anteckning", "desk", r.Now))
	_, err = r.OpenCase(r.ctx(), c)
	r.must(err)
	return made
}

// shellsAreHers: what was sent to a subscriber is in the export of the customer
// that she became, and goes with her.
func shellsAreHers(t *testing.T, r *restored) {
	const address = "a@example.com"
	made := r.subscriber(address)
	before, err := r.Report(r.ctx(), campaign)
	r.must(err)
	r.Now = r.Now.Add(time.Hour)
	r.save(withPhone("hers", address, number(60)))
	r.Now = r.Now.Add(time.Hour)
	r.save(withPhone("shares", address, number(61))) // is somebody else
	x := rights.Exporter{Source: r.Store, Now: func() time.Time { return r.Now }}
	for id, want := range map[string]int{"hers": 1, "shares": 0} {
		export, err := x.Make(r.ctx(), id, "")
		r.must(err)
		if len(export.Communications) != want || len(export.Data["members"]) != want || len(export.Data["inbound"]) != want || len(export.Data["cases"]) != want {
			t.Fatalf("the export of %s has %d messages, %+v", id, len(export.Communications), export.Data)
		}
		if want == 1 && (len(export.Communications[0].Events) != 2 || len(export.Data["contacts"]) != 2 || len(export.Data["subscriptions"]) != 1) {
			t.Errorf("%+v", export)
		}
	}
	r.erase(rights.Asked{ExternalID: "shares"})
	if _, err := r.Contact(r.ctx(), made.ExternalID); err != nil {
		t.Errorf("the erasure of one has taken what is the other's: %v", err)
	}
	if done := r.erase(rights.Asked{ExternalID: "hers"}); done.Messages != 1 {
		t.Errorf("%d messages were cut loose", done.Messages)
	}
	r.unbroken()
	after, err := r.Report(r.ctx(), campaign)
	r.must(err)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the report (-before +after):\n%s", diff)
	}
	left, own := r.everything("suppressions", "suppression_changes"), r.Keyer.Key(audience.KindContact, made.ExternalID)
	for _, trace := range []string{address, r.email(address).String(), own.String(), own.Short(), made.ExternalID, "ord-i-svaret", "akt-7", "anteckning", "contacts."} {
		if at := strings.Index(left, trace); at >= 0 {
			t.Errorf("left: %.80s", left[strings.LastIndexByte(left[:at], '\n')+1:])
		}
	}
}

// shellsAreWaitedFor: a run that has the subscriber has the customer.
func shellsAreWaitedFor(t *testing.T, r *restored) {
	const address = "a@example.com"
	r.confirm(address, "newsletter", false)
	r.library(audience.Email)
	r.launch()
	r.plan()
	r.save(contact("hers", address))
	e := r.eraser()
	asked, err := e.Ask(r.ctx(), rights.Asked{ExternalID: "hers", Case: "7"})
	r.must(err)
	if now, err := e.Finish(r.ctx(), asked); err != nil || now.Done() || !slices.Contains(now.Waits, campaign) {
		t.Fatalf("%+v, %v", now, err)
	}
	_, err = r.Cancel(r.ctx(), campaign)
	r.must(err)
	for _, b := range r.batches(audience.Email) {
		r.must(r.CloseRest(r.ctx(), b, dispatcher.Skipped, dispatcher.CauseCancelled))
	}
	_, err = r.FinishRuns(r.ctx())
	r.must(err)
	if now, err := e.Finish(r.ctx(), asked); err != nil || !now.Done() || now.Messages != 1 {
		t.Errorf("%+v, %v", now, err)
	}
	if n, err := r.CountContacts(r.ctx()); err != nil || n != 0 {
		t.Errorf("%d contacts are left, %v", n, err)
	}
	r.unbroken()
}

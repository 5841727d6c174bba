package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
	"utskick/templates"
)

const forSubscribers = "exempelbolaget"

// subscribers makes the topic of the campaign one for subscribers.
func (e *Env) subscribers() {
	e.t.Helper()
	s, err := e.SenderByName(e.ctx(), forSubscribers)
	e.must(err)
	s.Topics, s.Subscriptions = map[string]templates.Label{"newsletter": {Swedish: "Nyhetsbrev"}}, []string{"newsletter"}
	e.must(e.SaveSender(e.ctx(), s))
}

func asking(address, topic string) suppression.Asking {
	return suppression.Asking{Address: address, Sender: forSubscribers, Topic: topic, Locale: "sv-SE", Source: "https://www.exempelbolaget.test/", Notice: "2026-01"}
}

// ask asks for a confirmation, and returns it as a worker finds it.
func (e *Env) ask(address, topic string) dispatcher.DueConfirmation {
	e.t.Helper()
	e.must(e.AskConfirmation(e.ctx(), asking(address, topic)))
	return e.sent()
}

// sent claims and sends the mail that is due.
func (e *Env) sent() dispatcher.DueConfirmation {
	e.t.Helper()
	due, err := e.NextConfirmation(e.ctx())
	e.must(err)
	if due.ID != 0 {
		e.must(e.ClaimConfirmation(e.ctx(), due, "1 sv"))
		e.must(e.SettleConfirmation(e.ctx(), due, dispatcher.ConfirmationOutcome{Code: dispatcher.Sent}))
	}
	return due
}

// confirm asks and confirms.
func (e *Env) confirm(address, topic string, wider bool) suppression.Confirmation {
	e.t.Helper()
	due := e.ask(address, topic)
	c, err := e.Confirm(e.ctx(), suppression.Confirmed{ID: due.ID, Key: due.Key, Wider: wider, Evidence: "test"})
	e.must(err)
	return c
}

// confirmed uses a link.
func (e *Env) confirmed(by suppression.Confirmed) {
	e.t.Helper()
	_, err := e.Confirm(e.ctx(), by)
	e.must(err)
}

func (e *Env) recordAll(wishes []suppression.Wish) {
	e.t.Helper()
	_, err := e.RecordAll(e.ctx(), wishes)
	e.must(err)
}

// ruled says by what the gate rules over each member of the campaign's run.
func (e *Env) ruled(ch audience.Channel) map[audience.Key]suppression.Cause {
	e.t.Helper()
	got := map[audience.Key]suppression.Cause{}
	gate := suppression.NewGate(e.Store, suppression.SystemClock)
	for _, b := range e.batches(ch) {
		members, err := e.membersOf(b, 100)
		e.must(err)
		for _, m := range members {
			if m.Gone {
				continue
			}
			scope := suppression.Scope{Channel: b.Channel, Topic: b.Topic, Sender: b.Sender, Purpose: suppression.Marketing}
			v, err := gate.Admit(e.ctx(), scope, []suppression.Candidate{m.Candidate}, func(context.Context) error { return nil })
			e.must(err)
			got[m.Key] = v.Rulings[0].Cause
		}
	}
	return got
}

// subscribersAlone: neither a consent nor soft opt-in will do, and a subscription
// is to one topic of one sender, by e-mail.
func subscribersAlone(t *testing.T, e *Env) {
	for i, id := range []string{"consent", "subscribed", "other-topic", "other-sender", "all", "asked", "left"} {
		c := contact(id, id+"@example.com")
		c.Phone = number(i)
		e.save(c)
	}
	e.library(audience.Email, audience.SMS)
	e.subscribers()
	e.confirm("subscribed@example.com", "newsletter", false)
	e.confirm("new@example.com", "newsletter", false)
	e.confirm("other-topic@example.com", "offer", false)
	e.confirm("all@example.com", suppression.Any, false)
	other := asking("other-sender@example.com", "newsletter")
	other.Sender = "exempelbanken"
	e.must(e.AskConfirmation(e.ctx(), other))
	due := e.sent()
	e.confirmed(suppression.Confirmed{ID: due.ID, Key: due.Key})
	e.ask("asked@example.com", "newsletter")
	e.confirm("left@example.com", "newsletter", false)
	left := suppression.Chooser{Key: e.email("left@example.com"), Topic: "newsletter", At: e.Now}
	e.recordAll(left.Wishes([]suppression.Choice{suppression.StopKind}))
	e.launch()
	e.plan()
	want := map[audience.Key]suppression.Cause{}
	for id, cause := range map[string]suppression.Cause{"consent": suppression.NoBasis, "subscribed": "", "new": "", "other-topic": suppression.NoBasis,
		"other-sender": suppression.NoBasis, "all": suppression.NoBasis, "asked": suppression.NoBasis, "left": suppression.Unsubscribed} {
		want[e.email(id+"@example.com")] = cause
	}
	if diff := cmp.Diff(want, e.ruled(audience.Email)); diff != "" {
		t.Errorf("a topic for subscribers (-want +got):\n%s", diff)
	}
	for k, cause := range e.ruled(audience.SMS) {
		if cause == "" {
			t.Errorf("%s is sent an SMS for a subscription by e-mail", k.Short())
		}
	}
	// The same people, once the topic is for everybody.
	s, err := e.SenderByName(e.ctx(), forSubscribers)
	e.must(err)
	s.Subscriptions = nil
	e.must(e.SaveSender(e.ctx(), s))
	for id := range map[string]bool{"consent": true, "other-topic": true, "other-sender": true, "all": true, "asked": true} {
		want[e.email(id+"@example.com")] = ""
	}
	e.Now = e.Now.Add(time.Hour)
	if diff := cmp.Diff(want, e.ruled(audience.Email)); diff != "" {
		t.Errorf("a topic for everybody (-want +got):\n%s", diff)
	}
}

func confirmationsAreFew(t *testing.T, e *Env) {
	mails := func() (n int) {
		for e.sent().ID != 0 {
			n++
		}
		return n
	}
	for range 10 {
		e.must(e.AskConfirmation(e.ctx(), asking("a@example.com", "newsletter")))
	}
	e.must(e.AskConfirmation(e.ctx(), asking("b@example.com", "newsletter")))
	if n := mails(); n != suppression.MostConfirmations+1 {
		t.Errorf("%d mails", n)
	}
	e.Now = e.Now.Add(23 * time.Hour)
	e.must(e.AskConfirmation(e.ctx(), asking("a@example.com", "offer")))
	if n := mails(); n != 0 {
		t.Errorf("%d mails within the day, by another topic", n)
	}
	e.Now = e.Now.Add(time.Hour + time.Second)
	e.must(e.AskConfirmation(e.ctx(), asking("a@example.com", "newsletter")))
	if n := mails(); n != 1 {
		t.Errorf("%d mails on the next day", n)
	}
	e.must(e.AskReturn(e.ctx(), e.email("nobody@example.com"), asking("", suppression.Any)))
	if n := mails(); n != 0 {
		t.Errorf("%d mails to nobody", n)
	}
}

// askedAtOnce: a form that is sent twice, or by two at the same moment, costs
// nobody her mail.
func askedAtOnce(t *testing.T, e *Env) {
	const addresses = 10
	var all sync.WaitGroup
	for range suppression.MostConfirmations {
		for i := range addresses {
			all.Go(func() {
				if err := e.AskConfirmation(e.ctx(), asking(address(i), "newsletter")); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	mails := map[audience.Key]int{}
	for due := e.sent(); due.ID != 0; due = e.sent() {
		mails[due.Key]++
	}
	for i := range addresses {
		if n := mails[e.email(address(i))]; n != suppression.MostConfirmations {
			t.Errorf("%d mails to an address that asked %d times", n, suppression.MostConfirmations)
		}
	}
}

func confirmationsOnce(t *testing.T, e *Env) {
	next := func() dispatcher.DueConfirmation {
		t.Helper()
		due, err := e.NextConfirmation(e.ctx())
		e.must(err)
		return due
	}
	none := func(what string) {
		t.Helper()
		if due := next(); due.ID != 0 {
			t.Errorf("%s: %d is due", what, due.ID)
		}
	}
	settle := func(due dispatcher.DueConfirmation, o dispatcher.ConfirmationOutcome) {
		t.Helper()
		e.must(e.SettleConfirmation(e.ctx(), due, o))
	}
	claim := func(due dispatcher.DueConfirmation) error { return e.ClaimConfirmation(e.ctx(), due, "1 sv") }
	e.must(e.AskConfirmation(e.ctx(), asking("a@example.com", "newsletter")))
	due, other := next(), next()
	e.must(claim(due))
	if err := claim(other); !errors.Is(err, dispatcher.ErrNotClaimed) {
		t.Errorf("claimed twice: %v", err)
	}
	// The other got no answer to its claim, and puts back what may be its own.
	settle(other, dispatcher.ConfirmationOutcome{Code: dispatcher.Pending, Reason: "check_failed"})
	none("while it is sent")
	settle(due, dispatcher.ConfirmationOutcome{Code: dispatcher.Pending, Reason: "throttled", RetryAt: e.Now.Add(time.Minute)})
	none("when it has to wait")
	e.Now = e.Now.Add(time.Minute)
	due = next()
	e.must(claim(due))
	settle(due, dispatcher.ConfirmationOutcome{Code: dispatcher.InDoubt, Reason: "timeout"})
	settle(due, dispatcher.ConfirmationOutcome{Code: dispatcher.Pending})
	none("in doubt")
	if claim(due) == nil {
		t.Error("what is in doubt is claimed again")
	}
	// A worker that is lost, and comes back.
	e.must(e.AskConfirmation(e.ctx(), asking("a@example.com", "newsletter")))
	due = next()
	e.must(claim(due))
	e.Now = e.Now.Add(11 * time.Minute)
	e.must(e.TidyConfirmations(e.ctx()))
	settle(due, dispatcher.ConfirmationOutcome{Code: dispatcher.Pending})
	none("lost")
	// One that waited too long, and one on a channel that is held.
	e.must(e.AskConfirmation(e.ctx(), asking("b@example.com", "newsletter")))
	due = next()
	e.must(e.HoldChannel(e.ctx(), audience.Email, "test"))
	if err := claim(due); !errors.Is(err, dispatcher.ErrNotClaimed) {
		t.Errorf("claimed while held: %v", err)
	}
	e.must(e.ReleaseChannel(e.ctx(), audience.Email))
	e.Now = e.Now.Add(suppression.ConfirmationWaits + time.Second)
	if err := claim(due); !errors.Is(err, dispatcher.ErrNotClaimed) {
		t.Errorf("claimed too late: %v", err)
	}
	e.must(e.TidyConfirmations(e.ctx()))
	none("too late")
}

// confirmationInTheLost: a mail that waited when the backup was made may have
// been sent since. Whoever asks after that gets one.
func confirmationInTheLost(t *testing.T, r *restored) {
	r.library(audience.Email)
	r.subscribers()
	r.must(r.AskConfirmation(r.ctx(), asking("a@example.com", "newsletter")))
	r.isHeld(r.Store, "")
	goBack := r.backUp()
	r.Now = r.Now.Add(time.Second)
	r.isHeld(r.Store, "")
	r.must1(r.Record(r.ctx(), objection(r.email(address(1)))))
	goBack()
	r.isHeld(r.Store, "suppressions went back")
	r.Now = r.Now.Add(time.Second)
	r.must(r.AskConfirmation(r.ctx(), asking("b@example.com", "newsletter")))
	r.release(r.Store)
	r.isHeld(r.Store, "")
	due, err := r.NextConfirmation(r.ctx())
	r.must(err)
	if due.Key != r.email("b@example.com") {
		t.Errorf("due is %+v", due)
	}
}

func confirmingOnce(t *testing.T, e *Env) {
	due := e.ask("a@example.com", "newsletter")
	use := func(id int64, k audience.Key) (suppression.Confirmation, error) {
		return e.Confirm(e.ctx(), suppression.Confirmed{ID: id, Key: k, Evidence: "test"})
	}
	if _, err := use(due.ID, e.email("b@example.com")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("of another address: %v", err)
	}
	c, err := use(due.ID, due.Key)
	e.must(err)
	if c.Before || c.ConfirmedAt.IsZero() {
		t.Errorf("%+v", c)
	}
	want := []suppression.Subscription{{Sender: forSubscribers, Topic: "newsletter", AskedAt: e.Now, ConfirmedAt: e.Now,
		Source: "https://www.exempelbolaget.test/", Evidence: "test", Notice: "2026-01", Wording: "1 sv"}}
	got, err := e.Subscriptions(e.ctx(), due.Key)
	e.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the proof (-want +got):\n%s", diff)
	}
	// She leaves, and opens the old mail again.
	left := suppression.Chooser{Key: due.Key, Topic: "newsletter", At: e.Now}
	e.recordAll(left.Wishes([]suppression.Choice{suppression.StopKind}))
	if c, err = use(due.ID, due.Key); err != nil || !c.Before || len(e.blocked(marketing, due.Key)) != 1 {
		t.Errorf("a used link has lifted what she said after it: %+v, %v", c, err)
	}
	late := e.ask("a@example.com", "newsletter")
	e.Now = e.Now.Add(suppression.ConfirmWithin)
	for range 2 {
		if _, err := use(late.ID, late.Key); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("after 7 days: %v", err)
		}
		if _, err := e.Confirmation(e.ctx(), late.ID, late.Key); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("after 7 days: %v", err)
		}
		e.must(e.TidyConfirmations(e.ctx()))
	}
	if c, err := e.Confirmation(e.ctx(), due.ID, due.Key); err != nil || c.ConfirmedAt.IsZero() {
		t.Errorf("the record of what was confirmed is gone: %+v, %v", c, err)
	}
}

// standing lists the active entries of a key.
func (e *Env) standing(k audience.Key) (all []string) {
	e.t.Helper()
	entries, err := e.Entries(e.ctx(), []audience.Key{k})
	e.must(err)
	for _, x := range entries {
		if x.Active {
			from := ""
			if x.Sender != suppression.Any {
				from = " from " + x.Sender
			}
			all = append(all, fmt.Sprintf("%s %s %s %s%s", x.Channel, x.Topic, x.Purpose, x.Cause, from))
		}
	}
	slices.Sort(all)
	return all
}

func (e *Env) wantStanding(what, address string, want ...string) {
	e.t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, e.standing(e.email(address))); diff != "" {
		e.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (e *Env) choose(address, topic string, choices ...suppression.Choice) {
	e.t.Helper()
	by := suppression.Chooser{Key: e.email(address), Topic: topic, At: e.Now}
	e.recordAll(by.Wishes(choices))
}

func subscribingLifts(t *testing.T, e *Env) {
	e.library(audience.Email)
	e.save(contact("a", "a@example.com"))
	own := e.Keyer.Key(audience.KindContact, "a")
	e.choose("a@example.com", "newsletter", suppression.StopKind)
	e.choose("a@example.com", "offer", suppression.StopKind)
	e.must1(e.Record(e.ctx(), suppression.Provider(e.email("a@example.com"), audience.Email, suppression.Bounced, "test")))
	if c := e.confirm("a@example.com", "newsletter", false); c.Wider {
		t.Error("nothing wider stands")
	}
	others := []string{"* offer marketing unsubscribed", "email * * bounced", "email newsletter marketing unsubscribed from +", "phone newsletter marketing unsubscribed", "post newsletter marketing unsubscribed",
		"push newsletter marketing unsubscribed", "sms newsletter marketing unsubscribed"}
	e.wantStanding("subscribed", "a@example.com", others...)
	if cause := e.blocked(marketing, own)[own]; cause != "" {
		t.Errorf("the contact's own key is left: %s", cause)
	}
	e.choose("a@example.com", "newsletter", suppression.StopEmail)
	complaint := suppression.Provider(e.email("a@example.com"), audience.Email, suppression.Complained, "test")
	e.must1(e.Record(e.ctx(), complaint))
	if c := e.confirm("a@example.com", "newsletter", false); !c.Wider {
		t.Error("it does not say that a wider wish stands")
	}
	e.wantStanding("subscribed beside a wider wish", "a@example.com", append(others, "email * marketing unsubscribed", "email * * complained")...)
	due := e.ask("a@example.com", "newsletter")
	c, err := e.Confirmation(e.ctx(), due.ID, due.Key)
	if e.must(err); !c.Wider {
		t.Error("the page would not say that a wider wish stands")
	}
	e.confirmed(suppression.Confirmed{ID: due.ID, Key: due.Key, Wider: true})
	others = append(others, "email * marketing complained from +", "email * marketing unsubscribed from +")
	for _, p := range suppression.Purposes[1:] {
		others = append(others, fmt.Sprintf("email * %s complained", p))
	}
	e.wantStanding("subscribed, with the wider wishes lifted", "a@example.com", others...)
}

// returning: whoever has the address by now says nothing for who had it before.
func returning(t *testing.T, e *Env) {
	e.library(audience.Email)
	before := contact("before", "a@example.com")
	e.save(before)
	e.choose("a@example.com", "offer", suppression.StopEverything, suppression.StopKind)
	before.Email = "before@example.com"
	now := contact("now", "a@example.com")
	now.Basis, now.BasisEvidence = audience.NoBasis, ""
	e.save(before, now)
	e.choose("a@example.com", "", suppression.StopMarketing)
	e.must(e.AskReturn(e.ctx(), e.email("a@example.com"), asking("", suppression.Any)))
	due := e.sent()
	if due.Key != e.email("a@example.com") || due.Topic != suppression.Any {
		t.Fatalf("asked of %+v", due)
	}
	e.confirmed(suppression.Confirmed{ID: due.ID, Key: due.Key})
	own := e.Keyer.Key(audience.KindContact, "now")
	if got := e.blocked(marketing, own, due.Key); len(got) != 0 {
		t.Errorf("she is still blocked: %v", got)
	}
	if stands := e.standing(e.Keyer.Key(audience.KindContact, "before")); !slices.Contains(stands, "* * marketing objected") {
		t.Errorf("who had the address before has objected, and of that is left %v", stands)
	}
	for _, stays := range []string{"sms * marketing objected", "* offer marketing unsubscribed", "* * profiling objected"} {
		if !slices.Contains(e.standing(due.Key), stays) {
			t.Errorf("%s is gone: %v", stays, e.standing(due.Key))
		}
	}
	e.launch()
	e.plan()
	ruled := e.ruled(audience.Email)
	if cause, there := ruled[due.Key]; !there || cause != "" {
		t.Errorf("what she has confirmed is no basis: %v", ruled)
	}
	// A message to an address that she has no more leads to the one that she has.
	now.Email = "later@example.com"
	e.save(now)
	e.must(e.AskReturn(e.ctx(), due.Key, asking("", suppression.Any)))
	if again := e.sent(); again.Key != e.email("later@example.com") {
		t.Errorf("asked of %s", again.Key.Short())
	}
}

// yielding: the contact that the retailer names stands for the address, with its
// basis, and the subscription holds for it.
func yielding(t *testing.T, e *Env) {
	e.library(audience.Email)
	e.subscribers()
	e.confirm("a@example.com", "newsletter", false)
	made, err := e.Contacts(e.ctx(), 0, 10)
	e.must(err)
	if len(made) != 1 || made[0].Email != "a@example.com" || made[0].Basis != audience.NoBasis || made[0].Locale != "sv-SE" {
		t.Fatalf("made: %+v", made)
	}
	e.save(contact("a", "a@example.com"))
	if made, err = e.Contacts(e.ctx(), 0, 10); err != nil || len(made) != 2 || made[0].Email != "" || made[1].Email != "a@example.com" {
		t.Errorf("%+v, %v", made, err)
	}
	e.save(made[1])
	e.confirm("a@example.com", "newsletter", false)
	if made, err = e.Contacts(e.ctx(), 0, 10); err != nil || len(made) != 2 {
		t.Errorf("%+v, %v", made, err)
	}
	e.launch()
	e.plan()
	if cause, there := e.ruled(audience.Email)[e.email("a@example.com")]; !there || cause != "" {
		t.Errorf("the subscription is not hers: %q", cause)
	}
}

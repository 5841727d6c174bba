package storagetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/storage"
	"utskick/suppression"
	"utskick/templates"
)

func (e *Env) phone(n string) audience.Key { return e.Keyer.Key(audience.KindPhone, n) }

func (e *Env) reply(id, from string, m suppression.Meaning) suppression.Reply {
	return suppression.Reply{ID: id, At: e.Now, Channel: audience.SMS, Key: e.phone(from), To: []string{"", "+46701740699"}, Meaning: m}
}

func (e *Env) answer(r suppression.Reply) []suppression.InFlight {
	e.t.Helper()
	claims, err := e.TakeReply(e.ctx(), r)
	e.must(err)
	return claims
}

var bySMS = suppression.Scope{Channel: audience.SMS, Topic: "newsletter", Sender: "exempelbolaget", Purpose: suppression.Marketing}

// withNumbers saves a person who had another number before.
func (e *Env) withNumbers() (now, before, contactKey audience.Key) {
	e.t.Helper()
	c := contact("a", "a@example.com")
	for _, n := range []string{"+46701740605", "+46701740606"} {
		c.Phone = n
		e.save(c)
	}
	return e.phone("+46701740606"), e.phone("+46701740605"), e.Keyer.Key(audience.KindContact, "a")
}

func repliesStopAndStart(t *testing.T, e *Env) {
	now, before, own := e.withNumbers()
	stop := e.reply("twilio-1", "+46701740606", suppression.SaysStop)
	for range 46 {
		e.answer(stop)
	}
	want := map[audience.Key]suppression.Cause{now: suppression.Stopped, before: suppression.Stopped, own: suppression.Stopped}
	if diff := cmp.Diff(want, e.blocked(bySMS, now, before, own)); diff != "" {
		t.Errorf("after a stop (-want +got):\n%s", diff)
	}
	if len(e.blocked(marketing, own, e.email("a@example.com"))) != 0 {
		t.Error("a stop by SMS holds for mail")
	}
	if v := e.indexVersion(); v != 4 { // two numbers, the mail address and the contact
		t.Errorf("the index is at %d after one change of four keys", v)
	}
	e.must1(e.Record(e.ctx(), suppression.Provider(now, audience.SMS, suppression.Stopped, "twilio: 21610")))
	e.must1(e.Record(e.ctx(), suppression.Provider(now, audience.SMS, suppression.Invalid, "twilio: 30005")))
	everywhere := suppression.Provider(before, "", suppression.Stopped, "former system")
	everywhere.Entry.Channel = suppression.Any
	everywhere.Person = false
	e.must1(e.Record(e.ctx(), everywhere))
	e.answer(stop) // told again, much later
	start := e.reply("twilio-2", "+46701740606", suppression.SaysStart)
	e.answer(start)
	want = map[audience.Key]suppression.Cause{now: suppression.Invalid, before: suppression.Stopped}
	if diff := cmp.Diff(want, e.blocked(bySMS, now, before, own)); diff != "" {
		t.Errorf("a start lifted too much, or not enough (-want +got):\n%s", diff)
	}
	e.answer(stop)
	if diff := cmp.Diff(want, e.blocked(bySMS, now, before, own)); diff != "" {
		t.Errorf("the stop from before counted again (-want +got):\n%s", diff)
	}
	e.answer(e.reply("twilio-3", "+46701740606", suppression.SaysStop))
	e.answer(start)
	if e.blocked(bySMS, own)[own] != suppression.Stopped {
		t.Error("the start from before counted again")
	}
	e.answer(e.reply("twilio-4", "+46701740690", suppression.SaysStop))
	if len(e.blocked(bySMS, e.phone("+46701740690"))) != 1 {
		t.Error("whom nobody knows cannot object")
	}
}

// repliesWait: as with notices.
func repliesWait(t *testing.T, e *Env) {
	b := e.texts(3)
	c, ks := e.claimOf(b, 3)
	e.must(e.Claim(e.ctx(), c))
	stop := e.reply("twilio-1", number(0), suppression.SaysStop)
	stop.Key = ks[0]
	for range 2 {
		if got := e.answer(stop); len(got) == 0 || got[0].Batch != b.ID {
			t.Errorf("%v", got)
		}
	}
}

func repliesUnclear(t *testing.T, e *Env) {
	e.withNumbers()
	e.must(e.SaveSender(e.ctx(), templates.Sender{Name: "exempelbolaget", SMSSender: "+46701740699"}))
	r := e.reply("twilio-1", "+46701740605", suppression.Unclear)
	r.Address, r.Text = "+46701740605", "När slutar ni?"
	e.answer(r)
	e.answer(r)
	e.answer(e.reply("twilio-2", "+46701740605", suppression.SaysStop))
	open, err := e.Inbound(e.ctx(), true, 0, 10)
	e.must(err)
	want := []suppression.Inbound{{ID: open[0].ID, At: e.Now, Channel: audience.SMS, Key: r.Key, Contact: "a", Sender: "exempelbolaget",
		Meaning: suppression.Unclear, Address: r.Address, Text: r.Text, Open: true}}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	e.Now = e.Now.Add(time.Hour)
	e.must(e.CloseInbound(e.ctx(), open[0].ID, "service"))
	e.must(e.CloseInbound(e.ctx(), open[0].ID, "another"))
	want[0].Open, want[0].Address, want[0].Text, want[0].HandledAt, want[0].HandledBy = false, "", "", e.Now, "service"
	done, err := e.Inbound(e.ctx(), false, 0, 1)
	e.must(err)
	if diff := cmp.Diff(want, done); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if more, err := e.Inbound(e.ctx(), false, done[0].ID, 10); err != nil || len(more) != 1 || more[0].Meaning != suppression.SaysStop {
		t.Errorf("%+v, %v", more, err)
	}
	if err := e.CloseInbound(e.ctx(), 999, "service"); !errorIs(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

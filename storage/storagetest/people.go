package storagetest

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/storage"
	"utskick/suppression"
)

// found writes what a search has found as "external id kind now", in order.
func (e *Env) found(ks ...audience.Key) (lines []string) {
	e.t.Helper()
	all, err := e.FindPeople(e.ctx(), ks)
	e.must(err)
	for _, f := range all {
		if f.ID == 0 || f.FirstSeen.IsZero() {
			e.t.Errorf("%+v", f)
		}
		lines = append(lines, fmt.Sprintf("%s %s %v", f.ExternalID, f.Kind, f.Current))
	}
	return lines
}

func peopleAreFound(t *testing.T, e *Env) {
	now, before, own := e.withNumbers()
	b := contact("b", "a@example.com") // they share a mailbox
	b.FirstName, b.Devices = "Bo", []audience.Device{{Token: "tok"}}
	e.save(b)
	push := e.Keyer.Key(audience.KindPush, "tok")
	for _, c := range []struct {
		k    audience.Key
		want []string
	}{
		{now, []string{"a phone true"}},
		{before, []string{"a phone false"}},
		{own, []string{"a contact true"}},
		{e.email("a@example.com"), []string{"a email true", "b email true"}},
		{push, []string{"b push true"}},
		{e.email("nobody@example.com"), nil},
	} {
		if diff := cmp.Diff(c.want, e.found(c.k)); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]string{"a phone true", "b push true"}, e.found(now, push)); diff != "" {
		t.Error(diff)
	}
	e.must1(e.Record(e.ctx(), suppression.Provider(push, audience.Push, suppression.Unregistered, "fcm")))
	if diff := cmp.Diff([]string{"b push false"}, e.found(push)); diff != "" {
		t.Error("the app is gone: " + diff)
	}
	all, err := e.FindPeople(e.ctx(), []audience.Key{before})
	e.must(err)
	c, known, err := e.Person(e.ctx(), all[0].ID)
	e.must(err)
	if c.ExternalID != "a" || c.Phone != "+46701740606" || len(known) != 4 {
		t.Errorf("%+v, %+v", c, known)
	}
	for _, k := range known {
		if k.Current == (k.Key == before) || k.Kind == "" || k.FirstSeen.IsZero() {
			t.Errorf("%+v", k)
		}
	}
	if _, _, err := e.Person(e.ctx(), 999); !errors.Is(err, storage.ErrNotFound) {
		t.Error(err)
	}
}

// runsOf launches campaigns of their own and plans them, the last one last.
func (e *Env) runsOf(n int) {
	e.t.Helper()
	e.library(audience.Email)
	for i := range n {
		c := dispatcher.Campaign{Name: fmt.Sprintf("run %d", i), Sender: "exempelbolaget", Topic: "newsletter",
			Channels: []dispatcher.CampaignChannel{{Channel: audience.Email, Template: "host-email"}}}
		_, err := e.CreateCampaign(e.ctx(), c)
		e.must(err)
		_, err = e.LaunchRun(e.ctx(), c.Name, dispatcher.Launch{})
		e.must(err)
		_, err = e.StartDueRuns(e.ctx())
		e.must(err)
		e.plan()
	}
}

// historyHasPages: each message once, the newest first, whichever address it
// went to, and those of nobody else.
func historyHasPages(t *testing.T, e *Env) {
	const runs = 7
	e.save(contact("b", "b@example.com"), contact("a", "a@example.com"))
	e.runsOf(runs)
	e.save(contact("a", "new@example.com"))
	who, err := e.FindPeople(e.ctx(), []audience.Key{e.email("a@example.com")})
	e.must(err)
	_, known, err := e.Person(e.ctx(), who[0].ID)
	e.must(err)
	var ks []audience.KindKey
	for _, k := range known {
		ks = append(ks, k.KindKey)
	}
	for _, c := range []struct {
		name    string
		contact int64
		ks      []audience.KindKey
		want    int
	}{
		{"a contact", who[0].ID, ks, runs},
		{"a bare key", 0, []audience.KindKey{{Key: e.email("a@example.com")}}, runs},
		{"somebody else's key", who[0].ID, []audience.KindKey{{Key: e.email("b@example.com")}}, 0},
		{"nobody", 0, []audience.KindKey{{Key: e.email("nobody@example.com")}}, 0},
	} {
		var got []string
		pages := 0
		for before := int64(math.MaxInt64); before > 0; pages++ {
			var page []dispatcher.Communication
			page, before, err = e.Communications(e.ctx(), c.contact, c.ks, before, 2)
			e.must(err)
			for _, h := range page {
				got = append(got, h.Campaign)
			}
			if len(page) > 2 {
				t.Errorf("%s: a page of %d", c.name, len(page))
			}
		}
		var want []string
		for i := range c.want {
			want = append(want, fmt.Sprintf("run %d", runs-1-i))
		}
		if diff := cmp.Diff(want, got); diff != "" || pages > runs+1 {
			t.Errorf("%s, in %d pages: %s", c.name, pages, diff)
		}
	}
}

// historyFindsSlices: with so many contacts that they lie in several slices,
// somebody who moved while they were planned among them.
func historyFindsSlices(t *testing.T, e *Env) {
	const n = dispatcher.SliceSize + 10
	e.mails(n)
	e.library(audience.Email)
	run := e.launch()
	refs, err := e.RingSlices(e.ctx(), 100)
	e.must(err)
	if len(refs) < 2 {
		t.Fatalf("%d slices", len(refs))
	}
	// Whoever comes into the first slice when it is planned is for the closing one.
	e.must(e.PlanSlice(e.ctx(), refs[0]))
	late := "late@example.com"
	for e.email(late)[0] >= 0x80 {
		late = "x" + late
	}
	e.save(contact("late", late))
	for _, r := range refs[1:] {
		e.must(e.PlanSlice(e.ctx(), r))
	}
	e.Now = e.Now.Add(60e9)
	e.plan()
	want := []string{campaign}
	for _, id := range []string{"c0", "c1", "c2", "c3", fmt.Sprintf("c%d", n-1), "late"} {
		history, err := e.History(e.ctx(), id)
		e.must(err)
		var got []string
		for _, h := range history {
			got = append(got, h.Campaign)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s in run %d: %s", id, run.ID, diff)
		}
	}
}

// messagesAreFound by whole ids, and by that of their call if it has no other.
func messagesAreFound(t *testing.T, e *Env) {
	b := e.started(2)[0]
	var ks []audience.Key
	for range 2 {
		c, k := e.claimOf(b, 1)
		e.must(e.Claim(e.ctx(), c))
		s := settlementOf(b, c, k)
		if ks = append(ks, k[0]); len(ks) == 1 {
			s.Messages = []dispatcher.Message{{Key: k[0], ProviderID: "id 9"}}
		} else {
			s.ProviderID = "call-9"
		}
		if _, err := e.Settle(e.ctx(), s); err != nil {
			t.Fatal(err)
		}
		var err error
		b, err = e.Batch(e.ctx(), b.ID)
		e.must(err)
	}
	for id, want := range map[string]audience.Key{"id 9": ks[0], "call-9": ks[1], "9": {}, "l-9": {}} {
		got, err := e.KeyOfMessage(e.ctx(), id)
		if got != want || errors.Is(err, storage.ErrNotFound) != want.IsZero() {
			t.Errorf("%q is found as %s, %v", id, got.Short(), err)
		}
	}
}

func personsAnswersAreKept(t *testing.T, e *Env) {
	now, before, own := e.withNumbers()
	row := audience.Row{Contact: contact("a", ""), Consents: map[string]bool{"open_tracking": true, "profiling": true}}
	_, err := e.SaveContacts(e.ctx(), []audience.Row{row})
	e.must(err)
	e.must1(e.Record(e.ctx(), suppression.Wish{Person: true, Entry: suppression.Entry{Key: own, Channel: "*", Topic: "*", Purpose: "open_tracking", Sender: "*",
		Cause: suppression.Withdrawn, Active: true, Source: "service", Evidence: "case 1"}}))
	stands, withdrawn, err := e.Consents(e.ctx(), own)
	e.must(err)
	if len(stands) != 2 || stands[0].Purpose != "open_tracking" || stands[0].Granted || !stands[1].Granted || stands[1].Source != "import" {
		t.Errorf("%+v", stands)
	}
	if len(withdrawn) != 1 || withdrawn[0].Purpose != "open_tracking" || withdrawn[0].Version == 0 || !withdrawn[0].WithdrawnAt.Equal(e.Now) || withdrawn[0].Source != "import" {
		t.Errorf("%+v", withdrawn)
	}
	changes, err := e.NewestChanges(e.ctx(), []audience.Key{own, now}, 1)
	e.must(err)
	if len(changes) != 1 || changes[0].Version < 3 {
		t.Errorf("%+v", changes)
	}
	r := e.reply("twilio-1", "+46701740605", suppression.Unclear)
	r.Address, r.Text = "+46701740605", "När slutar ni?"
	e.answer(r)
	e.answer(e.reply("twilio-2", "+46701740606", suppression.SaysHelp))
	e.answer(e.reply("twilio-3", "+46701740690", suppression.Unclear))
	replies, err := e.RepliesOf(e.ctx(), []audience.Key{now, before, own}, 10)
	e.must(err)
	if len(replies) != 2 || replies[1].Text != r.Text || !replies[1].Open || replies[0].Meaning != suppression.SaysHelp {
		t.Errorf("%+v", replies)
	}
	e.must(e.Audit(e.ctx(), "desk", "person.show", "contact 1", ""))
	e.must(e.Audit(e.ctx(), "desk", "person.show", "contact 11", ""))
	e.must(e.Audit(e.ctx(), "crm", "suppression.add", own.Short(), "objected"))
	lines, err := e.AuditOf(e.ctx(), []string{"contact 1", own.Short()}, 10)
	e.must(err)
	want := []rights.Audited{{At: e.Now, Actor: "crm", Action: "suppression.add", Object: own.Short(), Detail: "objected"},
		{At: e.Now, Actor: "desk", Action: "person.show", Object: "contact 1"}}
	if diff := cmp.Diff(want, lines, cmpopts.IgnoreFields(rights.Audited{}, "ID")); diff != "" {
		t.Error(diff)
	}
}

package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
)

func (e *Env) notices(versions ...templates.PrivacyNotice) {
	e.t.Helper()
	for _, n := range versions {
		_, err := e.SaveNotice(e.ctx(), n)
		e.must(err)
	}
}

// privacyNotice is a version that is known by its text.
func privacyNotice(sender, version, date string) templates.PrivacyNotice {
	return templates.PrivacyNotice{Sender: sender, Version: version, Language: "sv", Date: date, Hash: templates.HashNotice([]byte(version))}
}

// privacyNoticesStay: what was saved is never exchanged, and a sender names one
// that there is.
func privacyNoticesStay(t *testing.T, e *Env) {
	e.library(audience.Email)
	sender, err := e.SenderByName(e.ctx(), "exempelbolaget")
	e.must(err)
	sender.NoticeVersion = "kept elsewhere"
	e.must(e.SaveSender(e.ctx(), sender))
	own, all := privacyNotice("exempelbolaget", "v1", "2026-01-15"), privacyNotice("*", "g1", "2025-06-01")
	english := own
	english.Language = "en"
	e.notices(own, all, english)
	e.Now = e.Now.Add(time.Hour)
	e.notices(own)
	for name, change := range map[string]func(*templates.PrivacyNotice){
		"text": func(n *templates.PrivacyNotice) { n.Hash = templates.HashNotice([]byte("other")) },
		"date": func(n *templates.PrivacyNotice) { n.Date = "2026-01-16" },
		"url":  func(n *templates.PrivacyNotice) { n.URL = "https://www.exempelbolaget.test/ny" },
	} {
		n := own
		change(&n)
		_, err := e.SaveNotice(e.ctx(), n)
		if changed := new(templates.NoticeChanged); !errors.As(err, &changed) || changed.Known.Hash != own.Hash {
			t.Errorf("another %s: %v", name, err)
		}
	}
	got, err := e.Notices(e.ctx())
	e.must(err)
	for i := range got {
		if !got[i].Created.Equal(e.Now.Add(-time.Hour)) {
			t.Errorf("%s was created at %s", got[i].Version, got[i].Created)
		}
		got[i].Created = time.Time{}
	}
	if diff := cmp.Diff([]templates.PrivacyNotice{all, english, own}, got); diff != "" {
		t.Error(diff)
	}
	for version, good := range map[string]bool{"v1": true, "g1": true, "": true, "v2": false} {
		sender.NoticeVersion = version
		err := e.SaveSender(e.ctx(), sender)
		refused := new(templates.SenderError)
		if errors.As(err, &refused) == good || !good && refused.Problems[0].Field != "notice_version" {
			t.Errorf("a sender with version %q: %v", version, err)
		}
	}
}

// noticesInForce: what was said is kept with the version that its sender named
// then, or else the newest of its own, or else the newest of all.
func noticesInForce(t *testing.T, e *Env) {
	b := e.started(2)[0]
	sender, err := e.SenderByName(e.ctx(), "exempelbolaget")
	e.must(err)
	who := e.email(address(0))
	// said returns what the index, and its history, have of her last word.
	said := func(w suppression.Wish) string {
		t.Helper()
		e.must1(e.Record(e.ctx(), w))
		now, err := e.Entries(e.ctx(), []audience.Key{who})
		e.must(err)
		changes, err := e.Changes(e.ctx(), []audience.Key{who})
		e.must(err)
		if now[0].Notice != changes[0].Notice {
			t.Errorf("the entry has version %q, its change %q", now[0].Notice, changes[0].Notice)
		}
		return now[0].Notice
	}
	byLink := suppression.Unsubscribe(who, audience.Email, b.Group)
	onPage := suppression.Chooser{Key: who, Group: b.Group, At: e.Now}.Wishes([]suppression.Choice{suppression.NoProfiling})[0]
	told := objection(who)
	toOne := objection(who)
	toOne.Entry.Sender = "exempelbolaget"
	check := func(what, link, page, all, one string) {
		t.Helper()
		if got := []string{said(byLink), said(onPage), said(told), said(toOne)}; !slices.Equal(got, []string{link, page, all, one}) {
			t.Errorf("%s: said under %q", what, got)
		}
	}
	check("no notice", "", "", "", "")
	e.notices(privacyNotice("*", "g1", "2026-01-01"), privacyNotice("*", "g2", "2026-02-01"), privacyNotice("*", "later", "2026-03-02"))
	check("one of all", "g2", "g2", "g2", "g2")
	e.notices(privacyNotice("exempelbolaget", "v1", "2025-01-01"), privacyNotice("exempelbanken", "bank", "2026-02-01"))
	check("one of its own", "v1", "v1", "g2", "v1")
	sender.NoticeVersion = "g1"
	e.must(e.SaveSender(e.ctx(), sender))
	check("one that is named", "g1", "g1", "g2", "g1")
	e.Now = e.Now.AddDate(0, 0, 1)
	check("a day later", "g1", "g1", "later", "g1")
	if got, err := e.SenderByName(e.ctx(), "exempelbolaget"); err != nil || got.NoticeVersion != "g1" {
		t.Errorf("messages are sent under %q, %v", got.NoticeVersion, err)
	}
}

// noticesOfAll: without a notice for all, what was said to all senders was said under
// those of each.
func noticesOfAll(t *testing.T, e *Env) {
	const own, bank = "exempelbolaget", "exempelbanken"
	e.library(audience.Email)
	sender, err := e.SenderByName(e.ctx(), own)
	e.must(err)
	save := func(name, version string) {
		t.Helper()
		sender.Name, sender.NoticeVersion = name, version
		e.must(e.SaveSender(e.ctx(), sender))
	}
	times := 0
	check := func(what, want string) {
		t.Helper()
		times++
		c := contact(fmt.Sprintf("c%d", times), fmt.Sprintf("c%d@example.com", times))
		_, err := e.SaveContacts(e.ctx(), []audience.Row{{Contact: c, Set: all, Consents: map[string]bool{string(suppression.Profiling): true}}})
		e.must(err)
		who := e.Keyer.Key(audience.KindContact, c.ExternalID)
		consents, _, err := e.Consents(e.ctx(), who)
		e.must(err)
		e.must1(e.Record(e.ctx(), objection(who)))
		entries, err := e.Entries(e.ctx(), []audience.Key{who})
		e.must(err)
		if got := []string{entries[0].Notice, consents[0].Notice}; !slices.Equal(got, []string{want, want}) {
			t.Errorf("%s: an objection and a consent under %q, want %q", what, got, want)
		}
	}
	check("no notice", "")
	save(own, "v1")
	check("one sender", "v1")
	save(bank, "v1")
	check("two with the same", "v1")
	save(bank, "")
	check("one of them with none", own+" v1")
	save(bank, "b1")
	check("two with others", bank+" b1, "+own+" v1")
	e.notices(privacyNotice("*", "g1", "2026-01-01"))
	check("one for all", "g1")
}

// undoneNotices: a visit that is undone leaves the version of what stood before.
func undoneNotices(t *testing.T, e *Env) {
	e.save(contact("a", "a@example.com"))
	e.notices(privacyNotice("*", "g1", "2026-01-01"), privacyNotice("*", "g2", "2026-03-02"))
	e.chooses("one", suppression.StopEmail)
	e.Now = e.Now.AddDate(0, 0, 1)
	e.chooses("two", suppression.StopEmail)
	if got := e.inForce(); got[0].Notice != "g2" {
		t.Errorf("said again under %q", got[0].Notice)
	}
	e.chooses("two")
	if got := e.inForce(); len(got) == 0 || got[0].Notice != "g1" {
		t.Errorf("undone: %+v", got)
	}
}

// firstUnderNotice: the first message that was sent to a person under a version,
// and no other, is when she was told.
func firstUnderNotice(t *testing.T, e *Env) {
	e.mails(2)
	e.library(audience.Email)
	template, err := e.CampaignByName(e.ctx(), campaign)
	e.must(err)
	for _, run := range []struct{ name, notice string }{{campaign, "v1"}, {"Vinter", "v1"}, {"Vår", "v2"}} {
		if c := template; run.name != campaign {
			c.Name = run.name
			_, err := e.CreateCampaign(e.ctx(), c)
			e.must(err)
		}
		_, err := e.LaunchRun(e.ctx(), run.name, dispatcher.Launch{})
		e.must(err)
		_, err = e.StartDueRuns(e.ctx())
		e.must(err)
		e.plan()
		b := e.batches(audience.Email)[0]
		c, ks := e.claimOf(b, 100)
		c.Notice = run.notice
		e.must(e.Claim(e.ctx(), c))
		s := settlementOf(b, c, ks)
		if run.name == campaign {
			s.Exceptions = []dispatcher.Exception{{Key: e.email(address(1)), Code: dispatcher.Suppressed, Cause: "objected"}}
		}
		_, err = e.Settle(e.ctx(), s)
		e.must(err)
		e.Now = e.Now.Add(time.Hour)
	}
	type told struct {
		Campaign, Sender, Notice string
		First                    bool
	}
	const own = "exempelbolaget"
	for id, want := range map[string][]told{
		"c0": {{"Vår", own, "v2", true}, {"Vinter", own, "v1", false}, {campaign, own, "v1", true}},
		"c1": {{"Vår", own, "v2", true}, {"Vinter", own, "v1", true}, {campaign, own, "v1", false}},
	} {
		history, err := e.History(e.ctx(), id)
		e.must(err)
		var got []told
		for _, h := range history {
			got = append(got, told{h.Campaign, h.Sender, h.Notice, h.NoticeFirst})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}

// relations: soft opt-in counts towards those to whom there is a relation, if any
// is known at all. What a file does not say stays.
func relations(t *testing.T, e *Env) {
	const own, bank = "exempelbolaget", "exempelbanken"
	is := func(sender, since string, ended bool) map[string]audience.Relation {
		return map[string]audience.Relation{sender: {Sender: sender, Since: since, Ended: ended}}
	}
	people := map[string]audience.Contact{}
	file := func(told map[string]map[string]audience.Relation) {
		t.Helper()
		var rows []audience.Row
		for id, relations := range told {
			c := contact(id, id+"@example.com")
			if c.Basis, c.Sale = audience.SoftOptIn, (audience.Sale{Reference: "2025-11-03", Offered: "yes", Family: "tyres"}); id == "consents" {
				c.Basis, c.Sale = audience.Consent, audience.Sale{}
			}
			people[id] = c
			rows = append(rows, audience.Row{Contact: c, Set: all, Relations: relations})
		}
		_, err := e.SaveContacts(e.ctx(), rows)
		e.must(err)
	}
	file(map[string]map[string]audience.Relation{"unknown": nil, "ours": is(own, "2019-05-01", false), "theirs": is(bank, "", false),
		"ended": is(own, "", true), "consents": is(bank, "", false), "ends": is(own, "2019-05-01", false), "begins": is(bank, "", false),
		"again": is(own, "2019-05-01", true), "like": is("exempelbolaget-2", "", false)})
	file(map[string]map[string]audience.Relation{"ours": nil, "ends": is(own, "", true), "begins": is(own, "", false), "again": is(own, "", false)})
	for id, want := range map[string][]audience.Relation{"unknown": nil, "ours": {{Sender: own, Since: "2019-05-01"}},
		"ends": {{Sender: own, Since: "2019-05-01", Ended: true}}, "begins": {{Sender: bank}, {Sender: own}}, "again": {{Sender: own}}} {
		got, err := e.Relations(e.ctx(), id)
		e.must(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	e.library(audience.Email)
	e.launch()
	e.plan()
	want := []string{"again", "begins", "consents", "ours", "unknown"}
	if got := e.admitted(e.batches(audience.Email)[0], people); !slices.Equal(got, want) {
		t.Errorf("%q are sent to, want %q", got, want)
	}
}

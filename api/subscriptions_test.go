package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

var chosenAt = time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)

// newSubscriptionSite has a topic for subscribers, which is that of the messages.
func newSubscriptionSite(t testing.TB) *site {
	s := newPublicSite(t)
	sender := exampleSender
	sender.NoticeVersion = "2026-01"
	sender.Topics = map[string]templates.Label{"offer": {Swedish: "Nyhetsbrev <1>", English: "Newsletter <1>"}}
	sender.Subscriptions = []string{"offer"}
	s.store.senders["exempel"] = sender
	return s
}

func TestAskForASubscription(t *testing.T) {
	s := newSubscriptionSite(t)
	app := s.addKey("app", ScopeApp)
	for _, key := range []string{app, s.marketer, s.admin} {
		a := s.as(key, http.MethodPost, "/v1/subscriptions", `{"email":" Anna@Example.com","sender":"exempel","topic":"offer","source":"https://exempelbolaget.test/"}`)
		if a.status != http.StatusAccepted || strings.Contains(strings.ToLower(a.body), "anna") {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	want := suppression.Asking{Address: "anna@example.com", Sender: "exempel", Topic: "offer", Locale: "sv", Source: "https://exempelbolaget.test/", Notice: "2026-01"}
	if diff := cmp.Diff([]suppression.Asking{want, want, want}, s.store.asked.askings); diff != "" {
		t.Error(diff)
	}
	if a := s.as(s.aud, http.MethodPost, "/v1/subscriptions", `{}`); a.status != http.StatusForbidden {
		t.Errorf("a key that reads: %d", a.status)
	}
	for body, field := range map[string]string{
		`{"email":"anna","sender":"exempel","topic":"offer","source":"x"}`:                           "body.email",
		`{"email":"a@example.com","sender":"nobody","topic":"offer","source":"x"}`:                   "body.sender",
		`{"email":"a@example.com","sender":"exempel","topic":"other","source":"x"}`:                  "body.topic",
		`{"email":"a@example.com","sender":"exempel","topic":"offer","source":"x","locale":"12345"}`: "body.locale",
		`{"email":"a@example.com","sender":"exempel","topic":"offer"}`:                               "body",
	} {
		a := s.as(app, http.MethodPost, "/v1/subscriptions", body)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if n := len(s.store.asked.askings); n != 3 {
		t.Errorf("%d requests, of some that were refused", n-3)
	}
	s.store.fail(errDown)
	if a := s.as(app, http.MethodPost, "/v1/subscriptions", `{"email":"a@example.com","sender":"exempel","topic":"offer","source":"x"}`); a.status != http.StatusServiceUnavailable {
		t.Errorf("without a database: %d", a.status)
	}
}

func TestTheProofOfASubscriptionIsShown(t *testing.T) {
	s := newSubscriptionSite(t)
	s.store.contacts["1001"] = audience.Contact{ID: 1, ExternalID: "1001", Email: "anna@example.com"}
	s.store.asked.requests = []suppression.Confirmation{{ID: 1, Sender: "exempel", Topic: "offer", ConfirmedAt: chosenAt}, {ID: 2, Sender: "exempel", Topic: "other"}}
	a := s.as(s.aud, http.MethodGet, "/v1/contacts/1001/subscriptions", "")
	a.want(t, http.StatusOK)
	if strings.Count(a.body, `"topic"`) != 1 || !strings.Contains(a.body, "2026-10-01") {
		t.Error(a.body)
	}
}

// TestConfirm: looking changes nothing, and a link confirms once.
func TestConfirm(t *testing.T) {
	s := newSubscriptionSite(t)
	s.store.asked.requests = []suppression.Confirmation{{ID: 1, Sender: "exempel", Topic: "offer", Locale: "sv-SE"},
		{ID: 2, Sender: "exempel", Topic: "offer", Locale: "sv-SE", Wider: true}, {ID: 3, Sender: "exempel", Topic: "*", Locale: "en"}}
	path := func(id int64) string { return "/s/" + s.token(tracking.Confirm, id, 0, anna) }
	for id, name := range map[int64]string{1: "confirm", 2: "confirm-wider", 3: "confirm-all"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			s.visit(method, path(id)+"?wider=1", "").want(t, http.StatusOK)
		}
		for _, language := range []string{"sv", "en"} {
			golden(t, language+"-"+name, withoutStyle(s.visit(http.MethodGet, path(id)+"?lang="+language, "").body))
		}
	}
	s.visit(http.MethodPut, path(1), "").want(t, http.StatusMethodNotAllowed)
	if len(s.store.asked.confirmed) != 0 {
		t.Fatal("looking has confirmed something")
	}
	for _, c := range []struct {
		id         int64
		form, says string
	}{
		{1, "", "Du prenumererar på ”Nyhetsbrev &lt;1&gt;”"}, {1, "", "Länken är redan använd"}, {2, "", "Så länge det gäller"}, {3, "", "You can get marketing by e-mail again"},
	} {
		a := s.visit(http.MethodPost, path(c.id), c.form, "Content-Type", form, "User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/128.0")
		a.want(t, http.StatusOK)
		if !strings.Contains(a.body, c.says) || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%d: %q is not in %s", c.id, c.says, a.body)
		}
	}
	s.store.asked.requests[1].ConfirmedAt = time.Time{}
	if a := s.visit(http.MethodPost, path(2), "wider=1", "Content-Type", form); !strings.Contains(a.body, "från och med nu") {
		t.Error(a.body)
	}
	want := suppression.Confirmed{ID: 1, Key: anna, Evidence: "pressed the button behind the link in the mail to the address (computer)"}
	if got := s.store.asked.confirmed; len(got) != 4 || !cmp.Equal(got[0], want) || got[1].Wider || !got[3].Wider {
		t.Errorf("%+v", got)
	}
	if a := s.visit(http.MethodGet, path(1), ""); !strings.Contains(a.body, "Länken är redan använd") || strings.Contains(a.body, "<form method") {
		t.Error("it offers to confirm again")
	}
	s.visit(http.MethodGet, path(99), "").want(t, http.StatusGone)
	s.visit(http.MethodPost, path(99), "").want(t, http.StatusGone)
	s.store.fail(errDown)
	s.visit(http.MethodGet, path(1), "").want(t, http.StatusServiceUnavailable)
	s.visit(http.MethodPost, path(1), "").want(t, http.StatusServiceUnavailable)
}

// TestBadConfirmations answer as every bad token does, before any store is asked.
func TestBadConfirmations(t *testing.T) {
	s := newSubscriptionSite(t)
	good := s.token(tracking.Confirm, 1, 0, anna)
	missing := s.visit(http.MethodGet, "/p/x", "")
	for _, token := range []string{"", "x", good[:10], "A" + good[1:], s.token(tracking.Unsubscribe, 1, 0, anna), s.token(tracking.Confirm, 1, 0, audience.Key{})} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if diff := cmp.Diff(missing, s.visit(method, "/s/"+token, ""), cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("%s %q: %s", method, token, diff)
			}
		}
	}
	if len(s.store.asked.confirmed) > 0 {
		t.Error("the store was asked")
	}
}

// TestReturn: what was ended in an earlier visit can be asked for again, which by
// itself changes nothing.
func TestReturn(t *testing.T) {
	c := &customer{site: newSubscriptionSite(t)}
	path := "/p/" + c.token(tracking.Preferences, 1, 0, anna)
	c.open(path)
	if strings.Contains(c.page.body, `name="return"`) {
		t.Error("there is nothing to return to")
	}
	c.send("choice", "kind", "choice", "email")
	if strings.Contains(c.page.body, `name="return"`) {
		t.Error("what is undone in this visit is asked for by mail")
	}
	c.store.entries = append(c.store.entries, suppression.Entry{Key: anna, Channel: "email", Topic: "*", Purpose: "*", Sender: "*", Cause: suppression.Bounced, Active: true})
	before := c.active()
	for what, topic := range map[string]string{"kind": "offer", "email": "*"} {
		c.open(path)
		for _, value := range []string{"kind", "email"} {
			if !strings.Contains(c.page.body, `name="return" value="`+value+`"`) {
				t.Fatalf("%s is not offered: %s", value, c.page.body)
			}
		}
		c.store.asked = askedFor{}
		c.send("return", what)
		c.page.want(t, http.StatusOK)
		want := askedFor{returns: []audience.Key{anna}, askings: []suppression.Asking{{Sender: "exempel", Topic: topic, Locale: "en", Source: "pages of a message", Notice: "2026-01"}}}
		if diff := cmp.Diff(want, c.store.asked, cmp.AllowUnexported(askedFor{})); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		if !strings.Contains(c.page.body, "Look into your inbox") || strings.Contains(c.page.body, `name="undo"`) {
			t.Error(c.page.body)
		}
	}
	if diff := cmp.Diff(before, c.active()); diff != "" {
		t.Errorf("asking has changed something: %s", diff)
	}
	golden(t, "en-asked-to-return", withoutStyle(c.page.body))
	c.open(path)
	c.store.fail(errDown)
	c.send("return", "email")
	c.page.want(t, http.StatusServiceUnavailable)
	if !strings.Contains(c.page.body, `name="return" value="email"`) {
		t.Error("trying again would say something else")
	}
}

// TestTheNoticeInForceIsPartOfTheProof, though the sender's record names none.
func TestTheNoticeInForceIsPartOfTheProof(t *testing.T) {
	c := &customer{site: newSubscriptionSite(t)}
	sender := c.store.senders["exempel"]
	sender.NoticeVersion = ""
	c.store.senders["exempel"] = sender
	c.store.notices = []templates.PrivacyNotice{{Sender: "exempel", Version: "2026-02"}}
	c.as(c.addKey("app", ScopeApp), http.MethodPost, "/v1/subscriptions", `{"email":"anna@example.com","sender":"exempel","topic":"offer","source":"x"}`).want(t, http.StatusAccepted)
	path := "/p/" + c.token(tracking.Preferences, 1, 0, anna)
	c.open(path)
	c.send("choice", "email")
	c.open(path)
	c.send("return", "email")
	c.page.want(t, http.StatusOK)
	if got := c.store.asked.askings; len(got) != 2 || got[0].Notice != "2026-02" || got[1].Notice != "2026-02" {
		t.Errorf("asked under %+v", got)
	}
}

// TestWhichIsWhich: the pages of a newsletter tell it from all marketing.
func TestWhichIsWhich(t *testing.T) {
	s := newSubscriptionSite(t)
	for _, path := range []string{"/u/" + s.token(tracking.Unsubscribe, 1, 0, anna), "/p/" + s.token(tracking.Preferences, 1, 0, anna)} {
		if a := s.visit(http.MethodGet, path, ""); !strings.Contains(a.body, "“Newsletter &lt;1&gt;” is something that you subscribe to") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

var (
	formAction = regexp.MustCompile(`action="\.\./p/([^"?]+)\?lang=(\w+)"`)
	visitValue = regexp.MustCompile(`name="visit" value="([^"]+)"`)
	checked    = regexp.MustCompile(`value="(\w+)" checked`)
	offered    = regexp.MustCompile(`<input type="(?:checkbox|radio)" name="choice" id="\w+" value="(\w+)"`)
)

// customer is somebody who looks at a page and uses its forms.
type customer struct {
	*site
	page answer
	path string
}

// send sends a form of the page as a browser would.
func (c *customer) send(fields ...string) {
	c.t.Helper()
	form := url.Values{"visit": {found1(c.t, visitValue, c.page.body)}}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	path := c.path
	if m := formAction.FindStringSubmatch(c.page.body); m != nil {
		path = "/p/" + m[1] + "?lang=" + m[2]
	}
	c.page = c.visit(http.MethodPost, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

func (c *customer) open(path string) {
	c.t.Helper()
	c.path, c.page = path, c.visit(http.MethodGet, path, "")
	c.page.want(c.t, http.StatusOK)
}

func found1(t testing.TB, in *regexp.Regexp, text string) string {
	t.Helper()
	m := in.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", in, text)
	}
	return m[1]
}

func all1(in *regexp.Regexp, text string) (all []string) {
	for _, m := range in.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// active is what stands against anna.
func (s *site) active() (scopes []string) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for _, e := range s.store.entries {
		if e.Active {
			scopes = append(scopes, fmt.Sprint(e.Channel, " ", e.Topic, " ", e.Purpose, " ", e.Cause))
		}
	}
	return scopes
}

func (c *customer) wantActive(what string, want ...string) {
	c.t.Helper()
	c.page.want(c.t, http.StatusOK)
	if diff := cmp.Diff(want, c.active()); diff != "" {
		c.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestFromUnsubscribedToUndone: each form takes the place of the one before.
func TestFromUnsubscribedToUndone(t *testing.T) {
	c := &customer{site: newPublicSite(t)}
	c.open("/u/" + c.token(tracking.Unsubscribe, 1, 0, anna))
	c.send()
	c.wantActive("unsubscribed", "email * marketing unsubscribed")
	if got := all1(checked, c.page.body); !cmp.Equal(got, []string{"email", "pause0"}) {
		t.Errorf("checked: %v", got)
	}
	c.send("choice", "kind")
	c.wantActive("narrowed", "* offer marketing unsubscribed")
	c.send("choice", "kind", "choice", "pause90", "choice", "ads")
	c.wantActive("wider", "* offer marketing unsubscribed", "* * marketing paused", "* * ad_list_sharing objected", "* * ad_tracking withdrawn")
	if got := all1(checked, c.page.body); !cmp.Equal(got, []string{"kind", "pause90", "ads"}) {
		t.Errorf("checked: %v", got)
	}
	if !strings.Contains(c.page.body, "A break from all marketing until 31 January 2027.") {
		t.Error("it does not say until when")
	}
	c.send("undo", "1", "choice", "sms") // a browser sends the button that was pressed
	c.wantActive("undone")
	if strings.Contains(c.page.body, `name="undo"`) || !strings.Contains(c.page.body, "It is as it was before") {
		t.Error("undone, it offers to undo, or does not say so")
	}
	visits := c.store.revised
	if len(visits) != 3 || len(slices.Compact(slices.Clone(visits))) != 1 {
		t.Errorf("the visits are %v", visits)
	}
	for _, w := range c.store.recorded() {
		if w.Visit != visits[0] || w.Entry.Source != "link" || !strings.Contains(w.Entry.Evidence, "of group 1") {
			t.Errorf("recorded: %+v", w)
		}
	}
	c.send("choice", "nonsense", "choice", "pause0")
	c.wantActive("nothing chosen")
	if !strings.Contains(c.page.body, "You have chosen nothing here") {
		t.Error("it does not say that nothing was chosen")
	}
}

// TestWhatHoldsAlreadyIsNotOffered again: it came from elsewhere, and stays.
func TestWhatHoldsAlreadyIsNotOffered(t *testing.T) {
	c := &customer{site: newPublicSite(t)}
	entry := suppression.Entry{Key: anna, Channel: "*", Topic: "*", Purpose: "*", Sender: "*", Active: true}
	with := func(change func(*suppression.Entry)) suppression.Entry {
		e := entry
		change(&e)
		return e
	}
	c.store.entries = []suppression.Entry{
		with(func(e *suppression.Entry) { e.Channel, e.Cause = "sms", suppression.Stopped }),
		with(func(e *suppression.Entry) {
			e.Purpose, e.Cause, e.ExpiresAt = "marketing", suppression.Paused, c.now.AddDate(0, 0, 45)
		}),
		with(func(e *suppression.Entry) { e.Topic, e.Cause = "newsletter", suppression.Objected }),
		with(func(e *suppression.Entry) { e.Channel, e.Cause = "email", suppression.Bounced }),
		with(func(e *suppression.Entry) { e.Channel, e.Cause, e.ExpiresAt = "email", suppression.Objected, c.now }),
	}
	c.open("/p/" + c.token(tracking.Preferences, 1, 0, anna))
	want := []string{"kind", "email", "push", "post", "phone", "marketing", "pause0", "pause90", "profiling", "ads", "opens", "everything"}
	if diff := cmp.Diff(want, all1(offered, c.page.body)); diff != "" {
		t.Errorf("offered: %s", diff)
	}
	for _, says := range []string{"No marketing by SMS.", "until 17 December 2026.", "of the kind “newsletter”.", "messages came back"} {
		if !strings.Contains(c.page.body, says) {
			t.Errorf("it does not say %q", says)
		}
	}
	c.send("choice", "everything")
	if n := len(all1(checked, c.page.body)); n != 2 || !strings.Contains(c.page.body, `id="email"`) {
		t.Errorf("with everything chosen here, %d are checked", n)
	}
}

func TestUndoEnds(t *testing.T) {
	c := &customer{site: newPublicSite(t)}
	c.open("/u/" + c.token(tracking.Unsubscribe, 1, 0, anna))
	c.send()
	c.now = c.now.Add(undoFor + time.Second)
	before := c.active()
	c.send("undo", "1")
	c.page.want(t, http.StatusConflict)
	if diff := cmp.Diff(before, c.active()); diff != "" || len(c.store.revised) > 0 {
		t.Errorf("too late, and undone: %s", diff)
	}
	// More can be said however old the page is, and takes nothing back.
	c.send("choice", "sms")
	c.wantActive("more, on an old page", "email * marketing unsubscribed", "sms * marketing unsubscribed")
}

// TestVisitsOfOthers are refused as every bad token is, before any store is
// asked.
func TestVisitsOfOthers(t *testing.T) {
	s := newPublicSite(t)
	bystander := s.server.public.visitToken(tracking.NewVisit(1, audience.Key{9}, s.now))
	other := s.server.public.visitToken(tracking.NewVisit(2, anna, s.now))
	good := s.server.public.visitToken(tracking.NewVisit(1, anna, s.now))
	missing := s.visit(http.MethodGet, "/p/x", "")
	for name, visit := range map[string]string{"of somebody else": bystander, "of another message": other, "altered": "A" + good[1:], "truncated": good[:10], "nonsense": "x"} {
		for path, purpose := range map[string]tracking.Purpose{"/u/": tracking.Unsubscribe, "/p/": tracking.Preferences} {
			for _, rest := range []string{"&undo=1", "&choice=everything", ""} {
				a := s.visit(http.MethodPost, path+s.token(purpose, 1, 0, anna), "visit="+url.QueryEscape(visit)+rest, "Content-Type", form)
				if diff := cmp.Diff(missing, a, cmp.AllowUnexported(answer{})); diff != "" {
					t.Errorf("%s, %s%s: %s", name, path, rest, diff)
				}
			}
		}
	}
	s.untouched(t)
	if s.store.reads > 0 || len(s.store.revised) > 0 {
		t.Error("the store was asked")
	}
}

// TestThePagesOfSomebodyUnknown: erased, or of another database.
func TestThePagesOfSomebodyUnknown(t *testing.T) {
	c := &customer{site: newPublicSite(t)}
	c.open("/p/" + c.token(tracking.Preferences, 99, 0, anna))
	if got := all1(offered, c.page.body); slices.Contains(got, "kind") || !slices.Contains(got, "email") {
		t.Errorf("offered: %v", got)
	}
	c.send("choice", "kind", "choice", "email", "choice", "profiling")
	c.wantActive("chosen", "email * marketing unsubscribed", "* * profiling objected")
	c.open("/u/" + c.token(tracking.Unsubscribe, 99, 0, anna))
	c.send()
	c.wantActive("unsubscribed", "email * marketing unsubscribed", "* * profiling objected", "* * marketing unsubscribed")
	c.send("undo", "1")
	c.wantActive("undone", "email * marketing unsubscribed", "* * profiling objected")
}

// TestTheAddressIsMasked, and in the language of the contact.
func TestTheAddressIsMasked(t *testing.T) {
	s := newPublicSite(t)
	s.store.addressees = map[audience.Key]audience.Addressee{anna: {Locale: "sv-SE", Email: "åsa.svensson@example.com"}}
	for _, path := range []string{"/u/" + s.token(tracking.Unsubscribe, 1, 0, anna), "/p/" + s.token(tracking.Preferences, 1, 0, anna)} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a := s.visit(method, path, "", "Accept-Language", "en")
			if !strings.Contains(a.body, "å…@example.com") || strings.Contains(a.body, "svensson") || !strings.Contains(a.body, `<html lang="sv">`) {
				t.Errorf("%s %s: %s", method, path, a.body)
			}
			if a = s.visit(method, path+"?lang=en", ""); !strings.Contains(a.body, `<html lang="en">`) {
				t.Error("the switch does not go before the contact's language")
			}
		}
	}
	for email, want := range map[string]string{"": "", "a@example.com": "a…@example.com", "x": "", "@example.com": ""} {
		if got := masked(email); got != want {
			t.Errorf("%q is masked as %q", email, got)
		}
	}
}

// TestChoicesWhileTheDatabaseIsAway: more can be said, and nothing taken back.
func TestChoicesWhileTheDatabaseIsAway(t *testing.T) {
	s, in := newAwaySite(t)
	c := &customer{site: s}
	for group, kind := range map[int64]bool{1: true, 2: false} {
		in.wishes = nil
		c.open("/p/" + c.token(tracking.Preferences, group, 0, anna))
		if got := slices.Contains(all1(offered, c.page.body), "kind"); got != kind || !strings.Contains(c.page.body, "cannot show just now") {
			t.Errorf("group %d: the kind is offered: %v", group, got)
		}
		c.send("choice", "kind", "choice", "sms")
		c.page.want(t, http.StatusAccepted)
		if len(in.wishes) != 2 || in.wishes[0].Entry.Topic != map[bool]string{true: "offer"}[kind] || strings.Contains(c.page.body, `name="undo"`) {
			t.Errorf("group %d: %+v", group, in.wishes)
		}
		c.send("undo", "1")
		c.page.want(t, http.StatusServiceUnavailable)
		if !strings.Contains(c.page.body, `name="undo" value="1"`) || !strings.Contains(c.page.body, `name="visit"`) {
			t.Error("trying again would say something else")
		}
	}
	in.full = errors.New("no space left on device")
	a := s.visit(http.MethodPost, "/p/"+s.token(tracking.Preferences, 1, 0, anna), "choice=email&choice=ads", "Content-Type", form)
	a.want(t, http.StatusServiceUnavailable)
	if strings.Count(a.body, `type="hidden" name="choice"`) != 2 {
		t.Error("trying again would say something else")
	}
}

func TestTheFormOfChoicesIsBounded(t *testing.T) {
	s := newPublicSite(t)
	a := s.visit(http.MethodPost, "/p/"+s.token(tracking.Preferences, 1, 0, anna), strings.Repeat("x", maxChoices+1), "Content-Type", form)
	a.want(t, http.StatusRequestEntityTooLarge)
	s.untouched(t)
}

func TestPagesOfChoices(t *testing.T) {
	for _, language := range []string{"sv", "en"} {
		s := newPublicSite(t)
		s.store.addressees = map[audience.Key]audience.Addressee{anna: {Email: "anna@example.com"}}
		full := exampleSender
		full.Topics = map[string]templates.Label{"offer": {Swedish: "Erbjudanden <till> kunder", English: "Offers <for> customers"}}
		full.CustomerService = &templates.CustomerService{Email: "kundservice@exempelbolaget.test", Phone: "+46 70 174 06 05",
			Page: "https://exempelbolaget.test/hjalp", PostalAddress: "Box 1\n111 11 Exempelstad"}
		full.DataProtection = &templates.Officer{Name: "Ann Exempel", Email: "dso@exempelbolaget.test"}
		full.PrivacyNotice, full.CookieSettings = "https://exempelbolaget.test/integritet", "https://exempelbolaget.test/kakor"
		full.AdPlatforms = []templates.AdPlatform{{Name: "Exempelnätet", Info: "https://natet.test/info", Settings: "https://natet.test/val"}}
		s.store.senders["exempel"] = full
		s.store.senders["a"] = templates.Sender{Name: "a", FromName: "Exempel & Söner <AB>", PostalAddress: "Box 1\n222 22 Exempelstad"}
		path := "/p/" + s.token(tracking.Preferences, 1, 0, anna) + "?lang=" + language
		golden(t, language+"-choices", withoutStyle(s.visit(http.MethodGet, path, "").body))
		visit := "visit=" + s.server.public.visitToken(tracking.NewVisit(1, anna, s.now))
		golden(t, language+"-chosen", withoutStyle(s.visit(http.MethodPost, path, visit+"&choice=kind&choice=pause30&choice=everything", "Content-Type", form).body))
		golden(t, language+"-undone", withoutStyle(s.visit(http.MethodPost, path, visit+"&undo=1", "Content-Type", form).body))
	}
}

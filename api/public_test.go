package api

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image/gif"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a page with its file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "pages", name+".html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

var visitField = regexp.MustCompile(`name="visit" value="[^"]*"`)

// withoutStyle keeps a change of the style sheet from changing every golden
// file, and so does it with what is another one every time.
func withoutStyle(page string) string {
	before, rest, _ := strings.Cut(page, "<style>")
	_, after, _ := strings.Cut(rest, "</style>")
	return visitField.ReplaceAllString(before+after, `name="visit" value="VISIT"`)
}

var anna = audience.Key{1, 2, 3}

func (s *site) token(purpose tracking.Purpose, group, link int64, key audience.Key) string {
	return s.signer.Sign(tracking.Token{Purpose: purpose, Group: group, Link: link, Key: key})
}

// newPublicSite has one group a channel, 1 to 3, and one link.
func newPublicSite(t testing.TB) *site {
	s := newSite(t, nil)
	s.store.groups = map[int64]audience.Channel{1: audience.Email, 2: audience.SMS, 3: audience.Push}
	s.store.links = map[int64]string{1: "https://example.com/höst?a=1&b=<2>", 2: "javascript:alert(1)", 3: "https:///nowhere"}
	return s
}

func (s *site) untouched(t testing.TB) {
	t.Helper()
	if n, m := len(s.store.recorded()), len(s.store.happened()); n > 0 || m > 0 {
		t.Errorf("%d wishes and %d events were recorded", n, m)
	}
}

func TestUnsubscribeBothWays(t *testing.T) {
	var multi bytes.Buffer
	w := multipart.NewWriter(&multi)
	if err := w.WriteField("List-Unsubscribe", "One-Click"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for name, c := range map[string]struct{ kind, body string }{
		"one click, urlencoded": {form, "List-Unsubscribe=One-Click"},
		"one click, multipart":  {w.FormDataContentType(), multi.String()},
		"the form":              {form, ""},
		"nothing at all":        {"", ""},
		"something else":        {"application/json", strings.Repeat("x", maxOneClick)},
	} {
		for group, channel := range map[int64]string{1: "email", 2: "sms", 3: "push", 99: "*"} {
			s := newPublicSite(t)
			a := s.visit(http.MethodPost, "/u/"+s.token(tracking.Unsubscribe, group, 0, anna), c.body, "Content-Type", c.kind, "Cookie", "utskick=x")
			a.want(t, http.StatusOK)
			want := suppression.Unsubscribe(anna, audience.Channel(channel), group)
			got := s.store.recorded()
			if len(got) == 1 && len(got[0].Visit) == 16 {
				want.Visit = got[0].Visit
			}
			if diff := cmp.Diff([]suppression.Wish{want}, got); diff != "" {
				t.Errorf("%s by %s (-want +got):\n%s", name, channel, diff)
			}
			if a.header.Get("Set-Cookie") != "" || a.header.Get("Location") != "" || !strings.Contains(a.body, "You are unsubscribed") {
				t.Errorf("%s is answered with %v %s", name, a.header, a.body)
			}
		}
	}
}

func TestLookingChangesNothing(t *testing.T) {
	s := newPublicSite(t)
	token := s.token(tracking.Unsubscribe, 1, 0, anna)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodPatch, "PROPFIND"} {
		choices := s.token(tracking.Preferences, 1, 0, anna)
		for _, path := range []string{"/u/" + token, "/u/" + token + "?List-Unsubscribe=One-Click", "/u/" + token + "?lang=sv",
			"/p/" + choices, "/p/" + choices + "?choice=everything", "/p/" + choices + "?undo=1&choice=email"} {
			want := http.StatusMethodNotAllowed
			if method == http.MethodGet || method == http.MethodHead {
				want = http.StatusOK
			}
			if a := s.visit(method, path, "List-Unsubscribe=One-Click", "Content-Type", form); a.status != want {
				t.Errorf("%s %s: got %d", method, path, a.status)
			}
		}
	}
	for _, method := range []string{http.MethodOptions, http.MethodPost} {
		s.visit(method, "/o/"+s.token(tracking.Open, 1, 0, anna)+".gif", "")
		s.visit(method, "/c/"+s.token(tracking.Click, 1, 1, anna), "")
	}
	s.untouched(t)
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	s := newPublicSite(t)
	good := s.token(tracking.Unsubscribe, 1, 0, anna)
	paths := []string{"/", "/u/" + good, "/u/x", "/p/x", "/p/" + s.token(tracking.Preferences, 1, 0, anna), "/o/x.gif", "/c/x", "/c/" + s.token(tracking.Click, 1, 1, anna), "/robots.txt", "/favicon.ico", "//u/" + good, "/u/../u/" + good}
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			a := s.visit(method, path, "")
			for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow", "X-Content-Type-Options": "nosniff"} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s %s: %s is %q", method, path, name, got)
				}
			}
			if policy := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s %s: policy %q", method, path, policy)
			}
			if method == http.MethodPost && a.status >= 300 && a.status < 400 {
				t.Errorf("POST %s is redirected", path)
			}
			if a.header.Get("Set-Cookie") != "" || strings.Contains(a.body, "<script") {
				t.Errorf("%s %s sets a cookie or runs a script", method, path)
			}
		}
	}
}

// badTokens are not ours, each for another reason.
func (s *site) badTokens(purpose tracking.Purpose) map[string]string {
	good := s.token(purpose, 1, 1, anna)
	foreign, err := tracking.NewSigner([]byte(strings.Repeat("foreign", 6)))
	if err != nil {
		s.t.Fatal(err)
	}
	altered := []byte(good)
	altered[5] ^= 1
	other := tracking.Preferences
	if purpose == other {
		other = tracking.Unsubscribe
	}
	return map[string]string{
		"empty": "", "nonsense": "x", "truncated": good[:len(good)-1], "longer": good + "A", "altered": string(altered), "another purpose": s.token(other, 1, 1, anna),
		"foreign": foreign.Sign(tracking.Token{Purpose: purpose, Group: 1, Link: 1, Key: anna}), "very long": strings.Repeat("A", 4000),
		"a path behind it": good + "/x", "padding": good + "=", "line feed": good + "%0A", "slash": "%2F", "null": "%00",
	}
}

func TestBadTokensAreAllAlike(t *testing.T) {
	for _, c := range []struct {
		purpose tracking.Purpose
		method  string
		path    string
		unknown string // a token that is ours and leads nowhere
	}{
		{tracking.Unsubscribe, http.MethodGet, "/u/", ""},
		{tracking.Unsubscribe, http.MethodPost, "/u/", ""},
		{tracking.Preferences, http.MethodGet, "/p/", ""},
		{tracking.Preferences, http.MethodPost, "/p/", ""},
		{tracking.Click, http.MethodGet, "/c/", "unknown link"},
		{tracking.Open, http.MethodGet, "/o/", ""},
	} {
		s := newPublicSite(t)
		var first answer
		tokens := s.badTokens(c.purpose)
		if c.purpose == tracking.Unsubscribe || c.purpose == tracking.Preferences {
			tokens["nobody"] = s.token(c.purpose, 1, 0, audience.Key{})
		}
		if c.purpose == tracking.Click {
			tokens["an unknown link"] = s.token(tracking.Click, 1, 77, anna)
			tokens["bait of nobody"] = s.token(tracking.Bait, 1, 0, audience.Key{})
			tokens["no link"] = s.token(tracking.Click, 1, 0, anna)
			tokens["a target that is no web address"] = s.token(tracking.Click, 1, 2, anna)
			tokens["a target without a host"] = s.token(tracking.Click, 1, 3, anna)
		}
		for name, token := range tokens {
			a := s.visit(c.method, c.path+token, "List-Unsubscribe=One-Click", "Content-Type", form)
			if first.header == nil {
				first = a
			}
			if diff := cmp.Diff(first, a, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("%s %s, %s:\n%s", c.method, c.path, name, diff)
			}
		}
		want := http.StatusNotFound
		if c.purpose == tracking.Open {
			want = http.StatusOK
		}
		first.want(t, want)
		s.untouched(t)
		if c.purpose != tracking.Click && s.store.reads > 0 {
			t.Errorf("%s: the store was asked before the token was verified", c.path)
		}
	}
}

func TestAnUnsubscribeThatIsNotRecordedIsNotAcknowledged(t *testing.T) {
	s := newPublicSite(t)
	token := s.token(tracking.Unsubscribe, 1, 0, anna)
	s.visit(http.MethodGet, "/u/"+token, "").want(t, http.StatusOK)
	s.store.fail(errDown)
	a := s.visit(http.MethodPost, "/u/"+token, "", "Accept-Language", "sv")
	a.want(t, http.StatusServiceUnavailable)
	if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "kundservice@exempelbolaget.test") || !strings.Contains(a.body, "Exempelgatan 1") {
		t.Errorf("it is answered without whom to write to: %v %s", a.header, a.body)
	}
	if !strings.Contains(a.body, "<form") {
		t.Error("it does not offer to try again")
	}
	// The form needs nothing of the database, but what it says it covers.
	for group, title := range map[int64]string{1: "Avsluta reklam via e-post", 2: "Avsluta reklam från oss"} {
		a := s.visit(http.MethodGet, "/u/"+s.token(tracking.Unsubscribe, group, 0, anna), "", "Accept-Language", "sv")
		a.want(t, http.StatusOK)
		if !strings.Contains(a.body, "<h1>"+title+"</h1>") || !strings.Contains(a.body, "<form") {
			t.Errorf("the form without a database: %s", a.body)
		}
	}
	if strings.Contains(s.log.String(), token) || strings.Contains(s.log.String(), anna.String()) || !strings.Contains(s.log.String(), anna.Short()) {
		t.Error("the log has the token or the key, or not enough: " + s.log.String())
	}
	s.store.fail(nil)
	s.visit(http.MethodPost, "/u/"+token, "").want(t, http.StatusOK)
}

func TestTheSendersAreAskedForAgain(t *testing.T) {
	s := newPublicSite(t)
	named := func() bool {
		return strings.Contains(s.visit(http.MethodGet, "/u/x", "").body, "kundservice@exempelbolaget.test")
	}
	s.store.fail(errDown)
	if named() {
		t.Fatal("they are known without a database")
	}
	s.store.fail(nil)
	s.now = s.now.Add(askAgain)
	if !named() {
		t.Error("they are not asked for again")
	}
	s.store.fail(errDown)
	s.now = s.now.Add(time.Hour)
	if !named() {
		t.Error("they are forgotten when the database goes away")
	}
}

func TestAnUnsubscribeIsAnsweredWhenItIsRecordedAndNotBefore(t *testing.T) {
	s := newPublicSite(t)
	path := "/u/" + s.token(tracking.Unsubscribe, 1, 0, anna)
	s.store.record = func(context.Context) error { return errDown }
	a := s.visit(http.MethodPost, path, "")
	a.want(t, http.StatusServiceUnavailable)
	if strings.Contains(a.body, "You are unsubscribed") {
		t.Error("what was not recorded is acknowledged")
	}

	began, release := make(chan struct{}), make(chan struct{})
	s.store.record = func(ctx context.Context) error {
		close(began)
		<-release
		return ctx.Err()
	}
	ctx, hangUp := context.WithCancel(t.Context())
	w, answered := httptest.NewRecorder(), make(chan struct{})
	go func() {
		s.server.Public().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil).WithContext(ctx))
		close(answered)
	}()
	<-began
	select {
	case <-answered:
		t.Fatal("it is answered before it is recorded")
	default:
	}
	hangUp() // whoever hangs up now has still told us
	close(release)
	<-answered
	if w.Code != http.StatusOK || len(s.store.recorded()) != 1 {
		t.Errorf("got %d, and %d wishes are recorded", w.Code, len(s.store.recorded()))
	}
}

func TestTheBodyOfOneClickIsBounded(t *testing.T) {
	s := newPublicSite(t)
	a := s.visit(http.MethodPost, "/u/"+s.token(tracking.Unsubscribe, 1, 0, anna), strings.Repeat("x", maxOneClick+1))
	a.want(t, http.StatusRequestEntityTooLarge)
	s.untouched(t)
}

func TestOpens(t *testing.T) {
	s := newPublicSite(t)
	path := "/o/" + s.token(tracking.Open, 1, 0, anna) + ".gif"
	open := func() {
		t.Helper()
		a := s.visit(http.MethodGet, path, "", "User-Agent", browser)
		a.want(t, http.StatusOK)
		if img, err := gif.Decode(strings.NewReader(a.body)); err != nil || img.Bounds().Dx() != 1 || a.header.Get("Content-Type") != "image/gif" {
			t.Errorf("the pixel: %v", err)
		}
	}
	open()
	s.now = s.now.Add(20 * time.Second)
	open() // within the same minute
	if got := s.store.happened(); len(got) != 1 || got[0].Type != tracking.Opens || got[0].Group != 1 || got[0].Key != anna || !got[0].At.Equal(s.now) {
		t.Errorf("two looks in a minute are %+v", got)
	}
	s.now = s.now.Add(time.Minute)
	open()
	if got := s.store.happened(); len(got) != 2 {
		t.Errorf("and one later %+v", got)
	}
	s.visit(http.MethodGet, "/o/"+s.token(tracking.Open, 1, 0, audience.Key{})+".gif", "").want(t, http.StatusOK)
	if got := s.store.happened(); len(got) != 2 {
		t.Error("an open of nobody was recorded")
	}
	s.store.fail(errDown)
	s.visit(http.MethodGet, path, "").want(t, http.StatusServiceUnavailable)
	s.visit(http.MethodGet, "/o/x.gif", "").want(t, http.StatusOK)
}

func TestClicks(t *testing.T) {
	s := newPublicSite(t)
	personal, anonymous := "/c/"+s.token(tracking.Click, 1, 1, anna), "/c/"+s.token(tracking.Click, 1, 1, audience.Key{})
	click := func(method, path string, want int) {
		t.Helper()
		a := s.visit(method, path, "", "User-Agent", browser)
		a.want(t, http.StatusFound)
		if got := a.header.Get("Location"); got != "https://example.com/h%C3%B6st?a=1&b=<2>" || a.body != "" {
			t.Errorf("a click leads to %q, %q", got, a.body)
		}
		if got := len(s.store.happened()); got != want {
			t.Errorf("%s %s: %d events, want %d", method, path, got, want)
		}
	}
	click(http.MethodHead, personal, 1)
	click(http.MethodGet, personal, 2)
	click(http.MethodGet, personal, 2) // the same second
	s.now = s.now.Add(time.Second)
	click(http.MethodGet, personal, 3)
	click(http.MethodGet, anonymous, 4)
	click(http.MethodGet, anonymous, 5)
	for i, e := range s.store.happened() {
		if i == 0 == (e.Machine == "") || e.Key.IsZero() != (e.Requester == 0) || e.Agent != tracking.Computer {
			t.Errorf("event %d is by %q, %q, %d", i, e.Machine, e.Agent, e.Requester)
		}
		if e.Type != tracking.Clicks || e.Link != 1 || e.Group != 1 || (e.Key != anna && !e.Key.IsZero()) {
			t.Errorf("event %+v", e)
		}
	}
	if s.store.reads != 1 {
		t.Errorf("one target was read %d times", s.store.reads)
	}
	s.store.fail(errDown)
	s.visit(http.MethodGet, personal, "").want(t, http.StatusServiceUnavailable)
	s.visit(http.MethodGet, "/c/"+s.token(tracking.Click, 1, 9, anna), "").want(t, http.StatusServiceUnavailable)
	if a := s.visit(http.MethodGet, personal, ""); a.header.Get("Location") != "" {
		t.Error("a click that is not recorded leads on")
	}
}

func TestTargetsAreForgottenBeforeTheyFillTheMemory(t *testing.T) {
	s := newPublicSite(t)
	for i := range int64(maxTargets + 10) {
		s.store.links[i+1] = "https://example.com/"
		if _, err := s.server.public.targets.get(t.Context(), i+1); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.server.public.targets.known); n > maxTargets {
		t.Errorf("%d targets are remembered", n)
	}
}

func TestLanguages(t *testing.T) {
	s := newPublicSite(t)
	path := "/u/" + s.token(tracking.Unsubscribe, 1, 0, anna)
	for _, c := range []struct{ query, accept, want string }{
		{"", "", "en"}, {"", "sv-SE,sv;q=0.9,en;q=0.8", "sv"}, {"", "en-GB,sv;q=0.5", "en"}, {"", "de", "en"}, {"", "fi,sv;q=0.8", "sv"}, {"", "\x00;;q=", "en"},
		{"?lang=sv", "en", "sv"}, {"?lang=en", "sv", "en"}, {"?lang=<x>", "sv", "sv"},
	} {
		a := s.visit(http.MethodGet, path+c.query, "", "Accept-Language", c.accept)
		if !strings.Contains(a.body, `<html lang="`+c.want+`">`) {
			t.Errorf("%q with %q is not in %s", c.query, c.accept, c.want)
		}
	}
}

func TestPublicPages(t *testing.T) {
	for _, language := range []string{"sv", "en"} {
		for group, channel := range map[int64]string{1: "email", 2: "sms", 3: "push", 99: "any"} {
			s := newPublicSite(t)
			s.store.senders["other"] = templates.Sender{Name: "other", FromName: "Exempel & Söner <AB>", PostalAddress: "Box 1\n222 22 Exempelstad"}
			delete(s.store.senders, "exempel")
			path := "/u/" + s.token(tracking.Unsubscribe, group, 0, anna) + "?lang=" + language
			golden(t, fmt.Sprintf("%s-unsubscribe-%s", language, channel), withoutStyle(s.visit(http.MethodGet, path, "").body))
			golden(t, fmt.Sprintf("%s-unsubscribed-%s", language, channel), withoutStyle(s.visit(http.MethodPost, path, "").body))
		}
		s := newPublicSite(t)
		golden(t, language+"-missing", withoutStyle(s.visit(http.MethodGet, "/u/x?lang="+language, "").body))
		s.store.fail(errDown)
		golden(t, language+"-unavailable", withoutStyle(s.visit(http.MethodPost, "/u/"+s.token(tracking.Unsubscribe, 1, 0, anna)+"?lang="+language, "").body))
	}
}

// TestTheSenderOfTheMessageAmongMany: a page names five senders at its end, and all
// that it says of the message's own, wherever that one's name is in the alphabet.
func TestTheSenderOfTheMessageAmongMany(t *testing.T) {
	c := &customer{site: newSubscriptionSite(t)}
	own := c.store.senders["exempel"]
	own.CustomerService = &templates.CustomerService{Phone: "+46 70 174 06 05"}
	own.DataProtection = &templates.Officer{Email: "dso@exempelbolaget.test"}
	own.CookieSettings = "https://exempelbolaget.test/kakor"
	own.AdPlatforms = []templates.AdPlatform{{Name: "Exempelnätet", Info: "https://natet.test/info"}}
	c.store.senders["exempel"] = own
	for _, name := range []string{"a", "b", "c", "d", "e1", "x"} {
		c.store.senders[name] = templates.Sender{Name: name, FromName: "Bolaget " + name, PostalAddress: "Box 1"}
	}
	says := func(want ...string) {
		t.Helper()
		for _, text := range append(want, "<strong>Exempelbolaget</strong>") {
			if !strings.Contains(c.page.body, text) {
				t.Errorf("it does not say %q", text)
			}
		}
		if n := strings.Count(c.page.body, "<address>"); n != mostSenders || strings.Contains(c.page.body, "Bolaget x") {
			t.Errorf("its end names %d senders", n)
		}
	}
	c.open("/u/" + c.token(tracking.Unsubscribe, 1, 0, anna))
	says("From: <strong>Exempelbolaget", "Newsletter &lt;1&gt;")
	path := "/p/" + c.token(tracking.Preferences, 1, 0, anna)
	c.open(path)
	says("70 174 06 05", "dso@exempelbolaget.test", "https://exempelbolaget.test/kakor", "https://natet.test/info", "Newsletter &lt;1&gt;")
	c.send("choice", "email")
	c.open(path)
	c.send("return", "email")
	c.page.want(t, http.StatusOK)
	if got := c.store.asked.askings; len(got) != 1 || got[0].Sender != "exempel" {
		t.Errorf("asked: %+v", got)
	}
	c.store.asked.requests = []suppression.Confirmation{{ID: 1, Sender: "exempel", Topic: "offer"}}
	c.open("/s/" + c.token(tracking.Confirm, 1, 0, anna))
	says("Newsletter &lt;1&gt;")
	c.store.fail(errDown)
	c.page = c.visit(http.MethodPost, path, "choice=sms", "Content-Type", form)
	c.page.want(t, http.StatusServiceUnavailable)
	says()
}

// TestTryAgain: what is sent again says what the form said, or is not offered.
func TestTryAgain(t *testing.T) {
	s := newSubscriptionSite(t)
	s.store.asked.requests = []suppression.Confirmation{{ID: 1, Sender: "exempel", Topic: "offer", Wider: true}}
	paths := map[string]string{"u": "/u/" + s.token(tracking.Unsubscribe, 1, 0, anna), "p": "/p/" + s.token(tracking.Preferences, 1, 0, anna),
		"s": "/s/" + s.token(tracking.Confirm, 1, 0, anna)}
	const wider, button = `name="wider" value="1"`, `<form method="post"`
	s.store.fail(errDown)
	for body, want := range map[string]bool{"wider=1": true, "": false} {
		a := s.visit(http.MethodPost, paths["s"], body, "Content-Type", form)
		if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, button) || strings.Contains(a.body, wider) != want {
			t.Errorf("%q was not confirmed: %d %s", body, a.status, a.body)
		}
	}
	if a := s.visit(http.MethodGet, paths["s"], ""); strings.Contains(a.body, button) {
		t.Error("a page that was looked at offers to send a form")
	}
	away, _ := newAwaySite(t)
	if a := away.visit(http.MethodPost, paths["s"], "wider=1", "Content-Type", form); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, wider) {
		t.Errorf("while the database is away: %d %s", a.status, a.body)
	}
	// At overload, and after a panic, nobody has read the form.
	for kind, path := range paths {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("choice=everything&wider=1"))
		r.Header.Set("Content-Type", form)
		a := ask(http.HandlerFunc(s.server.public.unavailable), r)
		a.want(t, http.StatusServiceUnavailable)
		if offered := strings.Contains(a.body, button); offered != (kind == "u") {
			t.Errorf("%s: offers to send a form again that nobody has read: %v", kind, offered)
		}
	}
}

func TestBothLanguagesSayEverything(t *testing.T) {
	for _, w := range []words{english, swedish} {
		saysEverything(t, w.Language, reflect.ValueOf(w))
		for _, channel := range append([]audience.Channel{anyChannel, ownChannel}, audience.Channels...) {
			if s := w.Scopes[channel]; s.Title == "" || s.Will == "" || s.Did == "" || w.Messages[channel] == "" {
				t.Errorf("%s says nothing of %s", w.Language, channel)
			}
		}
		for _, channel := range []audience.Channel{audience.Email, audience.SMS, audience.Push, audience.Post, audience.Phone} {
			if w.By[channel] == "" {
				t.Errorf("%s says nothing of a wish by %s", w.Language, channel)
			}
		}
		for _, c := range suppression.Choices {
			if w.Choices[c] == "" {
				t.Errorf("%s says nothing of the choice %s", w.Language, c)
			}
		}
		for _, p := range suppression.Purposes {
			if p != suppression.Marketing && w.Holds.Data[p] == "" {
				t.Errorf("%s says nothing of a wish against %s", w.Language, p)
			}
		}
	}
	// What one language says with a name in it, the other does.
	count := func(w words) (n []int) {
		for _, text := range textsOf(reflect.ValueOf(w)) {
			n = append(n, strings.Count(text, "%"))
		}
		return n
	}
	if diff := cmp.Diff(count(english), count(swedish)); diff != "" {
		t.Error("the languages have other places for names: " + diff)
	}
}

func saysEverything(t *testing.T, where string, v reflect.Value) {
	t.Helper()
	for _, text := range textsOf(v) {
		if text == "" {
			t.Errorf("%s has an empty text", where)
		}
	}
}

// textsOf lists the texts of a struct, with those of its lists and structs.
func textsOf(v reflect.Value) (texts []string) {
	switch v.Kind() {
	case reflect.String:
		return []string{v.String()}
	case reflect.Struct:
		for i := range v.NumField() {
			texts = append(texts, textsOf(v.Field(i))...)
		}
	case reflect.Array:
		for i := range v.Len() {
			texts = append(texts, textsOf(v.Index(i))...)
		}
	}
	return texts
}

func FuzzPublicPaths(f *testing.F) {
	for _, path := range []string{"/u/", "/u/x", "/p/", "/p/x", "/o/x.gif", "/c/%00", "//", "/u/../c/x", "/robots.txt", "/u/dQEBAIHzXRfobuxgDGZiqTOgYlgNgoQD1r7eZ-14OUA"} {
		f.Add(path, true)
	}
	s := newPublicSite(f)
	f.Fuzz(func(t *testing.T, path string, post bool) {
		r, err := http.NewRequest(map[bool]string{true: http.MethodPost, false: http.MethodGet}[post], "http://example.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Path, r.Body = path, http.NoBody
		a := ask(s.server.Public(), r)
		switch a.status {
		case http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed:
		default:
			t.Errorf("got %d", a.status)
		}
		s.untouched(t)
		if s.store.reads > 0 {
			t.Error("the store was asked")
		}
	})
}

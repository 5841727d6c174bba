package e2e

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/examples"
)

const urlencoded = "application/x-www-form-urlencoded"

var (
	preferencesLink = regexp.MustCompile(regexp.QuoteMeta(publicURL) + `/p/[A-Za-z0-9_-]+`)
	visitField      = regexp.MustCompile(`name="visit" value="([^"]+)"`)
	choicesForm     = regexp.MustCompile(`action="\.\.(/p/[^"]+)"`)
)

// sendForm sends a form of a page as a browser does, and returns the next page.
func sendForm(t *testing.T, p *process, page string, fields ...string) (*http.Response, string) {
	t.Helper()
	visit, action := visitField.FindStringSubmatch(page), choicesForm.FindStringSubmatch(page)
	if visit == nil || action == nil {
		t.Fatalf("no form in %s", page)
	}
	form := url.Values{"visit": {visit[1]}}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return ask(t, http.MethodPost, p.public+action[1], "", urlencoded, form.Encode())
}

// TestEveryChoiceIsHeeded: whoever chose something on her pages is left out of
// the next campaigns as she chose, on each channel, and the report and her
// history say why.
func TestEveryChoiceIsHeeded(t *testing.T) {
	w := newWorld(t, map[string]string{"UTSKICK_EMAIL": "outbox", "UTSKICK_SMS": "outbox", "UTSKICK_PUSH": "outbox"})
	choices := []string{"kind", "email", "sms", "push", "post", "phone", "marketing", "everything", "pause30", "pause90", "profiling", "ads", "opens", "undone", "none"}
	var b strings.Builder
	b.WriteString("external_id,email,phone,push_token,locale,tier,points,city,basis,basis_evidence\n")
	for i, c := range choices {
		fmt.Fprintf(&b, "%s,%s@example.com,+467017406%02d,token-%s,sv-SE,guld,10,Umeå,consent,form\n", c, c, 5+i, c)
	}
	w.must("contacts", "import", w.file("contacts.csv", b.String()))
	w.must("senders", "save", w.alwaysTracking())
	for _, name := range []string{examples.EmailTemplate, examples.SMSTemplate, examples.PushTemplate} {
		w.must("templates", "save", w.example(name))
	}
	launch := func(name, topic string) {
		w.must("campaigns", "create", name, "--sender", "exempelbolaget", "--topic", topic, "--email", "host-email", "--sms", "host-sms", "--push", "host-push")
		w.must("campaigns", "launch", name)
		w.ended(name)
	}
	key := w.key()
	p := w.serve("serve")
	launch("first", "newsletter")
	for _, c := range choices[:len(choices)-1] {
		res, page := get(t, p.at(preferencesLink.FindString(mailTo(t, w.outbox("email"), c+"@example.com").HTML)))
		if res.StatusCode != http.StatusOK || !strings.Contains(page, "Nyhetsbrev") || strings.Contains(page, c+"@") {
			t.Fatalf("%s: %s, %s", c, res.Status, page)
		}
		chosen := c
		if c == "undone" {
			chosen = "everything"
		}
		if res, page = sendForm(t, p, page, "choice", chosen); res.StatusCode != http.StatusOK {
			t.Fatalf("%s is answered with %s", c, res.Status)
		}
		if c == "undone" {
			if res, _ = sendForm(t, p, page, "undo", "1"); res.StatusCode != http.StatusOK {
				t.Fatalf("the undo is answered with %s", res.Status)
			}
		}
	}
	before := map[string]int{}
	for _, ch := range []string{"email", "sms", "push"} {
		before[ch] = len(w.outbox(ch))
	}
	launch("second", "newsletter")
	launch("third", "offer")
	everywhere := map[string]string{"marketing": "unsubscribed", "everything": "objected", "pause30": "paused", "pause90": "paused"}
	for _, ch := range []string{"email", "sms", "push"} {
		all := 0
		for _, campaign := range []string{"second", "third"} {
			want := map[string]int64{}
			for _, c := range choices {
				cause := everywhere[c]
				if c == ch || c == "kind" && campaign == "second" {
					cause = "unsubscribed"
				}
				if cause != "" {
					want[cause]++
				}
				w.wantHistory(p, key, c, campaign, ch, cause)
			}
			for _, r := range w.report(campaign).Channels {
				if string(r.Channel) != ch {
					continue
				}
				if diff := cmp.Diff(want, r.Causes["suppressed"]); diff != "" || r.Sent+r.Suppressed != int64(len(choices)) {
					t.Errorf("%s by %s: %d sent, %s", campaign, ch, r.Sent, diff)
				}
				all += int(r.Sent)
			}
		}
		if got := len(w.outbox(ch)) - before[ch]; got != all {
			t.Errorf("%s: %d messages, %d by the reports", ch, got, all)
		}
	}
	for _, m := range w.outbox("email")[before["email"]:] {
		tracked := pixelLink.MatchString(m.HTML)
		if refused := strings.HasPrefix(m.To, "opens@"); tracked == refused {
			t.Errorf("%s: a pixel: %v", m.To, tracked)
		}
	}
}

// alwaysTracking is the example's sender, tracking whoever has not refused.
func (w *world) alwaysTracking() string {
	w.t.Helper()
	content, err := fs.ReadFile(examples.Files, examples.Sender)
	if err != nil {
		w.t.Fatal(err)
	}
	changed := strings.Replace(string(content), `"open_tracking": "consent"`, `"open_tracking": "always"`, 1)
	if changed == string(content) {
		w.t.Fatal("the example's sender does not track by consent")
	}
	return w.file("sender.json", changed)
}

// wantHistory wants the history of a contact to say that a message was sent, or
// withheld for a cause.
func (w *world) wantHistory(p *process, key, contact, campaign, channel, cause string) {
	w.t.Helper()
	var history []struct{ Campaign, Channel, Outcome, Cause string }
	_, body := ask(w.t, http.MethodGet, p.operator+"/v1/contacts/"+contact+"/history", key, "", "")
	decode(w.t, body, &history)
	want := map[bool]string{true: "sent ", false: "suppressed " + cause}[cause == ""]
	for _, c := range history {
		if c.Campaign == campaign && c.Channel == channel {
			if got := c.Outcome + " " + c.Cause; got != want {
				w.t.Errorf("%s, %s by %s: %q, want %q", contact, campaign, channel, got, want)
			}
			return
		}
	}
	w.t.Errorf("%s: the history has no %s by %s: %s", contact, campaign, channel, body)
}

// TestCrawlersChangeNothingAndClicksDo: every link of 1,000 messages is opened
// in every way that changes nothing, and then 1,000 are left by one click.
func TestCrawlersChangeNothingAndClicksDo(t *testing.T) {
	const left, stay = 1000, 20
	w := newWorld(t, outboxOnly)
	w.prepare(left + stay)
	p := w.serve("serve")
	w.launch("first")
	w.ended("first")
	mails := w.outbox("email")
	before := w.must("suppressions", "export")
	links := map[string]bool{}
	for _, m := range mails {
		for _, link := range anyLink.FindAllString(m.HTML+" "+m.Text+" "+m.Header.Get("List-Unsubscribe"), -1) {
			links[strings.TrimSuffix(link, ".")] = true
		}
		if !preferencesLink.MatchString(m.HTML) || !preferencesLink.MatchString(m.Text) {
			t.Fatalf("%s: no link to the preferences", m.File)
		}
	}
	var requests []func()
	for link := range links {
		requests = append(requests, func() {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
				res, _ := ask(t, method, p.at(link), "", "", "")
				if method == http.MethodGet && res.StatusCode >= 400 {
					t.Errorf("GET %s answers %s", link, res.Status)
				}
			}
		})
	}
	inParallel(requests)
	if len(links) < 5*len(mails)/2 {
		t.Errorf("only %d links were followed", len(links))
	}
	if diff := cmp.Diff(before, w.must("suppressions", "export")); diff != "" {
		t.Error("looking changed the suppressions: " + diff)
	}
	if r := w.report("first").Channels[0]; r.Unsubscribed != 0 {
		t.Errorf("%d are counted as unsubscribed by looking", r.Unsubscribed)
	}
	requests = nil
	for _, m := range mails[:left] {
		requests = append(requests, func() {
			res, _ := ask(t, http.MethodPost, p.at(strings.Trim(m.Header.Get("List-Unsubscribe"), "<>")), "", urlencoded, "List-Unsubscribe=One-Click")
			if res.StatusCode != http.StatusOK || len(res.Cookies()) > 0 {
				t.Errorf("one click is answered with %s, %d cookies", res.Status, len(res.Cookies()))
			}
		})
	}
	inParallel(requests)
	// Each is written for the address and the contact.
	if got := strings.Count(w.must("suppressions", "export"), "unsubscribed"); got != 2*left {
		t.Errorf("%d entries, want %d", got, 2*left)
	}
	if r := w.report("first").Channels[0]; r.Unsubscribed != left {
		t.Errorf("%d are counted as unsubscribed, want %d", r.Unsubscribed, left)
	}
	w.launch("second")
	if r := w.ended("second"); r.Sent != stay || r.Causes["suppressed"]["unsubscribed"] != left {
		t.Errorf("the second campaign: %+v", r)
	}
	// Looking has changed no consent either: who was tracked is.
	for _, m := range w.outbox("email")[len(mails):] {
		var n int
		if _, err := fmt.Sscanf(m.To, "c%d@", &n); err != nil || pixelLink.MatchString(m.HTML) != (n%2 == 0) {
			t.Errorf("%s: a pixel: %v", m.To, n%2 != 0)
		}
	}
}

// inParallel makes requests four at a time.
func inParallel(requests []func()) {
	var wg sync.WaitGroup
	next := make(chan func())
	for range 4 {
		wg.Go(func() {
			for request := range next {
				request()
			}
		})
	}
	for _, request := range requests {
		next <- request
	}
	close(next)
	wg.Wait()
}

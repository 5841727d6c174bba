package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"utskick/dispatcher"
	"utskick/examples"
)

// prepare imports n contacts with an e-mail address and a basis, every second
// of whom consents to open tracking, and saves the example sender and template.
func (w *world) prepare(n int) {
	w.t.Helper()
	var b strings.Builder
	b.WriteString("external_id,email,first_name,locale,tier,points,city,basis,basis_evidence,consent.open_tracking\n")
	for i := range n {
		tracking := ""
		if i%2 == 0 {
			tracking = "yes"
		}
		fmt.Fprintf(&b, "c%d,c%d@example.com,Namn %d,sv-SE,guld,10,Umeå,consent,form,%s\n", i, i, i, tracking)
	}
	w.must("contacts", "import", w.file("contacts.csv", b.String()))
	w.must("senders", "save", w.example(examples.Sender))
	w.must("templates", "save", w.example(examples.EmailTemplate))
}

func (w *world) example(name string) string {
	w.t.Helper()
	content, err := fs.ReadFile(examples.Files, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.file("example.json", string(content))
}

// launch creates and launches an e-mail campaign.
func (w *world) launch(name string) {
	w.t.Helper()
	var template struct{ Name string }
	content, err := fs.ReadFile(examples.Files, examples.EmailTemplate)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(content, &template); err != nil {
		w.t.Fatal(err)
	}
	w.must("campaigns", "create", name, "--sender", "exempelbolaget", "--topic", "newsletter", "--email", template.Name)
	w.must("campaigns", "launch", name)
}

// ended waits until a campaign's run has ended and returns its report.
func (w *world) ended(name string) dispatcher.ChannelReport {
	w.t.Helper()
	var r dispatcher.Report
	until(w.t, name+" ends", func() bool { r = w.report(name); return r.State.Ended() })
	return r.Channels[0]
}

func mailTo(t *testing.T, mails []captured, address string) captured {
	t.Helper()
	for _, m := range mails {
		if m.To == address {
			return m
		}
	}
	t.Fatalf("no mail to the contact")
	return captured{}
}

var outboxOnly = map[string]string{"UTSKICK_EMAIL": "outbox"}

// TestUnsubscribe follows one customer from her mail to her silence.
func TestUnsubscribe(t *testing.T) {
	w := newWorld(t, outboxOnly)
	w.prepare(40)
	p := w.serve("serve")
	w.launch("first")
	if got := w.ended("first"); got.Sent != 40 {
		t.Fatalf("first campaign: %+v", got)
	}
	link := unsubscribeLink.FindString(mailTo(t, w.outbox("email"), "c1@example.com").HTML)
	if out := w.must("suppressions", "check", "C1@Example.com"); out != "clear\n" {
		t.Errorf("before: %q", out)
	}
	if res, _ := get(t, p.at(link)); res.StatusCode != http.StatusOK {
		t.Errorf("GET: %s", res.Status)
	}
	if out := w.must("suppressions", "check", "c1@example.com"); out != "clear\n" {
		t.Errorf("after GET: %q", out)
	}
	res, _ := ask(t, http.MethodPost, p.at(link), "", "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click")
	if res.StatusCode != http.StatusOK || len(res.Cookies()) > 0 {
		t.Errorf("POST: %s, cookies %v", res.Status, res.Cookies())
	}
	if out := w.must("suppressions", "check", "c1@example.com"); out != "suppressed unsubscribed\n" {
		t.Errorf("after POST: %q", out)
	}
	w.launch("second")
	second := w.ended("second")
	p.stop()
	p = w.serve("serve")
	w.wantAudited(p)
	w.launch("third, after a restart")
	third := w.ended("third, after a restart")
	for _, c := range []dispatcher.ChannelReport{second, third} {
		if c.Sent != 39 || c.Causes["suppressed"]["unsubscribed"] != 1 {
			t.Errorf("a later campaign: %+v", c)
		}
	}
	if n := len(w.outbox("email")); n != 40+39+39 {
		t.Errorf("%d mails in the outbox", n)
	}
}

// wantAudited wants the metrics to say that the promises were recomputed and
// kept.
func (w *world) wantAudited(p *process) {
	w.t.Helper()
	key := w.key()
	var metrics string
	until(w.t, "an audit", func() bool {
		_, metrics = ask(w.t, http.MethodGet, p.operator+"/metrics", key, "", "")
		return strings.Contains(metrics, "utskick_audit_timestamp_seconds ")
	})
	kept := regexp.MustCompile(`(?m)^utskick_breaches\{name="\w+",promise="P\d"\} 0$`)
	if found := len(kept.FindAllString(metrics, -1)); found < 7 || found != strings.Count(metrics, "\nutskick_breaches{") {
		w.t.Errorf("%d promises are kept by the metrics:\n%s", found, metrics)
	}
}

// TestOpensAndClicks follows a contact who consents to open tracking and one
// who does not. Nobody clicks within seconds of the sending but a machine, which
// is what this test is.
func TestOpensAndClicks(t *testing.T) {
	w := newWorld(t, outboxOnly)
	w.prepare(4)
	key := w.key()
	p := w.serve("serve")
	w.launch("first")
	w.ended("first")
	mails := w.outbox("email")
	consenting, other := mailTo(t, mails, "c0@example.com"), mailTo(t, mails, "c1@example.com")
	pixel := pixelLink.FindString(consenting.HTML)
	if pixel == "" || pixelLink.MatchString(other.HTML) {
		t.Fatalf("pixels: %q, %q", pixel, pixelLink.FindString(other.HTML))
	}
	for range 2 {
		if res, _ := get(t, p.at(pixel)); res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "image/gif" {
			t.Errorf("pixel: %s", res.Status)
		}
	}
	click := clickLink.FindString(consenting.HTML)
	res, _ := get(t, p.at(click))
	if target := res.Header.Get("Location"); res.StatusCode != http.StatusFound || !strings.HasPrefix(target, "https://www.exempelbolaget.test/") {
		t.Errorf("click: %s to %q", res.Status, target)
	}
	get(t, p.at(clickLink.FindString(other.HTML)))
	before := w.report("first").Channels[0]
	if before.Opened != 1 || before.Clicked+before.ClickedByMachines != 2 || before.Clicked < 1 {
		t.Errorf("report: opened %d, want 1; clicked %d, and %d by machines, want one person and one without", before.Opened, before.Clicked, before.ClickedByMachines)
	}
	scanned(t, w, p, consenting.HTML)
	forged(t, p, pixel, click)
	if after := w.report("first").Channels[0]; after.Events["open"] != before.Events["open"] || after.Events["click"] != before.Events["click"] {
		t.Errorf("a forged token counted: %+v", after)
	}
	_, history := ask(t, http.MethodGet, p.operator+"/v1/contacts/c0/history", key, "", "")
	if strings.Count(history, `"open"`) != 1 || !strings.Contains(history, `"machine":"honeypot"`) || !strings.Contains(history, `"agent":"computer"`) {
		t.Errorf("history of the consenting contact: %s", history)
	}
	_, history = ask(t, http.MethodGet, p.operator+"/v1/contacts/c1/history", key, "", "")
	if strings.Contains(history, `"click"`) || !strings.Contains(history, `"sent"`) {
		t.Errorf("history of the other contact: %s", history)
	}
}

// forged asks with tokens that are not ours, and expects one answer for all.
func forged(t *testing.T, p *process, pixel, click string) {
	t.Helper()
	for _, route := range []struct{ good, prefix, suffix string }{{pixel, "/o/", ".gif"}, {click, "/c/", ""}} {
		token := strings.TrimSuffix(strings.TrimPrefix(route.good, publicURL+route.prefix), route.suffix)
		flipped := []byte(token)
		flipped[8] ^= 1
		foreign := strings.TrimPrefix(click, publicURL+"/c/")
		if route.prefix == "/c/" {
			foreign = strings.TrimSuffix(strings.TrimPrefix(pixel, publicURL+"/o/"), ".gif")
		}
		first := ""
		for _, bad := range []string{string(flipped), token[:len(token)-1], foreign, "x", token + token} {
			res, body := get(t, p.public+route.prefix+url.PathEscape(bad)+route.suffix)
			answer := res.Status + res.Header.Get("Location") + body
			if first == "" {
				first = answer
			}
			if answer != first || res.Header.Get("Location") != "" {
				t.Errorf("%s: a bad token is answered otherwise than the others: %s", route.prefix, res.Status)
			}
		}
	}
}

// scanned follows every link in a message, as a scanner does that looks like a
// browser: it is given away by the link that no person sees, and so is what it did
// before.
func scanned(t *testing.T, w *world, p *process, html string) {
	t.Helper()
	links := clickLink.FindAllString(html, -1)
	if bait := links[len(links)-1]; !strings.Contains(html, `<a href="`+bait+`" style="display:none" aria-hidden="true" tabindex="-1"></a>`) {
		t.Fatalf("the last link is %s", bait)
	}
	for _, link := range links {
		get(t, p.at(link))
	}
	c := w.report("first").Channels[0]
	if c.Opened != 0 || c.OpenedByMachines != 1 || c.Clicked != 1 || c.ClickedByMachines != 1 || len(c.Machines["open"]) != 1 || c.Machines["click"]["honeypot"] != 1 {
		t.Errorf("after a scanner: %+v", c)
	}
	if out := w.must("campaigns", "report", "first"); !strings.Contains(out, "email: machines alone opened 1 and clicked 1 of these messages") {
		t.Errorf("the report says\n%s", out)
	}
}

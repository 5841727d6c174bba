package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/examples"
)

var confirmLink = regexp.MustCompile(regexp.QuoteMeta(publicURL) + `/s/[A-Za-z0-9_-]+`)

// withNewsletter is the example's sender, whose newsletter is for subscribers.
func (w *world) withNewsletter() string {
	w.t.Helper()
	content, err := fs.ReadFile(examples.Files, examples.Sender)
	if err != nil {
		w.t.Fatal(err)
	}
	var sender map[string]any
	decode(w.t, string(content), &sender)
	sender["subscriptions"] = []string{"newsletter"}
	changed, err := json.Marshal(sender)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.file("sender.json", string(changed))
}

// confirmation waits for the mail that asks an address to confirm, beside the n
// that it has had, and returns where its link leads.
func (w *world) confirmation(p *process, address string, n int) string {
	w.t.Helper()
	var asked []captured
	until(w.t, "a confirmation goes out", func() bool {
		asked = slices.DeleteFunc(w.outbox("email"), func(m captured) bool { return m.To != address || !confirmLink.MatchString(m.Text) })
		return len(asked) > n
	})
	m := asked[n]
	if m.Header.Get("List-Unsubscribe") != "" || strings.Contains(m.Text, "/u/") || !strings.Contains(m.Text, "Exempelgatan 1") || confirmLink.FindString(m.HTML) != confirmLink.FindString(m.Text) {
		w.t.Errorf("the confirmation is %s", m.Text)
	}
	return p.at(confirmLink.FindString(m.Text))
}

// got returns who a campaign was sent to.
func (w *world) got(before int) (to []string) {
	for _, m := range w.outbox("email")[before:] {
		if !confirmLink.MatchString(m.Text) {
			to = append(to, m.To)
		}
	}
	slices.Sort(to)
	return to
}

// TestSubscribeLeaveAndReturn follows newsletters and customer mail, which are two
// things.
func TestSubscribeLeaveAndReturn(t *testing.T) {
	w := newWorld(t, outboxOnly)
	w.prepare(3)
	w.must("senders", "save", w.withNewsletter())
	key := w.key()
	p := w.serve("serve")
	subscribe := func(email string) {
		t.Helper()
		res, body := ask(t, http.MethodPost, p.operator+"/v1/subscriptions", key, "application/json",
			fmt.Sprintf(`{"email":%q,"sender":"exempelbolaget","topic":"newsletter","source":"https://www.exempelbolaget.test/"}`, email))
		if res.StatusCode != http.StatusAccepted || !strings.Contains(body, `"confirmation_needed"`) {
			t.Fatalf("%s: %s", res.Status, body)
		}
	}
	confirm := func(link string, fields string) string {
		t.Helper()
		before := w.must("suppressions", "export")
		if res, page := get(t, link); res.StatusCode != http.StatusOK || !strings.Contains(page, "Ingenting har ändrats") || before != w.must("suppressions", "export") {
			t.Fatalf("%s: %s", res.Status, page)
		}
		res, page := ask(t, http.MethodPost, link, "", urlencoded, fields)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", res.Status, page)
		}
		return page
	}
	send := func(name, topic string) []string {
		t.Helper()
		before := len(w.outbox("email"))
		w.must("campaigns", "create", name, "--sender", "exempelbolaget", "--topic", topic, "--email", "host-email")
		w.must("campaigns", "launch", name)
		w.ended(name)
		return w.got(before)
	}
	want := func(what string, got []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	const known, asked, unknown = "c0@example.com", "c1@example.com", "ny@example.com"
	for _, email := range []string{known, asked, unknown} {
		subscribe(email)
	}
	for _, email := range []string{known, unknown} {
		if page := confirm(w.confirmation(p, email, 0), ""); !strings.Contains(page, "Du prenumererar på ”Nyhetsbrev”") {
			t.Errorf("confirmed: %s", page)
		}
	}
	get(t, w.confirmation(p, asked, 0))
	want("the newsletter", send("letter", "newsletter"), known, unknown)
	if r := w.report("letter").Channels[0]; r.Causes["suppressed"]["no_basis"] != 2 {
		t.Errorf("the report: %+v", r)
	}
	want("customer mail", send("offer", "offer"), known, asked, "c2@example.com")

	// She leaves the newsletter alone, by the page of its message.
	letter := mailTo(t, w.outbox("email"), known)
	for _, m := range w.outbox("email") {
		if m.To == known && strings.HasPrefix(m.Header.Get("List-Id"), "Exempelbolaget newsletter") || m.To == known && strings.Contains(m.Header.Get("List-Id"), "newsletter.") {
			letter = m
		}
	}
	preferences := p.at(preferencesLink.FindString(letter.HTML))
	_, page := get(t, preferences)
	if !strings.Contains(page, "prenumererar på") {
		t.Errorf("it does not say which is which: %s", page)
	}
	sendForm(t, p, page, "choice", "kind")
	want("the newsletter after she left it", send("letter 2", "newsletter"), unknown)
	want("customer mail after she left the newsletter", send("offer 2", "offer"), known, asked, "c2@example.com")

	// She leaves all of it, and comes back by a mail to her address.
	ask(t, http.MethodPost, p.at(unsubscribeLink.FindString(letter.HTML)), "", urlencoded, "")
	want("customer mail after she left it, too", send("offer 3", "offer"), asked, "c2@example.com")
	_, page = get(t, preferences)
	if res, page := sendForm(t, p, page, "return", "email"); res.StatusCode != http.StatusOK || !strings.Contains(page, "Titta i din inkorg") || strings.Contains(page, "c0@") {
		t.Fatalf("%s: %s", res.Status, page)
	}
	want("customer mail after she asked", send("offer 4", "offer"), asked, "c2@example.com")
	if page := confirm(w.confirmation(p, known, 1), ""); !strings.Contains(page, "reklam via e-post igen") {
		t.Errorf("confirmed: %s", page)
	}
	want("customer mail after she confirmed", send("offer 5", "offer"), known, asked, "c2@example.com")
	want("the newsletter, which she did not ask for again", send("letter 3", "newsletter"), unknown)
	res, body := ask(t, http.MethodGet, p.operator+"/v1/contacts/c0/subscriptions", key, "", "")
	if res.StatusCode != http.StatusOK || strings.Count(body, `"wording":"1 sv"`) != 2 {
		t.Errorf("the proof: %s %s", res.Status, body)
	}
}

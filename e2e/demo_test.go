package e2e

import (
	"bytes"
	"encoding/csv"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/examples"
)

const demoCampaign = "Höstens erbjudanden"

// TestDemo runs the demo as a new user does and looks at all that it made.
func TestDemo(t *testing.T) {
	w := newWorld(t, nil)
	var r dispatcher.Report
	decode(t, w.must("demo", "--exit", "--json"), &r)
	if err := r.Reconcile(); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Channels {
		if c.Sent == 0 || c.InDoubt != 0 || c.Pending != 0 || len(c.Causes["suppressed"]) == 0 || len(c.Causes["failed"])+len(c.Causes["skipped"]) == 0 {
			t.Errorf("%s: %+v", c.Channel, c)
		}
		if files := len(w.outbox(string(c.Channel))); int64(files) != c.Sent {
			t.Errorf("%s: %d files in the outbox, %d sent", c.Channel, files, c.Sent)
		}
	}
	if len(r.Channels) != 3 {
		t.Errorf("%d channels", len(r.Channels))
	}
	t.Run("every mail can be left", func(t *testing.T) { everyMailCanBeLeft(t, w.outbox("email")) })
	t.Run("nobody who must not be sent to", func(t *testing.T) { nobodyForbidden(t, w) })
	t.Run("every SMS and push has a way out", func(t *testing.T) { everyShortMessageCanBeLeft(t, w) })
	t.Run("started again it reports and launches nothing", func(t *testing.T) {
		var again dispatcher.Report
		decode(t, w.must("demo", "--exit", "--json"), &again)
		if diff := cmp.Diff(r, again); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("reading changes nothing", func(t *testing.T) { readingChangesNothing(t, w) })
}

func everyMailCanBeLeft(t *testing.T, mails []captured) {
	seen := map[string]string{}
	to := map[string]bool{}
	for _, m := range mails {
		link := strings.Trim(m.Header.Get("List-Unsubscribe"), "<>")
		if unsubscribeLink.FindString(link) != link || len(m.Header["List-Unsubscribe"]) != 1 {
			t.Fatalf("%s: List-Unsubscribe is %q", m.File, link)
		}
		if got := m.Header.Get("List-Unsubscribe-Post"); got != "List-Unsubscribe=One-Click" {
			t.Errorf("%s: List-Unsubscribe-Post is %q", m.File, got)
		}
		for part, text := range map[string]string{"HTML": m.HTML, "text": m.Text} {
			if !strings.Contains(text, link) {
				t.Errorf("%s: the %s has no unsubscribe link", m.File, part)
			}
			for _, other := range unsubscribeLink.FindAllString(text, -1) {
				if other != link {
					t.Errorf("%s: the %s has somebody else's link", m.File, part)
				}
			}
			if !strings.Contains(text, "Exempelgatan 1") || strings.Contains(text, "{{") {
				t.Errorf("%s: the %s lacks the postal address or has Liquid left in it", m.File, part)
			}
		}
		if other, twice := seen[link]; twice {
			t.Errorf("%s and %s have the same link", m.File, other)
		}
		if to[m.To] {
			t.Errorf("two mails to one address, %s", m.File)
		}
		seen[link], to[m.To] = m.File, true
	}
}

func everyShortMessageCanBeLeft(t *testing.T, w *world) {
	for _, m := range w.outbox("sms") {
		if !unsubscribeLink.MatchString(m.Text) && !strings.Contains(m.Text, "STOP") {
			t.Errorf("%s: no way out", m.File)
		}
	}
	for _, m := range w.outbox("push") {
		if !unsubscribeLink.MatchString(m.Data["unsubscribe"]) {
			t.Errorf("%s: no way out", m.File)
		}
	}
}

// table reads a CSV of the examples as the simplest program would, with its
// header in lower case; rows of another length are left out.
func table(t *testing.T, name string) []map[string]string {
	t.Helper()
	content, err := fs.ReadFile(examples.Files, name)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff"))))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	records, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, record := range records[1:] {
		if len(record) != len(records[0]) {
			continue
		}
		row := map[string]string{}
		for i, name := range records[0] {
			row[strings.ToLower(name)] = record[i]
		}
		out = append(out, row)
	}
	return out
}

// nobodyForbidden works out from the files alone who may never get the
// campaign, and looks for them in the outbox.
func nobodyForbidden(t *testing.T, w *world) {
	forbidden := map[string]string{} // channel and address: why
	note := func(channel, address, why string) {
		if address != "" {
			forbidden[channel+" "+address] = why
		}
	}
	norm := func(f func(string) (string, error), s string) string {
		out, err := f(s)
		if err != nil {
			return ""
		}
		return out
	}
	phone := func(s string) (string, error) { return audience.NormalizePhone(s, "SE") }
	for _, row := range table(t, examples.Suppressions) {
		if row["topic"] != "" && row["topic"] != "*" && row["topic"] != "offer" ||
			row["purpose"] != "" && row["purpose"] != "*" && row["purpose"] != "marketing" ||
			row["sender"] != "" && row["sender"] != "*" && row["sender"] != "exempelbolaget" {
			continue
		}
		own := map[string]string{"email": "email", "phone": "sms", "push": "push"}[row["kind"]]
		if row["channel"] != "" && row["channel"] != "*" && row["channel"] != own {
			continue
		}
		switch row["kind"] {
		case "email":
			note("email", norm(audience.NormalizeEmail, row["address"]), row["cause"])
		case "phone":
			note("sms", norm(phone, row["address"]), row["cause"])
		case "push":
			note("push", norm(audience.NormalizeToken, row["address"]), row["cause"])
		}
	}
	for _, row := range table(t, examples.Contacts) {
		if row["consent.marketing"] == "no" {
			note("email", norm(audience.NormalizeEmail, row["email"]), "refused marketing")
			note("sms", norm(phone, row["phone"]), "refused marketing")
		}
	}
	if len(forbidden) < 300 {
		t.Fatalf("only %d are forbidden: this test does not see what it should", len(forbidden))
	}
	for _, channel := range []string{"email", "sms", "push"} {
		for _, m := range w.outbox(channel) {
			if why, bad := forbidden[channel+" "+m.To]; bad {
				t.Errorf("sent in spite of %s: %s", why, filepath.Base(m.File))
			}
		}
	}
}

// readingChangesNothing follows every link of every message with GET and HEAD,
// as mail scanners do.
func readingChangesNothing(t *testing.T, w *world) {
	before := w.must("suppressions", "export")
	p := w.serve("demo")
	seen := map[string]bool{}
	for _, channel := range []string{"email", "sms", "push"} {
		for i, m := range w.outbox(channel) {
			text := strings.Join([]string{m.HTML, m.Text, m.Header.Get("List-Unsubscribe"), m.Data["link"], m.Data["unsubscribe"]}, " ")
			for _, link := range anyLink.FindAllString(text, -1) {
				if seen[link] {
					continue
				}
				seen[link] = true
				res, _ := get(t, p.at(link))
				if res.StatusCode >= 400 {
					t.Fatalf("%s: GET %s answers %s", m.File, link, res.Status)
				}
				if i%50 == 0 {
					ask(t, http.MethodHead, p.at(link), "", "", "")
					ask(t, http.MethodOptions, p.at(link), "", "", "")
				}
			}
		}
	}
	p.stop()
	if len(seen) < 6000 {
		t.Errorf("only %d links were followed", len(seen))
	}
	if diff := cmp.Diff(before, w.must("suppressions", "export")); diff != "" {
		t.Error("reading changed the suppressions: " + diff)
	}
}

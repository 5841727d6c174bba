package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"utskick/rights"
)

// TestErasure follows a customer who objected and asks to be erased, and whom a
// file brings back.
func TestErasure(t *testing.T) {
	w := newWorld(t, outboxOnly)
	w.prepare(10)
	p := w.serve("serve")
	w.launch("first")
	before := w.ended("first")
	if before.Sent != 10 {
		t.Fatalf("first campaign: %+v", before)
	}
	link := unsubscribeLink.FindString(mailTo(t, w.outbox("email"), "c1@example.com").HTML)
	w.must("suppressions", "add", "c1@example.com", "--evidence", "brev 7")
	w.exported("c1", "c1@example.com", "brev 7", "Namn 1", "first")
	var made struct{ Key string }
	decode(t, w.must("keys", "create", "--name", "service", "--scope", "admin", "--json"), &made)
	key := made.Key
	if res, body := ask(t, http.MethodPost, p.operator+"/v1/contacts/c1/erase", key, "application/json", `{"case":"2026-114"}`); res.StatusCode != http.StatusAccepted {
		t.Fatalf("%s: %s", res.Status, body)
	}
	if out := w.must("suppressions", "check", "c1@example.com"); out != "suppressed erased\n" {
		t.Errorf("as soon as it is acknowledged: %q", out)
	}
	until(t, "she is erased", func() bool {
		res, _ := ask(t, http.MethodGet, p.operator+"/v1/contacts/c1", key, "", "")
		return res.StatusCode == http.StatusNotFound
	})
	// Somebody else is erased on the command line, and declines the suppression.
	var done rights.Erasure
	decode(t, w.must("people", "erase", "c2", "--case", "2026-115", "--keep-no-suppression", "--json"), &done)
	if !done.Done() || done.Messages != 1 || !done.Declined {
		t.Errorf("%+v", done)
	}
	w.must("contacts", "import", w.file("again.csv", "external_id,email,first_name,locale,basis,basis_evidence\n"+
		"c1,c1@example.com,Namn 1,sv-SE,consent,form\nc2,c2@example.com,Namn 2,sv-SE,consent,form\n"))
	w.launch("second")
	second := w.ended("second")
	if second.Sent != 9 || second.Causes["suppressed"]["erased"] != 1 {
		t.Errorf("after she was imported again: %+v", second)
	}
	for _, m := range w.outbox("email")[10:] {
		if m.To == "c1@example.com" {
			t.Error("the erased was sent to")
		}
	}
	if after := w.ended("first"); after.Sent != before.Sent || after.Audience != before.Audience {
		t.Errorf("the first campaign says %+v, before %+v", after, before)
	}
	for method, body := range map[string]string{http.MethodGet: "", http.MethodPost: "List-Unsubscribe=One-Click"} {
		if res, page := ask(t, method, p.at(link), "", "application/x-www-form-urlencoded", body); res.StatusCode != http.StatusOK || strings.Contains(page, "c1@") {
			t.Errorf("%s of the link in the old mail: %s", method, res.Status)
		}
	}
	w.wantAudited(p)
	// Exports name as recipients those whom the process that makes them is told of.
	w.env["UTSKICK_SMS"], w.env["UTSKICK_PUSH"] = "outbox", ""
	if out := w.must("doctor"); !strings.Contains(out, "name no recipient for what is not set: UTSKICK_PUSH;") {
		t.Errorf("the doctor says %s", out)
	}
}

// exported wants the export of a contact to have all of these words, in both
// forms.
func (w *world) exported(id string, words ...string) {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "export")
	w.must("people", "export", id, "--out", dir)
	for _, name := range []string{"export.json", "export.html"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, word := range words {
			if !strings.Contains(string(content), word) {
				w.t.Errorf("%s lacks %q", name, word)
			}
		}
		var made rights.Export
		if name == "export.json" && (json.Unmarshal(content, &made) != nil || made.Person != id || len(made.Recipients) != 1) {
			w.t.Errorf("%s: %.300s", name, content)
		}
	}
}

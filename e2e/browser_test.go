package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"utskick/examples"
	"utskick/internal/testserver"
)

// shotsDir names a folder for pictures of the pages; docs/img has some.
const shotsDir = "UTSKICK_TEST_SCREENSHOTS"

// customer is somebody whom the browser plays.
type customer struct {
	Address     string `json:"address"`
	Language    string `json:"language"`
	Title       string `json:"title"` // of the page that her link leads to
	Mail        string `json:"mail"`  // a file with the HTML of hers
	Unsubscribe string `json:"unsubscribe"`
	Preferences string `json:"preferences"`
}

// browserTools returns node and the browser, or nothing where they or the
// packages of e2e/browser are missing.
func browserTools(t *testing.T) (node, browser string, ok bool) {
	t.Helper()
	var missing []string
	find := func(name string) string {
		path, err := exec.LookPath(name)
		if err != nil {
			missing = append(missing, name)
		}
		return path
	}
	node, browser = find("node"), find("chromium")
	for _, name := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat(filepath.Join("browser", "node_modules", name)); err != nil {
			missing = append(missing, name+" (npm ci --prefix e2e/browser)")
		}
	}
	switch {
	case len(missing) == 0:
		return node, browser, true
	case os.Getenv(testserver.Require) == "1":
		t.Fatalf("missing: %s", strings.Join(missing, ", "))
	default:
		t.Logf("no browser is driven; missing: %s", strings.Join(missing, ", "))
	}
	return "", "", false
}

// TestPagesInABrowser follows customers of either language, at a desk and on a
// phone, from a captured mail to unsubscribed, to narrowed, to undone, with
// scripts off; and has axe look at every page.
func TestPagesInABrowser(t *testing.T) {
	node, browser, ok := browserTools(t)
	if !ok {
		return
	}
	w := newWorld(t, outboxOnly)
	people := []customer{
		{Address: "asa@example.com", Language: "sv", Title: "Avsluta reklam via e-post"}, {Address: "kim@example.com", Language: "en"},
		{Address: "lee@example.com", Language: "en", Title: "Unsubscribe from marketing by e-mail"}, {Address: "bo@example.com", Language: "sv"},
	}
	csv := "external_id,email,locale,first_name,tier,points,city,basis,basis_evidence\n"
	for i, c := range people {
		csv += fmt.Sprintf("%d,%s,%s,Kim,guld,10,Umeå,consent,form\n", i, c.Address, c.Language)
	}
	w.must("contacts", "import", w.file("contacts.csv", csv))
	w.must("senders", "save", w.example(examples.Sender))
	w.must("templates", "save", w.example(examples.EmailTemplate))
	p := w.serve("serve")
	w.launch("first")
	w.ended("first")
	for i := range people {
		m := mailTo(t, w.outbox("email"), people[i].Address)
		people[i].Mail = w.file("mail.html", strings.ReplaceAll(m.HTML, publicURL, p.public))
		people[i].Unsubscribe, people[i].Preferences = p.at(unsubscribeLink.FindString(m.HTML)), p.at(preferencesLink.FindString(m.HTML))
	}
	w.drive(node, "pages.mjs", map[string]any{"browser": browser, "binary": binary, "customers": people, "foreign": p.public + "/p/x"})
}

// drive runs a script that drives the browser, with its input on standard input.
func (w *world) drive(node, script string, input map[string]any) {
	w.t.Helper()
	input["shots"] = os.Getenv(shotsDir)
	text, err := json.Marshal(input)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, filepath.Join("browser", script))
	cmd.Stdin, cmd.Env = bytes.NewReader(text), w.command(ctx).Env
	out, err := cmd.CombinedOutput()
	w.t.Logf("%s", out)
	if err != nil {
		w.t.Errorf("in the browser: %v", err)
	}
}

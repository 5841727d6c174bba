package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// expect runs a command that must fail with a code and say where and what.
func (w *world) expect(code int, says []string, args ...string) {
	w.t.Helper()
	_, log, got := w.run(args...)
	if got != code {
		w.t.Errorf("utskick %v: exit %d, want %d\n%s", args, got, code, log)
	}
	for _, s := range says {
		if !strings.Contains(log, s) {
			w.t.Errorf("utskick %v does not say %q:\n%s", args, s, log)
		}
	}
}

// TestBadFiles imports what people really bring.
func TestBadFiles(t *testing.T) {
	w := newWorld(t, outboxOnly)
	w.expect(1, []string{"external_id"}, "contacts", "import", w.file("a.csv", "name,mail\nÅsa,a@example.com\n"))
	w.expect(1, []string{"consent.everything"}, "contacts", "import", w.file("b.csv", "external_id,consent.everything\n1,yes\n"))
	file := w.file("c.csv", "\ufeffexternal_id;email;first_name\n"+
		"good1;good1@example.com;Åsa\n"+
		"bad1;bad1@example.com;\xff\xfe\n"+
		"bad2;bad2@example.com;"+strings.Repeat("x", 1<<20)+"\n"+
		"bad3;bad3@example.com\n"+
		"kept;not an address;Kim\n"+
		"good2;good2@example.com;Öst\n")
	var report struct{ Rows, Created, Rejected, Warnings int }
	decode(t, w.must("contacts", "import", file, "--json"), &report)
	if report.Created != 3 || report.Rejected != 3 || report.Warnings != 1 {
		t.Errorf("%+v", report)
	}
	problems, err := os.ReadFile(file + ".problems.csv")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"\n3,", "\n4,", "\n5,", "\n6,email,"} {
		if !strings.Contains(string(problems), line) {
			t.Errorf("no problem %q in:\n%s", line, problems)
		}
	}
	if strings.Contains(string(problems), "not an address") {
		t.Error("the list of problems repeats a value")
	}
	w.expect(2, []string{"--basis"}, "contacts", "import", file, "--basis", "hope")
	w.expect(2, nil, "contacts", "import")
}

func TestBadTemplates(t *testing.T) {
	w := newWorld(t, outboxOnly)
	for name, c := range map[string]struct {
		html string
		says []string
	}{
		"an unknown variable": {`<p>Hej {{ contact.shoe_size }}</p>`, []string{"sv", "html", "line 1", "shoe_size"}},
		"an endless loop":     {"<p>Hej</p>\n{% for i in (1..100000000) %}x{% endfor %}", []string{"line 2", "1,000"}},
		"an unclosed tag":     {"<p>Hej</p>\n\n{% if contact.first_name %}x", []string{"line 3"}},
	} {
		file := w.file("t.json", `{"name":"t","channel":"email","default_language":"sv","languages":{"sv":{"subject":"Hej","html":`+quote(c.html)+`}}}`)
		w.expect(1, c.says, "templates", "save", file)
		if t.Failed() {
			t.Log(name)
		}
	}
	w.expect(1, []string{"colour"}, "templates", "save", w.file("t.json", `{"name":"t","colour":"red"}`))
	good := w.file("t.json", `{"name":"t","channel":"email","default_language":"sv","languages":{"sv":{"subject":"Hej","html":"<p>Hej</p>"}}}`)
	var saved struct{ Version int }
	decode(t, w.must("templates", "save", good, "--json"), &saved)
	if saved.Version != 1 {
		t.Errorf("version %d: a refused template was saved", saved.Version)
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// TestBadConfiguration expects every mistake to be named at once.
func TestBadConfiguration(t *testing.T) {
	w := newWorld(t, map[string]string{"UTSKICK_EMAIL": "pigeon", "UTSKICK_SMS": "twilio", "UTSKICK_REGION": "Sweden",
		"UTSKICK_EMAIL_DOMAIN_RATES": "example.com=20,example.org",
		"UTSKICK_PUBLIC_URL":         "mail.example.com", "UTSKICK_DATABASE_URL": "postgres://user:very-secret@127.0.0.1:1/x"})
	w.expect(2, []string{"UTSKICK_EMAIL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "UTSKICK_REGION", "UTSKICK_EMAIL_DOMAIN_RATES: entry 2", "UTSKICK_PUBLIC_URL", "UTSKICK_SECRET_FILE"}, "serve")
	w = newWorld(t, outboxOnly)
	w.expect(2, []string{"UTSKICK_REDIS_URL"}, "work")
	w.expect(2, []string{"unexpected argument fly"}, "fly")
	w.env["UTSKICK_SECRET_FILE"] = filepath.Join(t.TempDir(), "secret.json")
	w.env["UTSKICK_DATABASE_URL"] = "postgres://user:very-secret@127.0.0.1:1/x"
	_, log, code := w.run("migrate")
	if code != 1 || strings.Contains(log, "very-secret") {
		t.Errorf("a database that is not there: exit %d\n%s", code, log)
	}
}

// TestOtherPepper starts on the old database with another secret file.
func TestOtherPepper(t *testing.T) {
	w := newWorld(t, outboxOnly)
	w.must("contacts", "import", w.file("a.csv", "external_id\n1\n"))
	if err := os.Rename(filepath.Join(w.dir, "secret.json"), filepath.Join(w.dir, "lost.json")); err != nil {
		t.Fatal(err)
	}
	w.expect(1, []string{"another pepper", "UTSKICK_SECRET_FILE"}, "suppressions", "check", "a@example.com")
}

package api

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"utskick/tracking"
)

// capture puts a message into the outbox of the site, a second after the one
// before.
func (s *site) capture(channel, file, content string) {
	s.t.Helper()
	dir := filepath.Join(s.server.operator.outbox.dir, channel)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	name := filepath.Join(dir, file)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.now = s.now.Add(time.Second)
	if err := os.Chtimes(name, s.now, s.now); err != nil {
		s.t.Fatal(err)
	}
}

const exampleMail = "From: Exempelbolaget <nyheter@exempelbolaget.test>\r\nTo: anna@example.com\r\nSubject: =?utf-8?q?H=C3=B6stens_<b>?=\r\n" +
	"List-Unsubscribe: <https://utskick.example.com/u/TOKEN>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"xx\"\r\n\r\n" +
	"--xx\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHej =C3=85sa <script>: https://utskick.example.com/c/TOKEN.\r\n" +
	"--xx\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
	"PGh0bWw+PGhlYWQgaWQ9aD48L2hlYWQ+PGEgaHJlZj0iaHR0cHM6Ly91dHNraWNrLmV4YW1wbGUu\r\nY29tL2MvVE9LRU4iPmE8L2E+PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0PjwvaHRtbD4=\r\n--xx--\r\n"

func TestAMailIsShownInACage(t *testing.T) {
	s := newSite(t, nil)
	local := "http://127.0.0.1:8081"
	s.server.operator.outbox.local.Store(&local)
	s.capture("email", "0001-abc.eml", exampleMail)
	a := s.as(s.aud, http.MethodGet, "/outbox/email/0001-abc.eml", "")
	a.want(t, http.StatusOK)
	for _, want := range []string{
		`<h1>Höstens &lt;b&gt;</h1>`, `<strong>anna@example.com</strong>`,
		`<a href="http://127.0.0.1:8081/u/TOKEN" target="_blank">Unsubscribe`,
		`sandbox="allow-popups allow-popups-to-escape-sandbox" srcdoc="&lt;html&gt;&lt;head id=h&gt;&lt;base target=&#34;_blank&#34;&gt;&lt;/head&gt;&lt;a href=&#34;http://127.0.0.1:8081/c/TOKEN&#34;&gt;`,
		`Hej Åsa &lt;script&gt;: <a href="http://127.0.0.1:8081/c/TOKEN" target="_blank">`,
		"List-Unsubscribe: &lt;https://utskick.example.com/u/TOKEN&gt;",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page has no %s:\n%s", want, a.body)
		}
	}
	if strings.Contains(a.body, "<script") || strings.Contains(a.body, "allow-scripts") || strings.Contains(a.body, "allow-same-origin") {
		t.Error("the mail is out of its cage")
	}
	want := "default-src 'none'; style-src 'unsafe-inline'; img-src data: http://127.0.0.1:8081; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	if got := a.header.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %q", got)
	}
}

func TestOtherCapturedMessages(t *testing.T) {
	s := newSite(t, nil)
	s.capture("sms", "a.json", `{"to":"+46701740605","channel":"sms","group":12345678901234567,"text":"Hej! https://utskick.example.com/u/x","at":"2026-11-02T09:00:00Z"}`)
	s.capture("push", "b.json", `{"to":"tok","title":"Höst","body":"Nu","data":{"link":"https://utskick.example.com/c/x"}}`)
	s.capture("email", "plain.eml", "To: b@example.com\nSubject: Hej\n\nhej\n")
	for path, want := range map[string][]string{
		"sms/a.json":      {"&#43;46701740605", "<dt>group</dt><dd>12345678901234567</dd>", `<a href="https://utskick.example.com/u/x"`},
		"push/b.json":     {"<h1>Höst</h1>", "<pre>Nu</pre>", `<dt>data.link</dt><dd><a href="https://utskick.example.com/c/x" target="_blank">`},
		"email/plain.eml": {"<h1>Hej</h1>", "<pre>hej\n</pre>"},
	} {
		a := s.as(s.aud, http.MethodGet, "/outbox/"+path, "")
		a.want(t, http.StatusOK)
		for _, text := range want {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s has no %s:\n%s", path, text, a.body)
			}
		}
		if strings.Contains(a.body, "<iframe") {
			t.Errorf("%s has a frame", path)
		}
	}
}

func TestBrokenMessagesAreShownAsFarAsTheyGo(t *testing.T) {
	for file, content := range map[string]string{
		"headers.eml":  "no mail",
		"empty.eml":    "",
		"type.eml":     "Content-Type: ;;\r\n\r\nx",
		"boundary.eml": "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhej",
		"nested.eml":   "Content-Type: multipart/mixed; boundary=a\r\n\r\n" + strings.Repeat("--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n", 20),
		"base64.eml":   "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%",
		"list.json":    "[]",
		"half.json":    `{"to":`,
		"utf8.json":    "\xff\xfe",
	} {
		s := newSite(t, nil)
		s.capture("email", file, content)
		a := s.as(s.aud, http.MethodGet, "/outbox/email/"+file, "")
		a.want(t, http.StatusOK)
		if file != "empty.eml" && !strings.Contains(a.body, `class="wrong"`) {
			t.Errorf("%s looks whole:\n%s", file, a.body)
		}
		s.as(s.aud, http.MethodGet, "/outbox/email/", "").want(t, http.StatusOK)
	}
}

func TestTheOutboxIsListedNewestFirst(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.aud, http.MethodGet, "/outbox/", "").want(t, http.StatusSeeOther)
	if a := s.as(s.aud, http.MethodGet, "/outbox/sms/", ""); !strings.Contains(a.body, "There are none by sms") {
		t.Errorf("an empty outbox: %s", a.body)
	}
	for i := range capturedPage + 3 {
		s.capture("sms", fmt.Sprintf("%03d.json", 900-i), fmt.Sprintf(`{"to":"+46701740605","text":"message %d, %s"}`, i, strings.Repeat("and on ", 30)))
	}
	s.capture("sms", "sent.ndjson", "{}")
	s.capture("sms", ".hidden.json", "{}")
	s.capture("sms", "note.txt", "x")
	first := s.as(s.aud, http.MethodGet, "/outbox/sms/", "")
	newest, older := strings.Index(first.body, "message 52,"), strings.Index(first.body, "message 51,")
	if newest < 0 || older < newest || strings.Contains(first.body, "message 2,") || !strings.Contains(first.body, "53 by sms") || !strings.Contains(first.body, "only samples") {
		t.Errorf("the first page:\n%s", first.body)
	}
	second := s.as(s.aud, http.MethodGet, "/outbox/sms/?page=2", "")
	if !strings.Contains(second.body, "message 2,") || strings.Contains(second.body, "message 3,") || !strings.Contains(second.body, "?page=1") || strings.Contains(second.body, "?page=3") {
		t.Errorf("the second page:\n%s", second.body)
	}
	for _, path := range []string{"/outbox/sms/?page=0", "/outbox/sms/?page=x", "/outbox/fax/", "/outbox/../"} {
		if a := s.as(s.aud, http.MethodGet, path, ""); a.status == http.StatusOK {
			t.Errorf("%s: got %d", path, a.status)
		}
	}
}

func TestThereIsNoWayOutOfTheOutbox(t *testing.T) {
	s := newSite(t, nil)
	dir := s.server.operator.outbox.dir
	outside := filepath.Join(filepath.Dir(dir), "outside.json")
	for _, name := range []string{outside, filepath.Join(dir, "beside.json")} {
		if err := os.WriteFile(name, []byte(`{"text":"secret"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.capture("email", "good.json", `{"text":"fine"}`)
	if err := os.Symlink(outside, filepath.Join(dir, "email", "link.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "email", "folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"email/..%2f..%2foutside.json", "email/..%2fbeside.json", "email/%2e%2e%2fbeside.json", "..%2foutside.json", "%2e%2e/outside.json", "email/..\\beside.json",
		"email/link.json", "email/folder.json", "email/" + strings.ReplaceAll(outside, "/", "%2f"), "email/good.json%00", "email/.", "email/..", "email/good", "fax/good.json",
		"email/good.json/", "../outside.json", "email/../../outside.json",
	} {
		a := s.as(s.admin, http.MethodGet, "/outbox/"+path, "")
		if a.status == http.StatusOK || strings.Contains(a.body, "secret") {
			t.Errorf("%s: got %d %s", path, a.status, a.body)
		}
	}
	if a := s.as(s.admin, http.MethodGet, "/outbox/email/", ""); strings.Contains(a.body, "link.json") || strings.Contains(a.body, "folder.json") {
		t.Error("the list shows what is no message")
	}
}

func TestWithoutAnOutboxThereIsNoPage(t *testing.T) {
	s := newSite(t, func(c *Config) { c.OutboxDir = "" })
	s.as(s.admin, http.MethodGet, "/outbox/email/", "").want(t, http.StatusNotFound)
	if a := s.as(s.admin, http.MethodGet, "/", ""); strings.Contains(a.body, "outbox") {
		t.Error("the home page leads to it")
	}
}

func TestLinked(t *testing.T) {
	for text, want := range map[string]string{
		"see https://example.com/a?b=1. Or not": "see |[https://example.com/a?b=1]|. Or not",
		"(http://example.com)":                  "(|[http://example.com]|)",
		"javascript:alert(1)":                   "javascript:alert(1)",
		"":                                      "",
	} {
		var got []string
		for _, p := range linked(text) {
			if p.Href != "" {
				p.Text = "[" + p.Href + "]"
			}
			got = append(got, p.Text)
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("%q: got %q", text, s)
		}
	}
}

func FuzzReadCaptured(f *testing.F) {
	f.Add("a.eml", []byte(exampleMail))
	f.Add("a.json", []byte(`{"to":"x","data":{"a":[1]}}`))
	f.Fuzz(func(_ *testing.T, file string, raw []byte) {
		m := readCaptured(file, raw)
		_ = m.unsubscribe()
	})
}

// A message that went out is seen by its reader: the whole way from the page of
// the outbox to the wish.
func TestFromTheOutboxToTheWish(t *testing.T) {
	s := newPublicSite(t)
	local := "http://127.0.0.1:8081"
	s.server.operator.outbox.local.Store(&local)
	token := s.token(tracking.Unsubscribe, 1, 0, anna)
	s.capture("email", "1.eml", strings.ReplaceAll(exampleMail, "TOKEN", token))
	page := s.as(s.aud, http.MethodGet, "/outbox/email/1.eml", "").body
	_, rest, _ := strings.Cut(page, local+"/u/")
	path, _, _ := strings.Cut("/u/"+rest, `"`)
	s.visit(http.MethodGet, path, "").want(t, http.StatusOK)
	s.untouched(t)
	s.visit(http.MethodPost, path, "").want(t, http.StatusOK)
	if len(s.store.recorded()) != 1 {
		t.Error("nothing was recorded")
	}
}

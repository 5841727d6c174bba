package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const form = "application/x-www-form-urlencoded"

func TestLogInByKey(t *testing.T) {
	s := newSite(t, nil)
	for _, c := range []struct{ next, want string }{
		{"", "/"}, {"/ops?refresh=off", "/ops?refresh=off"}, {"https://evil.test/", "/"}, {"//evil.test", "/"}, {`/\evil.test`, "/"}, {"ops", "/"}, {"/a\nb", "/"},
	} {
		a := s.as("", http.MethodPost, "/login", url.Values{"key": {" " + s.aud + "\n"}, "next": {c.next}}.Encode(), "Content-Type", form)
		a.want(t, http.StatusSeeOther)
		if got := a.header.Get("Location"); got != c.want {
			t.Errorf("after log-in, next %q leads to %q, want %q", c.next, got, c.want)
		}
	}
	a := s.as("", http.MethodPost, "/login", url.Values{"key": {"utk_wrong"}}.Encode(), "Content-Type", form)
	a.want(t, http.StatusUnauthorized)
	if a.header.Get("Set-Cookie") != "" || strings.Contains(a.body, "utk_wrong") || !strings.Contains(a.body, "no such key") {
		t.Errorf("a wrong key is answered with %v %s", a.header, a.body)
	}
	s.store.fail(errDown)
	s.now = s.now.Add(time.Minute)
	s.as("", http.MethodPost, "/login", url.Values{"key": {s.aud}}.Encode(), "Content-Type", form).want(t, http.StatusServiceUnavailable)
}

func TestTheCookie(t *testing.T) {
	for _, c := range []struct{ site, want string }{
		{"", "utskick=*; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"},
		{"http://ops.example.com", "utskick=*; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"},
		{"https://ops.example.com", "__Host-utskick=*; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Strict"},
	} {
		s := newSite(t, func(config *Config) { config.OperatorURL = c.site })
		a := s.as("", http.MethodPost, "/login", url.Values{"key": {s.aud}}.Encode(), "Content-Type", form)
		got := a.header.Get("Set-Cookie")
		name, rest, _ := strings.Cut(got, "=")
		_, attributes, _ := strings.Cut(rest, ";")
		if name+"=*;"+attributes != c.want {
			t.Errorf("at %q the cookie is %q", c.site, got)
		}
	}
}

func TestASessionEnds(t *testing.T) {
	s := newSite(t, nil)
	cookie, csrf := s.session(s.marketer)
	at := func(path string) int { return s.as("", http.MethodGet, path, "", "Cookie", cookie).status }
	if got := at("/ops"); got != http.StatusOK {
		t.Fatalf("in a session: got %d", got)
	}
	for i := range len(cookie) - len("utskick=") {
		altered := []byte(cookie)
		altered[len("utskick=")+i] ^= 1
		if a := s.as("", http.MethodGet, "/ops", "", "Cookie", string(altered)); a.status != http.StatusUnauthorized {
			t.Fatalf("with byte %d of the cookie altered: got %d", i, a.status)
		}
	}
	out := s.as("", http.MethodPost, "/logout", "csrf="+csrf, "Content-Type", form, "Cookie", cookie)
	out.want(t, http.StatusSeeOther)
	if !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("log-out sets %q", out.header.Get("Set-Cookie"))
	}
	s.now = s.now.Add(sessionLife)
	if got := at("/ops"); got != http.StatusUnauthorized {
		t.Errorf("after %s: got %d", sessionLife, got)
	}
}

func TestWhoeverMayOnlyReadCanLogOut(t *testing.T) {
	s := newSite(t, nil)
	cookie, csrf := s.session(s.aud)
	s.as("", http.MethodPost, "/logout", "csrf="+csrf, "Content-Type", form, "Cookie", cookie).want(t, http.StatusSeeOther)
}

func TestALogInLinkWorksOnce(t *testing.T) {
	s := newSite(t, nil)
	link := s.server.NewLoginLink()
	for range 3 { // scanners open it
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			a := s.as("", method, link, "")
			a.want(t, http.StatusOK)
			if a.header.Get("Set-Cookie") != "" {
				t.Fatal("opening a link logs in")
			}
		}
	}
	in := s.as("", http.MethodPost, link, "")
	in.want(t, http.StatusSeeOther)
	cookie, _, _ := strings.Cut(in.header.Get("Set-Cookie"), ";")
	s.as("", http.MethodGet, "/ops", "", "Cookie", cookie).want(t, http.StatusOK)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		s.as("", method, link, "").want(t, http.StatusNotFound)
	}

	other := newSite(t, nil)
	if a := other.as("", http.MethodGet, "/ops", "", "Cookie", cookie); a.status != http.StatusUnauthorized {
		t.Errorf("the session of a link in another process: got %d", a.status)
	}
	_, value, _ := strings.Cut(cookie, "=")
	ses, err := s.server.operator.guard.sessions.open(value)
	if err != nil {
		t.Fatal(err)
	}
	csrf := s.server.operator.guard.sessions.csrf(ses)
	s.as("", http.MethodPost, "/logout", "csrf="+csrf, "Content-Type", form, "Cookie", cookie).want(t, http.StatusSeeOther)
	s.as("", http.MethodGet, "/ops", "", "Cookie", cookie).want(t, http.StatusUnauthorized)
}

func TestALogInLinkGrowsOld(t *testing.T) {
	s := newSite(t, nil)
	link := s.server.NewLoginLink()
	s.now = s.now.Add(linkLife)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		s.as("", method, link, "").want(t, http.StatusNotFound)
	}
}

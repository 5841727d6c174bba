package api

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asked makes a request that a pattern matches.
func asked(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	path = strings.ReplaceAll(path, "{$}", "")
	for strings.Contains(path, "{") {
		before, rest, _ := strings.Cut(path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path = before + "x" + after
	}
	return method, path
}

// closed lists the patterns of the operator site that need a log-in.
func (s *site) closed() (patterns []string) {
	for _, p := range s.server.operator.routes.patterns {
		if !open[p] {
			patterns = append(patterns, p)
		}
	}
	return patterns
}

func TestNothingButTheDoorIsOpen(t *testing.T) {
	want := []string{"GET /healthz", "GET /login", "GET /login/{link}", "GET /readyz", "POST /login", "POST /login/{link}"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(open))); diff != "" {
		t.Error("routes that need no log-in (-want +got):\n" + diff)
	}
}

func TestEveryRouteNeedsALogIn(t *testing.T) {
	s := newSite(t, nil)
	revoked := s.addKey("old", ScopeAdmin)
	delete(s.store.keys, string(HashKey(revoked)))
	foreign := sessions{secret: []byte(strings.Repeat("other", 8)), now: func() time.Time { return s.now }}
	forged := foreign.seal(foreign.start(1))
	unlinked := s.server.operator.guard.sessions
	strangers := map[string][]string{
		"nothing":                  nil,
		"no key":                   {"Authorization", "Bearer "},
		"an unknown key":           {"Authorization", "Bearer utk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		"a revoked key":            {"Authorization", "Bearer " + revoked},
		"another scheme":           {"Authorization", "Basic " + s.admin},
		"a broken cookie":          {"Cookie", "utskick=AAAA"},
		"a forged cookie":          {"Cookie", "utskick=" + forged},
		"a session without a link": {"Cookie", "utskick=" + unlinked.seal(unlinked.start(0))},
		"the cookie of https":      {"Cookie", "__Host-utskick=" + unlinked.seal(unlinked.start(1))},
	}
	closed := s.closed()
	if len(closed) < 35 {
		t.Fatalf("only %d closed routes are known: %v", len(closed), closed)
	}
	for _, pattern := range append(closed, "GET /nowhere", "OPTIONS /v1/contacts", "DELETE /v1/contacts/x") {
		method, path := asked(pattern)
		if _, got := s.server.operator.routes.mux.Handler(httptest.NewRequest(method, path, nil)); slices.Contains(closed, pattern) && got != pattern {
			t.Errorf("%s leads to %q, not to %q", path, got, pattern)
		}
		for name, headers := range strangers {
			if a := s.as("", method, path, "", headers...); a.status != http.StatusUnauthorized {
				t.Errorf("%s with %s: got %d", pattern, name, a.status)
			}
		}
		if a := s.as("", method, path, "", "Accept", "text/html"); method == http.MethodGet && a.status != http.StatusSeeOther {
			t.Errorf("%s of a browser: got %d, want the log-in page", pattern, a.status)
		}
	}
	if n := len(s.store.audits); n > 0 {
		t.Errorf("strangers left %d marks in the audit log", n)
	}
}

func TestScopes(t *testing.T) {
	s := newSite(t, nil)
	for _, pattern := range s.closed() {
		method, path := asked(pattern)
		body := map[bool]string{true: "", false: "{}"}[method == http.MethodGet]
		if pattern == "POST "+logoutPath {
			continue // whoever came in may go out
		}
		if _, route, _ := strings.Cut(pattern, " "); servesRights(route) {
			for _, key := range []string{s.aud, s.marketer} {
				s.as(key, method, path, body).want(t, http.StatusForbidden)
			}
			continue
		}
		a := s.as(s.aud, method, path, body)
		if forbidden := a.status == http.StatusForbidden; forbidden != (method != http.MethodGet) {
			t.Errorf("%s by a key that may read: got %d", pattern, a.status)
		}
		for _, key := range []string{s.marketer, s.admin} {
			if a := s.as(key, method, path, body); a.status == http.StatusForbidden || a.status == http.StatusUnauthorized {
				t.Errorf("%s by a key that may change things: got %d", pattern, a.status)
			}
		}
	}
	if mayDo("", http.MethodGet, "/v1/contacts") || mayDo("keys", http.MethodGet, "/v1/contacts") {
		t.Error("a scope that does not exist may read")
	}
}

// TestScopesBySlashedIDs: an id with a slash in it makes no route look like another
// one, neither to let somebody in nor to keep somebody out.
func TestScopesBySlashedIDs(t *testing.T) {
	s := newSite(t, nil)
	all := append([]string{}, Scopes...)
	may := map[string][]string{ // by route, with ID for the escaped id
		"GET /v1/contacts/ID":                   {ScopeAdmin, ScopeMarketing, ScopeRead},
		"PUT /v1/contacts/ID":                   {ScopeAdmin, ScopeMarketing},
		"GET /v1/contacts/ID/history":           {ScopeAdmin, ScopeMarketing, ScopeRead},
		"GET /v1/contacts/ID/export":            {ScopeAdmin, ScopeService},
		"HEAD /v1/contacts/ID/export":           {ScopeAdmin, ScopeService},
		"GET /v1/contacts/ID/export.html":       {ScopeAdmin, ScopeService},
		"POST /v1/contacts/ID/erase":            {ScopeAdmin, ScopeService},
		"POST /v1/people/ID/restrict":           {ScopeAdmin, ScopeMarketing, ScopeService},
		"GET /v1/people/ID":                     {ScopeAdmin, ScopeMarketing, ScopeRead, ScopeService},
		"POST /ops/people/ID/lift":              {ScopeAdmin, ScopeMarketing, ScopeService},
		"POST /v1/inbound/ID/close":             {ScopeAdmin, ScopeMarketing, ScopeService},
		"POST /v1/cases/ID/notes":               {ScopeAdmin, ScopeMarketing, ScopeService, ScopeOfficer},
		"POST /v1/cases/ID/answer":              {ScopeAdmin, ScopeMarketing, ScopeService},
		"POST /ops/cases/ID/route":              {ScopeAdmin, ScopeMarketing, ScopeService, ScopeOfficer},
		"POST /ops/cases/ID/answer":             {ScopeAdmin, ScopeMarketing, ScopeService},
		"GET /ops/campaigns/ID":                 {ScopeAdmin, ScopeMarketing, ScopeRead, ScopeOfficer},
		"POST /v1/campaigns/ID/launch":          {ScopeAdmin, ScopeMarketing},
		"GET /v1/templates/ID":                  {ScopeAdmin, ScopeMarketing, ScopeRead},
		"POST /v1/devices":                      {ScopeAdmin, ScopeMarketing, ScopeService, ScopeApp},
		"POST /v1%2Fdevices":                    {ScopeAdmin, ScopeMarketing},
		"GET /v1%2Fpeople%2FID":                 {ScopeAdmin, ScopeMarketing, ScopeRead},
		"GET /ops%2Fcases":                      {ScopeAdmin, ScopeMarketing, ScopeRead},
		"POST /logout":                          all,
		"POST /ops/campaigns/ID/cancel%2Froute": {ScopeAdmin, ScopeMarketing},
	}
	ids := []string{"c1", "c/1", "c/export", "c/export.html", "c/erase", "1/notes", "/c", "c/", "../people/1", "a%2Fb", "{external_id}"}
	for _, scope := range Scopes {
		key := s.addKey(scope, scope)
		for route, scopes := range may {
			for _, id := range ids {
				method, path, _ := strings.Cut(strings.ReplaceAll(route, "ID", url.PathEscape(id)), " ")
				a := s.as(key, method, path, map[bool]string{true: "", false: "{}"}[safeMethod(method)])
				if allowed := a.status != http.StatusForbidden; allowed != slices.Contains(scopes, scope) {
					t.Errorf("%s %s by a key of scope %s: got %d", method, path, scope, a.status)
				}
			}
		}
	}
	if len(s.store.erasures) > 0 {
		t.Error("somebody was erased")
	}
}

// session logs in with a key and returns the cookie and the token for forms.
func (s *site) session(key string) (cookie, csrf string) {
	s.t.Helper()
	a := s.as("", http.MethodPost, "/login", url.Values{"key": {key}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	a.want(s.t, http.StatusSeeOther)
	cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	_, value, _ := strings.Cut(cookie, "=")
	ses, err := s.server.operator.guard.sessions.open(value)
	if err != nil {
		s.t.Fatal(err)
	}
	return cookie, s.server.operator.guard.sessions.csrf(ses)
}

func TestAFormNeedsItsToken(t *testing.T) {
	s := newSite(t, nil)
	cookie, csrf := s.session(s.admin)
	_, other := s.session(s.admin)
	for _, pattern := range s.closed() {
		method, path := asked(pattern)
		if method == http.MethodGet {
			if a := s.as("", method, path, "", "Cookie", cookie); a.status == http.StatusForbidden || a.status == http.StatusUnauthorized {
				t.Errorf("%s in a session: got %d", pattern, a.status)
			}
			continue
		}
		const form = "application/x-www-form-urlencoded"
		for name, r := range map[string][3]string{
			"no token":                  {"{}", "Content-Type", "application/json"},
			"another session's":         {"", "X-CSRF-Token", other},
			"a form without":            {"a=b", "Content-Type", form},
			"a form with another's":     {"csrf=" + other, "Content-Type", form},
			"a form that hides its own": {"csrf=" + csrf, "Content-Type", "text/plain"},
		} {
			a := s.as("", method, path, r[0], "Cookie", cookie, r[1], r[2])
			if a.status != http.StatusForbidden {
				t.Errorf("%s with %s: got %d", pattern, name, a.status)
			}
		}
		if a := s.as("", method, path, "{}", "Cookie", cookie, "X-CSRF-Token", csrf); a.status == http.StatusForbidden {
			t.Errorf("%s with its token: got %d", pattern, a.status)
		}
	}
}

func TestAnotherSiteMayNotAsk(t *testing.T) {
	s := newSite(t, func(c *Config) { c.OperatorURL = "https://ops.example.com/" })
	for _, c := range []struct {
		name, header, value string
		want                int
	}{
		{"a page elsewhere", "Origin", "https://evil.test", http.StatusForbidden},
		{"a page elsewhere", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"our own page", "Sec-Fetch-Site", "same-origin", http.StatusUnauthorized},
		{"our own page behind a proxy", "Origin", "https://ops.example.com", http.StatusUnauthorized},
	} {
		a := s.as("", http.MethodPost, "/login", "key=x", "Content-Type", "application/x-www-form-urlencoded", c.header, c.value)
		if a.status != c.want {
			t.Errorf("%s: got %d, want %d", c.name, a.status, c.want)
		}
	}
}

func TestAForeignNameIsRefusedOnThisMachine(t *testing.T) {
	s := newSite(t, func(c *Config) { c.OperatorURL = "https://ops.example.com" })
	loopback, network := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)}
	for _, c := range []struct {
		host  string
		local net.Addr
		want  int
	}{
		{"127.0.0.1:8080", loopback, http.StatusOK},
		{"[::1]:8080", loopback, http.StatusOK},
		{"[::1]", loopback, http.StatusOK},
		{"localhost:8080", loopback, http.StatusOK},
		{"LocalHost", loopback, http.StatusOK},
		{"ops.example.com", loopback, http.StatusOK},
		{"evil.test:8080", loopback, http.StatusMisdirectedRequest},
		{"localhost.evil.test", loopback, http.StatusMisdirectedRequest},
		{"", loopback, http.StatusMisdirectedRequest},
		{"utskick:8080", network, http.StatusOK},
	} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Host = c.host
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.local))
		if a := ask(s.server.Operator(), r); a.status != c.want {
			t.Errorf("host %q over %s: got %d, want %d", c.host, c.local, a.status, c.want)
		}
	}
}

func TestARevokedKeyWorksForSecondsAtMost(t *testing.T) {
	s := newSite(t, nil)
	cookie, _ := s.session(s.admin)
	try := func() [2]int {
		return [2]int{s.as(s.admin, http.MethodGet, "/v1/contacts", "").status, s.as("", http.MethodGet, "/v1/contacts", "", "Cookie", cookie).status}
	}
	for range 100 {
		if got := try(); got != [2]int{200, 200} {
			t.Fatalf("a good key: got %v", got)
		}
	}
	if s.store.lookups > 2 {
		t.Errorf("the database was asked %d times for one key", s.store.lookups)
	}
	delete(s.store.keys, string(HashKey(s.admin)))
	s.now = s.now.Add(rememberKey)
	if got := try(); got != [2]int{401, 401} {
		t.Errorf("a key revoked %s ago: got %v", rememberKey, got)
	}
}

func TestKeysAreForgottenBeforeTheyFillTheMemory(t *testing.T) {
	s := newSite(t, nil)
	known := s.server.operator.guard.keys
	for i := range maxRemembered + 10 {
		if _, err := known.remember(int64(i), func() (Key, error) { return Key{}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(known.known); n > maxRemembered {
		t.Errorf("%d keys are remembered", n)
	}
}

func TestNobodyIsLetInWithoutADatabase(t *testing.T) {
	s := newSite(t, nil)
	s.store.fail(errDown)
	a := s.as(s.admin, http.MethodGet, "/v1/contacts", "")
	a.want(t, http.StatusServiceUnavailable)
	if a.header.Get("Retry-After") == "" || !strings.Contains(s.log.String(), "could not be looked up") {
		t.Errorf("headers %v, log %s", a.header, s.log)
	}
	if strings.Contains(s.log.String(), s.admin) || strings.Contains(a.body, "down") {
		t.Error("the key is in the log, or the store's error in the answer")
	}
}

func TestNewKey(t *testing.T) {
	key, hash := NewKey()
	again, _ := NewKey()
	if len(key) != len(keyPrefix)+43 || !strings.HasPrefix(key, "utk_") || key == again {
		t.Errorf("keys %q and %q", key, again)
	}
	if diff := cmp.Diff(HashKey(key), hash); diff != "" || len(hash) != 32 {
		t.Error("the hash is not that of the key: " + diff)
	}
}

func TestUntidyPathsLeadNowhere(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"//v1/contacts", "/healthz/../v1/contacts", "/login/../ops", "/v1/./contacts"} {
		a := s.as("", http.MethodGet, path, "")
		if a.status != http.StatusUnauthorized && a.status != http.StatusTemporaryRedirect && a.status != http.StatusMovedPermanently {
			t.Errorf("%s: got %d", path, a.status)
		}
	}
}

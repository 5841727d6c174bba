package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"utskick/tracking"
)

const browser = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"

// TestMachinesAreMarked wants what a request says of itself to be kept as a word,
// and nobody to be lost because a machine came first.
func TestMachinesAreMarked(t *testing.T) {
	s := newPublicSite(t)
	open, click := "/o/"+s.token(tracking.Open, 1, 0, anna)+".gif", "/c/"+s.token(tracking.Click, 1, 1, anna)
	for _, c := range []struct {
		method, path string
		header       []string
		want         tracking.Machine
		agent        tracking.Agent
	}{
		{http.MethodGet, open, []string{"User-Agent", "Mozilla/5.0"}, tracking.ApplePrivacy, tracking.MailService},
		{http.MethodGet, open, []string{"User-Agent", browser}, "", tracking.Computer},
		{http.MethodHead, click, []string{"User-Agent", browser}, tracking.Head, tracking.Computer},
		{http.MethodGet, click, []string{"User-Agent", browser}, "", tracking.Computer},
	} {
		before := len(s.store.happened())
		s.visit(c.method, c.path, "", c.header...)
		got := s.store.happened()
		if len(got) != before+1 {
			t.Fatalf("%s %s by %q: %d events", c.method, c.path[:3], c.want, len(got)-before)
		}
		if e := got[before]; e.Machine != c.want || e.Agent != c.agent || e.Requester == 0 {
			t.Errorf("%+v, want %q", e, c.want)
		}
		s.visit(c.method, c.path, "", c.header...)
		if len(s.store.happened()) != before+1 {
			t.Errorf("%q is counted twice", c.want)
		}
	}
	for _, header := range []string{"Purpose", "Sec-Purpose", "X-Purpose", "X-Moz"} {
		s.now = s.now.Add(time.Minute)
		s.visit(http.MethodGet, click, "", "User-Agent", browser, header, "prefetch")
		got := s.store.happened()
		if e := got[len(got)-1]; e.Machine != tracking.Prefetch {
			t.Errorf("%s: %q", header, e.Machine)
		}
	}
}

// TestBait: whoever follows the link that no person sees gets a harmless answer,
// and is written down.
func TestBait(t *testing.T) {
	s := newPublicSite(t)
	for i, method := range []string{http.MethodGet, http.MethodHead} {
		s.now = s.now.Add(time.Minute)
		a := s.visit(method, "/c/"+s.token(tracking.Bait, 1, 0, anna), "", "User-Agent", browser)
		a.want(t, http.StatusOK)
		if a.header.Get("Location") != "" || method == http.MethodGet && !strings.Contains(a.body, "Nothing has happened") {
			t.Errorf("%s leads to %q, %q", method, a.header.Get("Location"), a.body)
		}
		got := s.store.happened()
		if len(got) != i+1 || got[i].Type != tracking.Clicks || got[i].Machine != tracking.Honeypot || got[i].Key != anna || got[i].Link != 0 || got[i].Requester == 0 {
			t.Fatalf("%s: %+v", method, got)
		}
	}
	if len(s.store.recorded()) > 0 || s.store.reads > 0 {
		t.Error("a wish was recorded, or a link was looked for")
	}
	s.store.fail(errDown)
	s.visit(http.MethodGet, "/c/"+s.token(tracking.Bait, 1, 0, anna), "").want(t, http.StatusServiceUnavailable)
}

func TestClientOf(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"straight", "192.0.2.1:4711", nil, "192.0.2.1"},
		{"nobody whom we trust tells", "192.0.2.1:4711", []string{"198.51.100.1"}, "192.0.2.1"},
		{"by a proxy", "10.0.0.1:4711", []string{"198.51.100.1"}, "198.51.100.1"},
		{"by two", "10.0.0.1:4711", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"in two headers", "10.0.0.1:4711", []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"with something made up before", "10.0.0.1:4711", []string{"203.0.113.7, 198.51.100.1"}, "198.51.100.1"},
		{"with a port", "10.0.0.1:4711", []string{"198.51.100.1:99"}, "198.51.100.1"},
		{"a proxy that tells nothing", "10.0.0.1:4711", nil, "10.0.0.1"},
		{"nonsense", "10.0.0.1:4711", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"IPv6", "[fd00::1]:4711", []string{"2001:db8::1"}, "2001:db8::1"},
		{"mapped", "[::ffff:10.0.0.1]:4711", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"no peer", "pipe", []string{"198.51.100.1"}, "invalid IP"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = c.peer
		for _, line := range c.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := clientOf(r, proxies).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// FuzzClientOf wants no proxy's word to be taken for more than an address.
func FuzzClientOf(f *testing.F) {
	f.Add("10.0.0.1:1", "198.51.100.1, 10.0.0.2")
	f.Add("[fd00::1%lo]:1", ",,::,[::1]:x")
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", forwarded)
		if got := clientOf(r, nil); got.IsValid() && !strings.Contains(peer, got.String()) && !got.Is6() && !strings.Contains(peer, "::ffff:") {
			t.Errorf("%s of %q, which trusts nobody", got, peer)
		}
	})
}

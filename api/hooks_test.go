package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
	"utskick/tracking"
)

// hookOf reads a body of event ids, separated by blanks, that is signed "genuine".
type hookOf struct{}

func (hookOf) Read(query string, header http.Header, body []byte) (told channels.Told, err error) {
	switch {
	case header.Get("Signature") != "genuine "+query:
		return told, channels.ErrForged
	case len(body) == 0:
		return told, channels.ErrUnreadable
	}
	for _, id := range strings.Fields(string(body)) {
		n := suppression.Notice{Event: tracking.Event{Type: tracking.Delivered, At: begin, Group: 1, Key: anna, Dedupe: id}}
		if id == "complaint" {
			n.Type, n.Effect = tracking.Complained, suppression.Effect{Channel: audience.Email, Cause: suppression.Complained}
		}
		told.Notices = append(told.Notices, n)
	}
	told.Foreign = 1
	return told, nil
}

func newHookSite(t testing.TB) *site {
	return newSite(t, func(c *Config) {
		c.Hooks, c.HookCounts = map[string]Hook{"sendgrid": hookOf{}, "twilio/status": hookOf{}}, NewHookCounts()
	})
}

func (s *site) told(method, path, signature, body string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Signature", signature)
	return ask(s.server.Public(), r)
}

// counted is what the counter of SendGrid's webhooks says.
func (s *site) counted() map[string]float64 {
	s.t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(s.server.public.c.HookCounts)
	families, err := r.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		if labels := m.GetLabel(); labels[1].GetValue() == "sendgrid" { // outcome, provider
			counts[labels[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return counts
}

func TestWebhooksAreTakenOnce(t *testing.T) {
	s := newHookSite(t)
	for range 3 {
		if a := s.told("POST", "/hooks/sendgrid", "genuine ", "a b c"); a.status != http.StatusNoContent {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := s.told("POST", "/hooks/twilio/status?g=1&k=%32", "genuine g=1&k=%32", "d"); a.status != http.StatusNoContent {
		t.Errorf("the query is signed as it was sent: %d", a.status)
	}
	if n := len(s.store.happened()); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
	if diff := cmp.Diff(map[string]float64{"event": 9, "foreign": 3}, s.counted()); diff != "" {
		t.Error(diff)
	}
}

func TestWebhooksAreRefused(t *testing.T) {
	s := newHookSite(t)
	for _, c := range []struct {
		name, method, path, signature, body string
		status                              int
	}{
		{"forged", "POST", "/hooks/sendgrid", "forged", "a", 403},
		{"signed for another address", "POST", "/hooks/sendgrid?x", "genuine ", "a", 403},
		{"unreadable", "POST", "/hooks/sendgrid", "genuine ", "", 400},
		{"too large", "POST", "/hooks/sendgrid", "genuine ", strings.Repeat("a", maxHook+1), 413},
		{"opened", "GET", "/hooks/sendgrid", "genuine ", "", 405},
		{"not configured", "POST", "/hooks/mailgun", "genuine ", "a", 404},
		{"no name", "POST", "/hooks", "genuine ", "a", 404},
		{"a part of a name", "POST", "/hooks/twilio", "genuine ", "a", 404},
		{"a path below", "POST", "/hooks/sendgrid/", "genuine ", "a", 404},
	} {
		if a := s.told(c.method, c.path, c.signature, c.body); a.status != c.status {
			t.Errorf("%s: %d, want %d", c.name, a.status, c.status)
		}
	}
	s.untouched(t)
	if diff := cmp.Diff(map[string]float64{"forged": 2, "unreadable": 1, "too_large": 1}, s.counted()); diff != "" {
		t.Error(diff)
	}
}

// TestWebhooksWithoutADatabase: what is not durable is not acknowledged, and the
// provider sends it again.
func TestWebhooksWithoutADatabase(t *testing.T) {
	s := newHookSite(t)
	s.store.fail(errors.New("gone"))
	a := s.told("POST", "/hooks/sendgrid", "genuine ", "a b")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	s.untouched(t)
	s.store.fail(nil)
	if a := s.told("POST", "/hooks/sendgrid", "genuine ", "a b"); a.status != http.StatusNoContent || len(s.store.happened()) != 2 {
		t.Errorf("sent again: %d", a.status)
	}
}

// TestWebhooksHaveEffects: what follows from a webhook goes the way of wishes.
func TestWebhooksHaveEffects(t *testing.T) {
	s := newHookSite(t)
	if a := s.told("POST", "/hooks/sendgrid", "genuine ", "a complaint"); a.status != http.StatusNoContent {
		t.Fatalf("%d %s", a.status, a.body)
	}
	wishes := s.store.recorded()
	if len(wishes) != 1 || wishes[0].Entry.Key != anna || wishes[0].Entry.Cause != suppression.Complained || !wishes[0].Person {
		t.Errorf("%+v", wishes)
	}
}

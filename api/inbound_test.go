package api

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

// repliesOf reads a body of "number text" as one reply.
type repliesOf struct{}

func (repliesOf) Read(_ string, header http.Header, body []byte) (told channels.Told, err error) {
	if header.Get("Signature") != "genuine" {
		return told, channels.ErrForged
	}
	from, text, _ := strings.Cut(string(body), " ")
	return channels.Told{Replies: []channels.Reply{{Kind: audience.KindPhone, Reply: suppression.Reply{ID: "test-" + text, At: begin,
		Channel: audience.SMS, Address: from, Text: text, Meaning: suppression.ReadMeaning(text)}}}}, nil
}

func (repliesOf) Answer() []byte { return []byte("<Response/>") }

func newReplySite(t testing.TB) *site {
	return newSite(t, func(c *Config) {
		c.Hooks, c.HookCounts = map[string]Hook{"twilio/inbound": repliesOf{}}, NewHookCounts()
	})
}

func TestRepliesAreTaken(t *testing.T) {
	s := newReplySite(t)
	for _, body := range []string{"+46701740605 STOPP", "+46701740605 När slutar ni?\x00", "nobody STOP"} {
		a := s.told("POST", "/hooks/twilio/inbound", "genuine", body)
		if a.status != http.StatusOK || a.body != "<Response/>" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/xml") {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
	}
	if len(s.store.replies) != 2 {
		t.Fatalf("%d replies", len(s.store.replies))
	}
	key := s.server.public.c.Keyer.Key(audience.KindPhone, "+46701740605")
	if stop := s.store.replies[0]; stop.Key != key || stop.Meaning != suppression.SaysStop || stop.Text != "" || stop.Address != "" {
		t.Errorf("of a clear stop more is kept than that: %+v", stop)
	}
	if other := s.store.replies[1]; other.Key != key || other.Text != "När slutar ni?" || other.Address != "+46701740605" {
		t.Errorf("%+v", other)
	}
	if a := s.told("POST", "/hooks/twilio/inbound", "forged", "+46701740605 STOPP"); a.status != http.StatusForbidden || len(s.store.replies) != 2 {
		t.Errorf("forged: %d", a.status)
	}
	s.store.fail(errors.New("gone"))
	if a := s.told("POST", "/hooks/twilio/inbound", "genuine", "+46701740605 STOPP"); a.status != http.StatusServiceUnavailable {
		t.Errorf("without a database: %d", a.status)
	}
}

func TestRepliesAreRead(t *testing.T) {
	s := newReplySite(t)
	s.told("POST", "/hooks/twilio/inbound", "genuine", "+46701740605 När slutar ni?")
	a := s.as(s.admin, "GET", "/v1/inbound", "")
	if a.status != http.StatusOK || !strings.Contains(a.body, "När slutar ni?") || !strings.Contains(a.body, `"open":true`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := s.as(s.admin, "POST", "/v1/inbound/1/close", ""); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.as(s.admin, "GET", "/v1/inbound", ""); !strings.Contains(a.body, `"replies":[]`) {
		t.Errorf("%s", a.body)
	}
	if a := s.as(s.admin, "POST", "/v1/inbound/7/close", ""); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
	if last := s.store.audits[len(s.store.audits)-1]; !strings.Contains(last, "inbound.close|1") {
		t.Errorf("%s", last)
	}
}

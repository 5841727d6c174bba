package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
)

func TestHoldsAreShownAndReleased(t *testing.T) {
	s := newSite(t, nil)
	s.store.holds = []dispatcher.ChannelHold{{Channel: audience.SMS, Reason: "twilio answered bad_credentials"}}
	if list := decode[[]dispatcher.ChannelHold](t, s.as(s.aud, http.MethodGet, "/v1/holds", "")); len(list) != 1 || list[0] != s.store.holds[0] {
		t.Errorf("listed: %+v", list)
	}
	if page := s.as(s.admin, http.MethodGet, "/ops", "").body; !strings.Contains(page, "twilio answered bad_credentials") {
		t.Errorf("the page says nothing of it: %s", page)
	}
	for _, c := range []struct {
		key, channel string
		want         int
	}{{s.aud, "sms", http.StatusForbidden}, {s.admin, "email", http.StatusNotFound}, {s.admin, "smoke", http.StatusUnprocessableEntity}, {s.admin, "sms", http.StatusNoContent}} {
		if got := s.as(c.key, http.MethodPost, "/v1/holds/"+c.channel+"/release", "").status; got != c.want {
			t.Errorf("%s: got %d, want %d", c.channel, got, c.want)
		}
	}
	if want := []string{"root|hold.release|sms|"}; !cmp.Equal(want, s.store.audits) || len(s.store.holds) > 0 {
		t.Errorf("audited: %s; held: %v", strings.Join(s.store.audits, ", "), s.store.holds)
	}
}

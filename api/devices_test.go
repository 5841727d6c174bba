package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
)

func TestAppsReportDevices(t *testing.T) {
	s := newSite(t, nil)
	app := s.addKey("app", ScopeApp)
	keyer := s.server.public.c.Keyer
	phone, person := keyer.Key(audience.KindPush, "token-1"), keyer.Key(audience.KindContact, "1001")
	off := func(k audience.Key, active bool, said string) suppression.Wish {
		return suppression.Wish{Entry: suppression.Entry{Key: k, Channel: "push", Topic: "*", Purpose: "*", Sender: "*", Cause: suppression.PushOff,
			Active: active, Source: "app", Evidence: "permission: " + said}}
	}
	objection := func(k audience.Key) suppression.Wish {
		w := off(k, true, "")
		w.Person, w.Entry.Cause, w.Entry.Evidence = true, suppression.Objected, "opted out in the app"
		return w
	}
	for body, want := range map[string][]suppression.Wish{
		`{"push_token":"token-1","permission":"denied"}`:                   {off(phone, true, "denied")},
		`{"push_token":" token-1 ","permission":"blocked"}`:                {off(phone, true, "blocked")},
		`{"push_token":"token-1","permission":"granted"}`:                  {off(phone, false, "granted")},
		`{"push_token":"token-1","permission":"granted","opted_out":true}`: {objection(phone), off(phone, false, "granted")},
		`{"external_id":"1001","opted_out":true}`:                          {objection(person)},
		`{"external_id":"1001","permission":"denied"}`:                     {off(person, true, "denied")},
	} {
		s.store.wishes = nil
		if a := s.as(app, http.MethodPost, "/v1/devices", body); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
		if diff := cmp.Diff(want, s.store.recorded()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	s.store.wishes = nil
	for _, body := range []string{`{}`, `{"push_token":"token-1"}`, `{"permission":"denied"}`, `{"push_token":"a","external_id":"b","opted_out":true}`,
		`{"push_token":"token-1","permission":"perhaps"}`, `{"push_token":"to ken","opted_out":true}`, `{"push_token":"token-1","opted_out":false}`} {
		a := s.as(app, http.MethodPost, "/v1/devices", body)
		if a.status != http.StatusUnprocessableEntity || strings.Contains(a.body, "to ken") {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if n := len(s.store.recorded()); n != 0 {
		t.Errorf("%d wishes of reports that were refused", n)
	}
}

// TestAppKeysDoNothingElse asks every route.
func TestAppKeysDoNothingElse(t *testing.T) {
	s := newSite(t, nil)
	app := s.addKey("app", ScopeApp)
	for _, pattern := range s.closed() {
		method, path := asked(pattern)
		if pattern == "POST "+logoutPath || pattern == "POST "+devicesPath || pattern == "POST "+subscriptionsPath {
			continue
		}
		if a := s.as(app, method, path, map[bool]string{true: "", false: "{}"}[method == http.MethodGet]); a.status != http.StatusForbidden {
			t.Errorf("%s by a key of an app: got %d", pattern, a.status)
		}
	}
	if a := s.as(app, http.MethodGet, devicesPath, ""); a.status != http.StatusForbidden {
		t.Errorf("GET: %d", a.status)
	}
}

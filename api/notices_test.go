package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/templates"
)

func TestPrivacyNotices(t *testing.T) {
	s := newSite(t, nil)
	const notice = `{"version":"2026-01-15","language":"sv","date":"2026-01-15","url":"https://exempelbolaget.test/integritet","text":"Så gör vi."}`
	for range 2 {
		s.as(s.marketer, http.MethodPost, "/v1/notices", notice).want(t, http.StatusCreated)
	}
	s.as(s.marketer, http.MethodPost, "/v1/notices", strings.Replace(notice, "Så gör vi.", "Så gör vi nu.", 1)).want(t, http.StatusConflict)
	s.as(s.aud, http.MethodPost, "/v1/notices", notice).want(t, http.StatusForbidden)
	a := s.as(s.marketer, http.MethodPost, "/v1/notices", `{"version":"a b","date":"soon"}`)
	a.want(t, http.StatusUnprocessableEntity)
	var fields []string
	for _, v := range decode[ProblemDetails](t, a).Errors {
		fields = append(fields, v.Field)
	}
	if diff := cmp.Diff([]string{"body.version", "body.date", "body.url"}, fields); diff != "" {
		t.Error(diff)
	}
	want := []templates.PrivacyNotice{{Sender: "*", Version: "2026-01-15", Language: "sv", Date: "2026-01-15",
		URL: "https://exempelbolaget.test/integritet", Hash: templates.HashNotice([]byte("Så gör vi."))}}
	if diff := cmp.Diff(want, decode[[]templates.PrivacyNotice](t, s.as(s.aud, http.MethodGet, "/v1/notices", ""))); diff != "" {
		t.Error(diff)
	}
}

func TestRelationsOfAContact(t *testing.T) {
	s := newSite(t, nil)
	const at = "/v1/contacts/r1"
	s.as(s.marketer, http.MethodPut, at, `{"email":"r1@example.com","relations":{"exempelbolaget":"2019-05-01","exempelbanken":"yes"}}`).want(t, http.StatusOK)
	s.as(s.marketer, http.MethodPut, at, `{"relations":{"exempelbanken":"ended"}}`).want(t, http.StatusOK)
	got := decode[contactView](t, s.as(s.aud, http.MethodGet, at, "")).Relations
	if diff := cmp.Diff(map[string]string{"exempelbolaget": "2019-05-01", "exempelbanken": "ended"}, got); diff != "" {
		t.Error(diff)
	}
	for body, field := range map[string]string{
		`{"relations":{"exempelbanken":"since long"}}`: "body.relations.exempelbanken", `{"relations":{"No Sender":"yes"}}`: "body.relations",
		`{"consents":{"profiling":true},"consent_notice":"a b"}`: "body.consent_notice",
	} {
		a := s.as(s.marketer, http.MethodPut, at, body)
		a.want(t, http.StatusUnprocessableEntity)
		if v := decode[ProblemDetails](t, a).Errors; len(v) != 1 || v[0].Field != field {
			t.Errorf("%s: %+v", body, v)
		}
	}
}

package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
)

func TestAddSuppression(t *testing.T) {
	s := newSite(t, nil)
	a := s.as(s.marketer, http.MethodPost, "/v1/suppressions", `{"kind":"phone","address":"070-174 06 05","channel":"sms","topic":"Offer","cause":"stopped","evidence":"answer 7"}`)
	a.want(t, http.StatusCreated)
	want := suppression.Wish{Person: true, Entry: suppression.Entry{Key: s.keyer.Key(audience.KindPhone, "+46701740605"), Channel: "sms", Topic: "offer", Purpose: "*",
		Sender: "*", Cause: suppression.Stopped, Active: true, Source: "operator", Evidence: "answer 7"}}
	if diff := cmp.Diff([]suppression.Wish{want}, s.store.recorded()); diff != "" {
		t.Error(diff)
	}
	if got := decode[recordedAnswer](t, a); got.Version != 1 || got.Keys != 1 {
		t.Errorf("%+v", got)
	}
	for body, want := range map[string]string{
		`{"kind":"email","address":"anna"}`:                                           "body.address: has no @",
		`{"kind":"email","address":"anna@example.com","cause":"paused"}`:              "body.expires_at: is empty: a pause needs the moment at which it ends",
		`{"kind":"email","address":"anna@example.com","evidence":"anna@example.com"}`: "body.evidence: has an @ and was left out: an entry outlives erasure and holds no address",
		`{"kind":"key","address":"anna@example.com"}`:                                 "body.address: a key has 32 hexadecimal digits, this text has 16 characters",
		`{"kind":"email","address":"anna@example.com","cause":"no_basis"}`:            `body.cause: expected value to be one of "objected, unsubscribed, stopped, complained, withdrawn, bounced, invalid, unregistered, push_off, paused"`,
	} {
		a := s.as(s.marketer, http.MethodPost, "/v1/suppressions", body)
		a.want(t, http.StatusUnprocessableEntity)
		if diff := cmp.Diff([]string{want}, violations(t, a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	if n := len(s.store.recorded()); n != 1 {
		t.Errorf("%d wishes are recorded", n)
	}
	s.store.fail(errDown)
	a = s.as(s.marketer, http.MethodPost, "/v1/suppressions", `{"kind":"email","address":"anna@example.com"}`)
	a.want(t, http.StatusServiceUnavailable)
	if strings.Contains(s.log.String(), "anna") {
		t.Error("the log has an address")
	}
}

func TestLiftSuppression(t *testing.T) {
	s := newSite(t, nil)
	const wish = `"kind":"email","address":"anna@example.com","channel":"email","purpose":"marketing","cause":"unsubscribed"`
	a := s.as(s.marketer, http.MethodPost, "/v1/suppressions/lift", `{`+wish+`,"evidence":"case 7"}`)
	a.want(t, http.StatusOK)
	want := suppression.Wish{Person: true, Entry: suppression.Entry{Key: s.keyer.Key(audience.KindEmail, "anna@example.com"), Channel: "email", Topic: "*",
		Purpose: "marketing", Sender: "*", Cause: suppression.Unsubscribed, Source: "operator", Evidence: "case 7"}}
	if diff := cmp.Diff([]suppression.Wish{want}, s.store.recorded()); diff != "" {
		t.Error(diff)
	}
	if got := decode[recordedAnswer](t, a); got.Version != 1 || got.Keys != 1 {
		t.Errorf("%+v", got)
	}
	for body, status := range map[string]int{
		`{` + wish + `}`: http.StatusUnprocessableEntity,
		`{` + wish + `,"evidence":"mail from anna@example.com"}`:            http.StatusUnprocessableEntity,
		`{"kind":"email","address":"anna@example.com","evidence":"case 7"}`: http.StatusUnprocessableEntity,
	} {
		s.as(s.marketer, http.MethodPost, "/v1/suppressions/lift", body).want(t, status)
	}
	s.as(s.aud, http.MethodPost, "/v1/suppressions/lift", `{`+wish+`,"evidence":"case 7"}`).want(t, http.StatusForbidden)
	if n := len(s.store.recorded()); n != 1 {
		t.Errorf("%d wishes are recorded", n)
	}
}

func TestCheckSuppression(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.admin, http.MethodPut, "/v1/contacts/c1", `{"email":"anna@example.com","phone":"0701740605","push_tokens":["t1","t2"]}`).want(t, http.StatusOK)
	add := func(body string) {
		s.as(s.admin, http.MethodPost, "/v1/suppressions", body).want(t, http.StatusCreated)
	}
	add(`{"kind":"email","address":"anna@example.com","channel":"email","cause":"bounced"}`)
	add(`{"kind":"contact","address":"c1","channel":"sms","topic":"offer"}`)
	add(`{"kind":"push","address":"t1","channel":"push","cause":"unregistered"}`)
	add(`{"kind":"email","address":"bo@example.com","purpose":"profiling"}`)
	key := s.keyer.Key(audience.KindEmail, "anna@example.com").String()
	for _, c := range []struct{ body, want string }{
		{`{"kind":"email","address":"Anna@example.com"}`, "bounced"},
		{`{"kind":"key","address":"` + key + `","channel":"email"}`, "bounced"},
		{`{"kind":"email","address":"anna@example.com","channel":"sms","topic":"offer"}`, "objected"}, // by way of her contact
		{`{"kind":"phone","address":"0701740605","topic":"offer"}`, "objected"},
		{`{"kind":"phone","address":"0701740605","topic":"news"}`, ""},
		{`{"kind":"contact","address":"c1","channel":"email"}`, "bounced"},
		{`{"kind":"contact","address":"c1","channel":"push"}`, ""}, // the other device is not gone
		{`{"kind":"push","address":"t1"}`, "unregistered"},
		{`{"kind":"push","address":"t2"}`, ""},
		{`{"kind":"contact","address":"nobody","channel":"email"}`, ""},
		{`{"kind":"email","address":"bo@example.com"}`, ""},
		{`{"kind":"email","address":"bo@example.com","purpose":"profiling"}`, "objected"},
	} {
		a := s.as(s.marketer, http.MethodPost, "/v1/suppressions/check", c.body)
		a.want(t, http.StatusOK)
		if got := decode[checkAnswer](t, a); string(got.Cause) != c.want || got.Suppressed != (c.want != "") || got.Version != 4 {
			t.Errorf("%s: got %+v, want %q", c.body, got, c.want)
		}
	}
	a := s.as(s.marketer, http.MethodPost, "/v1/suppressions/check", `{"kind":"contact","address":"`+"c\u200b1"+`"}`)
	a.want(t, http.StatusUnprocessableEntity)
	if diff := cmp.Diff([]string{"body.channel: is needed for a contact or a key", "body.address: has an invisible character"}, violations(t, a)); diff != "" {
		t.Error(diff)
	}
}

func TestSuppressionsGoOutAndIn(t *testing.T) {
	s := newSite(t, nil)
	file := "kind,address,channel,cause,evidence\nemail,a@example.com,email,bounced,\nphone,070 174 06 06,,,letter\nfax,1,,,\n"
	a := s.as(s.marketer, http.MethodPost, "/v1/suppressions/import", file, "Content-Type", "text/csv")
	a.want(t, http.StatusOK)
	want := suppressionImportReport{FileReport: suppression.FileReport{Lines: 3, Recorded: 2, Rejected: 1}, ProblemsTotal: 1,
		Problems: []audience.Problem{{Line: 4, Field: "kind", Rule: "is not email, phone, push, contact or key", Rejected: true}}}
	if diff := cmp.Diff(want, decode[suppressionImportReport](t, a)); diff != "" {
		t.Error(diff)
	}
	out := s.as(s.aud, http.MethodGet, "/v1/suppressions", "")
	out.want(t, http.StatusOK)
	if got := out.header.Get("Content-Type"); got != "text/csv; charset=utf-8" || strings.Contains(out.body, "@") {
		t.Errorf("%s\n%s", got, out.body)
	}
	other := newSite(t, nil)
	other.as(other.admin, http.MethodPost, "/v1/suppressions/import", out.body, "Content-Type", "text/csv").want(t, http.StatusOK)
	again := other.as(other.aud, http.MethodGet, "/v1/suppressions", "")
	if diff := cmp.Diff(out.body, again.body); diff != "" {
		t.Error("what goes out is not what came in:\n" + diff)
	}
}

func TestAnExportThatStopsIsCutOff(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.admin, http.MethodGet, "/v1/contacts", "").want(t, http.StatusOK)
	s.store.fail(errDown)
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("the handler ended with %v", got)
		}
	}()
	s.as(s.admin, http.MethodGet, "/v1/suppressions", "")
	t.Error("a half file looks like a whole one")
}

package api

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"utskick/audience"
	"utskick/suppression"
)

const personalNumber = "19121212-1212" // a test number of the Swedish Tax Agency

func newCaseSite(t *testing.T) *site {
	s := newSite(t, nil)
	s.store.contacts["a"] = audience.Contact{ID: 1, ExternalID: "a", Email: "asa@example.com"}
	return s
}

func (s *site) openCase(body string) caseView {
	s.t.Helper()
	a := s.as(s.admin, "POST", "/v1/cases", body)
	a.want(s.t, http.StatusCreated)
	return decode[caseView](s.t.(*testing.T), a)
}

func TestAnObjectionHoldsBeforeItsCaseIsKept(t *testing.T) {
	s := newCaseSite(t)
	const body = `{"kind":"objection","way":"phone","person":{"kind":"email","address":"Asa@Example.com"}}`
	c := s.openCase(body)
	key := s.keyer.Key(audience.KindEmail, "asa@example.com")
	if c.Due != "2026-12-02" || c.Key != key.String() || c.OpenedBy != "root" || c.State != "open" {
		t.Errorf("%+v", c)
	}
	wishes := s.store.recorded()
	if len(wishes) != 1 || wishes[0].Entry.Cause != suppression.Objected || wishes[0].Entry.Key != key || !wishes[0].Person || !wishes[0].Entry.Active ||
		wishes[0].Entry.Purpose != suppression.Any || wishes[0].Entry.Channel != suppression.Any {
		t.Fatalf("%+v", wishes)
	}
	a := s.as(s.admin, "POST", "/v1/cases/1/identity", `{"method":"paper_request"}`)
	a.want(t, http.StatusUnprocessableEntity)
	if !strings.Contains(a.body, "needs no identification") {
		t.Error(a.body)
	}
	s.as(s.admin, "POST", "/v1/cases/1/refuse", `{"outcome":"no signature"}`).want(t, http.StatusConflict)
	s.as(s.admin, "POST", "/v1/cases/1/answer", `{}`).want(t, http.StatusOK)
	if last := s.store.audits[0]; last != "root|case.open|1|objection, in force" {
		t.Error(last)
	}

	s.store.noCases = errors.New("disk full")
	a = s.as(s.admin, "POST", "/v1/cases", body)
	a.want(t, http.StatusServiceUnavailable)
	if len(s.store.recorded()) != 2 || !strings.Contains(a.body, "is in force") {
		t.Errorf("the objection waits for its case: %s", a.body)
	}
	s.store.noCases, s.store.down = nil, nil
	s.store.fail(errDown)
	if s.as(s.admin, "POST", "/v1/cases", body).want(t, http.StatusServiceUnavailable); len(s.store.cases) != 1 {
		t.Errorf("%d cases, though the objection was not recorded", len(s.store.cases))
	}
}

func TestACaseRunsItsCourse(t *testing.T) {
	s := newCaseSite(t)
	c := s.openCase(`{"kind":"access","way":"letter","received_at":"2026-10-31","person":{"kind":"contact","address":"a"},"external_case":"P-17","note":"by letter"}`)
	if c.Due != "2026-11-30" || c.Contact != "a" || c.External != "P-17" || len(c.Notes) != 1 || c.Overdue {
		t.Fatalf("%+v", c)
	}
	if len(s.store.recorded()) != 0 {
		t.Error("asking for access was taken for a wish")
	}
	for _, step := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/answer", `{"outcome":"sent"}`, http.StatusConflict, "identity was not checked"},
		{"/identity", `{"method":"code_known_address"}`, http.StatusOK, `"by":"root"`},
		{"/extend", `{"reason":"many systems","told_at":"2027-03-01"}`, http.StatusUnprocessableEntity, "body.told_at"},
		{"/extend", `{"reason":"many systems"}`, http.StatusUnprocessableEntity, "is told of the extension"},
		{"/extend", `{"reason":"many systems","told_at":"2026-11-02"}`, http.StatusOK, `"due":"2027-01-30"`},
		{"/extend", `{"reason":"again","told_at":"2026-11-02"}`, http.StatusConflict, "once"},
		{"/route", `{"route":"officer"}`, http.StatusOK, `"route":"officer"`},
		{"/notes", `{"text":"hon heter ` + personalNumber + `"}`, http.StatusUnprocessableEntity, "paper case"},
		{"/notes", `{"text":""}`, http.StatusUnprocessableEntity, "is empty"},
		{"/answer", `{"outcome":""}`, http.StatusUnprocessableEntity, "body.outcome"},
		{"/answer", `{"outcome":"sent by post"}`, http.StatusOK, `"state":"answered"`},
		{"/close", `{"outcome":"sent by post"}`, http.StatusConflict, "has ended"},
	} {
		a := s.as(s.admin, "POST", "/v1/cases/1"+step.path, step.body)
		if a.status != step.status || !strings.Contains(a.body, step.says) || strings.Contains(a.body, personalNumber) {
			t.Errorf("%s %s: %d %s", step.path, step.body, a.status, a.body)
		}
	}
	s.as(s.admin, "GET", "/v1/cases/2", "").want(t, http.StatusNotFound)
	for query, want := range map[string]bool{"": true, "?open=true": false, "?kind=access": true, "?kind=objection": false, "?route=service": false, "?after=1": false} {
		a := s.as(s.admin, "GET", "/v1/cases"+query, "")
		a.want(t, http.StatusOK)
		if strings.Contains(a.body, `"id":1`) != want || !want && !strings.Contains(a.body, `"cases":[]`) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
}

func TestACaseThatCannotBeOpened(t *testing.T) {
	s := newCaseSite(t)
	for body, says := range map[string]string{
		`{"kind":"access","way":"phone"}`:                                                                                                 "body.person",
		`{"kind":"access","way":"phone","person":{"kind":"contact","address":"nobody"}}`:                                                  "is no contact",
		`{"kind":"access","way":"phone","person":{"kind":"email","address":"` + personalNumber + `"}}`:                                    "body.person.address",
		`{"kind":"question","way":"phone","external_case":"` + personalNumber + `"}`:                                                      "body.external_case",
		`{"kind":"question","way":"phone","note":"` + personalNumber + `"}`:                                                               "body.text",
		`{"kind":"question","way":"phone","received_at":"yesterday"}`:                                                                     "body.received_at",
		`{"kind":"objection","way":"phone","person":{"kind":"contact","address":"a"},"external_case":"` + personalNumber + `"}`:           "body.external_case",
		`{"kind":"wish","way":"phone","person":{"kind":"contact","address":"a"},"external_case":"` + strings.Repeat("1", 12) + `","x":1}`: "body.kind",
	} {
		a := s.as(s.admin, "POST", "/v1/cases", body)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, says) || strings.Contains(a.body, personalNumber) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if len(s.store.cases)+len(s.store.recorded()) > 0 {
		t.Error("something was kept")
	}
}

func TestARestrictionIsLiftedWhenThePersonKnows(t *testing.T) {
	s := newCaseSite(t)
	s.openCase(`{"kind":"restriction","way":"mail","person":{"kind":"contact","address":"a"}}`)
	own := s.keyer.Key(audience.KindContact, "a")
	check := func(want suppression.Cause, active bool, n int) {
		t.Helper()
		wishes := s.store.recorded()
		if last := wishes[len(wishes)-1]; len(wishes) != n || last.Entry.Cause != want || last.Entry.Key != own || last.Entry.Active != active || !last.Person {
			t.Fatalf("%d wishes, the last %+v", len(wishes), last)
		}
	}
	check(suppression.Restricted, true, 1)
	s.as(s.admin, "POST", "/v1/people/1/restrict", `{"case":1}`).want(t, http.StatusOK)
	check(suppression.Restricted, true, 2)
	s.as(s.admin, "POST", "/v1/people/1/restrict", `{"case":2}`).want(t, http.StatusNotFound)
	for _, nobody := range []string{"2", "a"} {
		s.as(s.admin, "POST", "/v1/people/"+nobody+"/restrict", `{"case":1}`).want(t, http.StatusNotFound)
	}
	for _, body := range []string{`{}`, `{"informed_at":"2026-12-24"}`} {
		a := s.as(s.admin, "POST", "/v1/cases/1/lift-restriction", body)
		a.want(t, http.StatusUnprocessableEntity)
		if !strings.Contains(a.body, "must be informed before the restriction is lifted (GDPR 18(3))") {
			t.Error(a.body)
		}
	}
	check(suppression.Restricted, true, 2)
	a := s.as(s.admin, "POST", "/v1/suppressions/lift", `{"kind":"contact","address":"a","cause":"restricted","evidence":"x"}`)
	a.want(t, http.StatusUnprocessableEntity)
	s.as(s.admin, "POST", "/v1/cases/1/lift-restriction", `{"informed_at":"2026-11-01"}`).want(t, http.StatusOK)
	check(suppression.Restricted, false, 3)
	if notes := s.store.cases[0].Notes; len(notes) != 1 || !strings.Contains(notes[0].Text, "2026-11-01") {
		t.Errorf("%+v", notes)
	}
	s.openCase(`{"kind":"access","way":"mail","person":{"kind":"contact","address":"a"}}`)
	s.as(s.admin, "POST", "/v1/cases/2/lift-restriction", `{"informed_at":"2026-11-01"}`).want(t, http.StatusConflict)
	s.as(s.admin, "POST", "/v1/people/1/restrict", `{"case":2}`).want(t, http.StatusConflict)

	s.openCase(`{"kind":"restriction","way":"mail","person":{"kind":"email","address":"nobody@example.com"}}`)
	bare := s.keyer.Key(audience.KindEmail, "nobody@example.com").String()
	s.as(s.admin, "POST", "/v1/people/1/restrict", `{"case":3}`).want(t, http.StatusConflict)
	s.as(s.admin, "POST", "/v1/people/"+bare+"/restrict", `{"case":1}`).want(t, http.StatusConflict)
	s.as(s.admin, "POST", "/v1/people/"+bare+"/restrict", `{"case":3}`).want(t, http.StatusOK)
	if wishes := s.store.recorded(); wishes[len(wishes)-1].Entry.Key.String() != bare {
		t.Errorf("%+v", wishes[len(wishes)-1])
	}
}

func TestTheOfficerSeesCasesAndNobodysAddress(t *testing.T) {
	s := newCaseSite(t)
	officer := s.addKey("officer", ScopeOfficer)
	s.openCase(`{"kind":"access","way":"mail","person":{"kind":"contact","address":"a"}}`)
	s.openCase(`{"kind":"complaint","way":"mail","route":"officer"}`)
	may := map[string]bool{"GET /{$}": true, "GET /docs": true, "GET /openapi.json": true, "GET /ops": true, "GET /ops/campaigns/{name}": true,
		"GET /ops/cases": true, "GET /ops/cases/{id}": true, "GET /v1/cases": true, "GET /v1/cases/{id}": true,
		"POST /ops/cases/{id}/{action}": false, "POST /ops/cases/{id}/notes": true, "POST /ops/cases/{id}/route": true, "POST /v1/cases/{id}/notes": true, "POST /v1/cases/{id}/route": true, "POST /logout": true,
		"GET /v1/compliance": true, "GET /ops/compliance": true, "GET /v1/audit": true, "GET /ops/audit": true}
	for _, pattern := range s.closed() {
		method, path := asked(pattern)
		a := s.as(officer, method, path, map[bool]string{true: "", false: "{}"}[method == http.MethodGet])
		if allowed := a.status != http.StatusForbidden; allowed != may[pattern] {
			t.Errorf("%s: %d", pattern, a.status)
		}
	}
	for path, status := range map[string]int{"/v1/cases/1/notes": http.StatusForbidden, "/v1/cases/2/notes": http.StatusOK} {
		if a := s.as(officer, "POST", path, `{"text":"seen"}`); a.status != status {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	s.as(officer, "POST", "/v1/cases/2/route", `{"route":"service"}`).want(t, http.StatusOK)
	s.as(officer, "POST", "/v1/cases/2/route", `{"route":"officer"}`).want(t, http.StatusForbidden)
	cookie, csrf := s.session(officer)
	page := s.as("", "GET", "/ops/cases/1", "", "Cookie", cookie)
	if page.status != http.StatusOK || strings.Contains(page.body, "/notes") || strings.Contains(page.body, "/answer") || strings.Contains(page.body, "/outbox") {
		t.Errorf("%d: the page offers what she may not do", page.status)
	}
	for action, status := range map[string]int{"notes": http.StatusForbidden, "answer": http.StatusForbidden} { // the first because of its route
		form := url.Values{"csrf": {csrf}, "text": {"x"}, "outcome": {"x"}}.Encode()
		s.as("", "POST", "/ops/cases/1/"+action, form, "Cookie", cookie, "Content-Type", "application/x-www-form-urlencoded").want(t, status)
	}
	form := url.Values{"csrf": {csrf}, "text": {"is " + personalNumber}}.Encode()
	s.as(s.admin, "POST", "/v1/cases/2/route", `{"route":"officer"}`).want(t, http.StatusOK)
	refused := s.as("", "POST", "/ops/cases/2/notes", form, "Cookie", cookie, "Content-Type", "application/x-www-form-urlencoded")
	if refused.status != http.StatusUnprocessableEntity || strings.Contains(refused.body, "/answer") {
		t.Errorf("%d: with a note that is refused, the page offers what she may not do", refused.status)
	}
}

func TestCasesByForm(t *testing.T) {
	s := newCaseSite(t)
	cookie, csrf := s.session(s.marketer)
	send := func(path string, form url.Values) answer {
		form.Set("csrf", csrf)
		return s.as("", "POST", path, form.Encode(), "Cookie", cookie, "Content-Type", "application/x-www-form-urlencoded")
	}
	bad := send("/ops/cases", url.Values{"kind": {"erasure"}, "way": {"phone"}, "person_kind": {"contact"}, "person": {"nobody"}, "note": {"called <twice>"}})
	if bad.status != http.StatusUnprocessableEntity || !strings.Contains(bad.body, "is no contact") || !strings.Contains(bad.body, "called &lt;twice&gt;") ||
		strings.Contains(bad.body, "nobody") || !strings.Contains(bad.body, "<option selected>erasure") {
		t.Errorf("%d %s", bad.status, bad.body)
	}
	good := send("/ops/cases", url.Values{"kind": {"erasure"}, "way": {"phone"}, "person_kind": {"contact"}, "person": {"a"}, "note": {"called <twice>"}})
	if good.status != http.StatusSeeOther || good.header.Get("Location") != "/ops/cases/1" {
		t.Fatalf("%d %s", good.status, good.body)
	}
	s.now = s.now.Add(40 * 24 * time.Hour)
	cookie, csrf = s.session(s.marketer)
	for _, path := range []string{"/ops/cases", "/ops/cases?show=overdue", "/ops/cases?show=all"} {
		if page := s.as("", "GET", path, "", "Cookie", cookie).body; !strings.Contains(page, `2026-12-02 <strong class="late">overdue</strong>`) {
			t.Errorf("%s: %s", path, page)
		}
	}
	if page := s.as("", "GET", "/ops/cases?route=officer", "", "Cookie", cookie).body; !strings.Contains(page, "There are none of these") {
		t.Error(page)
	}
	refused := send("/ops/cases/1/refuse", url.Values{"outcome": {"is " + personalNumber}})
	if refused.status != http.StatusUnprocessableEntity || !strings.Contains(refused.body, "personal identity") {
		t.Errorf("%d %s", refused.status, refused.body)
	}
	for _, step := range []struct{ action, field, value string }{{"identity", "method", "in_store"}, {"notes", "text", "came again"}, {"answer", "outcome", "erased"}} {
		send("/ops/cases/1/"+step.action, url.Values{step.field: {step.value}}).want(t, http.StatusSeeOther)
	}
	page := s.as("", "GET", "/ops/cases/1", "", "Cookie", cookie).body
	for _, want := range []string{"called &lt;twice&gt;", "came again", "in_store, by crm", "erased", `<span class="state">answered</span>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(page, `/answer"`) {
		t.Error("a case that has ended can be ended")
	}
	send("/ops/cases/1/burn", url.Values{}).want(t, http.StatusNotFound)
	send("/ops/cases/7/notes", url.Values{"text": {"x"}}).want(t, http.StatusNotFound)
}

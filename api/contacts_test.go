package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/tracking"
)

func TestPutContact(t *testing.T) {
	s := newSite(t, nil)
	put := func(body string) answer { return s.as(s.marketer, http.MethodPut, "/v1/contacts/c%2F1", body) }
	put(`{"email":" Anna@EXAMPLE.com","phone":"070-174 06 05","push_tokens":["tok1","tok2"],"first_name":"Anna, \"A\"\nx","locale":"sv_se",
		"basis":"consent","basis_evidence":"=1+1; form 7","consents":{"marketing":true,"profiling":false},"attributes":{"city":"Lund; Skåne","tier":"gold"}}`).
		want(t, http.StatusUnprocessableEntity) // a line break in a name
	a := put(`{"email":" Anna@EXAMPLE.com","phone":"070-174 06 05","push_tokens":["tok1","tok2"],"first_name":"Anna, \"A\"","locale":"sv_se",
		"basis":"consent","basis_evidence":"=1+1; form 7","consents":{"marketing":true,"profiling":false},"attributes":{"city":"Lund; Skåne","tier":"gold"}}`)
	a.want(t, http.StatusOK)
	want := contactView{ExternalID: "c/1", Email: "anna@example.com", Phone: "+46701740605", PushTokens: []string{"tok1", "tok2"}, FirstName: `Anna, "A"`,
		Locale: "sv-SE", Basis: audience.Consent, BasisEvidence: "=1+1; form 7", Attributes: map[string]string{"city": "Lund; Skåne", "tier": "gold"}}
	if diff := cmp.Diff(want, decode[contactView](t, a)); diff != "" {
		t.Error("a new contact (-want +got):\n" + diff)
	}
	if w := s.store.recorded(); len(w) != 1 || w[0].Entry.Purpose != "profiling" || w[0].Entry.Cause != suppression.Withdrawn || !w[0].Person {
		t.Errorf("a refusal was recorded as %+v", w)
	}

	a = put(`{"email":"","attributes":{"tier":""}}`)
	a.want(t, http.StatusOK)
	want.Email = ""
	delete(want.Attributes, "tier")
	if diff := cmp.Diff(want, decode[contactView](t, a)); diff != "" {
		t.Error("a changed contact (-want +got):\n" + diff)
	}
	if diff := cmp.Diff(want, decode[contactView](t, s.as(s.aud, http.MethodGet, "/v1/contacts/c%2F1", ""))); diff != "" {
		t.Error("the contact as it is shown (-want +got):\n" + diff)
	}
	for _, line := range s.store.audits {
		if strings.Contains(line, "c/1") || !strings.HasPrefix(line, "crm|contact.save|") {
			t.Errorf("the audit log has %q", line)
		}
	}
}

// TestSoftOptIn wants what it rests on to be saved piece by piece, and shown.
func TestSoftOptIn(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.admin, http.MethodPut, "/v1/contacts/c1", `{"basis":"soft_optin","soft_optin":{"sale":"2025-11-03","family":"Tyres"}}`).want(t, http.StatusOK)
	a := s.as(s.admin, http.MethodPut, "/v1/contacts/c1", `{"soft_optin":{"offered":"yes"}}`)
	a.want(t, http.StatusOK)
	want := audience.Sale{Reference: "2025-11-03", Offered: "yes", Family: "tyres"}
	if got := s.store.contacts["c1"].Sale; got != want {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(a.body, `"soft_optin":{"sale":"2025-11-03","offered":"yes","family":"tyres"}`) {
		t.Errorf("it is shown as %s", a.body)
	}
	a = s.as(s.admin, http.MethodPut, "/v1/contacts/c1", `{"soft_optin":{"offered":"perhaps"}}`)
	if diff := cmp.Diff([]string{"body.soft_optin.offered: is not yes, no or empty"}, violations(t, a)); diff != "" {
		t.Error(diff)
	}
	s.as(s.admin, http.MethodPost, "/v1/imports?basis=soft_optin&sale=r-1&offered=true&family=oil", "external_id\nc2\n", "Content-Type", "text/csv").want(t, http.StatusOK)
	if got := s.store.contacts["c2"].Sale; got != (audience.Sale{Reference: "r-1", Offered: "yes", Family: "oil"}) {
		t.Errorf("an import fills in %+v", got)
	}
}

func TestPutContactRefusesWhole(t *testing.T) {
	for body, want := range map[string][]string{
		`{"first_name":"Anna","email":"no address","phone":"12"}`: {"body.email: has no @", "body.phone: is not a valid phone number"},
		`{"basis":"maybe"}`:           {"body.basis: is not consent, soft_optin or empty"},
		`{"push_tokens":["a b","ö"]}`: {"body.push_tokens: has a space or a character outside of printable ASCII"},
		`{"attributes":{"seen":"4571 7361 1111 1111"},"locale":"x"}`: {"body.locale: is not a locale such as sv-SE"},
		`{"attributes":{"email":"x"}}`:                               {"body.attributes: has a name that no attribute can have: use a to z, 0 to 9 and _, a letter first, at most 63, and none of the contact's own fields"},
		`{"attributes":{"consent.marketing":"yes"}}`:                 {"body.attributes: has a name that no attribute can have: use a to z, 0 to 9 and _, a letter first, at most 63, and none of the contact's own fields"},
		`{"attributes":{"a;b,c\"":"x"}}`:                             {"body.attributes: has a name that no attribute can have: use a to z, 0 to 9 and _, a letter first, at most 63, and none of the contact's own fields"},
		`{"consents":{"spying":true}}`:                               {"body.consents: has a purpose that is not one of [marketing profiling open_tracking ad_tracking ad_list_sharing]"},
		`{"attributes":{"born":"19900101-0017"}}`:                    {"body.attributes.born: looks like a personal identity number; import no such numbers"},
		`{"mail":"anna@example.com"}`:                                {"body.mail: unexpected property"},
		`{"anna@example.com":"x"}`:                                   {"body: unexpected property"},
		`{"email":7}`:                                                {"body.email: expected string"},
		`{"email":"anna@example.com"`:                                {"body: is not valid JSON from byte 27 on"},
	} {
		s := newSite(t, nil)
		a := s.as(s.admin, http.MethodPut, "/v1/contacts/c1", body)
		if a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", body, a.status, a.body)
			continue
		}
		got := violations(t, a)
		if strings.Contains(body, "4571") {
			got = got[:1] // the number may be listed, too
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
		if len(s.store.contacts) > 0 || len(s.store.names) > 0 || len(s.store.audits) > 0 {
			t.Errorf("%s: something was saved", body)
		}
	}
}

func TestAContactWithTooManyAttributes(t *testing.T) {
	s := newSite(t, nil)
	attributes := map[string]string{}
	for i := range 600 {
		attributes[fmt.Sprintf("a%d", i)] = "x"
	}
	body, err := json.Marshal(map[string]any{"attributes": attributes})
	if err != nil {
		t.Fatal(err)
	}
	a := s.as(s.admin, http.MethodPut, "/v1/contacts/c1", string(body))
	a.want(t, http.StatusUnprocessableEntity)
	if diff := cmp.Diff([]string{"body.attributes: there are 601 columns, at most 500 are read"}, violations(t, a)); diff != "" {
		t.Error(diff)
	}
}

func TestAnExternalIDIsReadAsItIsStored(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.admin, http.MethodPut, "/v1/contacts/re%CC%81", `{}`).want(t, http.StatusOK) // e and an accent
	for _, path := range []string{"re%CC%81", "r%C3%A9", "%20r%C3%A9"} {
		s.as(s.aud, http.MethodGet, "/v1/contacts/"+path, "").want(t, http.StatusOK)
	}
	for _, path := range []string{"", "/history", "/suppressions"} {
		s.as(s.aud, http.MethodGet, "/v1/contacts/a%E2%80%8Bb"+path, "").want(t, http.StatusUnprocessableEntity) // a space of no width
	}
}

func TestListContacts(t *testing.T) {
	s := newSite(t, nil)
	for i := range 5 {
		s.as(s.admin, http.MethodPut, fmt.Sprintf("/v1/contacts/c%d", i), `{"first_name":"Anna"}`).want(t, http.StatusOK)
	}
	var got []string
	cursor := int64(0)
	for pages := 1; ; pages++ {
		a := s.as(s.aud, http.MethodGet, fmt.Sprintf("/v1/contacts?limit=2&cursor=%d", cursor), "")
		a.want(t, http.StatusOK)
		list := decode[contactList](t, a)
		for _, c := range list.Contacts {
			got = append(got, c.ExternalID)
		}
		if cursor = list.NextCursor; cursor == 0 {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if diff := cmp.Diff([]string{"c0", "c1", "c2", "c3", "c4"}, got); diff != "" {
		t.Error(diff)
	}
	for _, query := range []string{"limit=0", "limit=1001", "cursor=-1", "cursor=anna"} {
		s.as(s.aud, http.MethodGet, "/v1/contacts?"+query, "").want(t, http.StatusUnprocessableEntity)
	}
}

func TestHistoryIsTheDispatchersOwn(t *testing.T) {
	s := newSite(t, nil)
	want := []dispatcher.Communication{
		{Campaign: "höst", Run: 2, Channel: audience.Email, Template: "mail", Version: 3, Language: "sv", Outcome: "suppressed", Cause: "unsubscribed", At: begin, SuppressionVersion: 41},
		{Campaign: "vår", Run: 1, Channel: audience.SMS, Template: "sms", Version: 1, Language: "sv", Outcome: "sent", At: begin, SuppressionVersion: 9, ProviderID: "p1",
			Events: []tracking.Event{{Type: tracking.Clicks, At: begin, Group: 5, Link: 2, Target: "https://example.com/"}}},
	}
	s.store.history["c1"] = want
	a := s.as(s.aud, http.MethodGet, "/v1/contacts/c1/history", "")
	a.want(t, http.StatusOK)
	if diff := cmp.Diff(want, decode[[]dispatcher.Communication](t, a)); diff != "" {
		t.Error(diff)
	}
	s.store.history["c2"] = nil
	if a := s.as(s.aud, http.MethodGet, "/v1/contacts/c2/history", ""); strings.TrimSpace(a.body) != "[]" {
		t.Errorf("nothing yet is %s", a.body)
	}
	s.as(s.aud, http.MethodGet, "/v1/contacts/c3/history", "").want(t, http.StatusNotFound)
}

func TestSuppressionsOfAContact(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.admin, http.MethodPut, "/v1/contacts/c1", `{"email":"anna@example.com"}`).want(t, http.StatusOK)
	add := func(body string) {
		s.as(s.admin, http.MethodPost, "/v1/suppressions", body).want(t, http.StatusCreated)
	}
	add(`{"kind":"email","address":"ANNA@example.com","cause":"bounced","channel":"email"}`)
	add(`{"kind":"contact","address":"gone","cause":"objected","evidence":"case 12"}`)
	for id, cause := range map[string]string{"c1": "bounced", "gone": "objected"} {
		entries := decode[[]entryView](t, s.as(s.aud, http.MethodGet, "/v1/contacts/"+id+"/suppressions", ""))
		if len(entries) != 1 || entries[0].Cause != cause || len(entries[0].Key) != 32 || entries[0].Source != "operator" {
			t.Errorf("%s has %+v", id, entries)
		}
	}
	if a := s.as(s.aud, http.MethodGet, "/v1/contacts/nobody/suppressions", ""); strings.TrimSpace(a.body) != "[]" {
		t.Errorf("nobody has %s", a.body)
	}
}

func TestImportContacts(t *testing.T) {
	s := newSite(t, nil)
	file := "external_id;email;consent.marketing\nc1;a@example.com;no\nc2;nope;\n;b@example.com;\n"
	a := s.as(s.marketer, http.MethodPost, "/v1/imports?basis=consent&evidence=form", file, "Content-Type", "text/csv; charset=utf-8")
	a.want(t, http.StatusOK)
	want := importReport{Report: audience.Report{Rows: 3, Created: 2, Rejected: 1, Warnings: 1}, ProblemsTotal: 2, Problems: []audience.Problem{
		{Line: 3, Field: "email", Rule: "has no @"}, {Line: 4, Field: "external_id", Rule: "is empty", Rejected: true}}}
	if diff := cmp.Diff(want, decode[importReport](t, a)); diff != "" {
		t.Error(diff)
	}
	if c := s.store.contacts["c1"]; c.Basis != audience.Consent || c.BasisEvidence != "form" || len(s.store.recorded()) != 1 {
		t.Errorf("saved %+v and %d refusals", c, len(s.store.recorded()))
	}
	if diff := cmp.Diff([]string{"crm|contacts.import|file|2 created, 0 updated, 1 rejected"}, s.store.audits); diff != "" {
		t.Error(diff)
	}
}

func TestImportListsAThousandProblems(t *testing.T) {
	s := newSite(t, nil)
	file := "external_id,email\n" + strings.Repeat(",x\n", 1500)
	r := decode[importReport](t, s.as(s.admin, http.MethodPost, "/v1/imports", file, "Content-Type", "text/csv"))
	if len(r.Problems) != 1000 || r.ProblemsTotal != 3000 || r.Rejected != 1500 {
		t.Errorf("%d listed, %d in total, %d rejected", len(r.Problems), r.ProblemsTotal, r.Rejected)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"/v1/imports", "/v1/suppressions/import"} {
		a := s.as(s.admin, http.MethodPost, path, "anna@example.com,070\n", "Content-Type", "text/csv")
		a.want(t, http.StatusUnprocessableEntity)
		if got := violations(t, a); len(got) != 1 || !strings.HasPrefix(got[0], "body, line 1: ") || strings.Contains(a.body, "anna") {
			t.Errorf("%s without a header: %v", path, got)
		}
		for _, kind := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
			s.as(s.admin, http.MethodPost, path, "x", "Content-Type", kind).want(t, http.StatusUnsupportedMediaType)
		}
	}
	s.as(s.admin, http.MethodPost, "/v1/imports?basis=maybe", "x", "Content-Type", "text/csv").want(t, http.StatusUnprocessableEntity)
}

func TestAnImportThatStopsSaysWhereToGoOn(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.admin, http.MethodGet, "/v1/contacts", "").want(t, http.StatusOK) // the key is known now
	s.store.fail(errDown)
	a := s.as(s.admin, http.MethodPost, "/v1/imports", "external_id\nc1\n", "Content-Type", "text/csv")
	a.want(t, http.StatusServiceUnavailable)
	if got := decode[ProblemDetails](t, a).Detail; got != "the import stopped: the rows before line 2 are saved, import again with from_line=2" {
		t.Error(got)
	}
	a = s.as(s.admin, http.MethodPost, "/v1/suppressions/import", "kind,address\nemail,a@example.com\n", "Content-Type", "text/csv")
	a.want(t, http.StatusServiceUnavailable)
	if got := decode[ProblemDetails](t, a).Detail; got != "the import stopped after 0 lines were acknowledged; send the whole file again" {
		t.Error(got)
	}
}

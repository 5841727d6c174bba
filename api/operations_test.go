package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// decode reads the body of an answer.
func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// violations lists what an answer says is wrong, as field: rule.
func violations(t *testing.T, a answer) (lines []string) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != problemJSON {
		t.Errorf("an error has type %q", got)
	}
	for _, v := range decode[ProblemDetails](t, a).Errors {
		line := v.Field + ": " + v.Rule
		if v.Line > 0 {
			line = fmt.Sprintf("%s, line %d: %s", v.Field, v.Line, v.Rule)
		}
		lines = append(lines, line)
	}
	return lines
}

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

func TestSenders(t *testing.T) {
	s := newSite(t, nil)
	body, err := json.Marshal(exampleSender)
	if err != nil {
		t.Fatal(err)
	}
	s.as(s.marketer, http.MethodPut, "/v1/senders/exempel", string(body)).want(t, http.StatusOK)
	a := s.as(s.marketer, http.MethodPut, "/v1/senders/other", string(body))
	a.want(t, http.StatusUnprocessableEntity)
	if diff := cmp.Diff([]string{"body.name: is not the name in the path"}, violations(t, a)); diff != "" {
		t.Error(diff)
	}
	a = s.as(s.marketer, http.MethodPut, "/v1/senders/exempel", strings.ReplaceAll(string(body), "nyheter@exempelbolaget.test", "anna at home"))
	a.want(t, http.StatusUnprocessableEntity)
	if got := violations(t, a); len(got) != 1 || !strings.HasPrefix(got[0], "body.from_email: needs ") || strings.Contains(a.body, "anna") {
		t.Errorf("%v", got)
	}
	if got := decode[[]templates.Sender](t, s.as(s.aud, http.MethodGet, "/v1/senders", "")); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

const exampleTemplate = `{"name":"nyhet","channel":"email","default_language":"sv","languages":{"sv":{"subject":"Hej {{ contact.first_name }}",
	"html":"<p>Hej <a href=\"https://example.com/b\">b</a> <a href=\"https://example.com/a\">a</a></p>"}}}`

func TestTemplates(t *testing.T) {
	s := newSite(t, nil)
	for version := range 2 {
		a := s.as(s.marketer, http.MethodPost, "/v1/templates", exampleTemplate)
		a.want(t, http.StatusCreated)
		if got := decode[templates.Template](t, a); got.Version != version+1 {
			t.Errorf("version %d", got.Version)
		}
	}
	if len(s.store.targets) < 2 || s.store.targets[0] != "https://example.com/a" {
		t.Errorf("stored targets: %v", s.store.targets)
	}
	if got := decode[templates.Template](t, s.as(s.aud, http.MethodGet, "/v1/templates/nyhet", "")); got.Name != "nyhet" {
		t.Errorf("%+v", got)
	}
	if got := decode[[]templates.Template](t, s.as(s.aud, http.MethodGet, "/v1/templates", "")); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	s.as(s.aud, http.MethodGet, "/v1/templates/other", "").want(t, http.StatusNotFound)

	a := s.as(s.marketer, http.MethodPost, "/v1/templates", strings.NewReplacer("contact.first_name", "contact.shoe", "https://example.com/b", "javascript:1").Replace(exampleTemplate))
	a.want(t, http.StatusUnprocessableEntity)
	if got := violations(t, a); len(got) < 2 || !strings.HasPrefix(got[0], "body.languages.sv.subject, line 1: ") || !strings.HasPrefix(got[1], "body.languages.sv.html, line 1: ") {
		t.Errorf("all that is wrong: %v", got)
	}
}

func TestPreview(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.marketer, http.MethodPost, "/v1/templates", exampleTemplate).want(t, http.StatusCreated)
	preview := func(body string) answer {
		return s.as(s.marketer, http.MethodPost, "/v1/templates/nyhet/preview", body)
	}
	a := preview(`{"sender":"exempel","recipient":{"first_name":"Åsa <b>","locale":"sv-SE"}}`)
	a.want(t, http.StatusOK)
	shown := decode[templates.Shown](t, a)
	if shown.Subject != "Hej Åsa <b>" || !strings.Contains(shown.HTML, "Exempelgatan 1") || !strings.Contains(shown.Headers["List-Unsubscribe"], "preview.invalid") {
		t.Errorf("%+v", shown)
	}
	for body, want := range map[string]string{
		`{"sender":"nobody"}`:                  "body.sender: there is no such sender; save it first",
		`{"sender":"exempel","language":"fi"}`: "body.language: is not one of the template's languages",
		`{"sender":"exempel","recipient":{"first_name":"` + strings.Repeat("a", 1200) + `"}}`: "template.subject: the subject takes 1204 bytes, 998 are possible",
	} {
		a := preview(body)
		a.want(t, http.StatusUnprocessableEntity)
		if diff := cmp.Diff([]string{want}, violations(t, a)); diff != "" {
			t.Error(diff)
		}
	}
	s.as(s.marketer, http.MethodPost, "/v1/templates/other/preview", `{"sender":"exempel"}`).want(t, http.StatusNotFound)
}

const exampleCampaign = `{"name":"Höst & vinter/1","sender":"exempel","topic":"offer","channels":[{"channel":"email","template":"nyhet"}]}`

func TestTheLifeOfACampaign(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.marketer, http.MethodPost, "/v1/templates", exampleTemplate).want(t, http.StatusCreated)
	s.as(s.marketer, http.MethodPost, "/v1/campaigns", exampleCampaign).want(t, http.StatusCreated)
	s.as(s.marketer, http.MethodPost, "/v1/campaigns", exampleCampaign).want(t, http.StatusConflict)
	const at = "/v1/campaigns/H%C3%B6st%20&%20vinter%2F1"
	s.as(s.aud, http.MethodGet, at+"/report", "").want(t, http.StatusNotFound)
	if got := decode[campaignView](t, s.as(s.aud, http.MethodGet, at, "")); got.Run != nil || got.Name != "Höst & vinter/1" {
		t.Errorf("before launch: %+v", got)
	}
	s.as(s.marketer, http.MethodPost, at+"/pause", "").want(t, http.StatusNotFound)

	a := s.as(s.marketer, http.MethodPost, at+"/launch", `{"due_at":"2026-12-01T09:00:00+01:00","send_by":"2026-12-01T20:00:00+01:00"}`)
	a.want(t, http.StatusOK)
	run := decode[dispatcher.Run](t, a)
	if !run.Due.Equal(time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)) || !run.SendBy.Equal(time.Date(2026, 12, 1, 19, 0, 0, 0, time.UTC)) {
		t.Errorf("launched %+v", run)
	}
	s.as(s.marketer, http.MethodPost, at+"/launch", "").want(t, http.StatusConflict)
	for _, step := range []struct {
		action, body, state, reason string
	}{
		{"resume", "", "sending", ""},
		{"pause", `{"reason":"wrong price"}`, "paused", "wrong price"},
		{"resume", "", "sending", ""},
		{"pause", "", "paused", "paused by an operator"},
		{"cancel", "", "cancelled", ""},
	} {
		a := s.as(s.marketer, http.MethodPost, at+"/"+step.action, step.body)
		a.want(t, http.StatusOK)
		if run := decode[dispatcher.Run](t, a); string(run.State) != step.state || run.Reason != step.reason {
			t.Errorf("after %s: %+v", step.action, run)
		}
	}
	a = s.as(s.marketer, http.MethodPost, at+"/resume", "")
	a.want(t, http.StatusConflict)
	if got := decode[ProblemDetails](t, a).Detail; got != `the run of campaign "Höst & vinter/1" is cancelled` {
		t.Error(got)
	}
	if got := decode[campaignView](t, s.as(s.aud, http.MethodGet, at, "")); got.Run == nil || got.Run.State != dispatcher.Cancelled {
		t.Errorf("in the end: %+v", got)
	}
	if got := decode[[]dispatcher.Campaign](t, s.as(s.aud, http.MethodGet, "/v1/campaigns", "")); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	if want := "crm|campaign.cancel|Höst & vinter/1|run 7"; s.store.audits[len(s.store.audits)-1] != want {
		t.Errorf("the audit log ends with %q", s.store.audits)
	}
}

func TestTheReportIsTheDispatchersOwn(t *testing.T) {
	s := newSite(t, nil)
	want := dispatcher.Report{Campaign: "höst", Run: 3, State: dispatcher.Finished, Planned: true, Channels: []dispatcher.ChannelReport{{Channel: audience.Email,
		Audience: 10, Duplicates: 1, Sent: 6, Suppressed: 2, Skipped: 1, Causes: map[string]map[string]int64{"suppressed": {"unsubscribed": 2}, "skipped": {"no_address": 1}}, Opened: 3}}}
	s.store.reports["höst"] = want
	a := s.as(s.aud, http.MethodGet, "/v1/campaigns/h%C3%B6st/report", "")
	a.want(t, http.StatusOK)
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), strings.TrimSpace(a.body)); diff != "" {
		t.Error(diff)
	}
}

func TestCampaignsThatCannotBe(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.marketer, http.MethodPost, "/v1/templates", exampleTemplate).want(t, http.StatusCreated)
	for _, c := range []struct {
		from, to string
		want     []string
	}{
		{`"offer"`, `"Offers!"`, []string{`body.topic: expected string to match pattern ^[a-z0-9][a-z0-9-]{0,39}$`}},
		{`"exempel"`, `"nobody"`, []string{"body.sender: there is no such sender; save it first"}},
		{`"nyhet"`, `"other"`, []string{"body.channels[0].template: there is no such template; save it first"}},
		{`"email"`, `"sms"`, []string{"body.channels[0].template: is a template for email"}},
		{`"email"`, `"fax"`, []string{`body.channels[0].channel: expected value to be one of "email, sms, push"`}},
		{`}]`, `},{"channel":"email","template":"nyhet"}]`, []string{"body.channels[1].channel: is named twice"}},
		{`[{"channel":"email","template":"nyhet"}]`, `[]`, []string{"body.channels: expected array length >= 1"}},
		{`"Höst & vinter/1"`, `""`, []string{"body.name: expected length >= 1"}},
	} {
		a := s.as(s.marketer, http.MethodPost, "/v1/campaigns", strings.Replace(exampleCampaign, c.from, c.to, 1))
		if a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: got %d", c.to, a.status)
			continue
		}
		if diff := cmp.Diff(c.want, violations(t, a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.to, diff)
		}
	}
	if len(s.store.campaigns) > 0 {
		t.Error("one of them was created")
	}
}

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
		`{"kind":"email","address":"anna@example.com","cause":"no_basis"}`:            `body.cause: expected value to be one of "objected, unsubscribed, stopped, complained, withdrawn, bounced, invalid, unregistered, paused"`,
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

func TestNothingThatWasSentComesBack(t *testing.T) {
	s := newSite(t, nil)
	const secret = "hemlig.anna@example.com"
	bodies := []string{
		`{"email":"` + secret + `","phone":"` + secret + `","locale":"` + secret + `","basis":"` + secret + `","timezone":"` + secret + `"}`,
		`{"email":["` + secret + `"],"attributes":"` + secret + `"}`, `{"` + secret + `":1}`, `{"attributes":{"` + secret + `":"x"}}`, `{"consents":{"` + secret + `":true}}`,
		`"` + secret + `"`, secret, `{"a":` + secret, `[]`, `{"kind":"` + secret + `","address":"` + secret + `"}`, `{"kind":"phone","address":"` + secret + `"}`,
		`{"kind":"contact","channel":"` + secret + `","address":"x"}`, `{"name":"` + secret + `","sender":"` + secret + `","topic":"` + secret + `","channels":[{"channel":"` + secret + `","template":"` + secret + `"}]}`,
		`{"due_at":"` + secret + `","reason":"` + strings.Repeat(secret, 20) + `"}`,
		`{"name":"` + secret + `","channel":"` + secret + `","default_language":"` + secret + `","languages":{"` + secret + `":{}}}`,
	}
	for _, pattern := range s.closed() {
		method, path := asked(pattern)
		if !strings.HasPrefix(path, "/v1/") {
			continue
		}
		for _, kind := range []string{"application/json", "text/csv", "text/" + secret} {
			for _, body := range bodies {
				path := strings.ReplaceAll(path, "/x", "/"+secret)
				a := s.as(s.admin, method, path+"?cursor="+secret+"&basis="+secret+"&limit="+secret, body, "Content-Type", kind)
				if a.status >= 400 && (strings.Contains(a.body, "hemlig") || strings.Contains(a.body, "anna")) {
					t.Errorf("%s with %s: %s", pattern, body, a.body)
				}
			}
		}
	}
	if strings.Contains(s.log.String(), "hemlig") {
		t.Error("the log has what was sent: " + s.log.String())
	}
}

func TestLargeBodiesAreRefused(t *testing.T) {
	s := newSite(t, nil)
	a := s.as(s.admin, http.MethodPut, "/v1/contacts/c1", `{"first_name":"`+strings.Repeat("a", 2<<20)+`"}`)
	a.want(t, http.StatusRequestEntityTooLarge)
}

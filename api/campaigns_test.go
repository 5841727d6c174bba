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
	"utskick/templates"
)

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
		{"edit", `{"channels":[{"channel":"email","template":"host"}],"send_by":"2026-12-02T20:00:00Z"}`, "sending", ""},
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

func TestACampaignOverAChannelWithoutAProviderIsNotLaunched(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Channels = []audience.Channel{audience.SMS} })
	s.as(s.marketer, http.MethodPost, "/v1/templates", exampleTemplate).want(t, http.StatusCreated)
	s.as(s.marketer, http.MethodPost, "/v1/campaigns", exampleCampaign).want(t, http.StatusCreated)
	a := s.as(s.marketer, http.MethodPost, "/v1/campaigns/H%C3%B6st%20&%20vinter%2F1/launch", "")
	a.want(t, http.StatusConflict)
	if got := decode[ProblemDetails](t, a).Detail; got != "the campaign goes over email, and UTSKICK_EMAIL names no provider for it" {
		t.Error(got)
	}
	if len(s.store.runs) > 0 {
		t.Error("it was launched")
	}
}

func TestALargeTemplateIsTaken(t *testing.T) {
	s := newSite(t, nil)
	sv := `{"subject":"Hej","html":"<p>` + strings.Repeat("a", 490_000) + `</p>"}`
	body := `{"name":"stor","channel":"email","default_language":"sv","languages":{"sv":` + sv + `,"en":` + sv + `,"fi":` + sv + `}}`
	s.as(s.marketer, http.MethodPost, "/v1/templates", body).want(t, http.StatusCreated)
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

func TestThoseInDoubt(t *testing.T) {
	s := newSite(t, nil)
	s.store.runs["c"] = dispatcher.Run{ID: 7, State: dispatcher.Sending}
	for _, c := range []struct {
		action string
		want   int64
	}{{"write-off", 4}, {"resend", 3}} {
		at := "/v1/campaigns/c/" + c.action
		s.as(s.aud, http.MethodPost, at, "").want(t, http.StatusForbidden)
		s.store.runs["c"] = dispatcher.Run{ID: 7, State: dispatcher.Paused}
		a := s.as(s.marketer, http.MethodPost, at, "")
		a.want(t, http.StatusOK)
		if got := decode[dispatcher.Resolved](t, a); got.Members != c.want || got.Run.ID != 7 {
			t.Errorf("%s: %+v", c.action, got)
		}
		if got, want := s.store.audits[len(s.store.audits)-1], fmt.Sprintf("crm|campaign.%s|c|run 7: %d", c.action, c.want); got != want {
			t.Errorf("audited %q, want %q", got, want)
		}
	}
	s.as(s.marketer, http.MethodPost, "/v1/campaigns/other/resend", "").want(t, http.StatusNotFound)
}

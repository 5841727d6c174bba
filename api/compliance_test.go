package api

import (
	"net/http"
	"strings"
	"testing"

	"utskick/rights"
)

func TestTheReportTellsNothingFromZero(t *testing.T) {
	s := newSite(t, func(c *Config) { c.HookCounts = NewHookCounts() })
	figures := func() map[string]rights.Figure {
		a := s.as(s.aud, "GET", "/v1/compliance", "")
		a.want(t, http.StatusOK)
		all := map[string]rights.Figure{}
		for _, f := range decode[rights.Compliance](t, a).Figures {
			all[f.Name] = f
		}
		return all
	}
	for _, name := range []string{"sent_after_objection", "duplicates", "optout_p50", "optout_max", "cases_in_time", "exports"} {
		if f, there := figures()[name]; !there || f.Value != nil || f.Says == "" {
			t.Errorf("%s of an empty database: %+v", name, f)
		}
	}
	if page := s.as(s.aud, "GET", "/ops/compliance", "").body; !strings.Contains(page, "not measured") {
		t.Error(page)
	}
	s.store.facts = rights.Facts{Audited: begin, Breaches: map[string]int64{"sent_after_objection_of_contact": 1, "duplicates": 0}, LogFrom: begin,
		Latencies: []rights.Latency{{Bucket: rights.BucketOf(2e6), N: 98}, {Bucket: rights.BucketOf(2e9), N: 2}}, Open: 4, Overdue: 1, Ended: 4, InTime: 3, Erasures: 2}
	got := figures()
	for name, want := range map[string]float64{"sent_after_objection": 1, "duplicates": 0, "cases_open": 4, "cases_overdue": 1, "cases_in_time": 75, "exports": 0, "erasures": 2} {
		if f := got[name]; f.Value == nil || *f.Value != want {
			t.Errorf("%s: %+v", name, f)
		}
	}
	for name, wrong := range map[string]bool{"sent_after_objection": true, "duplicates": false, "cases_overdue": true, "cases_open": false} {
		if got[name].Wrong != wrong {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	if p50, p99 := *got["optout_p50"].Value, *got["optout_p99"].Value; p50 < 0.002 || p50 > 0.0022 || p99 < 2 || p99 > 2.2 {
		t.Errorf("half within %g s, 99 of 100 within %g s", p50, p99)
	}
	page := s.as(s.aud, "GET", "/ops/compliance", "").body
	for _, want := range []string{"75.0 %", "never", "look at this"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	s.store.fail(errDown)
	s.as(s.aud, "GET", "/v1/compliance", "").want(t, http.StatusServiceUnavailable)
}

func TestTheAuditLogIsRead(t *testing.T) {
	s := newSite(t, nil)
	for range 150 {
		s.as(s.admin, "PUT", "/v1/contacts/a", `{"email":"asa@example.com"}`).want(t, http.StatusOK)
	}
	first := s.as(s.aud, "GET", "/ops/audit", "").body
	if !strings.Contains(first, `href="?before=51"`) || !strings.Contains(first, "contact.save") || strings.Contains(first, "asa@") {
		t.Error(first)
	}
	if second := s.as(s.aud, "GET", "/ops/audit?before=51", "").body; strings.Contains(second, "before=") || strings.Count(second, "contact.save") != 50 {
		t.Error(second)
	}
	if rows := decode[auditAnswer](t, s.as(s.aud, "GET", "/v1/audit?limit=3&before=10", "")).Rows; len(rows) != 3 || rows[0].ID != 9 {
		t.Errorf("%+v", rows)
	}
}

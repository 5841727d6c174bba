package rights_test

import (
	"strings"
	"testing"
	"time"

	"utskick/audience"
	"utskick/rights"
)

func day(s string) time.Time {
	t, err := time.Parse("2006-01-02", s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestAMonthByTheCalendar(t *testing.T) {
	stockholm := time.FixedZone("", 3600)
	for _, c := range []struct {
		from   time.Time
		months int
		want   string
	}{
		{day("2026-01-15"), 1, "2026-02-15"},
		{day("2026-01-31"), 1, "2026-02-28"},
		{day("2028-01-31"), 1, "2028-02-29"},
		{day("2026-11-30"), 3, "2027-02-28"},
		{day("2026-12-31"), 1, "2027-01-31"},
		{day("2026-03-31"), 1, "2026-04-30"},
		{day("2026-02-28"), 1, "2026-03-28"},
		{time.Date(2026, 3, 1, 0, 30, 0, 0, stockholm), 1, "2026-04-01"}, // though it is February in London
		{time.Date(2026, 3, 31, 23, 59, 0, 0, stockholm), 0, "2026-03-31"},
	} {
		if got := rights.MonthsAfter(c.from, c.months); !got.Equal(day(c.want)) {
			t.Errorf("%d months after %s: %s, want %s", c.months, c.from, got, c.want)
		}
	}
}

var begin = time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)

func opened(t *testing.T, kind rights.CaseKind) rights.Case {
	t.Helper()
	c := rights.Case{Kind: kind, Way: "phone", Key: audience.Key{1}}
	if err := c.Open(begin, "service"); err != nil {
		t.Fatal(err)
	}
	return c
}

func refused(t *testing.T, err error, field, with string) {
	t.Helper()
	b, ok := rights.AsBroken(err)
	if !ok || b.Field != field || !strings.Contains(b.Rule, with) {
		t.Errorf("got %v, want %s: ..%s..", err, field, with)
	}
}

func TestACaseIsExtendedOnceAndInTime(t *testing.T) {
	c := opened(t, rights.CaseAccess)
	if !c.Due.Equal(day("2026-02-28")) || c.Overdue(day("2026-02-28").Add(23*time.Hour)) || !c.Overdue(day("2026-03-01")) {
		t.Errorf("due %s", c.Due)
	}
	now := day("2026-03-01").Add(time.Hour)
	refused(t, c.Extend("many systems", now, now), "told_at", "first month")
	refused(t, c.Extend("many systems", time.Time{}, now), "told_at", "missing")
	refused(t, c.Extend("", day("2026-02-28"), now), "reason", "empty")
	refused(t, c.Extend("x", now.AddDate(0, 0, 2), now), "told_at", "future")
	if err := c.Extend("many systems", day("2026-02-28").Add(20*time.Hour), now); err != nil || c.State != rights.CaseExtended || !c.Due.Equal(day("2026-04-28")) {
		t.Errorf("%v %+v", err, c)
	}
	refused(t, c.Extend("more", now, now), "case", "before")
}

func TestIdentityComesBeforeAnAnswer(t *testing.T) {
	for _, kind := range rights.CaseKinds {
		c := opened(t, kind)
		err := c.End(rights.CaseAnswered, "done", "service", begin)
		switch kind {
		case rights.CaseObjection, rights.CaseQuestion, rights.CaseComplaint:
			if err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			continue
		}
		refused(t, err, "identity", "not checked")
		refused(t, c.Check("fingerprint", "service", begin), "method", "not one of")
		if err := c.Check("in_store", "service", begin); err != nil {
			t.Fatal(err)
		}
		if err := c.End(rights.CaseAnswered, "done", "service", begin); err != nil || !c.InTime() {
			t.Errorf("%s: %v, in time %v", kind, err, c.InTime())
		}
		refused(t, c.End(rights.CaseClosed, "again", "service", begin), "case", "ended")
		refused(t, c.Reroute(rights.RouteOfficer), "case", "ended")
	}
}

func TestAnObjectionNeedsNothingAndIsNotRefused(t *testing.T) {
	c := opened(t, rights.CaseObjection)
	for _, method := range rights.IdentityMethods {
		refused(t, c.Check(method, "service", begin), "method", "needs no identification")
	}
	refused(t, c.End(rights.CaseRefused, "no", "service", begin), "case", "cannot be refused")
	refused(t, c.Extend("later", begin, begin), "case", "in force")
	if err := c.End(rights.CaseAnswered, "", "service", begin); err != nil {
		t.Error(err)
	}
}

func TestACaseThatIsNone(t *testing.T) {
	for field, c := range map[string]rights.Case{
		"kind":          {Kind: "wish", Way: "phone", Key: audience.Key{1}},
		"way":           {Kind: rights.CaseAccess, Way: "pigeon", Key: audience.Key{1}},
		"route":         {Kind: rights.CaseAccess, Way: "phone", Key: audience.Key{1}, Route: "boss"},
		"person":        {Kind: rights.CaseAccess, Way: "phone"},
		"received_at":   {Kind: rights.CaseAccess, Way: "phone", Key: audience.Key{1}, Received: begin.AddDate(0, 0, 3)},
		"external_case": {Kind: rights.CaseAccess, Way: "phone", Key: audience.Key{1}, External: "P-19121212-1212"},
	} {
		refused(t, c.Open(begin, "service"), field, "")
	}
	question := rights.Case{Kind: rights.CaseQuestion, Way: "chat"}
	if err := question.Open(begin, "service"); err != nil || question.Route != rights.RouteService {
		t.Errorf("%v %+v", err, question)
	}
}

func TestCasesHaveNoIdentityNumbers(t *testing.T) {
	c := opened(t, rights.CaseAccess)
	refused(t, c.Write("hon sa 19121212-1212", "service", begin), "text", "personal identity")
	refused(t, c.Extend("121212-1212", begin, begin), "reason", "personal identity")
	refused(t, c.End(rights.CaseRefused, "701063-2391", "service", begin), "outcome", "personal identity")
}

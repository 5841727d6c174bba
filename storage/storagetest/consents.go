package storagetest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
)

// consents looks at what a chunk of members says of their consents, after a
// first file and after a second one that changes some.
func consents(t *testing.T, e *Env) {
	file := func(first string, consents map[string]map[string]bool) {
		t.Helper()
		var rows []audience.Row
		for _, id := range []string{"nothing", "marketing", "tracking", "refused", "withdrawn", "kept", "later"} {
			c := contact(id, id+"@example.com")
			c.FirstName, c.Basis, c.BasisEvidence = first, audience.NoBasis, ""
			rows = append(rows, audience.Row{Contact: c, Set: all, Consents: consents[id]})
		}
		_, err := e.SaveContacts(e.ctx(), rows)
		e.must(err)
	}
	yes := func(p suppression.Purpose) map[string]bool { return map[string]bool{string(p): true} }
	no := func(p suppression.Purpose) map[string]bool { return map[string]bool{string(p): false} }
	file("Anna", map[string]map[string]bool{
		"marketing": yes(suppression.Marketing), "tracking": yes(suppression.OpenTracking), "refused": no(suppression.OpenTracking),
		"withdrawn": yes(suppression.OpenTracking), "kept": {"marketing": true, "open_tracking": true},
	})
	file("Berit", map[string]map[string]bool{"withdrawn": no(suppression.OpenTracking), "later": yes(suppression.Marketing)})
	e.library(audience.Email)
	e.launch()
	e.plan()
	type member struct{ Basis, Tracked bool }
	got := map[audience.Key]member{}
	b := e.batches(audience.Email)[0]
	members, err := e.membersOf(b, 100)
	e.must(err)
	for _, m := range members {
		gate := suppression.NewGate(e.Store, suppression.SystemClock)
		v, err := gate.Admit(e.ctx(), marketing, []suppression.Candidate{m.Candidate}, func(context.Context) error { return nil })
		e.must(err)
		got[m.Key] = member{Basis: v.Rulings[0].Permit != nil, Tracked: m.Recipient.Tracked}
	}
	want := map[audience.Key]member{
		e.email("nothing@example.com"): {}, e.email("marketing@example.com"): {Basis: true}, e.email("tracking@example.com"): {Tracked: true},
		e.email("refused@example.com"): {}, e.email("withdrawn@example.com"): {}, e.email("kept@example.com"): {true, true},
		e.email("later@example.com"): {Basis: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// consentsBySender: a consent may be towards one sender, and a wish against
// tracking may mean one; both are found again whatever came first.
func consentsBySender(t *testing.T, e *Env) {
	const own, others = "exempelbolaget", "exempelbanken"
	wish := func(address, sender string) {
		t.Helper()
		e.must1(e.Record(e.ctx(), suppression.Wish{Person: true, Entry: suppression.Entry{Key: e.email(address), Channel: "*", Topic: "*",
			Purpose: "open_tracking", Sender: sender, Cause: suppression.Withdrawn, Active: true}}))
	}
	file := func(consents map[string]string) {
		t.Helper()
		var rows []audience.Row
		for id, name := range consents {
			row := audience.Row{Contact: contact(id, id+"@example.com"), Set: all}
			if name != "" {
				row.Consents = map[string]bool{name: true}
			}
			rows = append(rows, row)
		}
		_, err := e.SaveContacts(e.ctx(), rows)
		e.must(err)
	}
	wish("before-all@example.com", "*")
	wish("before-own@example.com", own)
	wish("before-other@example.com", others)
	wish("address@example.com", own)
	file(map[string]string{"all": "open_tracking", "own": "open_tracking." + own, "other": "open_tracking." + others, "nothing": "",
		"after-all": "open_tracking", "after-own": "open_tracking", "after-other": "open_tracking",
		"before-all": "open_tracking", "before-own": "open_tracking", "before-other": "open_tracking",
		"named-after-other": "open_tracking." + own, "moves": "open_tracking"})
	wish("after-all@example.com", "*")
	wish("after-own@example.com", own)
	wish("after-other@example.com", others)
	wish("named-after-other@example.com", others)
	moved := contact("moves", "address@example.com")
	e.save(moved)
	file(map[string]string{"after-own": "open_tracking", "before-own": "open_tracking." + own})
	e.library(audience.Email)
	e.launch()
	e.plan()
	members, err := e.membersOf(e.batches(audience.Email)[0], 100)
	e.must(err)
	got := map[audience.Key]bool{}
	for _, m := range members {
		if m.Recipient.Tracked {
			got[m.Key] = true
		}
	}
	want := map[audience.Key]bool{}
	for _, id := range []string{"all", "own", "after-other", "before-other", "named-after-other"} {
		want[e.email(id+"@example.com")] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		for k := range want {
			if !got[k] {
				t.Errorf("%s is not tracked", k.Short())
			}
		}
		t.Errorf("tracked (-want +got):\n%s", diff)
	}
}

// softOptIn: it is a basis with all that it rests on alone, and a campaign that
// names a family of products has it for that family alone.
func softOptIn(t *testing.T, e *Env) {
	whole := audience.Sale{Reference: "2025-11-03", Offered: "yes", Family: "tyres"}
	people := map[string]audience.Contact{}
	for id, change := range map[string]func(*audience.Contact){
		"whole": func(*audience.Contact) {}, "unsold": func(c *audience.Contact) { c.Sale.Reference = "" },
		"unasked": func(c *audience.Contact) { c.Sale.Offered = "" }, "refused": func(c *audience.Contact) { c.Sale.Offered = "no" },
		"of nothing": func(c *audience.Contact) { c.Sale.Family = "" }, "other": func(c *audience.Contact) { c.Sale.Family = "oil" },
		"consent":  func(c *audience.Contact) { c.Basis, c.Sale = audience.Consent, audience.Sale{} },
		"no basis": func(c *audience.Contact) { c.Basis = audience.NoBasis },
	} {
		c := contact(id, strings.ReplaceAll(id, " ", "-")+"@example.com")
		c.Basis, c.Sale = audience.SoftOptIn, whole
		change(&c)
		people[id] = c
		e.save(c)
		if got, err := e.Contact(e.ctx(), id); err != nil || got.Sale != c.Sale {
			t.Errorf("%s: %+v, %v", id, got.Sale, err)
		}
	}
	e.library(audience.Email)
	c, err := e.CampaignByName(e.ctx(), campaign)
	e.must(err)
	c.Name, c.Family = "Däck", "tyres"
	_, err = e.CreateCampaign(e.ctx(), c)
	e.must(err)
	if got, err := e.CampaignByName(e.ctx(), "Däck"); err != nil || got.Family != "tyres" {
		t.Errorf("%+v, %v", got, err)
	}
	for name, want := range map[string][]string{campaign: {"consent", "other", "whole"}, "Däck": {"consent", "whole"}} {
		_, err := e.LaunchRun(e.ctx(), name, dispatcher.Launch{})
		e.must(err)
		_, err = e.StartDueRuns(e.ctx())
		e.must(err)
		e.plan()
		if got := e.admitted(e.batches(audience.Email)[0], people); !slices.Equal(got, want) {
			t.Errorf("%s: %q are sent to, want %q", name, got, want)
		}
	}
}

// admitted returns those of a batch whom the gate lets through; the others have no
// basis.
func (e *Env) admitted(b dispatcher.Batch, people map[string]audience.Contact) (ids []string) {
	e.t.Helper()
	members, err := e.membersOf(b, 100)
	e.must(err)
	var candidates []suppression.Candidate
	for _, m := range members {
		candidates = append(candidates, m.Candidate)
	}
	v, err := suppression.NewGate(e.Store, suppression.SystemClock).Admit(e.ctx(), marketing, candidates, func(context.Context) error { return nil })
	e.must(err)
	for i, r := range v.Rulings {
		for id, c := range people {
			switch {
			case e.email(c.Email) != members[i].Key:
			case r.Permit != nil:
				ids = append(ids, id)
			case r.Cause != suppression.NoBasis:
				e.t.Errorf("%s: %s", id, r.Cause)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

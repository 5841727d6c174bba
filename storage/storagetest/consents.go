package storagetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
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

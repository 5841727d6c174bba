package storagetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
)

// targeted: whoever objects to profiling is left out of what is chosen by what is
// known of people, and of nothing else; the auditor finds her if she is not.
func targeted(t *testing.T, e *Env) {
	e.mails(3)
	e.library(audience.Email)
	c, err := e.CampaignByName(e.ctx(), campaign)
	e.must(err)
	c.Name, c.Targeted = "Riktat", true
	_, err = e.CreateCampaign(e.ctx(), c)
	e.must(err)
	if got, err := e.CampaignByName(e.ctx(), "Riktat"); err != nil || !got.Targeted {
		t.Errorf("%+v, %v", got, err)
	}
	who := e.email(address(1))
	no := objection(who)
	no.Person, no.Entry.Purpose, no.Entry.Cause = false, string(suppression.Profiling), suppression.Objected
	e.must1(e.Record(e.ctx(), no))
	for _, x := range []struct {
		name    string
		blocked map[audience.Key]suppression.Cause
		found   map[string]int64
	}{
		{campaign, map[audience.Key]suppression.Cause{}, map[string]int64{}},
		{"Riktat", map[audience.Key]suppression.Cause{who: suppression.Objected}, map[string]int64{"sent_after_objection": 1}},
	} {
		_, err := e.LaunchRun(e.ctx(), x.name, dispatcher.Launch{})
		e.must(err)
		_, err = e.StartDueRuns(e.ctx())
		e.must(err)
		e.plan()
		b := e.batches(audience.Email)[0]
		claim, ks := e.claimOf(b, 10)
		scope := marketing
		scope.Targeted = b.Targeted
		if diff := cmp.Diff(x.blocked, e.blocked(scope, ks...)); diff != "" {
			t.Errorf("%s: %s", x.name, diff)
		}
		e.must(e.Claim(e.ctx(), claim))
		_, err = e.Settle(e.ctx(), settlementOf(b, claim, ks))
		e.must(err)
		if diff := cmp.Diff(x.found, e.breaches()); diff != "" {
			t.Errorf("%s: the auditor finds: %s", x.name, diff)
		}
	}
}

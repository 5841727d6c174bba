package storagetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/templates"
)

// another saves a second version of the campaign's e-mail template, in these
// languages, and returns its id.
func (e *Env) another(languages ...string) int64 {
	e.t.Helper()
	t := templates.Template{Name: "host-email", Channel: audience.Email, Default: languages[0], Contents: map[string]templates.Content{}}
	for _, l := range languages {
		t.Contents[l] = templates.Content{Subject: "Igen", Text: "Hej igen", HTML: "<p>Hej igen</p>"}
	}
	saved, err := e.SaveTemplate(e.ctx(), t, nil)
	e.must(err)
	return saved.ID
}

var withEmail = dispatcher.Edit{Channels: []dispatcher.CampaignChannel{{Channel: audience.Email, Template: "host-email"}}}

// editingAPause sends to some, edits, and sends to the others.
func editingAPause(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 8)
	c.Template = b.Template
	e.must(e.Claim(e.ctx(), c))
	newer := e.another("sv", "en")
	if _, err := e.EditRun(e.ctx(), campaign, withEmail); !errors.Is(err, storage.ErrConflict) || !strings.Contains(err.Error(), "pause it first") {
		t.Errorf("while it is sending: %v", err)
	}
	_, err := e.Pause(e.ctx(), campaign, "the price is wrong")
	e.must(err)
	if _, err := e.EditRun(e.ctx(), campaign, withEmail); !errors.Is(err, storage.ErrConflict) || !strings.Contains(err.Error(), "have not ended") {
		t.Errorf("while a call goes on: %v", err)
	}
	s := settlementOf(b, c, ks)
	s.Moves = []dispatcher.Move{{Keys: ks[:2], RetryAt: e.Now}}
	_, err = e.Settle(e.ctx(), s)
	e.must(err)
	before := e.report(audience.Email)

	edit := withEmail
	edit.SendBy = e.Now.Add(72 * time.Hour)
	run, err := e.EditRun(e.ctx(), campaign, edit)
	e.must(err)
	if run.State != dispatcher.Paused || run.Channels[0].Template != newer || !run.SendBy.Equal(edit.SendBy) {
		t.Errorf("%+v", run)
	}
	if latest, err := e.LatestRun(e.ctx(), campaign); err != nil || latest.Rev != run.Rev || latest.Channels[0].Template != newer {
		t.Errorf("%+v, %v", latest, err)
	}
	if after := e.report(audience.Email); after.Audience != before.Audience || after.Sent != before.Sent || after.Pending != before.Pending {
		t.Errorf("the audience changed: %+v, %+v", before, after)
	}
	late := c
	late.Fence, late.Nonce = c.Fence+1, 99
	_, err = e.Resume(e.ctx(), campaign)
	e.must(err)
	if err := e.Claim(e.ctx(), late); !errors.Is(err, dispatcher.ErrNotClaimed) {
		t.Errorf("a worker that knew the old content claimed: %v", err)
	}
	for _, b := range e.batches(audience.Email) {
		if b.Template != newer {
			t.Errorf("batch %d goes on with template %d", b.ID, b.Template)
		}
	}
	e.dispatchAll(&poisoned{poison: map[audience.Key]bool{}, sent: map[audience.Key]int{}})
	e.ends(dispatcher.Finished)
	versions := map[int]int{}
	for i := range 20 {
		history, err := e.History(e.ctx(), fmt.Sprintf("c%d", i))
		e.must(err)
		versions[history[0].Version]++
	}
	if versions[1] != 6 || versions[2] != 14 {
		t.Errorf("by their history, %v people got each version", versions)
	}
}

// editsThatDoNotFit are refused, and change nothing.
func editsThatDoNotFit(t *testing.T, e *Env) {
	e.started(20)
	_, err := e.Pause(e.ctx(), campaign, "")
	e.must(err)
	before, err := e.LatestRun(e.ctx(), campaign)
	e.must(err)
	e.another("en")
	for name, c := range map[string]struct {
		edit dispatcher.Edit
		says string
	}{
		"a language is missing": {withEmail, "has no sv"},
		"another channel":       {dispatcher.Edit{Channels: []dispatcher.CampaignChannel{{Channel: audience.SMS, Template: "host-email"}}}, "does not go over sms"},
		"no such template":      {dispatcher.Edit{Channels: []dispatcher.CampaignChannel{{Channel: audience.Email, Template: "nothing"}}}, "nothing"},
		"it has begun":          {dispatcher.Edit{Due: e.Now.Add(time.Hour)}, "has begun"},
		"a time gone by":        {dispatcher.Edit{SendBy: e.Now.Add(-time.Second)}, "send_by"},
	} {
		if _, err := e.EditRun(e.ctx(), campaign, c.edit); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after, err := e.LatestRun(e.ctx(), campaign); err != nil || after.Rev != before.Rev || after.Channels[0] != before.Channels[0] {
		t.Errorf("%+v, %v", after, err)
	}
	if _, err := e.EditRun(e.ctx(), "unknown", withEmail); !errors.Is(err, storage.ErrNotFound) {
		t.Error(err)
	}
}

package storagetest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"utskick/audience"
	"utskick/suppression"
)

func journalFull(t *testing.T, r *restored) {
	dir := filepath.Join(r.c.DataDir, "journal.ndjson")
	r.must(os.Mkdir(dir, 0o700)) // where the file would be
	_, err := r.Record(r.ctx(), objection(r.email("a@example.com")))
	if err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("acknowledged without a journal: %v", err)
	}
	if _, err := r.RecordAll(r.ctx(), []suppression.Wish{objection(r.email("b@example.com"))}); err == nil {
		t.Error("an import was acknowledged without a journal")
	}
	row := audience.Row{Contact: contact("a", "a@example.com"), Set: all, Consents: map[string]bool{"open_tracking": false}}
	if _, err := r.SaveContacts(r.ctx(), []audience.Row{row}); err == nil {
		t.Error("a refused consent was acknowledged without a journal")
	}
	r.must(os.Remove(dir))
	r.must1(r.Record(r.ctx(), objection(r.email("a@example.com"))))
}

func refusedConsent(t *testing.T, r *restored) {
	save := func(yes bool) {
		t.Helper()
		_, err := r.SaveContacts(r.ctx(), []audience.Row{{Contact: contact("a", "a@example.com"), Set: all, Consents: map[string]bool{"open_tracking": yes}}})
		r.must(err)
	}
	r.library(audience.Email)
	save(true)
	goBack := r.backUp()
	r.must1(r.Record(r.ctx(), objection(r.email("b@example.com"))))
	r.Now = r.Now.Add(time.Minute)
	save(false)
	goBack()
	_, err := r.db.ExecContext(r.ctx(), `update consents set granted = true, at = at - 60000`)
	r.must(err)
	_, err = r.db.ExecContext(r.ctx(), `update contacts set grants = 'open_tracking * yes'`)
	r.must(err)
	r.isHeld(r.Store, "went back")
	if released := r.release(r.Store); released.Journals[0].Applied != 2 {
		t.Errorf("%+v", released)
	}
	r.launch()
	r.plan()
	members, err := r.membersOf(r.batches(audience.Email)[0], 10)
	r.must(err)
	if members[0].Recipient.Tracked {
		t.Error("tracked after the refusal")
	}
}

func damagedLines(t *testing.T, r *restored) {
	goBack := r.backUp()
	for i := range 3 {
		r.must1(r.Record(r.ctx(), objection(r.email(address(i)))))
	}
	path := filepath.Join(r.c.DataDir, "journal.ndjson")
	content, err := os.ReadFile(path)
	r.must(err)
	if strings.Contains(string(content), "@") {
		t.Error("there is an address in the journal")
	}
	lines := strings.SplitAfter(string(content), "\n")
	lines[1] = strings.Replace(lines[1], "unsubscribed", "bounced", 1)
	r.must(os.WriteFile(path, []byte(strings.Join(lines, "")+lines[0][:40]), 0o600)) // and one that was cut short
	goBack()
	r.isHeld(r.Store, "went back")
	r.must1(r.Record(r.ctx(), objection(r.email(address(7)))))
	j := r.release(r.Store).Journals[0]
	if j.Applied != 2 || len(j.Damaged) != 2 || j.Damaged[0] != 2 || j.Damaged[1] != 4 || j.Lines != 3 {
		t.Errorf("%+v", j)
	}
}

// otherIdentity: each part of what a process remembers of the database's identity
// holds when it differs, and one that could not be read does not.
func otherIdentity(t *testing.T, r *restored) {
	path := filepath.Join(r.c.DataDir, "database.json")
	remembered, err := os.ReadFile(path)
	r.must(err)
	var known map[string]any
	r.must(json.Unmarshal(remembered, &known))
	parts := strings.Split(known["identity"].(string), "/")
	for i := range parts {
		for _, other := range []string{"-", "another"} {
			changed := append([]string(nil), parts...)
			changed[i] = other
			known["identity"] = strings.Join(changed, "/")
			content, err := json.Marshal(known)
			r.must(err)
			r.must(os.WriteFile(path, content, 0o600))
			want := map[string]string{"-": "", "another": "it"}[other]
			again := r.another("")
			h, err := again.Hold(context.Background())
			r.must(err)
			if h.Held() != (want != "") {
				t.Errorf("part %d is %s: held %t, %s", i, other, h.Held(), h.Why)
			}
			if h.Held() {
				r.release(again)
			}
			r.isHeld(r.Store, "")
			r.must(json.Unmarshal(r.read(path), &known))
		}
	}
}

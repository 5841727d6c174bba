package storagetest

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/suppression"
	"utskick/tracking"
)

// forget applies a rule as of now, for what is a year old, and wants so many rows.
func (e *Env) forget(rule rights.RuleName, want int64) {
	e.t.Helper()
	before := e.Now.AddDate(-1, 0, 0)
	n, err := e.Forgettable(e.ctx(), rule, before)
	e.must(err)
	var rows int64
	e.must(e.Forget(e.ctx(), rule, before, func(n int64) error { rows += n; return nil }))
	if n != want || rows < want {
		e.t.Errorf("retention of %s: %d rows were announced and %d touched, want %d", rule, n, rows, want)
	}
	if n, err := e.Forgettable(e.ctx(), rule, before); err != nil || n != 0 {
		e.t.Errorf("retention of %s leaves %d, %v", rule, n, err)
	}
	if err := e.Forget(e.ctx(), rule, before, func(n int64) error {
		if n == 0 {
			return nil
		}
		return fmt.Errorf("%d rows again", n)
	}); err != nil {
		e.t.Errorf("retention of %s: %v", rule, err)
	}
}

// reportsOutliveEvents: who opened and clicked is forgotten, and every figure of
// the report stays.
func reportsOutliveEvents(t *testing.T, e *Env) {
	v := visit(e)
	for who := range 4 {
		v.append(v.event(tracking.Opens, who, time.Minute, 0, 7, ""), v.event(tracking.Clicks, who, time.Hour, 1, 8, ""),
			v.event(tracking.Clicks, who, 48*time.Hour, 1, 9, ""))
	}
	v.append(v.event(tracking.Opens, 5, time.Minute, 0, 7, tracking.ImageProxy), v.event(tracking.Opens, 5, 48*time.Hour, 0, 7, tracking.ApplePrivacy))
	v.append(v.event(tracking.Clicks, -1, time.Hour, 1, 0, ""), v.event(tracking.Clicks, -1, time.Hour, 1, 0, ""))
	before := e.report(audience.Email)
	if before.Opened != 4 || before.Clicked != 4+2 {
		t.Fatalf("%+v", before)
	}
	e.Now = v.sent.AddDate(1, 0, 0).Add(time.Hour + time.Minute)
	e.forget(rights.KeepEvents, 9) // those of the first day; the others go with them
	if diff := cmp.Diff(before, e.report(audience.Email)); diff != "" {
		t.Errorf("the report changed (-before +after):\n%s", diff)
	}
	for i := range 20 {
		history, err := e.History(e.ctx(), fmt.Sprintf("c%d", i))
		e.must(err)
		if len(history) != 1 || len(history[0].Events) != 0 {
			t.Errorf("contact %d: %+v", i, history)
		}
	}
	again := v.event(tracking.Opens, 0, 0, 0, 7, "")
	again.At = e.Now
	v.append(again)
	e.forget(rights.KeepEvents, 0)
	if after := e.report(audience.Email); after.Opened != before.Opened+1 {
		t.Errorf("%d opened; one has done so again, a year later", after.Opened)
	}
}

// sumsOutliveMembers: who was sent to is forgotten when her run has ended long
// ago, and all sums meet.
func sumsOutliveMembers(t *testing.T, e *Env) {
	v := visit(e)
	ended := func() int64 {
		e.t.Helper()
		n, err := e.Forgettable(e.ctx(), rights.KeepCommunications, e.Now)
		e.must(err)
		return n
	}
	if n := ended(); n != 0 {
		t.Errorf("%d members of a run that goes on", n)
	}
	e.finishes()
	if run, err := e.LatestRun(e.ctx(), campaign); err != nil || run.State != dispatcher.Finished {
		t.Fatalf("%+v, %v", run, err)
	}
	before := e.report(audience.Email)
	e.Now = v.sent.AddDate(1, 0, 1)
	e.forget(rights.KeepCommunications, 20)
	e.clean("when the members were forgotten")
	if diff := cmp.Diff(before, e.report(audience.Email)); diff != "" {
		t.Errorf("the report changed (-before +after):\n%s", diff)
	}
	for i := range 20 {
		if history, err := e.History(e.ctx(), fmt.Sprintf("c%d", i)); err != nil || len(history) != 0 {
			t.Errorf("contact %d: %+v, %v", i, history, err)
		}
	}
}

// retentionIsResumed: it stops where it is told to, and goes on there.
func retentionIsResumed(t *testing.T, e *Env) {
	for range 1200 {
		e.must(e.Audit(e.ctx(), "a", "b", "c", ""))
	}
	e.Now = e.Now.AddDate(1, 0, 1)
	e.must(e.Audit(e.ctx(), "recent", "b", "c", ""))
	enough := errors.New("enough")
	err := e.Forget(e.ctx(), rights.KeepAudit, e.Now.AddDate(-1, 0, 0), func(int64) error { return enough })
	if !errors.Is(err, enough) {
		t.Error(err)
	}
	e.forget(rights.KeepAudit, 700)
	if left, err := e.AuditLog(e.ctx(), 0, 10); err != nil || len(left) != 1 || left[0].Actor != "recent" {
		t.Errorf("%+v, %v", left, err)
	}
}

func retentionOfTheRest(t *testing.T, e *Env) {
	a := contact("a", "a@example.com")
	a.Phone = "+46701740605"
	e.save(a)
	ended, open := e.openCase(rights.CaseQuestion), e.openCase(rights.CaseQuestion)
	_, err := e.ChangeCase(e.ctx(), ended.ID, func(c *rights.Case) error {
		return errors.Join(c.Write("note", "service", e.Now), c.End(rights.CaseClosed, "asked twice", "service", e.Now))
	})
	e.must(err)
	e.answer(e.reply("twilio-1", "+46701740605", suppression.SaysStop))
	unread := e.reply("twilio-2", "+46701740605", suppression.Unclear)
	unread.Address, unread.Text = "+46701740605", "När slutar ni?"
	e.answer(unread)
	wish := suppression.Wish{Entry: suppression.Entry{Key: e.Keyer.Key(audience.KindContact, "a"), Channel: "*", Topic: "*", Purpose: "open_tracking", Sender: "*",
		Cause: suppression.Withdrawn, Active: true, Source: "operator", Evidence: "case 7"}}
	e.must1(e.Record(e.ctx(), wish))
	changes, err := e.Changes(e.ctx(), []audience.Key{wish.Entry.Key})
	e.must(err)

	e.Now = e.Now.AddDate(1, 0, 1)
	e.forget(rights.KeepCases, 1)
	e.forget(rights.KeepReplies, 1)
	e.forget(rights.KeepConsents, 1)
	with := int64(0)
	for _, c := range changes {
		if c.Evidence != "" {
			with++
		}
	}
	if with == 0 {
		t.Fatal("no change has evidence")
	}
	n, err := e.Forgettable(e.ctx(), rights.KeepEvidence, e.Now.AddDate(-1, 0, 0))
	e.must(err)
	e.forget(rights.KeepEvidence, n)

	gone, err := e.Case(e.ctx(), ended.ID)
	e.must(err)
	if gone.Contact != "" || !gone.Key.IsZero() || gone.External+gone.Outcome != "" || len(gone.Notes) != 0 || gone.State != rights.CaseClosed || gone.Ended.IsZero() {
		t.Errorf("%+v", gone)
	}
	if kept, err := e.Case(e.ctx(), open.ID); err != nil || kept.Contact != "a" || kept.External != "P-17" {
		t.Errorf("%+v, %v", kept, err)
	}
	if done, err := e.Inbound(e.ctx(), false, 0, 10); err != nil || len(done) != 1 || !done[0].Key.IsZero() || done[0].Contact != "" {
		t.Errorf("%+v, %v", done, err)
	}
	if waiting, err := e.Inbound(e.ctx(), true, 0, 10); err != nil || len(waiting) != 1 || waiting[0].Text != "När slutar ni?" {
		t.Errorf("an answer that nobody has read is gone: %+v, %v", waiting, err)
	}
	e.answer(e.reply("twilio-1", "+46701740605", suppression.SaysStop)) // told again: it is known
	if done, err := e.Inbound(e.ctx(), false, 0, 10); err != nil || len(done) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if after, err := e.Changes(e.ctx(), []audience.Key{wish.Entry.Key}); err != nil || len(after) != len(changes) || after[0].Evidence != "" {
		t.Errorf("%+v, %v", after, err)
	}
	if e.blocked(bySMS, e.phone("+46701740605"))[e.phone("+46701740605")] != suppression.Stopped {
		t.Error("a wish was forgotten")
	}
}

// restrictionsKeepTheirCases: a restriction is lifted by its case alone, however
// old that is.
func restrictionsKeepTheirCases(t *testing.T, e *Env) {
	e.save(contact("a", "a@example.com"))
	c := e.openCase(rights.CaseRestriction)
	wish, _ := c.Wish("service")
	e.must1(e.Record(e.ctx(), wish))
	_, err := e.ChangeCase(e.ctx(), c.ID, func(c *rights.Case) error {
		return errors.Join(c.Check("not_needed", "service", e.Now), c.End(rights.CaseAnswered, "restricted", "service", e.Now))
	})
	e.must(err)
	e.Now = e.Now.AddDate(1, 0, 1)
	e.forget(rights.KeepCases, 0)
	kept, err := e.Case(e.ctx(), c.ID)
	if err != nil || kept.Key != c.Key || kept.Contact != "a" || kept.Outcome != "restricted" {
		t.Errorf("%+v, %v", kept, err)
	}
	e.must(kept.Lift(e.Now, e.Now))
	wish.Entry.Active = false
	e.must1(e.Record(e.ctx(), wish))
	e.forget(rights.KeepCases, 1)
	gone, err := e.Case(e.ctx(), c.ID)
	e.must(err)
	if _, broken := rights.AsBroken(gone.Lift(e.Now, e.Now)); !broken || !gone.Key.IsZero() {
		t.Errorf("%+v can be lifted", gone)
	}
}

func retentionTakesTurns(t *testing.T, e *Env) {
	take := func(want bool) {
		t.Helper()
		if got, err := e.TakeTurn(e.ctx(), e.Now.Add(time.Hour)); err != nil || got != want {
			t.Errorf("%v, %v", got, err)
		}
	}
	take(true)
	take(false)
	e.Now = e.Now.Add(time.Hour) // its process is gone
	take(true)
	e.must(e.EndTurn(e.ctx(), e.Now.Add(24*time.Hour)))
	e.Now = e.Now.Add(23 * time.Hour)
	take(false)
	e.Now = e.Now.Add(time.Hour)
	take(true)
}

func complianceFacts(t *testing.T, e *Env) {
	f, err := e.Facts(e.ctx())
	e.must(err)
	if !f.Audited.IsZero() || !f.LogFrom.IsZero() || !f.Suppressed.IsZero() || !f.Retained.IsZero() || len(f.Latencies) != 0 || f.Held != "" {
		t.Errorf("of an empty database: %+v", f)
	}
	e.save(contact("a", "a@example.com"))
	late := e.openCase(rights.CaseQuestion)
	e.openCase(rights.CaseQuestion)
	intime := e.openCase(rights.CaseQuestion)
	end := func(c *rights.Case) error { return c.End(rights.CaseAnswered, "x", "service", e.Now) }
	e.Now = e.Now.AddDate(0, 1, 0).Add(14 * time.Hour) // the last hour of the day
	_, err = e.ChangeCase(e.ctx(), intime.ID, end)
	e.must(err)
	e.Now = e.Now.Add(2 * time.Hour)
	_, err = e.ChangeCase(e.ctx(), late.ID, end)
	e.must(err)
	e.save(contact("b", "b@example.com"), contact("c", "c@example.com"))
	eraser := &rights.Eraser{Store: e.Store, Recorder: e.Store, Log: slog.New(slog.DiscardHandler)}
	var asked rights.Erasure
	for _, id := range []string{"c", "b", "b"} { // c waits, and b asks twice
		asked, err = eraser.Ask(e.ctx(), rights.Asked{ExternalID: id, Case: "7"})
		e.must(err)
	}
	_, err = eraser.Finish(e.ctx(), asked)
	e.must(err)
	for _, action := range []string{"person.export", "people export", "contacts.import", "case.open"} {
		e.must(e.Audit(e.ctx(), "a", action, "x", ""))
	}
	today := e.Now.Unix() / (24 * 60 * 60)
	for range 2 {
		e.must(e.AddLatencies(e.ctx(), []rights.Latency{{Day: today, Bucket: 3, N: 5}, {Day: today - 29, Bucket: 1, N: 1}, {Day: today - 30, Bucket: 9, N: 1}}))
		e.must(e.NoteBreaches(e.ctx(), "doctor", []dispatcher.Breach{{Promise: "P1", Name: "sent_after_objection"}, {Promise: "P2", Name: "duplicates", Count: 2}}))
		e.must(e.NoteForgotten(e.ctx(), rights.KeepAudit, 3))
	}
	e.must1(e.Record(e.ctx(), objection(e.email("a@example.com"))))
	got, err := e.Facts(e.ctx())
	e.must(err)
	want := rights.Facts{Breaches: map[string]int64{"sent_after_objection": 0, "duplicates": 2}, Audited: e.Now, AuditedBy: "doctor",
		Latencies: []rights.Latency{{Bucket: 1, N: 2}, {Bucket: 3, N: 10}}, Open: 1, Overdue: 1, Ended: 2, InTime: 1, Exports: 2, Erasures: 1,
		LogFrom: e.Now, Imported: e.Now, Suppressed: e.Now, Retained: e.Now, Forgotten: []rights.Forgotten{{Rule: "audit", At: e.Now, Touched: 3, Total: 6}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

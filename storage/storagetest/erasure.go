package storagetest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/storage"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// eraser has nothing in flight to wait for.
func (r *restored) eraser() *rights.Eraser {
	return &rights.Eraser{Store: r.Store, Recorder: r.Store, Log: slog.New(slog.DiscardHandler)}
}

// erase erases somebody, who must be gone then.
func (r *restored) erase(a rights.Asked) rights.Erasure {
	r.t.Helper()
	a.Case, a.By = "ärende 7", "staff"
	asked, err := r.eraser().Ask(r.ctx(), a)
	r.must(err)
	done, err := r.eraser().Finish(r.ctx(), asked)
	r.must(err)
	if !done.Done() {
		r.t.Fatalf("not erased: %+v", done)
	}
	return done
}

// unbroken wants the doctor to find nothing.
func (r *restored) unbroken() {
	r.t.Helper()
	found, err := r.Breaches(r.ctx())
	r.must(err)
	for _, b := range found {
		if b.Count != 0 {
			r.t.Errorf("%s: %d", b.Name, b.Count)
		}
	}
}

// erasedEverywhere erases everybody who was sent to, one after the other.
func erasedEverywhere(t *testing.T, r *restored) {
	everybody := []resident{r.settle("anna"), r.settle("bertil"), r.settle("cia")}
	r.mails(4)
	group := r.mailed()
	for _, p := range everybody {
		r.live(p, group, 1)
	}
	before, err := r.Report(r.ctx(), campaign)
	r.must(err)
	ids := make([]string, 0, 7)
	for _, p := range everybody {
		ids = append(ids, p.now.ExternalID)
	}
	for i := range 4 {
		ids = append(ids, fmt.Sprintf("c%d", i))
	}
	for i, id := range ids {
		c, err := r.Contact(r.ctx(), id)
		r.must(err)
		ks, err := r.KeysOfContact(r.ctx(), c.ID)
		r.must(err)
		if done := r.erase(rights.Asked{ExternalID: id}); done.Messages != 1 {
			t.Errorf("%d messages were cut loose", done.Messages)
		}
		r.unbroken()
		after, err := r.Report(r.ctx(), campaign)
		r.must(err)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the report after %d erasures (-before +after):\n%s", i+1, diff)
		}
		left := r.everything("suppressions", "suppression_changes")
		for _, k := range ks {
			for _, trace := range []string{k.String(), k.Short()} {
				if at := strings.Index(left, trace); at >= 0 {
					t.Errorf("a key is left: %.60s", left[strings.LastIndexByte(left[:at], '\n')+1:])
				}
			}
		}
		if i < len(everybody) {
			traces := r.everything()
			for _, mark := range everybody[i].marks[:3] {
				for _, line := range strings.Split(traces, "\n") {
					if strings.Contains(line, mark) && !strings.HasPrefix(line, "inbound.message") {
						t.Errorf("left: %s", line)
					}
				}
			}
		}
		if blocked := r.blocked(marketing, ks...); len(blocked) != len(ks) {
			t.Errorf("%d of %d keys are suppressed", len(blocked), len(ks))
		}
	}
	if rest := r.everything(); strings.Contains(rest, "contacts.") || strings.Contains(rest, "example.com") {
		t.Error("contacts are left")
	}
}

// erasedAfterRetention: a member without a contact, and what comes late for her,
// are hers for as long as her key is there.
func erasedAfterRetention(t *testing.T, r *restored) {
	p, q := r.settle("anna"), r.settle("bertil")
	group := r.mailed()
	k := r.email(p.now.Email)
	r.Now = r.Now.AddDate(1, 0, 1)
	r.forget(rights.KeepCommunications, 2)
	late := tracking.Event{Type: tracking.Opens, At: r.Now, Group: group, Key: k, Dedupe: "late"}
	r.must(r.AppendEvent(r.ctx(), late))
	if traces := r.everything(); !strings.Contains(traces, "events.contact = <nil>") {
		t.Error("what comes late for a member without a contact names one")
	}
	r.write(`update events set contact = 0 where dedupe = 'late'`) // as it was once written
	x := rights.Exporter{Source: r.Store, Now: func() time.Time { return r.Now }}
	for id, events := range map[string]int{p.now.ExternalID: 1, q.now.ExternalID: 0} {
		made, err := x.Make(r.ctx(), id, "")
		r.must(err)
		// Of a batch of two, each is at one end.
		if len(made.Data["members"]) != 1 || len(made.Data["batches"]) != 1 || len(made.Data["events"]) != events {
			t.Errorf("%s: the export has members %v, batches %v, events %v", id, made.Data["members"], made.Data["batches"], made.Data["events"])
		}
	}
	before, err := r.Report(r.ctx(), campaign)
	r.must(err)
	if done := r.erase(rights.Asked{ExternalID: p.now.ExternalID}); done.Messages != 1 {
		t.Errorf("%d messages were cut loose", done.Messages)
	}
	r.unbroken()
	after, err := r.Report(r.ctx(), campaign)
	r.must(err)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the report (-before +after):\n%s", diff)
	}
	if left := r.everything("suppressions", "suppression_changes"); strings.Contains(left, k.String()) {
		t.Error("her key is left")
	}
}

// erasureIsLogged: who took it is in the log from the beginning, and nobody's name
// is once it is done, however soon that is.
func erasureIsLogged(t *testing.T, r *restored) {
	p := r.settle("anna")
	e := r.eraser()
	asked, err := e.Ask(r.ctx(), rights.Asked{ExternalID: p.now.ExternalID, Case: "7", By: "staff"})
	r.must(err)
	own := r.Keyer.Key(audience.KindContact, p.now.ExternalID)
	for _, object := range []string{own.Short(), "erased"} {
		lines, err := r.AuditOf(r.ctx(), []string{object}, 10)
		if err != nil || len(lines) != 1 || lines[0].Action != "person.erase" || lines[0].Actor != "staff" || lines[0].Detail != "case 7" {
			t.Errorf("of %s: %+v, %v", object, lines, err)
		}
		_, err = e.Finish(r.ctx(), asked)
		r.must(err)
	}
	if _, err := r.OpenErasure(r.ctx(), rights.Asked{ExternalID: p.now.ExternalID, Case: "7"}); !errorIs(err, storage.ErrNotFound) {
		t.Errorf("asked for nobody: %v", err)
	}
	if traces := r.everything("suppressions", "suppression_changes"); strings.Contains(traces, own.Short()) {
		t.Error("her key is in the log")
	}
}

func marksAreForgotten(t *testing.T, r *restored) {
	r.settle("anna")
	k := r.email("new-anna@example.com")
	group := r.mailed()
	told := []tracking.Event{{Type: tracking.Delivered, At: r.Now, Group: group, Key: k, Dedupe: "sid-1-delivered"},
		{Type: tracking.Opens, At: r.Now, Group: group, Key: k, Dedupe: "o-0123-29000000"}}
	r.must(r.AppendEvents(r.ctx(), told))
	r.Now = r.Now.AddDate(1, 0, 1)
	r.forget(rights.KeepEvents, int64(len(told)))
	traces := r.everything()
	for _, e := range told {
		if strings.Contains(traces, e.Dedupe) {
			t.Errorf("%s is left", e.Dedupe)
		}
	}
	r.must(r.AppendEvents(r.ctx(), told)) // by a provider that tells it again a year later
	if got := r.report(audience.Email); got.Opened != 2 || got.Delivered != 2 {
		t.Errorf("%d opened, %d delivered; what is told again counts as another's", got.Opened, got.Delivered)
	}
}

// erasuresInOrder: whoever finishes them sees all, the oldest first.
func erasuresInOrder(t *testing.T, r *restored) {
	r.mails(3)
	var ids []int64
	for i := range 3 {
		asked, err := r.eraser().Ask(r.ctx(), rights.Asked{ExternalID: fmt.Sprintf("c%d", i), Case: "7"})
		r.must(err)
		ids = append(ids, asked.ID)
	}
	_, err := r.eraser().Finish(r.ctx(), rights.Erasure{ID: ids[1]})
	r.must(err)
	var seen []int64
	for after := int64(0); ; after = seen[len(seen)-1] {
		page, err := r.OpenErasures(r.ctx(), after, 1)
		r.must(err)
		if len(page) == 0 {
			break
		}
		seen = append(seen, page[0].ID)
	}
	if diff := cmp.Diff([]int64{ids[0], ids[2]}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func erasureWaits(t *testing.T, r *restored) {
	p := r.settle("anna")
	r.library(audience.Email)
	r.launch()
	r.plan()
	e := r.eraser()
	asked, err := e.Ask(r.ctx(), rights.Asked{ExternalID: p.now.ExternalID, Case: "7"})
	r.must(err)
	if r.blocked(marketing, r.email(p.now.Email))[r.email(p.now.Email)] != suppression.Erased {
		t.Error("she may be sent to")
	}
	now, err := e.Finish(r.ctx(), asked)
	if err != nil || now.Done() || len(now.Waits) != 1 || now.Waits[0] != campaign {
		t.Fatalf("%+v, %v", now, err)
	}
	again, err := e.Ask(r.ctx(), rights.Asked{ExternalID: p.now.ExternalID, Case: "7", Declined: true})
	if err != nil || again.ID != asked.ID || !again.Declined {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	_, err = r.Cancel(r.ctx(), campaign)
	r.must(err)
	for _, b := range r.batches(audience.Email) {
		r.must(r.CloseRest(r.ctx(), b, dispatcher.Skipped, dispatcher.CauseCancelled))
	}
	_, err = r.FinishRuns(r.ctx())
	r.must(err)
	// Meanwhile a file has given her another address, which nobody has suppressed.
	moved := p.now
	moved.Email = "newer-anna@example.com"
	r.save(moved)
	ctx, cancel := context.WithCancel(r.ctx())
	e.Wait = func(context.Context, time.Duration) { cancel() }
	e.Run(ctx)
	list, err := r.ErasureList(r.ctx(), false, 10)
	if err != nil || len(list) != 1 || !list[0].Done() || list[0].Messages != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := r.Contact(r.ctx(), p.now.ExternalID); !errorIs(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
	r.unbroken()
}

// erasedInDoubt: those in doubt who were erased are not sent to again, since
// nobody knows any more who they were; to give up on them is possible.
func erasedInDoubt(t *testing.T, r *restored) {
	_, ks := r.doubtful(20, 5)
	r.finishes()
	for i := range 20 {
		if r.email(address(i)) == ks[2] {
			r.erase(rights.Asked{ExternalID: fmt.Sprintf("c%d", i)})
		}
	}
	if _, n, err := r.Resend(r.ctx(), campaign); err != nil || n != 4 {
		t.Errorf("%d are sent to again, %v; want 4", n, err)
	}
	r.finishes()
	if _, n, err := r.WriteOff(r.ctx(), campaign); err != nil || n != 1 {
		t.Errorf("%d are given up, %v; want 1", n, err)
	}
	if got := r.report(audience.Email); got.Sent != 19 || got.Failed != 1 || got.Resent != 4 {
		t.Errorf("%+v", got)
	}
}

func erasureLeavesOthers(t *testing.T, r *restored) {
	a, b := contact("a", "shared@example.com"), contact("b", "shared@example.com")
	b.Phone = "+46701740630"
	r.save(a, b)
	group := r.mailed()
	shared := r.email("shared@example.com")
	r.must(r.AppendEvent(r.ctx(), tracking.Event{Type: tracking.Opens, At: r.Now, Group: group, Key: shared, Dedupe: "o"}))
	wish := objection(r.phone("+46701740630"))
	wish.Entry.Evidence = "bevis"
	r.must1(r.Record(r.ctx(), wish))
	r.erase(rights.Asked{ExternalID: "b"})
	x := rights.Exporter{Source: r.Store, Now: func() time.Time { return r.Now }}
	made, err := x.Make(r.ctx(), "a", "")
	r.must(err)
	if len(made.Communications) != 1 || len(made.Communications[0].Events) != 1 || len(made.Data["address_keys"]) != 2 {
		t.Errorf("%+v", made)
	}
	if r.blocked(marketing, shared)[shared] == "" {
		t.Error("the address that was hers may be sent to")
	}
	r.unbroken()
}

func lateForTheErased(t *testing.T, r *restored) {
	p, q := r.settle("anna"), r.settle("bertil")
	group := r.mailed()
	for x, want := range map[*resident][]suppression.Cause{&p: {suppression.Unsubscribed, suppression.Erased}, &q: {suppression.Unsubscribed}} {
		k := r.email(x.now.Email)
		r.erase(rights.Asked{ExternalID: x.now.ExternalID, Declined: x == &q})
		notice := suppression.Notice{Event: tracking.Event{Type: tracking.Bounced, At: r.Now, Group: group, Key: k, Dedupe: "b-" + x.mark},
			Effect: suppression.Effect{Cause: suppression.Bounced}}
		for range 2 {
			r.must(r.AppendEvent(r.ctx(), tracking.Event{Type: tracking.Opens, At: r.Now, Group: group, Key: k, Dedupe: "o-" + x.mark}))
			_, err := r.TakeNotices(r.ctx(), []suppression.Notice{notice})
			r.must(err)
		}
		r.must1(r.Record(r.ctx(), suppression.Unsubscribe(k, audience.Email, group)))
		if left := r.everything("suppressions", "suppression_changes"); strings.Contains(left, k.String()) {
			t.Error("what came late has brought a key back")
		}
		entries, err := r.Entries(r.ctx(), []audience.Key{k})
		r.must(err)
		var causes []suppression.Cause
		for _, e := range entries {
			causes = append(causes, e.Cause)
		}
		if diff := cmp.Diff(want, causes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", x.mark, diff)
		}
	}
	r.unbroken()
	back := contact(p.now.ExternalID, p.now.Email)
	r.save(back)
	for _, key := range []audience.Key{r.email(back.Email), r.Keyer.Key(audience.KindContact, back.ExternalID)} {
		if cause, _, err := suppression.Check(r.ctx(), r.Store, marketing, key); err != nil || cause != suppression.Erased {
			t.Errorf("imported again: %q, %v", cause, err)
		}
	}
}

func erasureDeclined(t *testing.T, r *restored) {
	p := r.settle("anna")
	group := r.mailed()
	r.live(p, group, 1)
	r.must1(r.Record(r.ctx(), objection(r.email(p.now.Email))))
	r.erase(rights.Asked{ExternalID: p.now.ExternalID, Declined: true})
	left := r.everything("suppressions", "suppression_changes")
	for _, k := range p.keys {
		if strings.Contains(left, k.String()) {
			t.Error("a key is left")
		}
	}
	entries, err := r.Entries(r.ctx(), p.keys)
	r.must(err)
	objected := false
	for _, e := range entries {
		objected = objected || e.Cause == suppression.Unsubscribed && e.Purpose == string(suppression.Marketing)
		if e.Cause == suppression.Erased || e.Evidence != "" {
			t.Errorf("%s is left, with %q", e.Cause, e.Evidence)
		}
	}
	if !objected {
		t.Error("her objection is gone: nobody said that she took it back")
	}
	r.unbroken()
}

func erasureRestored(t *testing.T, r *restored) {
	p := r.settle("anna")
	r.settle("bertil")
	r.must(r.SaveSender(r.ctx(), templates.Sender{Name: "exempelbolaget"}))
	goBack := r.backUp()
	e := r.eraser()
	_, err := e.Ask(r.ctx(), rights.Asked{ExternalID: p.now.ExternalID, Case: "7", By: "staff", Declined: true})
	r.must(err)
	goBack()
	r.write(`delete from erasures`)
	r.isHeld(r.Store, "went back")
	if got := r.release(r.Store); got.Erasing != 1 {
		t.Errorf("%+v", got)
	}
	list, err := r.ErasureList(r.ctx(), true, 10)
	if err != nil || len(list) != 1 || list[0].Case != "7" || !list[0].Declined {
		t.Errorf("%+v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(r.ctx())
	e.Wait = func(context.Context, time.Duration) { cancel() }
	e.Run(ctx)
	if _, err := r.Contact(r.ctx(), p.now.ExternalID); !errorIs(err, storage.ErrNotFound) {
		t.Errorf("she is there again: %v", err)
	}
	if _, err := r.Contact(r.ctx(), "id-bertil"); err != nil {
		t.Error(err)
	}
}

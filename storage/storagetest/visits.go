package storagetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
)

// chooser is somebody who looks at the pages of a message.
func (e *Env) chooser(visit string) suppression.Chooser {
	return suppression.Chooser{Key: e.email("a@example.com"), Topic: "newsletter", Visit: visit, At: e.Now}
}

// chooses is what she does there.
func (e *Env) chooses(visit string, choices ...suppression.Choice) {
	e.t.Helper()
	_, err := e.Revise(e.ctx(), visit, e.chooser(visit).Wishes(choices))
	e.must(err)
	e.Now = e.Now.Add(time.Second)
}

// inForce is what stands against her, and since when.
func (e *Env) inForce() (entries []suppression.Entry) {
	e.t.Helper()
	who, err := e.Addressee(e.ctx(), e.email("a@example.com"))
	e.must(err)
	all, err := e.Entries(e.ctx(), who.Keys)
	e.must(err)
	for _, entry := range all {
		if entry.InForce(e.Now) {
			entry.Version = 0 // writing it again gives it another one
			entries = append(entries, entry)
		}
	}
	return entries
}

var anyOrder = cmpopts.SortSlices(func(a, b suppression.Entry) bool {
	return a.Key.String()+a.Channel+a.Topic+a.Purpose+string(a.Cause) < b.Key.String()+b.Channel+b.Topic+b.Purpose+string(b.Cause)
})

func (e *Env) wantInForce(what string, want []suppression.Entry) {
	e.t.Helper()
	if diff := cmp.Diff(want, e.inForce(), anyOrder); diff != "" {
		e.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// visitsAreUndone: whatever was there before a visit is there after it.
func visitsAreUndone(t *testing.T, e *Env) {
	c := contact("a", "a@example.com")
	c.Phone = "+46701740605"
	e.save(c, contact("b", "b@example.com"))
	pause := suppression.Entry{Key: e.email("a@example.com"), Channel: "*", Topic: "*", Purpose: "marketing", Sender: "*", Cause: suppression.Paused,
		Active: true, ExpiresAt: e.Now.AddDate(0, 0, 10), Source: "operator", Evidence: "case 1"}
	lifted := e.chooser("").Wishes([]suppression.Choice{suppression.StopPush})[0]
	lifted.Entry.Active = false
	for _, w := range []suppression.Wish{
		{Entry: pause, Person: true}, lifted, suppression.Unsubscribe(e.email("a@example.com"), audience.SMS, 0),
		suppression.Provider(e.email("a@example.com"), audience.Email, suppression.Bounced, "test"),
	} {
		e.must1(e.Record(e.ctx(), w))
	}
	e.Now = e.Now.Add(time.Minute)
	before := e.inForce()
	e.chooses("one", suppression.Choices...)
	if got := e.inForce(); len(got) < 30 {
		t.Fatalf("all choices are %d entries", len(got))
	}
	e.chooses("one", suppression.StopKind, suppression.Pause90)
	narrowed := e.blocked(marketing, e.email("a@example.com"))
	other := marketing
	other.Topic = "offer"
	e.Now = e.Now.AddDate(0, 0, 90)
	if len(narrowed) != 1 || e.blocked(marketing, e.email("a@example.com"))[e.email("a@example.com")] == "" ||
		e.blocked(other, e.Keyer.Key(audience.KindContact, "a"))[e.Keyer.Key(audience.KindContact, "a")] != "" {
		t.Error("narrowed to one kind and a pause, something else stands")
	}
	e.Now = e.Now.AddDate(0, 0, -90)
	e.chooses("one")
	e.wantInForce("undone", before)
	e.chooses("one")
	e.chooses("none such")
	e.wantInForce("undone again", before)
}

// undoingLeavesOthers: what somebody else has said since stays, and so does what
// was said in another visit.
func undoingLeavesOthers(t *testing.T, e *Env) {
	e.save(contact("a", "a@example.com"))
	e.chooses("one", suppression.StopEmail, suppression.StopSMS, suppression.Pause90)
	e.chooses("two", suppression.StopSMS, suppression.NoProfiling)
	want := e.inForce()
	want = slices.DeleteFunc(want, func(x suppression.Entry) bool { return x.Channel == "email" || x.Cause == suppression.Paused })
	objected := suppression.Wish{Person: true, Entry: suppression.Entry{Key: e.email("a@example.com"), Channel: "*", Topic: "*", Purpose: "*", Sender: "*",
		Cause: suppression.Objected, Active: true, Source: "operator", Evidence: "case 2"}}
	e.must1(e.Record(e.ctx(), objected))
	for range 2 {
		e.chooses("one")
	}
	k := e.email("a@example.com")
	if got := e.blocked(marketing, k)[k]; got != suppression.Objected {
		t.Errorf("after the undo of what came before the objection: %q", got)
	}
	objected.Entry.Active = false
	e.must1(e.Record(e.ctx(), objected))
	e.wantInForce("what another visit said", want)
	e.chooses("two")
	e.wantInForce("both are undone, in their order", nil)
	for _, visit := range []string{"three", "four"} {
		e.chooses(visit, suppression.StopEmail)
	}
	for _, visit := range []string{"four", "three"} {
		e.chooses(visit)
	}
	e.wantInForce("both are undone, in the other order", nil)
}

// undoingWhatWasLiftedMeanwhile brings nothing back.
func undoingWhatWasLiftedMeanwhile(t *testing.T, e *Env) {
	e.save(contact("a", "a@example.com"))
	e.chooses("one", suppression.StopEmail)
	e.chooses("two", suppression.StopEmail)
	lift := e.chooser("").Wishes([]suppression.Choice{suppression.StopEmail})[0]
	lift.Entry.Active = false
	e.must1(e.Record(e.ctx(), lift))
	e.chooses("two")
	e.chooses("one")
	if got := e.inForce(); len(got) != 0 {
		t.Errorf("there is %v", got)
	}
}

// consentsComeBack when their withdrawal is undone, with their proof, and not
// against another wish or a later no.
func consentsComeBack(t *testing.T, e *Env) {
	row := audience.Row{Contact: contact("a", "a@example.com"), Set: all, Consents: map[string]bool{"open_tracking": true}}
	save := func() {
		t.Helper()
		_, err := e.SaveContacts(e.ctx(), []audience.Row{row})
		e.must(err)
	}
	save()
	e.library(audience.Email)
	e.launch()
	e.plan()
	b := e.batches(audience.Email)[0]
	want := func(what string, tracked, refused bool) {
		t.Helper()
		members, err := e.membersOf(b, 10)
		e.must(err)
		if r := members[0].Recipient; r.Tracked != tracked || r.Untracked != refused {
			t.Errorf("%s: tracked %v, refused %v", what, r.Tracked, r.Untracked)
		}
	}
	want("consented", true, false)
	e.chooses("one", suppression.NoOpenTracking, suppression.NoAdSharing)
	want("withdrawn", false, true)
	e.chooses("one", suppression.StopEverything)
	want("withdrawn with everything", false, true)
	e.chooses("one")
	want("undone", true, false)
	e.chooses("one", suppression.NoOpenTracking)
	e.chooses("two", suppression.NoOpenTracking)
	e.chooses("one")
	want("undone, and another wish stands", false, true)
	e.chooses("two")
	e.chooses("one", suppression.NoOpenTracking)
	row.Consents["open_tracking"] = false
	e.chooses("one")
	save()
	e.chooses("one")
	want("undone again after a no", false, true)
}

// refusalsBind where a sender tracks without consent.
func refusalsBind(t *testing.T, e *Env) {
	e.save(contact("a", "a@example.com"))
	e.library(audience.Email)
	e.launch()
	e.plan()
	b := e.batches(audience.Email)[0]
	for _, refused := range []bool{false, true, false, true} {
		if refused {
			e.chooses("one", suppression.NoOpenTracking)
		} else {
			e.chooses("one")
		}
		members, err := e.membersOf(b, 10)
		e.must(err)
		if members[0].Recipient.Untracked != refused {
			t.Errorf("refused is %v, want %v", !refused, refused)
		}
	}
}

// changesAreKept: every change, as it was after it.
func changesAreKept(t *testing.T, e *Env) {
	e.save(contact("a", "a@example.com"))
	e.chooses("one", suppression.Pause90)
	e.chooses("two", suppression.Pause30)
	e.chooses("one")
	own := e.Keyer.Key(audience.KindContact, "a")
	changes, err := e.Changes(e.ctx(), []audience.Key{own})
	e.must(err)
	type change struct {
		Days   int
		Active bool
	}
	var got []change
	for i, c := range changes {
		got = append(got, change{int(c.ExpiresAt.Sub(e.Now.Add(-time.Hour)).Hours()) / 24, c.Active})
		if c.Key != own || i > 0 && c.Version >= changes[i-1].Version {
			t.Errorf("change %d: %+v", i, c)
		}
	}
	// The second pause made the first no shorter. It was the last to change it.
	if diff := cmp.Diff([]change{{90, true}, {90, true}}, got); diff != "" {
		t.Error(diff)
	}
}

// whereMessagesComeFrom, and to whom.
func whereMessagesComeFrom(t *testing.T, e *Env) {
	first, second := contact("a", "old@example.com"), contact("b", "b@example.com")
	first.Locale = "en-GB"
	e.save(first, second)
	e.library(audience.Email)
	e.launch()
	e.plan()
	group := e.batches(audience.Email)[0].Group
	origin, err := e.Origin(e.ctx(), group)
	e.must(err)
	if want := (dispatcher.Origin{Channel: audience.Email, Sender: "exempelbolaget", Topic: "newsletter"}); origin != want {
		t.Errorf("origin %+v", origin)
	}
	if _, err := e.Origin(e.ctx(), group+1000); !errorIs(err, storage.ErrNotFound) {
		t.Errorf("a group that is not there: %v", err)
	}
	who, err := e.Addressee(e.ctx(), e.email("old@example.com"))
	e.must(err)
	if who.Locale != "en-GB" || who.Email != "old@example.com" || len(who.Keys) != 2 || who.Keys[0] != e.email("old@example.com") {
		t.Errorf("addressee %+v", who)
	}
	first.Email = "new@example.com"
	e.save(first)
	who, err = e.Addressee(e.ctx(), e.email("old@example.com"))
	e.must(err)
	if who.Locale != "en-GB" || who.Email != "" || len(who.Keys) != 3 {
		t.Errorf("of an address that is not hers any more: %+v", who)
	}
	who, err = e.Addressee(e.ctx(), e.email("stranger@example.com"))
	e.must(err)
	if diff := cmp.Diff(audience.Addressee{Keys: []audience.Key{e.email("stranger@example.com")}}, who); diff != "" {
		t.Error(diff)
	}
}

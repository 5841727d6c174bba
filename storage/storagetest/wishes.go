package storagetest

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/storage"
	"utskick/suppression"
)

func contactsUpsert(t *testing.T, e *Env) {
	first := contact("a", "a@example.com")
	first.Attributes = map[string]string{"city": "Umeå"}
	first.Devices = []audience.Device{{Token: "one"}, {Token: "two"}}
	if got := e.save(first, contact("b", "b@example.com")); got != (audience.Saved{Created: 2}) {
		t.Fatalf("first import: %+v", got)
	}
	second := first
	second.FirstName, second.Devices = "Åsa", []audience.Device{{Token: "two"}, {Token: "three"}}
	if got := e.save(second, contact("b", "b@example.com")); got != (audience.Saved{Updated: 1, Unchanged: 1}) {
		t.Fatalf("second import: %+v", got)
	}
	got, err := e.Contact(e.ctx(), "a")
	e.must(err)
	var tokens []string
	for _, d := range got.Devices {
		if !d.Active {
			t.Errorf("device %d is not active", d.ID)
		}
		tokens = append(tokens, d.Token)
	}
	if diff := cmp.Diff([]string{"two", "three"}, tokens); diff != "" {
		t.Errorf("devices: %s", diff)
	}
	if got.FirstName != "Åsa" || got.Attributes["city"] != "Umeå" || got.Email != "a@example.com" {
		t.Errorf("contact: %+v", got)
	}
}

func earlierKeys(t *testing.T, e *Env) {
	e.save(contact("a", "old@example.com"))
	e.save(contact("a", "new@example.com"))
	e.must1(e.Record(e.ctx(), objection(e.email("old@example.com"))))
	if len(e.blocked(marketing, e.email("new@example.com"))) != 1 {
		t.Error("an objection by the old address does not cover the new one")
	}
}

func (e *Env) must1(_ suppression.Recorded, err error) {
	e.t.Helper()
	e.must(err)
}

func wishCoversPerson(t *testing.T, e *Env) {
	c := contact("a", "a@example.com")
	c.Phone, c.Devices = "+46701740605", []audience.Device{{Token: "one"}}
	e.save(c, contact("b", "b@example.com"))
	rec, err := e.Record(e.ctx(), objection(e.email("a@example.com")))
	e.must(err)
	if rec.Keys != 4 {
		t.Errorf("written for %d keys, want 4: e-mail, phone, device and contact", rec.Keys)
	}
	own := e.Keyer.Key(audience.KindContact, "a")
	got := e.blocked(marketing, own, e.email("a@example.com"), e.email("b@example.com"))
	want := map[audience.Key]suppression.Cause{own: suppression.Unsubscribed, e.email("a@example.com"): suppression.Unsubscribed}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	single := suppression.Provider(e.email("b@example.com"), audience.Email, suppression.Bounced, "test")
	if rec, err := e.Record(e.ctx(), single); err != nil || rec.Keys != 1 {
		t.Errorf("a bounce was written for %d keys: %v", rec.Keys, err)
	}
}

// trackingWithdrawn: a wish against open tracking ends the grant, and a file
// does not bring it back.
func trackingWithdrawn(t *testing.T, e *Env) {
	e.library(audience.Email)
	row := audience.Row{Contact: contact("a", "a@example.com"), Set: all, Consents: map[string]bool{"open_tracking": true}}
	save := func() {
		t.Helper()
		_, err := e.SaveContacts(e.ctx(), []audience.Row{row})
		e.must(err)
	}
	save()
	e.launch()
	e.plan()
	b := e.batches(audience.Email)[0]
	tracked := func() bool {
		t.Helper()
		members, err := e.membersOf(b, 10)
		e.must(err)
		return members[0].Recipient.Tracked
	}
	if !tracked() {
		t.Fatal("a consenting contact is not tracked")
	}
	e.must1(e.Record(e.ctx(), suppression.Wish{Person: true, Entry: suppression.Entry{Key: e.email("a@example.com"), Channel: "*", Topic: "*",
		Purpose: "open_tracking", Sender: "*", Cause: suppression.Withdrawn, Active: true}}))
	if tracked() {
		t.Error("tracked after the withdrawal")
	}
	save()
	if tracked() {
		t.Error("a file lifted the withdrawal")
	}
	if len(e.blocked(marketing, e.email("a@example.com"))) != 0 {
		t.Error("a wish against tracking stops marketing")
	}
}

func versionsWithoutGaps(t *testing.T, e *Env) {
	e.mails(40)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if _, err := e.Record(e.ctx(), objection(e.email(address(i)))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	next := int64(1)
	e.must(e.EachEntry(e.ctx(), func(entry suppression.Entry) error {
		if entry.Version != next {
			t.Errorf("version %d where %d is due", entry.Version, next)
		}
		next++
		return nil
	}))
	if next != 81 {
		t.Errorf("%d entries, want 80: an e-mail and a contact key each", next-1)
	}
}

func matchingScope(t *testing.T, e *Env) {
	k := e.email("a@example.com")
	base := suppression.Entry{Key: k, Channel: "email", Topic: "*", Purpose: "marketing", Sender: "*", Cause: suppression.Objected, Active: true, Source: "test"}
	for _, c := range []struct {
		name  string
		edit  func(*suppression.Entry)
		match bool
	}{
		{"as it is", func(*suppression.Entry) {}, true},
		{"any channel", func(x *suppression.Entry) { x.Channel = "*" }, true},
		{"another channel", func(x *suppression.Entry) { x.Channel = "sms" }, false},
		{"this topic", func(x *suppression.Entry) { x.Topic = "newsletter" }, true},
		{"another topic", func(x *suppression.Entry) { x.Topic = "offer" }, false},
		{"any purpose", func(x *suppression.Entry) { x.Purpose = "*" }, true},
		{"another purpose", func(x *suppression.Entry) { x.Purpose = "profiling" }, false},
		{"this sender", func(x *suppression.Entry) { x.Sender = "exempelbolaget" }, true},
		{"another sender", func(x *suppression.Entry) { x.Sender = "other" }, false},
		{"lifted", func(x *suppression.Entry) { x.Active = false }, false},
		{"not yet expired", func(x *suppression.Entry) { x.ExpiresAt = e.Now.Add(time.Minute) }, true},
		{"expired", func(x *suppression.Entry) { x.ExpiresAt = e.Now.Add(-time.Minute) }, false},
		{"another key", func(x *suppression.Entry) { x.Key = e.email("b@example.com") }, false},
	} {
		entry := base
		c.edit(&entry)
		e.must1(e.Record(e.ctx(), suppression.Wish{Entry: entry}))
		if got := len(e.blocked(marketing, k)) == 1; got != c.match {
			t.Errorf("%s: match %v, want %v", c.name, got, c.match)
		}
		entry.Active = false
		e.must1(e.Record(e.ctx(), suppression.Wish{Entry: entry}))
	}
}

// wishesAreNotShortened: the same wish again, with an end, ends nothing sooner.
func wishesAreNotShortened(t *testing.T, e *Env) {
	entry := suppression.Entry{Key: e.email("a@example.com"), Channel: "*", Topic: "*", Purpose: "*", Sender: "*", Cause: suppression.Objected, Active: true}
	for _, end := range []time.Time{e.Now.Add(time.Hour), {}, e.Now.Add(-time.Hour), e.Now.Add(time.Minute)} {
		entry.ExpiresAt = end
		e.must1(e.Record(e.ctx(), suppression.Wish{Entry: entry}))
	}
	other := entry // the same in one transaction
	other.Key = e.email("b@example.com")
	brief, lasting := other, other
	brief.ExpiresAt, lasting.ExpiresAt = e.Now.Add(time.Minute), time.Time{}
	_, err := e.RecordAll(e.ctx(), []suppression.Wish{{Entry: lasting}, {Entry: brief}})
	e.must(err)
	e.Now = e.Now.Add(24 * time.Hour)
	if len(e.blocked(marketing, entry.Key, other.Key)) != 2 {
		t.Error("an objection without an end was given one")
	}
	entry.Active = false
	e.must1(e.Record(e.ctx(), suppression.Wish{Entry: entry}))
	if len(e.blocked(marketing, entry.Key)) != 0 {
		t.Error("a lifted objection blocks")
	}
}

func liftingOneCause(t *testing.T, e *Env) {
	k := e.email("a@example.com")
	paused := suppression.Entry{Key: k, Channel: "email", Topic: "*", Purpose: "*", Sender: "*", Cause: suppression.Paused, Active: true}
	objected := paused
	objected.Cause = suppression.Objected
	e.must1(e.Record(e.ctx(), suppression.Wish{Entry: objected}))
	e.must1(e.Record(e.ctx(), suppression.Wish{Entry: paused}))
	paused.Active = false
	e.must1(e.Record(e.ctx(), suppression.Wish{Entry: paused}))
	if diff := cmp.Diff(map[audience.Key]suppression.Cause{k: suppression.Objected}, e.blocked(marketing, k)); diff != "" {
		t.Error(diff)
	}
}

func claimsInFlight(t *testing.T, e *Env) {
	e.mails(10)
	e.library(audience.Email)
	e.launch()
	e.plan()
	b := e.batches(audience.Email)[0]
	c, ks := e.claimOf(b, 5)
	rec, err := e.Record(e.ctx(), objection(ks[0]))
	e.must(err)
	if len(rec.InFlight) != 0 {
		t.Errorf("in flight before the claim: %v", rec.InFlight)
	}
	e.must(e.Claim(e.ctx(), c))
	rec, err = e.Record(e.ctx(), objection(ks[0]))
	e.must(err)
	want := []suppression.InFlight{{Batch: b.ID, Fence: b.Fence + 1}}
	if diff := cmp.Diff(want, rec.InFlight); diff != "" {
		t.Fatalf("in flight during the claim: %s", diff)
	}
	if rec, err = e.Record(e.ctx(), objection(e.email("stranger@example.com"))); err != nil || len(rec.InFlight) > 0 && !inside(b.Low, b.High, e.email("stranger@example.com")) {
		t.Errorf("in flight for a stranger: %v %v", rec.InFlight, err)
	}
	open, err := e.Store.Open(e.ctx(), want)
	e.must(err)
	if diff := cmp.Diff(want, open); diff != "" {
		t.Errorf("open: %s", diff)
	}
	if _, err := e.Settle(e.ctx(), settlementOf(b, c, ks)); err != nil {
		t.Fatal(err)
	}
	if open, err = e.Store.Open(e.ctx(), want); err != nil || len(open) != 0 {
		t.Errorf("open after settling: %v %v", open, err)
	}
}

func inside(low, high, k audience.Key) bool {
	return string(low[:]) <= string(k[:]) && string(k[:]) <= string(high[:])
}

func otherPepper(t *testing.T, e Engine) {
	c := e.Config(t)
	for i, pepper := range []string{"pepper one", "pepper two"} {
		keyer, err := audience.NewKeyer([]byte(pepper + "-----------------------------------"))
		if err != nil {
			t.Fatal(err)
		}
		c.Keyer = keyer
		if err := storage.Migrate(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		s, err := storage.Open(t.Context(), c)
		if i == 0 {
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		} else if !errorIs(err, storage.ErrPepper) {
			t.Errorf("another pepper: %v", err)
		}
	}
}

func notMigrated(t *testing.T, e Engine) {
	c := e.Config(t)
	var err error
	if c.Keyer, err = audience.NewKeyer(Pepper); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open(t.Context(), c); !errorIs(err, storage.ErrSchema) {
		t.Errorf("a database that was not migrated: %v", err)
	}
}

// retiring: a device that the app is gone from is not in the next audience, not
// even when a file names it again, until that is lifted.
func retiring(t *testing.T, e *Env) {
	c := contact("a", "a@example.com")
	c.Devices = []audience.Device{{Token: "one"}, {Token: "two"}}
	e.save(c)
	one := e.Keyer.Key(audience.KindPush, "one")
	active := func() (tokens []string) {
		t.Helper()
		e.save(c)
		got, err := e.Contact(e.ctx(), "a")
		e.must(err)
		for _, d := range got.Devices {
			if d.Active {
				tokens = append(tokens, d.Token)
			}
		}
		return tokens
	}
	e.must1(e.Record(e.ctx(), suppression.Provider(e.Keyer.Key(audience.KindPush, "two"), audience.Push, suppression.PushOff, "test")))
	gone := suppression.Provider(one, audience.Push, suppression.Unregistered, "test")
	e.must1(e.Record(e.ctx(), gone))
	if diff := cmp.Diff([]string{"two"}, active()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	e.library(audience.Push)
	e.launch()
	e.plan()
	if r := e.report(audience.Push); r.Audience != 1 {
		t.Errorf("the audience is %d", r.Audience)
	}
	gone.Entry.Active = false
	e.must1(e.Record(e.ctx(), gone))
	if diff := cmp.Diff([]string{"one", "two"}, active()); diff != "" {
		t.Errorf("after it was lifted (-want +got):\n%s", diff)
	}
}

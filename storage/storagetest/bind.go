package storagetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/rights"
	"utskick/suppression"
)

// objected is what a file of suppressions says of an address without more.
func objected(k audience.Key) suppression.Wish {
	return suppression.Wish{Person: true, Entry: suppression.Entry{Key: k, Channel: suppression.Any, Topic: suppression.Any, Purpose: suppression.Any,
		Sender: suppression.Any, Cause: suppression.Objected, Active: true, Source: "import", Evidence: "case 4711"}}
}

// withPhone is a contact who can be sent an SMS, too.
func withPhone(id, email, phone string) audience.Contact {
	c := contact(id, email)
	c.Phone = phone
	return c
}

// wantRulings sends the campaign and looks at what the gate says of each address.
func (e *Env) wantRulings(want map[audience.Key]suppression.Cause) {
	e.t.Helper()
	e.library(audience.Email, audience.SMS)
	e.launch()
	e.plan()
	got := e.ruled(audience.Email)
	for k, cause := range e.ruled(audience.SMS) {
		got[k] = cause
	}
	if diff := cmp.Diff(want, got); diff != "" {
		e.t.Errorf("rulings (-want +got):\n%s", diff)
	}
}

// olderWishesBind: what was said at an address before anybody was known to have it
// holds for every address of the contact who comes with it, and goes on to when
// she has another.
func olderWishesBind(t *testing.T, e *Env) {
	e.recordAll([]suppression.Wish{objected(e.email("nine@example.com")), objected(e.phone("+46701740608"))})
	e.Now = e.Now.Add(time.Hour)
	e.save(withPhone("c7", "seven@example.com", "+46701740607"))
	e.save(withPhone("c8", "eight@example.com", "+46701740608"), withPhone("c9", "nine@example.com", "+46701740609"))
	e.save(withPhone("c9", "later@example.com", "+46701740609"))
	e.save(withPhone("c6", "six@example.com", "+46701740606"))
	e.save(withPhone("c6", "nine@example.com", "+46701740606"))
	entries, err := e.Entries(e.ctx(), []audience.Key{e.email("nine@example.com"), e.Keyer.Key(audience.KindContact, "c9")})
	e.must(err)
	if len(entries) != 2 || entries[0].Version == entries[1].Version {
		t.Fatalf("%+v", entries)
	}
	entries[0].Key, entries[0].Version = entries[1].Key, entries[1].Version
	if diff := cmp.Diff(entries[1], entries[0]); diff != "" {
		t.Errorf("the contact's own entry is another (-address +contact):\n%s", diff)
	}
	if all, err := e.Changes(e.ctx(), []audience.Key{e.Keyer.Key(audience.KindContact, "c9")}); err != nil || len(all) != 1 {
		t.Errorf("changes: %+v, %v", all, err)
	}
	e.wantRulings(map[audience.Key]suppression.Cause{e.email("seven@example.com"): "", e.phone("+46701740607"): "",
		e.email("eight@example.com"): suppression.Objected, e.phone("+46701740608"): suppression.Objected,
		e.email("later@example.com"): suppression.Objected, e.phone("+46701740609"): suppression.Objected,
		e.email("nine@example.com"): suppression.Objected, e.phone("+46701740606"): suppression.Objected})
}

// addressesBindNobody: what is no person's word, or has ended, or was said on a
// device, is about the one address; and what was lifted stays lifted.
func addressesBindNobody(t *testing.T, e *Env) {
	device := e.Keyer.Key(audience.KindPush, "one")
	ended := objected(e.email("ended@example.com"))
	ended.Entry.Cause, ended.Entry.ExpiresAt = suppression.Paused, e.Now.Add(time.Hour)
	rests := objected(e.email("rests@example.com"))
	rests.Entry.Cause, rests.Entry.ExpiresAt = suppression.Paused, e.Now.Add(48*time.Hour)
	e.recordAll([]suppression.Wish{objected(device), ended, rests, objected(e.email("lifted@example.com")),
		suppression.Provider(e.email("bounced@example.com"), audience.Email, suppression.Bounced, "test")})
	e.Now = e.Now.Add(2 * time.Hour)
	people := []audience.Contact{withPhone("device", "device@example.com", number(0)), withPhone("ended", "ended@example.com", number(1)),
		withPhone("lifted", "lifted@example.com", number(2)), withPhone("bounced", "bounced@example.com", number(3)), withPhone("rests", "rests@example.com", number(4))}
	people[0].Devices = []audience.Device{{Token: "one"}}
	e.save(people...)
	lift := objected(e.Keyer.Key(audience.KindContact, "lifted"))
	lift.Entry.Active = false
	e.must1(e.Record(e.ctx(), lift))
	for i := range people {
		people[i].FirstName = "Kim"
	}
	e.save(people...)
	// Her new address is older than what she has lifted, and brings its own wish.
	e.save(withPhone("ended", "rests@example.com", number(1)))
	e.wantRulings(map[audience.Key]suppression.Cause{e.email("device@example.com"): "", e.number(0): "", e.number(1): suppression.Paused,
		e.email("rests@example.com"): suppression.Paused, e.email("lifted@example.com"): "", e.number(2): "",
		e.email("bounced@example.com"): suppression.Bounced, e.number(3): "", e.number(4): suppression.Paused})
}

func (e *Env) number(i int) audience.Key { return e.phone(number(i)) }

// subscribersBind: what somebody said who was only known by a subscription binds
// the customer that she turns out to be, and is undone with its visit.
func subscribersBind(t *testing.T, e *Env) {
	sms := suppression.Unsubscribe(e.email("early@example.com"), audience.SMS, 0)
	e.must1(e.Record(e.ctx(), sms))
	e.library(audience.Email)
	e.subscribers()
	for _, address := range []string{"early@example.com", "stays@example.com", "undoes@example.com"} {
		e.confirm(address, "newsletter", false)
	}
	if made, err := e.Contacts(e.ctx(), 0, 1); err != nil || len(e.standing(e.Keyer.Key(audience.KindContact, made[0].ExternalID))) != 1 {
		t.Errorf("what was said at the address does not bind who was made of it: %v", err)
	}
	for _, address := range []string{"stays@example.com", "undoes@example.com"} {
		by := suppression.Chooser{Key: e.email(address), Topic: "newsletter", At: e.Now, Visit: address}
		_, err := e.Revise(e.ctx(), by.Visit, by.Wishes([]suppression.Choice{suppression.StopEverything}))
		e.must(err)
	}
	e.save(withPhone("stays", "stays@example.com", number(1)), withPhone("undoes", "undoes@example.com", number(2)), withPhone("early", "early@example.com", number(3)))
	scope := suppression.Scope{Channel: audience.SMS, Topic: "offer", Sender: forSubscribers, Purpose: suppression.Marketing}
	want := map[audience.Key]suppression.Cause{}
	for id, cause := range map[string]suppression.Cause{"stays": suppression.Objected, "undoes": suppression.Objected, "early": suppression.Unsubscribed} {
		want[e.Keyer.Key(audience.KindContact, id)] = cause
	}
	if diff := cmp.Diff(want, e.blockedContacts(scope, "stays", "undoes", "early")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err := e.Revise(e.ctx(), "undoes@example.com", nil)
	e.must(err)
	delete(want, e.Keyer.Key(audience.KindContact, "undoes"))
	if diff := cmp.Diff(want, e.blockedContacts(scope, "stays", "undoes", "early")); diff != "" {
		t.Errorf("undone (-want +got):\n%s", diff)
	}
}

func (e *Env) blockedContacts(scope suppression.Scope, ids ...string) map[audience.Key]suppression.Cause {
	e.t.Helper()
	var ks []audience.Key
	for _, id := range ids {
		ks = append(ks, e.Keyer.Key(audience.KindContact, id))
	}
	return e.blocked(scope, ks...)
}

// erasedBind: a file that brings somebody again under another name, with a number
// that nobody knew, brings nobody who is sent to.
func erasedBind(t *testing.T, r *restored) {
	p := r.settle("anna")
	r.erase(rights.Asked{ExternalID: p.now.ExternalID})
	r.save(withPhone("again", p.now.Email, number(60)), withPhone("other", "other@example.com", number(61)))
	r.save(withPhone("again", "newest@example.com", number(60)))
	r.wantRulings(map[audience.Key]suppression.Cause{r.email("newest@example.com"): suppression.Erased, r.phone(number(60)): suppression.Erased,
		r.email("other@example.com"): "", r.phone(number(61)): ""})
}

// boundOutlasts: what binds a contact since she was imported is in the journal.
func boundOutlasts(t *testing.T, r *restored) {
	r.recordAll([]suppression.Wish{objected(r.email("nine@example.com"))})
	r.isHeld(r.Store, "")
	goBack := r.backUp()
	r.save(withPhone("c9", "nine@example.com", number(9)))
	own := r.Keyer.Key(audience.KindContact, "c9")
	if len(r.blocked(marketing, own)) != 1 {
		t.Fatal("she is not bound")
	}
	goBack()
	r.isHeld(r.Store, "went back")
	r.release(r.Store)
	if len(r.blocked(marketing, own)) != 1 {
		t.Error("she is not bound any more")
	}
}

// wishesAndImportsMeet: of a wish and an import at the same moment, one finds what
// the other has written, whichever is first. Somebody else holds the head until
// both are on their way.
func wishesAndImportsMeet(t *testing.T, r *restored) {
	for i := range 6 {
		address, id := fmt.Sprintf("meet%d@example.com", i), fmt.Sprintf("meet%d", i)
		waiting, release := r.holdHead()
		steps := []func(){
			func() { r.must1(r.Record(r.ctx(), objected(r.email(address)))) },
			func() { r.save(withPhone(id, address, number(10+i))) },
		}
		if i%2 == 1 {
			slices.Reverse(steps)
		}
		var both sync.WaitGroup
		var under atomic.Int32
		for _, step := range steps {
			under.Add(1)
			both.Go(func() { defer under.Add(-1); step() })
			waiting(&under)
		}
		release()
		both.Wait()
		if len(r.blockedContacts(marketing, id)) != 1 {
			t.Errorf("round %d: a wish and an import have missed each other", i)
		}
	}
}

// holdHead locks the head. waiting returns when all that are under way wait for it;
// an embedded database has a single writer, who waits.
func (r *restored) holdHead() (waiting func(under *atomic.Int32), release func()) {
	r.t.Helper()
	if r.c.URL == "" {
		return func(*atomic.Int32) {}, func() {}
	}
	tx, err := r.db.BeginTx(r.ctx(), nil)
	r.must(err)
	_, err = tx.ExecContext(r.ctx(), `select ver from suppression_head for update`)
	r.must(err)
	waiting = func(under *atomic.Int32) {
		r.t.Helper()
		for blocked := int32(-1); blocked < under.Load(); {
			const text = `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
			r.must(r.db.QueryRowContext(r.ctx(), text).Scan(&blocked))
		}
	}
	return waiting, func() { r.must(tx.Rollback()) }
}

// returnsAreToOne: who comes back to one sender has said nothing to the others,
// those included that there are not yet.
func returnsAreToOne(t *testing.T, e *Env) {
	e.library(audience.Email)
	e.sender("exempelbanken")
	e.save(contact("all", "all@example.com"), contact("kind", "kind@example.com"))
	e.choose("all@example.com", "newsletter", suppression.StopEmail)
	e.choose("kind@example.com", "newsletter", suppression.StopKind)
	e.confirm("all@example.com", suppression.Any, false)
	e.confirm("kind@example.com", "newsletter", false)
	e.wantSenders("all@example.com", "offer", map[string]suppression.Cause{"exempelbolaget": "", "exempelbanken": suppression.Unsubscribed})
	e.wantSenders("kind@example.com", "newsletter", map[string]suppression.Cause{"exempelbolaget": "", "exempelbanken": suppression.Unsubscribed})
	e.wantSenders("kind@example.com", "offer", map[string]suppression.Cause{"exempelbolaget": "", "exempelbanken": ""})
	e.sender("exempeltryggt")
	e.wantSenders("all@example.com", "offer", map[string]suppression.Cause{"exempelbolaget": "", "exempelbanken": suppression.Unsubscribed, "exempeltryggt": suppression.Unsubscribed})
	if all := e.standing(e.email("all@example.com")); len(all) != 3 {
		t.Errorf("standing: %q", all)
	}
	e.confirmFor("exempelbanken", "all@example.com", suppression.Any)
	e.sender("exempeltryggt")
	e.sender("exempelbanken")
	e.wantSenders("all@example.com", "offer", map[string]suppression.Cause{"exempelbolaget": "", "exempelbanken": "", "exempeltryggt": suppression.Unsubscribed})
	e.wantSenders("kind@example.com", "newsletter", map[string]suppression.Cause{"exempeltryggt": suppression.Unsubscribed})
	// A customer who comes with the address later is bound by what is left.
	e.save(withPhone("again", "all@example.com", number(1)))
	own := e.Keyer.Key(audience.KindContact, "again")
	e.sender("exempelbutiken")
	for sender, want := range map[string]int{"exempelbolaget": 0, "exempelbanken": 0, "exempeltryggt": 1, "exempelbutiken": 1} {
		scope := marketing
		if scope.Sender = sender; len(e.blocked(scope, own)) != want {
			t.Errorf("%s: %v", sender, e.blocked(scope, own))
		}
	}
}

// sender saves the record of another sender.
func (e *Env) sender(name string) {
	e.t.Helper()
	s, err := e.SenderByName(e.ctx(), "exempelbolaget")
	e.must(err)
	s.Name = name
	e.must(e.SaveSender(e.ctx(), s))
}

func (e *Env) confirmFor(sender, address, topic string) {
	e.t.Helper()
	a := asking(address, topic)
	a.Sender = sender
	e.must(e.AskConfirmation(e.ctx(), a))
	due := e.sent()
	e.confirmed(suppression.Confirmed{ID: due.ID, Key: due.Key, Evidence: "test"})
}

// wantSenders looks at what stands against mail to an address, by sender.
func (e *Env) wantSenders(address, topic string, want map[string]suppression.Cause) {
	e.t.Helper()
	for sender, cause := range want {
		scope := suppression.Scope{Channel: audience.Email, Topic: topic, Sender: sender, Purpose: suppression.Marketing}
		if got := e.blocked(scope, e.email(address))[e.email(address)]; got != cause {
			e.t.Errorf("%s from %s: %q, want %q", topic, sender, got, cause)
		}
	}
}

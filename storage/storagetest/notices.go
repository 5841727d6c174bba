package storagetest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/tracking"
)

// notice is an event with an effect, as a provider of mail tells it.
func (e *Env) notice(t tracking.EventType, group int64, k audience.Key, cause suppression.Cause) suppression.Notice {
	return suppression.Notice{Event: e.told(t, group, k), Effect: suppression.Effect{Channel: audience.Email, Cause: cause, Evidence: "test: " + string(t)}}
}

func (e *Env) take(notices ...suppression.Notice) []suppression.InFlight {
	e.t.Helper()
	claims, err := e.TakeNotices(e.ctx(), notices)
	e.must(err)
	return claims
}

// lift takes back what a notice has brought.
func (e *Env) lift(n suppression.Notice) {
	e.t.Helper()
	w := n.Wish()
	w.Entry.Active = false
	e.must1(e.Record(e.ctx(), w))
}

func (e *Env) indexVersion() int64 {
	e.t.Helper()
	_, version, err := e.Matching(e.ctx(), marketing, nil)
	e.must(err)
	return version
}

// noticesSuppressOnce: 46 repeats are one, whoever takes them, in whichever batch,
// on whichever day; and what was lifted since stays lifted.
func noticesSuppressOnce(t *testing.T, e *Env) {
	b := e.started(20)[0]
	_, ks := e.claimOf(b, 3)
	n := e.notice(tracking.Bounced, b.Group, ks[0], suppression.Bounced)
	other := e.notice(tracking.Delivered, b.Group, ks[1], "")
	var wg sync.WaitGroup
	for i := range 46 {
		wg.Go(func() {
			batch := []suppression.Notice{n, other, n}[:1+i%3]
			if _, err := e.TakeNotices(e.ctx(), batch); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := e.blocked(marketing, ks...); len(got) != 1 || got[ks[0]] != suppression.Bounced {
		t.Fatalf("%v", got)
	}
	if v := e.indexVersion(); v != 1 {
		t.Errorf("the version is %d after one change", v)
	}
	if r := e.report(audience.Email); r.Bounced != 1 || r.Delivered != 1 {
		t.Errorf("%+v", r)
	}
	e.lift(n)
	for _, days := range []int{0, 1, 30} {
		again := n
		again.At = again.At.AddDate(0, 0, days) // some providers do not say when it was
		e.take(again)
		e.take(again, other)
	}
	if got := e.blocked(marketing, ks...); len(got) != 0 {
		t.Errorf("a repetition suppressed again: %v", got)
	}
	foreign := e.notice(tracking.Complained, 999_999, e.email("nobody@example.com"), suppression.Complained)
	e.take(foreign)
	if got := e.blocked(marketing, append(ks, foreign.Key)...); len(got) != 0 {
		t.Errorf("a notice of another database's group: %v", got)
	}
	lost := e.notice(tracking.Complained, 999_999, ks[2], suppression.Complained)
	e.take(lost)
	e.take(lost)
	if got := e.blocked(marketing, ks...); got[ks[2]] != suppression.Complained || len(got) != 1 {
		t.Errorf("a complaint about a message that a restore has forgotten: %v", got)
	}
	e.lift(lost)
	n.Dedupe = "another"
	e.take(n)
	if got := e.blocked(marketing, ks...); len(got) != 1 {
		t.Error("a new bounce does not suppress any more")
	}
	e.sound()
}

// noticesCover: a complaint is the person's word, a bounce is about the address.
func noticesCover(t *testing.T, e *Env) {
	e.save(contact("c3", "earlier@example.com"))
	b := e.started(20)[0] // her address is another one now
	k, earlier := e.email(address(3)), e.email("earlier@example.com")
	for _, c := range []struct {
		cause suppression.Cause
		keys  []audience.Key
	}{{suppression.Bounced, []audience.Key{k}}, {suppression.Complained, []audience.Key{k, earlier}}, {suppression.Unsubscribed, []audience.Key{k, earlier}}} {
		n := e.notice(tracking.EventType("test_"+string(c.cause)), b.Group, k, c.cause)
		e.take(n)
		want := map[audience.Key]suppression.Cause{}
		for _, key := range c.keys {
			want[key] = c.cause
		}
		if diff := cmp.Diff(want, e.blocked(marketing, k, earlier)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.cause, diff)
		}
		if sms := (suppression.Scope{Channel: audience.SMS, Purpose: suppression.Marketing}); len(e.blocked(sms, k, earlier)) != 0 {
			t.Errorf("%s by mail holds for SMS", c.cause)
		}
		e.lift(n)
	}
}

// noticesCount: so many messages in a row, over so long, and none delivered between
// them. What was tried ten times is one message.
func noticesCount(t *testing.T, e *Env) {
	batch := e.started(20)[0]
	groups := []int64{batch.Group}
	for _, name := range []string{"two", "three", "four", "five", "six"} {
		groups = append(groups, e.again(name))
	}
	_, ks := e.claimOf(batch, 4)
	soft := func(k audience.Key, message int) suppression.Notice {
		n := e.notice(tracking.Deferred, groups[message], k, suppression.Bounced)
		n.Effect.Counts = true
		n.Dedupe += e.Now.String()
		return n
	}
	for message := range 5 {
		for range 10 {
			e.Now = e.Now.Add(time.Minute)
			e.take(soft(ks[0], message), soft(ks[1], message), soft(ks[2], 0), soft(ks[3], message))
		}
		if message == 3 {
			e.take(e.notice(tracking.Delivered, groups[3], ks[1], ""))
		}
		if got := e.blocked(marketing, ks...); message < 4 && len(got) != 0 {
			t.Fatalf("after %d messages: %v", message+1, got)
		}
		if message == 0 {
			e.Now = e.Now.Add(suppression.CountAcross)
		}
	}
	want := map[audience.Key]suppression.Cause{ks[0]: suppression.Bounced, ks[3]: suppression.Bounced}
	if diff := cmp.Diff(want, e.blocked(marketing, ks...)); diff != "" {
		t.Errorf("after five messages (-want +got):\n%s", diff)
	}
	e.lift(soft(ks[0], 4))
	e.Now = e.Now.Add(time.Minute)
	e.take(soft(ks[0], 5))
	if got := e.blocked(marketing, ks[0]); len(got) != 0 {
		t.Error("it does not begin anew after it was lifted")
	}
}

// again launches a campaign with the same template, and returns a group of it.
func (e *Env) again(name string) int64 {
	e.t.Helper()
	_, err := e.CreateCampaign(e.ctx(), dispatcher.Campaign{Name: name, Sender: "exempelbolaget", Topic: "newsletter",
		Channels: []dispatcher.CampaignChannel{{Channel: audience.Email, Template: "host-email"}}})
	e.must(err)
	_, err = e.LaunchRun(e.ctx(), name, dispatcher.Launch{})
	e.must(err)
	_, err = e.StartDueRuns(e.ctx())
	e.must(err)
	e.plan()
	return e.batches(audience.Email)[0].Group
}

// noticesWait: the claims to wait for are told to whoever repeats a notice, too,
// whose first teller may have got no answer.
func noticesWait(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 5)
	e.must(e.Claim(e.ctx(), c))
	n := e.notice(tracking.Complained, b.Group, ks[0], suppression.Complained)
	want := []suppression.InFlight{{Batch: b.ID, Fence: b.Fence + 1}}
	for range 2 {
		got := e.take(n)
		slices.SortFunc(got, func(a, b suppression.InFlight) int { return int(a.Batch - b.Batch) })
		if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	e.lift(n)
	if got := e.take(n); len(got) != 0 {
		t.Errorf("%v is waited for by what has no effect", got)
	}
}

// noticesWhole: when what follows cannot be written, neither is the event.
func noticesWhole(t *testing.T, r *restored) {
	b := r.started(20)[0]
	_, ks := r.claimOf(b, 2)
	batch := []suppression.Notice{r.notice(tracking.Delivered, b.Group, ks[1], ""), r.notice(tracking.Bounced, b.Group, ks[0], suppression.Bounced)}
	r.exec(`alter table suppressions rename to elsewhere`)
	if _, err := r.TakeNotices(r.ctx(), batch); err == nil {
		t.Error("taken without what follows")
	}
	r.exec(`alter table elsewhere rename to suppressions`)
	if got := r.report(audience.Email); got.Bounced != 0 || got.Delivered != 0 {
		t.Errorf("a part of a batch was written: %+v", got)
	}
	r.take(batch...)
	if got := r.blocked(marketing, ks...); len(got) != 1 {
		t.Errorf("told again: %v", got)
	}
}

func (r *restored) exec(text string) {
	r.t.Helper()
	_, err := r.db.ExecContext(r.ctx(), text)
	r.must(err)
}

// lookUpsHaveEffects: whoever of webhook and look-up comes first has the effect,
// and the other has none.
func lookUpsHaveEffects(t *testing.T, e *Env) {
	e.doubted(e.texts(3))
	e.Now = e.Now.Add(time.Minute)
	_, doubts := e.look()
	sms := suppression.Scope{Channel: audience.SMS, Topic: "newsletter", Sender: "exempelbolaget", Purpose: suppression.Marketing}
	effect := suppression.Effect{Channel: audience.SMS, Cause: suppression.Invalid, Evidence: "twilio: 30005"}
	for k, d := range doubts {
		s := seen(d, "SM"+k.Short(), "undelivered")
		s.Type, s.Effect = tracking.Bounced, effect
		e.sighted(true, d, s)
		if got := e.blocked(sms, k); got[k] != suppression.Invalid {
			t.Errorf("%v", got)
		}
		n := suppression.Notice{Event: tracking.Event{Type: s.Type, At: e.Now, Group: d.Group, Key: k, Dedupe: s.Dedupe}, Effect: effect}
		e.lift(n)
		e.take(n)
		if got := e.blocked(sms, k); len(got) != 0 {
			t.Errorf("the webhook after the look-up suppressed again: %v", got)
		}
	}
	if len(doubts) != 3 {
		t.Errorf("%d were in doubt", len(doubts))
	}
	e.sound()
}

// noticeJournalled: a notice whose effect came into the database and not into the
// journal is not acknowledged, and its repetition brings it there.
func noticeJournalled(t *testing.T, r *restored) {
	b := r.started(5)[0]
	_, ks := r.claimOf(b, 1)
	n := r.notice(tracking.Complained, b.Group, ks[0], suppression.Complained)
	file := filepath.Join(r.c.DataDir, "journal.ndjson")
	aside := file + ".aside"
	r.must(os.Rename(file, aside))
	r.must(os.Mkdir(file, 0o700)) // where the file would be
	if _, err := r.TakeNotices(r.ctx(), []suppression.Notice{n}); err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("acknowledged without a journal: %v", err)
	}
	r.must(os.Remove(file))
	r.take(n)
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), ks[0].String()) {
		t.Errorf("the repetition is not in the journal: %v", err)
	}
}

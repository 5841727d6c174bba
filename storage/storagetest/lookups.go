package storagetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/tracking"
)

func number(i int) string { return fmt.Sprintf("+467017406%02d", i+5) }

// texts saves n contacts with a number each, and launches the campaign by SMS.
func (e *Env) texts(n int) dispatcher.Batch {
	e.t.Helper()
	for i := range n {
		c := contact(fmt.Sprintf("c%d", i), "")
		c.Phone = number(i)
		e.save(c)
	}
	e.library(audience.SMS)
	e.launch()
	e.plan()
	return e.batches(audience.SMS)[0]
}

// textsAgain launches one more campaign by SMS, and returns its batch.
func (e *Env) textsAgain(name string) dispatcher.Batch {
	e.t.Helper()
	_, err := e.CreateCampaign(e.ctx(), dispatcher.Campaign{Name: name, Sender: "exempelbolaget", Topic: "newsletter",
		Channels: []dispatcher.CampaignChannel{{Channel: audience.SMS, Template: "host-sms"}}})
	e.must(err)
	_, err = e.LaunchRun(e.ctx(), name, dispatcher.Launch{})
	e.must(err)
	_, err = e.StartDueRuns(e.ctx())
	e.must(err)
	e.plan()
	return e.batches(audience.SMS)[0]
}

// attempted claims a batch, and settles it with everybody as the code says; sent,
// they have their ids.
func (e *Env) attempted(b dispatcher.Batch, code dispatcher.Code, cause dispatcher.Cause, id string) []audience.Key {
	e.t.Helper()
	c, ks := e.claimOf(b, 100)
	e.must(e.Claim(e.ctx(), c))
	s := settlementOf(b, c, ks)
	var err error
	_, s.Version, err = e.Matching(e.ctx(), marketing, ks[:1])
	e.must(err)
	for _, k := range ks {
		if code != dispatcher.Sent {
			s.Exceptions = append(s.Exceptions, dispatcher.Exception{Key: k, Code: code, Cause: cause})
		}
		if id != "" {
			s.Messages = append(s.Messages, dispatcher.Message{Key: k, ProviderID: id + k.String()})
		}
	}
	_, err = e.Settle(e.ctx(), s)
	e.must(err)
	return ks
}

func (e *Env) doubted(b dispatcher.Batch) []audience.Key {
	e.t.Helper()
	return e.attempted(b, dispatcher.InDoubt, dispatcher.CauseNoAnswer, "")
}

// look takes what is to be asked for, by key.
func (e *Env) look() (dispatcher.Look, map[audience.Key]dispatcher.Doubt) {
	e.t.Helper()
	l, err := e.TakeLook(e.ctx(), audience.SMS)
	e.must(err)
	by := map[audience.Key]dispatcher.Doubt{}
	for _, d := range l.Doubts {
		by[d.Key] = d
	}
	return l, by
}

// seen is a message that the provider took a second after the claim.
func seen(d dispatcher.Doubt, id, status string) channels.Sighting {
	kind := map[string]tracking.EventType{"delivered": tracking.Delivered, "sent": tracking.Processed, "failed": tracking.Dropped}[status]
	return channels.Sighting{ID: id, Created: d.Claimed.Add(time.Second), Type: kind, At: d.Claimed.Add(2 * time.Second), Dedupe: "twilio-" + id + "-" + status}
}

func (e *Env) sighted(want bool, d dispatcher.Doubt, messages ...channels.Sighting) {
	e.t.Helper()
	resolved, err := e.Sighted(e.ctx(), d, messages)
	e.must(err)
	if resolved != want {
		e.t.Errorf("resolved: %v, want %v", resolved, want)
	}
}

// lookingUp: what the provider has taken is sent, with its id and its event; what
// it has not is asked for again, and changes nothing.
func lookingUp(t *testing.T, e *Env) {
	b := e.texts(5)
	ks := e.doubted(b)
	if l, _ := e.look(); l.Batch != 0 {
		t.Fatalf("at once: %+v", l)
	}
	e.Now = e.Now.Add(dispatcher.LookAfter(0))
	l, doubts := e.look()
	if l.Batch != b.ID || len(doubts) != 5 {
		t.Fatalf("%+v", l)
	}
	if other, _ := e.look(); other.Batch != 0 {
		t.Errorf("taken twice: %+v", other)
	}
	for i := range 5 {
		d := doubts[e.Keyer.Key(audience.KindPhone, number(i))]
		from, until := dispatcher.LookAt(d.Claimed)
		if q := d.Inquiry; q.Address() != number(i) || !q.From.Equal(from) || !q.Until.Equal(until) || !d.Claimed.Equal(e.Now.Add(-time.Minute)) {
			t.Errorf("%d: %v, claimed %s", i, q, d.Claimed)
		}
	}
	one, two, dropped := doubts[ks[0]], doubts[ks[1]], doubts[ks[2]]
	e.sighted(true, one, seen(one, "SM1", "delivered"))
	e.sighted(true, one, seen(one, "SM1", "delivered"))
	e.sighted(false, two)
	e.sighted(false, two, seen(two, "SM2", "sent"), seen(two, "SM3", "sent"))
	e.sighted(true, dropped, seen(dropped, "SM4", "failed"))
	e.append(tracking.Event{Type: tracking.Delivered, At: one.Claimed.Add(3 * time.Second), Group: b.Group, Key: one.Key, Dedupe: "twilio-SM1-delivered"})
	r := e.report(audience.SMS)
	if r.Sent != 1 || r.InDoubt != 3 || r.Resolved != 2 || r.Causes["failed"]["dropped"] != 1 || r.Delivered != 1 || r.Events["dropped"] != 1 {
		t.Errorf("%+v", r)
	}
	if id := e.idOf(one.Key); id != "SM1" {
		t.Errorf("its id is %q", id)
	}
	e.sound()
	e.must(e.EndLook(e.ctx(), l, []dispatcher.Doubt{two, doubts[ks[3]], doubts[ks[4]]}))
	e.Now = e.Now.Add(dispatcher.LookAfter(1) - time.Millisecond)
	if l, _ := e.look(); l.Batch != 0 {
		t.Errorf("too early: %+v", l)
	}
	e.Now = e.Now.Add(time.Millisecond)
	if l, doubts = e.look(); len(doubts) != 3 || l.Asked != 1 {
		t.Errorf("%+v", l)
	}
	e.must(e.EndLook(e.ctx(), l, nil))
	e.Now = e.Now.Add(time.Hour)
	if l, _ := e.look(); l.Batch != 0 {
		t.Errorf("nobody was left: %+v", l)
	}
}

// idOf returns the provider's id of the message of the first campaign to a number.
func (e *Env) idOf(k audience.Key) string {
	e.t.Helper()
	for i := range 95 {
		if e.Keyer.Key(audience.KindPhone, number(i)) == k {
			h, err := e.History(e.ctx(), fmt.Sprintf("c%d", i))
			e.must(err)
			return h[len(h)-1].ProviderID
		}
	}
	e.t.Fatal("no such number")
	return ""
}

// lookingPastOthers: a message that may be another run's proves nothing.
func lookingPastOthers(t *testing.T, engine Engine) {
	for _, c := range []struct {
		name string
		// other is what the other run has done, a moment before; taken is whether the
		// messages then prove the send.
		other func(e *Env, b dispatcher.Batch)
		ids   []string
		taken bool
		id    string
	}{
		{"sent, with its id", func(e *Env, b dispatcher.Batch) { e.attempted(b, dispatcher.Sent, "", "SM") }, []string{"SM*"}, false, ""},
		{"sent, with its id, and one more", func(e *Env, b dispatcher.Batch) { e.attempted(b, dispatcher.Sent, "", "SM") }, []string{"SM*", "SM2"}, true, "SM2"},
		{"sent, with its id, and not listed yet", func(e *Env, b dispatcher.Batch) { e.attempted(b, dispatcher.Sent, "", "SM") }, []string{"SM2"}, true, "SM2"},
		{"sent without an id", func(e *Env, b dispatcher.Batch) { e.attempted(b, dispatcher.Sent, "", "") }, []string{"SM1"}, false, ""},
		{"sent, with the id of a webhook", func(e *Env, b dispatcher.Batch) {
			k := e.attempted(b, dispatcher.Sent, "", "")[0]
			e.append(tracking.Event{Type: tracking.Processed, At: e.Now, Group: b.Group, Key: k, Dedupe: "twilio-SM1-sent"})
		}, []string{"SM1"}, false, ""},
		{"proved by a webhook, and one more", func(e *Env, b dispatcher.Batch) {
			k := e.doubted(b)[0]
			e.append(tracking.Event{Type: tracking.Processed, At: e.Now, Group: b.Group, Key: k, Dedupe: "twilio-SM1-sent"})
		}, []string{"SM1", "SM2"}, true, "SM2"},
		{"by late evidence", func(e *Env, b dispatcher.Batch) {
			k := e.doubted(b)[0]
			e.must(e.Evidence(e.ctx(), b.Group, []dispatcher.Message{{Key: k, ProviderID: "SM1"}}))
		}, []string{"SM1"}, false, ""},
		{"in doubt, too", func(e *Env, b dispatcher.Batch) { e.doubted(b) }, []string{"SM1"}, false, ""},
		{"in doubt, too, and both were taken", func(e *Env, b dispatcher.Batch) { e.doubted(b) }, []string{"SM1", "SM2"}, true, ""},
		{"written off", func(e *Env, b dispatcher.Batch) {
			e.doubted(b)
			_, _, err := e.WriteOff(e.ctx(), "other")
			e.must(err)
		}, []string{"SM1"}, false, ""},
		{"still with the provider", func(e *Env, b dispatcher.Batch) {
			c, _ := e.claimOf(b, 100)
			e.must(e.Claim(e.ctx(), c))
		}, []string{"SM1"}, false, ""},
		{"refused", func(e *Env, b dispatcher.Batch) { e.attempted(b, dispatcher.Failed, dispatcher.CauseRefused, "") }, []string{"SM1"}, true, "SM1"},
		{"not begun", func(*Env, dispatcher.Batch) {}, []string{"SM1"}, true, "SM1"},
		{"given back", func(e *Env, b dispatcher.Batch) {
			c, _ := e.claimOf(b, 100)
			e.must(e.Claim(e.ctx(), c))
			e.must(e.Release(e.ctx(), c, e.Now))
		}, []string{"SM1"}, true, "SM1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Open(t, engine)
			b := e.texts(1)
			c.other(e, e.textsAgain("other"))
			k := e.doubted(b)[0]
			e.Now = e.Now.Add(time.Minute)
			var d dispatcher.Doubt
			for d.Group != b.Group {
				l, doubts := e.look()
				if l.Batch == 0 {
					t.Fatal("nobody is to be asked for")
				}
				d = doubts[k]
			}
			var messages []channels.Sighting
			for _, id := range c.ids {
				if id == "SM*" {
					id = "SM" + k.String()
				}
				messages = append(messages, seen(d, id, "sent"))
			}
			e.sighted(c.taken, d, messages...)
			r := e.report(audience.SMS)
			if (r.Sent == 1) != c.taken || (r.InDoubt == 1) == c.taken {
				t.Errorf("%+v", r)
			}
			if id := e.idOf(k); id != c.id {
				t.Errorf("its id is %q, want %q", id, c.id)
			}
			e.sound()
		})
	}
}

// lookingForNobody: who cannot be asked for stays in doubt.
func lookingForNobody(t *testing.T, e *Env) {
	b := e.texts(3)
	e.doubted(b)
	moved := contact("c0", "")
	moved.Phone = number(50)
	e.save(moved)
	e.Now = e.Now.Add(time.Minute)
	l, doubts := e.look()
	if len(doubts) != 2 {
		t.Errorf("%d are asked for, whose number is still theirs", len(doubts))
	}
	until := e.Now.Add(time.Hour)
	e.must(e.PutOffLook(e.ctx(), l, until))
	e.Now = until.Add(-time.Millisecond)
	if l, _ := e.look(); l.Batch != 0 {
		t.Errorf("too early after an error: %+v", l)
	}
	e.Now = until
	if l, _ = e.look(); l.Asked != 0 || len(l.Doubts) != 2 {
		t.Errorf("an error counts as a round: %+v", l)
	}
	e.Now = e.Now.Add(dispatcher.LookUpFor)
	if l, _ = e.look(); l.Batch == 0 || len(l.Doubts) != 0 {
		t.Errorf("a worker died, and 72 hours later: %+v", l)
	}
	e.must(e.EndLook(e.ctx(), l, nil))
	e.Now = e.Now.Add(dispatcher.LookUpFor)
	if l, _ = e.look(); l.Batch != 0 {
		t.Errorf("doubt is final: %+v", l)
	}
	if r := e.report(audience.SMS); r.InDoubt != 3 || r.InDoubtFinal != 3 || r.Resolved != 0 {
		t.Errorf("%+v", r)
	}
}

// newDoubtMeanwhile: whoever comes to be in doubt during a round is not forgotten
// by its end.
func newDoubtMeanwhile(t *testing.T, e *Env) {
	b := e.texts(6)
	c, ks := e.claimOf(b, 3)
	e.must(e.Claim(e.ctx(), c))
	s := settlementOf(b, c, ks)
	for _, k := range ks {
		s.Exceptions = append(s.Exceptions, dispatcher.Exception{Key: k, Code: dispatcher.InDoubt, Cause: dispatcher.CauseServer})
	}
	_, err := e.Settle(e.ctx(), s)
	e.must(err)
	e.Now = e.Now.Add(time.Minute)
	l, _ := e.look()
	b.Fence, b.Last = b.Fence+1, ks[2]
	e.doubted(b)
	e.must(e.EndLook(e.ctx(), l, nil))
	e.Now = e.Now.Add(time.Minute)
	if l, _ = e.look(); len(l.Doubts) != 6 || l.Asked != 0 {
		t.Errorf("%+v", l)
	}
}

// lookingSideBySide: several workers never ask for the same batch.
func lookingSideBySide(t *testing.T, e *Env) {
	e.doubted(e.texts(3))
	for i := range 4 {
		e.doubted(e.textsAgain(fmt.Sprintf("other-%d", i)))
	}
	e.Now = e.Now.Add(time.Minute)
	var mu sync.Mutex
	var wg sync.WaitGroup
	times := map[int64]int{}
	for range 8 {
		wg.Go(func() {
			for {
				l, err := e.TakeLook(e.ctx(), audience.SMS)
				if err != nil {
					t.Error(err)
				}
				if err != nil || l.Batch == 0 {
					return
				}
				mu.Lock()
				times[l.Batch]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for batch, n := range times {
		if n != 1 {
			t.Errorf("batch %d was taken %d times", batch, n)
		}
	}
	if len(times) != 5 {
		t.Errorf("%d batches were taken, want 5", len(times))
	}
}

// lookUpsAfterARestore: a database that has forgotten sends asks for nobody until
// it is released, and then for nobody whose last claim it may have forgotten.
func lookUpsAfterARestore(t *testing.T, r *restored) {
	b := r.texts(3)
	r.doubted(b)
	other := r.textsAgain("other")
	r.Now = r.Now.Add(3 * time.Minute) // its claim is not of the same time, but the lost one may be
	c, _ := r.claimOf(other, 3)
	r.must(r.Claim(r.ctx(), c))
	r.isHeld(r.Store, "")
	goBack := r.backUp()
	r.Now = r.Now.Add(time.Second)
	r.isHeld(r.Store, "")
	r.must1(r.Record(r.ctx(), objection(r.email(address(1)))))
	goBack()
	r.isHeld(r.Store, "suppressions went back")
	r.Now = r.Now.Add(time.Minute)
	if l, _ := r.look(); l.Batch != 0 {
		t.Errorf("while sending is held: %+v", l)
	}
	r.release(r.Store)
	r.isHeld(r.Store, "")
	r.Now = r.Now.Add(time.Minute)
	for range 2 {
		l, doubts := r.look()
		if l.Batch == other.ID && len(doubts) != 0 {
			t.Errorf("%d are asked for whom the release has put in doubt", len(doubts))
		}
		for _, d := range doubts {
			r.sighted(false, d, seen(d, "SM1", "sent"))
		}
		if l.Batch == b.ID && len(doubts) != 3 {
			t.Errorf("%d are asked for, want 3", len(doubts))
		}
	}
}

package storagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

func (e *Env) takeMail(m suppression.Mail) (fresh bool, claims []suppression.InFlight) {
	e.t.Helper()
	fresh, claims, err := e.TakeMail(e.ctx(), m)
	e.must(err)
	return fresh, claims
}

// objected is a reply by mail that is clear.
func (e *Env) objected(id string, from audience.Key) suppression.Reply {
	return suppression.Reply{ID: id, At: e.Now, Channel: audience.Email, Key: from, To: []string{"Kundservice@exempelbolaget.test"}, Meaning: suppression.SaysStop}
}

// mailOnce: a message is taken once, by whomever and whenever, and what was lifted
// since stays lifted; a new one counts anew.
func mailOnce(t *testing.T, e *Env) {
	c := contact("c3", "earlier@example.com")
	e.save(c)
	b := e.started(20)[0]
	_, ks := e.claimOf(b, 20)
	earlier, now := e.email("earlier@example.com"), e.email(address(3))
	e.must(e.SaveSender(e.ctx(), templates.Sender{Name: "exempelbolaget", ReplyTo: "kundservice@exempelbolaget.test"}))
	mail := suppression.Mail{ID: "mail-1",
		Notices: []suppression.Notice{e.notice(tracking.Bounced, b.Group, ks[0], suppression.Bounced), e.notice(tracking.Deferred, b.Group, ks[1], "")},
		Wishes:  []suppression.Wish{suppression.Provider(ks[2], audience.Email, suppression.Invalid, "mail: delivery notice 5.1.2")},
		Replies: []suppression.Reply{e.objected("mail-1", now)}}
	news := 0
	var count sync.Mutex
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			fresh, _, err := e.TakeMail(e.ctx(), mail)
			count.Lock()
			defer count.Unlock()
			if err != nil {
				t.Error(err)
			}
			if fresh {
				news++
			}
		})
	}
	wg.Wait()
	if news != 1 {
		t.Errorf("it was new %d times", news)
	}
	own := e.Keyer.Key(audience.KindContact, "c3")
	want := map[audience.Key]suppression.Cause{ks[0]: suppression.Bounced, ks[2]: suppression.Invalid, earlier: suppression.Objected, now: suppression.Objected, own: suppression.Objected}
	if diff := cmp.Diff(want, e.blocked(marketing, ks[0], ks[1], ks[2], earlier, now, own)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r := e.report(audience.Email); r.Bounced != 1 || r.Events[string(tracking.Deferred)] != 1 {
		t.Errorf("%+v", r)
	}
	done, err := e.Inbound(e.ctx(), false, 0, 10)
	if err != nil || len(done) != 1 || done[0].Contact != "c3" || done[0].Sender != "exempelbolaget" || done[0].Address+done[0].Text != "" {
		t.Errorf("%+v, %v", done, err)
	}
	e.liftMail(mail)
	version := e.indexVersion()
	e.Now = e.Now.AddDate(0, 0, 40)
	for i := range mail.Notices {
		mail.Notices[i].At = e.Now // a notice without a date
	}
	if fresh, claims := e.takeMail(mail); fresh || len(claims) != 0 || e.indexVersion() != version || len(e.blocked(marketing, ks...)) != 0 {
		t.Errorf("it counted again: new %v, %v, version %d after %d", fresh, claims, e.indexVersion(), version)
	}
	if n := e.eventsOf(ks[1]); n != 1 {
		t.Errorf("she has %d events", n)
	}
	mail.ID, mail.Replies[0].ID = "mail-2", "mail-2"
	if fresh, _ := e.takeMail(mail); !fresh || e.blocked(marketing, now)[now] != suppression.Objected || e.blocked(marketing, ks[2])[ks[2]] != suppression.Invalid {
		t.Error("a new message does not count")
	}
	sms := suppression.Scope{Channel: audience.SMS, Purpose: suppression.Marketing}
	if len(e.blocked(sms, own, now)) != 0 {
		t.Error("an objection by mail holds for SMS")
	}
	if known, err := e.KnowsKey(e.ctx(), earlier); !known || err != nil {
		t.Errorf("an earlier address is not known: %v", err)
	}
	if known, err := e.KnowsKey(e.ctx(), e.email("nobody@example.com")); known || err != nil {
		t.Errorf("an address of nobody is known: %v", err)
	}
	e.sound()
}

// eventsOf counts the events of whom an address is.
func (e *Env) eventsOf(k audience.Key) int {
	e.t.Helper()
	for i := range 20 {
		if e.email(address(i)) != k {
			continue
		}
		messages, err := e.History(e.ctx(), fmt.Sprintf("c%d", i))
		e.must(err)
		n := 0
		for _, m := range messages {
			n += len(m.Events)
		}
		return n
	}
	e.t.Fatal("it is nobody's")
	return 0
}

// liftMail takes back all that a message has brought.
func (e *Env) liftMail(m suppression.Mail) {
	e.t.Helper()
	e.lift(m.Notices[0])
	for _, w := range []suppression.Wish{m.Wishes[0], m.Replies[0].Wish()} {
		w.Entry.Active = false
		e.must1(e.Record(e.ctx(), w))
	}
}

// mailWaits: as with notices, for each part that a message has.
func mailWaits(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 5)
	e.must(e.Claim(e.ctx(), c))
	for i, m := range []suppression.Mail{
		{ID: "1", Notices: []suppression.Notice{e.notice(tracking.Complained, b.Group, ks[0], suppression.Complained)}},
		{ID: "2", Wishes: []suppression.Wish{suppression.Provider(ks[1], audience.Email, suppression.Bounced, "mail")}},
		{ID: "3", Replies: []suppression.Reply{e.objected("3", ks[2])}},
		{ID: "4", Notices: []suppression.Notice{e.notice(tracking.Deferred, b.Group, ks[3], "")}},
	} {
		for range 2 {
			_, got := e.takeMail(m)
			if i < 3 && (len(got) == 0 || got[0].Batch != b.ID) || i == 3 && len(got) > 0 {
				t.Errorf("message %s waits for %v", m.ID, got)
			}
		}
	}
}

// mailWhole: when a part cannot be written, neither are the others, nor that it
// was taken.
func mailWhole(t *testing.T, r *restored) {
	b := r.started(20)[0]
	_, ks := r.claimOf(b, 2)
	m := suppression.Mail{ID: "1", Notices: []suppression.Notice{r.notice(tracking.Bounced, b.Group, ks[0], suppression.Bounced)},
		Replies: []suppression.Reply{r.objected("1", ks[1])}}
	r.exec(`alter table inbound rename to elsewhere`)
	if _, _, err := r.TakeMail(r.ctx(), m); err == nil {
		t.Error("taken without the reply")
	}
	r.exec(`alter table elsewhere rename to inbound`)
	if got := r.report(audience.Email); got.Bounced != 0 || len(r.blocked(marketing, ks...)) != 0 {
		t.Errorf("a part was written: %+v", got)
	}
	if fresh, _ := r.takeMail(m); !fresh || len(r.blocked(marketing, ks...)) != 2 {
		t.Error("it was not taken when it came again")
	}
}

// mailJournalled: what came into the database and not into the journal is not
// acknowledged, and its repetition brings all of it there.
func mailJournalled(t *testing.T, r *restored) {
	b := r.started(5)[0]
	_, ks := r.claimOf(b, 3)
	m := suppression.Mail{ID: "1", Notices: []suppression.Notice{r.notice(tracking.Complained, b.Group, ks[0], suppression.Complained)},
		Wishes:  []suppression.Wish{suppression.Provider(ks[1], audience.Email, suppression.Bounced, "mail")},
		Replies: []suppression.Reply{r.objected("1", ks[2])}}
	file := filepath.Join(r.c.DataDir, "journal.ndjson")
	r.must(os.Rename(file, file+".aside"))
	r.must(os.Mkdir(file, 0o700)) // where the file would be
	if _, _, err := r.TakeMail(r.ctx(), m); err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("acknowledged without a journal: %v", err)
	}
	r.must(os.Remove(file))
	if fresh, _ := r.takeMail(m); fresh {
		t.Error("it is taken for new")
	}
	text, err := os.ReadFile(file)
	for _, k := range ks {
		if err != nil || !strings.Contains(string(text), k.String()) {
			t.Errorf("the repetition is not in the journal: %v", err)
		}
	}
}

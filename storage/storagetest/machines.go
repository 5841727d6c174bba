package storagetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

// visited has events of the first chunk of a run that was claimed an hour ago.
type visited struct {
	*Env
	group int64
	keys  []audience.Key
	sent  time.Time
	n     int
}

func visit(e *Env) *visited {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 10)
	e.must(e.Claim(e.ctx(), c))
	_, err := e.Settle(e.ctx(), settlementOf(b, c, ks))
	e.must(err)
	v := &visited{Env: e, group: b.Group, keys: ks, sent: e.Now}
	e.Now = e.Now.Add(time.Hour)
	return v
}

// event is of a person, or of nobody when who is negative.
func (v *visited) event(t tracking.EventType, who int, after time.Duration, link int64, by tracking.Requester, m tracking.Machine) tracking.Event {
	v.n++
	e := tracking.Event{Type: t, At: v.sent.Add(after), Group: v.group, Link: link, Machine: m, Agent: tracking.Computer,
		Requester: by, Dedupe: fmt.Sprintf("e%d", v.n)}
	if who >= 0 {
		e.Key = v.keys[who]
	}
	return e
}

// marks returns the marks of a person's events, in the order of their time.
func (v *visited) marks(who int) (all []string) {
	v.t.Helper()
	for i := range 20 {
		if v.email(address(i)) != v.keys[who] {
			continue
		}
		history, err := v.History(v.ctx(), fmt.Sprintf("c%d", i))
		v.must(err)
		for _, e := range history[0].Events {
			if e.Agent != tracking.Computer {
				v.t.Errorf("%s by %q", e.Type, e.Agent)
			}
			all = append(all, string(e.Type)+" "+string(e.Machine))
		}
	}
	return all
}

func machinesAreTold(t *testing.T, e *Env) {
	v := visit(e)
	const open, click = tracking.Opens, tracking.Clicks
	// What comes together, and what comes one after the other, is judged alike.
	first := []tracking.Event{
		v.event(click, 0, time.Minute, 1, 7, ""),            // herself
		v.event(click, 1, time.Second, 1, 7, ""),            // too soon
		v.event(open, 2, time.Minute, 0, 7, ""),             // a burst, of which the rest follows
		v.event(click, 2, time.Minute+1, 1, 7, ""),          //
		v.event(open, 3, 2*time.Minute, 0, 7, ""),           // bait, which follows
		v.event(open, 3, 3*time.Minute, 0, 8, ""),           // her own
		v.event(click, 4, time.Minute, 1, 7, tracking.Head), // known
		v.event(open, 5, time.Minute, 0, 9, ""),             // herself
		v.event(open, 5, 0, 0, 7, tracking.ApplePrivacy),    // and Apple before her
		v.event(click, -1, time.Second, 1, 0, ""),           // nobody's is not judged
		v.event(click, -1, time.Minute, 1, 0, tracking.Scanner),
		v.event(open, 6, time.Minute, 0, 7, tracking.ImageProxy),
	}
	e.append(first...)
	e.append(first...)
	e.must(e.AppendEvent(e.ctx(), v.event(click, 2, time.Minute+time.Second, 2, 7, "")))
	e.must(e.AppendEvent(e.ctx(), v.event(click, 3, 50*time.Minute, 0, 7, tracking.Honeypot)))
	e.must(e.AppendEvent(e.ctx(), v.event(click, 3, 55*time.Minute, 1, 7, "")))
	want := map[int][]string{
		0: {"click "}, 1: {"click too_soon"}, 2: {"open burst", "click burst", "click burst"},
		3: {"open honeypot", "open ", "click honeypot", "click honeypot"}, 4: {"click head"}, 5: {"open apple_privacy", "open "}, 6: {"open image_proxy"},
	}
	for who, marks := range want {
		if diff := cmp.Diff(marks, v.marks(who)); diff != "" {
			t.Errorf("person %d: %s", who, diff)
		}
	}
	r := e.report(audience.Email)
	if r.Opened != 2 || r.OpenedByMachines != 2 || r.Clicked != 1+1 || r.ClickedByMachines != 4+1 {
		t.Errorf("opened %d and %d by machines, clicked %d and %d", r.Opened, r.OpenedByMachines, r.Clicked, r.ClickedByMachines)
	}
	if diff := cmp.Diff(map[string]map[string]int64{"open": {"burst": 1, "honeypot": 1, "apple_privacy": 1, "image_proxy": 1},
		"click": {"too_soon": 1, "burst": 1, "honeypot": 1, "head": 1, "scanner": 1}}, r.Machines); diff != "" {
		t.Error(diff)
	}
	if r.Events["open"] != 4 || r.Events["click"] != 7 {
		t.Errorf("%v", r.Events)
	}
}

// requestersAreForgotten: after some days nothing tells any more who made a
// request, and what was marked stays so.
func requestersAreForgotten(t *testing.T, e *Env) {
	v := visit(e)
	e.append(v.event(tracking.Clicks, 0, time.Minute, 1, 7, ""), v.event(tracking.Clicks, 0, time.Minute, 2, 7, ""))
	e.Now = v.sent.Add(tracking.RequesterFor)
	for _, want := range []int{0, 2, 0} {
		n, err := e.ForgetRequesters(e.ctx())
		e.must(err)
		if n != want {
			t.Errorf("%d were forgotten, want %d", n, want)
		}
		if want == 0 {
			e.Now = e.Now.Add(2 * time.Minute)
		}
	}
	e.append(v.event(tracking.Clicks, 0, time.Minute+time.Second, 3, 7, ""))
	if diff := cmp.Diff([]string{"click burst", "click burst", "click "}, v.marks(0)); diff != "" {
		t.Error(diff)
	}
}

// BenchEvents appends opens and clicks of many people, a thousand a transaction.
func BenchEvents(b *testing.B, engine Engine) {
	e := Open(b, engine)
	type member struct {
		group int64
		key   audience.Key
	}
	var members []member
	for _, batch := range e.started(20_000) {
		c, ks := e.claimOf(batch, 1000)
		e.must(e.Claim(e.ctx(), c))
		_, err := e.Settle(e.ctx(), settlementOf(batch, c, ks))
		e.must(err)
		for _, k := range ks {
			members = append(members, member{batch.Group, k})
		}
	}
	n := 0
	for b.Loop() {
		events := make([]tracking.Event, 1000)
		for i := range events {
			m := members[n%len(members)]
			n++
			events[i] = tracking.Event{Type: [2]tracking.EventType{tracking.Opens, tracking.Clicks}[n%2], At: e.Now.Add(time.Duration(n) * time.Millisecond), Group: m.group,
				Key: m.key, Link: int64(n % 2), Agent: tracking.Phone, Requester: tracking.Requester(n), Dedupe: fmt.Sprintf("c-%016x-%d", n, n)}
		}
		e.must(e.AppendEvents(e.ctx(), events))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// dropped: what comes after a withdrawal is not kept, whenever it was made, and
// nothing else is lost with it.
func dropped(t *testing.T, e *Env) {
	v := visit(e)
	const own, others = "exempelbolaget", "exempelbanken"
	id := map[audience.Key]string{}
	for i := range 20 {
		id[v.email(address(i))] = fmt.Sprintf("c%d", i)
	}
	refuse := func(who int, change func(*suppression.Entry)) {
		t.Helper()
		entry := suppression.Entry{Key: v.keys[who], Channel: "*", Topic: "*", Purpose: "open_tracking", Sender: "*", Cause: suppression.Withdrawn, Active: true}
		change(&entry)
		e.must1(e.Record(e.ctx(), suppression.Wish{Person: true, Entry: entry}))
	}
	consent := func(who int, name string, yes bool) {
		t.Helper()
		_, err := e.SaveContacts(e.ctx(), []audience.Row{{Contact: audience.Contact{ExternalID: id[v.keys[who]]}, Consents: map[string]bool{name: yes}}})
		e.must(err)
	}
	before := v.event(tracking.Clicks, 0, time.Minute, 1, 7, "")
	e.append(before)
	refuse(0, func(*suppression.Entry) {})
	refuse(1, func(x *suppression.Entry) { x.Sender = own })
	refuse(2, func(x *suppression.Entry) { x.Sender = others })
	refuse(3, func(x *suppression.Entry) { x.Channel = "sms" })
	refuse(4, func(x *suppression.Entry) { x.Purpose, x.Cause = "*", suppression.Objected })
	refuse(5, func(x *suppression.Entry) { x.Purpose, x.Cause = "*", suppression.Bounced })
	refuse(6, func(x *suppression.Entry) { x.Purpose, x.Cause = "marketing", suppression.Unsubscribed })
	consent(7, "open_tracking", false)
	consent(8, "open_tracking."+own, false)
	consent(9, "open_tracking."+others, false)
	for who := range 10 {
		e.append(v.event(tracking.Opens, who, 2*time.Minute, 0, 7, ""), v.event(tracking.Clicks, who, 3*time.Minute, 1, 7, tracking.Scanner),
			v.event(tracking.Delivered, who, 4*time.Minute, 0, 0, ""))
	}
	e.append(before)
	all := []string{"open ", "click scanner", "delivered "}
	// A wish about one channel ends the consent, which knows none.
	for who, want := range [][]string{{"click ", "delivered "}, {"delivered "}, all, {"delivered "}, {"delivered "}, all, all, {"delivered "}, {"delivered "}, all} {
		if diff := cmp.Diff(want, v.marks(who)); diff != "" {
			t.Errorf("person %d: %s", who, diff)
		}
	}
	e.append(v.event(tracking.Clicks, -1, 5*time.Minute, 1, 0, ""))
	if r := e.report(audience.Email); r.Opened != 4 || r.Clicked != 2 || r.ClickedByMachines != 4 || r.Delivered != 10 {
		t.Errorf("%+v", r)
	}
	// Of somebody who is restricted nothing more is kept, whoever counted it.
	refuse(6, func(x *suppression.Entry) { x.Purpose, x.Cause = "*", suppression.Restricted })
	for i, what := range append([]tracking.EventType{tracking.Foreign("sendgrid", "open")}, tracking.Behaviour...) {
		e.append(v.event(what, 6, time.Duration(6+i)*time.Minute, 0, 7, ""))
	}
	if diff := cmp.Diff(all, v.marks(6)); diff != "" {
		t.Errorf("restricted: %s", diff)
	}
	// Consented to again, it is kept again.
	refuse(0, func(x *suppression.Entry) { x.Active = false })
	consent(0, "open_tracking", true)
	e.append(v.event(tracking.Opens, 0, 6*time.Minute, 0, 7, ""))
	if got := v.marks(0); len(got) != 3 {
		t.Errorf("after a new consent: %q", got)
	}
}

package suppression

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
)

var chosen = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// TestChoices is the table of what each choice stands for.
func TestChoices(t *testing.T) {
	c := Chooser{Key: key(1), Group: 7, Topic: "newsletter", Sender: "exempelbolaget", Visit: "v", At: chosen}
	type said struct {
		Scope string
		Cause Cause
		Days  int
		Event bool // counts as an unsubscribe of the message
	}
	everything := []said{{"* * marketing", Objected, 0, true}, {"* * profiling", Objected, 0, false}, {"* * open_tracking", Withdrawn, 0, false},
		{"* * ad_list_sharing", Objected, 0, false}, {"* * ad_tracking", Withdrawn, 0, false}}
	want := map[Choice][]said{
		StopKind: {{"* newsletter marketing", Unsubscribed, 0, true}}, StopEmail: {{"email * marketing", Unsubscribed, 0, true}},
		StopSMS: {{"sms * marketing", Unsubscribed, 0, true}}, StopPush: {{"push * marketing", Unsubscribed, 0, true}},
		StopPost: {{"post * marketing", Unsubscribed, 0, true}}, StopPhone: {{"phone * marketing", Unsubscribed, 0, true}},
		StopSender:    {{"* * marketing of exempelbolaget", Unsubscribed, 0, true}},
		StopMarketing: {{"* * marketing", Unsubscribed, 0, true}}, StopEverything: everything,
		Pause30: {{"* * marketing", Paused, 30, false}}, Pause90: {{"* * marketing", Paused, 90, false}},
		NoProfiling: everything[1:2], NoAdSharing: everything[3:], NoOpenTracking: everything[2:3],
	}
	got := map[Choice][]said{}
	for _, choice := range Choices {
		for _, w := range c.Wishes([]Choice{choice}) {
			e := w.Entry
			if err := e.Validate(); err != nil || e.Key != c.Key || !e.Active || !w.Person || w.From != 7 || w.Visit != "v" || w.Mark != "v" {
				t.Errorf("%s: %+v, %v", choice, w, err)
			}
			scope := e.Channel + " " + e.Topic + " " + e.Purpose
			if e.Sender != Any {
				scope += " of " + e.Sender
			}
			days := 0
			if !e.ExpiresAt.IsZero() {
				days = int(e.ExpiresAt.Sub(chosen).Hours() / 24)
			}
			got[choice] = append(got[choice], said{scope, e.Cause, days, w.Group == 7})
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(c.Wishes([]Choice{StopEverything, NoProfiling, NoAdSharing, "nonsense", StopEverything})); n != 5 {
		t.Errorf("said twice, everything is %d wishes", n)
	}
	// The link itself and the choice of its channel are one entry.
	if link := Unsubscribe(key(1), audience.Email, 7).Entry; !link.SameAs(c.Wishes([]Choice{StopEmail})[0].Entry) {
		t.Errorf("the link makes another entry: %+v", link)
	}
}

func TestChoicesThatHoldAlready(t *testing.T) {
	c := Chooser{Key: key(1), Topic: "newsletter", Sender: "a", At: chosen}
	entry := func(change func(*Entry)) Entry {
		e := Unsubscribe(key(1), audience.Email, 0).Entry
		change(&e)
		return e
	}
	for name, x := range map[string]struct {
		there Entry
		want  []Choice
	}{
		"the link":            {entry(func(*Entry) {}), []Choice{StopEmail}},
		"lifted":              {entry(func(e *Entry) { e.Active = false }), nil},
		"ended":               {entry(func(e *Entry) { e.ExpiresAt = chosen }), nil},
		"with an end":         {entry(func(e *Entry) { e.ExpiresAt = chosen.AddDate(1, 0, 0) }), nil},
		"a bounce":            {entry(func(e *Entry) { e.Cause = Bounced }), nil},
		"of one sender":       {entry(func(e *Entry) { e.Sender = "a" }), nil},
		"of the sender":       {entry(func(e *Entry) { e.Channel, e.Sender = Any, "a" }), []Choice{StopSender}},
		"of another sender":   {entry(func(e *Entry) { e.Channel, e.Sender = Any, "b" }), nil},
		"of the kind":         {entry(func(e *Entry) { e.Channel, e.Topic = Any, "newsletter" }), []Choice{StopKind}},
		"of another kind":     {entry(func(e *Entry) { e.Channel, e.Topic = Any, "offer" }), nil},
		"a long pause":        {entry(func(e *Entry) { e.Channel, e.Cause, e.ExpiresAt = Any, Paused, chosen.AddDate(0, 0, 30) }), []Choice{Pause30}},
		"an objection to all": {entry(func(e *Entry) { e.Channel, e.Purpose, e.Cause = Any, Any, Objected }), Choices},
	} {
		var got []Choice
		for _, choice := range Choices {
			if c.Holds(choice, chosen, []Entry{x.there}) {
				got = append(got, choice)
			}
		}
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

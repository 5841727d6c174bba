package suppression

import (
	"context"
	"errors"
	"slices"
	"testing"

	"utskick/audience"
)

// TestConfirmationsHeedDeadAddressesAlone: her own word does not forbid what she
// has just asked for, and is no cover for a mailbox that is gone. For any other
// message it forbids as before.
func TestConfirmationsHeedDeadAddressesAlone(t *testing.T) {
	claimed := func(context.Context) error { return nil }
	for _, cause := range Causes {
		index := found{{Key: key(1), Cause: cause}, {Key: key(1), Cause: Objected}}
		gate := NewGate(index, func() Instant { return 0 })
		c := NewCandidate(key(1), key(1), true, "a@example.com")
		v, err := gate.AdmitConfirmation(t.Context(), Scope{Channel: audience.Email}, c, claimed)
		if err != nil {
			t.Fatal(err)
		}
		if dead := cause == Bounced || cause == Invalid; dead != (v.Rulings[0].Permit == nil) || dead && v.Rulings[0].Cause != cause {
			t.Errorf("%s: %+v", cause, v.Rulings[0])
		}
		if v, err = gate.Admit(t.Context(), Scope{Channel: audience.Email}, []Candidate{c}, claimed); err != nil || v.Rulings[0].Permit != nil {
			t.Errorf("%s: a message of a campaign has a permit: %v", cause, err)
		}
	}
	lost := errors.New("claimed by another")
	gate := NewGate(found{}, func() Instant { return 0 })
	if v, err := gate.AdmitConfirmation(t.Context(), Scope{}, NewCandidate(key(1), key(1), true, "a@example.com"), func(context.Context) error { return lost }); !errors.Is(err, lost) || len(v.Rulings) > 0 {
		t.Errorf("without a claim: %+v, %v", v, err)
	}
}

// found is an index that finds the same for everybody.
type found []Match

func (f found) Matching(context.Context, Scope, []audience.Key) ([]Match, int64, error) {
	return append([]Match(nil), f...), 1, nil
}

// TestWhatAConfirmationLifts is a table of one entry each, of which something may
// be left.
func TestWhatAConfirmationLifts(t *testing.T) {
	entry := func(channel, topic, purpose string, cause Cause) Entry {
		return Entry{Key: key(1), Channel: channel, Topic: topic, Purpose: purpose, Sender: Any, Cause: cause, Active: true}
	}
	newsletter := Confirmation{Sender: "exempelbolaget", Topic: "newsletter"}
	rest := []string{"email from exempelbanken", "email from +"}
	others := append([]string{"sms", "push", "post", "phone"}, rest...)
	for name, c := range map[string]struct {
		entry  Entry
		wider  bool
		lifted bool
		left   []string // channels, purposes and senders that it goes on to hold for
	}{
		"the topic":               {entry: entry("email", "newsletter", "marketing", Unsubscribed), lifted: true, left: rest},
		"of every channel":        {entry: entry(Any, "newsletter", "marketing", Unsubscribed), lifted: true, left: others},
		"another topic":           {entry: entry("email", "offer", "marketing", Unsubscribed)},
		"all, unasked":            {entry: entry("email", Any, "marketing", Unsubscribed)},
		"all":                     {entry: entry("email", Any, "marketing", Objected), wider: true, lifted: true, left: rest},
		"by SMS":                  {entry: entry("sms", "newsletter", "marketing", Stopped)},
		"profiling":               {entry: entry(Any, Any, "profiling", Objected), wider: true},
		"reported as spam":        {entry: entry("email", Any, "marketing", Complained), wider: true, lifted: true, left: rest},
		"erased":                  {entry: entry(Any, Any, Any, Erased), wider: true, lifted: true, left: append([]string{"sms", "push", "post", "phone", "*", "*", "*", "*"}, rest...)},
		"restricted":              {entry: entry(Any, Any, Any, Restricted), wider: true},
		"an address that is dead": {entry: entry("email", Any, "marketing", Bounced), wider: true},
		"a pause":                 {entry: entry("email", Any, "marketing", Paused), wider: true, lifted: true, left: rest},
		"of this sender alone":    {entry: Entry{Key: key(1), Channel: "email", Topic: "newsletter", Purpose: "marketing", Sender: "exempelbolaget", Cause: Objected, Active: true}, lifted: true},
		"of senders to come":      {entry: Entry{Key: key(1), Channel: "email", Topic: "newsletter", Purpose: "marketing", Sender: Later, Cause: Objected, Active: true}},
		"of another sender":       {entry: Entry{Key: key(1), Channel: "email", Topic: "newsletter", Purpose: "marketing", Sender: "exempelbanken", Cause: Objected, Active: true}},
		"lifted before":           {entry: Entry{Key: key(1), Channel: "email", Topic: "newsletter", Purpose: "marketing", Sender: Any, Cause: Objected}},
	} {
		changes := newsletter.Lifts([]Entry{c.entry}, c.wider, []string{"exempelbanken", "exempelbolaget"}, chosen)
		var left []string
		lifted := false
		for _, e := range changes {
			switch {
			case e.Active && e.Sender != Any:
				left = append(left, e.Channel+" from "+e.Sender)
			case e.Active:
				left = append(left, e.Channel)
			}
			lifted = lifted || !e.Active
		}
		if lifted != c.lifted || !slices.Equal(left, c.left) {
			t.Errorf("%s: lifted %v, left %q", name, lifted, left)
		}
	}
}

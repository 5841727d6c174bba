package suppression

import (
	"context"
	"errors"
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

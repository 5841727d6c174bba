//go:build failpoints

package failpoint

import (
	"errors"
	"testing"
	"time"
)

func TestTheClockIsShifted(t *testing.T) {
	var err error
	if actions, err = parse("clock=shift:-1h"); err != nil {
		t.Fatal(err)
	}
	if off := time.Until(Now()); off > -time.Hour || off < -61*time.Minute {
		t.Errorf("the clock is off by %s, want an hour back", off)
	}
}

func TestHitsAreCounted(t *testing.T) {
	for text, want := range map[string][]bool{
		"sent=error":    {true, true, true, true},
		"sent=error@2":  {false, true, false, false},
		"sent=error@3+": {false, false, true, true},
		"":              {false, false, false, false},
	} {
		var err error
		if actions, err = parse(text); err != nil {
			t.Fatal(err)
		}
		for i, fails := range want {
			if err := Err(Sent); errors.Is(err, ErrInjected) != fails {
				t.Errorf("%q, hit %d: %v", text, i+1, err)
			}
		}
	}
}

func TestMistakesAreFound(t *testing.T) {
	for _, text := range []string{"nowhere=kill", "sent", "sent=explode", "sent=kill@0", "sent=delay:long", "sent=shift:1h", "clock=kill", "clock=shift:soon"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

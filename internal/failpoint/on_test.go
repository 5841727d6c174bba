//go:build failpoints

package failpoint

import (
	"errors"
	"testing"
)

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
	for _, text := range []string{"nowhere=kill", "sent", "sent=explode", "sent=kill@0", "sent=delay:long"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

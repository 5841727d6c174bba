package storage

import (
	"strings"
	"testing"
)

func TestGrants(t *testing.T) {
	for _, c := range []struct {
		grants string
		want   bool
	}{
		{"", false},
		{"open_tracking * yes", true},
		{"open_tracking a yes", true},
		{"open_tracking b yes", false},
		{"marketing * yes", false},
		{"open_tracking * yes\nopen_tracking a no", false},
		{"open_tracking * no\nopen_tracking a yes", false},
		{"open_tracking * yes\nopen_tracking b no", true},
		{"marketing * no\nopen_tracking * yes", true},
		{"open_tracking * maybe", false},
		{"open_tracking yes", false},
	} {
		if _, got, _ := readGrants([]byte(c.grants), "a"); got != c.want {
			t.Errorf("%q: tracking %v", c.grants, got)
		}
		swapped := strings.NewReplacer("open_tracking", "marketing", "marketing", "open_tracking").Replace(c.grants)
		if got, _, _ := readGrants([]byte(swapped), "a"); got != c.want {
			t.Errorf("%q: marketing %v", swapped, got)
		}
	}
}

func TestRefusalsOfTracking(t *testing.T) {
	for grants, want := range map[string]bool{"": false, "open_tracking * yes": false, "open_tracking * no": true, "open_tracking a no": true,
		"open_tracking b no": false, "open_tracking * yes\nopen_tracking a no": true, "marketing * no": false} {
		if _, _, got := readGrants([]byte(grants), "a"); got != want {
			t.Errorf("%q: refused %v", grants, got)
		}
	}
}

package storage

import (
	"testing"

	"utskick/suppression"
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
		if got := allows([]byte(c.grants), suppression.OpenTracking, "a"); got != c.want {
			t.Errorf("%q: %v", c.grants, got)
		}
	}
}

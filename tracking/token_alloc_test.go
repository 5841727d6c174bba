//go:build !race

package tracking_test

import (
	"testing"

	"utskick/tracking"
)

// Not under the race detector, which lets a sync.Pool forget at random.
func TestAppendAllocatesNothing(t *testing.T) {
	s, dst := newSigner(t, secret), make([]byte, 0, 128)
	token := tracking.Token{Purpose: tracking.Click, Group: 12, Link: 34, Key: person}
	if n := testing.AllocsPerRun(1000, func() { dst = s.Append(dst[:0], token) }); n != 0 {
		t.Errorf("%v allocations a token", n)
	}
}

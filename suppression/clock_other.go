//go:build !linux

package suppression

import "time"

var started = time.Now()

// SystemClock takes the larger of the monotonic and the wall clock's progress,
// so that neither a suspend nor a wall clock set back lengthens a window.
func SystemClock() Instant {
	monotonic := time.Since(started)
	wall := time.Now().Round(0).Sub(started.Round(0))
	return Instant(max(monotonic, wall))
}

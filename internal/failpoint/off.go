//go:build !failpoints

package failpoint

import "time"

// Hit does nothing in this build.
func Hit(Name) {}

// Err returns nil in this build.
func Err(Name) error { return nil }

// Now is the wall clock.
func Now() time.Time { return time.Now() }

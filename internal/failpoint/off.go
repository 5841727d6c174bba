//go:build !failpoints

package failpoint

// Hit does nothing in this build.
func Hit(Name) {}

// Err returns nil in this build.
func Err(Name) error { return nil }

package audience

import "time"

// KnownKey is a key that a contact has or had.
type KnownKey struct {
	KindKey
	FirstSeen time.Time
	Current   bool // she has the address now; of a device, the app is still on it
}

// Found is a contact who has or had an address.
type Found struct {
	ID         int64
	ExternalID string
	FirstName  string
	LastName   string
	KnownKey   // of the address
}

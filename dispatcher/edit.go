package dispatcher

import (
	"errors"
	"time"
)

// Edit is what may change of a run that waits or is paused: what is said, and
// until when. Who is in its audience never changes.
type Edit struct {
	// Channels name the templates that are sent from now on, in their newest
	// versions; a channel that is not named keeps the version that it has.
	Channels []CampaignChannel
	Due      time.Time // zero: as it was; only of a run that has not begun
	SendBy   time.Time // zero: as it was
}

// ErrNoEdit says that an edit changes nothing.
var ErrNoEdit = errors.New("name a template, or a time")

// IsZero reports whether the edit changes nothing.
func (e Edit) IsZero() bool { return len(e.Channels) == 0 && e.Due.IsZero() && e.SendBy.IsZero() }

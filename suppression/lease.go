package suppression

import (
	"errors"
	"time"
)

// A process that takes wishes over HTTP is an instance. It holds a lease in the
// database, and nothing is claimed while the lease of any instance has lapsed:
// an instance that is cut off from the database may then acknowledge wishes
// that the database has not got. docs/adr has the reasons.
const (
	// LeaseLife is how long a lease lasts after its last renewal, by the
	// database's clock.
	LeaseLife = 5 * time.Second
	// RenewEvery is how often an instance renews its lease.
	RenewEvery = time.Second
	// LateAtMost is how long after it was sent a renewal may still take effect,
	// and how long its sender waits for the answer.
	LateAtMost = 2 * time.Second
	// ClockStep is how far the database's clock may be set back without being
	// noticed.
	ClockStep = 250 * time.Millisecond
	// AwayWait is how long after it last sent a renewal an instance may
	// acknowledge a wish that it alone has: the renewal may have taken effect
	// late, the lease it gave has lapsed, and so have the permits of a claim
	// made in its last moment. The grace in WaitAtMost covers [ClockStep] and
	// clocks that run at different speeds.
	AwayWait = LateAtMost + LeaseLife + WaitAtMost
)

// ErrNotRenewed says that a lease was not taken or renewed: it has lapsed, it was
// released, somebody else has joined by its name, or the request came too late.
var ErrNotRenewed = errors.New("the lease was not renewed")

// Holder is who asks for a lease.
type Holder struct {
	Name    string // stays the same from one life of the process to the next
	About   string // what it is and where, for people
	Session int64  // of this life; what an earlier one has sent renews nothing
}

// LeaseState says what became of a lease.
type LeaseState string

// The states of leases.
const (
	LeaseHeld   LeaseState = "held"   // renewed in time
	LeaseLapsed LeaseState = "lapsed" // not renewed in time: nothing is claimed
	LeaseLeft   LeaseState = "left"   // given up, or released by an operator: nobody waits for it
)

// Instance is an instance as the database knows it.
type Instance struct {
	Name    string     `json:"name"`
	About   string     `json:"about"`
	State   LeaseState `json:"state" enum:"held,lapsed,left" doc:"Nothing is sent while one is lapsed"`
	Joined  time.Time  `json:"joined_at"`
	Renewed time.Time  `json:"renewed_at" doc:"By the database's clock"`
}

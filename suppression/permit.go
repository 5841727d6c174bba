package suppression

import (
	"errors"
	"time"

	"utskick/audience"
)

// Window is how long a permit lives, counted from before its claim. It bounds
// how long an unsubscribe waits for the calls that were begun before it.
const Window = time.Second

// ErrExpired is returned by a permit whose window has passed: the send is not
// started, and the member goes through claim and check again.
var ErrExpired = errors.New("the send window has passed, nothing was sent")

// Permit allows one message to one destination, now. It is the only way to an
// address, only a [Gate] makes one, and it dies with its window.
type Permit struct {
	key     audience.Key
	address string
	window  *window
}

type window struct {
	clock    Clock
	deadline Instant
}

// Key returns the key of the destination.
func (p *Permit) Key() audience.Key { return p.key }

// Open returns the address, or [ErrExpired].
func (p *Permit) Open() (string, error) {
	if err := p.Gate(); err != nil {
		return "", err
	}
	return p.address, nil
}

// Gate returns nil while the window lasts, and [ErrExpired] afterwards.
// Channels ask it again at the first byte that would leave the process.
func (p *Permit) Gate() error {
	if p == nil || p.window == nil || p.window.clock() > p.window.deadline {
		return ErrExpired
	}
	return nil
}

// SharesWindow reports whether the two permits live and die together, so that
// asking one is asking both.
func (p *Permit) SharesWindow(other *Permit) bool {
	return p != nil && other != nil && p.window != nil && p.window == other.window
}

// Overdue reports whether the window passed so long ago that who objected
// meanwhile may have been told that it is done: see [WaitAtMost].
func (p *Permit) Overdue() bool { return p.Remaining() < Window-WaitAtMost }

// Remaining returns how long the permit still lives; zero or less is expired.
func (p *Permit) Remaining() time.Duration {
	if p == nil || p.window == nil {
		return 0
	}
	return time.Duration(p.window.deadline - p.window.clock())
}

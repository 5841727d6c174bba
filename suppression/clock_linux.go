package suppression

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// SystemClock is CLOCK_BOOTTIME (clock_gettime(2)): monotonic, suspend counted.
// It is at most 1.1 ms behind it. It is asked several times a recipient, so it
// seldom asks the kernel: see [bootClock].
func SystemClock() Instant { return system.now() }

var (
	started = time.Now()
	system  = bootClock{
		read: func() reading {
			t := time.Now()
			return reading{wall: time.Duration(t.UnixNano()), monotonic: t.Sub(started)}
		},
		boot: bootTime,
	}
)

// bootTime is a system call: Go asks the kernel's shared page (vdso(7)) for the
// wall and the monotonic clock alone.
func bootTime() Instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// Linux has had this clock since 2.6.39; without it no window can be kept.
		panic("the kernel offers no CLOCK_BOOTTIME: " + err.Error())
	}
	return Instant(ts.Nano())
}

// bootClock tells the boot time by the monotonic clock's progress since it last
// read the boot time itself. That holds as long as there was no suspend; one
// moves the wall clock against the monotonic clock, by as much as it moves the
// boot time, so it is seen at once. A wall clock that is set makes it read anew
// too, which does no harm.
//
// One thing hides a suspend: a wall clock set back by just the suspend's length,
// to the millisecond, before anybody has looked. Then the clock is wrong until
// its anchor is stale.
type bootClock struct {
	read   func() reading
	boot   func() Instant
	anchor atomic.Pointer[anchor]
}

// reading is one look at the two cheap clocks, each since a start of its own.
type reading struct{ wall, monotonic time.Duration }

// ahead is what a suspend adds to, and nothing else but a set wall clock.
func (r reading) ahead() time.Duration { return r.wall - r.monotonic }

// anchor is the boot time at a reading, and never later than it was then.
type anchor struct {
	reading
	boot Instant
}

const (
	// stale is the age at which an anchor is no longer trusted.
	stale = 10 * time.Millisecond
	// sameAhead is how much the two clocks may seem to move against each other:
	// they are read one after the other.
	sameAhead = time.Millisecond
	// quickly is how long making an anchor may take; it is behind by no more.
	quickly = 100 * time.Microsecond
)

func (c *bootClock) now() Instant {
	for r := c.read(); ; {
		old := c.anchor.Load()
		if old.holds(r) {
			return old.at(r)
		}
		boot, after := c.boot(), c.read()
		if after.monotonic-r.monotonic <= quickly {
			next := &anchor{reading: after, boot: boot}
			if old != nil { // who has been told a later instant is not told an earlier one
				next.boot = max(boot, old.at(after))
			}
			c.anchor.CompareAndSwap(old, next) // another that was first will do as well
		}
		r = after
	}
}

func (a *anchor) holds(r reading) bool {
	return a != nil && r.monotonic-a.monotonic < stale && (r.ahead()-a.ahead()).Abs() <= sameAhead
}

func (a *anchor) at(r reading) Instant { return a.boot.Add(r.monotonic - a.monotonic) }

package workers

import "time"

// lag is how long after they were let go a process begins messages. The claim and
// the check lie in between. A lag that stays as it is moves all messages by as much,
// and the limit holds for when they begin, too. One that shrinks presses them together: a
// database that stood still for 0.2 s would let 0.2 s' messages begin at once. So
//
//   - messages that are ready sooner than usual begin when it is usual;
//   - those that come much later have lost their place, and pay again;
//   - what is usual grows quickly, which only draws messages apart, and shrinks by a
//     hundredth of the time that passes.
type lag struct {
	usual   time.Duration
	learned time.Time
}

const (
	lagShrinks = 100
	// mostLag leaves half of the second that permits live to claim and to send in.
	mostLag = 400 * time.Millisecond
)

// of returns for how long messages wait that are ready so long after they were let
// go, and whether they are late by more than slack: then, once they have paid again.
func (k *lag) of(since, slack time.Duration, now time.Time) (wait time.Duration, late bool) {
	usual, passed := k.usual, max(0, now.Sub(k.learned))
	k.learned = now
	if since > usual {
		k.usual = min(since, usual+usual/8+time.Millisecond, mostLag)
	} else {
		k.usual = max(since, usual-passed/lagShrinks)
	}
	if since > usual+slack {
		// Its permits have no time for more.
		return min(k.usual, max(0, mostLag-since)), true
	}
	return max(0, k.usual-since), false
}

package main

import (
	"cmp"
	"slices"
	"time"
)

// rate is how many messages a vendor is to get, and where no more may be found:
// in any second, or for calls with many recipients in any ten.
type rate struct {
	vendor    string
	perSecond int
	window    time.Duration
}

// mostOver is how many times the limit a window may hold.
const mostOver = 1.1

// judgeRates judges that part of P6 which says that overload is not made: by the
// clock of the witness, no window holds much more than the limit lets out.
func (e evidence) judgeRates(v *verdict) {
	for _, l := range e.rates {
		most, at := l.fullest(e.calls)
		may := float64(l.perSecond) * l.window.Seconds()
		over := float64(most) / may
		v.note("%s: %d in the fullest %s, %.2f times the limit", l.vendor, most, l.window, over)
		if most == 0 {
			v.broken("P6", "%s: nothing was started, so that no rate was kept", l.vendor)
		}
		if over > mostOver {
			v.broken("P6", "%s: %d messages were started in the %s from %d on, %.2f times the limit", l.vendor, most, l.window, at, over)
		}
	}
}

// fullest returns how many messages of the vendor were started in the window that
// holds most, and when its first was.
func (l rate) fullest(calls []call) (most int, at int64) {
	var of []call
	for _, c := range calls {
		if c.Vendor == l.vendor {
			of = append(of, c)
		}
	}
	slices.SortFunc(of, func(a, b call) int { return cmp.Compare(a.Start, b.Start) })
	first, sum := 0, 0
	for _, c := range of {
		sum += size(c)
		for ; of[first].Start <= c.Start-int64(l.window); first++ {
			sum -= size(of[first])
		}
		if sum > most {
			most, at = sum, of[first].Start
		}
	}
	return most, at
}

// size is how many messages a call begins. Of one that broke off early nobody
// may be known.
func size(c call) int { return max(1, len(c.Messages)) }

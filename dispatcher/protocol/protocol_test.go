package protocol

import "testing"

// The windows are what they are in the program, 1 s and 2 s, in ticks of 1 s.
// The watch, 10 s there, is cut to what it may not fall short of: it is a least
// time, so every run of the program is one of the model, too.
const (
	window = 1
	wait   = 2
	watch  = 2
)

// models are the sizes that are explored to the end.
var models = []struct {
	name string
	model
}{
	{"one person", model{members: 1, chunk: 1}},
	{"two people, a claim for each, the first unsubscribes", model{members: 2, chunk: 1}},
	{"two people, a claim for each, the second unsubscribes", model{members: 2, chunk: 1, person: 1}},
	{"two people in one claim, a call for each", model{members: 2, chunk: 2, person: 1}},
	{"two people in one call", model{members: 2, chunk: 2, whole: true}},
}

func inTime(m model) model {
	m.window, m.wait, m.watch = window, wait, watch
	return m
}

func anything(s step) promise { return s.breaks }

func TestTheProtocolKeepsItsPromises(t *testing.T) {
	for _, c := range models {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := inTime(c.model)
			f := m.explore(anything)
			t.Log(f)
			if f.broken != kept {
				t.Fatalf("%s is broken", f.broken)
			}
			for o := sent; o <= skipped; o++ {
				if f.outcomes[o] == 0 {
					t.Errorf("nobody ever ends with code %d, as people do in the program", o)
				}
			}
		})
	}
}

func TestEveryShortcutIsCaught(t *testing.T) {
	one := model{members: 1, chunk: 1}
	inTurn := model{members: 2, chunk: 1}
	for _, c := range []struct {
		shortcut shortcut
		model    model
		breaks   []promise
	}{
		{checkFirst, one, []promise{p1}},
		{checkInside, one, []promise{p1}},
		{checkReplica, one, []promise{p1}},
		{acknowledgeFirst, one, []promise{p1}},
		{lookInside, one, []promise{p1}},
		{noWait, one, []promise{p1}},
		{shortWait, one, []promise{p1}},
		{noSweep, one, []promise{p3}},
		{withheldAgain, one, []promise{ends}},
		{noExpiry, one, []promise{p1}},
		{suspendedClock, one, []promise{p1}},
		{sweepAtOnce, one, []promise{p1, p3}}, // also what comparing two machines' clocks comes to when one is wrong
		{sweepToReady, one, []promise{p2}},
		{claimAnyFence, inTurn, []promise{p2}},
		{claimAnyRun, one, []promise{p6}},
		{recordAfter, one, []promise{p1, p2}},
		{releaseUnknown, one, []promise{p2}},
		{releaseByFence, one, []promise{p2}},
		{retryLost, one, []promise{p2}},
		{settleAnyFence, inTurn, []promise{p3}},
		{evidenceForgotten, one, []promise{p3}},
	} {
		for _, want := range c.breaks {
			t.Run(string(c.shortcut)+" breaks "+string(want)[:2], func(t *testing.T) {
				t.Parallel()
				m := inTime(c.model)
				m.shortcut = c.shortcut
				if c.shortcut == shortWait {
					m.window, m.wait, m.watch = 2, 1, 3
				}
				f := m.explore(func(s step) promise {
					if s.breaks == want {
						return want
					}
					return kept
				})
				t.Log(f)
				if f.broken != want {
					t.Fatalf("%s is not seen to be broken", want)
				}
			})
		}
	}
}

// A process that is frozen between the test of its permit and the write to the
// network may start a send too late. It is the one thing that may happen, and
// the send can be told by its permit's age.
func TestAWriteApartFromItsTestIsTheLimit(t *testing.T) {
	t.Parallel()
	m := inTime(model{members: 1, chunk: 1, apart: true})
	f := m.explore(anything)
	t.Log(f)
	if f.broken != p1 || f.trace[len(f.trace)-1].what != lateStart {
		t.Errorf("a late start should be the nearest breach")
	}
	f = m.explore(func(s step) promise {
		if s.breaks == p1 && s.what == lateStart {
			return kept
		}
		return s.breaks
	})
	t.Log(f)
	if f.broken != kept {
		t.Errorf("%s is broken by something else than a late start", f.broken)
	}
}

// What the short forms of states leave out makes no difference to any end.
func TestShortFormsHideNothing(t *testing.T) {
	t.Parallel()
	m := inTime(model{members: 1, chunk: 1})
	short := m.explore(anything)
	m.plain = true
	plain := m.explore(anything)
	t.Logf("short: %s\nplain: %s", short, plain)
	if plain.broken != kept || plain.ends != short.ends || plain.outcomes != short.outcomes {
		t.Errorf("the plain model ends otherwise: %v and %v", plain.outcomes, short.outcomes)
	}
}

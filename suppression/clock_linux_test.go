package suppression

import (
	"sync"
	"testing"
	"time"
)

// machine has clocks that a test sets.
type machine struct {
	monotonic, asleep, set time.Duration // set is what was added to the wall clock
	slow                   time.Duration // what the next reading of the boot time takes
	asked                  int           // how often the boot time was read
}

func (m *machine) read() reading {
	return reading{wall: 20000*time.Hour + m.monotonic + m.asleep + m.set, monotonic: m.monotonic}
}

func (m *machine) truth() Instant { return Instant(time.Hour + m.monotonic + m.asleep) }

func (m *machine) boot() Instant {
	m.asked++
	told := m.truth()
	m.monotonic += m.slow
	m.slow = 0
	return told
}

// TestBootClock: what a machine may do between two looks at the clock, and
// whether the boot time itself is read then.
func TestBootClock(t *testing.T) {
	const most = quickly + sameAhead // what the clock may be behind
	tests := map[string]struct {
		between machine // what has changed at the second look
		asked   int
	}{
		"nothing":                       {machine{}, 0},
		"a little time":                 {machine{monotonic: stale - 1}, 0},
		"the anchor's time":             {machine{monotonic: stale}, 1},
		"a long time":                   {machine{monotonic: time.Hour}, 1},
		"a suspend":                     {machine{asleep: time.Hour}, 1},
		"a short suspend":               {machine{monotonic: time.Millisecond, asleep: 2 * time.Millisecond}, 1},
		"a suspend not worth seeing":    {machine{asleep: sameAhead}, 0},
		"the wall clock set on":         {machine{set: time.Hour}, 1},
		"the wall clock set back":       {machine{set: -time.Hour}, 1},
		"both, and not by the same":     {machine{asleep: time.Hour, set: -time.Hour + 2*time.Millisecond}, 1},
		"both by the same, some time":   {machine{monotonic: stale, asleep: time.Hour, set: -time.Hour}, 1},
		"a slow kernel at a new anchor": {machine{monotonic: stale, slow: time.Second}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := new(machine)
			c := bootClock{read: m.read, boot: m.boot}
			if first := c.now(); first != m.truth() || m.asked != 1 {
				t.Fatalf("at first %d, want %d; read %d times", first, m.truth(), m.asked)
			}
			*m = tt.between
			if got, want := c.now(), m.truth(); got > want || got < want.Add(-most) {
				t.Errorf("%v behind the boot time", time.Duration(want-got))
			}
			if m.asked != tt.asked {
				t.Errorf("the boot time was read %d times, want %d", m.asked, tt.asked)
			}
		})
	}
}

// TestBootClockNeverGoesBack: somebody is held up between the wall and the
// monotonic clock, sees them apart and makes a new anchor, slowly. Meanwhile the
// old one still does for everybody else, and the new one would be behind it.
func TestBootClockNeverGoesBack(t *testing.T) {
	m := new(machine)
	c := bootClock{read: m.read, boot: m.boot}
	c.now()
	meanwhile := Instant(0)
	held := reading{wall: m.read().wall, monotonic: 2 * sameAhead}
	m.monotonic = held.monotonic
	looks := []reading{held}
	c.read = func() reading {
		if len(looks) == 0 {
			return m.read()
		}
		defer func() { looks = looks[1:] }()
		return looks[0]
	}
	c.boot = func() Instant {
		told := m.boot()
		m.monotonic += quickly
		meanwhile = c.now()
		return told
	}
	if own, next := c.now(), c.now(); meanwhile != m.truth() || own < meanwhile || next < meanwhile || m.asked != 2 {
		t.Errorf("meanwhile %d, then %d and %d; the boot time was read %d times", meanwhile, own, next, m.asked)
	}
}

// TestSystemClock: the kernel's own boot time lies around it, and whoever looks
// after somebody else is told no earlier instant.
func TestSystemClock(t *testing.T) {
	var mu sync.Mutex
	var latest Instant
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5000 {
				mu.Lock()
				before := latest
				mu.Unlock()
				from, now, to := bootTime(), SystemClock(), bootTime()
				if now < before || now < from.Add(-quickly-sameAhead) || now > to {
					t.Errorf("%d between %d and %d, after %d", now, from, to, before)
					return
				}
				mu.Lock()
				latest = max(latest, now)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func BenchmarkSystemClock(b *testing.B) {
	for b.Loop() {
		SystemClock()
	}
}

func BenchmarkBootTime(b *testing.B) {
	for b.Loop() {
		bootTime()
	}
}

package dispatcher

import (
	"testing"
	"time"

	"utskick/channels"
	"utskick/tracking"
)

var claimed = time.Date(2026, 11, 23, 12, 0, 0, 500_000_000, time.UTC)

// attempt is one that was claimed so many seconds after the one asked for.
func attempt(group int64, s Standing, seconds int, ids ...string) Attempt {
	return Attempt{Group: group, Claimed: claimed.Add(time.Duration(seconds) * time.Second), Standing: s, IDs: ids}
}

func sighted(id string, seconds int, types ...tracking.EventType) channels.Sighting {
	s := channels.Sighting{ID: id, Created: claimed.Add(time.Duration(seconds) * time.Second).Truncate(time.Second), Type: tracking.Processed}
	for _, t := range types {
		s.Type = t
	}
	return s
}

// TestRecognise: who is in doubt is found sent when there is no other way to
// account for the messages, and never otherwise.
func TestRecognise(t *testing.T) {
	own := attempt(1, Doubted, 0)
	messages := func(m ...channels.Sighting) []channels.Sighting { return m }
	for _, c := range []struct {
		name   string
		others []Attempt
		seen   []channels.Sighting
		taken  bool
		id     string
	}{
		{"nothing", nil, nil, false, ""},
		{"one", nil, messages(sighted("a", 1)), true, "a"},
		{"one that was dropped", nil, messages(sighted("a", 1, tracking.Dropped)), true, "a"},
		{"by a clock that is behind", nil, messages(sighted("a", -30)), true, "a"},
		{"by one too far behind", nil, messages(sighted("a", -32)), false, ""},
		{"after the longest time-out", nil, messages(sighted("a", 41)), true, "a"},
		{"much later", nil, messages(sighted("a", 42)), false, ""},
		{"two for one", nil, messages(sighted("a", 1), sighted("b", 2)), false, ""},
		{"one of two is another's", []Attempt{attempt(2, Known, 1, "a")}, messages(sighted("a", 1), sighted("b", 2)), true, "b"},
		{"the only one is another's", []Attempt{attempt(2, Known, 1, "a")}, messages(sighted("a", 1)), false, ""},
		{"the only one may be another's", []Attempt{attempt(2, Known, 1)}, messages(sighted("a", 1)), false, ""},
		{"one each, one of them without its id", []Attempt{attempt(2, Known, 1)}, messages(sighted("a", 1), sighted("b", 2)), true, ""},
		{"one for two in doubt", []Attempt{attempt(2, Doubted, 5)}, messages(sighted("a", 1)), false, ""},
		{"two for two in doubt", []Attempt{attempt(2, Doubted, 5)}, messages(sighted("b", 6), sighted("a", 1)), true, ""},
		{"two for two, but one was dropped", []Attempt{attempt(2, Doubted, 5)}, messages(sighted("a", 1), sighted("b", 6, tracking.Dropped)), false, ""},
		{"three for two", []Attempt{attempt(2, Doubted, 5)}, messages(sighted("a", 1), sighted("b", 6), sighted("c", 7)), false, ""},
		{"two, but both at the time of the first", []Attempt{attempt(2, Doubted, 60)}, messages(sighted("a", 1), sighted("b", 2)), false, ""},
		{"two, each at its time", []Attempt{attempt(2, Doubted, 60)}, messages(sighted("a", 1), sighted("b", 61)), true, ""},
		{"another in doubt, long before", []Attempt{attempt(2, Doubted, -72)}, messages(sighted("a", 1)), true, "a"},
		{"another in doubt, long after", []Attempt{attempt(2, Doubted, 72)}, messages(sighted("a", 1)), true, "a"},
		{"a chain of three", []Attempt{attempt(2, Doubted, 50), attempt(3, Doubted, 100)}, messages(sighted("a", 1), sighted("b", 51)), false, ""},
		{"a chain beyond what was asked for", []Attempt{attempt(2, Doubted, 60), attempt(3, Doubted, 120)}, messages(sighted("a", 1), sighted("b", 61), sighted("c", 121)), false, ""},
		{"one that is not settled", []Attempt{attempt(2, Unclear, 5)}, messages(sighted("a", 1)), false, ""},
		{"one that is not settled, and two messages", []Attempt{attempt(2, Unclear, 5)}, messages(sighted("a", 1), sighted("b", 6)), false, ""},
		{"one that may have been at any time", []Attempt{{Group: 2, Standing: Unclear}}, messages(sighted("a", 1)), false, ""},
	} {
		d := Doubt{Group: 1, Claimed: claimed}
		got, taken := Recognise(d, append([]Attempt{own}, c.others...), c.seen)
		if taken != c.taken || (taken && got.ID != c.id) {
			t.Errorf("%s: %q, %v, want %q, %v", c.name, got.ID, taken, c.id, c.taken)
		}
	}
}

// TestLookNext: doubt is final 72 hours after the last claim.
func TestLookNext(t *testing.T) {
	now := claimed
	for _, c := range []struct {
		name string
		ago  []time.Duration
		want time.Duration
	}{
		{"nobody is left", nil, 0},
		{"one is", []time.Duration{time.Hour}, 4 * time.Minute},
		{"of two the later one counts", []time.Duration{LookUpFor, time.Hour}, 4 * time.Minute},
		{"by then it is over", []time.Duration{LookUpFor - 4*time.Minute}, 0},
		{"the last time", []time.Duration{LookUpFor - 4*time.Minute - time.Second}, 4 * time.Minute},
	} {
		var left []Doubt
		for _, ago := range c.ago {
			left = append(left, Doubt{Claimed: now.Add(-ago)})
		}
		want := now.Add(c.want)
		if c.want == 0 {
			want = time.Time{}
		}
		if got := LookNext(left, 2, now); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
}

package dispatcher

import (
	"slices"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
	"utskick/tracking"
)

// LookUpFor is how long after its claim a message in doubt may be resolved by
// asking its provider. After that its doubt is final.
const LookUpFor = 72 * time.Hour

// LookAfter is how long to wait before the provider is asked again, when it has
// been asked so many times.
func LookAfter(times int) time.Duration {
	const first, longest = time.Minute, 6 * time.Hour
	if times > 12 {
		return longest
	}
	return min(first<<times, longest)
}

// Look is a round of inquiries about those in doubt of one batch.
type Look struct {
	Batch  int64
	Asked  int       // how many rounds there were before
	Until  time.Time // nobody else takes this one before; it also tells it from a later one
	Doubts []Doubt
}

// Doubt is a member in doubt whose provider can be asked.
type Doubt struct {
	Group   int64
	Key     audience.Key
	Claimed time.Time
	Inquiry channels.Inquiry
}

// LookNext returns when to ask again about those who are left: never, which is the
// zero time, when nobody is, or when by then the time for all of them is over.
func LookNext(left []Doubt, asked int, now time.Time) time.Time {
	next := now.Add(LookAfter(asked))
	for _, d := range left {
		if d.Claimed.Add(LookUpFor).After(next) {
			return next
		}
	}
	return time.Time{}
}

// span is when after a claim the provider takes its messages, at the earliest and
// at the latest: from the claim until the permits have died and the provider has
// had all its time to answer. Either way it is longer by what clocks differ, and
// by what a provider may need to write down what it has read.
const (
	slack   = 30 * time.Second
	longest = suppression.Window + channels.DefaultTimeout + slack
	whole   = slack + longest
)

// LookAt bounds what is asked for: what the provider took while it may have taken
// the message, and on either side once as long, in which others of ours may lie
// that could be taken for it.
func LookAt(claimed time.Time) (from, until time.Time) {
	return claimed.Add(-slack - whole), claimed.Add(longest + whole)
}

// Standing is what the ledger knows of an attempt at the number that is asked for.
type Standing int

// The standings.
const (
	Doubted Standing = iota
	Known            // taken
	Unclear          // it is not settled, or may have been taken all the same
)

// Attempt is a call of ours for the number that is asked for: of a group, as the
// ledger has it.
type Attempt struct {
	Group    int64
	Claimed  time.Time // zero: at any time
	Standing Standing
	IDs      []string // of its message, as far as the provider has told them
}

// Recognise looks for the message of a doubt among those that the provider has
// taken. It goes by number, sender and time, since a message has nothing else of
// ours: so it counts. Attempts whose times overlap stand together. If the provider
// has exactly as many messages that are nobody else's as they are, all of them
// were taken, and a message that has no rival has its id. Anything else says
// nothing: never that the message was not taken.
func Recognise(d Doubt, attempts []Attempt, seen []channels.Sighting) (message channels.Sighting, taken bool) {
	together := overlapping(d.Claimed, attempts)
	messages := slices.DeleteFunc(slices.Clone(seen), func(s channels.Sighting) bool {
		return !anybodys(s, together) || slices.ContainsFunc(attempts, func(a Attempt) bool { return slices.Contains(a.IDs, s.ID) })
	})
	if !pair(d, together, messages) {
		return message, false
	}
	if len(messages) == 1 {
		return messages[0], true
	}
	// Whose is whose is not known, so none of them may be one that was dropped.
	return message, !slices.ContainsFunc(messages, func(s channels.Sighting) bool { return s.Type == tracking.Dropped })
}

// overlapping returns the attempts whose messages cannot be told from one of this
// time, the earliest first: those that overlap with it, those that overlap with
// these, and so on. An attempt whose message is known is told from all others.
func overlapping(claimed time.Time, attempts []Attempt) (together []Attempt) {
	first, last := claimed, claimed
	for found := -1; found != len(together); {
		found = len(together)
		together = nil
		for _, a := range attempts {
			near := a.Claimed.IsZero() || (a.Claimed.After(first.Add(-whole)) && a.Claimed.Before(last.Add(whole)))
			if len(a.IDs) == 0 && near {
				together = append(together, a)
			}
		}
		for _, a := range together {
			if !a.Claimed.IsZero() && a.Claimed.Before(first) {
				first = a.Claimed
			}
			if a.Claimed.After(last) {
				last = a.Claimed
			}
		}
	}
	slices.SortStableFunc(together, func(a, b Attempt) int { return a.Claimed.Compare(b.Claimed) })
	return together
}

// anybodys reports whether a message may be one of the attempts'.
func anybodys(s channels.Sighting, attempts []Attempt) bool {
	return slices.ContainsFunc(attempts, func(a Attempt) bool { return fits(s, a) })
}

// pair reports whether messages and attempts are as many, and can be each other's.
// As all windows are equally long, the order in time pairs them if anything does.
func pair(d Doubt, together []Attempt, messages []channels.Sighting) bool {
	from, until := LookAt(d.Claimed)
	slices.SortFunc(messages, func(a, b channels.Sighting) int { return a.Created.Compare(b.Created) })
	if len(together) == 0 || len(together) != len(messages) {
		return false
	}
	for i, a := range together {
		outside := a.Claimed.Add(-slack).Before(from) || a.Claimed.Add(longest).After(until)
		if a.Standing == Unclear || outside || !fits(messages[i], a) {
			return false
		}
	}
	return true
}

// fits reports whether a message was taken when the attempt's would have been.
func fits(s channels.Sighting, a Attempt) bool {
	from := a.Claimed.Add(-slack).Truncate(time.Second) // providers tell seconds
	return !s.Created.Before(from) && !s.Created.After(a.Claimed.Add(longest))
}

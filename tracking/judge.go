package tracking

import "time"

const (
	// SoonAfter is how long after the claim of a message nobody has received it,
	// opened it and chosen a link yet.
	SoonAfter = 5 * time.Second
	// BurstWithin is how close together somebody who follows one link after the
	// other does not follow two.
	BurstWithin = 2 * time.Second
)

// Seen is an open or a click of a message, as it is judged among the others.
type Seen struct {
	Type      EventType
	At        time.Time
	Link      int64
	Machine   Machine
	Requester Requester
}

// Judge says of each of the opens and clicks of one message why it is a
// machine's, where the others tell; empty where they do not, and where it is
// marked already: a mark is never taken back. Claimed is when the message was
// claimed to be sent, zero if that is not known.
func Judge(message []Seen, claimed time.Time) []Machine {
	marks := make([]Machine, len(message))
	for i, s := range message {
		switch {
		case s.Machine != "":
		case s.Requester != 0 && alsoTookBait(message, s):
			marks[i] = Honeypot
		case s.Requester != 0 && inBurst(message, s):
			marks[i] = Burst
		case s.Type == Clicks && !claimed.IsZero() && s.At.Before(claimed.Add(SoonAfter)):
			marks[i] = TooSoon
		}
	}
	return marks
}

func alsoTookBait(message []Seen, s Seen) bool {
	for _, other := range message {
		if other.Requester == s.Requester && other.Machine == Honeypot && other.Link == 0 && other.Type == Clicks {
			return true
		}
	}
	return false
}

// inBurst reports whether the requester has followed two different links close
// to s; a picture that it fetched with them is the burst's too.
func inBurst(message []Seen, s Seen) bool {
	first := int64(0)
	for _, other := range message {
		apart := other.At.Sub(s.At).Abs()
		if other.Requester != s.Requester || other.Type != Clicks || other.Link == 0 || apart > BurstWithin {
			continue
		}
		if first != 0 && other.Link != first {
			return true
		}
		first = other.Link
	}
	return false
}

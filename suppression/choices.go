package suppression

import (
	"fmt"
	"time"

	"utskick/audience"
)

// Choice is one of the things that a person can choose on the pages of a
// message, each by itself and without a reason.
type Choice string

// The choices.
const (
	StopKind       Choice = "kind"  // this kind of message, by whatever way
	StopEmail      Choice = "email" // all marketing by e-mail, and so on
	StopSMS        Choice = "sms"
	StopPush       Choice = "push"
	StopPost       Choice = "post"
	StopPhone      Choice = "phone"
	StopSender     Choice = "sender"     // all marketing from the sender of the message, by whatever way
	StopMarketing  Choice = "marketing"  // all marketing, by whatever way
	StopEverything Choice = "everything" // that and all below
	Pause30        Choice = "pause30"    // all marketing for so many days
	Pause90        Choice = "pause90"
	NoProfiling    Choice = "profiling"
	NoAdSharing    Choice = "ads"
	NoOpenTracking Choice = "opens"
)

// Choices lists all choices, in the order in which they are offered.
var Choices = []Choice{StopKind, StopEmail, StopSMS, StopPush, StopPost, StopPhone, StopSender, StopMarketing, StopEverything, Pause30, Pause90,
	NoProfiling, NoAdSharing, NoOpenTracking}

// Chooser is who chooses: whoever has the key that a message was sent to.
type Chooser struct {
	Key   audience.Key
	Group int64  // of the message
	Topic string // of the message; empty while it is not known
	// Sender of the message, by name; empty while it is not known. Every choice but
	// StopSender covers all senders.
	Sender string
	Visit  string
	At     time.Time
}

// Wishes returns the wishes that choices stand for, each once. A choice that
// there is not stands for none.
func (c Chooser) Wishes(choices []Choice) []Wish {
	var wishes []Wish
	said := map[Entry]bool{}
	for _, choice := range choices {
		for _, e := range c.entries(choice) {
			if said[e] {
				continue
			}
			said[e] = true
			w := Wish{Entry: e, Person: true, From: c.Group, At: c.At, Mark: c.Visit, Visit: c.Visit}
			// What ends messages is an unsubscribe of this message. A pause is not.
			if e.Purpose == string(Marketing) && e.Cause != Paused {
				w.Group = c.Group
			}
			wishes = append(wishes, w)
		}
	}
	return wishes
}

// entries: what ends messages on a channel has the cause that the link itself
// has, so that either way it is one entry. An objection to a use of personal data
// is objected (GDPR 21(2)), a consent that is taken back is withdrawn (7(3)).
func (c Chooser) entries(choice Choice) []Entry {
	switch choice {
	case StopKind:
		e := c.entry(Marketing, Unsubscribed)
		e.Topic = c.Topic
		return []Entry{e}
	case StopEmail, StopSMS, StopPush, StopPost, StopPhone:
		e := c.entry(Marketing, Unsubscribed)
		e.Channel = string(choice)
		return []Entry{e}
	case StopSender:
		e := c.entry(Marketing, Unsubscribed)
		e.Sender = c.Sender
		return []Entry{e}
	case StopMarketing:
		return []Entry{c.entry(Marketing, Unsubscribed)}
	case StopEverything:
		return append([]Entry{c.entry(Marketing, Objected), c.entry(Profiling, Objected), c.entry(OpenTracking, Withdrawn)}, c.entries(NoAdSharing)...)
	case Pause30, Pause90:
		e := c.entry(Marketing, Paused)
		e.ExpiresAt = c.At.AddDate(0, 0, map[Choice]int{Pause30: 30, Pause90: 90}[choice])
		return []Entry{e}
	case NoProfiling:
		return []Entry{c.entry(Profiling, Objected)}
	case NoAdSharing:
		return []Entry{c.entry(AdListSharing, Objected), c.entry(AdTracking, Withdrawn)}
	case NoOpenTracking:
		return []Entry{c.entry(OpenTracking, Withdrawn)}
	}
	return nil
}

func (c Chooser) entry(p Purpose, cause Cause) Entry {
	return Entry{Key: c.Key, Channel: Any, Topic: Any, Purpose: string(p), Sender: Any, Cause: cause, Active: true, Source: "link",
		Evidence: fmt.Sprintf("pages of a message of group %d", c.Group)}
}

// Holds says whether a choice holds already by entries that are in force: a
// person's own words, which cover all that it would. A bounce is none of them.
func (c Chooser) Holds(choice Choice, now time.Time, entries []Entry) bool {
	wanted := c.entries(choice)
	for _, e := range wanted {
		covered := false
		for _, there := range entries {
			covered = covered || there.InForce(now) && there.covers(e)
		}
		if !covered {
			return false
		}
	}
	return len(wanted) > 0
}

// InForce says whether an entry blocks anything now.
func (e Entry) InForce(now time.Time) bool {
	return e.Active && (e.ExpiresAt.IsZero() || e.ExpiresAt.After(now))
}

// covers says whether a person's word makes another one needless. One with an
// end covers what ends no later.
func (e Entry) covers(other Entry) bool {
	wide := func(part, of string) bool { return part == Any || part == of }
	lasts := e.ExpiresAt.IsZero() || !other.ExpiresAt.IsZero() && !e.ExpiresAt.Before(other.ExpiresAt)
	return e.Cause.OwnWord() && lasts && wide(e.Channel, other.Channel) && wide(e.Topic, other.Topic) &&
		wide(e.Purpose, other.Purpose) && wide(e.Sender, other.Sender)
}

// SameAs says whether two entries are one in the index, whatever their keys.
func (e Entry) SameAs(other Entry) bool {
	return e.Channel == other.Channel && e.Topic == other.Topic && e.Purpose == other.Purpose && e.Sender == other.Sender && e.Cause == other.Cause
}

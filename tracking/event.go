package tracking

import (
	"time"

	"utskick/audience"
)

// EventType says what happened to a message.
type EventType string

// The types of events. Those that a provider knows and this list does not are
// kept under the provider's name and its own word for them, as [Foreign] says.
const (
	Opens        EventType = "open"
	Clicks       EventType = "click"
	Unsubscribes EventType = "unsubscribe"

	// What providers tell afterwards.
	Processed  EventType = "processed"  // taken, on its way
	Deferred   EventType = "deferred"   // the recipient's server wants it later
	Delivered  EventType = "delivered"  // the recipient's server has it, or the handset
	Bounced    EventType = "bounced"    // the recipient's server, or the network, refused it for good
	Dropped    EventType = "dropped"    // the provider itself will not send it
	Complained EventType = "complained" // reported as spam
)

// Behaviour lists the events that say what somebody did with a message, those
// that a provider counted by itself among them: they need her consent.
var Behaviour = []EventType{Opens, Clicks, "sendgrid_open", "sendgrid_machine_open", "sendgrid_click"}

// maxWord is how long a provider's word for an event may be.
const maxWord = 40

// Foreign is the type of an event that this package has no word for. Letters
// that no such word has are left out.
func Foreign(provider, word string) EventType {
	kept := make([]byte, 0, maxWord)
	for _, c := range []byte(word) {
		if (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_') && len(kept) < maxWord {
			kept = append(kept, c)
		}
	}
	return EventType(provider + "_" + string(kept))
}

// ProvesSent reports whether only a message that its provider has taken can have
// such an event. An unsubscribe would, too, but is left out: it is written with the
// suppressions locked, and must wait for nothing else.
func (t EventType) ProvesSent() bool {
	switch t {
	case Opens, Clicks, Processed, Deferred, Delivered, Bounced, Complained:
		return true
	}
	return false
}

// Event is one thing that happened to one message. It is counted once: two
// events with the same Dedupe on the same day are one.
type Event struct {
	Type   EventType    `json:"type"`
	At     time.Time    `json:"at"`
	Group  int64        `json:"group"`
	Key    audience.Key `json:"-"` // zero: counted without a person
	Link   int64        `json:"link,omitempty"`
	Target string       `json:"target,omitempty"` // of the link, when read back
	Dedupe string       `json:"-"`

	// Of opens and clicks: whether a machine made them, and by what they came.
	Machine   Machine   `json:"machine,omitempty" doc:"Why it is taken for a machine's; absent: for a person's"`
	Agent     Agent     `json:"agent,omitempty" doc:"phone, tablet, computer, mail_service, program or unknown"`
	Requester Requester `json:"-"`
}

// Link is a stored target of links in messages. It never changes.
type Link struct {
	ID     int64
	Target string
}

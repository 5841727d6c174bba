package tracking

import (
	"time"

	"utskick/audience"
)

// EventType says what happened to a message.
type EventType string

// The types of events.
const (
	Opens        EventType = "open"
	Clicks       EventType = "click"
	Unsubscribes EventType = "unsubscribe"
)

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
}

// Link is a stored target of links in messages. It never changes.
type Link struct {
	ID     int64
	Target string
}

// Package suppression answers one question: may this person be contacted now,
// here, for this purpose? It holds the wishes (entries), the permissions
// (consent grants), the gate that asks them after the claim, and the permits
// that only the gate can make.
package suppression

import (
	"fmt"
	"time"

	"utskick/audience"
)

// Any matches every channel, topic, purpose or sender.
const Any = "*"

// Cause says why somebody may not be contacted. Entries of different causes
// stand beside each other: lifting one names its cause.
type Cause string

// The causes, the weightiest first. NoBasis is not an entry: it is the gate's
// own ruling over a contact without a legal ground.
const (
	Erased       Cause = "erased"       // was erased, and is not to be contacted when a file brings her again (GDPR 17(1)(c), 21(3))
	Objected     Cause = "objected"     // told us in any form (GDPR 21(2)-(3))
	Unsubscribed Cause = "unsubscribed" // used the link in a message
	Stopped      Cause = "stopped"      // answered STOP to an SMS
	Complained   Cause = "complained"   // reported as spam
	Withdrawn    Cause = "withdrawn"    // took a consent back (GDPR 7(3))
	Restricted   Cause = "restricted"   // asked that her data be left alone (GDPR 18)
	Bounced      Cause = "bounced"      // the mailbox does not exist, or messages in a row came back
	Invalid      Cause = "invalid"      // the provider says the address can never work
	Unregistered Cause = "unregistered" // the app is gone from the device
	PushOff      Cause = "push_off"     // notifications are switched off on the phone
	Paused       Cause = "paused"       // wants a rest until a day
	NoBasis      Cause = "no_basis"     // neither consent nor soft opt-in on record
)

// Causes lists all that an entry may have, the weightiest first. When several
// entries match a person, the weightiest is the cause that is reported.
var Causes = []Cause{Erased, Objected, Unsubscribed, Stopped, Complained, Withdrawn, Restricted, Bounced, Invalid, Unregistered, PushOff, Paused}

// rank orders causes by weight, 0 the weightiest.
func rank(c Cause) int {
	for i, known := range Causes {
		if c == known {
			return i
		}
	}
	return len(Causes)
}

// Purpose is what a person's data would be used for.
type Purpose string

// The purposes. OpenTracking and AdTracking are opt-in: unknown is no.
const (
	Marketing     Purpose = "marketing"
	Profiling     Purpose = "profiling"
	OpenTracking  Purpose = "open_tracking"
	AdTracking    Purpose = "ad_tracking"
	AdListSharing Purpose = "ad_list_sharing"
)

// Purposes lists all purposes.
var Purposes = []Purpose{Marketing, Profiling, OpenTracking, AdTracking, AdListSharing}

// Entry blocks whoever has Key, within its scope. It holds no address, so it
// outlives erasure and binds every import.
type Entry struct {
	Key      audience.Key `json:"key"`
	Channel  string       `json:"channel"` // an audience.Channel or Any
	Topic    string       `json:"topic"`
	Purpose  string       `json:"purpose"`
	Sender   string       `json:"sender"`
	Cause    Cause        `json:"cause"`
	Active   bool         `json:"active"`
	Source   string       `json:"source"`   // link, import, operator, service, provider, sms, email, app
	Evidence string       `json:"evidence"` // how we know; no address in it
	// Notice is the version of the privacy notice that was in force when it was
	// said. The store fills it in.
	Notice    string    `json:"notice,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version"` // gap-free, in commit order
}

// Validate reports the first field that no entry may have.
func (e Entry) Validate() error {
	if e.Key.IsZero() {
		return fmt.Errorf("key: an entry needs a key")
	}
	if e.Channel != Any && audience.Channel(e.Channel).Kind() == "" {
		return fmt.Errorf("channel: %q is not one of email, sms, push, post, phone or *", e.Channel)
	}
	if rank(e.Cause) == len(Causes) {
		return fmt.Errorf("cause: %q is not one of %v", e.Cause, Causes)
	}
	if e.Purpose != Any && !validPurpose(Purpose(e.Purpose)) {
		return fmt.Errorf("purpose: %q is not one of %v or *", e.Purpose, Purposes)
	}
	if e.Topic == "" || e.Sender == "" {
		return fmt.Errorf("topic and sender: name one, or * for any")
	}
	return nil
}

func validPurpose(p Purpose) bool {
	for _, known := range Purposes {
		if p == known {
			return true
		}
	}
	return false
}

// Grant is a consent that was given or refused, for one purpose towards one
// sender.
type Grant struct {
	Contact  audience.Key // of kind contact
	Purpose  Purpose
	Sender   string
	Granted  bool
	At       time.Time
	Source   string
	Evidence string
	Notice   string // version of the privacy notice it was given under
}

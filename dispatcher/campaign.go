// Package dispatcher drives runs of campaigns to settled deliveries: it plans
// who is in a run, takes batches through the protocol that keeps the promises
// (read, claim, check, send, settle), sweeps up after lost workers, and owns
// the rules of the ledger. docs/flow.md tells the whole way of a mailing on one
// page.
package dispatcher

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"utskick/audience"
)

// Campaign is what marketing wants to say, to whom, and from whom. It becomes
// messages when it is launched, which makes a [Run].
type Campaign struct {
	ID       int64             `json:"id"`
	Name     string            `json:"name" doc:"Unique name"`
	Sender   string            `json:"sender" doc:"Name of the sender record"`
	Topic    string            `json:"topic" doc:"What the message is about, such as newsletter or offer; people can object to a topic"`
	Family   string            `json:"family,omitempty" doc:"Product family that it is about: soft opt-in for another one is no ground for it"`
	Targeted bool              `json:"targeted,omitempty" doc:"What it says, or to whom, is chosen by what is known of people: whoever objects to profiling is left out"`
	Channels []CampaignChannel `json:"channels"`
	Created  time.Time         `json:"created_at"`
}

// CampaignChannel names the template that a campaign uses on a channel. The
// version is the newest at launch.
type CampaignChannel struct {
	Channel  audience.Channel `json:"channel" enum:"email,sms,push"`
	Template string           `json:"template"`
}

// topicPattern keeps topics fit for a List-Id (RFC 2919) and for a web address.
var topicPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Validate reports the first field that no campaign may have.
func (c Campaign) Validate() error {
	if c.Name == "" || len(c.Name) > 200 {
		return fmt.Errorf("name: a campaign needs a name of at most 200 characters")
	}
	if c.Sender == "" {
		return fmt.Errorf("sender: name a saved sender")
	}
	if !topicPattern.MatchString(c.Topic) {
		return fmt.Errorf("topic: %q needs lower-case letters, digits and hyphens, at most 40", c.Topic)
	}
	if c.Family != "" {
		if err := audience.CheckFamily(c.Family); err != nil {
			return fmt.Errorf("family: %q %w", c.Family, err)
		}
	}
	if len(c.Channels) == 0 {
		return fmt.Errorf("channels: name at least one channel and its template")
	}
	seen := map[audience.Channel]bool{}
	for _, ch := range c.Channels {
		if !slices.Contains(audience.Channels, ch.Channel) {
			return fmt.Errorf("channels: %q is not one of %v", ch.Channel, audience.Channels)
		}
		if seen[ch.Channel] {
			return fmt.Errorf("channels: %s is named twice", ch.Channel)
		}
		if ch.Template == "" {
			return fmt.Errorf("channels: %s needs a template", ch.Channel)
		}
		seen[ch.Channel] = true
	}
	return nil
}

// RunState is where a run stands.
type RunState string

// The states of a run; docs/states.md draws the ways between them.
const (
	Scheduled  RunState = "scheduled"  // waits for its due instant
	Sending    RunState = "sending"    // is planned and sent
	Paused     RunState = "paused"     // nothing is claimed; a reason says why
	Cancelling RunState = "cancelling" // the rest is being closed
	Cancelled  RunState = "cancelled"
	Finished   RunState = "finished"
)

// Ended reports whether nothing will happen to the run any more.
func (s RunState) Ended() bool { return s == Cancelled || s == Finished }

// Run is one execution of a campaign: the unit within which nobody is sent to
// twice.
type Run struct {
	ID       int64        `json:"id"`
	Campaign int64        `json:"campaign_id"`
	State    RunState     `json:"state"`
	Reason   string       `json:"reason,omitempty"` // why it is paused
	Rev      int64        `json:"rev"`              // counts edits, pauses and resumes; a claim names the one it knew
	Due      time.Time    `json:"due_at"`
	SendBy   time.Time    `json:"send_by"` // afterwards what is left fails, expired
	Planned  bool         `json:"planned"` // everybody in the audience has a member row
	Channels []RunChannel `json:"channels"`
}

// RunChannel pins the template version that a run sends on a channel.
type RunChannel struct {
	Channel  audience.Channel `json:"channel"`
	Template int64            `json:"template_id"`
}

// DefaultSendBy is how long after its due instant a run may still begin sends,
// unless the launch says otherwise.
const DefaultSendBy = 24 * time.Hour

// Launch asks for a run.
type Launch struct {
	Due    time.Time // zero: now
	SendBy time.Time // zero: Due + DefaultSendBy
}

// Origin is where a message comes from.
type Origin struct {
	Channel audience.Channel
	Sender  string // its name
	Topic   string
}

package dispatcher

import (
	"fmt"
	"time"

	"utskick/audience"
	"utskick/tracking"
)

// Report tells what became of everybody in the audience of a run.
type Report struct {
	Campaign string          `json:"campaign"`
	Run      int64           `json:"run"`
	State    RunState        `json:"state"`
	Reason   string          `json:"reason,omitempty"`
	Planned  bool            `json:"planned"`
	Channels []ChannelReport `json:"channels"`
}

// ChannelReport is the report of one channel. At every moment
//
//	audience = duplicates + sent + suppressed + failed + in_doubt + skipped + pending
type ChannelReport struct {
	Channel audience.Channel `json:"channel"`
	// Held says why nothing is sent by the channel now; empty: it is not held.
	Held       string `json:"held,omitempty"`
	Audience   int64  `json:"audience"`
	Duplicates int64  `json:"duplicates"`
	Sent       int64  `json:"sent"`
	Suppressed int64  `json:"suppressed"`
	Failed     int64  `json:"failed"`
	InDoubt    int64  `json:"in_doubt"`
	Skipped    int64  `json:"skipped"`
	Pending    int64  `json:"pending"`
	// Resent counts those among Sent who were sent to again at an operator's
	// word, after they had been in doubt.
	Resent int64 `json:"resent,omitempty"`
	// InDoubtFinal counts those in doubt whom no provider is asked for any more:
	// their claim is [LookUpFor] ago. Evidence that comes by itself still counts.
	InDoubtFinal int64 `json:"in_doubt_final"`
	// Resolved counts those who were in doubt until evidence came: a late answer,
	// a webhook or a look-up.
	Resolved int64 `json:"resolved"`
	// Causes counts members by code and cause.
	Causes map[string]map[string]int64 `json:"causes"`

	// What happened to the messages afterwards, in persons; clicks that name no
	// person are counted each. OpenedByMachines are those of whom nothing but
	// machines' opens is known: nobody is in Opened, too. So with clicks.
	Delivered    int64 `json:"delivered"`
	Bounced      int64 `json:"bounced"`
	Complained   int64 `json:"complained"`
	Opened       int64 `json:"opened"`
	Clicked      int64 `json:"clicked"`
	Unsubscribed int64 `json:"unsubscribed"`

	OpenedByMachines  int64 `json:"opened_by_machines"`
	ClickedByMachines int64 `json:"clicked_by_machines"`
	// Machines counts, by type of event and reason, the persons with an event that
	// is a machine's, whether or not they opened or clicked themselves.
	Machines map[string]map[string]int64 `json:"machines,omitempty"`
	// Events counts the persons of every type of event, those without a field of
	// their own included, and machines' events, too.
	Events map[string]int64 `json:"events,omitempty"`
}

// Count adds how many persons have an event of a type: people, and those of whom
// machines' events alone are known.
func (c *ChannelReport) Count(t tracking.EventType, people, machines int64) {
	if c.Events == nil {
		c.Events = map[string]int64{}
	}
	c.Events[string(t)] = people + machines
	switch t {
	case tracking.Delivered:
		c.Delivered = people
	case tracking.Bounced:
		c.Bounced = people
	case tracking.Complained:
		c.Complained = people
	case tracking.Opens:
		c.Opened, c.OpenedByMachines = people, machines
	case tracking.Clicks:
		c.Clicked, c.ClickedByMachines = people, machines
	case tracking.Unsubscribes:
		c.Unsubscribed = people
	}
}

// ChannelHold says why nothing is sent by a channel.
type ChannelHold struct {
	Channel audience.Channel `json:"channel"`
	Reason  string           `json:"reason"`
	At      time.Time        `json:"at"`
}

// Breach counts what breaks a promise. A count of 0 says that it was looked for
// and not found.
type Breach struct {
	Promise string `json:"promise"` // P1 to P6
	Name    string `json:"name"`
	Count   int64  `json:"count"`
}

// Resolved is what an operator's decision on those in doubt came to.
type Resolved struct {
	Run     Run   `json:"run"`
	Members int64 `json:"members" doc:"How many were in doubt"`
}

// Settled returns how many members have their outcome.
func (c ChannelReport) Settled() int64 {
	return c.Sent + c.Suppressed + c.Failed + c.InDoubt + c.Skipped
}

// Reconcile returns an error when the sums of a channel do not meet, naming
// them.
func (r Report) Reconcile() error {
	for _, c := range r.Channels {
		if sum := c.Duplicates + c.Settled() + c.Pending; sum != c.Audience || c.Pending < 0 {
			return fmt.Errorf("run %d, %s: audience %d is not duplicates %d + settled %d + pending %d",
				r.Run, c.Channel, c.Audience, c.Duplicates, c.Settled(), c.Pending)
		}
		for code, causes := range c.Causes {
			var sum int64
			for _, n := range causes {
				sum += n
			}
			if want := c.count(code); sum != want {
				return fmt.Errorf("run %d, %s: the causes of %s sum to %d, not %d", r.Run, c.Channel, code, sum, want)
			}
		}
	}
	return nil
}

func (c ChannelReport) count(code string) int64 {
	switch code {
	case Suppressed.String():
		return c.Suppressed
	case Failed.String():
		return c.Failed
	case InDoubt.String():
		return c.InDoubt
	case Skipped.String():
		return c.Skipped
	}
	return 0
}

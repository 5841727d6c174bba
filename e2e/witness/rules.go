package witness

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The ways to leave a call without a sound answer.
const (
	Reset    = "reset"    // the connection breaks once the body has arrived
	Unread   = "unread"   // it breaks after the first byte of the body
	Silence  = "silence"  // nothing is said until the client leaves
	Truncate = "truncate" // the answer breaks off in its head
)

// Where SMTP may be spoilt but at the answer to a message.
const (
	AtMail = "mail" // the recipient is not known there
	AtRcpt = "rcpt"
)

// Rule is how the witness misbehaves. The first that fits a call is followed.
type Rule struct {
	Vendor     string        `json:"vendor,omitempty"` // empty: every one
	At         string        `json:"at,omitempty"`     // SMTP alone: at this command, not at the message
	To         string        `json:"to,omitempty"`     // only calls with this recipient
	Status     int           `json:"status,omitempty"` // answered instead of success
	Fault      string        `json:"fault,omitempty"`
	Taken      bool          `json:"taken,omitempty"` // the vendor delivers all the same
	RetryAfter int           `json:"retry_after,omitempty"`
	Delay      time.Duration `json:"delay,omitempty"` // before the answer
	Times      int           `json:"times,omitempty"` // how many calls; 0 is all until the rules change
	Every      int           `json:"every,omitempty"` // only each so-manieth call; 0 is each
}

// sound says that the vendor does what it is asked.
func (r Rule) sound() bool { return r.Status == 0 && r.Fault == "" }

// rules are what the witness was told last.
type rules struct {
	mu   sync.Mutex
	list []rule
}

type rule struct {
	Rule
	seen, used int
}

// set replaces all rules. It is an HTTP handler.
func (r *rules) set(w http.ResponseWriter, req *http.Request) {
	var told []Rule
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 1<<20)).Decode(&told); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
	for _, one := range told {
		r.list = append(r.list, rule{Rule: one})
	}
}

// unread reports whether a call is to be broken off before its recipients are
// known.
func (r *rules) unread(vendor string) bool {
	found, ok := r.pick(func(one Rule) bool { return one.Fault == Unread && fits(one, vendor) })
	return ok && found.Fault == Unread
}

// of returns the rule for a call.
func (r *rules) of(vendor string, messages []Message) (Rule, bool) { return r.at("", vendor, messages) }

// at returns the rule for a command of SMTP, or for a call.
func (r *rules) at(command, vendor string, messages []Message) (Rule, bool) {
	return r.pick(func(one Rule) bool {
		return one.At == command && one.Fault != Unread && fits(one, vendor) &&
			(one.To == "" || slices.ContainsFunc(messages, func(m Message) bool { return m.To == one.To }))
	})
}

func fits(r Rule, vendor string) bool { return r.Vendor == "" || r.Vendor == vendor }

func (r *rules) pick(fits func(Rule) bool) (Rule, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.list {
		one := &r.list[i]
		if !fits(one.Rule) || (one.Times > 0 && one.used >= one.Times) {
			continue
		}
		one.seen++
		if one.Every > 1 && one.seen%one.Every != 0 {
			continue
		}
		one.used++
		return one.Rule, true
	}
	return Rule{}, false
}

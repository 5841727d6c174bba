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
	Torn     = "torn"     // it breaks off in its body
	Stuck    = "stuck"    // its body does not go on, until the client leaves
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
	Fault      string        `json:"fault,omitempty"`  // how far that answer comes
	Taken      bool          `json:"taken,omitempty"`  // the vendor delivers all the same
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

// serve takes rules in the place of all others, and answers how many calls those
// that are for a number of calls are still for. It is an HTTP handler.
func (r *rules) serve(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodPost {
		var told []Rule
		if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 1<<20)).Decode(&told); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.set(told)
	}
	// Who is gone does not get it.
	_ = json.NewEncoder(w).Encode(r.left())
}

func (r *rules) set(told []Rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
	for _, one := range told {
		r.list = append(r.list, rule{Rule: one})
	}
}

func (r *rules) left() (calls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.list {
		calls += max(0, one.Times-one.used)
	}
	return calls
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

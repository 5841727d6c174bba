package suppression

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"utskick/audience"
	"utskick/internal/failpoint"
)

// Scope is what is about to be sent: the entries that match it block.
type Scope struct {
	Channel audience.Channel
	Topic   string
	Sender  string
	Purpose Purpose
	// Targeted says that it is chosen by what is known of people: an objection to
	// profiling blocks it, too (GDPR 21(2)).
	Targeted bool
}

// Match is an entry found for a key, reduced to what a ruling needs.
type Match struct {
	Key   audience.Key
	Cause Cause
}

// Index finds the entries that block, on the primary database, in statements
// that begin after Matching is called.
type Index interface {
	// Matching returns the active, unexpired entries within scope for any of
	// the keys, and the version of the index that it knows them at.
	Matching(ctx context.Context, scope Scope, keys []audience.Key) ([]Match, int64, error)
}

// Candidate is a recipient before the check. Its address cannot be read; it
// comes out through the permit that the gate issues, or not at all.
type Candidate struct {
	key     audience.Key
	contact audience.Key
	basis   bool
	address string
}

// NewCandidate seals an address. key is the key of the address, contact the key
// of the contact's external id; basis says whether a legal ground is on record.
func NewCandidate(key, contact audience.Key, basis bool, address string) Candidate {
	return Candidate{key: key, contact: contact, basis: basis, address: address}
}

// Key returns the key of the candidate's address.
func (c Candidate) Key() audience.Key { return c.key }

// Domain returns what is behind the @ of an e-mail address, and nothing of any
// other: how fast a domain may be sent to is known before the check.
func (c Candidate) Domain() string {
	_, domain, _ := strings.Cut(c.address, "@")
	return domain
}

// Ruling is the gate's answer for one candidate: a permit, or the cause for
// which there is none.
type Ruling struct {
	Permit *Permit
	Cause  Cause
}

// Verdict is the gate's answer for a chunk.
type Verdict struct {
	Rulings []Ruling // one a candidate, in order
	Version int64    // of the index, as the check read it
	T0      Instant  // before the claim; permits die at T0 + Window
}

// Gate is the only maker of permits.
type Gate struct {
	index Index
	clock Clock
}

// NewGate asks index and measures windows on clock.
func NewGate(index Index, clock Clock) *Gate { return &Gate{index: index, clock: clock} }

// Admit runs the one order in which a permit may come about: the instant, the
// claim, the check. claim must have committed durably when it returns nil; its
// error is returned as it is, and nothing is checked.
//
// The check is made after the claim, never before or within it: an unsubscribe
// that commits in between either sees the claim and waits for it, or is seen by
// the check. Checking first would let both miss each other.
func (g *Gate) Admit(ctx context.Context, scope Scope, candidates []Candidate, claim func(context.Context) error) (Verdict, error) {
	return g.admit(ctx, scope, candidates, nil, claim)
}

// admit heeds the causes that heeds is true of; nil: all.
func (g *Gate) admit(ctx context.Context, scope Scope, candidates []Candidate, heeds func(Cause) bool, claim func(context.Context) error) (Verdict, error) {
	t0 := g.clock()
	if err := claim(ctx); err != nil {
		return Verdict{}, err
	}
	failpoint.Hit(failpoint.Claimed)
	keys := make([]audience.Key, 0, 2*len(candidates))
	for _, c := range candidates {
		keys = append(keys, c.key, c.contact)
	}
	matches, version, err := g.index.Matching(ctx, scope, keys)
	if err != nil {
		return Verdict{T0: t0}, fmt.Errorf("suppression check of %d recipients: %w", len(candidates), err)
	}
	if heeds != nil {
		matches = slices.DeleteFunc(matches, func(m Match) bool { return !heeds(m.Cause) })
	}
	v := Verdict{Rulings: make([]Ruling, len(candidates)), Version: version, T0: t0}
	v.rule(candidates, weightiest(matches), &window{clock: g.clock, deadline: t0.Add(Window)})
	failpoint.Hit(failpoint.Checked)
	return v, nil
}

// rule fills in the rulings. Permits lie in one allocation, and share their
// window.
func (v *Verdict) rule(candidates []Candidate, blocked map[audience.Key]Cause, w *window) {
	permits := make([]Permit, len(candidates))
	for i, c := range candidates {
		cause := heavier(blocked[c.key], blocked[c.contact])
		if cause == "" && !c.basis {
			cause = NoBasis
		}
		if cause != "" {
			v.Rulings[i].Cause = cause
			continue
		}
		permits[i] = Permit{key: c.key, address: c.address, window: w}
		v.Rulings[i].Permit = &permits[i]
	}
}

func weightiest(matches []Match) map[audience.Key]Cause {
	blocked := make(map[audience.Key]Cause, len(matches))
	for _, m := range matches {
		blocked[m.Key] = heavier(blocked[m.Key], m.Cause)
	}
	return blocked
}

func heavier(a, b Cause) Cause {
	if a == "" || (b != "" && rank(b) < rank(a)) {
		return b
	}
	return a
}

// WaitAtMost is how long an acknowledgement waits for the calls that were begun
// before its commit: their permits are dead by then, and the margin covers a
// slow step from the clock to the wire.
const WaitAtMost = Window + time.Second

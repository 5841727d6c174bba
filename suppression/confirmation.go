package suppression

import (
	"context"
	"slices"
	"time"

	"utskick/audience"
)

const (
	// ConfirmWithin is how long the link of a confirmation can be used.
	ConfirmWithin = 7 * 24 * time.Hour
	// MostConfirmations is how many mails an address gets in 24 hours, whoever
	// asks: nobody can be buried in them.
	MostConfirmations = 3
	// ConfirmationWaits is how long such a mail may wait to be sent. Who has seen
	// nothing come asks again.
	ConfirmationWaits = time.Hour
)

// Asking is a request that counts for nothing until it is confirmed from the
// address itself (double opt-in).
type Asking struct {
	Address string
	Sender  string // name of the record
	Topic   string // Any: all marketing by e-mail
	Locale  string
	Source  string // where it was asked: a page of the retailer's site, or one of ours
	Notice  string // version of the privacy notice
}

// Confirmation is a request as it stands.
type Confirmation struct {
	ID                   int64
	Sender, Topic        string
	Locale               string
	AskedAt, ConfirmedAt time.Time
	// Wider says that what the person has asked for cannot come because of a wish
	// of hers that goes further: against all marketing by e-mail, when it is one
	// topic that she asks for.
	Wider bool
	// Before says, of what was just confirmed, that it had been before.
	Before bool
}

// Confirmed is the use of the link of a confirmation, by POST.
type Confirmed struct {
	ID  int64
	Key audience.Key // of the address
	// Wider lifts her wishes against all marketing by e-mail, too: she was told.
	Wider    bool
	Evidence string // how it was confirmed; no address
}

// AdmitConfirmation is [Gate.Admit] for one mail in which a person confirms what
// was asked for in her name a moment ago. It is no marketing: it answers a
// request, it goes once for each, and without it nobody who has objected could
// ever come back. So an objection does not forbid it. What says that the address
// cannot work does.
//
// It is the only way to a permit past a wish.
func (g *Gate) AdmitConfirmation(ctx context.Context, scope Scope, c Candidate, claim func(context.Context) error) (Verdict, error) {
	return g.admit(ctx, scope, []Candidate{c}, dead, claim)
}

// dead says whether a cause means that an address does not work.
func dead(c Cause) bool { return c == Bounced || c == Invalid }

// StandsAgainst says whether an entry is the person's own word, in force, against
// marketing by e-mail from a sender, about whatever topic. A bounce is none. Neither
// is a restriction, before the end of which she has to be told (GDPR 18(3)): it is
// lifted with its case.
func (e Entry) StandsAgainst(sender string, now time.Time) bool {
	in := func(part, of string) bool { return part == Any || part == of }
	return e.InForce(now) && e.Cause.OwnWord() && e.Cause != Restricted && in(e.Channel, string(audience.Email)) &&
		in(e.Purpose, string(Marketing)) && in(e.Sender, sender)
}

// Lifts returns what confirming changes of the entries of a person: those that it
// lifts, which are her own words against exactly what she asks for, and before
// them what is left of each for other channels, purposes and senders, of which
// those on record are named. A topic's own entries are lifted by asking for the
// topic alone.
func (c Confirmation) Lifts(entries []Entry, wider bool, senders []string, now time.Time) (changes []Entry) {
	var lifted []Entry
	for _, e := range entries {
		if !e.StandsAgainst(c.Sender, now) || e.Topic != c.Topic && !(wider && e.Topic == Any) {
			continue
		}
		changes = append(append(changes, e.withoutMail()...), e.fromOthers(c.Sender, senders)...)
		e.Active = false
		lifted = append(lifted, e)
	}
	return append(changes, lifted...)
}

// IsWider says whether one of the entries goes further than what was asked for,
// and stands against it.
func (c Confirmation) IsWider(entries []Entry, now time.Time) bool {
	return c.Topic != Any && slices.ContainsFunc(entries, func(e Entry) bool { return e.Topic == Any && e.StandsAgainst(c.Sender, now) })
}

// withoutMail returns what is left of an entry without marketing by e-mail: its
// other channels for marketing, and its other purposes.
func (e Entry) withoutMail() (rest []Entry) {
	if e.Channel == Any {
		for _, ch := range []audience.Channel{audience.SMS, audience.Push, audience.Post, audience.Phone} {
			left := e
			left.Channel, left.Purpose = string(ch), string(Marketing)
			rest = append(rest, left)
		}
	}
	if e.Purpose == Any {
		for _, p := range Purposes {
			if p != Marketing {
				left := e
				left.Purpose = string(p)
				rest = append(rest, left)
			}
		}
	}
	return rest
}

// Later stands in an entry for every sender whose record is not saved yet. No sender
// has it for a name. When one is saved for the first time, the store writes the
// entry for it, too.
const Later = "+"

// fromOthers returns what is left of an entry against all senders when it is lifted
// for one: marketing by e-mail from each of the others, and from those to come.
func (e Entry) fromOthers(sender string, senders []string) (rest []Entry) {
	if e.Sender != Any {
		return nil
	}
	for _, other := range append(slices.Clone(senders), Later) {
		if other != sender {
			left := e
			left.Channel, left.Purpose, left.Sender = string(audience.Email), string(Marketing), other
			rest = append(rest, left)
		}
	}
	return rest
}

// Subscription is what the owner of an address has asked for and confirmed, with
// its proof (GDPR 7(1)). It stays when she leaves: what she stops is an entry.
type Subscription struct {
	Sender      string    `json:"sender"`
	Topic       string    `json:"topic"` // Any: all marketing by e-mail
	AskedAt     time.Time `json:"asked_at"`
	ConfirmedAt time.Time `json:"confirmed_at"`
	Source      string    `json:"source"`
	Evidence    string    `json:"evidence"`
	Notice      string    `json:"notice,omitempty"`
	Wording     string    `json:"wording"` // version and language of what she read
}

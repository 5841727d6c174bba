package suppression

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"utskick/audience"
)

// SourceService is the source of what customer service records for a person.
const SourceService = "service"

// Behalf is a person who told customer service what she wants, in any form: no
// paper, no identification and no reason is needed to object (GDPR 21(2)).
type Behalf struct {
	Key   audience.Key // her own, of kind contact, or that of a bare address
	Topic string       // the kind of message that is meant; empty: all
	Who   string       // the sender that is meant; empty: all
	Case  string       // number of the case; may be empty
	At    time.Time
}

// Wishes returns the wishes that a choice stands for, each for every key that
// the person has or had. What she unsubscribes from on the pages of a message,
// she objects to here. [StopKind] needs a topic.
func (b Behalf) Wishes(c Choice) []Wish {
	wishes := Chooser{Key: b.Key, Topic: scope(b.Topic, true), At: b.At}.Wishes([]Choice{c})
	for i := range wishes {
		wishes[i] = b.own(wishes[i])
	}
	return wishes
}

func (b Behalf) own(w Wish) Wish {
	e := w.Entry
	if e.Cause == Unsubscribed {
		e.Cause = Objected
	}
	e.Topic, e.Sender = scope(b.Topic, true), scope(b.Who, false)
	e.Source, e.Evidence = SourceService, CaseEvidence(b.Case)
	return Wish{Entry: e, Person: true}
}

// Lifts returns what takes back the wish of exactly this scope and cause, for
// those of the entries that have it in force; none, if none has.
func (b Behalf) Lifts(wish Entry, entries []Entry) (lifts []Wish) {
	for _, e := range entries {
		if !e.Active || !e.SameAs(wish) {
			continue
		}
		e.Active, e.Source, e.Evidence, e.ExpiresAt = false, SourceService, CaseEvidence(b.Case), time.Time{}
		lifts = append(lifts, Wish{Entry: e})
	}
	return lifts
}

// CaseEvidence is the evidence of what was said in a case.
func CaseEvidence(number string) string {
	if number == "" {
		return "told customer service"
	}
	return "case " + number
}

// MaxCase bounds the number of a case, in characters.
const MaxCase = 64

// CaseNumber reads the number of a case in another system. It may be any text
// that can outlive the person's erasure.
func CaseNumber(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case utf8.RuneCountInString(s) > MaxCase:
		return "", errors.New("is longer than 64 characters")
	case strings.Contains(s, "@"):
		return "", errors.New("has an @: it is kept for good, and holds no address")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "", errors.New("has a line break or another control character")
	case audience.HasIdentityNumber(s):
		return "", errors.New("has what looks like a Swedish personal identity or coordination number: it is kept for good; give the number of the case instead")
	}
	return s, nil
}

// PastGrant is a consent that a wish has taken back.
type PastGrant struct {
	Grant
	WithdrawnAt time.Time
	Version     int64 // of the wish
}

package suppression

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"utskick/audience"
)

// KindKey says that an address is written as its key, in hexadecimal. A file
// that [WriteEntries] wrote has this kind alone.
const KindKey audience.Kind = "key"

// Kinds lists what an address may be.
var Kinds = []audience.Kind{audience.KindEmail, audience.KindPhone, audience.KindPush, audience.KindContact, KindKey}

// Fields are the texts that a file, a form or a command line says a wish with.
// Kind is one of [Kinds]. An empty scope is [Any], an empty cause [Objected].
// ExpiresAt is RFC 3339, or empty for never.
type Fields struct {
	Kind, Address                   string
	Channel, Topic, Purpose, Sender string
	Cause, Evidence, ExpiresAt      string
}

// Reader turns texts into wishes.
type Reader struct {
	Keyer  *audience.Keyer
	Region string // two-letter country of phone numbers without a country code
	Source string // of the entries: import or operator
}

// GuessKind says what an address that stands alone is likely to be: a key, an
// e-mail address, a phone number, or else a contact's external id.
func GuessKind(address string) audience.Kind {
	address = strings.TrimSpace(address)
	if _, err := audience.ParseKey(address); err == nil {
		return KindKey
	}
	switch {
	case strings.Contains(address, "@"):
		return audience.KindEmail
	case strings.HasPrefix(address, "+"), strings.HasPrefix(address, "0") && len(address) >= 7:
		return audience.KindPhone
	}
	return audience.KindContact
}

// Key returns the key of an address. Its error names the rule and never holds
// the address.
func (r Reader) Key(kind, address string) (audience.Key, error) {
	k := audience.Kind(strings.ToLower(strings.TrimSpace(kind)))
	if k == KindKey {
		key, err := audience.ParseKey(strings.TrimSpace(address))
		if err == nil && key.IsZero() {
			err = errors.New("is no address's key")
		}
		return key, err
	}
	normalised, err := audience.Normalize(k, address, r.Region)
	if err != nil {
		return audience.Key{}, err
	}
	return r.Keyer.Key(k, normalised), nil
}

// Wish reads one wish. What is wrong is listed by field; the wish is to be
// recorded unless one of the problems says Rejected.
//
// The causes that are a person's own word cover every key that the person has
// or had; those that are about one address, such as a bounce, cover that one.
func (r Reader) Wish(f Fields) (Wish, []audience.Problem) {
	e, p := r.entry(f)
	var err error
	if e.ExpiresAt, err = expiry(f.ExpiresAt, e.Cause); err != nil {
		p.reject("expires_at", err.Error())
	}
	if e.Evidence, err = evidence(f.Evidence); err != nil {
		p = append(p, audience.Problem{Field: "evidence", Rule: err.Error()})
	}
	e.Active = true
	return Wish{Person: personal(e.Cause), Entry: e}, p
}

// Lift reads a wish that is taken back, such as a consent that is given again: it
// lifts the entry of exactly this scope and cause, for the keys that [Reader.Wish]
// would set it for. All others stay. How it is known that the person wants it must
// be said (GDPR 7(1)).
func (r Reader) Lift(f Fields) (Wish, []audience.Problem) {
	e, p := r.entry(f)
	if strings.TrimSpace(f.Cause) == "" {
		p.reject("cause", "is empty: say which wish is lifted")
	}
	if e.Cause == Restricted {
		p.reject("cause", "is lifted with its case alone: the person must be informed first (GDPR 18(3))")
	}
	if strings.TrimSpace(f.ExpiresAt) != "" {
		p.reject("expires_at", "is of no use: what is lifted has no end")
	}
	var err error
	if e.Evidence, err = evidence(f.Evidence); err != nil {
		p.reject("evidence", err.Error())
	} else if e.Evidence == "" {
		p.reject("evidence", "is empty: say how it is known that the person wants this")
	}
	return Wish{Person: personal(e.Cause), Entry: e}, p
}

// entry reads whom a wish is for, its scope and its cause.
func (r Reader) entry(f Fields) (Entry, fieldProblems) {
	var p fieldProblems
	e := Entry{Channel: scope(f.Channel, true), Topic: scope(f.Topic, true), Purpose: scope(f.Purpose, true), Sender: scope(f.Sender, false),
		Cause: Cause(strings.ToLower(strings.TrimSpace(f.Cause))), Source: r.Source}
	if e.Cause == "" {
		e.Cause = Objected
	}
	var err error
	if !slices.Contains(Kinds, audience.Kind(strings.ToLower(strings.TrimSpace(f.Kind)))) {
		p.reject("kind", "is not email, phone, push, contact or key")
	} else if e.Key, err = r.Key(f.Kind, f.Address); err != nil {
		p.reject("address", err.Error())
	}
	p.checkScope(e)
	if rank(e.Cause) == len(Causes) {
		p.reject("cause", fmt.Sprintf("is not one of %v", Causes))
	}
	return e, p
}

// fieldProblems gathers what is wrong with the fields of a wish.
type fieldProblems []audience.Problem

func (p *fieldProblems) reject(field, rule string) {
	*p = append(*p, audience.Problem{Field: field, Rule: rule, Rejected: true})
}

func (p *fieldProblems) checkScope(e Entry) {
	if e.Channel != Any && audience.Channel(e.Channel).Kind() == "" {
		p.reject("channel", "is not email, sms, push, post, phone or *")
	}
	if !validName(e.Topic) {
		p.reject("topic", badName)
	}
	if e.Purpose != Any && !validPurpose(Purpose(e.Purpose)) {
		p.reject("purpose", "is not marketing, profiling, open_tracking, ad_tracking, ad_list_sharing or *")
	}
	if !validName(e.Sender) {
		p.reject("sender", badName)
	}
}

// scope reads a part of a scope. All but the names of senders are in lower case
// wherever they are used.
func scope(s string, lower bool) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return Any
	}
	if lower {
		return strings.ToLower(s)
	}
	return s
}

// maxName bounds the name of a topic or a sender, in bytes.
const (
	maxName = 200
	badName = "is longer than 200 bytes, or has a control character"
)

func validName(s string) bool {
	return len(s) <= maxName && !strings.ContainsFunc(s, unicode.IsControl)
}

// personal says whether a cause is a person's own word, and so holds for all of
// her addresses.
func personal(c Cause) bool {
	return slices.Contains([]Cause{Erased, Objected, Unsubscribed, Stopped, Complained, Withdrawn, Restricted}, c)
}

// OwnWord says whether an entry of the cause is what the person herself has said:
// personal, or a pause, which ends by itself.
func (c Cause) OwnWord() bool { return personal(c) || c == Paused }

func expiry(s string, c Cause) (time.Time, error) {
	s = strings.TrimSpace(s)
	if s == "" && c == Paused {
		return time.Time{}, errors.New("is empty: a pause needs the moment at which it ends")
	}
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, errors.New("is not a moment such as 2026-12-24T00:00:00+01:00 (RFC 3339)")
	}
	return t, nil
}

const maxEvidence = 500

// evidence keeps what would outlive a person's erasure out of an entry. The
// wish is kept without it: it must not fail for a remark.
func evidence(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case len(s) > maxEvidence:
		return "", fmt.Errorf("is longer than %d bytes and was left out", maxEvidence)
	case strings.Contains(s, "@"):
		return "", errors.New("has an @ and was left out: an entry outlives erasure and holds no address")
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", errors.New("has a line break or another control character and was left out")
	}
	return s, nil
}

// Check asks as the gate does whether a message within scope would be withheld
// from whoever has one of the keys: those of an address and of its contact. It
// returns the weightiest cause, or none, and the version of the index.
func Check(ctx context.Context, index Index, scope Scope, keys ...audience.Key) (Cause, int64, error) {
	matches, version, err := index.Matching(ctx, scope, keys)
	if err != nil {
		return "", 0, fmt.Errorf("suppression check: %w", err)
	}
	var cause Cause
	for _, m := range matches {
		cause = heavier(cause, m.Cause)
	}
	return cause, version, nil
}

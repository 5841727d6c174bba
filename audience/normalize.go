package audience

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Rule says in a few words which rule a text breaks, so that it reads well
// behind the name of the field: "email: has no @". It is an error, and it never
// holds the text itself.
type Rule string

func (r Rule) Error() string { return string(r) }

// Rules that hold for every kind of text.
const (
	ErrEmpty   Rule = "is empty"
	ErrNotUTF8 Rule = "is not UTF-8; save the file as CSV UTF-8"
	ErrControl Rule = "has a line break or another control character"
)

// Rules for push tokens and external ids.
const (
	ErrTokenCharacter Rule = "has a space or a character outside of printable ASCII"
	ErrTokenLong      Rule = "is longer than 4096 bytes"
	ErrIDInvisible    Rule = "has an invisible character"
	ErrIDLong         Rule = "is longer than 255 bytes"
)

const (
	maxToken      = 4096 // FCM documents no limit; its tokens have some 200 characters
	maxExternalID = 255
)

// Normalize brings an address into the one form that its key is made of. An
// address of kind contact is an external id; region is as for [NormalizePhone].
//
// It is more lenient than [NormalizePhone]: a wish is kept for any number that
// could exist, a landline too. Both give the same form. Post has no normal
// form: a wish about post is kept under the contact's key.
func Normalize(kind Kind, s, region string) (string, error) {
	switch kind {
	case KindEmail:
		return NormalizeEmail(s)
	case KindPhone:
		return normalizeAnyPhone(s, region)
	case KindPush:
		return NormalizeToken(s)
	case KindContact:
		return NormalizeExternalID(s)
	}
	return "", fmt.Errorf("no key is made of an address of kind %q: use email, phone, push or contact", kind)
}

// NormalizeToken trims a push token. Its case is left alone, since tokens that
// differ in case are different. The error is a [Rule].
func NormalizeToken(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", ErrEmpty
	case len(s) > maxToken:
		return "", ErrTokenLong
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", ErrTokenCharacter
		}
	}
	return s, nil
}

// NormalizeExternalID trims the retailer's own name for a contact and composes
// its letters (NFC). Its case is left alone. Invisible characters are refused,
// because two ids that look alike would be two persons, and a wish of one would
// not bind the other. The error is a [Rule].
func NormalizeExternalID(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", ErrNotUTF8
	}
	s = strings.TrimSpace(s)
	if len(s) > 2*maxExternalID { // composing at most halves it
		return "", ErrIDLong
	}
	s = norm.NFC.String(s)
	switch {
	case s == "":
		return "", ErrEmpty
	case len(s) > maxExternalID:
		return "", ErrIDLong
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", ErrControl
	case !printable(s):
		return "", ErrIDInvisible
	}
	return s, nil
}

// printable reports whether all of s is letters, marks, digits, signs and
// spaces: no control, format, private or unassigned character.
func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsGraphic(r) {
			return false
		}
	}
	return true
}

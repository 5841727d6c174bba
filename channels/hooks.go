package channels

import (
	"errors"
	"strings"

	"utskick/audience"
	"utskick/suppression"
)

// Told is what a provider tells by webhook, in one request.
type Told struct {
	Notices []suppression.Notice
	// Foreign counts what is about messages that are not ours: an account may be
	// used by others, too.
	Foreign int
	// Replies are what people answered.
	Replies []Reply
}

// Reply is what somebody answered to a message. It holds the address, which only
// a key is made of, unless somebody has to read the answer.
type Reply struct {
	suppression.Reply
	Kind audience.Kind // of the address
}

// String says nothing of the address and the text, so that no log can hold them.
func (r Reply) String() string {
	return "a reply by " + string(r.Channel) + " that says " + string(r.Meaning)
}

// GoString does the same for %#v.
func (r Reply) GoString() string { return r.String() }

// ErrForged is the answer to a webhook whose signature is not the provider's.
var ErrForged = errors.New("the signature is not the provider's")

// ErrUnreadable is the answer to a webhook that the provider has signed and that
// is not of the form that it documents.
var ErrUnreadable = errors.New("the body is not what the provider documents")

// Plausible reports whether a time that a provider names, in seconds since 1970,
// lies between 2000 and 2100.
func Plausible(seconds int64) bool {
	const from, to = 946_684_800, 4_102_444_800
	return seconds >= from && seconds < to
}

// IsID reports whether a text can be a provider's name for something: at most 100
// letters, digits and signs of ASCII.
func IsID(text string) bool {
	const longest = 100
	return text != "" && len(text) <= longest && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

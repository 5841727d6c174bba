// Package channels hands messages to providers and says what their answers
// mean. Each provider is a package below this one; [utskick/channels/channeltest]
// is the suite that all of them pass.
package channels

import (
	"context"
	"time"

	"utskick/audience"
	"utskick/suppression"
	"utskick/templates"
)

// Provider is one way to send the messages of one channel.
//
// Prepare does everything slow: it encodes, signs and opens connections, so
// that little is left between the claim and the send. It makes no attempt.
type Provider interface {
	Name() string // sendgrid, smtp, twilio, fcm or outbox
	Channel() audience.Channel
	// PerCall is how many recipients one call to the vendor carries: up to
	// 1000 for SendGrid, 1 for all others.
	PerCall() int
	Prepare(ctx context.Context, d Draft) (Call, error)
	Close() error
}

// Draft is a chunk of messages without addresses. Row i of the sheet belongs to
// Keys[i]. A draft belongs to the call made from it until that call has been
// sent or dropped.
type Draft struct {
	Skeleton *templates.Skeleton
	Sheet    *templates.Sheet
	Group    int64
	Keys     []audience.Key
}

// Call is a prepared chunk. It is used once.
type Call interface {
	// Send attempts the message of each row whose permit is not nil, each at
	// most once, and returns one result a row. permits[i] is for row i of the
	// draft. The address of a row is had from its permit alone; the permit is
	// asked again when the first byte of the attempt would leave the process.
	//
	// Send waits for every attempt that it has begun: it returns no result
	// while an attempt may still go out. When ctx ends, it begins no more, and
	// what it had begun is given its time-out.
	Send(ctx context.Context, permits []*suppression.Permit) []Result
}

// Class says what a provider's answer means for one message. What to do about
// it is the dispatcher's matter.
type Class uint8

const (
	// Withheld: there was no permit, or it had expired; nothing was sent.
	Withheld Class = iota
	// Accepted: the provider has taken the message.
	Accepted
	// NotTaken: the provider certainly has not taken it; it may be tried again
	// after Pause. Dial and TLS errors, a body not fully written, 429, a
	// temporary SMTP refusal.
	NotTaken
	// InDoubt: it may have been sent. Never tried again by itself.
	InDoubt
	// Refused: this recipient is refused for good.
	Refused
	// Rejected: the request is refused, and not for a reason that names one of
	// its recipients (400 on many).
	Rejected
	// TooLarge: the request is too large as a whole (413).
	TooLarge
	// Hold: the provider refuses all that we send: credentials, account or
	// configuration (401, 403).
	Hold
	// HoldSender: it refuses all from this sender, or all of this message, to
	// whomever; other campaigns may go.
	HoldSender
)

var classNames = [...]string{"withheld", "accepted", "not_taken", "in_doubt", "refused", "rejected", "too_large", "hold", "hold_sender"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Result is what became of the message of one row.
type Result struct {
	Class Class
	// Reason is a short, closed word for what happened, such as timeout,
	// throttled, unknown_address or bad_credentials. It holds nothing from the
	// provider's own text.
	Reason string
	// ProviderID is the provider's name for the message or the call.
	ProviderID string
	// Pause is how long the provider asked to be left alone; zero if it did
	// not say.
	Pause time.Duration
	// Suppress is the cause under which the address shall be suppressed from
	// now on, for a Refused whose code says that it will never work.
	Suppress suppression.Cause
	// Late says that the first byte may have left so long after the permit had
	// died that an objection may have been acknowledged before: the process was
	// frozen in between.
	Late bool
}

// Fill returns n results that are all r, except that rows without a permit are
// Withheld. It is for providers whose call has one answer.
func Fill(permits []*suppression.Permit, r Result) []Result {
	out := make([]Result, len(permits))
	for i, p := range permits {
		if p != nil {
			out[i] = r
		}
	}
	return out
}

// The reasons that the dispatcher tells apart; providers use these words for
// them.
const (
	ReasonServerError = "server_error" // an answer that leaves open whether it was taken (5xx)
	ReasonTooLarge    = "too_large"    // this message is over the provider's limit
	ReasonThrottled   = "throttled"    // it asks for less, from all of us (429)

	// The recipient's own server says "later"; the provider is well.
	ReasonGreylisted     = "greylisted"
	ReasonRecipientLater = "temporary"
)

package sendgrid

import (
	"cmp"
	"strings"

	"github.com/tidwall/gjson"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

// effectOf says what follows from an event for the address
// (https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event).
// SendGrid tells by "type" whether a bounce is one of the address: a block is of
// the message or the sender, and suppresses nobody there either. What it drops
// and why is one of a list; of that, what is about us says nothing of the address.
func effectOf(event gjson.Result) suppression.Effect {
	e := suppression.Effect{Channel: audience.Email}
	word := event.Get("event").Str
	switch word {
	case "bounce":
		if event.Get("type").Str == "bounce" {
			e.Cause = cmp.Or(channels.FindEnhanced(event.Get("status").Str).Dead(), channels.FindEnhanced(event.Get("reason").Str).Dead(), suppression.Bounced)
		}
	case "dropped":
		e.Cause = dropped[strings.ToLower(event.Get("reason").Str)]
	case "deferred":
		if channels.FindEnhanced(event.Get("response").Str).Mailbox() {
			e.Cause, e.Counts = suppression.Bounced, true
		}
	case "spamreport":
		e.Cause = suppression.Complained
	case "unsubscribe", "group_unsubscribe":
		e.Cause = suppression.Unsubscribed
	}
	if e.Cause == "" {
		return suppression.Effect{}
	}
	e.Evidence = "sendgrid: " + word
	return e
}

// dropped has the reasons for which SendGrid drops a message that lie in the
// address, because it is on one of SendGrid's own lists.
var dropped = map[string]suppression.Cause{
	"bounced address":        suppression.Bounced,
	"invalid":                suppression.Invalid,
	"spam reporting address": suppression.Complained,
	"unsubscribed address":   suppression.Unsubscribed,
}

package twilio

import (
	"cmp"
	"net/http"
	"time"

	"github.com/tidwall/gjson"

	"utskick/channels"
	"utskick/suppression"
)

// queuePause is for a sender whose queue is full: it holds ten hours of messages.
const queuePause = 10 * time.Minute

// codes says what Twilio's error codes mean (https://www.twilio.com/docs/api/errors).
// Those that are not here are judged by the status alone. Twilio reserves to
// itself to make codes finer, and has: 21265, 21635 and 21659 to 21661 were
// parts of 21211, 21606 and 21614.
var codes = map[int64]channels.Result{
	// The number never works: it is suppressed.
	21610: {Class: channels.Refused, Reason: "opted_out", Suppress: suppression.Stopped},
	21211: {Class: channels.Refused, Reason: "invalid_number", Suppress: suppression.Invalid},
	21265: {Class: channels.Refused, Reason: "short_code", Suppress: suppression.Invalid},
	21614: {Class: channels.Refused, Reason: "not_mobile", Suppress: suppression.Invalid},
	21635: {Class: channels.Refused, Reason: "landline", Suppress: suppression.Invalid},
	30005: {Class: channels.Refused, Reason: "unknown_number", Suppress: suppression.Invalid},
	30006: {Class: channels.Refused, Reason: "landline", Suppress: suppression.Invalid},
	63003: {Class: channels.Refused, Reason: "invalid_number", Suppress: suppression.Invalid},
	63024: {Class: channels.Refused, Reason: "invalid_number", Suppress: suppression.Invalid},

	// This message is refused, the number is none the worse for it.
	21408: {Class: channels.Refused, Reason: "region_not_permitted"},
	21612: {Class: channels.Refused, Reason: "no_route"},
	21617: {Class: channels.Refused, Reason: channels.ReasonTooLarge},
	30003: {Class: channels.Refused, Reason: "unreachable"},
	30004: {Class: channels.Refused, Reason: "blocked"},
	30007: {Class: channels.Refused, Reason: "filtered"},
	30008: {Class: channels.Refused, Reason: "undeliverable"},
	63016: {Class: channels.Refused, Reason: "outside_window"},
	63049: {Class: channels.Refused, Reason: "undeliverable"},

	// Not now.
	20429: {Class: channels.NotTaken, Reason: "throttled"},
	21611: {Class: channels.NotTaken, Reason: "queue_full", Pause: queuePause},
	30001: {Class: channels.NotTaken, Reason: "queue_full", Pause: queuePause},
	63017: {Class: channels.NotTaken, Reason: "throttled"},
	63018: {Class: channels.NotTaken, Reason: "throttled"},
	63038: {Class: channels.NotTaken, Reason: "daily_limit", Pause: channels.LongestPause},

	// The sender or the account is wrong, so every message would be refused.
	21212: {Class: channels.HoldSender, Reason: "bad_sender"},
	21601: {Class: channels.HoldSender, Reason: "bad_sender"},
	21603: {Class: channels.HoldSender, Reason: "bad_sender"},
	21606: {Class: channels.HoldSender, Reason: "bad_sender"},
	21659: {Class: channels.HoldSender, Reason: "bad_sender"},
	21660: {Class: channels.HoldSender, Reason: "bad_sender"},
	21661: {Class: channels.HoldSender, Reason: "bad_sender"},
	21703: {Class: channels.HoldSender, Reason: "bad_sender"},
	21704: {Class: channels.HoldSender, Reason: "bad_sender"},
	21705: {Class: channels.HoldSender, Reason: "bad_sender"},
	21609: {Class: channels.Hold, Reason: "bad_callback"},
	30002: {Class: channels.Hold, Reason: "account_suspended"},
}

// answer says what an answer means for the message.
func (p *Provider) answer(a channels.Answer) channels.Result {
	if a.Status == http.StatusCreated {
		return channels.Result{Class: channels.Accepted, ProviderID: gjson.GetBytes(a.Body, "sid").String()}
	}
	r := a.ByStatus()
	if a.Status >= 400 && a.Status < 500 {
		if known, ok := codes[gjson.GetBytes(a.Body, "code").Int()]; ok {
			r = known
		}
	}
	if r.Class == channels.NotTaken || a.Status == http.StatusServiceUnavailable {
		r.Pause = cmp.Or(a.RetryAfter(p.config.Now()), r.Pause)
	}
	return r
}

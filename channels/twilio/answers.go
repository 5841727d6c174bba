package twilio

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"utskick/channels"
	"utskick/suppression"
)

const (
	// longestPause bounds what Retry-After can ask for: beyond it, it is taken
	// for broken.
	longestPause = time.Hour
	// queuePause is for a sender whose queue is full: it holds ten hours of
	// messages.
	queuePause = 10 * time.Minute
)

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
	63038: {Class: channels.NotTaken, Reason: "daily_limit", Pause: longestPause},

	// The sender or the account is wrong, so every message would be refused.
	21212: {Class: channels.Hold, Reason: "bad_sender"},
	21601: {Class: channels.Hold, Reason: "bad_sender"},
	21603: {Class: channels.Hold, Reason: "bad_sender"},
	21606: {Class: channels.Hold, Reason: "bad_sender"},
	21659: {Class: channels.Hold, Reason: "bad_sender"},
	21660: {Class: channels.Hold, Reason: "bad_sender"},
	21661: {Class: channels.Hold, Reason: "bad_sender"},
	21703: {Class: channels.Hold, Reason: "bad_sender"},
	21704: {Class: channels.Hold, Reason: "bad_sender"},
	21705: {Class: channels.Hold, Reason: "bad_sender"},
	21609: {Class: channels.Hold, Reason: "bad_callback"},
	30002: {Class: channels.Hold, Reason: "account_suspended"},
}

// answer says what an answer means for the message.
func (p *Provider) answer(a reply) channels.Result {
	if a.status == http.StatusCreated {
		return channels.Result{Class: channels.Accepted, ProviderID: gjson.GetBytes(a.body, "sid").String()}
	}
	r := byStatus(a.status)
	if a.status >= 400 && a.status < 500 {
		if known, ok := codes[gjson.GetBytes(a.body, "code").Int()]; ok {
			r = known
		}
	}
	if r.Class == channels.NotTaken || a.status == http.StatusServiceUnavailable {
		r.Pause = cmp.Or(p.pause(a.header), r.Pause)
	}
	return r
}

func byStatus(status int) channels.Result {
	switch {
	case status < 300:
		// None but 201 is documented. Whether anything went out is for a person
		// to find out.
		return channels.Result{Class: channels.InDoubt, Reason: channels.ReasonServerError}
	case status < 400:
		return channels.Result{Class: channels.Hold, Reason: "redirected"}
	case status == http.StatusUnauthorized:
		return channels.Result{Class: channels.Hold, Reason: "bad_credentials"}
	case status == http.StatusForbidden:
		return channels.Result{Class: channels.Hold, Reason: "forbidden"}
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return channels.Result{Class: channels.Hold, Reason: "wrong_endpoint"}
	case status == http.StatusRequestTimeout:
		return channels.Result{Class: channels.InDoubt, Reason: channels.ReasonTimeout}
	case status == http.StatusTooManyRequests:
		return channels.Result{Class: channels.NotTaken, Reason: "throttled"}
	case status < 500:
		return channels.Result{Class: channels.Rejected, Reason: "bad_request"}
	case status == http.StatusServiceUnavailable:
		// It usually says that nothing was taken, but Twilio does not promise it,
		// and a front may say it for a server that has taken the message.
		return channels.Result{Class: channels.InDoubt, Reason: channels.ReasonServerError}
	}
	return channels.Result{Class: channels.InDoubt, Reason: channels.ReasonServerError}
}

// pause reads Retry-After: a number of seconds or a date (RFC 9110, 10.2.3).
func (p *Provider) pause(header http.Header) time.Duration {
	var d time.Duration
	after := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(after, 10, 64); err == nil {
		d = time.Duration(min(max(seconds, 0), int64(longestPause/time.Second))) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		d = at.Sub(p.config.Now())
	}
	return min(max(d, 0), longestPause)
}

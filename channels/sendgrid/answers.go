package sendgrid

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"utskick/channels"
)

// longestPause bounds what the vendor's headers can ask for: beyond it, they
// are taken for broken.
const longestPause = time.Hour

// post makes the one request of an attempt. The context may end: the request
// then still has its time-out, since nobody can say whether it was taken.
func (p *Provider) post(ctx context.Context, attempt *channels.Attempt, body []byte, recipients int) channels.Result {
	ctx = channels.WithAttempt(context.WithoutCancel(ctx), attempt)
	response, err := p.client.SendWithContext(ctx, p.request(body))
	if response == nil {
		return channels.Failure(err, attempt.Written())
	}
	// With a response, an error is about the rest of its body, which says no
	// more than the status did.
	result := p.answer(response.StatusCode, http.Header(response.Headers), recipients)
	if response.StatusCode == http.StatusForbidden && gjson.Get(response.Body, `errors.#(field=="from")`).Exists() {
		// The sender is not verified
		// (https://www.twilio.com/docs/sendgrid/for-developers/sending-email/sender-identity).
		result.Class, result.Reason = channels.HoldSender, "bad_sender"
	}
	return result
}

// answer says what a status means for the recipients of a request
// (https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/responses).
func (p *Provider) answer(status int, header http.Header, recipients int) channels.Result {
	r := channels.Result{ProviderID: header.Get("X-Message-Id")}
	switch {
	case status == http.StatusAccepted:
		r.Class = channels.Accepted
	case status < 300:
		// 200 is the sandbox's, which sends nothing; no other is documented.
		// Whether anything went out is for a person to find out.
		r.Class, r.Reason = channels.InDoubt, channels.ReasonServerError
	case status < 400:
		r.Class, r.Reason = channels.Hold, "redirected"
	case status == http.StatusUnauthorized:
		r.Class, r.Reason = channels.Hold, "bad_credentials"
	case status == http.StatusForbidden:
		r.Class, r.Reason = channels.Hold, "forbidden"
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		r.Class, r.Reason = channels.Hold, "wrong_endpoint"
	case status == http.StatusRequestEntityTooLarge:
		r.Class, r.Reason = channels.TooLarge, channels.ReasonTooLarge
	case status == http.StatusTooManyRequests:
		r.Class, r.Reason, r.Pause = channels.NotTaken, "throttled", p.pause(header)
	case status == http.StatusRequestTimeout:
		r.Class, r.Reason = channels.InDoubt, channels.ReasonTimeout
	case status < 500:
		r.Class, r.Reason = refusal(recipients), "bad_request"
	case status == http.StatusServiceUnavailable:
		// It usually says that nothing was taken, but SendGrid does not promise
		// it, and a front may say it for a server that has taken all.
		r.Class, r.Reason, r.Pause = channels.InDoubt, channels.ReasonServerError, p.pause(header)
	default:
		r.Class, r.Reason = channels.InDoubt, channels.ReasonServerError
	}
	return r
}

// refusal is about the recipient when there is only one.
func refusal(recipients int) channels.Class {
	if recipients == 1 {
		return channels.Refused
	}
	return channels.Rejected
}

// pause reads how long to wait: X-RateLimit-Reset is a time in seconds since
// 1970, Retry-After a number of seconds or a date (RFC 9110, 10.2.3).
func (p *Provider) pause(header http.Header) time.Duration {
	var d time.Duration
	if reset, err := strconv.ParseInt(header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
		d = time.Unix(reset, 0).Sub(p.now())
	} else if after := header.Get("Retry-After"); after != "" {
		if seconds, err := strconv.ParseInt(after, 10, 64); err == nil {
			d = time.Duration(min(max(seconds, 0), int64(longestPause/time.Second))) * time.Second
		} else if at, err := http.ParseTime(after); err == nil {
			d = at.Sub(p.now())
		}
	}
	return min(max(d, 0), longestPause)
}

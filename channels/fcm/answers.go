package fcm

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"utskick/channels"
	"utskick/suppression"
)

const (
	// longestPause bounds what Retry-After can ask for: beyond it, it is taken
	// for broken.
	longestPause = time.Hour
	// quotaPause is what FCM asks for when it names no time: the quota is
	// counted by the minute.
	quotaPause = time.Minute
)

// failure is the body of an error (google.rpc.Status). The code is FCM's own,
// and not there for errors that come before FCM looks at the message.
type failure struct {
	Error struct {
		Message string `json:"message"`
		Details []struct {
			Type       string `json:"@type"`
			Code       string `json:"errorCode"`
			Violations []struct {
				Field string `json:"field"`
			} `json:"fieldViolations"`
		} `json:"details"`
	} `json:"error"`
}

func (f failure) code() string {
	for _, d := range f.Error.Details {
		if d.Type == "type.googleapis.com/google.firebase.fcm.v1.FcmError" {
			return d.Code
		}
	}
	return ""
}

// aboutToken reports whether an INVALID_ARGUMENT means the token. FCM has no
// code of its own for that; what tells it from a bad payload is the violated
// field, or this one message
// (https://firebase.google.com/docs/cloud-messaging/error-codes).
func (f failure) aboutToken() bool {
	for _, d := range f.Error.Details {
		if len(d.Violations) > 0 {
			return d.Violations[0].Field == "message.token"
		}
	}
	return strings.Contains(f.Error.Message, "registration token is not a valid FCM registration token")
}

// answer says what an answer means for the message
// (https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode).
func (p *Provider) answer(a reply) channels.Result {
	if a.status == http.StatusOK {
		return channels.Result{Class: channels.Accepted, ProviderID: gjson.GetBytes(a.body, "name").String()}
	}
	r := byStatus(a.status)
	if a.status >= 400 && a.status < 500 {
		var f failure
		// What is not JSON has no code.
		_ = json.Unmarshal(a.body, &f)
		r = byCode(f, r)
	}
	switch {
	case r.Class == channels.NotTaken:
		r.Pause = p.pause(a.header, quotaPause)
	case a.status == http.StatusServiceUnavailable:
		r.Pause = p.pause(a.header, 0)
	}
	return r
}

// byCode lets FCM's own code decide, where there is one.
func byCode(f failure, r channels.Result) channels.Result {
	switch f.code() {
	case "UNREGISTERED":
		return channels.Result{Class: channels.Refused, Reason: "unregistered", Suppress: suppression.Unregistered}
	case "SENDER_ID_MISMATCH":
		// The device belongs to another project: our key will never reach it.
		return channels.Result{Class: channels.Refused, Reason: "sender_mismatch", Suppress: suppression.Invalid}
	case "THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR":
		return channels.Result{Class: channels.Hold, Reason: "platform_credentials"}
	case "QUOTA_EXCEEDED":
		return channels.Result{Class: channels.NotTaken, Reason: "throttled"}
	}
	if r.Class == channels.Rejected && f.aboutToken() {
		return channels.Result{Class: channels.Refused, Reason: "invalid_token", Suppress: suppression.Invalid}
	}
	return r
}

func byStatus(status int) channels.Result {
	switch {
	case status < 300:
		// None but 200 is documented. Whether anything went out is for a person
		// to find out.
		return channels.Result{Class: channels.InDoubt, Reason: channels.ReasonServerError}
	case status < 400:
		return channels.Result{Class: channels.Hold, Reason: "redirected"}
	case status == http.StatusUnauthorized:
		return channels.Result{Class: channels.Hold, Reason: reasonCredentials}
	case status == http.StatusForbidden:
		return channels.Result{Class: channels.Hold, Reason: "forbidden"}
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		// Without UNREGISTERED it is the project or the address that is not
		// found, and no device must be suppressed for that.
		return channels.Result{Class: channels.Hold, Reason: "wrong_endpoint"}
	case status == http.StatusRequestTimeout:
		return channels.Result{Class: channels.InDoubt, Reason: channels.ReasonTimeout}
	case status == http.StatusTooManyRequests:
		return channels.Result{Class: channels.NotTaken, Reason: "throttled"}
	case status < 500:
		return channels.Result{Class: channels.Rejected, Reason: "bad_request"}
	case status == http.StatusServiceUnavailable:
		// FCM asks to try again, but does not say that the message was not taken.
		return channels.Result{Class: channels.InDoubt, Reason: channels.ReasonServerError}
	}
	return channels.Result{Class: channels.InDoubt, Reason: channels.ReasonServerError}
}

// pause reads Retry-After: a number of seconds or a date (RFC 9110, 10.2.3).
func (p *Provider) pause(header http.Header, otherwise time.Duration) time.Duration {
	d := otherwise
	after := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(after, 10, 64); err == nil {
		d = time.Duration(min(max(seconds, 0), int64(longestPause/time.Second))) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		d = at.Sub(p.config.Now())
	}
	return min(max(d, 0), longestPause)
}

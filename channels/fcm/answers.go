package fcm

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"utskick/channels"
	"utskick/suppression"
)

// quotaPause is what FCM asks for when it names no time: the quota is counted by
// the minute.
const quotaPause = time.Minute

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
func (p *Provider) answer(a channels.Answer) channels.Result {
	if a.Status == http.StatusOK {
		return channels.Result{Class: channels.Accepted, ProviderID: gjson.GetBytes(a.Body, "name").String()}
	}
	r := a.ByStatus()
	if a.Status >= 400 && a.Status < 500 {
		var f failure
		// What is not JSON has no code.
		_ = json.Unmarshal(a.Body, &f)
		r = byCode(f, r)
	}
	switch {
	case r.Class == channels.NotTaken:
		r.Pause = cmp.Or(a.RetryAfter(p.config.Now()), quotaPause)
	case a.Status == http.StatusServiceUnavailable:
		r.Pause = a.RetryAfter(p.config.Now())
	}
	return r
}

// byCode lets FCM's own code decide, where there is one. A 404 without
// UNREGISTERED is about the project or the address, and no device must be
// suppressed for it.
func byCode(f failure, r channels.Result) channels.Result {
	switch f.code() {
	case "UNREGISTERED":
		return channels.Result{Class: channels.Refused, Reason: "unregistered", Suppress: suppression.Unregistered}
	case "SENDER_ID_MISMATCH":
		// The device belongs to another project: our key will never reach it.
		return channels.Result{Class: channels.Refused, Reason: "sender_mismatch", Suppress: suppression.Invalid}
	case "THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR":
		return channels.Result{Class: channels.HoldSender, Reason: "platform_credentials"}
	case "QUOTA_EXCEEDED":
		return channels.Result{Class: channels.NotTaken, Reason: "throttled"}
	}
	if r.Class == channels.Rejected && f.aboutToken() {
		return channels.Result{Class: channels.Refused, Reason: "invalid_token", Suppress: suppression.Invalid}
	}
	return r
}

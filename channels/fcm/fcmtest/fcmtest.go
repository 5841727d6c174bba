// Package fcmtest is a stand-in for Firebase Cloud Messaging, and for the server
// that gives out access tokens.
package fcmtest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"utskick/channels/channeltest"
	"utskick/channels/channeltest/standin"
)

// Project is the project that the stand-in knows.
const Project = "exempelbolaget-test"

// Start starts a stand-in that takes the access tokens of the token server.
func Start(tokens *Tokens) *standin.Server { return standin.Start(vendor{tokens}) }

// StartSink starts one that accepts whatever comes.
func StartSink() (*standin.Sink, error) {
	accepted := vendor{}.Accept([]channeltest.Message{{To: "enhet"}})
	return standin.StartSink("", http.StatusOK, accepted.Body, "Content-Type: application/json; charset=UTF-8")
}

// Answer is an error as Google words it: status is the canonical code, such as
// NOT_FOUND, code FCM's own, such as UNREGISTERED, and field what the request has
// wrong; the last two may be empty.
func Answer(httpStatus int, status, code, field, message string) channeltest.Answer {
	var details []any
	if code != "" {
		details = append(details, map[string]any{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
	}
	if field != "" {
		violation := map[string]any{"field": field, "description": message}
		details = append(details, map[string]any{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": []any{violation}})
	}
	failure := map[string]any{"code": httpStatus, "message": message, "status": status}
	if details != nil {
		failure["details"] = details
	}
	return answer(httpStatus, map[string]any{"error": failure})
}

func answer(status int, body any) channeltest.Answer {
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		panic(err) // plain values alone
	}
	return channeltest.Answer{Status: status, Header: map[string]string{"Content-Type": "application/json; charset=UTF-8"}, Body: string(text)}
}

type vendor struct{ tokens *Tokens }

// request has the fields of FCM's message that are known here, and no others.
type request struct {
	ValidateOnly bool `json:"validate_only"`
	Message      struct {
		Token        string `json:"token"`
		Notification struct {
			Title string `json:"title"`
			Body  string `json:"body"`
			Image string `json:"image"`
		} `json:"notification"`
		Data    map[string]string `json:"data"`
		Android struct {
			CollapseKey string `json:"collapse_key"`
			Priority    string `json:"priority"`
			TTL         string `json:"ttl"`
		} `json:"android"`
		APNS    struct{ Headers map[string]string } `json:"apns"`
		Webpush struct{ Headers map[string]string } `json:"webpush"`
	} `json:"message"`
}

// Read understands a request, or refuses it.
func (v vendor) Read(r *http.Request, body []byte) ([]channeltest.Message, *channeltest.Answer) {
	var in request
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	m := in.Message
	var refusal channeltest.Answer
	switch {
	case !v.tokens.gave(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")):
		refusal = Answer(http.StatusUnauthorized, "UNAUTHENTICATED", "", "", "Request had invalid authentication credentials.")
	case r.Method != http.MethodPost || r.URL.Path != "/v1/projects/"+Project+"/messages:send":
		refusal = Answer(http.StatusNotFound, "NOT_FOUND", "", "", "Requested entity was not found.")
	case err != nil:
		refusal = Answer(http.StatusBadRequest, "INVALID_ARGUMENT", "", "message", "Invalid JSON payload received.")
	case m.Token == "":
		refusal = Answer(http.StatusBadRequest, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "", "The registration token is not a valid FCM registration token")
	case size(m.Notification.Title, m.Notification.Body, m.Data) > 4096:
		refusal = Answer(http.StatusBadRequest, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "", "Message is too big")
	case !strings.HasSuffix(m.Android.TTL, "s"):
		refusal = Answer(http.StatusBadRequest, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.android.ttl", "Invalid TTL")
	default:
		return []channeltest.Message{{To: m.Token, Subject: m.Notification.Title, Text: m.Notification.Body, Data: m.Data}}, nil
	}
	return nil, &refusal
}

func size(title, body string, data map[string]string) int {
	n := len(title) + len(body)
	for name, value := range data {
		n += len(name) + len(value)
	}
	return n
}

// Accept names the message.
func (v vendor) Accept(messages []channeltest.Message) channeltest.Answer {
	messages[0].ID = fmt.Sprintf("projects/%s/messages/0:%s", Project, rand.Text())
	return answer(http.StatusOK, map[string]any{"name": messages[0].ID})
}

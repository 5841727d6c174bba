// Package twiliotest is a stand-in for Twilio's Messages API.
package twiliotest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"utskick/channels/channeltest"
	"utskick/channels/channeltest/standin"
)

// Account is a stand-in with the messages of its account.
type Account struct {
	*standin.Server
	vendor *vendor
}

// Start starts a stand-in that wants the given account and token.
func Start(account, token string) *Account {
	v := &vendor{account: account, token: token}
	return &Account{standin.Start(v), v}
}

// StartSink starts one that accepts whatever comes.
func StartSink(account string) (*standin.Sink, error) {
	created := (&vendor{account: account}).Accept([]channeltest.Message{{To: "+46701740605"}})
	return standin.StartSink("", http.StatusCreated, created.Body, "Content-Type: application/json")
}

// Answer is an error as Twilio words it; code is Twilio's own.
func Answer(status, code int, message string) channeltest.Answer {
	return answer(status, map[string]any{
		"code": code, "message": message, "status": status,
		"more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code),
	})
}

func answer(status int, body any) channeltest.Answer {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // plain values alone
	}
	return channeltest.Answer{Status: status, Header: map[string]string{"Content-Type": "application/json"}, Body: string(text)}
}

type vendor struct {
	account, token string

	mu       sync.Mutex
	messages []api.ApiV2010Message // the newest last
}

// Read understands a request, or refuses it.
func (v *vendor) Read(r *http.Request, body []byte) ([]channeltest.Message, *channeltest.Answer) {
	if list, asked := v.list(r); asked {
		return nil, &list
	}
	form, refusal := v.check(r, body)
	if refusal.Status != 0 {
		return nil, &refusal
	}
	m := channeltest.Message{To: form.Get("To"), From: form.Get("MessagingServiceSid"), Text: form.Get("Body"), Args: map[string]string{}}
	if m.From == "" {
		m.From = form.Get("From")
	}
	if callback, err := url.Parse(form.Get("StatusCallback")); err == nil {
		for name := range callback.Query() {
			m.Args[name] = callback.Query().Get(name)
		}
	}
	return []channeltest.Message{m}, nil
}

func (v *vendor) check(r *http.Request, body []byte) (url.Values, channeltest.Answer) {
	form, err := url.ParseQuery(string(body))
	user, password, _ := r.BasicAuth()
	switch {
	case user != v.account || password != v.token:
		return nil, Answer(http.StatusUnauthorized, 20003, "Authenticate")
	case r.URL.Path != "/2010-04-01/Accounts/"+v.account+"/Messages.json":
		return nil, Answer(http.StatusNotFound, 20404, "The requested resource was not found")
	case r.Method != http.MethodPost:
		return nil, Answer(http.StatusMethodNotAllowed, 20004, "Method not allowed")
	case err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded":
		return nil, Answer(http.StatusBadRequest, 20001, "The body is not a form")
	case form.Get("To") == "":
		return nil, Answer(http.StatusBadRequest, 21604, "A 'To' phone number is required.")
	case form.Get("From") == "" && form.Get("MessagingServiceSid") == "":
		return nil, Answer(http.StatusBadRequest, 21603, "A 'From' phone number is required.")
	case form.Get("Body") == "":
		return nil, Answer(http.StatusBadRequest, 21602, "Message body is required.")
	case utf8.RuneCountInString(form.Get("Body")) > 1600:
		return nil, Answer(http.StatusBadRequest, 21617, "The concatenated message body exceeds the 1600 character limit")
	case !strings.HasPrefix(form.Get("To"), "+"):
		return nil, Answer(http.StatusBadRequest, 21211, "Invalid 'To' Phone Number: "+form.Get("To"))
	}
	return form, channeltest.Answer{}
}

// Accept answers with the message's resource.
func (v *vendor) Accept(messages []channeltest.Message) channeltest.Answer {
	m := &messages[0]
	m.ID = newSID()
	status, direction, segments, media, version := "queued", "outbound-api", "1", "0", "2010-04-01"
	uri := "/2010-04-01/Accounts/" + v.account + "/Messages/" + m.ID + ".json"
	now := time.Now().UTC().Format(time.RFC1123Z)
	resource := api.ApiV2010Message{
		Sid: &m.ID, AccountSid: &v.account, To: &m.To, Body: &m.Text, Status: &status, Direction: &direction,
		NumSegments: &segments, NumMedia: &media, ApiVersion: &version, Uri: &uri, DateCreated: &now, DateUpdated: &now,
	}
	if strings.HasPrefix(m.From, "MG") {
		status, resource.MessagingServiceSid = "accepted", &m.From
	} else {
		resource.From = &m.From
	}
	v.add(resource)
	return answer(http.StatusCreated, resource)
}

// Package sendgridtest is a stand-in for SendGrid's Mail Send API. It checks
// requests as SendGrid documents it, and does the substitutions.
package sendgridtest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/sendgrid/sendgrid-go/helpers/mail"

	"utskick/channels/channeltest"
	"utskick/channels/channeltest/standin"
)

// Start starts a stand-in that wants the given API key; an empty one is any.
func Start(key string) *standin.Server { return standin.Start(vendor{key}) }

// StartSink starts one that accepts whatever comes, and counts recipients.
func StartSink() (*standin.Sink, error) {
	return standin.StartSink(`{"to":[`, http.StatusAccepted, "", "X-Message-Id: "+newID())
}

// Answer is an answer as SendGrid words it.
func Answer(status int, message string) channeltest.Answer {
	body, err := json.Marshal(map[string]any{"errors": []any{map[string]any{"message": message, "field": nil, "help": nil}}})
	if err != nil {
		panic(err) // strings alone
	}
	return channeltest.Answer{Status: status, Header: map[string]string{"Content-Type": "application/json"}, Body: string(body)}
}

type vendor struct{ key string }

// Read understands a request, or refuses it.
func (v vendor) Read(r *http.Request, body []byte) ([]channeltest.Message, *channeltest.Answer) {
	if refusal := v.checkRequest(r); refusal != nil {
		return nil, refusal
	}
	m, err := decode(body)
	if err == nil {
		err = checkMail(m)
	}
	if err != nil {
		refusal := Answer(http.StatusBadRequest, err.Error())
		return nil, &refusal
	}
	messages := make([]channeltest.Message, len(m.Personalizations))
	for i, p := range m.Personalizations {
		messages[i] = merge(m, p)
	}
	return messages, nil
}

// Accept names the call; each message's name begins with it, as in the event
// webhook.
func (v vendor) Accept(messages []channeltest.Message) channeltest.Answer {
	id := newID()
	for i := range messages {
		messages[i].ID = fmt.Sprintf("%s.recvd-%d", id, i)
		messages[i].Status = http.StatusAccepted
	}
	return channeltest.Answer{Status: http.StatusAccepted, Header: map[string]string{"X-Message-Id": id}}
}

func newID() string { return rand.Text()[:22] }

func (v vendor) checkRequest(r *http.Request) *channeltest.Answer {
	var refusal channeltest.Answer
	switch {
	case r.URL.Path != "/v3/mail/send":
		refusal = Answer(http.StatusNotFound, "not found")
	case r.Method != http.MethodPost:
		refusal = Answer(http.StatusMethodNotAllowed, "method not allowed")
	case v.key != "" && r.Header.Get("Authorization") != "Bearer "+v.key:
		refusal = Answer(http.StatusUnauthorized, "The provided authorization grant is invalid, expired, or revoked")
	case r.Header.Get("Content-Type") != "application/json":
		refusal = Answer(http.StatusUnsupportedMediaType, "Content-Type should be application/json.")
	default:
		return nil
	}
	return &refusal
}

// decode reads the body with SendGrid's own types and knows no other fields.
func decode(body []byte) (*mail.SGMailV3, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	m := new(mail.SGMailV3)
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("bad request: %w", err)
	}
	if d.More() {
		return nil, fmt.Errorf("bad request: more than one value")
	}
	return m, nil
}

// merge makes the message that one recipient gets.
func merge(m *mail.SGMailV3, p *mail.Personalization) channeltest.Message {
	var pairs []string
	for tag, value := range p.Substitutions {
		pairs = append(pairs, tag, value)
	}
	fill := strings.NewReplacer(pairs...).Replace
	out := channeltest.Message{To: p.To[0].Address, From: m.From.Address, Subject: fill(m.Subject), Headers: map[string]string{}, Args: p.CustomArgs}
	if m.ReplyTo != nil {
		out.ReplyTo = m.ReplyTo.Address
	}
	for _, content := range m.Content {
		if content.Type == "text/plain" {
			out.Text = fill(content.Value)
		} else {
			out.HTML = fill(content.Value)
		}
	}
	for _, headers := range []map[string]string{m.Headers, p.Headers} {
		for name, value := range headers {
			out.Headers[name] = value
		}
	}
	return out
}

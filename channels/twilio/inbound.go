package twilio

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

// Inbound reads what people answer
// (https://www.twilio.com/docs/messaging/guides/webhook-request).
type Inbound struct{ hook *Hook }

// NewInbound takes what [NewHook] does; the address is that which the number, or
// the messaging service, names for incoming messages.
func NewInbound(token, address string, now func() time.Time) (*Inbound, error) {
	h, err := NewHook(token, address, now)
	if err != nil {
		return nil, err
	}
	return &Inbound{h}, nil
}

// Answer says that nothing is to be sent (TwiML). Twilio answers a STOP itself,
// where it is set to.
func (*Inbound) Answer() []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?><Response/>`)
}

// Read verifies like [Hook.Read], and reads one message.
func (i *Inbound) Read(query string, header http.Header, body []byte) (told channels.Told, err error) {
	_, form, err := i.hook.verify(query, header, body)
	if err != nil {
		return told, err
	}
	if r, ours := i.reply(form); ours {
		told.Replies = []channels.Reply{r}
	} else {
		told.Foreign = 1
	}
	return told, nil
}

// reply reads a message. From has the channel before it where it is not an SMS, as
// in whatsapp:+46…, and we send by SMS alone.
func (i *Inbound) reply(form url.Values) (r channels.Reply, ours bool) {
	id, from := form.Get("MessageSid"), form.Get("From")
	if !channels.IsID(id) || !strings.HasPrefix(from, "+") {
		return r, false
	}
	r.Kind = audience.KindPhone
	r.Reply = suppression.Reply{ID: "twilio-" + id, At: i.hook.now(), Channel: audience.SMS, Address: from,
		To: []string{form.Get("MessagingServiceSid"), form.Get("To")}, Meaning: meaningOf(form), Text: form.Get("Body")}
	return r, true
}

// meaningOf believes Twilio's Advanced Opt-Out
// (https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out), which knows
// the words that the service was set up with. What it is silent about is read.
func meaningOf(form url.Values) suppression.Meaning {
	switch strings.ToUpper(form.Get("OptOutType")) {
	case "STOP":
		return suppression.SaysStop
	case "START":
		return suppression.SaysStart
	case "HELP":
		return suppression.SaysHelp
	}
	return suppression.ReadMeaning(form.Get("Body"))
}

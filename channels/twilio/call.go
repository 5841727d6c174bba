package twilio

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"utskick/channels"
)

// Prepare encodes the messages. It fails on a draft that cannot be sent, and
// without a sender.
func (p *Provider) Prepare(_ context.Context, d channels.Draft) (channels.Call, error) {
	if err := check(d); err != nil {
		return nil, err
	}
	from, err := p.from(d)
	if err != nil {
		return nil, err
	}
	callback := p.callback(d.Group)
	forms := make([]string, len(d.Keys)) // all of each body but the number
	var text []byte
	for row, key := range d.Keys {
		text = d.Skeleton.Text.Append(text[:0], d.Sheet, row)
		form := from + "&Body=" + url.QueryEscape(strings.ToValidUTF8(string(text), "\ufffd"))
		if callback != "" {
			form += callback + hex.EncodeToString(key[:]) + repeat
		}
		forms[row] = form + "&To="
	}
	body := func(row int, number string) ([]byte, channels.Result) {
		return []byte(forms[row] + url.QueryEscape(number)), channels.Result{}
	}
	return &channels.SingleCall{Single: p.single, Header: p.header, Keys: d.Keys, Body: body, Answer: p.answer}, nil
}

// from returns the beginning of each body: whom the message comes from.
func (p *Provider) from(d channels.Draft) (string, error) {
	sender := d.Skeleton.Sender
	field, value := p.sender(sender.SMSService, sender.SMSSender)
	if value == "" {
		return "", fmt.Errorf("twilio: the sender %q has neither sms_sender nor sms_service; save it with one", sender.Name)
	}
	return field + "=" + url.QueryEscape(value), nil
}

// The fields that say whom a message comes from.
const (
	fieldService = "MessagingServiceSid"
	fieldFrom    = "From"
)

// sender returns the field and the value for a sender with this service or name.
func (p *Provider) sender(service, name string) (field, value string) {
	for _, c := range []struct{ field, value string }{
		{fieldService, service}, {fieldFrom, name}, {fieldService, p.config.Service}, {fieldFrom, p.config.From},
	} {
		if c.value != "" {
			return c.field, c.value
		}
	}
	return "", ""
}

// overrides ask Twilio to repeat a callback that is answered 5xx or not in time:
// by itself it repeats what could not connect, once
// (https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides).
const overrides = "#rc=5&rp=5xx,ct,rt"

var repeat = url.QueryEscape(overrides)

// callback returns the field for the status callback up to the message's key,
// or nothing.
func (p *Provider) callback(group int64) string {
	address := p.config.StatusCallback
	if address == "" {
		return ""
	}
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return "&StatusCallback=" + url.QueryEscape(fmt.Sprintf("%s%sg=%d&k=", address, separator, group))
}

package twilio

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

const (
	reasonForeign = "foreign_permit" // the permit is for another recipient than the row
	reasonStopped = "stopped"        // the send was ended before this row
)

// call is a chunk of messages, encoded but for their numbers.
type call struct {
	provider *Provider
	keys     []audience.Key
	forms    []string // all of each body but the number
}

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
	c := &call{provider: p, keys: d.Keys, forms: make([]string, len(d.Keys))}
	var text []byte
	for row, key := range d.Keys {
		text = d.Skeleton.Text.Append(text[:0], d.Sheet, row)
		form := from + "&Body=" + url.QueryEscape(strings.ToValidUTF8(string(text), "\ufffd"))
		if callback != "" {
			form += callback + hex.EncodeToString(key[:])
		}
		c.forms[row] = form + "&To="
	}
	return c, nil
}

// from returns the beginning of each body: whom the message comes from.
func (p *Provider) from(d channels.Draft) (string, error) {
	sender := d.Skeleton.Sender
	for _, c := range []struct{ field, value string }{
		{"MessagingServiceSid", sender.SMSService},
		{"From", sender.SMSSender},
		{"MessagingServiceSid", p.config.Service},
		{"From", p.config.From},
	} {
		if c.value != "" {
			return c.field + "=" + url.QueryEscape(c.value), nil
		}
	}
	return "", fmt.Errorf("twilio: the sender %q has neither sms_sender nor sms_service; save it with one", sender.Name)
}

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

// Send makes one request for each permit, a bounded number at a time over all
// calls of the provider.
func (c *call) Send(ctx context.Context, permits []*suppression.Permit) []channels.Result {
	results := channels.Fill(permits, channels.Result{Class: channels.Withheld, Reason: reasonStopped})
	var begun sync.WaitGroup
	for row, permit := range permits {
		if permit == nil {
			continue
		}
		if !c.provider.take(ctx) {
			break
		}
		begun.Go(func() {
			defer c.provider.give()
			results[row] = c.attempt(row, permit)
		})
	}
	begun.Wait()
	return results
}

// take waits for a slot, and reports false when ctx has ended.
func (p *Provider) take(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Provider) give() { <-p.slots }

// attempt makes the one request of a message.
func (c *call) attempt(row int, permit *suppression.Permit) channels.Result {
	if permit.Key() != c.keys[row] {
		return channels.Result{Class: channels.Withheld, Reason: reasonForeign}
	}
	number, err := permit.Open()
	if err != nil {
		return channels.Result{Class: channels.Withheld, Reason: channels.ReasonExpired}
	}
	attempt := channels.NewAttempt(permit)
	answer, err := c.provider.post(attempt, c.forms[row]+url.QueryEscape(number))
	if err != nil {
		return channels.Failure(err, attempt.Written())
	}
	return c.provider.answer(answer)
}

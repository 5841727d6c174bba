package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

const (
	reasonForeign     = "foreign_permit" // the permit is for another recipient than the row
	reasonStopped     = "stopped"        // the send was ended before this row
	reasonCredentials = "bad_credentials"

	// maxPayload is the most that the texts and data of a message may take, keys
	// included, in bytes.
	maxPayload = 4096
)

// call is a chunk of messages, encoded but for their tokens.
type call struct {
	provider *Provider
	header   http.Header // nil when Google refuses the account
	keys     []audience.Key
	bodies   []string // all of each body up to its token; empty is too large
}

// Prepare encodes the messages and sees to it that there is an access token. It
// fails on a draft that cannot be sent, and while no token can be had.
func (p *Provider) Prepare(_ context.Context, d channels.Draft) (channels.Call, error) {
	if err := check(d); err != nil {
		return nil, err
	}
	header, err := p.header()
	if err != nil && !errors.Is(err, errCredentials) {
		return nil, err
	}
	c := &call{provider: p, header: header, keys: d.Keys, bodies: make([]string, len(d.Keys))}
	m := p.platforms(d.Group)
	for row := range d.Keys {
		if !m.fill(d, row) {
			continue
		}
		encoded, err := json.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("fcm: message of group %d: %w", d.Group, err)
		}
		c.bodies[row] = `{"message":` + strings.TrimSuffix(string(encoded), "}") + `,"token":`
	}
	return c, nil
}

// Send makes one request for each permit, a bounded number at a time over all
// calls of the provider.
func (c *call) Send(ctx context.Context, permits []*suppression.Permit) []channels.Result {
	if c.header == nil {
		return channels.Fill(permits, channels.Result{Class: channels.Hold, Reason: reasonCredentials})
	}
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

// attempt makes the one request of a message.
func (c *call) attempt(row int, permit *suppression.Permit) channels.Result {
	if permit.Key() != c.keys[row] {
		return channels.Result{Class: channels.Withheld, Reason: reasonForeign}
	}
	if c.bodies[row] == "" {
		return channels.Result{Class: channels.Refused, Reason: channels.ReasonTooLarge}
	}
	token, err := permit.Open()
	if err != nil {
		return channels.Result{Class: channels.Withheld, Reason: channels.ReasonExpired}
	}
	quoted, err := json.Marshal(token)
	if err != nil {
		return channels.Result{Class: channels.Refused, Reason: "invalid_token", Suppress: suppression.Invalid}
	}
	attempt := channels.NewAttempt(permit)
	answer, err := c.provider.post(attempt, c.header, c.bodies[row]+string(quoted)+"}}")
	if err != nil {
		return channels.Failure(err, attempt.Written())
	}
	return c.provider.answer(answer)
}

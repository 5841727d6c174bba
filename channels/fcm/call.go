package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"utskick/channels"
	"utskick/suppression"
)

// maxPayload is the most that the texts and data of a message may take, keys
// included, in bytes.
const maxPayload = 4096

// Prepare encodes the messages and sees to it that there is an access token. It
// fails on a draft that cannot be sent, and while no token can be had.
func (p *Provider) Prepare(_ context.Context, d channels.Draft) (channels.Call, error) {
	if err := check(d); err != nil {
		return nil, err
	}
	header, err := p.header()
	if errors.Is(err, errCredentials) {
		return refused{}, nil
	}
	if err != nil {
		return nil, err
	}
	bodies, err := p.encode(d)
	if err != nil {
		return nil, fmt.Errorf("fcm: message of group %d: %w", d.Group, err)
	}
	body := func(row int, token string) ([]byte, channels.Result) { return withToken(bodies[row], token) }
	return &channels.SingleCall{Single: p.single, Header: header, Keys: d.Keys, Body: body, Answer: p.answer}, nil
}

// encode returns all of each body up to its token; empty is too large. What the
// platforms are told is the same in all of them.
func (p *Provider) encode(d channels.Draft) ([]string, error) {
	platforms, err := json.Marshal(p.platforms(d.Group))
	if err != nil {
		return nil, err
	}
	end := "," + string(platforms[1:len(platforms)-1]) + `,"token":`
	bodies := make([]string, len(d.Keys))
	c := content{Data: make(map[string]string, len(d.Skeleton.Data))}
	for row := range d.Keys {
		if !c.fill(d, row) {
			continue
		}
		encoded, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		bodies[row] = `{"message":` + strings.TrimSuffix(string(encoded), "}") + end
	}
	return bodies, nil
}

// withToken returns a body, given what comes before its token.
func withToken(rest, token string) ([]byte, channels.Result) {
	if rest == "" {
		return nil, channels.Result{Class: channels.Refused, Reason: channels.ReasonTooLarge}
	}
	quoted, err := json.Marshal(token)
	if err != nil {
		return nil, channels.Result{Class: channels.Refused, Reason: "invalid_token", Suppress: suppression.Invalid}
	}
	return []byte(rest + string(quoted) + "}}"), channels.Result{}
}

// refused is a chunk for which there is no access token, because Google refuses
// the account.
type refused struct{}

// Send attempts nothing.
func (refused) Send(_ context.Context, permits []*suppression.Permit) []channels.Result {
	return channels.Fill(permits, channels.Result{Class: channels.Hold, Reason: channels.ReasonCredentials})
}

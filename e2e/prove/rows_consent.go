package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"utskick/e2e/witness"
)

// consents are the rows in which people change their minds.
func consents() []row {
	return []row{{
		name: "consent", fault: "withdrawals and renewed consents interleaved, 0.2 s between check and first byte", waver: 80,
		arms: func(string) map[string][]string {
			held := []string{"checked=delay:200ms"}
			return map[string][]string{"work-1": held, "work-2": held, "serve": held}
		},
		apply: waver,
	}}
}

// waver lets people withdraw and consent again, over and over, while two campaigns
// go out. Some end with the one and some with the other.
func waver(s *stage) error {
	key, err := s.newKey()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(s.ctx)
	defer stop()
	var wg sync.WaitGroup
	var renewals atomic.Int64
	for _, m := range s.waverers {
		wg.Go(func() { s.changesMind(ctx, m, key, &renewals) })
	}
	for range 2 {
		if err = s.launchAndWait(); err != nil {
			break
		}
	}
	stop()
	wg.Wait()
	s.over = time.Now()
	s.faults += int(renewals.Load())
	return errors.Join(err, s.wavered())
}

// newKey makes an API key.
func (s *stage) newKey() (string, error) {
	out, err := s.cli("keys", "create", "--name", "proof", "--scope", "marketing", "--json")
	if err != nil {
		return "", err
	}
	var made struct{ Key string }
	err = json.Unmarshal([]byte(out), &made)
	return made.Key, err
}

// changesMind says one thing after the other, each when the one before was
// answered.
func (s *stage) changesMind(ctx context.Context, m witness.Message, key string, renewals *atomic.Int64) {
	for ctx.Err() == nil {
		if !s.insist(ctx, func() bool { return s.client.ask(m) }) {
			return
		}
		if ctx.Err() != nil {
			return
		}
		if s.insist(ctx, func() bool { return s.client.renew(m, "http://"+s.env["UTSKICK_LISTEN"], key) }) {
			renewals.Add(1)
		}
	}
}

// insist says something until it is acknowledged, and then thinks for a while.
func (s *stage) insist(ctx context.Context, say func() bool) bool {
	said := say()
	for !said && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		said = say()
	}
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(400 * time.Millisecond)):
	}
	return said
}

// kinds are what the API calls the address of a channel.
var kinds = map[string]string{"email": "email", "sms": "phone", "push": "push"}

// renew takes back what [client.ask] has asked for.
func (c *client) renew(m witness.Message, operator, key string) bool {
	body, err := json.Marshal(map[string]string{"kind": kinds[m.Channel], "address": m.To, "channel": m.Channel, "purpose": "marketing",
		"cause": "unsubscribed", "evidence": "form of the proof"})
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, operator+"/v1/suppressions/lift", bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	return c.tell(req, m, renewalAsked, renewed, renewalRefused)
}

// wavered says how many end with a renewed consent, and whether that shows
// anything.
func (s *stage) wavered() error {
	wishes, err := readWishes(s.file("wishes.ndjson"))
	if err != nil {
		return err
	}
	renewals, back, out := 0, 0, 0
	said := evidence{wishes: wishes}.lastWords()
	for _, w := range wishes {
		if w.Event == renewed {
			renewals++
		}
	}
	for _, m := range s.waverers {
		if said[destination{m.Channel, canonical(m.Channel, m.To)}].renewed > 0 {
			back++
		} else {
			out++
		}
	}
	s.notes = append(s.notes, fmt.Sprintf("%d people consented again %d times; in the end %d are back, %d out", len(s.waverers), renewals, back, out))
	if back == 0 || out == 0 || renewals < 2*len(s.waverers) {
		return errors.New("the row proves nothing: too few changed their minds")
	}
	return nil
}

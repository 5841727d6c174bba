package api

import (
	"context"
	"fmt"

	"utskick/audience"
	"utskick/suppression"
)

// askedFor is what the fake store knows of confirmations; their ids count from 1,
// and each is of the key anna.
type askedFor struct {
	askings   []suppression.Asking
	returns   []audience.Key
	requests  []suppression.Confirmation
	confirmed []suppression.Confirmed
}

func (m *memory) AskConfirmation(_ context.Context, a suppression.Asking) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		m.asked.askings = append(m.asked.askings, a)
	}
	return m.down
}

func (m *memory) AskReturn(_ context.Context, of audience.Key, a suppression.Asking) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		m.asked.returns, m.asked.askings = append(m.asked.returns, of), append(m.asked.askings, a)
	}
	return m.down
}

func (m *memory) Confirmation(_ context.Context, id int64, key audience.Key) (suppression.Confirmation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil && (id < 1 || id > int64(len(m.asked.requests)) || key != anna) {
		return suppression.Confirmation{}, fmt.Errorf("confirmation %d: %w", id, errNotFound)
	}
	if m.down != nil {
		return suppression.Confirmation{}, m.down
	}
	return m.asked.requests[id-1], nil
}

func (m *memory) Confirm(ctx context.Context, by suppression.Confirmed) (suppression.Confirmation, error) {
	c, err := m.Confirmation(ctx, by.ID, by.Key)
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Before = !c.ConfirmedAt.IsZero(); err != nil || c.Before {
		return c, err
	}
	m.asked.confirmed = append(m.asked.confirmed, by)
	m.asked.requests[by.ID-1].ConfirmedAt = chosenAt
	c.Wider = c.Wider && !by.Wider
	return c, nil
}

func (m *memory) Subscriptions(_ context.Context, email audience.Key) (found []suppression.Subscription, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.asked.requests {
		if !c.ConfirmedAt.IsZero() {
			found = append(found, suppression.Subscription{Sender: c.Sender, Topic: c.Topic, AskedAt: c.AskedAt, ConfirmedAt: c.ConfirmedAt,
				Source: "https://exempelbolaget.test/", Evidence: "pressed the button", Notice: "2026-01", Wording: "1 sv"})
		}
	}
	return found, m.down
}

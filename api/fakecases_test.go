package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"utskick/rights"
)

func (m *memory) OpenCase(_ context.Context, c rights.Case) (rights.Case, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil && m.noCases == nil {
		c.ID = int64(len(m.cases) + 1)
		m.cases = append(m.cases, c)
	}
	if m.down == nil {
		return c, m.noCases
	}
	return c, m.down
}

func (m *memory) Case(_ context.Context, id int64) (rights.Case, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return rights.Case{}, m.down
	}
	if id < 1 || id > int64(len(m.cases)) {
		return rights.Case{}, fmt.Errorf("case %d: %w", id, errNotFound)
	}
	return m.cases[id-1], nil
}

func (m *memory) Cases(_ context.Context, f rights.CaseFilter, today time.Time) (found []rights.Case, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.cases {
		if c.ID > f.After && (!f.Waiting || c.State.Waiting()) && (!f.Overdue || c.Overdue(today)) && (f.Route == "" || f.Route == c.Route) &&
			(f.Kind == "" || f.Kind == c.Kind) && len(found) < f.Limit {
			found = append(found, c)
		}
	}
	return found, m.down
}

func (m *memory) ChangeCase(ctx context.Context, id int64, change func(*rights.Case) error) (rights.Case, error) {
	c, err := m.Case(ctx, id)
	if err != nil {
		return c, err
	}
	c.Notes = slices.Clone(c.Notes)
	if err := change(&c); err != nil {
		return c, fmt.Errorf("change case %d: %w", id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cases[id-1] = c
	return c, nil
}

func (m *memory) Facts(context.Context) (rights.Facts, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.facts, m.down
}

func (m *memory) AuditLog(_ context.Context, before int64, limit int) (found []rights.Audited, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.audits); i > 0 && len(found) < limit; i-- {
		if before == 0 || int64(i) < before {
			found = append(found, rights.Audited{ID: int64(i), Action: m.audits[i-1]})
		}
	}
	return found, m.down
}

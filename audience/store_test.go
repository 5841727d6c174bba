package audience_test

import (
	"context"
	"maps"
	"slices"

	"utskick/audience"
)

// memory is a store of contacts for tests. It does what Row.Apply says.
type memory struct {
	contacts   map[string]audience.Contact
	consents   map[string]map[string]bool
	attributes []string
	batches    []int              // rows of each transaction
	order      []audience.Contact // as they were saved
	err        error              // what saving fails with once failAt batches are saved
	failAt     int
}

func newMemory() *memory {
	return &memory{contacts: map[string]audience.Contact{}, consents: map[string]map[string]bool{}}
}

func (m *memory) RegisterAttributes(_ context.Context, names []string) error {
	m.attributes = append(m.attributes, names...)
	return nil
}

func (m *memory) SaveContacts(_ context.Context, rows []audience.Row) (saved audience.Saved, err error) {
	if m.err != nil && len(m.batches) == m.failAt {
		return audience.Saved{}, m.err
	}
	m.batches = append(m.batches, len(rows))
	for _, row := range rows {
		m.order = append(m.order, row.Contact)
		id := row.Contact.ExternalID
		stored, known := m.contacts[id]
		applied, changed := row.Apply(stored)
		consents := maps.Clone(m.consents[id])
		if consents == nil {
			consents = map[string]bool{}
		}
		maps.Copy(consents, row.Consents)
		changed = changed || !maps.Equal(consents, m.consents[id])
		m.contacts[id], m.consents[id] = applied, consents
		switch {
		case !known:
			saved.Created++
		case changed:
			saved.Updated++
		default:
			saved.Unchanged++
		}
	}
	return saved, nil
}

func (m *memory) ids() []string { return slices.Sorted(maps.Keys(m.contacts)) }

package api

import (
	"context"
	"maps"
	"slices"

	"utskick/audience"
	"utskick/templates"
)

// spoken is what the store for tests has of privacy notices and relations.
type spoken struct {
	notices   []templates.PrivacyNotice
	relations map[string]map[string]audience.Relation // by external id and sender
}

func (m *memory) SaveNotice(_ context.Context, n templates.PrivacyNotice) (templates.PrivacyNotice, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, known := range m.notices {
		if known.Sender == n.Sender && known.Version == n.Version && known.Language == n.Language {
			if !known.SameText(n) {
				return known, &templates.NoticeChanged{Known: known}
			}
			return known, m.down
		}
	}
	m.notices = append(m.notices, n)
	return n, m.down
}

func (m *memory) Notices(context.Context) ([]templates.PrivacyNotice, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.notices), m.down
}

// saveRelations is what SaveContacts does with them.
func (m *memory) saveRelations(row audience.Row) {
	if len(row.Relations) == 0 {
		return
	}
	if m.relations == nil {
		m.relations = map[string]map[string]audience.Relation{}
	}
	of := m.relations[row.Contact.ExternalID]
	if of == nil {
		of = map[string]audience.Relation{}
		m.relations[row.Contact.ExternalID] = of
	}
	maps.Copy(of, row.Relations)
}

func (m *memory) Relations(_ context.Context, externalID string) (all []audience.Relation, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.relations[externalID]
	for _, sender := range slices.Sorted(maps.Keys(of)) {
		all = append(all, of[sender])
	}
	return all, m.down
}

package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

var (
	errNotFound = errors.New("not found")
	errConflict = errors.New("conflict")
	errDown     = errors.New("the database is down")
)

// memory is a store for tests.
type memory struct {
	mu         sync.Mutex
	keyer      *audience.Keyer
	down       error                       // what every method fails with
	record     func(context.Context) error // called before a wish is recorded; may be nil
	contacts   map[string]audience.Contact
	names      []string // registered attributes
	history    map[string][]dispatcher.Communication
	entries    []suppression.Entry
	wishes     []suppression.Wish
	revised    []string // visits
	events     map[string]tracking.Event
	order      []string // of their coming
	senders    map[string]templates.Sender
	templates  map[string]templates.Template
	targets    []string // of the template saved last
	campaigns  []dispatcher.Campaign
	runs       map[string]dispatcher.Run
	reports    map[string]dispatcher.Report
	groups     map[int64]audience.Channel // each of sender exempel and topic offer
	addressees map[audience.Key]audience.Addressee
	links      map[int64]string
	keys       map[string]Key // by hash
	lookups    int            // of keys
	instances  []suppression.Instance
	holds      []dispatcher.ChannelHold
	edit       dispatcher.Edit
	audits     []string
	reads      int // of groups, people and links
	hold       dispatcher.Hold
	replies    []suppression.Reply
	closed     []int64 // ids of replies
	cases      []rights.Case
	noCases    error // what opening a case fails with
	facts      rights.Facts
	messages   map[string]audience.Key // by their providers' ids
	grants     []suppression.Grant
	pastGrants []suppression.PastGrant
	erasures   []rights.Erasure
	spoken
	asked askedFor
}

func (m *memory) fails() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

func (m *memory) Ping(context.Context) error { return m.fails() }

func (m *memory) Audit(_ context.Context, actor, action, object, detail string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.audits = append(m.audits, strings.Join([]string{actor, action, object, detail}, "|"))
	return m.down
}

func (m *memory) Contacts(_ context.Context, after int64, limit int) ([]audience.Contact, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []audience.Contact
	for _, c := range m.contacts {
		if c.ID > after {
			c.Devices = nil
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b audience.Contact) int { return cmp.Compare(a.ID, b.ID) })
	return out[:min(limit, len(out))], m.down
}

func (m *memory) Contact(_ context.Context, externalID string) (audience.Contact, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return found(m, m.contacts, externalID)
}

// found looks up by a name, and repeats the name in its error as the real store
// does.
func found[K comparable, V any](m *memory, in map[K]V, name K) (V, error) {
	v, ok := in[name]
	if m.down != nil {
		return v, m.down
	}
	if !ok {
		return v, fmt.Errorf("record %v: %w", name, errNotFound)
	}
	return v, nil
}

func (m *memory) KeysOfContact(_ context.Context, id int64) (keys []audience.Key, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.contacts {
		if c.ID == id {
			for _, k := range m.keyer.ContactKeys(c) {
				keys = append(keys, k.Key)
			}
		}
	}
	return keys, m.down
}

func (m *memory) ContactKeys(_ context.Context, address audience.Key) (keys []audience.Key, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.contacts {
		for _, k := range m.keyer.ContactKeys(c) {
			if k.Key == address {
				keys = append(keys, m.keyer.Key(audience.KindContact, c.ExternalID))
			}
		}
	}
	return keys, m.down
}

func (m *memory) History(_ context.Context, externalID string) ([]dispatcher.Communication, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return found(m, m.history, externalID)
}

func (m *memory) RegisterAttributes(_ context.Context, names []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names = append(m.names, names...)
	return m.down
}

func (m *memory) SaveContacts(_ context.Context, rows []audience.Row) (saved audience.Saved, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return saved, m.down
	}
	for _, row := range rows {
		stored, known := m.contacts[row.Contact.ExternalID]
		c, changed := row.Apply(stored)
		switch {
		case !known:
			c.ID = int64(len(m.contacts) + 1)
			saved.Created++
		case changed:
			saved.Updated++
		default:
			saved.Unchanged++
		}
		m.contacts[c.ExternalID] = c
		m.saveRelations(row)
	}
	return saved, nil
}

func (m *memory) Matching(_ context.Context, scope suppression.Scope, keys []audience.Key) (matches []suppression.Match, version int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := func(part, asked string) bool { return part == suppression.Any || part == asked }
	for _, e := range m.entries {
		if slices.Contains(keys, e.Key) && e.Active && in(e.Channel, string(scope.Channel)) && in(e.Topic, scope.Topic) &&
			in(e.Purpose, string(scope.Purpose)) && in(e.Sender, scope.Sender) {
			matches = append(matches, suppression.Match{Key: e.Key, Cause: e.Cause})
		}
	}
	return matches, int64(len(m.entries)), m.down
}

func (m *memory) Entries(_ context.Context, keys []audience.Key) (out []suppression.Entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		if slices.Contains(keys, e.Key) {
			out = append(out, e)
		}
	}
	return out, m.down
}

func (m *memory) EachEntry(_ context.Context, f func(suppression.Entry) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		if err := f(e); err != nil {
			return err
		}
	}
	return m.down
}

// Record, RecordAll and Open make it a store of wishes.
func (m *memory) Record(ctx context.Context, w suppression.Wish) (suppression.Recorded, error) {
	if m.record != nil {
		if err := m.record(ctx); err != nil {
			return suppression.Recorded{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return suppression.Recorded{}, m.down
	}
	m.wishes, m.entries = append(m.wishes, w), append(m.entries, w.Entry)
	return suppression.Recorded{Version: int64(len(m.entries)), Keys: 1}, nil
}

func (m *memory) RecordAll(ctx context.Context, wishes []suppression.Wish) ([]suppression.Recorded, error) {
	var out []suppression.Recorded
	for _, w := range wishes {
		r, err := m.Record(ctx, w)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Revise undoes a visit as if nobody had said anything before.
func (m *memory) Revise(ctx context.Context, visit string, wishes []suppression.Wish) ([]suppression.Recorded, error) {
	if err := m.fails(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	for i, w := range m.wishes {
		if w.Visit == visit {
			m.entries[i].Active = false
		}
	}
	m.revised = append(m.revised, visit)
	m.mu.Unlock()
	return m.RecordAll(ctx, wishes)
}

func (m *memory) TakeNotices(ctx context.Context, notices []suppression.Notice) ([]suppression.InFlight, error) {
	for _, n := range notices {
		if err := m.AppendEvent(ctx, n.Event); err != nil {
			return nil, err
		}
		if n.Effect.Cause != "" {
			m.mu.Lock()
			m.wishes = append(m.wishes, n.Wish())
			m.mu.Unlock()
		}
	}
	return nil, nil
}

func (m *memory) TakeReply(_ context.Context, r suppression.Reply) ([]suppression.InFlight, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		m.replies = append(m.replies, r)
	}
	return nil, m.down
}

func (m *memory) Inbound(_ context.Context, open bool, after int64, limit int) (found []suppression.Inbound, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range m.replies {
		if id := int64(i + 1); id > after && open == !slices.Contains(m.closed, id) && len(found) < limit {
			found = append(found, suppression.Inbound{ID: id, Key: r.Key, Channel: r.Channel, Meaning: r.Meaning, Text: r.Text, Open: open})
		}
	}
	return found, m.down
}

func (m *memory) CloseInbound(_ context.Context, id int64, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil && id > int64(len(m.replies)) {
		return fmt.Errorf("reply %d: %w", id, errNotFound)
	}
	m.closed = append(m.closed, id)
	return m.down
}

func (m *memory) Open(context.Context, []suppression.InFlight) ([]suppression.InFlight, error) {
	return nil, nil
}

func (m *memory) Senders(context.Context) (out []templates.Sender, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.senders)) {
		out = append(out, m.senders[name])
	}
	return out, m.down
}

func (m *memory) SenderByName(_ context.Context, name string) (templates.Sender, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := found(m, m.senders, name)
	for _, n := range m.notices {
		if s.NoticeVersion == "" && (n.Sender == name || n.Sender == suppression.Any) {
			s.NoticeVersion = n.Version
		}
	}
	return s, err
}

func (m *memory) SaveSender(_ context.Context, s templates.Sender) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		m.senders[s.Name] = s
	}
	return m.down
}

func (m *memory) Templates(context.Context) (out []templates.Template, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.templates {
		out = append(out, t)
	}
	return out, m.down
}

func (m *memory) TemplateByName(_ context.Context, name string) (templates.Template, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return found(m, m.templates, name)
}

func (m *memory) SaveTemplate(_ context.Context, t templates.Template, targets []string) (templates.Template, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		t.Version = m.templates[t.Name].Version + 1
		m.templates[t.Name], m.targets = t, targets
	}
	return t, m.down
}

func (m *memory) Attributes(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names, m.down
}

func (m *memory) Campaigns(context.Context) ([]dispatcher.Campaign, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.campaigns), m.down
}

func (m *memory) CampaignByName(_ context.Context, name string) (dispatcher.Campaign, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.campaigns {
		if c.Name == name {
			return c, m.down
		}
	}
	return dispatcher.Campaign{}, cmp.Or(m.down, fmt.Errorf("campaign %q: %w", name, errNotFound))
}

func (m *memory) CreateCampaign(_ context.Context, c dispatcher.Campaign) (dispatcher.Campaign, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return c, m.down
	}
	for _, known := range m.campaigns {
		if known.Name == c.Name {
			return c, fmt.Errorf("a campaign is already named %q: %w", c.Name, errConflict)
		}
	}
	c.ID = int64(len(m.campaigns) + 1)
	m.campaigns = append(m.campaigns, c)
	return c, nil
}

func (m *memory) LaunchRun(_ context.Context, campaign string, l dispatcher.Launch) (dispatcher.Run, error) {
	if _, err := m.CampaignByName(nil, campaign); err != nil { //nolint:staticcheck // it takes no context
		return dispatcher.Run{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, launched := m.runs[campaign]; launched {
		return dispatcher.Run{}, fmt.Errorf("launch: it was launched before: %w", errConflict)
	}
	run := dispatcher.Run{ID: 7, State: dispatcher.Scheduled, Due: l.Due, SendBy: l.SendBy, Channels: []dispatcher.RunChannel{}}
	m.runs[campaign] = run
	return run, nil
}

func (m *memory) LatestRun(_ context.Context, campaign string) (dispatcher.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return found(m, m.runs, campaign)
}

func (m *memory) change(campaign string, to dispatcher.RunState, reason string) (dispatcher.Run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run, err := found(m, m.runs, campaign)
	if err != nil {
		return run, err
	}
	if run.State == to || run.State.Ended() {
		return run, fmt.Errorf("the run of campaign %q is %s: %w", campaign, run.State, errConflict)
	}
	run.State, run.Reason = to, reason
	m.runs[campaign] = run
	return run, nil
}

func (m *memory) Pause(_ context.Context, campaign, reason string) (dispatcher.Run, error) {
	return m.change(campaign, dispatcher.Paused, reason)
}

func (m *memory) EditRun(_ context.Context, campaign string, e dispatcher.Edit) (dispatcher.Run, error) {
	m.edit = e
	return m.change(campaign, dispatcher.Sending, "") // so that a test sees that it was done
}

func (m *memory) Resume(_ context.Context, campaign string) (dispatcher.Run, error) {
	return m.change(campaign, dispatcher.Sending, "")
}

func (m *memory) Cancel(_ context.Context, campaign string) (dispatcher.Run, error) {
	return m.change(campaign, dispatcher.Cancelled, "")
}

func (m *memory) Resend(_ context.Context, campaign string) (dispatcher.Run, int64, error) {
	run, err := m.change(campaign, dispatcher.Sending, "")
	return run, 3, err
}

func (m *memory) WriteOff(_ context.Context, campaign string) (dispatcher.Run, int64, error) {
	run, err := m.change(campaign, dispatcher.Finished, "")
	return run, 4, err
}

func (m *memory) Report(_ context.Context, campaign string) (dispatcher.Report, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return found(m, m.reports, campaign)
}

func (m *memory) Progress(ctx context.Context, campaign string) (dispatcher.Report, error) {
	r, err := m.Report(ctx, campaign)
	for i := range r.Channels {
		r.Channels[i].Causes = nil
	}
	return r, err
}

func (m *memory) Origin(_ context.Context, group int64) (dispatcher.Origin, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	channel, err := found(m, m.groups, group)
	return dispatcher.Origin{Channel: channel, Sender: "exempel", Topic: "offer"}, err
}

func (m *memory) Addressee(_ context.Context, key audience.Key) (audience.Addressee, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	who := m.addressees[key]
	who.Keys = []audience.Key{key}
	return who, m.down
}

func (m *memory) LinkTarget(_ context.Context, id int64) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	return found(m, m.links, id)
}

func (m *memory) Links(_ context.Context, after int64, limit int) (links []tracking.Link, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, target := range m.links {
		if id > after {
			links = append(links, tracking.Link{ID: id, Target: target})
		}
	}
	slices.SortFunc(links, func(a, b tracking.Link) int { return cmp.Compare(a.ID, b.ID) })
	return links[max(0, len(links)-limit):], m.down
}

func (m *memory) AppendEvent(_ context.Context, e tracking.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		if _, known := m.events[e.Dedupe]; !known {
			m.order = append(m.order, e.Dedupe)
		}
		m.events[e.Dedupe] = e
	}
	return m.down
}

func (m *memory) AppendEvents(ctx context.Context, events []tracking.Event) error {
	for _, e := range events {
		if err := m.AppendEvent(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Instances(context.Context) ([]suppression.Instance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.instances), m.down
}

func (m *memory) ChannelHolds(context.Context) ([]dispatcher.ChannelHold, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.holds), m.down
}

func (m *memory) ReleaseChannel(_ context.Context, ch audience.Channel) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.holds, func(h dispatcher.ChannelHold) bool { return h.Channel == ch })
	if i < 0 {
		return cmp.Or(m.down, fmt.Errorf("hold of %s: %w", ch, errNotFound))
	}
	m.holds = slices.Delete(m.holds, i, i+1)
	return m.down
}

func (m *memory) ReleaseInstance(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.instances {
		switch known := &m.instances[i]; {
		case known.Name != name:
		case known.State != suppression.LeaseLapsed:
			return fmt.Errorf("instance %q has not lapsed: %w", name, errConflict)
		default:
			known.State = suppression.LeaseLeft
			return m.down
		}
	}
	return cmp.Or(m.down, fmt.Errorf("instance %q: %w", name, errNotFound))
}

func (m *memory) KeyByHash(_ context.Context, hash []byte) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups++
	return found(m, m.keys, string(hash))
}

func (m *memory) KeyByID(_ context.Context, id int64) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups++
	for _, k := range m.keys {
		if k.ID == id {
			return k, m.down
		}
	}
	return Key{}, cmp.Or(m.down, fmt.Errorf("key %d: %w", id, errNotFound))
}

func (m *memory) recorded() []suppression.Wish {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.wishes)
}

func (m *memory) happened() []tracking.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []tracking.Event
	for _, dedupe := range m.order {
		out = append(out, m.events[dedupe])
	}
	return out
}

func (m *memory) Hold(context.Context) (dispatcher.Hold, error) { return m.hold, m.fails() }

package storagetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
)

// The addresses are few, so that people share them and take each other's. Some
// are the same one, written otherwise.
var (
	mailboxes = []string{"", "a@example.com", "b@example.com", "A@Example.com", "c@example.com", "d@example.com", "e@example.com", "b@EXAMPLE.com",
		"f@example.com", "g@example.com", "h@example.com", "i@example.com"}
	numbers = []string{"", "+46701740605", "070-174 06 05", "+46701740606", "+46701740607", "+46701740608", "+46701740609"}
	tokens  = []string{"token-1", "token-2", "token-3", "token-4"}
	locales = []string{"sv-SE", "sv-SE", "fi", "en-GB"}
	names   = []string{"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11"}
)

func (m *machine) normal(kind audience.Kind, written string) string {
	if written == "" {
		return ""
	}
	s, err := audience.Normalize(kind, written, "SE")
	m.must(err)
	return s
}

// importSome saves a file of up to four, known ones and new ones.
func (m *machine) importSome() {
	m.importContacts(rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 4, rapid.ID).Draw(m.t, "contacts"))
}

func (m *machine) importContacts(ids []string) {
	var rows []audience.Row
	for _, id := range ids {
		c := contact(id, m.normal(audience.KindEmail, draw(m, "e-mail", mailboxes...)))
		c.Phone = m.normal(audience.KindPhone, draw(m, "phone", numbers...))
		c.Locale = draw(m, "locale", locales...)
		for _, token := range rapid.SliceOfNDistinct(rapid.SampledFrom(tokens), 0, 2, rapid.ID).Draw(m.t, "devices") {
			c.Devices = append(c.Devices, audience.Device{Token: token})
		}
		rows = append(rows, audience.Row{Contact: c, Set: all})
	}
	saved, err := m.SaveContacts(m.ctx(), rows)
	m.must(err)
	if want := m.imported(rows); saved != want {
		m.fail("import: %+v, want %+v", saved, want)
	}
}

func (m *machine) imported(rows []audience.Row) (s audience.Saved) {
	var bound []boundEntry
	for _, row := range rows {
		p := m.personOf(row.Contact.ExternalID)
		switch {
		case p == nil:
			stored, err := m.Contact(m.ctx(), row.Contact.ExternalID)
			m.must(err)
			p = &person{own: m.Keyer.Key(audience.KindContact, stored.ExternalID), ever: map[audience.Key]bool{}}
			p.ID = stored.ID
			if n := len(m.people); n > 0 && m.people[n-1].ID >= p.ID {
				m.fail("ids do not follow the order of the file")
			}
			m.people = append(m.people, p)
			s.Created++
		case says(p.Contact) == says(row.Contact):
			s.Unchanged++
			continue
		default:
			s.Updated++
		}
		id := p.ID
		p.Contact, p.updated = row.Contact, m.now()
		p.ID = id
		for _, k := range m.Keyer.ContactKeys(p.Contact) {
			if !p.ever[k.Key] && (k.Kind == audience.KindEmail || k.Kind == audience.KindPhone) {
				bound = append(bound, m.binding(k.Key, p.own)...)
			}
			p.ever[k.Key] = true
		}
	}
	m.version += int64(len(bound))
	for _, b := range bound {
		m.write(b.id, b.entry)
	}
	return s
}

// says is what differs between the contacts here, as one text.
func says(c audience.Contact) string {
	var devices []string
	for _, d := range c.Devices {
		devices = append(devices, d.Token)
	}
	slices.Sort(devices)
	return strings.Join(append(devices, c.Email, c.Phone, c.Locale), "|")
}

func (m *machine) personOf(externalID string) *person {
	for _, p := range m.people {
		if p.ExternalID == externalID {
			return p
		}
	}
	return nil
}

func (m *machine) launchAny() {
	m.launchRun(draw(m, "campaign", mailings...), draw(m, "due", 0, 0, time.Minute, time.Hour))
}

func (m *machine) launchRun(x mailing, due time.Duration) {
	l := dispatcher.Launch{Due: m.Now.Add(due)}
	l.SendBy = l.Due.Add(draw(m, "send within", 24*time.Hour, time.Hour))
	var want error
	if slices.ContainsFunc(m.runs, func(r *modelRun) bool {
		return r.campaign == x.name && r.State != dispatcher.Cancelled && r.State != dispatcher.Cancelling
	}) {
		want = storage.ErrConflict
	}
	run, err := m.LaunchRun(m.ctx(), x.name, l)
	m.wants("launch", err, want)
	if err != nil {
		return
	}
	m.runs = append(m.runs, &modelRun{campaign: x.name, channels: x.channels, due: l.Due.UnixMilli(), sendBy: l.SendBy,
		runRow: runRow{ID: run.ID, State: dispatcher.Scheduled, Rev: 1}})
	if draw(m, "start", true, true, false) {
		m.startDue()
	}
}

func (m *machine) startDue() {
	started := 0
	for _, r := range m.runs {
		if r.State == dispatcher.Scheduled && r.due <= m.now() {
			r.State, r.started = dispatcher.Sending, m.now()
			started++
		}
	}
	n, err := m.StartDueRuns(m.ctx())
	m.must(err)
	if n != started {
		m.fail("%d runs started, want %d", n, started)
	}
	for _, r := range m.runs {
		if r.State == dispatcher.Sending && !slices.ContainsFunc(m.slices, func(s *sliceRow) bool { return s.Run == r.ID }) {
			m.cutSlices(r)
		}
	}
}

// cutSlices gives a run of a few contacts as many slices as one of many has.
func (m *machine) cutSlices(r *modelRun) {
	for _, ch := range r.channels {
		m.exec(`update slices set slice = $1 where run = $2 and channel = $3 and closing`, cut, r.ID, string(ch))
		m.exec(`update slices set k_hi = $1 where run = $2 and channel = $3 and slice = 0`, startOf(1), r.ID, string(ch))
		for i := range cut {
			var end []byte
			if i+1 < cut {
				end = startOf(i + 1)
			}
			if i > 0 {
				m.exec(`insert into slices (run, channel, slice, k_lo, k_hi) values ($1, $2, $3, $4, $5)`, r.ID, string(ch), i, startOf(i), end)
			}
			m.slices = append(m.slices, &sliceRow{Run: r.ID, Channel: ch, Slice: i})
		}
		m.slices = append(m.slices, &sliceRow{Run: r.ID, Channel: ch, Slice: cut, Closing: true})
	}
}

func (m *machine) exec(text string, args ...any) {
	m.t.Helper()
	_, err := m.db.ExecContext(m.ctx(), text, args...)
	m.must(err)
}

// ringSlices rings for slices, in the order of the model.
func (m *machine) ringSlices() []*sliceRow {
	refs, err := m.RingSlices(m.ctx(), 1000)
	m.must(err)
	var rung []*sliceRow
	for _, s := range m.slices {
		if m.mayPlan(s) && !m.heard(s.Rung) {
			rung = append(rung, s)
			s.Rung = m.now()
		}
	}
	if len(refs) != len(rung) {
		m.fail("%d slices are rung, want %d", len(refs), len(rung))
	}
	for _, s := range rung {
		if !slices.Contains(refs, s.ref()) {
			m.fail("slice %+v is not rung", s.ref())
		}
	}
	return rung
}

func (s *sliceRow) ref() dispatcher.SliceRef {
	return dispatcher.SliceRef{Run: s.Run, Channel: s.Channel, Slice: s.Slice}
}

func (m *machine) planRung() {
	rung := m.ringSlices()
	if len(rung) == 0 {
		return
	}
	for _, s := range rapid.Permutation(rung).Draw(m.t, "slices") {
		if draw(m, "is planned", true, true, true, false) {
			m.planSlice(s)
		}
	}
}

// planAny plans a slice that may be planned already, or that it is too early
// for.
func (m *machine) planAny() {
	if len(m.slices) > 0 {
		m.planSlice(draw(m, "slice", m.slices...))
	}
}

func (m *machine) planSlice(s *sliceRow) {
	may := m.mayPlan(s)
	m.must(m.PlanSlice(m.ctx(), s.ref()))
	if may {
		m.adopt(m.model.planSlice(s))
	}
}

// adopt learns the ids of the groups and batches that members were written to.
func (m *machine) adopt(members []*member) {
	rows := map[memberID]memberRow{}
	for _, row := range m.memberRows() {
		rows[row.ID] = row
	}
	batches := map[int64]int64{}
	for _, row := range m.batchRows() {
		batches[row.Group] = row.ID
	}
	grouped := map[int64][]*member{}
	for _, x := range members {
		x.Group = rows[x.ID].Group
		grouped[x.Group] = append(grouped[x.Group], x)
	}
	for group, xs := range grouped {
		m.newBatch(batches[group], xs)
	}
}

func (m *machine) transition() {
	name := draw(m, "campaign", mailings...).name
	how := draw(m, "transition", "stop", "resume", "pause", "cancel")
	if how != "stop" {
		m.change(name, how)
	} else if r := m.latest(name); r != nil {
		m.interrupt(r)
	}
}

// interrupt pauses a run as a provider's answer does; it may go on at once.
func (m *machine) interrupt(r *modelRun) {
	m.must(m.PauseRun(m.ctx(), r.ID, "provider"))
	if r.State == dispatcher.Sending {
		r.move(dispatcher.Paused, "provider")
	}
	if m.latest(r.campaign) == r && draw(m, "goes on", true, false) {
		m.change(r.campaign, "resume")
	}
}

// change does what an operator may do with the newest run of a campaign.
func (m *machine) change(name, how string) {
	r := m.latest(name)
	var err error
	to, reason, from := dispatcher.Sending, "", []dispatcher.RunState{dispatcher.Paused}
	switch how {
	case "resume":
		_, err = m.Resume(m.ctx(), name)
	case "pause":
		to, reason, from = dispatcher.Paused, "operator", []dispatcher.RunState{dispatcher.Sending}
		_, err = m.Pause(m.ctx(), name, reason)
	case "cancel":
		to, from = dispatcher.Cancelling, []dispatcher.RunState{dispatcher.Scheduled, dispatcher.Sending, dispatcher.Paused}
		_, err = m.Cancel(m.ctx(), name)
	}
	switch {
	case r == nil:
		m.wants(how, err, storage.ErrNotFound)
	case !slices.Contains(from, r.State):
		m.wants(how, err, storage.ErrConflict)
	default:
		m.wants(how, err, nil)
		r.move(to, reason)
		m.forgetRingsOf(r.ID)
	}
}

// forgetRingsOf: the batches of a run that an operator has changed are rung for
// at once.
func (m *machine) forgetRingsOf(run int64) {
	for _, b := range m.batchOf {
		if b.State == ready && b.Run == run {
			b.Rung = 0
		}
	}
}

func (m *machine) finishRuns() {
	n, err := m.FinishRuns(m.ctx())
	m.must(err)
	if want := m.model.finishRuns(); n != want {
		m.fail("%d runs ended, want %d", n, want)
	}
}

func (m *machine) time() {
	m.Now = m.Now.Add(draw(m, "time", 31*time.Second, time.Millisecond, 20*time.Minute, -time.Minute, 5*time.Hour))
}

// ring rings on a channel, and keeps what the doorbell said.
func (m *machine) ring() {
	ch := draw(m, "channel", audience.Channels...)
	m.rung = append(m.rung, m.ringOn(ch, draw(m, "ended only", false, false, false, true), draw(m, "limit", 1000, 1))...)
}

func (m *machine) ringOn(ch audience.Channel, ended bool, limit int) []dispatcher.BatchRef {
	ring := m.RingBatches
	if ended {
		ring = m.RingEnded
	}
	refs, err := ring(m.ctx(), ch, limit)
	m.must(err)
	var due []*modelBatch
	for _, b := range m.batchOf {
		if b.Channel == ch && m.mayRing(b, ended) {
			due = append(due, b)
		}
	}
	slices.SortFunc(due, func(a, b *modelBatch) int {
		return cmp.Or(cmp.Compare(a.NotBefore, b.NotBefore), cmp.Compare(a.ID, b.ID))
	})
	var want []dispatcher.BatchRef
	for _, b := range due[:min(limit, len(due))] {
		b.Rung = m.now()
		want = append(want, dispatcher.BatchRef{ID: b.ID, Fence: b.Fence, Channel: ch})
	}
	byID := func(a, b dispatcher.BatchRef) int { return cmp.Compare(a.ID, b.ID) }
	slices.SortFunc(refs, byID)
	slices.SortFunc(want, byID)
	if diff := gocmp.Diff(want, refs); diff != "" {
		m.fail("batches that are rung on %s (-want +got):\n%s", ch, diff)
	}
	return refs
}

func (m *machine) forgetRings() {
	m.must(m.ForgetRings(m.ctx()))
	for _, b := range m.batchOf {
		if b.State == ready {
			b.Rung = 0
		}
	}
	for _, s := range m.slices {
		if !s.Planned {
			s.Rung = 0
		}
	}
}

// historyOf compares all that a person is told with what the model knows.
func (m *machine) historyOf() {
	if len(m.people) == 0 {
		return
	}
	type line struct {
		Campaign, Channel, Language, Outcome, Cause, Provider string
		Run, Version, At                                      int64
	}
	p := draw(m, "person", m.people...)
	all, err := m.History(m.ctx(), p.ExternalID)
	m.must(err)
	var got, want []line
	for _, c := range all {
		x := line{c.Campaign, string(c.Channel), c.Language, c.Outcome, c.Cause, c.ProviderID, c.Run, c.SuppressionVersion, 0}
		if !c.At.IsZero() {
			x.At = c.At.UnixMilli()
		}
		got = append(got, x)
	}
	for id, x := range m.members {
		if x.Contact != p.ID {
			continue
		}
		code, provider := m.codeOf(x), ""
		if code == dispatcher.Sent {
			provider = cmp.Or(x.Provider, x.call)
		}
		want = append(want, line{m.run(id.run).campaign, string(id.channel), x.Language, code.String(), string(x.Cause), provider, id.run, x.version, x.at})
	}
	order := func(a, b line) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if diff := gocmp.Diff(want, got); diff != "" {
		m.fail("history (-want +got):\n%s", diff)
	}
}

// pendingWish is one that is not acknowledged yet.
type pendingWish struct {
	written []entryID
	claims  []suppression.InFlight
}

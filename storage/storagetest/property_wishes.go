package storagetest

import (
	"cmp"
	"math"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"utskick/audience"
	"utskick/suppression"
)

// knownKeys are the keys that a wish may come with, a stranger's among them.
func (m *machine) knownKeys() []audience.Key {
	var ks []audience.Key
	for _, s := range []string{"a@example.com", "b@example.com", "c@example.com", "stranger@example.com"} {
		ks = append(ks, m.email(s))
	}
	ks = append(ks, m.Keyer.Key(audience.KindPhone, "+46701740605"), m.Keyer.Key(audience.KindPush, tokens[0]))
	return append(ks, m.Keyer.Key(audience.KindContact, names[0]), m.Keyer.Key(audience.KindContact, names[1]))
}

// drawWish makes a wish, but for whether it lifts and when it ends.
func (m *machine) drawWish() suppression.Wish {
	k := draw(m, "key", m.knownKeys()...)
	var w suppression.Wish
	switch draw(m, "wish", "unsubscribe", "object", "bounce") {
	case "unsubscribe":
		w = suppression.Unsubscribe(k, draw(m, "channel", audience.Channels...), 0)
		if groups := m.groupIDs(); len(groups) > 0 && draw(m, "by a link", false, true) {
			w.Group = draw(m, "group", groups...)
		}
	case "object":
		w = suppression.Wish{Person: true, Entry: suppression.Entry{Key: k, Channel: suppression.Any, Topic: draw(m, "topic", "*", "newsletter", "offer"),
			Purpose: suppression.Any, Sender: suppression.Any, Cause: suppression.Objected, Active: true, Source: "operator"}}
	case "bounce":
		w = suppression.Provider(k, draw(m, "channel", audience.Channels...), suppression.Bounced, "test")
	}
	return w
}

// drawWishes makes some, of which one may say the same as the one before it
// with another end.
func (m *machine) drawWishes() []suppression.Wish {
	wishes := make([]suppression.Wish, draw(m, "wishes", 1, 1, 2, 3))
	for i := range wishes {
		if i > 0 && draw(m, "of the same", false, true) {
			wishes[i] = wishes[i-1]
		} else {
			wishes[i] = m.drawWish()
		}
		e := &wishes[i].Entry
		e.Active, e.ExpiresAt = !draw(m, "lifts", false, false, false, true), time.Time{}
		if draw(m, "expires", false, true) {
			e.ExpiresAt = m.Now.Add(draw(m, "in", time.Hour, time.Minute, -time.Minute))
		}
	}
	return wishes
}

func (m *machine) groupIDs() []int64 {
	var ids []int64
	for _, b := range m.batchOf {
		ids = append(ids, b.Group)
	}
	slices.Sort(ids)
	return ids
}

// wish records one or several, as one statement or as one transaction.
func (m *machine) wish() {
	drawn := m.drawWishes()
	var got []suppression.Recorded
	if len(drawn) == 1 {
		rec, err := m.Record(m.ctx(), drawn[0])
		m.must(err)
		got = append(got, rec)
	} else {
		all, err := m.RecordAll(m.ctx(), drawn)
		m.must(err)
		got = all
	}
	for i, w := range drawn {
		want, written := m.record(w)
		slices.SortFunc(got[i].InFlight, byBatch)
		if diff := gocmp.Diff(want, got[i]); diff != "" {
			m.fail("wish %d is recorded otherwise (-want +got):\n%s", i, diff)
		}
		p := &pendingWish{written: written, claims: got[i].InFlight}
		m.unheard = append(m.unheard, p)
		m.hear(p)
	}
}

// record writes a wish into the model, for every key of whoever has or had its.
func (w *model) record(wish suppression.Wish) (suppression.Recorded, []entryID) {
	e := wish.Entry
	ks := map[audience.Key]bool{e.Key: true}
	for _, p := range w.people {
		if wish.Person && p.ever[e.Key] {
			for k := range p.ever {
				ks[k] = true
			}
		}
	}
	w.version += int64(len(ks))
	rec := suppression.Recorded{Version: w.version, Keys: len(ks)}
	for _, b := range w.batchOf {
		covers := false
		for k := range ks {
			covers = covers || !less(k, b.Low) && !less(b.High, k)
		}
		if b.State == calling && covers {
			rec.InFlight = append(rec.InFlight, suppression.InFlight{Batch: b.ID, Fence: b.Fence})
		}
	}
	slices.SortFunc(rec.InFlight, byBatch)
	var written []entryID
	for k := range ks {
		id := entryID{k, e.Channel, e.Topic, e.Purpose, e.Sender, e.Cause}
		w.write(id, e)
		written = append(written, id)
	}
	if b := w.groups[wish.Group]; b != nil {
		at := place{b.Run, b.Channel}
		if w.unsubs[at] == nil {
			w.unsubs[at] = map[audience.Key]bool{}
		}
		if slices.ContainsFunc(w.people, func(p *person) bool { return p.ever[e.Key] }) {
			w.unsubs[at][e.Key] = true
		} else {
			w.strangers[at]++
		}
	}
	return rec, written
}

// boundEntry is one that binds a contact for an address of hers.
type boundEntry struct {
	id    entryID
	entry suppression.Entry
}

// binding are the entries of an address that bind who comes with it, but for those
// that her own key has for as long.
func (w *model) binding(address, own audience.Key) (bound []boundEntry) {
	for id, e := range w.entries {
		ends := func(x *modelEntry) int64 { return cmp.Or(x.expires, math.MaxInt64) }
		if id.key != address || !e.active || ends(e) <= w.now() || !id.cause.OwnWord() {
			continue
		}
		id.key = own
		if has := w.entries[id]; has == nil || !has.active || ends(has) < ends(e) {
			b := boundEntry{id: id, entry: suppression.Entry{Active: true}}
			if e.expires != 0 {
				b.entry.ExpiresAt = time.UnixMilli(e.expires)
			}
			bound = append(bound, b)
		}
	}
	return bound
}

// write sets one entry. One that is active does not end sooner for being set
// again.
func (w *model) write(id entryID, e suppression.Entry) {
	expires := int64(0)
	if !e.ExpiresAt.IsZero() {
		expires = e.ExpiresAt.UnixMilli()
	}
	old := w.entries[id]
	if old == nil {
		old = &modelEntry{}
		w.entries[id] = old
	}
	if old.active && e.Active {
		if old.expires == 0 || expires == 0 {
			expires = 0
		}
		if expires != 0 {
			expires = max(expires, old.expires)
		}
	}
	// Whoever asks from this version on is told of it.
	*old = modelEntry{active: e.Active, expires: expires, version: w.version}
}

// blocking are the entries that block a key on a channel now.
func (w *model) blocking(ch audience.Channel, k audience.Key) []entryID {
	var ids []entryID
	for id, e := range w.entries {
		if id.key == k && e.active && (e.expires == 0 || e.expires > w.now()) && (id.channel == suppression.Any || id.channel == string(ch)) &&
			(id.topic == suppression.Any || id.topic == "newsletter") {
			ids = append(ids, id)
		}
	}
	return ids
}

// acknowledge asks whether the claims that wishes wait for have ended.
func (m *machine) acknowledge() {
	for _, p := range slices.Clone(m.unheard) {
		open, err := m.Store.Open(m.ctx(), p.claims)
		m.must(err)
		var want []suppression.InFlight
		for _, c := range p.claims {
			if m.batchOf[c.Batch].holds(c.Fence) {
				want = append(want, c)
			}
		}
		slices.SortFunc(open, byBatch)
		if diff := gocmp.Diff(want, open); diff != "" {
			m.fail("open claims (-want +got):\n%s", diff)
		}
		p.claims = open
		m.hear(p)
	}
}

// hear acknowledges a wish that waits for nothing.
func (m *machine) hear(p *pendingWish) {
	if len(p.claims) > 0 {
		return
	}
	for _, id := range p.written {
		m.entries[id].acked = m.entries[id].active
	}
	m.unheard = slices.DeleteFunc(m.unheard, func(other *pendingWish) bool { return other == p })
}

// windowsPass lets the time pass after which no permit is alive, and after
// which every wish is acknowledged.
func (m *machine) windowsPass() {
	for i := range m.workers {
		m.workers[i].dead = true
	}
	for _, p := range slices.Clone(m.unheard) {
		p.claims = nil
		m.hear(p)
	}
}

// admits checks the store's ruling over keys, and returns who is blocked.
func (m *machine) admits(ch audience.Channel, ks []audience.Key) (blocked map[audience.Key]suppression.Cause, version int64) {
	scope := suppression.Scope{Channel: ch, Topic: "newsletter", Sender: "exempelbolaget", Purpose: suppression.Marketing}
	got, version, err := m.Matching(m.ctx(), scope, ks)
	m.must(err)
	var want []suppression.Match
	for _, k := range ks {
		for _, id := range m.blocking(ch, k) {
			want = append(want, suppression.Match{Key: k, Cause: id.cause})
		}
	}
	order := func(a, b suppression.Match) int {
		return cmp.Or(slices.Compare(a.Key[:], b.Key[:]), cmp.Compare(a.Cause, b.Cause))
	}
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if diff := gocmp.Diff(want, got); diff != "" || version != m.version {
		m.fail("matches at version %d, want %d (-want +got):\n%s", version, m.version, diff)
	}
	blocked = map[audience.Key]suppression.Cause{}
	for _, x := range want {
		blocked[x.Key] = x.Cause
	}
	return blocked, version
}

package storagetest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
)

// model is what the store must say, as plainly as it can be written down. The
// embedded rows are those of the tables.
type model struct {
	e       *Env
	people  []*person // by id
	runs    []*modelRun
	slices  []*sliceRow
	members map[memberID]*member
	batchOf map[int64]*modelBatch // by id
	groups  map[int64]*modelBatch // the same: here, a group has one
	entries map[entryID]*modelEntry
	unsubs  map[place]map[audience.Key]bool
	// strangers counts the unsubscribes with a key that nobody has or had.
	strangers map[place]int64
	// resolved counts those in doubt for whom evidence came.
	resolved map[place]int64
	version  int64
}

// place is a channel of a run.
type place struct {
	run     int64
	channel audience.Channel
}

type memberID struct {
	run     int64
	channel audience.Channel
	key     audience.Key
}

type person struct {
	audience.Contact
	own     audience.Key
	updated int64
	ever    map[audience.Key]bool
}

type runRow struct {
	ID      int64
	State   dispatcher.RunState
	Reason  string
	Rev     int64
	Planned bool
}

type modelRun struct {
	runRow
	campaign     string
	channels     []audience.Channel
	due, started int64 // milliseconds
	sendBy       time.Time
}

type sliceRow struct {
	Run                  int64
	Channel              audience.Channel
	Slice                int
	Closing, Planned     bool
	Rung                 int64
	Audience, Duplicates int64
}

type memberRow struct {
	ID       memberID
	Contact  int64
	Group    int64
	Slice    int
	Language string
	Code     dispatcher.Code // as it is written: sent is mostly not
	Cause    dispatcher.Cause
	Provider string
}

type member struct {
	memberRow
	version, at int64  // of the call that settled it
	call        string // the provider's id, of the call or in it
}

type batchRow struct {
	ID, Group, Run         int64
	Channel                audience.Channel
	N                      int64
	Low, High, Last, Claim audience.Key
	Settled                int64
	State                  int
	Fence, Beat            int64
	NotBefore, Rung        int64
	Attempts               int64
	Counts                 [6]int64 // by code
	Moved                  int64
}

type modelBatch struct {
	batchRow
	language string
	nonce    int64
	from     audience.Key // of the claim that stands
	at       int64        // of the claim
}

// The states of a batch, as they are stored.
const ready, calling, done = 0, 1, 2

type entryID struct {
	key                              audience.Key
	channel, topic, purpose, sender_ string
	cause                            suppression.Cause
}

type modelEntry struct {
	active  bool
	expires int64 // 0: never
	version int64
	acked   bool // by whoever takes wishes, while it was active
}

var twoLanguages = templates.Template{Default: "sv", Contents: map[string]templates.Content{
	"sv": {Subject: "Hej", HTML: "<p>Hej</p>", Text: "Hej"}, "en": {Subject: "Hi", HTML: "<p>Hi</p>", Text: "Hi"}}}

func newModel(e *Env) *model {
	return &model{e: e, members: map[memberID]*member{}, batchOf: map[int64]*modelBatch{}, groups: map[int64]*modelBatch{},
		entries: map[entryID]*modelEntry{}, unsubs: map[place]map[audience.Key]bool{}, strangers: map[place]int64{}, resolved: map[place]int64{}}
}

func (w *model) now() int64 { return w.e.Now.UnixMilli() }

// keysOn are the keys of a person's addresses on a channel, as they are now.
func (w *model) keysOn(p *person, ch audience.Channel) []audience.Key {
	var ks []audience.Key
	for _, k := range w.e.Keyer.ContactKeys(p.Contact) {
		if k.Kind == ch.Kind() {
			ks = append(ks, k.Key)
		}
	}
	return ks
}

func (w *model) run(id int64) *modelRun {
	for _, r := range w.runs {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// latest is the newest run of a campaign, or nil.
func (w *model) latest(campaign string) *modelRun {
	for _, r := range slices.Backward(w.runs) {
		if r.campaign == campaign {
			return r
		}
	}
	return nil
}

func (r *modelRun) move(to dispatcher.RunState, reason string) {
	r.State, r.Reason, r.Rev = to, reason, r.Rev+1
}

// cut is how many slices the keys of a run are cut into.
const cut = 2

func startOf(slice int) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(uint64(slice)<<32/cut))
}

func inSlice(k audience.Key, slice int) bool {
	return bytes.Compare(k[:], startOf(slice)) >= 0 && (slice+1 == cut || bytes.Compare(k[:], startOf(slice+1)) < 0)
}

// planSlice adds the members of a slice, and returns them.
func (w *model) planSlice(s *sliceRow) []*member {
	s.Planned = true
	if s.Closing {
		return w.planClosing(s)
	}
	var added []*member
	for _, p := range w.people {
		ks := w.keysOn(p, s.Channel)
		for _, k := range ks {
			if !inSlice(k, s.Slice) {
				continue
			}
			s.Audience++
			if x := w.add(s, p, k); x != nil {
				added = append(added, x)
			} else {
				s.Duplicates++
			}
		}
		if len(ks) == 0 && inSlice(p.own, s.Slice) {
			s.Audience++
			added = append(added, w.addWithout(s, p))
		}
	}
	return added
}

func (w *model) planClosing(s *sliceRow) []*member {
	run := w.run(s.Run)
	var changed []*person
	for _, p := range w.people {
		if p.updated >= run.started-1 && !w.present(s, p) {
			changed = append(changed, p)
		}
	}
	slices.SortStableFunc(changed, func(a, b *person) int { return cmp.Compare(a.updated, b.updated) })
	var added []*member
	for _, p := range changed {
		ks := w.keysOn(p, s.Channel)
		if len(ks) == 0 {
			added = append(added, w.addWithout(s, p))
		}
		for _, k := range ks {
			if x := w.add(s, p, k); x != nil {
				added = append(added, x)
			}
		}
	}
	s.Audience = int64(len(added))
	return added
}

// present says whether a person is in the run under any key.
func (w *model) present(s *sliceRow, p *person) bool {
	for id, x := range w.members {
		if id.run == s.Run && id.channel == s.Channel && x.Contact == p.ID {
			return true
		}
	}
	return false
}

// add makes a member, or returns nil if the key has one in the run.
func (w *model) add(s *sliceRow, p *person, k audience.Key) *member {
	id := memberID{s.Run, s.Channel, k}
	if w.members[id] != nil {
		return nil
	}
	x := &member{memberRow: memberRow{ID: id, Contact: p.ID, Slice: s.Slice, Language: templates.LanguageFor(twoLanguages, p.Locale)}}
	w.members[id] = x
	return x
}

func (w *model) addWithout(s *sliceRow, p *person) *member {
	x := w.add(s, p, p.own)
	x.Language, x.Code, x.Cause = "sv", dispatcher.Skipped, dispatcher.CauseNoAddress
	return x
}

// newBatch makes the batch of members that stand in a group of their own.
func (w *model) newBatch(id int64, members []*member) *modelBatch {
	first := members[0]
	b := &modelBatch{language: first.Language, batchRow: batchRow{ID: id, Group: first.Group, Run: first.ID.run, Channel: first.ID.channel,
		N: int64(len(members)), Low: first.ID.key, High: first.ID.key, NotBefore: w.run(first.ID.run).due}}
	for _, x := range members {
		if less(x.ID.key, b.Low) {
			b.Low = x.ID.key
		}
		if less(b.High, x.ID.key) {
			b.High = x.ID.key
		}
	}
	if first.Code == dispatcher.Skipped {
		b.State, b.Settled, b.Last, b.NotBefore = done, b.N, b.High, 0
		b.Counts[dispatcher.Skipped] = b.N
	}
	w.batchOf[id], w.groups[b.Group] = b, b
	return b
}

func less(a, b audience.Key) bool { return bytes.Compare(a[:], b[:]) < 0 }

// codeOf is what has become of a member.
func (w *model) codeOf(x *member) dispatcher.Code {
	b := w.groups[x.Group]
	if x.Code == dispatcher.Pending && !b.Last.IsZero() && !less(b.Last, x.ID.key) {
		return dispatcher.Sent
	}
	return x.Code
}

// open are the members of a batch without a written code, after a key and up to
// another one, in order.
func (w *model) open(b *modelBatch, after, through audience.Key) []*member {
	var out []*member
	for _, x := range w.members {
		if x.Group == b.Group && x.Code == dispatcher.Pending && (after.IsZero() || less(after, x.ID.key)) && !less(through, x.ID.key) {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b *member) int { return bytes.Compare(a.ID.key[:], b.ID.key[:]) })
	return out
}

// holds says whether a claim stands.
func (b *modelBatch) holds(fence int64) bool { return b.State == calling && b.Fence == fence }

// closeAs gives members a code, and counts them.
func (b *modelBatch) closeAs(members []*member, code dispatcher.Code, cause dispatcher.Cause) {
	for _, x := range members {
		x.Code, x.Cause = code, cause
	}
	b.Settled += int64(len(members))
	b.Counts[code] += int64(len(members))
}

// rest is the state of a batch after something of it was settled.
func (b *modelBatch) rest() {
	b.State, b.Claim = ready, audience.Key{}
	if b.Settled == b.N {
		b.State = done
	}
}

// settle is what a settlement does to the members that stay.
func (w *model) settle(b *modelBatch, s dispatcher.Settlement) {
	for _, x := range w.open(b, b.from, s.Through) {
		x.version, x.at, x.call = s.Version, b.at, s.ProviderID
	}
	for _, msg := range s.Messages {
		w.members[memberID{b.Run, b.Channel, msg.Key}].call = msg.ProviderID
	}
	for _, x := range s.Exceptions {
		y := w.members[memberID{b.Run, b.Channel, x.Key}]
		y.Code, y.Cause = x.Code, x.Cause
		b.Counts[x.Code]++
	}
	for _, move := range s.Moves {
		for _, k := range move.Keys {
			x := w.members[memberID{b.Run, b.Channel, k}]
			x.version, x.at, x.call = 0, 0, ""
		}
	}
	b.Moved += int64(s.Moved())
	b.Counts[dispatcher.Sent] += int64(s.Members - len(s.Exceptions) - s.Moved())
	b.Settled += int64(s.Members)
	b.Last, b.Attempts, b.Rung = s.Through, 0, w.now()
	b.rest()
}

// sweep does what a sweep does, if the claim was seen as it is.
func (w *model) sweep(c dispatcher.Calling) {
	b := w.batchOf[c.Batch]
	if !b.holds(c.Fence) || b.Beat != c.Beat {
		return
	}
	b.Fence++
	b.closeAs(w.open(b, b.Last, b.Claim), dispatcher.InDoubt, dispatcher.CauseWorkerLost)
	b.Last, b.Rung = b.Claim, 0
	b.rest()
}

func (w *model) evidence(group int64, sent []dispatcher.Message) {
	b := w.groups[group]
	for _, msg := range sent {
		x := w.members[memberID{b.Run, b.Channel, msg.Key}]
		if x == nil || x.Group != group || x.Code != dispatcher.InDoubt {
			continue
		}
		x.Code, x.Cause, x.Provider = dispatcher.Sent, "", msg.ProviderID
		b.Counts[dispatcher.InDoubt]--
		b.Counts[dispatcher.Sent]++
		w.resolved[place{b.Run, b.Channel}]++
	}
}

// heard says whether a ring of then is taken to be heard.
func (w *model) heard(rung int64) bool { return rung > w.now()-30_000 && rung <= w.now()+30_000 }

// mayRing says whether a batch is due for a doorbell.
func (w *model) mayRing(b *modelBatch, ended bool) bool {
	r := w.run(b.Run)
	if b.State != ready || w.heard(b.Rung) {
		return false
	}
	late := r.sendBy.UnixMilli() < w.now()
	return r.State == dispatcher.Cancelling || r.State == dispatcher.Sending && (late || !ended && b.NotBefore <= w.now())
}

// mayPlan says whether a slice can be planned: the closing one comes last.
func (w *model) mayPlan(s *sliceRow) bool {
	state := w.run(s.Run).State
	if s.Planned || state != dispatcher.Sending && state != dispatcher.Paused {
		return false
	}
	return !s.Closing || !slices.ContainsFunc(w.slices, func(o *sliceRow) bool {
		return o.Run == s.Run && o.Channel == s.Channel && !o.Closing && !o.Planned
	})
}

// finishRuns returns how many runs end.
func (w *model) finishRuns() (ended int) {
	for _, r := range w.runs {
		unplanned := slices.ContainsFunc(w.slices, func(s *sliceRow) bool { return s.Run == r.ID && !s.Planned })
		if r.State == dispatcher.Sending || r.State == dispatcher.Paused {
			r.Planned = r.Planned || !unplanned
		}
		open := false
		for _, b := range w.batchOf {
			open = open || b.Run == r.ID && b.State != done
		}
		switch {
		case open:
			continue
		case r.State == dispatcher.Sending && r.Planned:
			r.State, r.Reason = dispatcher.Finished, ""
		case r.State == dispatcher.Cancelling:
			r.State, r.Reason = dispatcher.Cancelled, ""
		default:
			continue
		}
		ended++
	}
	return ended
}

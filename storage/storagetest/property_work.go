package storagetest

import (
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
)

// stage is how far a worker is with a chunk.
type stage int

const (
	idle stage = iota
	hasBatch
	hasMembers
	hasClaim
	hasVerdict
	hasSent
)

// worker takes a batch through the protocol, a step at a time. What he knows is
// what he has read, however old it is.
type worker struct {
	stage   stage
	batch   dispatcher.Batch
	members []dispatcher.Member
	claim   dispatcher.Claim
	dead    bool // his permits are: he may start no send
	blocked map[audience.Key]suppression.Cause
	version int64
	outcome dispatcher.Settlement
	sent    []dispatcher.Message
}

// replay is something that was done, and may be done again.
type replay struct {
	claim  dispatcher.Claim
	settle *dispatcher.Settlement
}

type lateEvidence struct {
	group int64
	sent  []dispatcher.Message
}

// work takes one of the workers some steps further.
func (m *machine) work() {
	w := &m.workers[draw(m, "worker", 0, 1)]
	for range draw(m, "steps", 1, 2, 3, 6, 12) {
		if w.stage == idle {
			if len(m.rung) == 0 {
				return
			}
			ref := draw(m, "rung", m.rung[:min(64, len(m.rung))]...)
			if m.take(w, ref); w.stage == idle { // nothing comes of it any more
				m.rung = slices.DeleteFunc(m.rung, func(r dispatcher.BatchRef) bool { return r == ref })
			}
			continue
		}
		if draw(m, "crashes", 9, 1, 2, 3, 4, 5, 6, 7, 8, 0) == 0 {
			*w = worker{}
			continue
		}
		m.goOn(w, true)
	}
}

// take reads the batch that a doorbell named.
func (m *machine) take(w *worker, ref dispatcher.BatchRef) {
	got, err := m.Batch(m.ctx(), ref.ID)
	m.must(err)
	b := m.batchOf[ref.ID]
	r := m.run(b.Run)
	want := dispatcher.Batch{BatchRef: dispatcher.BatchRef{ID: b.ID, Fence: b.Fence, Channel: b.Channel}, Group: b.Group, Run: b.Run, Rev: r.Rev,
		RunState: r.State, SendBy: r.sendBy, Low: b.Low, High: b.High, Last: b.Last, Ready: b.State == ready, Attempts: int(b.Attempts),
		Dense: got.Dense, Sender: "exempelbolaget", Template: got.Template, Language: b.language, Topic: "newsletter"}
	if diff := gocmp.Diff(want, got); diff != "" {
		m.fail("batch (-want +got):\n%s", diff)
	}
	if got.Ready && got.Fence == ref.Fence {
		*w = worker{stage: hasBatch, batch: got}
	}
}

// goOn does what is next. By chance it is done in part, or given up.
func (m *machine) goOn(w *worker, chance bool) {
	switch w.stage {
	case hasBatch:
		m.begin(w, chance)
	case hasMembers:
		if chance && draw(m, "is interrupted", false, false, false, false, true) {
			m.interrupt(m.run(w.batch.Run))
		}
		m.claimChunk(w)
	case hasClaim:
		if chance && draw(m, "gives back", false, false, false, false, true) {
			m.release(w)
			return
		}
		m.askVerdict(w)
	case hasVerdict:
		m.send(w, chance)
	case hasSent:
		m.settleChunk(w, chance)
	}
}

// begin reads the members of a chunk, or closes a batch whose run is over.
func (m *machine) begin(w *worker, chance bool) {
	switch {
	case w.batch.RunState == dispatcher.Cancelling:
		m.closeRest(w, dispatcher.Skipped, dispatcher.CauseCancelled)
		return
	case w.batch.RunState != dispatcher.Sending && !(chance && draw(m, "claims all the same", false, false, true)):
		*w = worker{}
		return
	case m.Now.After(w.batch.SendBy):
		m.closeRest(w, dispatcher.Failed, dispatcher.CauseExpired)
		return
	}
	limit := 100
	if chance {
		limit = draw(m, "members", 1, 2, 3, 100)
	}
	var err error
	w.members, err = m.membersOf(w.batch, limit)
	m.must(err)
	want := m.open(m.batchOf[w.batch.ID], w.batch.Last, w.batch.High)
	want = want[:min(limit, len(want))]
	if len(want) != len(w.members) {
		m.fail("%d members are read, want %d", len(w.members), len(want))
	}
	through := w.batch.High
	for i, x := range want {
		p := m.people[slices.IndexFunc(m.people, func(p *person) bool { return p.ID == x.Contact })]
		gone := !slices.Contains(m.keysOn(p, x.ID.channel), x.ID.key)
		if got := w.members[i]; got.Key != x.ID.key || got.Gone != gone {
			m.fail("member %s, gone %v, want %s, gone %v", got.Key.Short(), got.Gone, x.ID.key.Short(), gone)
		}
		through = x.ID.key
	}
	w.claim = dispatcher.Claim{Batch: w.batch.ID, Fence: w.batch.Fence, Run: w.batch.Run, Rev: w.batch.Rev, Nonce: int64(len(m.past) + 1), Owner: "test",
		From: w.batch.Last, Through: through}
	w.stage = hasMembers
}

func (m *machine) closeRest(w *worker, code dispatcher.Code, cause dispatcher.Cause) {
	b := m.batchOf[w.batch.ID]
	err := m.CloseRest(m.ctx(), w.batch, code, cause)
	if b.State != ready || b.Fence != w.batch.Fence {
		m.wants("close the rest", err, dispatcher.ErrNotClaimed)
	} else {
		m.wants("close the rest", err, nil)
		b.closeAs(m.open(b, w.batch.Last, b.High), code, cause)
		b.Last, b.State = b.High, done
	}
	*w = worker{}
}

func (m *machine) claimChunk(w *worker) {
	b, r := m.batchOf[w.batch.ID], m.run(w.batch.Run)
	err := m.Claim(m.ctx(), w.claim)
	if b.State != ready || b.Fence != w.claim.Fence || r.State != dispatcher.Sending || r.Rev != w.claim.Rev {
		m.wants("claim", err, dispatcher.ErrNotClaimed)
		*w = worker{}
		return
	}
	m.wants("claim", err, nil)
	b.State, b.Fence, b.nonce, b.Beat, b.Claim = calling, b.Fence+1, w.claim.Nonce, m.now(), w.claim.Through
	b.from, b.at = w.claim.From, m.now()
	m.past = append(m.past, replay{claim: w.claim})
	w.stage, w.dead = hasClaim, false
}

// askVerdict asks who of the chunk may be sent to.
func (m *machine) askVerdict(w *worker) {
	var ks []audience.Key
	for _, x := range w.members {
		if !x.Gone {
			ks = append(ks, x.Key, m.ownKey(w, x.Key))
		}
	}
	if len(ks) > 0 {
		slices.SortFunc(ks, func(a, b audience.Key) int { return slices.Compare(a[:], b[:]) })
		w.blocked, w.version = m.admits(w.batch.Channel, slices.Compact(ks))
	}
	w.stage = hasVerdict
}

func (m *machine) ownKey(w *worker, k audience.Key) audience.Key {
	x := m.members[memberID{w.batch.Run, w.batch.Channel, k}]
	return m.people[slices.IndexFunc(m.people, func(p *person) bool { return p.ID == x.Contact })].own
}

// fate is what becomes of one message: what the worker is told, and whether the
// provider was given it and took it.
type fate struct {
	code         dispatcher.Code // pending: it is to be tried again
	cause        dispatcher.Cause
	given, taken bool
}

var taken = fate{code: dispatcher.Sent, given: true, taken: true}

// fates are those that chance chooses from, the plainest first.
var fates = []fate{taken, taken, taken, taken, taken, taken, taken, taken,
	{}, {},
	{code: dispatcher.InDoubt, cause: dispatcher.CauseNoAnswer, given: true, taken: true},
	{code: dispatcher.InDoubt, cause: dispatcher.CauseServer, given: true},
	{code: dispatcher.Failed, cause: dispatcher.CauseRefused, given: true},
	{code: dispatcher.Failed, cause: dispatcher.CauseTooLarge, given: true},
	{code: dispatcher.Failed, cause: dispatcher.CauseRender},
}

// send gives those who may be sent to to the provider, if the permits live.
func (m *machine) send(w *worker, chance bool) {
	s := dispatcher.Settlement{Batch: w.claim.Batch, Group: w.batch.Group, Fence: w.claim.Fence + 1, Members: len(w.members), Through: w.claim.Through,
		Version: w.version}
	if chance && draw(m, "one id a call", false, true) {
		s.ProviderID = "call"
	}
	var back []audience.Key
	for _, x := range w.members {
		f := m.fateOf(w, x, chance)
		if f.given {
			m.hand(w, memberID{w.batch.Run, w.batch.Channel, x.Key}, f)
		}
		switch f.code {
		case dispatcher.Pending:
			back = append(back, x.Key)
		case dispatcher.Sent:
			msg := dispatcher.Message{Key: x.Key}
			if s.ProviderID == "" {
				msg.ProviderID = "id " + x.Key.Short()
				s.Messages = append(s.Messages, msg)
			}
			w.sent = append(w.sent, msg)
		default:
			s.Exceptions = append(s.Exceptions, dispatcher.Exception{Key: x.Key, Code: f.code, Cause: f.cause})
		}
	}
	if len(back) > 0 {
		move := dispatcher.Move{Keys: back, RetryAt: m.Now.Add(time.Minute), Attempts: w.batch.Attempts + 1}
		s.Moves = append(s.Moves, move)
		if chance && len(back) > 1 && draw(m, "in halves", false, false, true) {
			s.Moves = dispatcher.Halves(move)
		}
	}
	w.outcome, w.stage = s, hasSent
}

func (m *machine) fateOf(w *worker, x dispatcher.Member, chance bool) fate {
	cause, blocked := w.blocked[x.Key]
	if own, also := w.blocked[m.ownKey(w, x.Key)]; also {
		cause, blocked = own, true
	}
	switch {
	case x.Gone:
		return fate{code: dispatcher.Skipped, cause: dispatcher.CauseAddressChanged}
	case blocked:
		return fate{code: dispatcher.Suppressed, cause: dispatcher.Cause(cause)}
	case w.dead:
		return fate{}
	case chance:
		return draw(m, "fate", fates...)
	}
	return taken
}

// hand gives a message to the provider: once, and to nobody whose wish was
// acknowledged.
func (m *machine) hand(w *worker, id memberID, f fate) {
	m.given[id]++
	if f.taken {
		m.taken[id]++
	}
	if m.given[id] > 1 {
		m.fail("given to a provider again: %v", id)
	}
	for _, k := range []audience.Key{id.key, m.ownKey(w, id.key)} {
		for _, entry := range m.blocking(id.channel, k) {
			if e := m.entries[entry]; e.acked && e.version > w.version {
				m.fail("sent after a wish was acknowledged: %v", id)
			}
		}
	}
}

// settleChunk writes down what was done, or the evidence of it when somebody
// has swept the claim.
func (m *machine) settleChunk(w *worker, chance bool) {
	s := w.outcome
	if s.Moved() == s.Members && s.Members > 0 && chance && draw(m, "gives back", true, false) {
		m.release(w)
		return
	}
	m.past = append(m.past, replay{settle: &s})
	b := m.batchOf[s.Batch]
	if !b.holds(s.Fence) {
		_, err := m.Settle(m.ctx(), s)
		m.wants("settle", err, dispatcher.ErrLostClaim)
		if chance && draw(m, "evidence", true, false) {
			m.giveEvidence(lateEvidence{s.Group, w.sent})
		} else {
			m.late = append(m.late, lateEvidence{s.Group, w.sent})
		}
		*w = worker{}
		return
	}
	p, err := m.Settle(m.ctx(), s)
	m.wants("settle", err, nil)
	m.settle(b, s)
	m.regroup(b, s)
	if p.Done != (b.State == done) {
		m.fail("settled: done is %v", p.Done)
	}
	goesOn := worker{stage: hasBatch, batch: w.batch}
	goesOn.batch.Fence, goesOn.batch.Last, goesOn.batch.Attempts = s.Fence, s.Through, 0
	*w = worker{}
	if !p.Done {
		*w = goesOn
	}
}

// regroup follows the members who were moved.
func (m *machine) regroup(b *modelBatch, s dispatcher.Settlement) {
	for _, move := range s.Moves {
		var moved []*member
		for _, k := range move.Keys {
			moved = append(moved, m.members[memberID{b.Run, b.Channel, k}])
		}
		m.adopt(moved)
		to := m.groups[moved[0].Group]
		if to == b {
			m.fail("moved members stay in their group")
		}
		to.NotBefore, to.Attempts = move.RetryAt.UnixMilli(), int64(move.Attempts)
	}
}

// release gives back a claim of which nothing was sent.
func (m *machine) release(w *worker) {
	c, retry := w.claim, m.Now.Add(time.Minute)
	*w = worker{}
	if draw(m, "with another nonce", false, false, true) {
		other := c
		other.Nonce += 1000
		m.wants("release by another", m.Release(m.ctx(), other, retry), dispatcher.ErrLostClaim)
	}
	b := m.batchOf[c.Batch]
	err := m.Release(m.ctx(), c, retry)
	if !b.holds(c.Fence + 1) {
		m.wants("release", err, dispatcher.ErrLostClaim)
		return
	}
	m.wants("release", err, nil)
	b.State, b.Claim, b.NotBefore, b.Rung = ready, audience.Key{}, retry.UnixMilli(), 0
	b.Attempts++
}

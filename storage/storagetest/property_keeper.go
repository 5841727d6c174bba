package storagetest

import (
	"cmp"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"utskick/dispatcher"
)

// repeatPast does again what was done before: it must change nothing.
func (m *machine) repeatPast() {
	if len(m.past) == 0 {
		return
	}
	switch x := draw(m, "again", m.past[max(0, len(m.past)-8):]...); {
	case x.settle == nil:
		m.wants("claim again", m.Claim(m.ctx(), x.claim), dispatcher.ErrNotClaimed)
	case !m.batchOf[x.settle.Batch].holds(x.settle.Fence):
		_, err := m.Settle(m.ctx(), *x.settle)
		m.wants("settle again", err, dispatcher.ErrLostClaim)
	}
}

// beat says that a worker lives, who may have lost his claim since. A keeper who
// looked before is told otherwise than he was.
func (m *machine) beat() {
	w := &m.workers[draw(m, "worker", 0, 1)]
	if w.stage < hasClaim {
		return
	}
	m.observe()
	m.Now = m.Now.Add(draw(m, "after", time.Second, 0))
	m.must(m.Beat(m.ctx(), w.claim.Batch, w.claim.Fence+1))
	if b := m.batchOf[w.claim.Batch]; b.holds(w.claim.Fence + 1) {
		b.Beat = m.now()
	}
	if draw(m, "then sweep", false, true) {
		m.sweepOne()
	}
}

// observe is a keeper's look at the claims.
func (m *machine) observe() {
	got, err := m.CallingBatches(m.ctx())
	m.must(err)
	var want []dispatcher.Calling
	for _, b := range m.batchOf {
		if b.State == calling {
			want = append(want, dispatcher.Calling{Batch: b.ID, Fence: b.Fence, Beat: b.Beat})
		}
	}
	order := func(a, b dispatcher.Calling) int { return cmp.Compare(a.Batch, b.Batch) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if diff := gocmp.Diff(want, got); diff != "" {
		m.fail("claims that stand (-want +got):\n%s", diff)
	}
	m.observed = append(m.observed, got...)
	m.observed = m.observed[max(0, len(m.observed)-8):]
}

func (m *machine) sweepOne() {
	if len(m.observed) > 0 {
		m.sweepThis(draw(m, "observation", m.observed...))
	}
}

// sweepThis sweeps a claim that was watched for so long that its permits are
// dead.
func (m *machine) sweepThis(c dispatcher.Calling) {
	m.must(m.Sweep(m.ctx(), c))
	swept := m.batchOf[c.Batch].holds(c.Fence) && m.batchOf[c.Batch].Beat == c.Beat
	m.sweep(c)
	for i := range m.workers {
		if x := m.workers[i].claim; swept && x.Batch == c.Batch && x.Fence+1 == c.Fence {
			m.workers[i].dead = true
		}
	}
}

// takeOver sweeps a worker's claim as soon as he has sent, and another worker
// goes on with the batch before the first one knows.
func (m *machine) takeOver() {
	i := draw(m, "worker", 0, 1)
	lost, other := &m.workers[i], &m.workers[1-i]
	if ready := m.readyBatches(); lost.stage == idle && len(ready) > 0 {
		m.take(lost, draw(m, "batch", ready...))
	}
	for until := draw(m, "until", hasSent, hasSent, hasVerdict, hasClaim); lost.stage != idle && lost.stage < until; {
		m.goOn(lost, lost.stage < hasClaim) // all are taken whom nothing keeps from it
	}
	if lost.stage < hasClaim {
		return
	}
	m.observe()
	for _, c := range m.observed {
		if c.Batch == lost.claim.Batch {
			m.sweepThis(c)
		}
	}
	b := m.batchOf[lost.claim.Batch]
	m.take(other, dispatcher.BatchRef{ID: b.ID, Fence: b.Fence, Channel: b.Channel})
	for other.stage != idle && other.stage < hasClaim {
		m.goOn(other, true)
	}
	switch draw(m, "then", "writes", "writes", "sweeps as before", "nothing") {
	case "writes":
		m.goOn(lost, true)
	case "sweeps as before":
		m.sweepOne()
	}
}

// readyBatches are those that a worker who polls is told of, the largest first.
func (m *machine) readyBatches() []dispatcher.BatchRef {
	var found []*modelBatch
	for _, b := range m.batchOf {
		if b.State == ready && m.run(b.Run).State == dispatcher.Sending {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b *modelBatch) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.ID, b.ID)) })
	var refs []dispatcher.BatchRef
	for _, b := range found {
		refs = append(refs, dispatcher.BatchRef{ID: b.ID, Fence: b.Fence, Channel: b.Channel})
	}
	return refs
}

// evidenceLate brings evidence that comes after all, or again, or of what is
// not in doubt.
func (m *machine) evidenceLate() {
	if len(m.late) > 0 && draw(m, "of a worker", true, false) {
		m.giveEvidence(draw(m, "evidence", m.late...))
		return
	}
	if groups := m.groupIDs(); len(groups) > 0 {
		b := m.groups[draw(m, "group", groups...)]
		x := lateEvidence{group: b.Group}
		for _, y := range m.memberRows() {
			if y.Group == b.Group && (y.Code != dispatcher.InDoubt || m.taken[y.ID] > 0) {
				x.sent = append(x.sent, dispatcher.Message{Key: y.ID.key, ProviderID: "late"})
			}
		}
		m.giveEvidence(x)
	}
}

func (m *machine) giveEvidence(x lateEvidence) {
	m.must(m.Evidence(m.ctx(), x.group, x.sent))
	m.evidence(x.group, x.sent)
}

// workThrough takes a batch as far as it goes.
func (m *machine) workThrough(ref dispatcher.BatchRef) {
	var w worker
	m.take(&w, ref)
	for w.stage != idle {
		m.goOn(&w, false)
	}
}

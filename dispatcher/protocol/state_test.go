package protocol

// The people of the model: one or two recipients, told apart by their place in
// the order of keys.
const people = 2

// state is everything that is true at one moment. It holds no clock and no
// counter that grows: only what a later step can still ask for.
type state struct {
	// actors are worker A, worker B, and for each of them a statement that it
	// has sent to the database and will have no answer to: it was killed since,
	// or its connection broke. Such a statement may still be executed.
	actors [4]actor
	run    runState
	batch  batch
	codes  [people]code // of the members; none beside a settled batch is sent
	entry  bool         // the wish is committed
	client client
	seen   witness
}

// actor is a worker in the midst of one answer to the doorbell.
type actor struct {
	stage   stage
	know    know
	edited  bool  // the run was paused since the worker read it
	age     uint8 // of the instant t0; the permits die with it
	first   uint8 // of the chunk
	through uint8 // last of the chunk
	next    uint8 // whose turn it is
	results [people]result
}

// stage is where a worker stands. In the stages up to closing, a statement of
// it is on its way to the database.
type stage uint8

const (
	idle stage = iota
	claiming
	releasing
	settling
	reporting // late evidence
	closing   // the rest of a cancelled run's batch
	prepared  // has read and rendered a chunk
	checked   // before the claim: a shortcut
	claimed   // knows that its claim is committed
	sending   // has permits
	tested    // has asked the permit, and not written yet: the honest limit
	calling   // the provider has the message and has not answered
)

func (a actor) waitsForDatabase() bool { return a.stage >= claiming && a.stage <= closing }

// know is what the fence that an actor remembers means by now. Fences only rise
// and are only ever compared with their batch's, so the numbers do not matter,
// and the model needs no bound on them.
type know uint8

const (
	stale know = iota // the batch's fence has moved on
	fresh             // the fence is as the worker read it
	mine              // the claim that stands at the batch's fence is this worker's
	rival             // it is somebody else's, at the fence that this worker asked for
)

// result is what became of one member of a chunk.
type result uint8

const (
	unruled result = iota
	permitted
	withheld
	accepted
	refused
	notTaken // 429, or the permit was dead
	unknown  // handed over, and no answer came
)

type runState uint8

const (
	running runState = iota
	paused
	cancelling
)

// batch is the row of the one batch that is not done. Members that move go on in
// a batch that takes its place, because their old one is done with that.
type batch struct {
	state     batchState
	low, high uint8 // members
	last      uint8 // members before this one are settled
	claimed   uint8 // while calling: the last member of the claim
	settled   uint8 // how many
	sent      uint8 // counted, over both batches
	watch     uint8 // ticks for which the claim has stood still, up to the limit
}

type batchState uint8

const (
	ready batchState = iota
	called
	done
)

func (b batch) size() uint8 { return b.high - b.low + 1 }

type code uint8

const (
	none code = iota
	sent
	suppressed
	failed
	inDoubt
	skipped
)

// client is the one who takes an unsubscribe and acknowledges it.
type client struct {
	stage  clientStage
	open   bool  // a claim that it waits for stands
	waited uint8 // ticks, up to the limit
	acked  bool
}

type clientStage uint8

const (
	quiet clientStage = iota
	looked
	committed
	waiting
	finished
)

// witness is what only somebody outside knows.
type witness struct {
	taken [people]uint8 // messages that the provider has taken, 2 stands for more
	told  [people]bool  // the ledger was told so, and has it in doubt all the same
}

// outcome is the member's code as a report shows it. Beside its batch's row a
// settled member needs a row of its own only when it was not sent to.
func (s *state) outcome(i uint8) code {
	if s.codes[i] != none {
		return s.codes[i]
	}
	if i >= s.batch.low && i <= s.batch.high && i >= s.batch.last {
		return none
	}
	return sent
}

// canonical gives states that no later step can tell apart the same form, and
// returns it in few bits. It is the same with the workers exchanged.
func (s *state) canonical(m *model) key {
	for i := range s.actors {
		a := &s.actors[i]
		if s.batch.state == done {
			a.know = stale
		}
		a.forget(m)
		if i >= 2 {
			a.age = 0
			if a.stage != reporting && a.know == stale && !m.exact() {
				*a = actor{} // what it asks for is refused, whenever it arrives
			}
		}
	}
	if s.batch.state != called {
		s.batch.watch, s.batch.claimed = 0, 0
	}
	if s.batch.state == done {
		s.run = running // a run without an open batch ends, or ends when resumed
	}
	if s.client.stage != waiting {
		s.client.waited = 0
	}
	if s.client.stage == finished {
		s.client.open = false
	}
	for i := range s.seen.told {
		s.seen.told[i] = s.seen.told[i] && s.codes[i] == inDoubt
	}
	return s.pack()
}

// forget drops what the actor will not use again.
func (a *actor) forget(m *model) {
	switch a.stage {
	case idle:
		*a = actor{}
	case prepared, settling, reporting, closing:
		a.age = 0
	case releasing:
		a.age, a.results = 0, [people]result{}
	}
	if a.stage == reporting || a.stage == releasing {
		a.edited = false
	}
	if m.exact() {
		return
	}
	if a.stage == prepared || a.stage == claiming || a.stage == closing {
		// One reason is enough for the claim to be refused.
		if a.edited || a.know != fresh {
			a.know, a.edited = stale, false
		}
	}
	if a.know == rival {
		a.know = stale
	}
}

// key is a state in few bits.
type key [3]uint64

// pack exchanges the workers, if that makes the key smaller.
func (s *state) pack() key {
	a := s.actors[workerA].pack()<<32 | s.actors[strayA].pack()
	b := s.actors[workerB].pack()<<32 | s.actors[strayB].pack()
	if b < a {
		a, b = b, a
		s.actors[workerA], s.actors[workerB] = s.actors[workerB], s.actors[workerA]
		s.actors[strayA], s.actors[strayB] = s.actors[strayB], s.actors[strayA]
	}
	var p packer
	p = p.add(2, uint8(s.run)).add(1, bit(s.entry))
	p = p.add(2, uint8(s.batch.state)).add(1, s.batch.low).add(1, s.batch.high).add(2, s.batch.last).add(1, s.batch.claimed)
	p = p.add(2, s.batch.settled).add(2, s.batch.sent).add(3, s.batch.watch)
	p = p.add(3, uint8(s.client.stage)).add(1, bit(s.client.open)).add(3, s.client.waited).add(1, bit(s.client.acked))
	for i := range people {
		p = p.add(3, uint8(s.codes[i])).add(2, s.seen.taken[i]).add(1, bit(s.seen.told[i]))
	}
	return key{a, b, p.bits}
}

func (a *actor) pack() uint64 {
	if a.stage == idle {
		return 0
	}
	var p packer
	p = p.add(4, uint8(a.stage)).add(2, uint8(a.know)).add(1, bit(a.edited)).add(3, a.age)
	p = p.add(1, a.first).add(1, a.through).add(2, a.next)
	for _, r := range a.results {
		p = p.add(3, uint8(r))
	}
	return p.bits
}

type packer struct {
	bits uint64
	n    uint
}

func (p packer) add(width uint, v uint8) packer {
	if v>>width != 0 {
		panic("a value of the model does not fit its bits")
	}
	return packer{p.bits | uint64(v)<<p.n, p.n + width}
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

package protocol

// model is one instance of the protocol: how many people, how long, and with
// which shortcut. Its zero times are no model; see inTime.
type model struct {
	members  uint8 // 1 or 2
	chunk    uint8 // how many of them one claim covers
	person   uint8 // which of them unsubscribes
	window   uint8 // ticks, inclusive, from t0 in which a permit lives
	wait     uint8 // ticks that an acknowledgement waits at most
	watch    uint8 // ticks that a claim must have stood still to be swept
	whole    bool  // one call carries the whole chunk
	apart    bool  // the test of a permit and the write are two steps
	plain    bool  // states that no later step can tell apart stay apart
	shortcut shortcut
}

// shortcut is one way to build the protocol wrongly.
type shortcut string

const (
	noShortcut        shortcut = ""
	checkFirst        shortcut = "check before the claim"
	checkInside       shortcut = "check inside the claim's transaction"
	checkReplica      shortcut = "check on a replica that lags"
	acknowledgeFirst  shortcut = "acknowledge before the commit"
	lookInside        shortcut = "look for claims inside the commit's transaction"
	noWait            shortcut = "no acknowledgement wait"
	shortWait         shortcut = "a wait shorter than the window"
	sweepToReady      shortcut = "sweep back to ready"
	sweepAtOnce       shortcut = "sweep without the watch"
	claimAnyFence     shortcut = "claim without the fence"
	claimAnyRun       shortcut = "claim without looking at the run"
	recordAfter       shortcut = "record after the send"
	releaseUnknown    shortcut = "release after an unknown outcome"
	releaseByFence    shortcut = "release without the nonce"
	retryLost         shortcut = "a client that retries a lost reply"
	noSweep           shortcut = "no sweep"
	withheldAgain     shortcut = "somebody withheld is tried again"
	noExpiry          shortcut = "a permit that does not expire"
	suspendedClock    shortcut = "a clock that stops in suspend"
	settleAnyFence    shortcut = "settle without the fence"
	evidenceForgotten shortcut = "late evidence ignored"
)

// promise is what a step or an end may break.
type promise string

const (
	kept promise = ""
	p1   promise = "P1: no send is started after the acknowledgement"
	p2   promise = "P2: never two sends to one destination"
	p3   promise = "P3: everybody ends with one outcome, and it is true"
	p6   promise = "P6: nothing is claimed while the run is paused"
	ends promise = "P3: once faults stop, every run can end"
)

// step says what happens between two states.
type step struct {
	who    who
	what   string
	detail string
	person int8 // -1: it is about nobody
	fault  bool // something that need not happen for the run to end
	breaks promise
	why    string
}

type who uint8

const (
	workerA who = iota
	workerB
	strayA // a statement that worker A has left behind
	strayB
	clientSide
	sweeper
	operator
	passage
)

var whoNames = [...]string{"worker A", "worker B", "left behind by A", "left behind by B",
	"client", "sweep", "operator", "clock"}

func (s step) String() string {
	text := whoNames[s.who] + ": " + s.what + s.detail
	if s.person >= 0 {
		text += " (person " + string('1'+rune(s.person)) + ")"
	}
	if s.breaks != kept {
		text += "\n     breaks " + string(s.breaks) + ": " + s.why
	}
	return text
}

// exact says that what is refused in the program must be kept: a shortcut may
// let it through.
func (m *model) exact() bool {
	switch m.shortcut {
	case claimAnyFence, claimAnyRun, releaseByFence, settleAnyFence:
		return true
	}
	return m.plain
}

func (m *model) start() state {
	return state{batch: batch{high: m.members - 1}}
}

// visit is told each step that a state allows, and the state that follows.
type visit func(step, state)

// next visits whatever can happen in s.
func (m *model) next(s *state, v visit) {
	for w := range 2 {
		m.worker(s, w, v)
		m.stray(s, w, v)
	}
	m.unsubscribe(s, v)
	m.sweep(s, v)
	m.operate(s, v)
	m.tick(s, v)
}

// end judges a state in which nothing can happen any more.
func (m *model) end(s *state) (why string) {
	if s.batch.state != done {
		return "nothing goes on, and the batch is not done"
	}
	counted := uint8(0)
	for i := range m.members {
		o, took := s.outcome(i), s.seen.taken[i] > 0
		switch {
		case o == none:
			return "somebody is pending for ever"
		case o == sent && !took:
			return "somebody is called sent, and the provider took nothing"
		case took && o != sent && o != inDoubt:
			return "the provider took a message, and the outcome denies it"
		case o == suppressed && (i != m.person || !s.entry):
			return "somebody is called suppressed who has no entry"
		case s.seen.told[i]:
			return "the ledger was told that the message was taken, and has it in doubt"
		}
		counted += bit(o == sent)
	}
	if counted != s.batch.sent || s.batch.settled != s.batch.size() {
		return "the counters of the batches do not sum to their members"
	}
	return ""
}

// tick lets time pass, by the same measure for everybody.
func (m *model) tick(s *state, v visit) {
	for stopped := -1; stopped < 2; stopped++ {
		t := *s
		for w := range 2 {
			if w != stopped {
				t.actors[w].age = min(t.actors[w].age+1, m.window+1)
			}
		}
		t.batch.watch = min(t.batch.watch+1, m.watch)
		t.client.waited = min(t.client.waited+1, m.wait)
		if stopped < 0 {
			v(step{who: passage, what: "ticks", person: -1}, t)
		} else {
			v(step{who: passage, what: "ticks, but not for ", detail: whoNames[stopped], person: -1, fault: true}, t)
		}
		if m.shortcut != suspendedClock {
			return
		}
	}
}

// operate pauses, resumes and cancels. Cancelling stands for expiry, too: both
// close the rest of the batch.
func (m *model) operate(s *state, v visit) {
	if s.batch.state == done || s.run == cancelling {
		return
	}
	t := *s
	if s.run == paused {
		t.run = running
		v(step{who: operator, what: "resumes the run", person: -1}, t)
	} else {
		t.run = paused
		for i := range t.actors {
			t.actors[i].edited = t.actors[i].stage != idle
		}
		v(step{who: operator, what: "pauses the run", person: -1, fault: true}, t)
	}
	t = *s
	t.run = cancelling
	v(step{who: operator, what: "cancels the run", person: -1, fault: true}, t)
}

// unsubscribe goes the way of suppression.Register: (a) commit, (b) look for
// open claims in a new statement, (c) wait for them or for the time.
func (m *model) unsubscribe(s *state, v visit) {
	t := *s
	c := &t.client
	switch c.stage {
	case quiet:
		switch m.shortcut {
		case acknowledgeFirst:
			if !c.acked {
				m.acknowledge(t, quiet, v)
				return
			}
			t.entry, c.stage = true, finished
			v(step{who: clientSide, what: "commits the entry", person: int8(m.person)}, t)
		case lookInside:
			c.stage, c.open = looked, m.covered(s)
			v(step{who: clientSide, what: "begins its transaction and looks for claims in it", person: int8(m.person)}, t)
		default:
			t.entry, c.stage = true, committed
			v(step{who: clientSide, what: "commits the entry", person: int8(m.person)}, t)
		}
	case looked:
		t.entry, c.stage = true, waiting
		v(step{who: clientSide, what: "commits the entry", person: int8(m.person)}, t)
	case committed:
		c.open = m.covered(s) && m.shortcut != noWait
		c.stage = waiting
		v(step{who: clientSide, what: "looks for claims that cover the person", person: int8(m.person)}, t)
	case waiting:
		if !c.open || c.waited >= m.wait {
			m.acknowledge(t, finished, v)
		}
	}
}

func (m *model) covered(s *state) bool {
	return s.batch.state == called && s.batch.low <= m.person && m.person <= s.batch.high
}

func (m *model) acknowledge(t state, then clientStage, v visit) {
	t.client.acked, t.client.stage = true, then
	v(step{who: clientSide, what: "acknowledges", person: int8(m.person)}, t)
}

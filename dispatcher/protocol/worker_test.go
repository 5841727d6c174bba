package protocol

// worker visits what worker w may do next, and what may befall it. It may do it
// at any later time: a frozen worker is one whose next step comes late.
func (m *model) worker(s *state, w int, v visit) {
	a := s.actors[w]
	if a.stage == idle {
		m.hear(s, w, v)
		return
	}
	m.die(s, w, v)
	switch a.stage {
	case prepared, checked:
		m.sendClaim(s, w, v)
	case claimed:
		m.rule(s, w, v)
	case sending:
		m.test(s, w, v)
	case tested:
		m.write(s, w, v)
	case calling:
		m.answer(s, w, v)
	default:
		m.database(s, w, v)
	}
}

// sendClaim notes t0 and sends the claim. The shortcuts check here.
func (m *model) sendClaim(s *state, w int, v visit) {
	t := *s
	a := &t.actors[w]
	st := step{who: who(w), what: "notes t0 and sends its claim", person: -1}
	switch {
	case m.shortcut == checkFirst && a.stage == prepared:
		t.check(m, w)
		a.stage = checked
		st.what = "checks, before its claim"
	case m.shortcut == checkInside:
		t.check(m, w)
		a.stage = claiming
		st.what = "notes t0, begins the claim's transaction and checks in it"
	case m.shortcut == recordAfter:
		t.check(m, w)
		t.advance(m, w)
		st.what = "notes t0 and checks, without a claim"
	default:
		a.stage, a.age = claiming, 0
	}
	v(st, t)
}

// hear takes a batch that the doorbell rings for. Any worker may hear at any
// time: asynq may lose, repeat and reorder what it carries. A task with an old
// fence, or for a batch that is not ready, is put down at once.
func (m *model) hear(s *state, w int, v visit) {
	if s.batch.state != ready || s.run == paused {
		return
	}
	t := *s
	t.actors[w] = actor{stage: prepared, know: fresh, first: s.batch.last, through: m.throughOf(s, s.batch.last)}
	what := "answers the doorbell, reads the next chunk and renders it"
	if s.run == cancelling {
		t.actors[w].stage = closing
		what = "answers the doorbell and sends the close of the cancelled rest"
	}
	v(step{who: who(w), what: what, person: -1}, t)
}

func (m *model) throughOf(s *state, first uint8) uint8 { return min(first+m.chunk-1, s.batch.high) }

// check rules on the members of the chunk by the entries that are committed now.
func (s *state) check(m *model, w int) {
	a := &s.actors[w]
	a.next = a.first
	for i := a.first; i <= a.through; i++ {
		a.results[i] = permitted
		if i == m.person && s.entry {
			a.results[i] = withheld
		}
	}
}

// rule is the check after the claim: a statement of its own, which may fail.
func (m *model) rule(s *state, w int, v visit) {
	t := *s
	if m.shortcut != checkFirst && m.shortcut != checkInside {
		t.check(m, w)
	}
	t.advance(m, w)
	v(step{who: who(w), what: "checks: ", detail: ruling(&t, w, m), person: -1}, t)
	if m.shortcut == checkReplica && s.entry {
		t = *s
		t.entry = false
		t.check(m, w)
		t.entry = true
		t.advance(m, w)
		v(step{who: who(w), what: "checks, and sees how it was before the entry", person: -1}, t)
	}
	t = *s
	t.actors[w].stage = releasing
	v(step{who: who(w), what: "has no answer to its check, and sends the claim back", person: -1, fault: true}, t)
}

func ruling(s *state, w int, m *model) string {
	if s.actors[w].results[m.person] == withheld {
		return "the person who unsubscribed is withheld"
	}
	return "permits for all"
}

// advance moves on to the next member with a permit; after the last one the
// worker writes down what it did.
func (s *state) advance(m *model, w int) {
	a := &s.actors[w]
	a.next = max(a.next, a.first)
	for a.next <= a.through && a.results[a.next] != permitted {
		a.next++
	}
	if a.next <= a.through {
		a.stage = sending
		return
	}
	a.next = 0
	a.stage = settling
	if a.givesBack(m) {
		a.stage = releasing
	}
	if m.shortcut == recordAfter {
		a.stage = claiming
	}
}

// givesBack says that the provider did nothing with anybody, and that somebody
// is to be tried again.
func (a *actor) givesBack(m *model) bool {
	back := false
	for i := a.first; i <= a.through; i++ {
		switch a.results[i] {
		case notTaken:
			back = true
		case withheld:
			back = back || m.shortcut == withheldAgain
		case accepted, refused, unknown:
			return false
		}
	}
	return back
}

// test asks the permit at the first byte of the message, and starts the send.
func (m *model) test(s *state, w int, v visit) {
	t := *s
	a := &t.actors[w]
	if a.age > m.window && m.shortcut != noExpiry {
		st := step{who: who(w), what: "finds the permit dead, and sends nothing", person: int8(a.next)}
		a.results[a.next] = notTaken
		t.advance(m, w)
		v(st, t)
		return
	}
	if m.apart {
		a.stage = tested
		v(step{who: who(w), what: "finds the permit alive", person: int8(a.next)}, t)
		return
	}
	m.write(s, w, v)
}

// write lets the first byte leave: the send is started.
func (m *model) write(s *state, w int, v visit) {
	t := *s
	a := &t.actors[w]
	st := step{who: who(w), what: "starts the send", person: int8(a.next)}
	if s.client.acked && m.calls(a, m.person) {
		st.breaks, st.why = p1, "the unsubscribe was acknowledged before"
	}
	if m.apart && a.age > m.window {
		st.what = lateStart
	}
	a.stage = calling
	v(st, t)
}

// lateStart is a send after its permit died: the test was passed in time, and
// the process stood still between the test and the write.
const lateStart = "starts the send late_start, after its permit died"

// answer is the provider's: it takes the message or not, and says so or not.
func (m *model) answer(s *state, w int, v visit) {
	if s.batch.watch > 0 && s.actors[w].know == mine {
		t := *s
		t.batch.watch = 0
		v(step{who: who(w), what: "its heartbeat is written", person: -1}, t)
	}
	for _, o := range [...]struct {
		what  string
		took  bool
		says  result
		fault bool
	}{
		{"the provider takes the message and says so", true, accepted, false},
		{"the provider refuses the recipient", false, refused, false},
		{"the provider answers 429", false, notTaken, true},
		{"the provider takes the message, and its answer is lost", true, unknown, true},
		{"the message is lost, and no answer comes", false, unknown, true},
	} {
		t := *s
		a := &t.actors[w]
		st := step{who: who(w), what: o.what, person: int8(a.next), fault: o.fault}
		if o.took {
			t.take(m, w, &st)
		}
		says := o.says
		if says == unknown && m.shortcut == retryLost {
			says = permitted
		}
		if says == unknown && m.shortcut == releaseUnknown {
			says = notTaken
		}
		for i := a.first; i <= a.through; i++ {
			if m.calls(a, i) {
				a.results[i] = says
			}
		}
		t.advance(m, w)
		v(st, t)
	}
}

// calls reports whether the call that an actor makes now carries a message for i.
func (m *model) calls(a *actor, i uint8) bool {
	return a.results[i] == permitted && (m.whole || i == a.next)
}

// take lets the provider have what the call carries.
func (s *state) take(m *model, w int, st *step) {
	for i := range people {
		if !m.calls(&s.actors[w], uint8(i)) {
			continue
		}
		if s.seen.taken[i] > 0 {
			st.breaks, st.why = p2, "the provider has a message for this destination already"
		}
		s.seen.taken[i] = min(s.seen.taken[i]+1, 2)
	}
}

// database is the end of a statement: it is executed and answered, or the worker
// has no answer. Then it was not executed, or may be at any later time.
func (m *model) database(s *state, w int, v visit) {
	t := *s
	what, breaks := m.execute(&t, w)
	st := step{who: who(w), what: what, person: -1, breaks: breaks}
	if breaks != kept {
		st.why = "the run is not sending"
	}
	v(st, t)

	t = *s
	t.unanswered(w)
	v(fault(w, "loses its connection, and the statement with it: ", s.actors[w].stage), t)
	if s.roomForStray(w) {
		t.actors[2+w] = s.actors[w]
		v(fault(w, "loses its connection, and the statement is on its way: ", s.actors[w].stage), t)
	}
}

// fault is one that befalls a worker with a statement on its way.
func fault(w int, what string, st stage) step {
	return step{who: who(w), what: what, detail: statements[st], person: -1, fault: true}
}

var statements = [...]string{claiming: "claim", releasing: "release", settling: "settlement", reporting: "evidence", closing: "close"}

// unanswered is what a worker does that cannot know what became of its statement:
// it gives the claim back, it settles again, and the rest it leaves to the sweep.
func (s *state) unanswered(w int) {
	a := &s.actors[w]
	switch a.stage {
	case claiming:
		a.stage = releasing
	case settling:
	default:
		*a = actor{}
	}
}

// execute lets the database do the statement that an actor waits for. The actor
// has the answer at once: a later answer is a later next step.
func (m *model) execute(s *state, by int) (what string, breaks promise) {
	a := &s.actors[by]
	switch a.stage {
	case claiming:
		ok := false
		ok, breaks = s.claim(m, by)
		switch {
		case !ok:
			*a = actor{}
			return "the claim is refused", kept
		case m.shortcut == recordAfter:
			a.stage = settling
		default:
			a.stage = claimed
		}
		return "the claim is committed", breaks
	case releasing:
		s.release(m, by)
		*a = actor{}
		return "the release is committed, if the claim is its own", kept
	case reporting:
		s.report(m, by)
		*a = actor{}
		return "the evidence is committed", kept
	case closing:
		s.closeRest(by)
		*a = actor{}
		return "the close is committed, if the batch is as it was", kept
	}
	if !s.settle(m, by) {
		a.stage = reporting
		if !a.tookAny() {
			*a = actor{}
		}
		return "the settlement is refused", kept
	}
	if s.batch.state == ready && a.know == fresh {
		*a = actor{stage: prepared, know: fresh, edited: a.edited, first: s.batch.last, through: m.throughOf(s, s.batch.last)}
		return "the settlement is committed, and the next chunk read and rendered", kept
	}
	*a = actor{}
	return "the settlement is committed", kept
}

func (a *actor) tookAny() bool {
	for i := a.first; i <= a.through; i++ {
		if a.results[i] == accepted {
			return true
		}
	}
	return false
}

// die kills the worker, which is started again at once. Its memory is gone; a
// statement or a message that it has sent may arrive or not. It makes no
// difference whether the provider takes such a message at once or later: nothing
// in the program can see it.
func (m *model) die(s *state, w int, v visit) {
	t := *s
	a := s.actors[w]
	t.actors[w] = actor{}
	v(step{who: who(w), what: "is killed", person: -1, fault: true}, t)
	t = *s
	switch {
	case a.stage == calling:
		st := step{who: who(w), what: "is killed, and the provider takes its message", person: int8(a.next), fault: true}
		t.take(m, w, &st)
		t.actors[w] = actor{}
		v(st, t)
	case a.waitsForDatabase() && s.roomForStray(w):
		t.actors[w], t.actors[2+w] = actor{}, a
		v(fault(w, "is killed, and its statement is on its way: ", a.stage), t)
	}
}

// roomForStray bounds the model: a worker, with all its lives, has one statement
// on its way that it has left behind.
func (s *state) roomForStray(w int) bool { return s.actors[2+w].stage == idle }

// stray lets a statement arrive whose worker will not hear of it, or get lost.
func (m *model) stray(s *state, w int, v visit) {
	if s.actors[2+w].stage == idle {
		return
	}
	t := *s
	what, breaks := m.execute(&t, 2+w)
	t.actors[2+w] = actor{}
	st := step{who: who(2 + w), what: what, person: -1, breaks: breaks}
	if breaks != kept {
		st.why = "the run is not sending"
	}
	v(st, t)
	t = *s
	t.actors[2+w] = actor{}
	v(step{who: who(2 + w), what: "the statement is lost", person: -1, fault: true}, t)
}

package protocol

// What the statements of package storage do, each in one transaction and so in
// one step. They return whether they changed anything, as the program learns it.

// claim is storage.Claim: one update that names the fence, the run's state and
// its revision. After it the batch's fence is the next one.
func (s *state) claim(m *model, by int) (ok bool, breaks promise) {
	a := &s.actors[by]
	goes := s.run == running && !a.edited
	if s.batch.state != ready || (a.know != fresh && m.shortcut != claimAnyFence) || (!goes && m.shortcut != claimAnyRun) {
		return false, kept
	}
	if s.run != running {
		breaks = p6
	}
	held := a.know == fresh
	for i := range s.actors {
		other := &s.actors[i]
		switch {
		case other.know != fresh:
			other.know = stale
		case i == by || (i == by-2 && other.stage == releasing):
			// The worker had no answer to this very claim, and gives it back by
			// the same nonce. (Or it gives back another, which was lost. To be
			// killed now comes to the same as knowing nothing of this one.)
			other.know = mine
		default:
			other.know = rival
		}
	}
	if held {
		a.know = mine
	}
	s.batch.state, s.batch.claimed, s.batch.watch = called, a.through, 0
	return true, breaks
}

// endClaim is what settling, giving back and sweeping have in common. Nobody
// holds a claim afterwards, and whoever waits for one sees it gone.
func (s *state) endClaim(to batchState) {
	s.batch.state = to
	s.client.open = false
	for i := range s.actors {
		if know := &s.actors[i].know; *know != fresh {
			*know = stale
		}
	}
}

// release is storage.Release: by fence and nonce.
func (s *state) release(m *model, by int) {
	know := s.actors[by].know
	if s.batch.state == called && (know == mine || (know == rival && m.shortcut == releaseByFence)) {
		s.endClaim(ready)
	}
}

// settle is storage.Settle: only members that differ from sent are written, and
// those that were not taken move to a batch of their own.
func (s *state) settle(m *model, by int) (ok bool) {
	a := s.actors[by]
	if s.batch.state != called || (a.know != mine && m.shortcut != settleAnyFence) {
		return false
	}
	before := *s
	var moved []uint8
	for i := a.first; i <= a.through; i++ {
		if a.results[i] == notTaken {
			moved = append(moved, i)
			continue
		}
		c := codeOf(a.results[i])
		if c == sent {
			s.batch.sent++
			continue
		}
		if s.codes[i] != none {
			*s = before // another settlement has coded it: nothing of this one holds
			return false
		}
		s.codes[i] = c
	}
	s.batch.last, s.batch.settled = a.through+1, s.batch.settled+a.through-a.first+1
	if s.batch.settled < s.batch.size() {
		s.endClaim(ready)
		s.actors[by].know = fresh
		return true
	}
	s.endClaim(done)
	if len(moved) > 0 {
		s.batch = batch{low: moved[0], high: moved[len(moved)-1], last: moved[0], sent: s.batch.sent}
		for i := range s.actors {
			s.actors[i].know = stale // it is a fence of the batch that is done
		}
	}
	return true
}

func codeOf(r result) code {
	switch r {
	case accepted:
		return sent
	case refused:
		return failed
	case unknown:
		return inDoubt
	case withheld:
		return suppressed
	}
	panic("a member without an outcome is settled")
}

// report is storage.Evidence: only members in doubt change.
func (s *state) report(m *model, by int) {
	a := s.actors[by]
	for i := a.first; i <= a.through; i++ {
		if a.results[i] != accepted || s.codes[i] != inDoubt {
			continue
		}
		if m.shortcut == evidenceForgotten {
			s.seen.told[i] = true
			continue
		}
		s.codes[i] = sent
		s.batch.sent++
	}
}

// closeRest is storage.CloseRest, of a run that is cancelled.
func (s *state) closeRest(by int) {
	if s.batch.state != ready || s.actors[by].know != fresh {
		return
	}
	for i := s.batch.last; i <= s.batch.high; i++ {
		if s.codes[i] == none {
			s.codes[i] = skipped
			s.batch.settled++
		}
	}
	s.batch.last, s.batch.state = s.batch.high+1, done
}

// sweep is dispatcher.Keeper and storage.Sweep, for a claim that one and the
// same observer has seen stand still for the whole watch. Other observers, and
// those who begin later, only sweep later, and so may this step.
func (m *model) sweep(s *state, v visit) {
	watched := s.batch.watch >= m.watch
	if s.batch.state != called || (!watched && m.shortcut != sweepAtOnce) || m.shortcut == noSweep {
		return
	}
	t := *s
	lives := s.actors[workerA].know == mine || s.actors[workerB].know == mine
	st := step{who: sweeper, what: "declares the claim in doubt", person: -1, fault: lives}
	if !watched {
		st.breaks, st.why = p3, "a member is put in doubt, and its worker lives"
	}
	if m.shortcut == sweepToReady {
		st.what = "puts the claim back to ready"
		t.endClaim(ready)
		v(st, t)
		return
	}
	for i := t.batch.last; i <= t.batch.claimed; i++ {
		if t.codes[i] == none {
			t.codes[i] = inDoubt
			t.batch.settled++
		}
	}
	t.batch.last = t.batch.claimed + 1
	to := ready
	if t.batch.settled == t.batch.size() {
		to = done
	}
	t.endClaim(to)
	v(st, t)
}

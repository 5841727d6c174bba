package main

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"utskick/e2e/witness"
	"utskick/internal/failpoint"
)

// sweeping kills the process that sweeps up after one that was killed.
func sweeping() []row {
	claimed, swept := arm(failpoint.Claimed, 1), arm(failpoint.Swept, 1)
	return []row{{
		name: "kill-swept", fault: "kill -9 at claimed, and of whoever sweeps up", doubt: []string{workerLost},
		arms: func(engine string) map[string][]string {
			if engine == sqlite {
				return map[string][]string{"serve": {claimed, swept}}
			}
			return map[string][]string{"work-1": {claimed, swept}, "work-2": {swept}}
		},
		apply: func(s *stage) error { return s.launchUntil("the sweeper is killed", s.killed(2)) },
	}}
}

// releasing kills a worker that gives a claim back.
func releasing() []row {
	return []row{{
		name: "kill-released", fault: "kill -9 at released, hits 1, 2, 3", doubt: []string{workerLost},
		arms: func(engine string) map[string][]string {
			victim := "work-1"
			if engine == sqlite {
				victim = "serve"
			}
			return map[string][]string{victim: {arm(failpoint.Released, 1), arm(failpoint.Released, 2), arm(failpoint.Released, 3)}}
		},
		apply: func(s *stage) error {
			if err := s.told(witness.Rule{Status: 429, RetryAfter: 1, Every: 3, Vendor: "sendgrid"}, witness.Rule{Status: 429, RetryAfter: 1, Every: 20}); err != nil {
				return err
			}
			if err := s.launchUntil("three kills at released", s.killed(3)); err != nil {
				return err
			}
			return s.told()
		},
	}}
}

// freezes stop a worker with a claim in its hands for longer than the sweep
// waits, and let it go on. Other calls of its may have had their time-out
// meanwhile, which runs on.
func freezes() (all []row) {
	for _, point := range []failpoint.Name{failpoint.Claimed, failpoint.Checked, failpoint.Opened, failpoint.Sent} {
		all = append(all, frozenAt(point))
	}
	return all
}

func frozenAt(point failpoint.Name) row {
	return row{
		name: "freeze-" + string(point), fault: fmt.Sprintf("frozen at %s for 15 s, then thawed", point), doubt: []string{workerLost, noAnswer},
		arms:  func(string) map[string][]string { return freezeAt(point, 2) },
		apply: func(s *stage) error { return s.whileFrozen(func() error { time.Sleep(15 * time.Second); return nil }) },
	}
}

// freezeAt arms the process that works on either engine.
func freezeAt(point failpoint.Name, hit int) map[string][]string {
	arms := []string{fmt.Sprintf("%s=stop@%d", point, hit)}
	return map[string][]string{"work-1": arms, "serve": arms}
}

// whileFrozen launches campaigns until a process has stopped itself, does
// something meanwhile, and lets it go on.
func (s *stage) whileFrozen(f func() error) error {
	var frozen *process
	err := s.launchUntil("a process freezes", func() bool {
		for _, p := range s.processes() {
			if p.frozen() {
				frozen = p
			}
		}
		return frozen != nil
	})
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	s.over = time.Now()
	return frozen.signal(syscall.SIGCONT)
}

// delays hold workers between the check and the first byte, while people
// object.
func delays() []row {
	both := func(what string) func(string) map[string][]string {
		return func(string) map[string][]string {
			return map[string][]string{"work-1": {what}, "work-2": {what}, "serve": {what}}
		}
	}
	return []row{
		{name: "held-short", fault: "0.5 s between check and first byte, 200 objections/s", short: []string{postgres}, every: 5 * time.Millisecond,
			arms: both("checked=delay:500ms"), apply: once},
		{name: "held-long", fault: "3 s between check and first byte, 200 objections/s", every: 5 * time.Millisecond,
			arms: both("checked=delay:3s@2"), apply: once},
		{name: "held-claim", fault: "0.5 s before the claim is made, 200 objections/s", every: 5 * time.Millisecond,
			arms: both("claim-before-commit=delay:500ms"), apply: once},
		{name: "held-claimed", fault: "0.5 s between claim and check, 200 objections/s", every: 5 * time.Millisecond,
			arms: both("claimed=delay:500ms"), apply: once},
		{name: "flood", fault: "a flood of objections by people in flight", every: 500 * time.Microsecond, persons: 2400,
			apply: func(s *stage) error { s.faults++; return once(s) }},
		{name: "lost-claim-answer", fault: "a claim's commit whose answer is lost", arms: both("claim-answer=error@3"), apply: once},
		{name: "lost-settle-answer", fault: "a settlement's commit whose answer is lost", arms: both("settle-answer=error@3"), apply: once},
	}
}

// operators are what people do to processes and runs.
func operators() []row {
	return []row{
		{name: "sigterm", fault: "SIGTERM to all workers in a call of 3 s", apply: sigterm("sendgrid")},
		{name: "two-planners", fault: "two planners on the same slices, Redis emptied meanwhile", engines: []string{postgres}, ends: "P4",
			arms: func(string) map[string][]string {
				slow := []string{"planned-before-commit=delay:700ms"}
				return map[string][]string{"work-1": slow, "work-2": slow}
			},
			apply: func(s *stage) error {
				if _, err := s.launch(); err != nil {
					return err
				}
				return s.flushing(300*time.Millisecond, 12)
			}},
		{name: "cancel", fault: "cancelled while it sends; no start 3 s later", cancels: true, ends: "P6", persons: 2400, apply: cancel},
		{name: "pause-resume-cancel", fault: "random pause, edit, resume and cancel", cancels: true, ends: "P6", apply: meddle,
			// Slow enough that it can be paused before it has ended.
			env: map[string]string{"UTSKICK_EMAIL_RATE": "60", "UTSKICK_SMS_RATE": "60", "UTSKICK_PUSH_RATE": "60"}},
	}
}

// sigterm ends all workers, politely, twice in a campaign whose e-mail provider
// takes its time to answer.
func sigterm(vendor string) func(*stage) error {
	return func(s *stage) error {
		if err := s.told(witness.Rule{Vendor: vendor, Delay: 3 * time.Second}); err != nil {
			return err
		}
		if _, err := s.launch(); err != nil {
			return err
		}
		for range 2 {
			time.Sleep(1500 * time.Millisecond)
			for _, p := range s.workers {
				if err := p.signal(syscall.SIGTERM); err != nil {
					return err
				}
				s.faults++
			}
		}
		s.over = time.Now()
		return nil
	}
}

// meddle pauses, edits and resumes one run at random, and cancels another.
func meddle(s *stage) error {
	first, err := s.launch()
	if err != nil {
		return err
	}
	second, err := s.launch()
	if err != nil {
		return err
	}
	for i := range 6 {
		time.Sleep(time.Duration(100+rand.N(600)) * time.Millisecond)
		verb := []string{"pause", "resume"}[i%2]
		// The run may have ended: then there is nothing to pause.
		if _, err := s.cli("campaigns", verb, first); err != nil {
			continue
		}
		s.faults++
		if verb == "pause" {
			if err := s.edit(first); err != nil {
				return err
			}
		}
	}
	_, _ = s.cli("campaigns", "resume", first) // unless it runs already
	if _, err := s.cli("campaigns", "cancel", second); err == nil {
		s.faults++
	}
	s.over = time.Now()
	return nil
}

// edit lets a paused run go on with a new version of its templates, once the
// calls that were begun have ended.
func (s *stage) edit(name string) error {
	args := []string{"campaigns", "edit", name, "--send-by", time.Now().Add(time.Hour).Format(time.RFC3339)}
	for _, ch := range channelNames {
		if err := s.feed(name+"-"+ch+".json", s.template(name, ch), "templates", "save"); err != nil {
			return err
		}
		args = append(args, "--"+ch, name+"-"+ch)
	}
	var last error
	err := s.eventually("a run is edited", func() bool { _, last = s.cli(args...); return last == nil })
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	s.faults++
	return nil
}

// cancel cancels a run in the middle and looks when the last send was started.
func cancel(s *stage) error {
	name, err := s.launch()
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	if _, err := s.cli("campaigns", "cancel", name); err != nil {
		return err
	}
	s.faults++
	s.over = time.Now()
	cancelled := witness.Now()
	if err := s.ended(name); err != nil {
		return err
	}
	calls, err := s.callsOf(name)
	for _, c := range calls {
		if late := time.Duration(c.Start - cancelled); late > 3*time.Second {
			return fmt.Errorf("P6 is broken: a send was started %s after its run was cancelled", late)
		}
	}
	return err
}

// callsOf returns the calls for a campaign that the witness has seen so far.
func (s *stage) callsOf(name string) (of []call, err error) {
	all, err := readCalls(s.file("witness.ndjson"))
	for _, c := range all {
		if len(c.Messages) > 0 && c.Messages[0].Campaign == name {
			of = append(of, c)
		}
	}
	return of, err
}

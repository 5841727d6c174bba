package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"utskick/e2e/witness"
	"utskick/internal/failpoint"
)

// relayed are rows in which e-mail goes to a relay by SMTP: a recipient a
// message, and several sessions at once.
func relayed() []row {
	all := slices.Concat(relayProcesses(), relayAnswers(), relayRefusals())
	for i := range all {
		r := &all[i]
		r.name, r.fault = "smtp-"+r.name, "SMTP: "+r.fault
		env := map[string]string{"UTSKICK_EMAIL": "smtp"}
		for k, v := range r.env {
			env[k] = v
		}
		r.env = env
		// A relay may take a minute to answer; a row has no time for that.
		r.between = func(s *stage) error { s.env["UTSKICK_SMTP_URL"] += "?timeout=4s"; return nil }
	}
	return all
}

// relayProcesses are what happens to the processes that hold the sessions.
func relayProcesses() (all []row) {
	all = []row{{name: none, fault: "none", calm: true, apply: once}}
	for _, point := range []failpoint.Name{failpoint.Opened, failpoint.Sent} {
		r := killsAt(point, nil)
		r.mailAlone = true // the point is passed by each message of other channels, too
		// Somebody must be left to send to when the third process comes by.
		r.every = 200 * time.Millisecond
		all = append(all, r)
	}
	// Frozen on its way to the content of a message: most people have objected by
	// the time that it is thawed.
	frozen := frozenAt(failpoint.Opened)
	frozen.persons, frozen.every, frozen.mailAlone = 900, 25*time.Millisecond, true
	all = append(all, frozen)
	both := []string{"checked=delay:500ms"}
	return append(all,
		row{name: "held-short", fault: "0.5 s between check and first byte, 200 objections/s", every: 5 * time.Millisecond,
			arms: func(string) map[string][]string {
				return map[string][]string{"work-1": both, "work-2": both, "serve": both}
			},
			apply: once},
		row{name: "sigterm", fault: "SIGTERM to all workers in messages of 3 s", apply: sigterm("smtp")},
	)
}

// relayAnswers are what the relay makes of a message, or of a session.
func relayAnswers() (all []row) {
	for _, a := range []struct {
		name, fault string
		short       []string
		doubt       []string
		rules       []witness.Rule
	}{
		{"later", "some deferred after the final dot (421, 450, 451, 452)", nil, nil,
			[]witness.Rule{{Status: 421, Every: 31}, {Status: 450, Every: 23}, {Status: 451, Every: 7}, {Status: 452, Every: 29}}},
		{"session-ended", "some sessions ended with 421 at MAIL and at RCPT", nil, nil,
			[]witness.Rule{{At: witness.AtMail, Status: 421, Every: 41}, {At: witness.AtRcpt, Status: 421, Every: 37}}},
		{"mail-later", "some deferred at MAIL (452)", nil, nil, []witness.Rule{{At: witness.AtMail, Status: 452, Every: 5}}},
		{"unread", "some connections broken after the first byte of a message", nil, []string{noAnswer}, []witness.Rule{{Fault: witness.Unread, Every: 19}}},
		{"reset", "some connections broken after the final dot", nil, []string{noAnswer}, []witness.Rule{{Fault: witness.Reset, Every: 19}}},
		{"reset-taken", "some messages taken, then the connection broken", []string{sqlite}, []string{noAnswer},
			[]witness.Rule{{Fault: witness.Reset, Every: 19, Taken: true}}},
		{"truncated", "some messages taken, and the answer cut short", nil, []string{noAnswer}, []witness.Rule{{Fault: witness.Truncate, Every: 19, Taken: true}}},
		{"silence", "some messages not taken, and never answered", nil, []string{noAnswer}, []witness.Rule{{Fault: witness.Silence, Every: 19, Times: 9}}},
		{"silence-taken", "some messages taken, and never answered", nil, []string{noAnswer},
			[]witness.Rule{{Fault: witness.Silence, Every: 19, Times: 9, Taken: true}}},
		{"slow", "every answer after 1.5 s", nil, nil, []witness.Rule{{Delay: 1500 * time.Millisecond}}},
		{"storm", "nothing but 421 for 6 s", nil, nil, []witness.Rule{{At: witness.AtMail, Status: 421, Every: 2}, {Status: 421}}},
	} {
		all = append(all, row{name: a.name, fault: a.fault, short: a.short, doubt: a.doubt, ends: "P6", apply: func(s *stage) error {
			return s.relayMisbehaving(6*time.Second, a.rules...)
		}})
	}
	return all
}

// relayMisbehaving is misbehaving of the relay alone. Each rule must have been
// followed.
func (s *stage) relayMisbehaving(lasts time.Duration, rules ...witness.Rule) error {
	var list []witness.Rule
	for _, r := range rules {
		r.Vendor = "smtp"
		list = append(list, r)
	}
	if err := s.misbehaving(lasts, list...); err != nil {
		return err
	}
	return s.followed(list)
}

// followed says which rule the witness had no occasion for.
func (s *stage) followed(list []witness.Rule) error {
	seen := map[string]bool{}
	err := readLines(s.file("witness.ndjson"), func(l witness.Line) {
		if l.Vendor == "smtp" {
			seen[l.Answer] = true
		}
	})
	for _, r := range list {
		want := r.Fault
		if r.Status != 0 {
			want = strings.TrimSpace(fmt.Sprintf("%s %d", r.At, r.Status))
		}
		if want != "" && !seen[want] {
			err = errors.Join(err, fmt.Errorf("the row proves nothing: no answer was %q", want))
		}
	}
	return err
}

// relayRefusals are what becomes of single recipients.
func relayRefusals() []row {
	return []row{
		{name: "greylisted", fault: "one of four deferred at RCPT (450), in time again five minutes later", ends: "P6", apply: greylist},
		{name: "refused", fault: "one recipient among 1000 refused (550)", ends: "P6", persons: 1000, refuses: true, every: time.Hour, // nobody objects
			env: map[string]string{"UTSKICK_EMAIL_RATE": ""}, apply: refuseOne(witness.AtRcpt)},
		{name: "content-refused", fault: "the message to one among 1000 refused (554)", ends: "P6", persons: 1000, refuses: true, every: time.Hour,
			env: map[string]string{"UTSKICK_EMAIL_RATE": ""}, apply: refuseOne("")},
	}
}

// greylist defers some at RCPT. They are left alone for five minutes, for which
// a row does not wait: all clocks are set ahead instead.
func greylist(s *stage) error {
	rule := witness.Rule{Vendor: "smtp", At: witness.AtRcpt, Status: 450, Every: 4}
	if err := s.relayMisbehaving(6*time.Second, rule); err != nil {
		return err
	}
	again, err := s.triedAgain()
	if err != nil {
		return err
	}
	if again > 0 {
		return fmt.Errorf("P6 is broken: %d who were deferred were tried again within seconds", again)
	}
	s.end()
	s.env["UTSKICK_FAILPOINTS"] = "clock=shift:6m" // and of the commands
	s.over = time.Now()
	return s.startAll(nil)
}

// triedAgain counts the messages and envelopes for people of whom the relay had
// not taken an envelope before.
func (s *stage) triedAgain() (n int, err error) {
	deferred := map[string]bool{}
	err = readLines(s.file("witness.ndjson"), func(l witness.Line) {
		for _, m := range l.Messages {
			if deferred[m.To] {
				n++
			}
			deferred[m.To] = deferred[m.To] || l.Event == witness.Refused
		}
	})
	return n, err
}

// refuseOne refuses somebody for good, at RCPT or at the end of her message. All
// others are sent to, and nobody is asked about twice.
func refuseOne(at string) func(*stage) error {
	return func(s *stage) error {
		status := map[string]int{witness.AtRcpt: 550, "": 554}[at]
		if err := s.told(witness.Rule{Vendor: "smtp", At: at, To: email(500), Status: status}); err != nil {
			return err
		}
		name, err := s.launch()
		if err != nil {
			return err
		}
		s.over = time.Now()
		if err := s.ended(name); err != nil {
			return err
		}
		if err := s.onlyRefused(name, 1); err != nil {
			return err
		}
		tries := 0
		err = readLines(s.file("witness.ndjson"), func(l witness.Line) {
			if l.Vendor == "smtp" && strings.HasSuffix(l.Answer, fmt.Sprint(status)) {
				tries++
			}
		})
		if tries != 1 {
			err = errors.Join(err, fmt.Errorf("P6 is broken: somebody who was refused for good was tried %d times", tries))
		}
		return errors.Join(err, s.told())
	}
}

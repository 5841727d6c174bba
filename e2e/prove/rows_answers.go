package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"utskick/audience"
	"utskick/e2e/witness"
)

// success stands for the status by which a vendor takes a message.
const success = 0

// vendorTable is the table of docs/states.md: one status for each class of
// answers, and each server error. Those that hold the channel have a row of their
// own.
var vendorTable = map[string][]int{
	"sendgrid": {success, 200, 400, 408, 413, 429, 500, 502, 503, 504},
	"twilio":   {success, 200, 400, 408, 413, 429, 500, 502, 503, 504},
	"fcm":      {success, 201, 400, 408, 413, 429, 500, 502, 503, 504},
}

// answered are the rows of that table.
func answered() []row {
	return []row{
		{name: "answers-cut", fault: "every answer of the vendors' tables, whole, cut in head and body, stuck; resets and silence", ends: "P6",
			refuses: true, doubt: []string{server, noAnswer}, persons: 500, every: 500 * time.Millisecond,
			env:   map[string]string{"UTSKICK_EMAIL_RATE": "20"}, // so that there are enough calls
			apply: cutAnswers},
		{name: "answers-hold", fault: "a channel held by 401, by 403, by 404, and released", ends: "P6", apply: holdAndRelease},
	}
}

// unanswered are calls without one byte of an answer. Its status makes no
// difference then, but for whether the vendor has taken the message.
func unanswered() (all []witness.Rule) {
	for _, fault := range []string{witness.Reset, witness.Silence} {
		all = append(all, witness.Rule{Fault: fault, Taken: true}, witness.Rule{Fault: fault})
	}
	return all
}

// cutRules lets each vendor go through its table once. Two sound answers follow
// each of the others, or the breaker would open.
func cutRules() (list []witness.Rule) {
	for vendor, statuses := range vendorTable {
		all := unanswered()
		for i, fault := range []string{"", witness.Truncate, witness.Torn, witness.Stuck} {
			for j, status := range statuses {
				r := witness.Rule{Status: status, Fault: fault, Taken: status == success}
				if status == http.StatusTooManyRequests {
					r.RetryAfter = 1
				}
				if doubtful(status) != "" { // one way and the other
					r.Taken = (i+j)%2 == 0
				}
				all = append(all, r)
			}
		}
		for _, r := range all {
			r.Vendor, r.Times = vendor, 1
			list = append(list, r, witness.Rule{Vendor: vendor, Times: 2})
		}
	}
	return list
}

// doubtful returns the cause of the doubt that a status leaves, if any.
func doubtful(status int) string {
	switch {
	case status == http.StatusRequestTimeout:
		return noAnswer
	case status >= 500, status > success && status < 300:
		return server
	}
	return ""
}

// doubtOf returns the cause of the doubt that an answer leaves, as the witness
// logs it.
func doubtOf(answer string) string {
	text, fault, both := strings.Cut(answer, " ")
	status, err := strconv.Atoi(text)
	if err != nil && !both {
		fault = text
	}
	switch fault {
	case witness.Reset, witness.Silence, witness.Truncate, witness.Unread:
		return noAnswer
	}
	return doubtful(status)
}

// together is how many campaigns go at once, so that others go on while one waits
// for an answer.
const together = 4

// cutAnswers launches campaigns until every answer was given, and compares those
// in doubt with those in the calls that leave doubt.
func cutAnswers(s *stage) error {
	list := cutRules()
	if err := s.told(list...); err != nil {
		return err
	}
	s.faults = len(list) / 2 // the others are sound
	left := 1
	for round := 0; left > 0; round++ {
		if round == 2 {
			return fmt.Errorf("the row proves too little: %d answers were not given", left)
		}
		for range together {
			if _, err := s.launch(); err != nil {
				return err
			}
		}
		err := s.waitForAll()
		s.over = time.Now()
		if err != nil {
			return err
		}
		if left, err = s.rules(http.MethodGet, nil); err != nil {
			return err
		}
	}
	return errors.Join(s.told(), s.judgeDoubtful())
}

// judgeDoubtful holds those who are reported in doubt, by channel and cause,
// against the answers that the witness has given. Who was in doubt may have been
// looked up since: she counts as resolved, without her cause.
func (s *stage) judgeDoubtful() error {
	type kind struct{ channel, cause string }
	left, resolved := map[kind]int{}, map[string]int{}
	calls, err := readCalls(s.file("witness.ndjson"))
	for _, c := range calls {
		if cause := doubtOf(c.Answer); cause != "" {
			for _, m := range c.Messages {
				left[kind{m.Channel, cause}]++
			}
		}
	}
	for _, name := range s.launched {
		r, failed := s.report(name)
		err = errors.Join(err, failed)
		for _, c := range r.Channels {
			resolved[string(c.Channel)] += int(c.Resolved)
			for cause, n := range c.Causes["in_doubt"] {
				left[kind{string(c.Channel), cause}] -= int(n)
			}
		}
	}
	for k, n := range left {
		resolved[k.channel] -= n
		if n < 0 {
			err = errors.Join(err, fmt.Errorf("P3 is broken: %s: %d more are reported in doubt (%s) than there are by the answers", k.channel, -n, k.cause))
		}
	}
	for channel, n := range resolved {
		if n != 0 {
			err = errors.Join(err, fmt.Errorf("P3 is broken: %s: by the answers %d fewer are in doubt than are reported so, or were", channel, n))
		}
	}
	return err
}

// holdAndRelease lets the vendors refuse everything until all channels are held,
// for one reason after the other.
func holdAndRelease(s *stage) error {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		if err := s.told(witness.Rule{Status: status}); err != nil {
			return err
		}
		name, err := s.launch()
		if err != nil {
			return err
		}
		if err := s.eventually("all channels are held", func() bool { n, err := s.channelsHeld(); return err == nil && n == len(channelNames) }); err != nil {
			return err
		}
		if err := s.told(); err != nil {
			return err
		}
		for _, ch := range []audience.Channel{audience.Email, audience.SMS, audience.Push} {
			if _, err := s.cli("providers", "release", string(ch)); err != nil {
				return err
			}
		}
		s.over = time.Now()
		if err := s.ended(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) channelsHeld() (int, error) {
	out, err := s.cli("providers", "list", "--json")
	if err != nil {
		return 0, err
	}
	var held []any
	err = json.Unmarshal([]byte(out), &held)
	return len(held), err
}

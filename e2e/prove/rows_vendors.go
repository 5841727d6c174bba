package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"utskick/e2e/witness"
)

// told gives the witness its rules; none is good behaviour.
func (s *stage) told(list ...witness.Rule) error {
	if list == nil {
		list = []witness.Rule{}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	s.faults += len(list)
	_, err = s.rules(http.MethodPost, text)
	return err
}

// rules asks the witness for how many calls its rules are still for, those that
// it is given with a POST.
func (s *stage) rules(method string, text []byte) (left int, err error) {
	req, err := http.NewRequestWithContext(s.ctx, method, s.witness.Control, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the witness does not take its rules: %s", res.Status)
	}
	return left, json.NewDecoder(res.Body).Decode(&left)
}

// vendors are what the providers do.
func vendors() []row {
	answers := []struct {
		name, fault string
		rule        witness.Rule
		doubt       []string
	}{
		{"429", "every third call answered 429", witness.Rule{Status: 429, RetryAfter: 1, Every: 3}, nil},
		{"500", "some calls answered 500, not taken", witness.Rule{Status: 500, Every: 9}, []string{server}},
		{"500-taken", "some calls taken, and answered 500", witness.Rule{Status: 500, Every: 9, Taken: true}, []string{server}},
		{"502", "some calls answered 502", witness.Rule{Status: 502, Every: 9}, []string{server}},
		{"503", "some calls answered 503", witness.Rule{Status: 503, Every: 9}, []string{server}},
		{"504-taken", "some calls taken, and answered 504", witness.Rule{Status: 504, Every: 9, Taken: true}, []string{server}},
		{"unread", "some connections broken after the first byte", witness.Rule{Fault: witness.Unread, Every: 9}, []string{noAnswer}},
		{"reset", "some connections broken after the body", witness.Rule{Fault: witness.Reset, Every: 9}, []string{noAnswer}},
		{"reset-taken", "some calls taken, then the connection broken", witness.Rule{Fault: witness.Reset, Every: 9, Taken: true}, []string{noAnswer}},
		{"truncated", "some calls taken, and the answer cut short", witness.Rule{Fault: witness.Truncate, Every: 9, Taken: true}, []string{noAnswer}},
		{"silence", "some calls taken, and never answered", witness.Rule{Fault: witness.Silence, Every: 19, Times: 6, Taken: true}, []string{noAnswer}},
		{"slow", "every answer after 1.5 s", witness.Rule{Delay: 1500 * time.Millisecond}, nil},
	}
	var all []row
	for _, a := range answers {
		all = append(all, row{name: "answer-" + a.name, fault: a.fault, doubt: a.doubt, ends: "P6", apply: func(s *stage) error {
			// Of SendGrid's calls there are few, and one of them must be among it.
			mail := a.rule
			mail.Vendor, mail.Every = "sendgrid", min(a.rule.Every, 3)
			return s.misbehaving(8*time.Second, mail, a.rule)
		}})
	}
	return append(all,
		row{name: "storm", fault: "nothing but 429 for 6 s", ends: "P6", short: []string{sqlite}, apply: func(s *stage) error {
			return s.misbehaving(6*time.Second, witness.Rule{Status: 429, RetryAfter: 1})
		}},
		poison("poison", "one poison recipient among 1000", 500),
		poison("poison-two", "two poison recipients, one in each half", 100, 900),
	)
}

// misbehaving launches a campaign against a vendor that misbehaves for so long.
func (s *stage) misbehaving(lasts time.Duration, list ...witness.Rule) error {
	if err := s.told(list...); err != nil {
		return err
	}
	if _, err := s.launch(); err != nil {
		return err
	}
	time.Sleep(lasts)
	s.over = time.Now()
	return s.told()
}

// poison makes SendGrid refuse every call with one of these people in it.
func poison(name, fault string, whom ...int) row {
	const among = 1000
	var list []witness.Rule
	for _, i := range whom {
		list = append(list, witness.Rule{Vendor: "sendgrid", To: email(i), Status: http.StatusBadRequest})
	}
	return row{
		name: name, fault: fault, ends: "P6", persons: among, refuses: true, every: time.Hour, // nobody objects
		env: map[string]string{"UTSKICK_EMAIL_RATE": ""},
		apply: func(s *stage) error {
			if err := s.told(list...); err != nil {
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
			if err := s.onlyRefused(name, len(whom)); err != nil {
				return err
			}
			return s.told()
		},
	}
}

// mostCalls is how many calls a halving from 1000 to one may take for each who
// is refused: two at each of ten steps, and the first.
const mostCalls = 21

// onlyRefused says whether all but n were sent to, in as few calls as may be.
func (s *stage) onlyRefused(name string, n int) error {
	r, err := s.report(name)
	if err != nil {
		return err
	}
	mail := r.Channels[0]
	if mail.Sent != int64(len(s.people.addresses["email"])-n) || mail.Failed != int64(n) {
		return fmt.Errorf("P6 is broken: %d were sent to and %d failed, with %d poison recipients among %d", mail.Sent, mail.Failed, n, mail.Audience-mail.Duplicates)
	}
	calls, err := s.callsOf(name)
	mails := 0
	for _, c := range calls {
		if c.Vendor == "sendgrid" {
			mails++
		}
	}
	if mails > n*mostCalls {
		return fmt.Errorf("P6 is broken: %d calls were made for %d poison recipients, at most %d are needed", mails, n, n*mostCalls)
	}
	return err
}

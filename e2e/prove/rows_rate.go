package main

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"utskick/e2e/witness"
)

// rates are the limits of the rows that measure them, in messages a second. At
// these each channel's share of a campaign takes some 15 s.
var rates = map[string]int{"sendgrid": 400, "smtp": 300, "twilio": 80, "fcm": 120}

// paced are rows that look at the rate of two workers together. They are played
// one at a time: a witness that has to wait for a processor sees a burst where there
// was none.
func paced() (all []row) {
	for _, mail := range []string{"sendgrid", "smtp"} {
		for _, r := range []row{
			{name: none, fault: "none", calm: true, apply: once},
			{name: "redis", fault: "Redis killed in the middle, back after 8 s", apply: withoutRedis},
			{name: "kill", fault: "a worker killed twice", doubt: []string{workerLost}, apply: killWorker},
			{name: "stalls", fault: "Postgres stands still for 0.3 s every 1.5 s", between: func(s *stage) error { return s.throughProxy() }, apply: stalls},
			{name: "storm", fault: "nothing but 429 for 6 s", apply: storm(mail)},
		} {
			r.name, r.fault = "rate-"+mail+"-"+r.name, fmt.Sprintf("rate of two workers (%s): %s", mail, r.fault)
			r.engines, r.ends, r.persons, r.alone = []string{postgres}, "P6", 6000, true
			r.rates = []rate{{"twilio", rates["twilio"], time.Second}, {"fcm", rates["fcm"], time.Second}, {mail, rates[mail], time.Second}}
			if mail == "sendgrid" {
				r.rates[2].window = 10 * time.Second
			}
			r.env = map[string]string{"UTSKICK_EMAIL": mail, "UTSKICK_EMAIL_RATE": strconv.Itoa(rates[mail]),
				"UTSKICK_SMS_RATE": strconv.Itoa(rates["twilio"]), "UTSKICK_PUSH_RATE": strconv.Itoa(rates["fcm"])}
			all = append(all, r)
		}
	}
	return all
}

// untilMiddle is how long a campaign runs before something happens to it.
const untilMiddle = 4 * time.Second

// inTheMiddle does something to a campaign that runs.
func (s *stage) inTheMiddle(f func() error) error {
	if _, err := s.launch(); err != nil {
		return err
	}
	time.Sleep(untilMiddle)
	err := f()
	s.over = time.Now()
	return err
}

// withoutRedis leaves the workers enough time to find out, and to go by their
// shares.
func withoutRedis(s *stage) error {
	return s.inTheMiddle(func() error {
		s.faults++
		if err := s.redis.Kill(); err != nil {
			return err
		}
		time.Sleep(8 * time.Second)
		return s.redis.Restart(s.ctx)
	})
}

func killWorker(s *stage) error {
	return s.inTheMiddle(func() (err error) {
		for range 2 {
			s.faults++
			err = errors.Join(err, s.workers[0].signal(syscall.SIGKILL))
			time.Sleep(3 * time.Second)
		}
		return err
	})
}

// stalls lets the database stand still, again and again, while messages that the
// limit has let go wait for their claims.
func stalls(s *stage) error {
	return s.inTheMiddle(func() error {
		for range 8 {
			s.faults++
			s.proxy.stand(300 * time.Millisecond)
			time.Sleep(1500 * time.Millisecond)
		}
		return nil
	})
}

func storm(mail string) func(*stage) error {
	rules := []witness.Rule{{Status: 429, RetryAfter: 1}}
	if mail == "smtp" {
		rules = append([]witness.Rule{{Vendor: mail, Status: 421}}, rules...)
	}
	return func(s *stage) error {
		return s.inTheMiddle(func() error {
			if err := s.told(rules...); err != nil {
				return err
			}
			time.Sleep(6 * time.Second)
			return s.told()
		})
	}
}

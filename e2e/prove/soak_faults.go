package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"utskick/e2e/witness"
	"utskick/internal/failpoint"
)

// fault is a kind of fault of the soak.
type fault struct {
	name  string
	doubt []string // causes of in_doubt that it explains
	do    func(*soak) error
}

// harm is a fault that was done.
type harm struct {
	fault
	begun, over int64 // by [witness.Now]
}

func faults() []fault {
	lost := []string{workerLost}
	all := []fault{
		{"kill -9 of a worker", lost, func(s *soak) error { return s.kill(s.workers[0]) }},
		{"kill -9 of serve", nil, func(s *soak) error { return s.kill(s.serve) }},
		{"kill -9 of serve and a worker", lost, func(s *soak) error { return s.kill(s.serve, s.workers[0]) }},
		{"kill -9 of a worker at a random failpoint", lost, func(s *soak) error { return s.killAt(s.workers[0], workPoints) }},
		{"kill -9 of serve at a random failpoint", nil, func(s *soak) error { return s.killAt(s.serve, servePoints) }},
		{"a process frozen for 3 to 15 s, then thawed", []string{workerLost, noAnswer}, (*soak).freeze},
		{"SIGTERM to a worker", nil, func(s *soak) error { return s.replace(s.workers[0]) }},
		{"SIGTERM to serve", nil, func(s *soak) error { return s.replace(s.serve) }},
		{"FLUSHALL", nil, func(s *soak) error {
			return s.withRedis(func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() })
		}},
		{"Redis killed, back after 2 s", nil, func(s *soak) error { return s.restart(s.redis.Kill, s.redis.Restart, 2*time.Second) }},
		{"Postgres stopped at once, back after 3 s", lost, func(s *soak) error { return s.restart(s.postgres.Kill, s.postgres.Restart, 3*time.Second) }},
		{"a run paused for 3 to 10 s", nil, (*soak).pauseRun},
	}
	return append(all, vendorFaults()...)
}

// vendorFaults are what the providers do for some seconds. Of the calls that
// leave people in doubt only few fail: one of them holds up to half a second's
// e-mails.
func vendorFaults() (all []fault) {
	for _, f := range []struct {
		name  string
		rule  witness.Rule
		doubt []string
	}{
		{"nothing but 429", witness.Rule{Status: 429, RetryAfter: 1}, nil},
		{"some calls answered 500", witness.Rule{Status: 500, Every: 5}, []string{server}},
		{"some calls taken, and answered 503", witness.Rule{Status: 503, Every: 5, Taken: true}, []string{server}},
		{"some calls taken, and never answered", witness.Rule{Fault: witness.Silence, Every: 5, Times: 4, Taken: true}, []string{noAnswer}},
		{"some connections broken after the body", witness.Rule{Fault: witness.Reset, Every: 5}, []string{noAnswer}},
		{"some calls taken, and the answer cut short", witness.Rule{Fault: witness.Truncate, Every: 5, Taken: true}, []string{noAnswer}},
	} {
		all = append(all, fault{f.name, f.doubt, func(s *soak) error {
			if err := s.rule(f.rule); err != nil {
				return err
			}
			time.Sleep(s.between(3*time.Second, 8*time.Second))
			return s.rule()
		}})
	}
	return all
}

var (
	workPoints = []failpoint.Name{
		failpoint.PlannedBeforeCommit, failpoint.PlannedAfterCommit, failpoint.Rung, failpoint.Prepared, failpoint.ClaimBeforeCommit, failpoint.ClaimAnswer,
		failpoint.Claimed, failpoint.Checked, failpoint.Opened, failpoint.Sent, failpoint.SettleBeforeCommit, failpoint.SettleAnswer, failpoint.Settled,
		failpoint.Released, failpoint.Swept, failpoint.RunFinishing,
	}
	servePoints = []failpoint.Name{failpoint.WishBeforeCommit, failpoint.WishCommitted, failpoint.Acknowledged, failpoint.EventBeforeCommit}
)

// between draws a time.
func (s *soak) between(shortest, longest time.Duration) time.Duration {
	return shortest + time.Duration(s.random.Int64N(int64(longest-shortest)))
}

// fail does a random fault every now and then until ctx ends, and after so many
// of them none for a while.
func (s *soak) fail(ctx context.Context) error {
	var kinds []fault
	for _, f := range faults() {
		if s.kinds.MatchString(f.name) {
			kinds = append(kinds, f)
		}
	}
	if len(kinds) == 0 {
		return fmt.Errorf("no fault has such a name: %s", s.kinds)
	}
	for n := 1; pause(ctx, s.rest+time.Duration(s.random.Int64N(int64(2*s.rest)))); n++ {
		h := harm{fault: kinds[s.random.IntN(len(kinds))], begun: witness.Now()}
		fmt.Printf("%8s  %s\n", s.elapsed(), h.name)
		err := h.do(s)
		h.over = witness.Now()
		s.mu.Lock()
		s.harms = append(s.harms, h)
		s.mu.Unlock()
		if err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
		if n%s.each == 0 {
			if err := s.beQuiet(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *soak) elapsed() time.Duration { return time.Since(s.begun).Round(time.Second) }

// kill kills processes and waits until they have been started again.
func (s *soak) kill(list ...*process) error { return s.strike(syscall.SIGKILL, list...) }

func (s *soak) strike(with syscall.Signal, list ...*process) error {
	for _, p := range list {
		died := p.died()
		if err := p.signal(with); err != nil {
			return err
		}
		if err := s.eventually(p.name+" is started again", func() bool { return p.died() > died }); err != nil {
			return err
		}
	}
	return s.listens()
}

// replace ends a process politely, as an upgrade does.
func (s *soak) replace(p *process) error { return s.strike(syscall.SIGTERM, p) }

// killAt starts a process anew so that it kills itself at a point; if it does
// not come by there, it is killed where it is.
func (s *soak) killAt(p *process, points []failpoint.Name) error {
	died := p.died()
	p.armNext(arm(points[s.random.IntN(len(points))], 1+s.random.IntN(10)))
	if err := s.kill(p); err != nil {
		return err
	}
	deadline := time.Now().Add(10 * time.Second)
	for p.died() < died+2 {
		if time.Now().After(deadline) {
			return s.kill(p)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return s.listens()
}

func (s *soak) freeze() error {
	all := s.processes()
	p := all[s.random.IntN(len(all))]
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(s.between(3*time.Second, 15*time.Second))
	return p.signal(syscall.SIGCONT)
}

func (s *soak) restart(kill func() error, again func(context.Context) error, after time.Duration) error {
	if err := kill(); err != nil {
		return err
	}
	time.Sleep(after)
	return again(s.ctx)
}

// pauseRun pauses the newest run, unless it has ended.
func (s *soak) pauseRun() error {
	all := s.running()
	if len(all) == 0 {
		return nil
	}
	name := all[len(all)-1].name
	if _, err := s.cli("campaigns", "pause", name); err != nil {
		return nil //nolint:nilerr // it has ended meanwhile
	}
	time.Sleep(s.between(3*time.Second, 10*time.Second))
	_, err := s.cli("campaigns", "resume", name)
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"utskick/dispatcher"
	"utskick/e2e/witness"
)

// campaign is one of many.
type campaign struct {
	name            string
	crowd           census // when it was launched
	launched, ended int64  // by [witness.Now]; ended is 0 while it runs
	report          dispatcher.Report
	delivered       [3]int // persons, as they were acknowledged before the report was asked for
}

// campaign launches one campaign after the other until ctx ends. The next one
// begins when of the one before only a tenth is left, so that senders never
// stand idle. Whoever has unsubscribed from e-mail meanwhile is replaced by a
// newcomer first: an objection is for good, so else the audience would be gone
// before an hour is over.
func (s *soak) campaign(ctx context.Context) error {
	for ctx.Err() == nil {
		c, err := s.begin(ctx)
		if err != nil {
			return err
		}
		for almost := false; !almost && ctx.Err() == nil; almost = almostDone(s.reportOf(c)) {
			if err := s.lookAfter(ctx); err != nil {
				return err
			}
			pause(ctx, 3*time.Second)
		}
	}
	return nil
}

func (s *soak) reportOf(c *campaign) dispatcher.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.report
}

func almostDone(r dispatcher.Report) bool {
	var audience, pending int64
	for _, c := range r.Channels {
		audience, pending = audience+c.Audience, pending+c.Pending
	}
	return r.State.Ended() || (r.Planned && pending*10 <= audience)
}

// begin imports newcomers and launches a campaign. What fails while a fault
// lasts is done again, and may then have been done already: a campaign that has
// a report is launched.
func (s *soak) begin(ctx context.Context) (*campaign, error) {
	if n := s.people.census().size; n > s.plan.people || len(s.campaigns) > 0 {
		csv := s.people.grow(max(1, s.plan.people+s.aim.gone()-n))
		s.aim.sort()
		if err := s.retry(func() error { return s.feed("newcomers.csv", csv, "contacts", "import") }); err != nil {
			return nil, err
		}
	}
	c := &campaign{name: fmt.Sprintf("prov-%d", len(s.campaigns)+1), crowd: s.people.census(), launched: witness.Now()}
	args := []string{"campaigns", "create", c.name, "--sender", "exempelbolaget", "--topic", "offer"}
	for _, ch := range channelNames {
		if err := s.retry(func() error { return s.feed(c.name+"-"+ch+".json", s.template(c.name, ch), "templates", "save") }); err != nil {
			return nil, err
		}
		args = append(args, "--"+ch, c.name+"-"+ch)
	}
	err := s.retry(func() (err error) {
		_, created := s.cli(args...)
		_, launched := s.cli("campaigns", "launch", c.name)
		if c.report, err = s.report(c.name); err != nil {
			return errors.Join(err, created, launched)
		}
		return nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.campaigns = append(s.campaigns, c)
	return c, err
}

// lookAfter asks for the reports of the campaigns that run, and judges those
// that have ended. While the database is away there is no report.
func (s *soak) lookAfter(ctx context.Context) error {
	for _, c := range s.running() {
		if err := s.refresh(c); err != nil || ctx.Err() != nil {
			continue
		}
		if c.ended == 0 {
			continue
		}
		if err := s.catchUp(); err != nil {
			return err
		}
		s.warn(s.judgeCampaign(c, false).problems)
	}
	return nil
}

// refresh asks for the report of a campaign.
func (s *soak) refresh(c *campaign) error {
	if err := s.told.read(); err != nil {
		return err
	}
	delivered := s.tally.delivered(c.name)
	r, err := s.report(c.name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.report, c.delivered, s.asked = r, delivered, time.Now()
	if r.State.Ended() && c.ended == 0 {
		c.ended = witness.Now()
	}
	return nil
}

func (s *soak) running() (all []*campaign) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.campaigns {
		if c.ended == 0 {
			all = append(all, c)
		}
	}
	return all
}

// endAll waits until every campaign has ended: as long as the limit takes for
// two whole ones, and what any row of the matrix may take to recover.
func (s *soak) endAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit+2*time.Duration(s.people.census().contacts/s.rate)*time.Second)
	defer cancel()
	for len(s.running()) > 0 {
		if err := s.lookAfter(ctx); err != nil {
			return err
		}
		if !pause(ctx, time.Second) {
			return nil // the verdict says which did not end
		}
	}
	return nil
}

// pending returns how many have an outcome, and how many have none, of each
// channel over all campaigns, as it was when a report was asked for last.
func (s *soak) pending() (at time.Time, settled, pending [3]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.campaigns {
		for _, r := range c.report.Channels {
			ch := channelOf(string(r.Channel))
			settled[ch] += r.Settled()
			pending[ch] += r.Pending
		}
	}
	return s.asked, settled, pending
}

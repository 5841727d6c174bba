package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
)

// outcome is the verdict on a soak, or on one campaign of it.
type outcome struct {
	counts
	lasted                               time.Duration
	campaigns                            int
	sent, seen, lost, doubt, unexplained int
	harms                                map[string]int
	backlogs                             []backlog
	growths                              []growth
	problems                             []string
}

func (o *outcome) broken(promise, format string, args ...any) {
	o.problems = append(o.problems, promise+" is broken: "+fmt.Sprintf(format, args...))
}

// judgeCampaign holds a report against what the witness saw. It judges what
// [evidence.judgeSums] judges. told says that every webhook was acknowledged
// before the report was asked for.
func (s *soak) judgeCampaign(c *campaign, told bool) (o outcome) {
	s.mu.Lock()
	r, explained := c.report, s.explained(c)
	s.mu.Unlock()
	if !r.State.Ended() {
		o.broken("P3", "%s is %s, and nothing ends it", c.name, r.State)
		return o
	}
	if err := r.Reconcile(); err != nil {
		o.broken("P3", "%v", err)
	}
	for _, ch := range r.Channels {
		s.tally.judgeSums(&o, c, ch)
		s.tally.judgeDoubt(&o, c, ch, explained)
		s.tally.judgeTold(&o, c, ch, told)
	}
	return o
}

// judgeTold judges that what was acknowledged of webhooks is counted, and once.
// When all was told, nobody is in doubt whom a webhook proves to be sent to.
func (t *tally) judgeTold(o *outcome, c *campaign, r dispatcher.ChannelReport, told bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := channelOf(string(r.Channel))
	name := c.name + ", " + channelNames[ch]
	run := t.run(c.name)
	if lost := c.delivered[ch] - int(r.Delivered); lost > 0 {
		o.broken("P5", "%s: %d deliveries were acknowledged, and are not counted", name, lost)
	}
	if more := int(r.Delivered) - run.sends[ch]; more > 0 {
		o.broken("P5", "%s: %d deliveries are counted that never were", name, more)
	}
	if unproved := run.sends[ch] - int(r.Sent); told && unproved > 0 && r.Channel != audience.Push {
		o.broken("P5", "%s: %d are not reported sent, though webhooks prove it", name, unproved)
	}
}

// explained returns the causes of doubt that a fault since the launch explains.
func (s *soak) explained(c *campaign) map[string]bool {
	all := map[string]bool{}
	for _, h := range s.harms {
		if h.over >= c.launched && (c.ended == 0 || h.begun <= c.ended) {
			for _, cause := range h.doubt {
				all[cause] = true
			}
		}
	}
	return all
}

func (t *tally) judgeSums(o *outcome, c *campaign, r dispatcher.ChannelReport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := channelOf(string(r.Channel))
	name := c.name + ", " + channelNames[ch]
	run := t.run(c.name)
	seen := run.sends[ch]
	o.sent, o.seen = o.sent+int(r.Sent), o.seen+seen
	if r.Audience != int64(c.crowd.contacts) || r.Duplicates != int64(c.crowd.twice[ch]) {
		o.broken("P3", "%s: audience %d with %d duplicates, but the files have %d with %d", name, r.Audience, r.Duplicates, c.crowd.contacts, c.crowd.twice[ch])
	}
	if r.Pending != 0 {
		o.broken("P3", "%s: %d are pending after the end", name, r.Pending)
	}
	if n := seen - int(r.Sent+r.InDoubt); n > 0 {
		o.lost += n
		o.broken("P3", "%s: %d were sent to and are reported neither sent nor in doubt", name, n)
	}
	if n := int(r.Sent) - seen; n > 0 {
		o.lost += n
		o.broken("P3", "%s: %d are reported sent and never reached the vendor", name, n)
	}
	if n := int(r.Skipped) - c.crowd.without[ch]; n != 0 {
		o.broken("P3", "%s: %d are skipped who have an address", name, n)
	}
	if r.Failed > 0 {
		o.broken("P6", "%s: %d failed, though nobody was refused", name, r.Failed)
	}
	if n := t.unasked(c, ch, run) - int(r.InDoubt+r.Failed); n > 0 {
		o.lost += n
		o.broken("P3", "%s: %d got nothing, never objected, and no other state is reported for them", name, n)
	}
}

// unasked counts those who got nothing and had not asked for that by the end.
func (t *tally) unasked(c *campaign, ch int, run *seen) (n int) {
	for i := range c.crowd.size {
		if !has(ch, i) || run.taken[ch].has(i) {
			continue
		}
		if p := t.person(ch, i); p.asked == 0 || p.asked > c.ended {
			n++
		}
	}
	return n
}

// judgeDoubt judges that each in doubt is explained: there was a fault of a kind
// that has this cause, and where the witness left the doubt, no more people are
// in doubt than it left so.
func (t *tally) judgeDoubt(o *outcome, c *campaign, r dispatcher.ChannelReport, explained map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o.doubt += int(r.InDoubt)
	for cause, n := range r.Causes[dispatcher.InDoubt.String()] {
		most := int64(t.run(c.name).doubt[cause])
		if cause != server && explained[cause] {
			most = max(most, n)
		}
		if unexplained := n - most; unexplained > 0 {
			o.unexplained += int(unexplained)
			o.broken("P3", "%s, %s: %d are in doubt (%s), and no fault explains %d of them", c.name, r.Channel, n, cause, unexplained)
		}
	}
}

// verdict judges all that was seen. Of a soak that was interrupted, campaigns may
// still run.
func (s *soak) verdict(interrupted bool) (o outcome) {
	told := s.allTold()
	if err := errors.Join(told, s.catchUp()); err != nil {
		o.problems = append(o.problems, err.Error())
	}
	counts, found := s.tally.now()
	o.counts, o.problems = counts, append(o.problems, found...)
	o.lasted, o.harms = s.elapsed(), map[string]int{}
	for _, h := range s.harms {
		o.harms[h.name]++
	}
	for _, c := range s.campaigns {
		o.campaigns++
		if c.ended != 0 {
			// An outcome that was in doubt may be known by now.
			if err := s.refresh(c); err != nil {
				o.problems = append(o.problems, err.Error())
			}
		} else if interrupted {
			continue
		}
		one := s.judgeCampaign(c, told == nil)
		o.sent, o.seen, o.lost = o.sent+one.sent, o.seen+one.seen, o.lost+one.lost
		o.doubt, o.unexplained = o.doubt+one.doubt, o.unexplained+one.unexplained
		o.problems = append(o.problems, one.problems...)
	}
	if o.waiting > 0 {
		o.broken("P5", "%d objections were never acknowledged", o.waiting)
	}
	o.judgeRecovery(s)
	return o
}

// mostGrowth is how much more memory a process may take at the end.
const mostGrowth = 0.05

func (o *outcome) judgeRecovery(s *soak) {
	o.backlogs, o.growths = s.backlogs, growths(s.vitals, s.entries)
	for i, b := range o.backlogs {
		if b.tooLong() {
			o.broken("P6", "the backlog of quiet time %d was not gone after %s: %s", i+1, backlogLimit, b)
		}
	}
	for _, g := range o.growths {
		if g.last > 1 && g.leftOver > mostGrowth {
			o.problems = append(o.problems, fmt.Sprintf("the memory of %s has grown by %.1f %% more than objections explain", g.process, 100*g.leftOver))
		}
		if !g.flat() {
			o.problems = append(o.problems, fmt.Sprintf("%s had %d goroutines, and has %d", g.process, g.goroutines[0], g.goroutines[1]))
		}
	}
}

// warn prints what is broken as soon as it is known.
func (s *soak) warn(problems []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range problems {
		if !s.warned[p] {
			s.warned[p] = true
			fmt.Printf("%8s  %s\n", s.elapsed(), p)
		}
	}
}

// progress says how it goes.
func (s *soak) progress() {
	counts, _ := s.tally.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	doubt := int64(0)
	for _, c := range s.campaigns {
		for _, ch := range c.report.Channels {
			doubt += ch.InDoubt
		}
	}
	memory := map[string]string{}
	for _, v := range s.vitals {
		memory[v.process] = fmt.Sprintf("%s %d MB %d", v.process, v.rss>>20, v.goroutines)
	}
	fmt.Printf("%8s  %d campaigns, %d sends, %d objections, %d faults, %d in doubt, %d breaches; %s\n", s.elapsed(), len(s.campaigns),
		counts.sends, counts.objections, len(s.harms), doubt, counts.breaches+len(s.warned), strings.Join(slices.Sorted(maps.Values(memory)), ", "))
}

// print prints the verdict as Markdown.
func (o outcome) print(out io.Writer) {
	total := 0
	var kinds []string
	for name, n := range o.harms {
		total += n
		kinds = append(kinds, fmt.Sprintf("%s (%d)", name, n))
	}
	slices.Sort(kinds)
	fmt.Fprintf(out, "\n| what | seen |\n|---|---|\n| lasted | %s |\n| campaigns | %d |\n| sends | %d |\n| reported sent | %d |\n"+
		"| the same by the witness, some of those in doubt among them | %d |\n| objections acknowledged | %d |\n| webhooks acknowledged, told three times | %d |\n| faults | %d: %s |\n| sent twice | %d |\n"+
		"| sent after an acknowledgement | %d, at most %s |\n| lost | %d |\n| in doubt | %d |\n| unexplained | %d |\n",
		o.lasted, o.campaigns, o.sends, o.sent, o.seen, o.objections, o.webhooks, total, strings.Join(kinds, ", "), o.duplicates, o.afterAck, o.latest, o.lost, o.doubt, o.unexplained)
	for i, b := range o.backlogs {
		fmt.Fprintf(out, "| backlog, quiet time %d | %s |\n", i+1, b)
	}
	fmt.Fprint(out, "\n| process | memory, first quiet time | last | growth | without what objections take | live heap | | goroutines, first third | last |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, g := range o.growths {
		fmt.Fprintf(out, "| %s | %.1f MB | %.1f MB | %+.1f %% | %+.1f %% | %.1f MB | %.1f MB | %d | %d |\n", g.process, mb(g.rss[0]), mb(g.rss[1]), 100*g.gross, 100*g.leftOver,
			mb(g.live[0]), mb(g.live[1]), g.goroutines[0], g.goroutines[1])
	}
	fmt.Fprintln(out)
	for _, p := range o.problems {
		fmt.Fprintln(out, "- "+p)
	}
	if len(o.problems) == 0 {
		fmt.Fprintln(out, "The soak has passed.")
	}
}

func mb(bytes int64) float64 { return float64(bytes) / (1 << 20) }

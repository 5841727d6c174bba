package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"utskick/e2e/witness"
)

// tally judges the logs line by line while they grow, and keeps of them only
// what a judgement needs: some 30 bytes for each person and channel, and two
// bits for each person and run. It does not matter in which order lines of the
// two logs come.
type tally struct {
	crowd *crowd

	mu      sync.Mutex
	persons [3][]person
	runs    map[string]*seen
	counts  counts
	found   map[string]int // breaches, and how often
}

// person is one destination. The times are by [witness.Now]; 0 is never.
type person struct {
	asked, acked int64 // first
	sent         int64 // when the latest call to her started
}

// seen is what the witness saw of one run.
type seen struct {
	taken     [3]bits
	sends     [3]int // distinct destinations that the vendor took it for
	doubt     map[string]int
	delivered [3]bits
	told      [3]int // distinct destinations of whom the product has acknowledged a delivery
}

// counts are sums over all runs.
type counts struct {
	webhooks                                                   int // events that were acknowledged, each once
	sends, objections, waiting, duplicates, afterAck, breaches int
	latest                                                     time.Duration
}

func newTally(c *crowd) *tally {
	return &tally{crowd: c, runs: map[string]*seen{}, found: map[string]int{}}
}

// bits is a set of small numbers.
type bits []uint64

// add returns false if i is there already.
func (b *bits) add(i int) bool {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	old := (*b)[i/64]
	(*b)[i/64] |= 1 << (i % 64)
	return old != (*b)[i/64]
}

func (b bits) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }

// run returns what was seen of a campaign.
func (t *tally) run(name string) *seen {
	r := t.runs[name]
	if r == nil {
		r = &seen{doubt: map[string]int{}}
		t.runs[name] = r
	}
	return r
}

func (t *tally) person(ch, i int) *person {
	for len(t.persons[ch]) <= i {
		t.persons[ch] = append(t.persons[ch], make([]person, 1024)...)
	}
	return &t.persons[ch][i]
}

// call judges a call by P1 and P2, and that everybody in it is in the audience.
func (t *tally) call(c call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range c.Messages {
		ch := channelOf(m.Channel)
		i, known := 0, false
		if ch >= 0 {
			i, known = t.crowd.find(ch, canonical(m.Channel, m.To))
		}
		if !known {
			t.broken("P3", "somebody got a message who is in no audience")
			continue
		}
		p := t.person(ch, i)
		p.sent = max(p.sent, c.Start)
		t.judgeAck(p, c.Start)
		t.taken(c, m.Campaign, ch, i)
	}
}

func (t *tally) taken(c call, campaign string, ch, i int) {
	if campaign == "" {
		return // of a body that broke off
	}
	run := t.run(campaign)
	if cause := doubtOf(c.Answer); cause != "" {
		run.doubt[cause]++
	}
	if !c.Taken {
		return
	}
	t.counts.sends++
	if run.taken[ch].add(i) {
		run.sends[ch]++
		return
	}
	t.counts.duplicates++
	t.broken("P2", "%s, %s: a send to a destination that had it already", campaign, channelNames[ch])
}

// wish takes a line of the client's log.
func (t *tally) wish(w wish) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := channelOf(w.Channel)
	i, known := t.crowd.find(ch, w.To)
	if !known {
		t.broken("P3", "a link led to somebody who is in no audience")
		return
	}
	p := t.person(ch, i)
	switch {
	case w.Event == asked && p.asked == 0:
		p.asked = w.At
		t.counts.waiting++
	case w.Event == acknowledged && p.acked == 0:
		p.acked = w.At
		t.counts.objections++
		t.counts.waiting--
		t.judgeAck(p, p.sent)
	}
}

// judgeAck judges a send that started then.
func (t *tally) judgeAck(p *person, start int64) {
	if p.acked == 0 || start <= p.acked {
		return
	}
	late := time.Duration(start - p.acked)
	t.counts.afterAck++
	t.counts.latest = max(t.counts.latest, late)
	t.broken("P1", "a send was started after the objection was acknowledged")
	if late > forgotten {
		t.broken("P5", "an objection has been forgotten that was acknowledged more than %s before a send", forgotten)
	}
}

// hooked takes a line of the log of webhooks.
func (t *tally) hooked(l witness.Hooked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !l.Acknowledged() {
		return
	}
	for _, e := range l.Events {
		t.counts.webhooks++
		ch := channelOf(e.Channel)
		if i, known := t.crowd.find(ch, canonical(e.Channel, e.To)); e.Type == "delivered" && known && t.run(e.Campaign).delivered[ch].add(i) {
			t.run(e.Campaign).told[ch]++
		}
	}
}

// delivered returns of how many persons of a campaign a delivery is acknowledged.
func (t *tally) delivered(campaign string) [3]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.run(campaign).told
}

// broken notes a breach; the mutex is held.
func (t *tally) broken(promise, format string, args ...any) {
	text := promise + " is broken: " + fmt.Sprintf(format, args...)
	t.found[text]++
	t.counts.breaches++
}

// now returns the sums and the breaches so far.
func (t *tally) now() (counts, []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []string
	for text, times := range t.found {
		found = append(found, fmt.Sprintf("%s (%d times)", text, times))
	}
	slices.Sort(found)
	return t.counts, found
}

// waiting returns how many have asked before an instant and have no answer.
func (t *tally) waiting(before int64) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, all := range t.persons {
		for _, p := range all {
			if p.asked != 0 && p.asked < before && p.acked == 0 {
				n++
			}
		}
	}
	return n
}

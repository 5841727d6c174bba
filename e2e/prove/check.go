package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"utskick/dispatcher"
)

// evidence is all that a judgement rests on: the two logs, the final reports,
// and the file of people that the harness wrote itself.
type evidence struct {
	people  *people
	calls   []call
	wishes  []wish
	reports []dispatcher.Report
	// begun is when each campaign was about to be launched.
	begun map[string]int64
	// doubt lists the causes of in_doubt that the row's fault explains.
	doubt []string
	// cancels says that the row cancels runs or lets them expire.
	cancels bool
	// rates are the limits that are judged.
	rates []rate
	// refuses says that the witness refused people for good.
	refuses bool
}

// verdict is a row of the table.
type verdict struct {
	faults, runs, sends, objections, duplicates, afterAck, lost, inDoubt, unexplained int

	recovered time.Duration
	problems  []string // each begins with the promise that is broken
	notes     []string // what was measured
}

// destination is somebody on a channel.
type destination struct{ channel, to string }

// judge holds the evidence against the promises.
func judge(e evidence) verdict {
	v := verdict{runs: len(e.reports)}
	taken := e.takes(&v)
	e.judgeAcknowledgements(&v)
	e.judgeRates(&v)
	said := e.lastWords()
	for _, r := range e.reports {
		if !r.State.Ended() {
			v.broken("P3", "run %s is %s, and nothing ends it", r.Campaign, r.State)
			continue // its sums are not final
		}
		if err := r.Reconcile(); err != nil {
			v.broken("P3", "%v", err)
		}
		for _, c := range r.Channels {
			e.judgeSums(&v, r, c, taken[r.Campaign], said)
		}
	}
	return v
}

func (v *verdict) broken(promise, format string, args ...any) {
	v.problems = append(v.problems, promise+" is broken: "+fmt.Sprintf(format, args...))
}

func (v *verdict) note(format string, args ...any) {
	v.notes = append(v.notes, fmt.Sprintf(format, args...))
}

// takes counts the sends, and judges P2: no two of one run to one destination.
func (e evidence) takes(v *verdict) map[string]map[destination]int {
	taken := map[string]map[destination]int{}
	for _, c := range e.calls {
		if !c.Taken {
			continue
		}
		for _, m := range c.Messages {
			run := taken[m.Campaign]
			if run == nil {
				run = map[destination]int{}
				taken[m.Campaign] = run
			}
			to := destination{m.Channel, canonical(m.Channel, m.To)}
			run[to]++
			v.sends++
			if run[to] > 1 {
				v.duplicates++
			}
			if m.Campaign == "" {
				v.broken("P3", "somebody got a message of no campaign")
			}
			if !e.people.addresses[m.Channel][to.to] {
				v.broken("P3", "%s: somebody got a message who is in no audience", m.Campaign)
			}
		}
	}
	if v.duplicates > 0 {
		v.broken("P2", "%d sends of one run to a destination that had it already", v.duplicates)
	}
	return taken
}

// judgeAcknowledgements judges P1: no send to a person is started after her
// objection was acknowledged, until she asks for messages again. All instants are
// by one clock; the one of the send is when its first byte arrived, which is never
// before it started.
func (e evidence) judgeAcknowledgements(v *verdict) {
	alone := e.leftAlone()
	v.objections = len(alone)
	var latest time.Duration
	for _, c := range e.calls {
		for _, m := range c.Messages {
			for _, s := range alone[destination{m.Channel, canonical(m.Channel, m.To)}] {
				if c.Start > s.from && c.Start < s.to {
					v.afterAck++
					latest = max(latest, time.Duration(c.Start-s.from))
				}
			}
		}
	}
	if v.afterAck > 0 {
		v.broken("P1", "%d sends were started after an acknowledged objection, up to %s after it", v.afterAck, latest.Round(time.Millisecond))
	}
	if latest > forgotten {
		v.broken("P5", "an objection that was acknowledged %s before a send has been forgotten", latest.Round(time.Millisecond))
	}
}

// forgotten is longer than any call that the objection merely failed to stop.
const forgotten = 3 * time.Second

// span is from an acknowledgement until the person next asked for messages.
type span struct{ from, to int64 }

// leftAlone returns when each person was to get nothing. Nobody says anything
// before her last word was answered, so that hers are in order in the log.
func (e evidence) leftAlone() map[destination][]span {
	alone := map[destination][]span{}
	for _, w := range e.wishes {
		to := destination{w.Channel, w.To}
		spans := alone[to]
		open := len(spans) > 0 && spans[len(spans)-1].to == math.MaxInt64
		switch {
		case w.Event == acknowledged && !open:
			alone[to] = append(spans, span{w.At, math.MaxInt64})
		case w.Event == renewalAsked && open:
			spans[len(spans)-1].to = w.At
		}
	}
	return alone
}

// lastWord is what a person who ever asked to be left alone said last.
type lastWord struct {
	objected bool
	renewed  int64 // when her renewed consent was acknowledged, if that was it
}

// excuses reports whether she may have got nothing from a campaign that was
// launched at an instant.
func (l lastWord) excuses(begun int64) bool {
	return l.objected && (l.renewed == 0 || l.renewed > begun)
}

func (e evidence) lastWords() map[destination]lastWord {
	said := map[destination]lastWord{}
	for _, w := range e.wishes {
		switch to := (destination{w.Channel, w.To}); w.Event {
		case asked:
			said[to] = lastWord{objected: true}
		case renewed:
			said[to] = lastWord{objected: true, renewed: w.At}
		}
	}
	return said
}

// judgeSums judges P3 for a channel of a run: everybody is somewhere, whom the
// witness has seen is reported sent or in doubt, and whom the report calls sent
// the witness has seen.
func (e evidence) judgeSums(v *verdict, r dispatcher.Report, c dispatcher.ChannelReport, taken map[destination]int, said map[destination]lastWord) {
	ch := string(c.Channel)
	name := r.Campaign + ", " + ch
	if c.Audience != int64(e.people.contacts) || c.Duplicates != int64(e.people.twice[ch]) {
		v.broken("P3", "%s: audience %d with %d duplicates, but the file has %d with %d", name, c.Audience, c.Duplicates, e.people.contacts, e.people.twice[ch])
	}
	if c.Pending != 0 {
		v.broken("P3", "%s: %d are pending after the end", name, c.Pending)
	}
	seen, unasked := 0, 0
	for to := range e.people.addresses[ch] {
		d := destination{ch, to}
		switch {
		case taken[d] > 0:
			seen++
		case !said[d].excuses(e.begun[r.Campaign]):
			unasked++
		}
	}
	if unreported := seen - int(c.Sent+c.InDoubt); unreported > 0 {
		v.lost += unreported
		v.broken("P3", "%s: %d were sent to and are reported neither sent nor in doubt", name, unreported)
	}
	if untaken := int(c.Sent) - seen; untaken > 0 {
		v.lost += untaken
		v.broken("P3", "%s: %d are reported sent and never reached the vendor", name, untaken)
	}
	e.judgeUnsent(v, name, c, unasked)
	e.judgeDoubt(v, name, c)
}

// judgeUnsent looks at those who got nothing and never asked for that: the
// report must have a reason for each.
func (e evidence) judgeUnsent(v *verdict, name string, c dispatcher.ChannelReport, unasked int) {
	skipped := int(c.Skipped) - e.people.without[string(c.Channel)]
	reasons := int(c.InDoubt + c.Failed)
	if e.cancels {
		reasons += skipped
	} else if skipped != 0 {
		v.broken("P3", "%s: %d are skipped who have an address", name, skipped)
	}
	if c.Failed > 0 && !e.refuses && !e.cancels {
		v.broken("P6", "%s: %d failed, though nobody was refused", name, c.Failed)
	}
	if lost := unasked - reasons; lost > 0 {
		v.lost += lost
		v.broken("P3", "%s: %d got nothing, never objected, and no other state is reported for them", name, lost)
	}
}

// judgeDoubt counts those in doubt for whom the fault is no reason.
func (e evidence) judgeDoubt(v *verdict, name string, c dispatcher.ChannelReport) {
	v.inDoubt += int(c.InDoubt)
	for cause, n := range c.Causes[dispatcher.InDoubt.String()] {
		if !slices.Contains(e.doubt, cause) {
			v.unexplained += int(n)
			v.broken("P3", "%s: %d are in doubt (%s), which this fault does not explain", name, n, cause)
		}
	}
}

// judge reads what the row has left behind, and judges it.
func (s *stage) judge() (verdict, error) {
	e := evidence{people: s.people, begun: s.begun, doubt: s.row.doubt, cancels: s.row.cancels, refuses: s.row.refuses, rates: s.row.rates}
	for _, name := range s.launched {
		r, err := s.report(name)
		if err != nil {
			return verdict{}, err
		}
		e.reports = append(e.reports, r)
	}
	var err error
	if e.calls, err = readCalls(s.file("witness.ndjson")); err != nil {
		return verdict{}, err
	}
	if e.wishes, err = readWishes(s.file("wishes.ndjson")); err != nil {
		return verdict{}, err
	}
	v := judge(e)
	v.notes = append(v.notes, s.notes...)
	if v.faults, err = s.countFaults(); err == nil && v.faults == 0 && !s.row.calm {
		err = errors.New("the row proves nothing: its fault never happened")
	}
	return v, err
}

// countFaults adds the failpoints that were hit, as the processes' logs have
// them, to the faults that the row has counted itself.
func (s *stage) countFaults() (int, error) {
	n := s.faults
	for _, p := range s.processes() {
		log, err := os.ReadFile(s.file(p.name + ".log"))
		if err != nil {
			return n, err
		}
		n += bytes.Count(log, []byte("failpoint "))
	}
	return n, nil
}

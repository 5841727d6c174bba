package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// measured is one measurement, of the product or of the bare sender.
type measured struct {
	Recipients int64   `json:"recipients"`
	Rate       float64 `json:"recipients_per_second"`
	// Processor time for each recipient, in microseconds.
	Sender   float64 `json:"sender_us"` // worker or bare sender
	Database float64 `json:"database_us"`
	Sink     float64 `json:"sink_us"`
	Bytes    float64 `json:"bytes_per_recipient"` // at the sink
	Peak     float64 `json:"peak_mib,omitempty"`  // of the worker's memory
	Phases   string  `json:"phases,omitempty"`    // milliseconds for 1000, summed over all at once
}

// comparison is a case on an engine: medians over its runs, which alternate
// between the two so that a machine that slows down slows both.
type comparison struct {
	Case   string     `json:"case"`
	Engine string     `json:"engine"`
	Ours   measured   `json:"ours"`
	Bare   measured   `json:"bare"`
	Ratio  float64    `json:"ratio"` // of the rates
	Runs   []measured `json:"runs"`  // ours, as they came
}

func (o options) compare(ctx context.Context, e engine, c benchCase, progress func(run int, what string)) (comparison, error) {
	found := comparison{Case: c.name}
	var bare []measured
	for run := range o.runs {
		progress(run+1, "bare")
		b, err := o.measureBare(ctx, c)
		if err != nil {
			return found, err
		}
		progress(run+1, "ours")
		ours, err := o.measureOurs(ctx, e, c)
		if err != nil {
			return found, err
		}
		bare, found.Runs = append(bare, b), append(found.Runs, ours)
	}
	found.Ours, found.Bare = median(found.Runs), median(bare)
	found.Ratio = found.Ours.Rate / found.Bare.Rate
	return found, nil
}

// median returns the run whose rate is the middle one.
func median(runs []measured) measured {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b measured) int { return cmp.Compare(a.Rate, b.Rate) })
	return sorted[len(sorted)/2]
}

// longestBare ends the bare sender of a slow case before it has sent to all.
const longestBare = 6 * time.Second

func (o options) measureBare(ctx context.Context, c benchCase) (m measured, err error) {
	arrived, err := withSink(ctx, c, func(s sink) error {
		var sent bareSent
		if err := run(ctx, "bare", bareJob{Case: c.name, Sink: s, Recipients: o.contacts, AtMost: longestBare}, &sent); err != nil {
			return err
		}
		m.Recipients, m.Rate, m.Sender = sent.Sent, float64(sent.Sent)/sent.Seconds, micros(sent.CPU, sent.Sent)
		return nil
	})
	if err != nil {
		return m, err
	}
	return m, m.addSink(arrived)
}

func (o options) measureOurs(ctx context.Context, e engine, c benchCase) (m measured, err error) {
	database, drop, err := e.fresh(ctx)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	arrived, err := withSink(ctx, c, func(s sink) error {
		before := e.processorTime()
		var w worked
		if err := run(ctx, "worker", workJob{Case: c.name, Store: database, Sink: s, Workers: o.workers, Profile: o.profile}, &w); err != nil {
			return err
		}
		if w.Blocked != int64(blockedAmong(o.contacts)) || w.Sent+w.Blocked != int64(o.contacts) {
			return fmt.Errorf("the report counts %d sent and %d suppressed of %d, %d of whom objected", w.Sent, w.Blocked, o.contacts, blockedAmong(o.contacts))
		}
		m.Recipients, m.Rate, m.Sender = w.Sent, float64(w.Sent)/w.Seconds, micros(w.CPU, w.Sent)
		m.Database = micros(int64(e.processorTime()-before), w.Sent)
		m.Peak, m.Phases = float64(w.Peak)/(1<<20), w.Spent.per1000(w.Sent)
		return nil
	})
	if err != nil {
		return m, err
	}
	return m, m.addSink(arrived)
}

func micros(nanoseconds, recipients int64) float64 {
	return float64(nanoseconds) / 1000 / float64(max(recipients, 1))
}

// addSink holds the sender's count against the sink's.
func (m *measured) addSink(c counted) error {
	if c.Recipients != m.Recipients {
		return fmt.Errorf("%d were sent to, and %d arrived at the sink", m.Recipients, c.Recipients)
	}
	m.Sink, m.Bytes = micros(c.CPU, c.Recipients), float64(c.Bytes)/float64(max(c.Recipients, 1))
	return nil
}

// withSink runs f beside a new sink and returns what arrived there.
func withSink(ctx context.Context, c benchCase, f func(sink) error) (arrived counted, err error) {
	child, err := start(ctx, "sink")
	if err != nil {
		return arrived, err
	}
	defer func() { err = errors.Join(err, child.end()) }()
	var where sink
	if err := child.ask(c.name, &where); err != nil {
		return arrived, err
	}
	if err := f(where); err != nil {
		return arrived, err
	}
	return arrived, child.ask("count", &arrived)
}

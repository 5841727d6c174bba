package main

import (
	"context"
	"crypto"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// bareJob is what the bare sender is to do: put what the product would put on
// the wire there, over as many connections and in the same groups, as quickly as
// one can who knows everything beforehand. It has no database, checks nothing
// and remembers nothing.
type bareJob struct {
	Case       string
	Sink       sink
	Recipients int
	// AtMost ends a sender that is slow, once its speed is known.
	AtMost time.Duration

	benchCase benchCase
	sample    *sample
	key       crypto.Signer
}

// bareSent is what came of it.
type bareSent struct {
	Seconds float64
	Sent    int64
	CPU     int64 // nanoseconds
}

// bareSender makes the connections' senders. Each call of a sender sends to the
// recipients from first on, returns how many that were, and has their answers.
type bareSender interface {
	connect() (send func(first int) (int, error), err error)
}

// sampleSize is how many different messages a bare sender sends: more than any
// cache near the processor holds.
const sampleSize = 4000

// sendBare is the child that sends without the product.
func sendBare(_ context.Context, p *parent) error {
	var job bareJob
	if err := p.next(&job); err != nil {
		return err
	}
	p.dieWith()
	found, err := findCases(job.Case)
	if err != nil {
		return err
	}
	job.benchCase = found[0]
	if job.sample, err = newSample(job.benchCase, sampleSize); err != nil {
		return err
	}
	if job.key, err = job.benchCase.signer(); err != nil {
		return err
	}
	sender, err := job.benchCase.bare(job)
	if err != nil {
		return err
	}
	result, err := job.run(sender)
	if err != nil {
		return err
	}
	return p.tell(result)
}

func (job bareJob) run(sender bareSender) (bareSent, error) {
	var sends []func(int) (int, error)
	for range job.benchCase.connections {
		s, err := sender.connect()
		if err != nil {
			return bareSent{}, err
		}
		sends = append(sends, s)
	}
	var wg sync.WaitGroup
	var next, sent atomic.Int64
	errs := make([]error, len(sends))
	used, start := processorTime(), time.Now()
	for i, s := range sends {
		wg.Go(func() {
			for time.Since(start) < job.AtMost && errs[i] == nil {
				first := int(next.Add(perTurn)) - perTurn
				if first >= job.Recipients {
					return
				}
				for at := first; at < min(job.Recipients, first+perTurn) && errs[i] == nil; {
					var n int
					n, errs[i] = s(at)
					at += n
					sent.Add(int64(n))
				}
			}
		})
	}
	wg.Wait()
	return bareSent{Seconds: time.Since(start).Seconds(), Sent: sent.Load(), CPU: int64(processorTime() - used)}, errors.Join(errs...)
}

// perTurn is how many recipients a connection takes at a time: a call of the
// largest size.
const perTurn = 1000

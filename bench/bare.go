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
// one can who has each recipient's address and data in memory. What it does and
// does not do is said at the top of main.go.
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

// bareSender makes the connections' senders.
type bareSender interface {
	// perCall is how many recipients a call of send has.
	perCall() int
	// connect opens a connection. Its send sends to the recipients from row on,
	// and has their answers when it returns. next is the row that the same
	// connection sends after it, or none: SMTP sends its envelope along.
	connect() (send func(row, next int) error, err error)
}

// none is no row.
const none = -1

// sampleSize is how many different recipients a bare sender knows: their data
// is more than any cache near the processor holds. It is a multiple of every
// perCall.
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
	var sends []func(row, next int) error
	for range job.benchCase.connections {
		send, err := sender.connect()
		if err != nil {
			return bareSent{}, err
		}
		sends = append(sends, send)
	}
	var wg sync.WaitGroup
	var taken, sent atomic.Int64
	n := int64(sender.perCall())
	errs := make([]error, len(sends))
	used, start := processorTime(), time.Now()
	take := func() int {
		first := taken.Add(n) - n
		if first >= int64(job.Recipients) || time.Since(start) >= job.AtMost {
			return none
		}
		return int(first % sampleSize)
	}
	for i, send := range sends {
		wg.Go(func() {
			for row := take(); row != none && errs[i] == nil; {
				next := take()
				if errs[i] = send(row, next); errs[i] == nil {
					sent.Add(n)
				}
				row = next
			}
		})
	}
	wg.Wait()
	return bareSent{Seconds: time.Since(start).Seconds(), Sent: sent.Load(), CPU: int64(processorTime() - used)}, errors.Join(errs...)
}

package smtp

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"utskick/channels"
	"utskick/channels/mime"
	"utskick/suppression"
)

// sending is a Send that runs. Connections take rows from it as they come to
// them, so that a slow one holds up no other.
type sending struct {
	*call
	ctx     context.Context
	permits []*suppression.Permit
	results []channels.Result // each written once, by who took its row

	taken    atomic.Int64
	finished chan struct{} // closed when no row is left
}

// spread gives the rows to connections until none is left, or none can be had.
// It waits for all that was begun.
func (s *sending) spread() error {
	// Whoever waits for a connection beyond the permits' life waits in vain.
	ctx, cancel := context.WithTimeoutCause(s.ctx, longest(s.permits), suppression.ErrExpired)
	defer cancel()
	var workers sync.WaitGroup
	defer workers.Wait()
	places := make(chan struct{}, min(len(s.permits), s.provider.settings.connections))
	for {
		select {
		case places <- struct{}{}:
		case <-s.finished:
			return nil
		}
		c, err := s.provider.pool.get(ctx, s.finished)
		if c == nil {
			return err
		}
		workers.Go(func() {
			c.work(s)
			s.provider.pool.put(c)
			<-places
		})
	}
}

// longest returns how long the permit lives that lives longest.
func longest(permits []*suppression.Permit) time.Duration {
	var d time.Duration
	for _, p := range permits {
		d = max(d, p.Remaining())
	}
	return d
}

// take takes the next row.
func (s *sending) take() (row int, ok bool) {
	row = int(s.taken.Add(1)) - 1
	if row == len(s.permits) {
		close(s.finished)
	}
	return row, row < len(s.permits)
}

// next opens the permit of the next row that can be sent. Rows that cannot are
// settled on the way. When the context ends, no more are begun.
func (s *sending) next(o offers) (message, bool) {
	for s.ctx.Err() == nil {
		row, ok := s.take()
		if !ok {
			break
		}
		if s.permits[row] == nil {
			continue
		}
		m, r := s.open(row, o)
		if r == nil {
			return m, true
		}
		s.settle(row, *r)
	}
	return message{}, false
}

// open returns the message of a row, or its result if it is not to be sent.
func (s *sending) open(row int, o offers) (message, *channels.Result) {
	result := func(r channels.Result) (message, *channels.Result) { return message{}, &r }
	permit := s.permits[row]
	if permit.Key() != s.keys[row] {
		return result(channels.Result{Class: channels.Withheld, Reason: reasonForeign})
	}
	address, err := permit.Open()
	if err != nil {
		return result(channels.Failure(err, channels.Expired))
	}
	m := message{row: row, permit: permit, from: s.layout.From(), address: address, eightBit: s.layout.EightBit(), body: s.bodies[row]}
	if s.heads != nil {
		m.head = s.heads[row]
	}
	err = mime.CheckAddress(address, false)
	m.unicode = errors.Is(err, mime.ErrUnicode) && o.unicode
	switch {
	case err != nil && !m.unicode:
		return result(refused(reasonAddress))
	case len(m.body) == 0:
		return result(refused(reasonMessage))
	case m.eightBit && !o.eightBit:
		return result(notTaken(reasonEightBit, 0))
	case o.size > 0 && m.size() > o.size:
		return result(refused(reasonTooLarge))
	}
	return m, nil
}

func (s *sending) settle(row int, r channels.Result) { s.results[row] = r }

// settleRest says of the rows that no connection took why that is.
func (s *sending) settleRest(err error) {
	for row, ok := s.take(); ok; row, ok = s.take() {
		switch p := s.permits[row]; {
		case p == nil:
		case p.Gate() != nil:
			s.settle(row, channels.Failure(suppression.ErrExpired, channels.Expired))
		case s.ctx.Err() != nil:
			s.settle(row, channels.Result{Class: channels.Withheld, Reason: reasonStopped})
		default:
			s.settle(row, down(err))
		}
	}
}

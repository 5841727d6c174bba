package storage

import (
	"errors"
	"sync"
)

// errClosed is returned for what comes after the store was closed.
var errClosed = errors.New("the store is closed")

// committer commits what many callers bring at about the same time in one
// transaction: while one is being committed, the next gathers. Nobody is
// answered before his own is durable.
type committer[In, Out any] struct {
	commit func([]In) ([]Out, error)
	most   int

	mu      sync.Mutex
	waiting []request[In, Out]
	wake    chan struct{}
	closed  bool
	done    chan struct{}
}

type request[In, Out any] struct {
	in     In
	answer chan answer[Out]
}

type answer[Out any] struct {
	out Out
	err error
}

// newCommitter starts a committer that takes at most the given number of
// requests into one commit.
func newCommitter[In, Out any](most int, commit func([]In) ([]Out, error)) *committer[In, Out] {
	c := &committer[In, Out]{commit: commit, most: most, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go c.run()
	return c
}

// do returns when in is committed, or was not.
func (c *committer[In, Out]) do(in In) (Out, error) {
	r := request[In, Out]{in: in, answer: make(chan answer[Out], 1)}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		var none Out
		return none, errClosed
	}
	c.waiting = append(c.waiting, r)
	c.mu.Unlock()
	c.poke()
	a := <-r.answer
	return a.out, a.err
}

func (c *committer[In, Out]) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *committer[In, Out]) run() {
	defer close(c.done)
	for range c.wake {
		for c.round() {
		}
		c.mu.Lock()
		finished := c.closed && len(c.waiting) == 0
		c.mu.Unlock()
		if finished {
			return
		}
	}
}

// round commits what waits, and reports whether there was anything.
func (c *committer[In, Out]) round() bool {
	c.mu.Lock()
	n := min(len(c.waiting), c.most)
	batch := append([]request[In, Out](nil), c.waiting[:n]...)
	c.waiting = c.waiting[n:]
	c.mu.Unlock()
	if n == 0 {
		return false
	}
	in := make([]In, n)
	for i := range batch {
		in[i] = batch[i].in
	}
	out, err := c.commit(in)
	for i := range batch {
		a := answer[Out]{err: err}
		if err == nil {
			a.out = out[i]
		}
		batch[i].answer <- a
	}
	return true
}

// close answers what waits, and refuses what comes later.
func (c *committer[In, Out]) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.poke()
	<-c.done
}

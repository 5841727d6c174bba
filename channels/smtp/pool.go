package smtp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// idleCheck is how long a connection may idle before it is asked whether it
	// is still there.
	idleCheck = 10 * time.Second
	// dialPause is how long no further connections are tried after one failed:
	// a relay that limits them would be asked in vain for each chunk.
	dialPause = 5 * time.Second
)

var errClosed = errors.New("smtp: the provider is closed")

// pool holds the connections to the relay. They are opened and checked ahead of
// a send, by warm; get opens one only when there is none at all.
type pool struct {
	connect func(context.Context) (*conn, error)
	now     func() time.Time
	size    int

	mu      sync.Mutex
	idle    []*conn       // the one used last is last
	open    int           // idle, in use and being connected
	changed chan struct{} // closed when a connection comes back or is lost; nil if nobody waits
	retryAt time.Time
	closed  bool
}

// warm checks the connections that idled, and opens more until there are n. Its
// error means that there is none.
func (p *pool) warm(ctx context.Context, n int) error {
	var done sync.WaitGroup
	for _, c := range p.takeStale() {
		done.Go(func() {
			c.broken = !c.alive()
			p.put(c)
		})
	}
	done.Wait()
	missing, err := p.reserve(n)
	if err != nil {
		return err
	}
	answers := make(chan error, missing)
	for range missing {
		go func() {
			c, err := p.dial(ctx)
			if err == nil {
				p.put(c)
			}
			answers <- err
		}()
	}
	var failed error
	for range missing {
		if err := <-answers; err != nil {
			failed = err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if failed != nil {
		slog.WarnContext(ctx, "the relay cannot be connected to", "connections", p.open, "wanted", min(n, p.size), "error", failed)
	}
	if p.open > 0 {
		return nil
	}
	return failed
}

func (p *pool) takeStale() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := 0
	limit := p.now().Add(-idleCheck)
	for fresh < len(p.idle) && p.idle[fresh].idleAt.Before(limit) {
		fresh++
	}
	stale := append([]*conn(nil), p.idle[:fresh]...)
	p.idle = append(p.idle[:0], p.idle[fresh:]...)
	return stale
}

// reserve counts connections as open that the caller will dial.
func (p *pool) reserve(n int) (missing int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, errClosed
	}
	missing = max(0, min(n, p.size)-p.open)
	if p.now().Before(p.retryAt) {
		missing = max(0, min(missing, 1-p.open))
	}
	p.open += missing
	return missing, nil
}

// dial opens a connection that has been counted.
func (p *pool) dial(ctx context.Context) (*conn, error) {
	c, err := p.connect(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.open--
		p.retryAt = p.now().Add(dialPause)
		p.notify()
	}
	return c, err
}

// get returns an idle connection, and waits for one if all are in use. It
// returns nil and no error when done is closed before.
func (p *pool) get(ctx context.Context, done <-chan struct{}) (*conn, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c, wait, err := p.take()
		switch {
		case err != nil || c != nil:
			return c, err
		case wait == nil:
			return p.dial(ctx)
		}
		select {
		case <-wait:
		case <-done:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take returns an idle connection, or what to wait for, or neither when the
// caller shall dial.
func (p *pool) take() (*conn, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosed
	}
	if last := len(p.idle) - 1; last >= 0 {
		c := p.idle[last]
		p.idle = p.idle[:last]
		return c, nil, nil
	}
	if p.open == 0 {
		p.open++
		return nil, nil, nil
	}
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return nil, p.changed, nil
}

// put takes a connection back. A broken one is closed.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	gone := c.broken || p.closed
	if gone {
		p.open--
	} else {
		c.idleAt = p.now()
		p.idle = append(p.idle, c)
	}
	p.notify()
	p.mu.Unlock()
	if gone {
		c.quit()
	}
}

// notify wakes who waits. The caller holds the lock.
func (p *pool) notify() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// close takes leave on the idle connections; those in use are closed when they
// come back.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.open -= len(idle)
	p.notify()
	p.mu.Unlock()
	var done sync.WaitGroup
	for _, c := range idle {
		done.Go(c.quit)
	}
	done.Wait()
}

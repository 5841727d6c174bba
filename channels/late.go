package channels

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// A process can be frozen after it has asked its permits and before it writes:
// a virtual machine is moved, a laptop sleeps. The first byte then leaves when
// the permit is long dead, which nothing in the process can prevent, but which
// it sees afterwards, by asking the clock again when the first write is over.

// DialFunc opens connections, as net.Dialer's DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Watch returns a dial function whose connections tell the attempt that goes
// over them when its first bytes have left. A nil dial is the net package's.
func Watch(dial DialFunc) DialFunc {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watched{Conn: conn}, nil
	}
}

// watched is a connection that carries one attempt at a time.
type watched struct {
	net.Conn
	attempt atomic.Pointer[Attempt]
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if a := w.attempt.Load(); a != nil && a.left() {
		w.attempt.CompareAndSwap(a, nil)
	}
	return n, err
}

// ride tells the attempt's connection whom it carries. A connection that nobody
// watches is judged when the answer is there.
func (a *Attempt) ride(info httptrace.GotConnInfo) {
	conn := info.Conn
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok { // a *tls.Conn
		conn = secured.NetConn()
	}
	if w, ok := conn.(*watched); ok {
		w.attempt.Store(a)
	}
}

// left notes that a write is over, and reports whether it was the first that the
// permits had allowed: a head that goes ahead of its body says nothing.
func (a *Attempt) left() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.written != Partly && a.written != Fully {
		return false
	}
	if a.gone {
		return true
	}
	a.gone = true
	for _, p := range a.permits {
		if p != nil {
			// Those of a call share their window.
			a.late = p.Overdue()
			break
		}
	}
	return true
}

// Late reports whether the first byte may have left so long after the permits
// had died that an objection may have been acknowledged before. It is for an
// attempt that is over: if its write is not known to have ended by then, it ends
// now.
func (a *Attempt) Late() bool {
	a.left()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.late
}

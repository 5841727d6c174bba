package testserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
)

// Way is a way to a Postgres of this package that can be cut. What is on it
// then is held up, and arrives late: nobody is told of anything.
type Way struct {
	URL string // of the database, by this way

	listener net.Listener
	socket   string

	mu   sync.Mutex
	open chan struct{} // closed while the way is open
	ends []net.Conn
	wg   sync.WaitGroup
}

// StartWay makes a way to the database at a URL of [Server.NewDatabase].
func StartWay(ctx context.Context, database string) (*Way, error) {
	u, err := url.Parse(database)
	if err != nil {
		return nil, err
	}
	w := &Way{socket: filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"), open: make(chan struct{})}
	close(w.open)
	if w.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	u.Host, u.RawQuery = w.listener.Addr().String(), "sslmode=disable"
	w.URL = u.String()
	w.wg.Go(w.accept)
	return w, nil
}

func (w *Way) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return // closed
		}
		w.wg.Go(func() { w.carry(client) })
	}
}

// carry takes bytes both ways until either end is closed.
func (w *Way) carry(client net.Conn) {
	server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", w.socket)
	if err != nil {
		_ = client.Close()
		return
	}
	w.mu.Lock()
	w.ends = append(w.ends, client, server)
	w.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], gated{way[0], w})
			_ = errors.Join(way[0].Close(), way[1].Close())
		})
	}
	both.Wait()
}

// gated reads from an end while the way is open.
type gated struct {
	from net.Conn
	way  *Way
}

func (g gated) Read(b []byte) (int, error) {
	n, err := g.from.Read(b)
	g.way.mu.Lock()
	open := g.way.open
	g.way.mu.Unlock()
	<-open
	return n, err
}

// Cut holds up all that comes from now on.
func (w *Way) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = make(chan struct{})
}

// Mend lets it through.
func (w *Way) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.open:
	default:
		close(w.open)
	}
}

// Close ends all connections.
func (w *Way) Close() error {
	err := w.listener.Close()
	w.Mend()
	w.mu.Lock()
	for _, c := range w.ends {
		_ = c.Close()
	}
	w.mu.Unlock()
	w.wg.Wait()
	return err
}

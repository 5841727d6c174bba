package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// proxy stands between the product and Postgres, and holds answers back.
type proxy struct {
	dir, server string
	listener    net.Listener

	mu    sync.Mutex
	times int           // how many times longer an answer takes
	least time.Duration // how long it is held at least
	still time.Time     // until then there is no answer at all
	took  []time.Duration
}

// startProxy listens in a folder of its own, as Postgres does, for the server
// at a socket.
func startProxy(server string) (*proxy, error) {
	dir, err := os.MkdirTemp("", "utskick-proxy-")
	if err != nil {
		return nil, err
	}
	p := &proxy{dir: dir, server: server, times: 1}
	if p.listener, err = new(net.ListenConfig).Listen(context.Background(), "unix", filepath.Join(dir, filepath.Base(server))); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go p.accept()
	return p, nil
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		go p.carry(client)
	}
}

// carry carries one connection until either side ends it.
func (p *proxy) carry(client net.Conn) {
	server, err := new(net.Dialer).DialContext(context.Background(), "unix", p.server)
	if err != nil {
		_ = client.Close()
		return
	}
	both := func() { _, _ = client.Close(), server.Close() }
	var asked clock
	go func() {
		defer both()
		_, _ = io.Copy(server, io.TeeReader(client, &asked)) // until one side leaves
	}()
	defer both()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if since := asked.take(); since > 0 {
			held := p.hold(since)
			time.Sleep(held)
			p.note(since + held)
		}
		if _, failed := client.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// clock remembers when the client last asked, until it was answered.
type clock struct {
	mu sync.Mutex
	at time.Time
}

// Write notes the time.
func (c *clock) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = time.Now()
	return len(b), nil
}

func (c *clock) take() (since time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() {
		since = time.Since(c.at)
	}
	c.at = time.Time{}
	return since
}

// mostHeld bounds how long an answer is held. One that took longer had waited for
// a lock, and whoever is held while it has a lock makes others wait: multiplied,
// such waits would grow without end, which those of a slow database do not.
const mostHeld = 100 * time.Millisecond

// hold is how long an answer is held back that took so long.
func (p *proxy) hold(took time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.least, time.Until(p.still), min(mostHeld, time.Duration(p.times-1)*took))
}

func (p *proxy) note(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, took)
}

// slow makes answers take so many times as long from now on.
func (p *proxy) slow(times int, least time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times, p.least, p.took = times, least, nil
}

// stand lets the server stand still for a while: then all answers come at once.
func (p *proxy) stand(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.still = time.Now().Add(d)
}

// median returns what an answer has taken since slow was called last.
func (p *proxy) median() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return quantile(p.took, 0.5).Round(10 * time.Microsecond)
}

// quantile returns the value below which a part of the others lies.
func quantile(all []time.Duration, part float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

func (p *proxy) close() error { return errors.Join(p.listener.Close(), os.RemoveAll(p.dir)) }

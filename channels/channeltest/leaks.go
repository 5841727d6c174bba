package channeltest

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"utskick/audience"
)

// buffer collects what several goroutines log.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// captureLogs turns the process's logs into a buffer until the test ends.
func captureLogs(t *testing.T) *buffer {
	captured := new(buffer)
	logger, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(captured, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() {
		slog.SetDefault(logger)
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
	return captured
}

// connections counts those that a provider has open.
type connections struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	open sync.WaitGroup
}

// Dial opens a connection that is counted until it is closed.
func (c *connections) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return &connection{Conn: conn, closed: sync.OnceFunc(c.open.Done)}, nil
}

type connection struct {
	net.Conn
	closed func()
}

func (c *connection) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// wantClosed waits for the provider to give its connections up: closing it may
// do that in the background, but does it.
func (c *connections) wantClosed(t *testing.T) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		c.open.Wait()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("Close leaves connections open")
	}
}

// checkSecrets fails the test if text holds a credential, an address, or a part
// of a message.
func (s *suite) checkSecrets(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range s.Secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds a credential of %d characters", where, len(secret))
		}
	}
	for _, channel := range audience.Channels {
		for _, address := range Addresses(channel, 100) {
			if strings.Contains(text, address) || strings.Contains(text, strings.TrimPrefix(address, "+")) {
				t.Errorf("%s holds the address %s", where, address)
				return
			}
		}
	}
	for row := range 100 {
		if strings.Contains(text, Mark(row)) {
			t.Errorf("%s holds a part of message %d", where, row)
			return
		}
	}
}

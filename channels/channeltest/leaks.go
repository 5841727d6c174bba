package channeltest

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
	"sync"
	"testing"

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

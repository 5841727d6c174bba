package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// Require is the name of an environment variable. Set to 1, it turns a missing
// server into a failed test, so that an automatic build never silently tests
// less.
const Require = "UTSKICK_TEST_REQUIRE_SERVERS"

const startLimit = time.Minute

// Postgres returns the URL of an empty database that is dropped when the test
// ends. All tests of a process share one server, started by the first. ok is
// false when no Postgres is installed: the test then goes on with the embedded
// engine alone.
func Postgres(t testing.TB) (url string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	url, err := shared.newDatabase(ctx)
	if !available(t, err) {
		return "", false
	}
	t.Cleanup(func() {
		if err := shared.dropDatabase(url); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	return url, true
}

// Redis returns the URL of an empty server of the test's own, which ends with
// the test. ok is false when no Redis is installed: the test then goes on with
// the embedded one alone.
func Redis(t testing.TB) (url string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	s, err := StartRedis(ctx, Options{})
	if !available(t, err) {
		return "", false
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the test's Redis: %v", err)
		}
	})
	return s.URL, true
}

// available tells a missing server, without which tests go on, from one that
// failed.
func available(t testing.TB, err error) bool {
	t.Helper()
	switch {
	case err == nil:
		return true
	case errors.Is(err, ErrMissing) && os.Getenv(Require) != "1":
		t.Logf("only the embedded engine is tested: %v", err)
	default:
		t.Fatalf("no test server: %v", err)
	}
	return false
}

// Tests runs tests and then stops the server that they share. Without it the
// server ends too, shortly after the process; with it, a check for leaked
// goroutines has nothing to find:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(testserver.Tests{M: m}) }
type Tests struct{ M *testing.M }

// Run returns the exit code of the tests.
func (t Tests) Run() int {
	code := t.M.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the tests' Postgres:", err)
		return max(code, 1)
	}
	return code
}

// Main is a whole TestMain: it runs the tests, stops the server that they
// share, and exits.
func Main(m *testing.M) { os.Exit(Tests{M: m}.Run()) }

// shared is the one Postgres of a test process.
var shared sharedPostgres

type sharedPostgres struct {
	mu     sync.Mutex
	server *Server
	err    error // why there is none; asked once
}

func (p *sharedPostgres) newDatabase(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil && p.err == nil {
		p.server, p.err = StartPostgres(ctx, Options{})
	}
	if p.err != nil {
		return "", p.err
	}
	return p.server.NewDatabase(ctx)
}

func (p *sharedPostgres) dropDatabase(url string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	return p.server.dropDatabase(ctx, url)
}

func (p *sharedPostgres) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil
	}
	return p.server.Close()
}

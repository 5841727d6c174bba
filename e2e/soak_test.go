package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"utskick/internal/testserver"
)

// TestSoak runs the soak for some seconds, with small campaigns and three
// faults; "make soak" runs it for an hour.
func TestSoak(t *testing.T) {
	_, database := testserver.Postgres(t)
	_, broker := testserver.Redis(t)
	if !database || !broker {
		return // not installed here; see testserver
	}
	program := filepath.Join(t.TempDir(), "prove")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "utskick/e2e/prove").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "soak", "-duration", "22s", "-seed", "5", "-people", "2000", "-rate", "300", "-objections", "20",
		"-rest", "1500ms", "-each", "3", "-quiet", "9s", "-faults", "^(kill -9 of (serve|a worker)|FLUSHALL|some connections.*)$").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

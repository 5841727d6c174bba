package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"utskick/internal/testserver"
)

// TestPromises runs the short selection of the fault matrix; "make prove" runs
// all of it.
func TestPromises(t *testing.T) {
	_, database := testserver.Postgres(t)
	_, broker := testserver.Redis(t)
	if !database || !broker {
		return // not installed here; see testserver
	}
	program := filepath.Join(t.TempDir(), "prove")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "utskick/e2e/prove").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "-short").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

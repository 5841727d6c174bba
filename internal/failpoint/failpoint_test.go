package failpoint_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"utskick/internal/failpoint"
)

// TestTheProgramHasNone builds the program as it is shipped and looks for what
// only a build with failpoints has.
func TestTheProgramHasNone(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "utskick")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "utskick/cmd/utskick")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{"UTSKICK_" + "FAILPOINTS", "an injected " + "failure", "vitals: " + "pid", string(failpoint.WishCommitted)} {
		if bytes.Contains(content, []byte(trace)) {
			t.Errorf("the program contains %q", trace)
		}
	}
}

// TestAllListsThemAll compares the list with the constants.
func TestAllListsThemAll(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "failpoint.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []failpoint.Name
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, isConst := n.(*ast.ValueSpec)
		if !isConst || len(spec.Values) != 1 {
			return true
		}
		if lit, isText := spec.Values[0].(*ast.BasicLit); isText {
			name, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, failpoint.Name(name))
		}
		return true
	})
	if !slices.Equal(declared, failpoint.All) {
		t.Errorf("declared: %v\nlisted: %v", declared, failpoint.All)
	}
}

package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/channels"
	"utskick/dispatcher"
	"utskick/tracking"
)

const states = "docs/states.md"

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// constants returns the names and values of a file's constants that keep says
// yes to, by name and type.
func constants(f *ast.File, keep func(name, kind string) bool) (names, values []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != len(spec.Names) {
			return true
		}
		kind := ""
		if id, ok := spec.Type.(*ast.Ident); ok {
			kind = id.Name
		}
		for i, name := range spec.Names {
			if lit, ok := spec.Values[i].(*ast.BasicLit); ok && keep(name.Name, kind) {
				names, values = append(names, name.Name), append(values, unquoted(lit))
			}
		}
		return true
	})
	return names, values
}

func unquoted(lit *ast.BasicLit) string {
	if text, err := strconv.Unquote(lit.Value); err == nil {
		return text
	}
	return lit.Value
}

func TestRunStates(t *testing.T) {
	_, want := constants(parse(t, "dispatcher/campaign.go"), func(_, kind string) bool { return kind == "RunState" })
	text := section(t, states, "## A run")
	if diff := cmp.Diff(want, firstCodes(text)); diff != "" || len(want) == 0 {
		t.Errorf("the states of a run (-code +page):\n%s", diff)
	}
	for _, state := range want {
		if !strings.Contains(blocks(text, "mermaid")[0], state) {
			t.Errorf("the drawing has no %s", state)
		}
	}
}

// firstCodes returns the first code span of each row: what the row is about.
func firstCodes(text string) (all []string) {
	for _, cells := range rows(text) {
		if in := codes(cells[0]); len(in) > 0 {
			all = append(all, in[0])
		}
	}
	return all
}

func TestBatchStates(t *testing.T) {
	names, _ := constants(parse(t, "storage/batches.go"), func(name, _ string) bool { return len(name) > len("batch") && strings.HasPrefix(name, "batch") })
	for i := range names {
		names[i] = strings.ToLower(strings.TrimPrefix(names[i], "batch"))
	}
	if diff := cmp.Diff(names, firstCodes(section(t, states, "## A batch"))); diff != "" || len(names) == 0 {
		t.Errorf("the states of a batch (-code +page):\n%s", diff)
	}
}

func TestCodesAndCauses(t *testing.T) {
	text := section(t, states, "## A member")
	head, _, _ := strings.Cut(text, "\n### ")
	var want []string
	for c := dispatcher.Pending; c.String() != "unknown"; c++ {
		want = append(want, c.String())
	}
	if diff := cmp.Diff(want, firstCodes(head)); diff != "" {
		t.Errorf("codes (-code +page):\n%s", diff)
	}
	for code, causes := range dispatcher.Causes() {
		var want []string
		for _, c := range causes {
			want = append(want, string(c))
		}
		if diff := cmp.Diff(want, firstCodes(section(t, states, "### "+code.String()))); diff != "" {
			t.Errorf("causes of %s (-code +page):\n%s", code, diff)
		}
	}
}

// TestClasses wants every class in both tables. A vendor has no line for
// withheld: it was not asked.
func TestClasses(t *testing.T) {
	var want []string
	for c := channels.Withheld; c.String() != "unknown"; c++ {
		want = append(want, c.String())
	}
	whole := section(t, states, "## Answers of providers")
	general, vendors, _ := strings.Cut(whole, "\n### By vendor\n")
	if diff := cmp.Diff(want, firstCodes(general)); diff != "" {
		t.Errorf("classes (-code +page):\n%s", diff)
	}
	if diff := cmp.Diff(want[1:], slices.Compact(firstCodes(vendors))); diff != "" {
		t.Errorf("classes by vendor (-code +page):\n%s", diff)
	}
}

// TestTwilioCodes wants every error code that is known by name in the table.
func TestTwilioCodes(t *testing.T) {
	page := section(t, states, "### By vendor")
	ast.Inspect(parse(t, "channels/twilio/answers.go"), func(n ast.Node) bool {
		if pair, ok := n.(*ast.KeyValueExpr); ok {
			if code, ok := pair.Key.(*ast.BasicLit); ok && code.Kind == token.INT && !strings.Contains(page, code.Value) {
				t.Errorf("the table has no Twilio code %s", code.Value)
			}
		}
		return true
	})
}

func TestMachines(t *testing.T) {
	_, named := constants(parse(t, "tracking/machine.go"), func(_, kind string) bool { return kind == "Machine" })
	var listed []string
	for _, m := range tracking.Machines {
		listed = append(listed, string(m))
	}
	if diff := cmp.Diff(named, listed); diff != "" || len(named) == 0 {
		t.Errorf("tracking.Machines (-constants +list):\n%s", diff)
	}
	text := section(t, states, "## Opens and clicks")
	if diff := cmp.Diff(listed, firstCodes(text)); diff != "" {
		t.Errorf("why an event is a machine's (-code +page):\n%s", diff)
	}
	_, agents := constants(parse(t, "tracking/machine.go"), func(_, kind string) bool { return kind == "Agent" })
	for _, agent := range agents {
		if !strings.Contains(text, "`"+agent+"`") {
			t.Errorf("the page has no %s", agent)
		}
	}
	for name, words := range map[string]string{"burst": fmt.Sprintf("within %d s", tracking.BurstWithin/time.Second),
		"too soon": fmt.Sprintf("within %d s after", tracking.SoonAfter/time.Second), "requesters": fmt.Sprintf("for **%d days**", tracking.RequesterFor/(24*time.Hour))} {
		if !strings.Contains(text, words) {
			t.Errorf("%s: the page does not say %q", name, words)
		}
	}
}

package docs

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
)

const configuration = "docs/configuration.md"

// program parses the sources of cmd/utskick.
func program(t *testing.T) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "cmd/utskick/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			files = append(files, parse(t, "cmd/utskick/"+filepath.Base(name)))
		}
	}
	return files
}

// variable is what is said of an environment variable.
type variable struct {
	Default string
	File    bool // may be given as NAME_FILE
}

// variables reads which variables config.go asks for, from the calls that do
// it. Those of the channels are put together from UTSKICK_, the channel and an
// end.
func variables(t *testing.T) map[string]variable {
	t.Helper()
	file := parse(t, "cmd/utskick/config.go")
	found, ends := map[string]variable{}, map[string]variable{}
	for _, call := range calls(file) {
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"text", "file", "number", "address", "webAddress", "domainRates"}, selector.Sel.Name) {
			continue
		}
		v := variable{File: selector.Sel.Name != "file"}
		if len(call.Args) > 1 {
			if lit, ok := call.Args[1].(*ast.BasicLit); ok && lit.Value != "0" { // 0 is none
				v.Default = unquoted(lit)
			}
		}
		switch name := call.Args[0].(type) {
		case *ast.BasicLit:
			found[unquoted(name)] = v
		case *ast.Ident: // name
			ends[""] = v
		case *ast.BinaryExpr: // name + "_RATE"
			ends[unquoted(name.Y.(*ast.BasicLit))] = v
		}
	}
	workers := defaultWorkers(file)
	for _, ch := range audience.Channels {
		for end, v := range ends {
			if end == "_WORKERS" {
				v.Default = workers[string(ch)]
			}
			found["UTSKICK_"+strings.ToUpper(string(ch))+end] = v
		}
	}
	return found
}

// defaultWorkers reads the map of that name, by channel.
func defaultWorkers(f *ast.File) map[string]string {
	found := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "defaultWorkers" {
			return true
		}
		for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
			pair := e.(*ast.KeyValueExpr)
			found[strings.ToLower(pair.Key.(*ast.SelectorExpr).Sel.Name)] = pair.Value.(*ast.BasicLit).Value
		}
		return false
	})
	return found
}

func calls(f *ast.File) (all []*ast.CallExpr) {
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			all = append(all, call)
		}
		return true
	})
	return all
}

// documented reads the tables of variables. A default in prose is none.
func documented(t *testing.T) map[string]variable {
	t.Helper()
	found := map[string]variable{}
	for _, cells := range rows(section(t, configuration, "## Variables")) {
		names := codes(cells[0])
		if len(names) != 1 || !strings.Contains(names[0], "_") {
			continue // an option of an address
		}
		v := variable{File: strings.HasSuffix(cells[0], " F")}
		if fallback := codes(cells[1]); len(fallback) > 0 {
			v.Default = fallback[0]
		}
		if _, twice := found[names[0]]; twice {
			t.Errorf("%s stands twice in %s", names[0], configuration)
		}
		found[names[0]] = v
	}
	return found
}

func TestVariables(t *testing.T) {
	want := variables(t)
	if len(want) < 25 {
		t.Fatalf("only %d variables were found in the code", len(want))
	}
	if diff := cmp.Diff(want, documented(t)); diff != "" {
		t.Errorf("environment variables (-code +page):\n%s", diff)
	}
}

var ours = regexp.MustCompile(`\bUTSKICK_[A-Z_]*[A-Z]\b`)

// TestNamedVariablesExist looks for variables that the program or a page names,
// and that nothing reads.
func TestNamedVariablesExist(t *testing.T) {
	known := documented(t)
	for _, other := range []string{"UTSKICK_TEST_REQUIRE_SERVERS", "UTSKICK_TEST_SCREENSHOTS", "UTSKICK_UID", "UTSKICK_GID"} { // of the tests and of Compose
		known[other] = variable{}
	}
	check := func(where, text string) {
		for _, name := range ours.FindAllString(text, -1) {
			_, is := known[name]
			if asFile := known[strings.TrimSuffix(name, "_FILE")].File; !is && !asFile {
				t.Errorf("%s names %s, which is no variable", where, name)
			}
		}
	}
	for _, page := range append(pages(t), "docker-compose.yml") {
		check(page, read(t, page))
	}
	for _, f := range program(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				check("cmd/utskick", unquoted(lit))
			}
			return true
		})
	}
}

// commands reads the command line from the structs that it is declared by: each
// command with its flags.
func commands(t *testing.T) map[string][]string {
	t.Helper()
	structs := map[string]*ast.StructType{}
	for _, f := range program(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	found := map[string][]string{}
	var walk func(path string, s *ast.StructType)
	walk = func(path string, s *ast.StructType) {
		flags, leaf := []string{}, true
		for _, field := range s.Fields.List {
			if field.Tag == nil {
				continue
			}
			tag := reflect.StructTag(unquoted(field.Tag))
			if _, sub := tag.Lookup("cmd"); sub {
				leaf = false
				walk(path+" "+kebab(field.Names[0].Name), structs[field.Type.(*ast.Ident).Name])
				continue
			}
			if _, arg := tag.Lookup("arg"); !arg {
				flags = append(flags, flag(field.Names[0].Name, tag))
			}
		}
		if leaf {
			found[path] = flags
		}
	}
	walk("utskick", structs["commands"])
	return found
}

var capital = regexp.MustCompile(`([a-z])([A-Z])`)

func flag(field string, tag reflect.StructTag) string {
	if name, ok := tag.Lookup("name"); ok {
		return "--" + name
	}
	return "--" + kebab(field)
}

// kebab names a field as the command line does.
func kebab(field string) string { return strings.ToLower(capital.ReplaceAllString(field, "$1-$2")) }

// TestCommands wants a row for every command, with all of its flags, and no
// other row and flag.
func TestCommands(t *testing.T) {
	want := commands(t)
	if len(want) < 20 {
		t.Fatalf("only %d commands were found in the code", len(want))
	}
	got := map[string][]string{}
	for _, usage := range firstCodes(section(t, configuration, "## Commands")) {
		name, flags := usage, []string{}
		if end := regexp.MustCompile(` (\[|-|[A-Z])`).FindStringIndex(usage); end != nil {
			name = usage[:end[0]]
		}
		flags = append(flags, regexp.MustCompile(`--[a-z-]+`).FindAllString(usage, -1)...)
		got[name] = flags
	}
	order := func(all map[string][]string) map[string][]string {
		for _, flags := range all {
			slices.Sort(flags)
		}
		return all
	}
	if diff := cmp.Diff(order(want), order(got)); diff != "" {
		t.Errorf("commands and flags (-code +page):\n%s", diff)
	}
}

// TestCommandsThatPagesName looks at every "utskick word word" of every page.
func TestCommandsThatPagesName(t *testing.T) {
	known := commands(t)
	for _, page := range pages(t) {
		for _, match := range regexp.MustCompile("(?m)(?:^|[`$(] ?)(utskick [a-z]+(?: [a-z-]+)?)").FindAllStringSubmatch(read(t, page), -1) {
			words := strings.Fields(match[1])
			_, whole := known[match[1]]
			_, alone := known[strings.Join(words[:2], " ")]
			if !whole && !alone {
				t.Errorf("%s names %q, which is no command", page, match[1])
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	_, want := constants(parse(t, "cmd/utskick/main.go"), func(name, _ string) bool { return strings.HasPrefix(name, "exit") })
	var got []string
	for _, cells := range rows(section(t, configuration, "## Exit codes")) {
		got = append(got, cells[0])
		if _, err := strconv.Atoi(cells[0]); err != nil {
			t.Errorf("%q is no exit code", cells[0])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exit codes (-code +page):\n%s", diff)
	}
}

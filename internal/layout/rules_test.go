// Package layout holds the tests of the repository's own order: which package
// may import which, where a library may be used, and what no file may say.
package layout

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const module = "utskick"

// order lists the folders of the product. A package may import packages of
// folders before its own and of its own folder, never of another folder of the
// same row or a later one. One direction keeps every package readable without
// those that use it.
var order = [][]string{
	{"internal"}, // knows nothing of the product
	{"audience"},
	{"tracking"},
	{"suppression", "templates"},
	{"channels"},
	{"dispatcher"},
	{"rights"},
	{"storage", "workers", "api"},
	{"examples"}, // the demo brings them along
	{"cmd"},
	{"bench", "e2e"},
}

// harness lists the folders that exercise the product from outside. They may
// use every library, run servers and import the suites.
var harness = []string{"bench", "e2e", testServers}

// testServers starts databases, and is of no use to the product.
const testServers = "internal/testserver"

// homes says where the use of a library, and of all packages below it, has its
// place. Elsewhere its types would tie the product to it.
var homes = []struct {
	place     string
	libraries []string
}{
	{"storage", []string{"database/sql", "github.com/jackc/pgx", "modernc.org/sqlite", "github.com/pressly/goose"}},
	{"workers", []string{
		"github.com/hibiken/asynq", "github.com/hibiken/asynqmon", "github.com/redis/go-redis",
		"github.com/go-redis/redis_rate", "github.com/alicebob/miniredis",
	}},
	{"channels/sendgrid", []string{"github.com/sendgrid"}},
	{"channels/twilio", []string{"github.com/twilio"}},
	{"channels/fcm", []string{"firebase.google.com/go", "google.golang.org/api"}},
	{serving, []string{"net/http/httptest", "net/http/pprof"}},
}

// homeless lists packages below a library that are free to all.
var homeless = []string{
	"database/sql/driver", // how a value stores itself; no database is reached by it
}

// serving is the only folder that serves HTTP. Others hand it an http.Handler.
const serving = "api"

// servingNames are the names of net/http that serve, or that register with the
// server that is shared by a whole process.
var servingNames = []string{"Server", "ListenAndServe", "ListenAndServeTLS", "Serve", "ServeTLS", "Handle", "HandleFunc"}

// file is what the rules need to know of a Go file.
type file struct {
	name    string   // from the root of the repository, with slashes
	imports []string // import paths
	serves  []string // which of servingNames it uses
}

func (f file) dir() string { return path.Dir(f.name) }

// proves reports whether the file is there for tests: their files, their
// suites and the harness. The order of imports binds suites all the same.
func (f file) proves() bool {
	return f.isTest() || isSuite(f.dir()) || slices.ContainsFunc(harness, func(h string) bool { return within(f.dir(), h) })
}

func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// isSuite reports whether a folder is, or is in, a package of helpers for
// tests, such as channels/channeltest.
func isSuite(dir string) bool {
	return slices.ContainsFunc(strings.Split(dir, "/"), func(s string) bool { return strings.HasSuffix(s, "test") })
}

// violations applies every rule to every file.
func violations(files []file) []string {
	var found []string
	for _, f := range files {
		for _, imported := range f.imports {
			if broken := f.breaks(imported); broken != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", f.name, imported, broken))
			}
		}
		if len(f.serves) > 0 && !f.proves() && !within(f.dir(), serving) {
			found = append(found, fmt.Sprintf("%s uses http.%s: only %s serves HTTP; give it an http.Handler",
				f.name, strings.Join(f.serves, ", http."), serving))
		}
		if row(f.dir()) < 0 {
			found = append(found, fmt.Sprintf("%s: %s has no place in the order of imports yet; give it one in internal/layout", f.name, top(f.dir())))
		}
	}
	return found
}

// breaks returns the rule that an import breaks, or nothing.
func (f file) breaks(imported string) string {
	if dir, ours := strings.CutPrefix(imported, module+"/"); ours {
		return f.breaksOrder(dir)
	}
	if f.proves() || slices.Contains(homeless, imported) {
		return ""
	}
	for _, home := range homes {
		for _, library := range home.libraries {
			if within(imported, library) && !within(f.dir(), home.place) {
				return "its place is " + home.place
			}
		}
	}
	return ""
}

// breaksOrder judges an import of one of our own folders. Test files are free
// to look to the right: they may try a package against its real users.
func (f file) breaksOrder(dir string) string {
	if !f.proves() && (isSuite(dir) || within(dir, testServers)) {
		return "it is for tests alone"
	}
	from, to := row(f.dir()), row(dir)
	switch {
	case f.isTest() || from < 0 || to < from || top(f.dir()) == top(dir):
		return ""
	case to == from:
		return fmt.Sprintf("%s and %s stand side by side and do not know each other", top(f.dir()), top(dir))
	default:
		return fmt.Sprintf("%s comes before %s", top(f.dir()), top(dir))
	}
}

// row returns the place of a folder in order, or -1.
func row(dir string) int {
	return slices.IndexFunc(order, func(tops []string) bool { return slices.Contains(tops, top(dir)) })
}

// top returns the first element of a path.
func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// within reports whether a path is another one or below it. Versions below a
// module, such as /v5, are below it.
func within(p, parent string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }

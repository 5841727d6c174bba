package layout

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// repository is the root of the module.
var repository = os.DirFS("../..")

func TestTheRepositoryKeepsItsOrder(t *testing.T) {
	files, err := scan(repository)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file was found; is this the root?")
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

func TestViolationsAreFound(t *testing.T) {
	for _, c := range []struct {
		file string
		imp  string
		want string // empty: allowed
	}{
		{"tracking/token.go", "utskick/audience", ""},
		{"audience/key.go", "utskick/tracking", "audience comes before tracking"},
		{"suppression/gate.go", "utskick/templates", "stand side by side"},
		{"templates/compile.go", "utskick/suppression", "stand side by side"},
		{"channels/channels.go", "utskick/suppression", ""},
		{"channels/smtp/client.go", "utskick/channels", ""},
		{"channels/smtp/client.go", "utskick/dispatcher", "channels comes before dispatcher"},
		{"dispatcher/plan.go", "utskick/channels/smtp", ""},
		{"dispatcher/plan.go", "utskick/storage", "dispatcher comes before storage"},
		{"dispatcher/plan_test.go", "utskick/storage", ""},
		{"workers/worker.go", "utskick/storage", "stand side by side"},
		{"api/pages/page.go", "utskick/api", ""},
		{"rights/case.go", "utskick/api", "rights comes before api"},
		{"storage/cases.go", "utskick/rights", ""},
		{"api/api.go", "utskick/cmd/utskick", "api comes before cmd"},
		{"cmd/utskick/main.go", "utskick/storage", ""},
		{"cmd/utskick/main.go", "utskick/bench", "cmd comes before bench"},
		{"cmd/utskick/demo.go", "utskick/examples", ""},
		{"examples/generate/people.go", "utskick/audience", ""},
		{"api/home.go", "utskick/examples", "api comes before examples"},
		{"internal/clock/clock.go", "utskick/audience", "internal comes before audience"},

		{"storage/storagetest/suite.go", "utskick/storage", ""},
		{"storage/storagetest/suite.go", "utskick/api", "stand side by side"},
		{"storage/storage.go", "utskick/storage/storagetest", "for tests alone"},
		{"storage/storage_test.go", "utskick/storage/storagetest", ""},
		{"cmd/utskick/demo.go", "utskick/channels/channeltest/standin", "for tests alone"},
		{"bench/main.go", "utskick/channels/channeltest/standin", ""},
		{"storage/open.go", "utskick/internal/testserver", "for tests alone"},
		{"e2e/run.go", "utskick/internal/testserver", ""},

		{"storage/pg.go", "database/sql", ""},
		{"storage/pg/copy.go", "github.com/jackc/pgx/v5/stdlib", ""},
		{"api/api.go", "database/sql", "its place is storage"},
		{"audience/key.go", "database/sql/driver", ""},
		{"cmd/utskick/main.go", "github.com/pressly/goose/v3", "its place is storage"},
		{"dispatcher/dispatcher_test.go", "modernc.org/sqlite", ""},
		{"dispatcher/dispatcher.go", "modernc.org/sqlite", "its place is storage"},
		{"internal/testserver/postgres.go", "github.com/jackc/pgx/v5", ""},
		{"workers/bell.go", "github.com/hibiken/asynq", ""},
		{"api/ops.go", "github.com/hibiken/asynqmon", "its place is workers"},
		{"suppression/cache.go", "github.com/redis/go-redis/v9", "its place is workers"},
		{"cmd/utskick/demo.go", "github.com/alicebob/miniredis/v2", "its place is workers"},
		{"channels/sendgrid/send.go", "github.com/sendgrid/rest", ""},
		{"channels/sendgridish/send.go", "github.com/sendgrid/sendgrid-go", "its place is channels/sendgrid"},
		{"api/hooks.go", "github.com/twilio/twilio-go/client", "its place is channels/twilio"},
		{"channels/twilio/push.go", "firebase.google.com/go/v4/messaging", "its place is channels/fcm"},
		{"channels/outbox/view.go", "net/http/httptest", "its place is api"},
		{"channels/sendgrid/send.go", "net/http", ""},

		{"helpers/misc.go", "fmt", "helpers has no place"},
	} {
		got := violations([]file{{name: c.file, imports: []string{c.imp}}})
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s may import %s, but: %v", c.file, c.imp, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
			t.Errorf("%s imports %s: got %q, want %q in it", c.file, c.imp, got, c.want)
		}
	}
}

func TestServingIsFound(t *testing.T) {
	const source = `package p
import web "net/http"
import "net"
var s = &web.Server{}
var c = web.Client{} // a client serves nothing
func f(l net.Listener) error { web.HandleFunc("/", nil); return web.Serve(l, nil) }
`
	tree := fstest.MapFS{
		"api/serve.go":                   {Data: []byte(source)},
		"api/serve_test.go":              {Data: []byte(source)},
		"channels/channeltest/server.go": {Data: []byte(source)},
		"bench/sink.go":                  {Data: []byte(source)},
		"cmd/utskick/main.go":            {Data: []byte(source)},
		"channels/smtp/testdata/bad.go":  {Data: []byte("not Go")},
		"tools/go.mod":                   {Data: []byte("module tools")},
		"tools/deep/main.go":             {Data: []byte(source)},
		"data/left.go":                   {Data: []byte("not Go")},
	}
	files, err := scan(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"cmd/utskick/main.go uses http.Server, http.HandleFunc, http.Serve: only api serves HTTP; give it an http.Handler"}
	if diff := cmp.Diff(want, violations(files)); diff != "" {
		t.Error("violations differ (-want +got):\n" + diff)
	}
}

// privatePath matches the absolute path of somebody's own folder. Whoever
// clones the repository has no such folder.
var privatePath = regexp.MustCompile(`(?:^|[^\w.~)}$-])/(?:work|root|home/[\w.-]+|Users/[\w.-]+)/`)

func TestNoFileNamesAPrivateFolder(t *testing.T) {
	const largest = 1 << 20 // no text of ours comes near it
	err := walk(repository, func(name string, d fs.DirEntry) error {
		info, err := d.Info()
		if err != nil || info.Size() > largest {
			return err
		}
		text, err := fs.ReadFile(repository, name)
		if err != nil || !utf8.Valid(text) {
			return err
		}
		for n, line := range strings.Split(string(text), "\n") {
			if privatePath.MatchString(line) {
				t.Errorf("%s:%d names a folder of one machine", name, n+1)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPrivateFoldersAreRecognised(t *testing.T) {
	for line, want := range map[string]bool{
		"see " + "/work" + "/main":               true,
		`dir := "` + "/root" + `/x"`:             true,
		"cp x:" + "/home" + "/anna/x":            true,
		"https://example.com" + "/work" + "/x":   false,
		"$HOME" + "/work" + "/x":                 false,
		"the work" + "/root" + "/cause relation": false,
		"/workers/ and /rooted/":                 false,
	} {
		if got := privatePath.MatchString(line); got != want {
			t.Errorf("%q: got %v, want %v", line, got, want)
		}
	}
}

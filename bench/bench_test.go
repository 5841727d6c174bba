package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/internal/testserver"
)

// forgetful makes a child's sink count one recipient less than arrived.
const forgetful = "UTSKICK_BENCH_TEST_FORGETFUL"

// TestMain is also the main of the children, which are this program again.
func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		postgresOptions.Durable = false // how fast it is does not matter here
		// Else each child waits a second at its end, under the race detector.
		os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
		os.Exit(m.Run())
	}
	if os.Getenv(forgetful) != "" {
		roles["sink"] = func(_ context.Context, p *parent) error {
			return answer(p, func(name string) (sink, func() int64, error) {
				where, count, err := openSink(name)
				return where, func() int64 { return count() - 1 }, err
			})
		}
	}
	exit(runRole(role))
}

// missing reports whether err only says that Postgres is not installed here.
func missing(t *testing.T, err error) bool {
	t.Helper()
	if !errors.Is(err, testserver.ErrMissing) || os.Getenv(testserver.Require) == "1" {
		return false
	}
	t.Logf("only SQLite is tested: %v", err)
	return true
}

// TestEveryCaseIsMeasured runs the command on few contacts. That as many arrived
// at the sink as the report counts is for the command to find: see
// TestWrongCountsAreErrors.
func TestEveryCaseIsMeasured(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := measureAll(t.Context(), []string{"--contacts=2000", "--runs=1", "--cases=sendgrid,smtp,twilio,fcm", "--engines=" + engine, "--json"}, &out)
			if missing(t, err) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var all []comparison
			if err := json.Unmarshal(out.Bytes(), &all); err != nil {
				t.Fatal(err)
			}
			var rows []string
			for _, c := range all {
				rows = append(rows, c.Case+" "+c.Engine)
				checkComparison(t, c)
			}
			want := []string{"sendgrid " + engine, "smtp " + engine, "twilio " + engine, "fcm " + engine}
			if diff := cmp.Diff(want, rows); diff != "" {
				t.Error("rows differ (-want +got):\n" + diff)
			}
			checkTable(t, all, want)
		})
	}
}

func checkComparison(t *testing.T, c comparison) {
	t.Helper()
	if want := int64(2000 - blockedAmong(2000)); c.Ours.Recipients != want || c.Bare.Recipients != 2000 || len(c.Runs) != 1 {
		t.Errorf("%s: %d of %d recipients, and the bare sender has %d; %d runs", c.Case, c.Ours.Recipients, want, c.Bare.Recipients, len(c.Runs))
	}
	if c.Ours.Rate <= 0 || c.Bare.Rate <= 0 || c.Ratio != c.Ours.Rate/c.Bare.Rate {
		t.Errorf("%s: ours %v/s, bare %v/s, ratio %v", c.Case, c.Ours.Rate, c.Bare.Rate, c.Ratio)
	}
	// The rest is what is said once: greetings, heads of calls, an access token.
	const tolerance = 0.02
	if math.Abs(c.Ours.Bytes/c.Bare.Bytes-1) > tolerance {
		t.Errorf("%s: %.0f bytes a recipient, and the bare sender has %.0f: they do not send the same", c.Case, c.Ours.Bytes, c.Bare.Bytes)
	}
	for _, phase := range phaseNames {
		if !strings.Contains(c.Ours.Phases, phase+" ") {
			t.Errorf("%s: no time of %s in %q", c.Case, phase, c.Ours.Phases)
		}
	}
}

// checkTable wants each row once above the times, and once among them.
func checkTable(t *testing.T, all []comparison, rows []string) {
	t.Helper()
	var table bytes.Buffer
	if err := printTable(&table, all); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for line := range strings.Lines(table.String()) {
		if words := strings.Fields(line); len(words) > 1 {
			found[strings.Trim(words[0], ",")+" "+strings.Trim(words[1], ":")]++
		}
	}
	for _, row := range rows {
		if found[row] != 2 {
			t.Errorf("%s is there %d times:\n%s", row, found[row], &table)
		}
	}
}

func TestWrongCountsAreErrors(t *testing.T) {
	const contacts = 100
	e, err := startEngine(t.Context(), "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
	if err := e.load(t.Context(), contacts, func(int) {}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, forgets string
		contacts      int
		measure       func(options, context.Context, benchCase) error
		want          string // empty: no error
	}{
		{"all is right", "", contacts, ours(e), ""},
		{"one contact is missing", "", contacts + 1, ours(e), "the report counts 98 sent and 2 suppressed of 101"},
		{"the sink misses one of ours", "1", contacts, ours(e), "98 were sent to, and 97 arrived"},
		{"the sink misses one of the bare sender's", "1", contacts, bare, "100 were sent to, and 99 arrived"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(forgetful, c.forgets)
			found, err := findCases("twilio")
			if err != nil {
				t.Fatal(err)
			}
			err = c.measure(options{contacts: c.contacts}, t.Context(), found[0])
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
}

func ours(e engine) func(options, context.Context, benchCase) error {
	return func(o options, ctx context.Context, c benchCase) error {
		_, err := o.measureOurs(ctx, e, c)
		return err
	}
}

func bare(o options, ctx context.Context, c benchCase) error {
	_, err := o.measureBare(ctx, c)
	return err
}

// TestAChildsErrorIsOurs: a child that fails ends the command.
func TestAChildsErrorIsOurs(t *testing.T) {
	var sent bareSent
	err := run(t.Context(), "bare", bareJob{Case: "pigeon"}, &sent)
	if err == nil || !strings.Contains(err.Error(), "the bare has ended without an answer") || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("the error is %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--cases=smtp,pigeon", `--cases: there is no "pigeon"`},
		{"--contacts=0", "--contacts and --runs are 1 or more"},
		{"--runs=0", "--contacts and --runs are 1 or more"},
		{"sqlite", "there are no arguments"},
		{"--engines=paper", `--engines: there is no "paper"`},
	} {
		var out bytes.Buffer
		err := measureAll(t.Context(), []string{c.args}, &out)
		if err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%s: the error is %v, want %q; printed %q", c.args, err, c.want, &out)
		}
	}
}

// TestACopyIsHandedOutAtRest begins a vacuum that takes a second, and wants none
// of it in the measurement.
func TestACopyIsHandedOutAtRest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	started, err := startEngine(ctx, "postgres")
	if missing(t, err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	e := started.(*postgresEngine)
	t.Cleanup(func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
	for _, statement := range []string{
		`alter system set autovacuum_naptime = '1s'`,
		`create table rows (text text) with (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 400)`,
		`insert into rows select repeat('x', 1000) from generate_series(1, 3000)`,
		`select pg_reload_conf()`,
	} {
		if _, err := e.admin.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	vacuums := func() (n int) {
		const query = `select count(*) from pg_stat_activity where backend_type = 'autovacuum worker' and query like '%rows%'`
		if err := e.admin.QueryRow(ctx, query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for vacuums() == 0 { // until ctx ends
	}
	_, drop, err := e.fresh(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n := vacuums(); n > 0 {
		t.Errorf("%d vacuums go on", n)
	}
	if err := drop(); err != nil {
		t.Error(err)
	}
}

func TestEncodingsAreThoseOfTheLibrary(t *testing.T) {
	for _, text := range []string{"", "Hej", "Åsa & Bo <a@example.com>", "\"\\\n\r\t\x00\x1f", "a+b ~-_.%", "😀"} {
		var got string
		if err := json.Unmarshal(appendJSON(nil, text), &got); err != nil || got != text {
			t.Errorf("JSON: %q reads as %q, %v", text, got, err)
		}
		if got, want := string(escapeForm(nil, text)), url.QueryEscape(text); got != want {
			t.Errorf("form: got %q, want %q", got, want)
		}
	}
}

// TestDotsAreDoubled holds the stuffing against a reader of mail (RFC 5321,
// 4.5.2).
func TestDotsAreDoubled(t *testing.T) {
	for _, lines := range []string{"a\r\nb\r\n", "a\r\n.\r\n", "a\r\n..b\r\n.c\r\n.\r\n", "a.\r\n.b."} {
		var read []string
		stuffed := bufio.NewScanner(bytes.NewReader(appendStuffed(nil, []byte(lines))))
		for stuffed.Scan() {
			if line := stuffed.Text(); line == "." {
				t.Errorf("%q ends early", lines)
			} else {
				read = append(read, strings.TrimPrefix(line, "."))
			}
		}
		if diff := cmp.Diff(strings.Split(strings.TrimSuffix(lines, "\r\n"), "\r\n"), read); diff != "" {
			t.Errorf("%q reads as (-want +got):\n%s", lines, diff)
		}
	}
}

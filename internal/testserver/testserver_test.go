package testserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// childVariable makes this test's binary a process that starts the server it
// names, prints its URL, and waits to be killed.
const childVariable = "TESTSERVER_CHILD"

func TestMain(m *testing.M) {
	if kind := os.Getenv(childVariable); kind != "" {
		beChild(kind)
	}
	goleak.VerifyTestMain(Tests{M: m})
}

func beChild(kind string) {
	s, err := starters[kind](context.Background(), Options{})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println(s.URL)
	select {}
}

var starters = map[string]func(context.Context, Options) (*Server, error){
	"postgres": StartPostgres,
	"redis":    StartRedis,
}

// start returns a server, or false where its program is missing.
func start(t *testing.T, kind string, o Options) (*Server, bool) {
	t.Helper()
	s, err := starters[kind](t.Context(), o)
	if !available(t, err) {
		return nil, false
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the directory of a closed server is still there: %v", err)
		}
	})
	return s, true
}

func TestPostgresGivesEachCallADatabaseOfItsOwn(t *testing.T) {
	first, ok := Postgres(t)
	if !ok {
		return
	}
	second, _ := Postgres(t)
	for _, database := range []string{first, second} {
		mustExec(t, database, "CREATE TABLE things (id bigint)") // fails where it exists already
		if got := query[bool](t, database, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"); got {
			t.Error("a test is superuser; the product must not need to be")
		}
	}
}

func TestPostgresDropsTheDatabaseOfAFinishedTest(t *testing.T) {
	var database string
	t.Run("user", func(inner *testing.T) {
		if url, ok := Postgres(inner); ok {
			database = url
			conn := connect(inner, url) // still open at the drop
			t.Cleanup(func() { _ = conn.Close(context.Background()) })
		}
	})
	if database == "" {
		return
	}
	if conn, err := pgx.Connect(t.Context(), database); err == nil {
		t.Error("the database outlived its test", conn.Close(t.Context()))
	}
}

func TestPostgresKeepsWhatWasCommittedOverStopAndKill(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			s, ok := start(t, "postgres", Options{Durable: durable, Settings: []string{"work_mem=5MB"}})
			if !ok {
				return
			}
			database, err := s.NewDatabase(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			mustExec(t, database, "CREATE TABLE things (id bigint)")
			for i, end := range []func() error{s.Kill, s.Stop} {
				mustExec(t, database, "INSERT INTO things VALUES (1)")
				if err := end(); err != nil {
					t.Fatal(err)
				}
				if _, err := pgx.Connect(t.Context(), database); err == nil {
					t.Fatal("an ended server takes connections")
				}
				if err := s.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got, want := query[int](t, database, "SELECT count(*) FROM things"), i+1; got != want {
					t.Errorf("%d rows after end %d, want %d", got, i, want)
				}
			}
			wantFsync := map[bool]string{true: "on", false: "off"}[durable]
			if got := query[string](t, database, "SHOW fsync"); got != wantFsync {
				t.Errorf("fsync is %s, want %s", got, wantFsync)
			}
			if got := query[string](t, database, "SHOW work_mem"); got != "5MB" {
				t.Errorf("work_mem is %s, want the 5MB that was set", got)
			}
		})
	}
}

func TestRedisIsEmptyForEachTest(t *testing.T) {
	for range 2 {
		url, ok := Redis(t)
		if !ok {
			return
		}
		client := redisClient(t, url)
		if set, err := client.SetNX(t.Context(), "seen", 1, 0).Result(); err != nil || !set {
			t.Errorf("set %v, error %v, in a server that should be empty", set, err)
		}
	}
}

func TestRedisForgetsUnlessItIsDurable(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			s, ok := start(t, "redis", Options{Durable: durable, Settings: []string{"maxmemory-policy=noeviction"}})
			if !ok {
				return
			}
			if err := redisClient(t, s.URL).Set(t.Context(), "kept", 1, 0).Err(); err != nil {
				t.Fatal(err)
			}
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal("a running server was not restarted:", err)
			}
			n, err := redisClient(t, s.URL).Exists(t.Context(), "kept").Result()
			if kept := n == 1; err != nil || kept != durable {
				t.Errorf("kept is %v after a crash, error %v", kept, err)
			}
		})
	}
}

func TestServersEndWithAKilledProcess(t *testing.T) {
	for kind := range starters {
		t.Run(kind, func(t *testing.T) {
			s, ok := start(t, kind, Options{}) // to know whether the program is there
			if !ok {
				return
			}
			_ = s.Stop()
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), childVariable+"="+kind)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			conn := dial(t, strings.TrimSpace(line))
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait() // it says that it was killed
			waitForEnd(t, conn)
		})
	}
}

// dial opens a bare connection to a server, which ends when the server does.
func dial(t *testing.T, serverURL string) net.Conn {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatalf("the child printed %q", serverURL)
	}
	network, address := "tcp", u.Host
	if sockets := u.Query().Get("host"); sockets != "" {
		network, address = "unix", filepath.Join(sockets, ".s.PGSQL.5432")
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func waitForEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server outlives the process that started it")
	}
}

// recorder is a testing.TB that keeps what a failing test would say.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Helper()                      {}
func (r *recorder) Logf(string, ...any)          {}
func (r *recorder) Fatalf(f string, args ...any) { r.fatal = fmt.Sprintf(f, args...) }

func TestAMissingServerFailsOnlyWhereServersAreRequired(t *testing.T) {
	empty := t.TempDir()
	t.Setenv("PATH", empty)
	_, errPostgres := postgresPrograms([]string{filepath.Join(empty, "*", "bin")})
	_, errRedis := StartRedis(t.Context(), Options{})
	for name, err := range map[string]error{"postgres": errPostgres, "redis": errRedis} {
		if !errors.Is(err, ErrMissing) {
			t.Errorf("%s: error %v, want ErrMissing", name, err)
		}
		for _, required := range []string{"", "1"} {
			t.Setenv(Require, required)
			r := &recorder{TB: t}
			if available(r, err) {
				t.Errorf("%s is said to be available", name)
			}
			if failed := r.fatal != ""; failed != (required == "1") {
				t.Errorf("%s, %s=%q: failed %v, said %q", name, Require, required, failed, r.fatal)
			}
		}
	}
}

func TestTheNewestPostgresIsTaken(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	for _, version := range []string{"15", "17", "16"} {
		bin := filepath.Join(dir, version, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, "initdb"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got, err := postgresPrograms([]string{filepath.Join(dir, "*", "bin")})
	if want := filepath.Join(dir, "17", "bin"); err != nil || got != want {
		t.Errorf("found %q, error %v, want %q", got, err, want)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	for kind, want := range map[string]string{"postgres": "no_such_setting", "redis": "no_such_setting"} {
		s, err := starters[kind](t.Context(), Options{Settings: []string{"no_such_setting=1"}})
		if errors.Is(err, ErrMissing) {
			continue
		}
		if err == nil {
			t.Fatal("a server started with a setting that there is not", s.Close())
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error does not say why: %v", kind, err)
		}
	}
}

func TestOnlyADirectoryOpenAllTheWayIsOpen(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "closed", "open")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(inner), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/": true, inner: false, filepath.Join(dir, "absent"): false} {
		if got := openToAll(path); got != want {
			t.Errorf("openToAll(%s) = %v, want %v", path, got, want)
		}
	}
}

func connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func mustExec(t *testing.T, database, statement string) {
	t.Helper()
	conn := connect(t, database)
	_, err := conn.Exec(t.Context(), statement)
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func query[T any](t *testing.T, database, statement string) (value T) {
	t.Helper()
	conn := connect(t, database)
	err := conn.QueryRow(t.Context(), statement).Scan(&value)
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	return value
}

func redisClient(t *testing.T, serverURL string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

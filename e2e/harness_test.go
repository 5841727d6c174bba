// Package e2e runs the real program, as processes, and looks at it from
// outside: at what it prints, serves and hands over.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"utskick/dispatcher"
)

// binary is the program, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "utskick-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "utskick")
		build := exec.Command("go", "build", "-o", binary, "utskick/cmd/utskick")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the program:", err)
			return 1
		}
		return m.Run()
	}())
}

// patience is how long a test waits for what must happen.
const patience = 90 * time.Second

// world is what one or more processes share: a data directory and settings.
type world struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newWorld(t *testing.T, env map[string]string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), env: map[string]string{
		"UTSKICK_LISTEN": "127.0.0.1:0", "UTSKICK_PUBLIC_LISTEN": "127.0.0.1:0",
		"UTSKICK_PUBLIC_URL": "https://utskick.exempelbolaget.test", "PATH": os.Getenv("PATH"), "HOME": t.TempDir(),
	}}
	w.env["UTSKICK_DATA_DIR"] = w.dir
	for k, v := range env {
		w.env[k] = v
	}
	return w
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	for k, v := range w.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// run runs a command to its end and returns what it printed and its exit code.
func (w *world) run(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := w.command(ctx, args...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("utskick %v: %v", args, err)
	}
	return out.String(), log.String(), cmd.ProcessState.ExitCode()
}

// must runs a command that has to succeed, and returns what it printed.
func (w *world) must(args ...string) string {
	w.t.Helper()
	out, log, code := w.run(args...)
	if code != 0 {
		w.t.Fatalf("utskick %v: exit %d\n%s", args, code, log)
	}
	return out
}

// file writes a file into the world's temporary place.
func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) report(campaign string) dispatcher.Report {
	w.t.Helper()
	var r dispatcher.Report
	decode(w.t, w.must("campaigns", "report", campaign, "--json"), &r)
	if err := r.Reconcile(); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %.500s", err, text)
	}
}

// process is one that runs on.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	log lines

	operator, public string // addresses, once it serves
}

// start starts a process and kills it when the test ends.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	p := &process{t: w.t, cmd: w.command(context.WithoutCancel(w.t.Context()), args...)}
	p.cmd.Stderr = &p.log
	p.cmd.Stdout = io.Discard
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		p.kill()
		if w.t.Failed() {
			w.t.Logf("utskick %v said:\n%s", args, p.log.tail())
		}
	})
	return p
}

var serving = regexp.MustCompile(`msg=serving operator=(\S+) public=(\S+)`)

// serve starts a process and waits until it serves.
func (w *world) serve(args ...string) *process {
	w.t.Helper()
	p := w.start(args...)
	at := p.log.wait(w.t, serving)
	p.operator, p.public = "http://"+at[1], "http://"+at[2]
	return p
}

// kill ends the process at once, as a power cut would.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// stop asks the process to end.
func (p *process) stop() { p.end(syscall.SIGTERM) }

func (p *process) end(sig syscall.Signal) {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(sig)
	_ = p.cmd.Wait()
}

// lines keeps what a process logs and lets others wait for a line.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	news []chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.news {
		close(c)
	}
	l.news = nil
	return l.text.Write(b)
}

func (l *lines) wait(t *testing.T, pattern *regexp.Regexp) []string {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		match := pattern.FindStringSubmatch(l.text.String())
		news := make(chan struct{})
		l.news = append(l.news, news)
		l.mu.Unlock()
		if match != nil {
			return match
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("never logged: %s\n%s", pattern, l.tail())
		}
	}
}

func (l *lines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := bufio.NewScanner(bytes.NewReader(l.text.Bytes()))
	var all []string
	for s.Scan() {
		all = append(all, s.Text())
	}
	return strings.Join(all[max(0, len(all)-40):], "\n")
}

// until asks again and again until ok says so.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened: %s", what)
		}
		<-tick.C
	}
}

// key makes an API key.
func (w *world) key() string {
	w.t.Helper()
	var made struct{ Key string }
	decode(w.t, w.must("keys", "create", "--name", "test", "--scope", "admin", "--json"), &made)
	return made.Key
}

// client asks without following redirects.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: patience}

// browser is what a person's program says of itself.
const browser = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"

// ask makes a request, as a browser does, and returns its answer with the body read.
func ask(t *testing.T, method, url, key, contentType, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("User-Agent", browser)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(content)
}

func get(t *testing.T, url string) (*http.Response, string) {
	return ask(t, http.MethodGet, url, "", "", "")
}

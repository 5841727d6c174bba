// Package testserver starts private Postgres and Redis servers for tests,
// benchmarks and end-to-end runs, from the programs that are installed. Each
// server has a directory of its own and is reachable from this machine alone.
//
// Tests call [Postgres] and [Redis]; what needs to stop, crash and restart a
// server calls [StartPostgres] and [StartRedis]. It runs on Unix.
package testserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrMissing is what a start returns when the server's program is not
// installed here.
var ErrMissing = errors.New("not installed")

// Options say how a server is started. The zero value is right for most tests.
type Options struct {
	// Durable flushes every commit to the disk, as in production. Without it a
	// Postgres still survives [Server.Kill] with all that it has committed,
	// since the kernel has what was written; it would not survive a power cut.
	// A Redis that is not durable keeps nothing when it ends.
	Durable bool
	// Settings are further settings of the server, as name=value.
	Settings []string
	// Env are further variables of the server's environment, as name=value.
	Env []string
}

// Server is a running server and its directory. Its methods are for one
// goroutine at a time.
type Server struct {
	// URL is where clients find it. It stays the same after Restart. Of a
	// Postgres it is the superuser's and leads to no application's data: see
	// [Server.NewDatabase].
	URL string

	dir       string
	program   program
	janitor   *janitor
	process   *os.Process
	exited    chan struct{} // closed when the process and its children are gone
	databases int
}

// program is how to run one kind of server.
type program struct {
	path       string
	args       []string
	env        []string
	account    *syscall.Credential // nil: ours
	ready      string              // it logs this when it takes connections
	stop, kill syscall.Signal
}

const (
	pidFile   = "pid"
	stopLimit = 30 * time.Second
)

// launch makes a server of dir. It owns dir from then on, whatever it returns.
func launch(ctx context.Context, url, dir string, p program) (*Server, error) {
	j, err := hireJanitor(dir, p.kill)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{URL: url, dir: dir, program: p, janitor: j}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// start runs the program and waits until it takes connections.
func (s *Server) start(ctx context.Context) error {
	log := newLog(s.program.ready)
	cmd := &exec.Cmd{
		Path:   s.program.path,
		Args:   append([]string{s.program.path}, s.program.args...),
		Env:    append(environment(), s.program.env...),
		Dir:    s.dir,
		Stdout: log,
		Stderr: log,
		// A process group of its own: what interrupts the tests ends the
		// server by way of the janitor.
		SysProcAttr: &syscall.SysProcAttr{Credential: s.program.account, Setpgid: true},
		WaitDelay:   stopLimit,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", s.program.path, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(exited)
	}()
	s.process, s.exited = cmd.Process, exited
	if err := os.WriteFile(filepath.Join(s.dir, pidFile), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		return err
	}
	select {
	case <-log.isReady:
		return nil
	case <-exited:
		return fmt.Errorf("%s ended before it took connections; it said:\n%s", s.program.path, log)
	case <-ctx.Done():
		return fmt.Errorf("%s does not take connections yet: %w; it said:\n%s", s.program.path, context.Cause(ctx), log)
	}
}

// PID is the number of the running server's process.
func (s *Server) PID() int { return s.process.Pid }

// RunAs makes a command run as whoever the server runs as.
func (s *Server) RunAs(cmd *exec.Cmd) {
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: s.program.account}
}

// Stop ends the server as its operator would, and keeps its data.
func (s *Server) Stop() error { return s.end(s.program.stop) }

// Kill crashes the server. Postgres gets its immediate shutdown: every backend
// ends in the middle of what it does, nothing is written any more, and the
// next start recovers from the log. Redis gets SIGKILL.
func (s *Server) Kill() error { return s.end(s.program.kill) }

// Restart starts the server again on the same URL, with the data that it had.
// One that still runs is stopped first.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.start(ctx)
}

// Close stops the server and removes its directory.
func (s *Server) Close() error {
	return errors.Join(s.Stop(), s.janitor.dismiss())
}

// end signals the process and waits until it and all that it started are gone.
func (s *Server) end(sig syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending %s: %w", s.program.path, err)
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-s.exited:
	case <-limit.C:
		_ = s.process.Kill()
		<-s.exited
		return fmt.Errorf("%s was killed: it had not ended %v after signal %v", s.program.path, stopLimit, sig)
	}
	s.process = nil
	return os.Remove(filepath.Join(s.dir, pidFile))
}

// environment is the same for every server: what the tests' environment says
// about languages and databases is not for it.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
}

// janitor is a process that outlives ours, however ours ends: when the pipe to
// it closes, it ends the server and removes the directory.
type janitor struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

// janitorScript gets the directory and the number of a signal. Removing is
// tried again because the server may still be writing its last files.
const janitorScript = `read -r nothing
kill "-$2" "$(cat "$1/` + pidFile + `")"
for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && exit; sleep 0.2; done
exit 1`

func hireJanitor(dir string, sig syscall.Signal) (*janitor, error) {
	cmd := &exec.Cmd{
		Path:        "/bin/sh",
		Args:        []string{"sh", "-c", janitorScript, "janitor", dir, strconv.Itoa(int(sig))},
		Dir:         "/",
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the process that ends the server after us: %w", err)
	}
	return &janitor{cmd: cmd, pipe: pipe}, nil
}

func (j *janitor) dismiss() error {
	_ = j.pipe.Close()
	if err := j.cmd.Wait(); err != nil {
		return fmt.Errorf("removing the server's directory: %w", err)
	}
	return nil
}

// serverLog keeps the end of what a server says, and reports when it has said
// that it is ready.
type serverLog struct {
	ready   []byte
	isReady chan struct{}
	once    sync.Once

	mu   sync.Mutex
	tail []byte
}

const tailSize = 4 << 10

func newLog(ready string) *serverLog {
	return &serverLog{ready: []byte(ready), isReady: make(chan struct{})}
}

func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if bytes.Contains(l.tail, l.ready) {
		l.once.Do(func() { close(l.isReady) })
	}
	if over := len(l.tail) - tailSize; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
	return len(p), nil
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.tail)
}

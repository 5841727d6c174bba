package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a process of the product that is started again whenever it dies,
// as a service manager would.
type process struct {
	name  string
	start func(arm string) (*exec.Cmd, error)
	// arms are the failpoints of the first process, of the one after it, and so
	// on; later ones have none.
	arms []string

	mu       sync.Mutex
	cmd      *exec.Cmd
	started  time.Time
	deaths   int
	stopping bool
	done     chan struct{}
}

// run starts the process and keeps it running.
func (p *process) run() error {
	p.done = make(chan struct{})
	cmd, err := p.next()
	if err != nil {
		return err
	}
	go func() {
		defer close(p.done)
		for cmd != nil {
			_ = cmd.Wait() // how it ended is in its log
			if cmd, err = p.next(); err != nil {
				fmt.Fprintln(os.Stderr, "prove:", p.name, "cannot be started again:", err)
				return
			}
		}
	}()
	return nil
}

// next starts the next process, or returns nil when there is to be none.
func (p *process) next() (*exec.Cmd, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		p.deaths++
	}
	if p.stopping {
		return nil, nil
	}
	arm := ""
	if p.deaths < len(p.arms) {
		arm = p.arms[p.deaths]
	}
	cmd, err := p.start(arm)
	p.cmd, p.started = cmd, time.Now()
	return cmd, err
}

// armNext gives the next process a failpoint.
func (p *process) armNext(arm string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.arms) <= p.deaths+1 {
		p.arms = append(p.arms, "")
	}
	p.arms[p.deaths+1] = arm
}

// died returns how often it has died so far.
func (p *process) died() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deaths
}

func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Signal(s)
}

// pid returns its number, and whether it was only just started.
func (p *process) pid() (pid int, young bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid, time.Since(p.started) < 2*time.Second
}

// frozen reports whether it is stopped: the third field of stat is T (proc(5)).
func (p *process) frozen() bool {
	pid, _ := p.pid()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, after, found := strings.Cut(string(stat), ") ")
	return err == nil && found && strings.HasPrefix(after, "T")
}

// end stops it for good, first politely.
func (p *process) end() {
	p.mu.Lock()
	p.stopping = true
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.mu.Unlock()
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// command makes a command of the product that dies with this process.
func command(ctx context.Context, binary string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = env
	// A group of its own: what interrupts us is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

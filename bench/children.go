package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Each measurement runs in a process of its own, which is this program again:
// its memory and its processor time are then that of the one task. A child is
// told what to do by a line of JSON on its standard input, and ends when that is
// closed, so that none outlives the parent.

// roleVariable says that the process is a child, and which.
const roleVariable = "UTSKICK_BENCH_ROLE"

// roles are the children.
var roles = map[string]func(context.Context, *parent) error{
	"sink":   serveSink,
	"bare":   sendBare,
	"worker": work,
}

// runRole is the main of a child.
func runRole(name string) error {
	role, ok := roles[name]
	if !ok {
		return fmt.Errorf("%s: there is no role %q", roleVariable, name)
	}
	return role(context.Background(), &parent{in: bufio.NewScanner(os.Stdin), out: json.NewEncoder(os.Stdout)})
}

// parent is what a child sees of its parent.
type parent struct {
	in  *bufio.Scanner
	out *json.Encoder
}

// next reads the next line into v. The parent's leaving is io.EOF.
func (p *parent) next(v any) error {
	if !p.in.Scan() {
		return io.EOF
	}
	return json.Unmarshal(p.in.Bytes(), v)
}

func (p *parent) tell(v any) error { return p.out.Encode(v) }

// dieWith ends the process when the parent leaves. It is for children that do
// not read on.
func (p *parent) dieWith() {
	go func() {
		for p.in.Scan() {
		}
		os.Exit(0) // whoever would ask is gone, or has its answer
	}()
}

// child is what the parent sees of a child.
type child struct {
	role string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
}

// start starts a child. It is killed when ctx ends.
func start(ctx context.Context, role string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 5 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", role, err)
	}
	return &child{role: role, cmd: cmd, in: in, out: json.NewDecoder(out)}, nil
}

// ask sends a question and reads the answer.
func (c *child) ask(question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("the %s has ended: %w", c.role, err)
	}
	if err := c.out.Decode(answer); err != nil {
		return fmt.Errorf("the %s has ended without an answer: %w", c.role, err)
	}
	return nil
}

// end lets the child end, and waits for it.
func (c *child) end() error {
	err := errors.Join(c.in.Close(), c.cmd.Wait())
	if err != nil {
		return fmt.Errorf("the %s: %w", c.role, err)
	}
	return nil
}

// run starts a child for one question.
func run(ctx context.Context, role string, question, answer any) error {
	c, err := start(ctx, role)
	if err != nil {
		return err
	}
	return errors.Join(c.ask(question, answer), c.end())
}

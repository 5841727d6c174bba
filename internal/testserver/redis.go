package testserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// StartRedis starts an empty server on a free port of the loopback address.
// Without an installed Redis the error is [ErrMissing].
func StartRedis(ctx context.Context, o Options) (*Server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redis-server: %w: not in PATH", ErrMissing)
	}
	var failed error
	for range 3 { // somebody else may take the free port before Redis does
		s, err := startRedis(ctx, path, o)
		if err == nil {
			return s, nil
		}
		failed = err
	}
	return nil, failed
}

func startRedis(ctx context.Context, path string, o Options) (*Server, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "utskick-")
	if err != nil {
		return nil, err
	}
	return launch(ctx, fmt.Sprintf("redis://127.0.0.1:%d/0", port), dir, program{
		path:  path,
		args:  redisArgs(port, dir, o),
		ready: "Ready to accept connections",
		stop:  syscall.SIGTERM,
		kill:  syscall.SIGKILL,
	})
}

func redisArgs(port int, dir string, o Options) []string {
	args := []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", ""}
	if o.Durable {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	} else {
		args = append(args, "--appendonly", "no")
	}
	for _, setting := range o.Settings {
		name, value, _ := strings.Cut(setting, "=")
		args = append(args, "--"+name, value)
	}
	return args
}

// freePort returns a port that nobody listened on a moment ago.
func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(fmt.Errorf("a TCP listener has the address %v", l.Addr()), l.Close())
	}
	return addr.Port, l.Close()
}

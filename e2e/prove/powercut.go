package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// disk knows what a power cut would leave of a data directory. strace(1) tells it
// of every write and every fsync of all processes that use the directory; what
// was written since the last fsync of a file, or of its folder for its name, is
// lost in a cut.
//
// The index of the embedded database's log is left out: it is memory that is
// shared through a file, and is made anew.
type disk struct {
	dir    string
	strace string
	logs   []string          // of all processes since before
	before map[string][]byte // the files
	cut    *cut              // the power is to fail
	met    int               // how many writes the last cut met that were not synced
	notes  []string
}

// cut is a power cut.
type cut struct {
	pid   int // of the process that it kills
	stays func(*change) bool
	done  chan error
}

const sharedMemory = "-shm"

// watchDisk has all programs watched that are started from now on. None may run.
func (s *stage) watchDisk() error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return errSkipped{"there is no strace to see what is synced"}
	}
	if out, err := exec.CommandContext(s.ctx, strace, "-f", "--seccomp-bpf", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		return errSkipped{fmt.Sprintf("strace may not trace here: %s", bytes.TrimSpace(out))}
	}
	dir, err := filepath.Abs(s.env["UTSKICK_DATA_DIR"])
	if err == nil {
		s.disk = &disk{dir: dir, strace: strace}
		s.disk.before, err = s.disk.read()
	}
	return err
}

// read reads all files as they are.
func (d *disk) read() (map[string][]byte, error) {
	files := map[string][]byte{}
	return files, filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasSuffix(path, sharedMemory) {
			return err
		}
		files[path], err = os.ReadFile(path)
		return err
	})
}

// slowSync is how much longer an fsync takes, as on a slow disk: most cuts then
// fall into one.
const slowSync = 20 * time.Millisecond

var traced = []string{"open", "openat", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "truncate", "fallocate",
	"copy_file_range", "sendfile", "link", "linkat", "fsync", "fdatasync", "unlink", "unlinkat", "rename", "renameat", "renameat2"}

// command makes a command of the product, watched if there is a disk. With beside
// strace is no parent of the program, which has the pid of what is started.
func (s *stage) command(ctx context.Context, beside bool, env []string, args ...string) *exec.Cmd {
	if s.disk == nil {
		return command(ctx, s.binary, env, args...)
	}
	d := s.disk
	log := s.file(fmt.Sprintf("trace-%d", len(d.logs)))
	d.logs = append(d.logs, log)
	all := []string{"-f", "--seccomp-bpf", "-qq", "-y", "-ttt", "-xx", "-s", "8000000", "-o", log,
		"-e", "trace=" + strings.Join(traced, ","), "-e", fmt.Sprintf("inject=fsync,fdatasync:delay_enter=%d", slowSync.Microseconds())}
	if beside {
		all = append(all, "-D")
	}
	return command(ctx, d.strace, env, append(append(all, s.binary), args...)...)
}

// cutPower kills serve, and starts it again on what a power cut would have left.
func (s *stage) cutPower(stays func(*change) bool) error {
	pid, _ := s.serve.pid()
	c := &cut{pid: pid, stays: stays, done: make(chan error, 1)}
	s.disk.cut = c
	if err := s.serve.signal(syscall.SIGKILL); err != nil {
		return err
	}
	s.faults++
	select {
	case err := <-c.done:
		return err
	case <-time.After(limit):
		return errors.New("serve was not started again")
	}
}

// powerIsBack is called before serve is started again.
func (s *stage) powerIsBack() error {
	if s.disk == nil || s.disk.cut == nil {
		return nil
	}
	c := s.disk.cut
	s.disk.cut = nil
	err := s.eventually("strace ends", func() bool { return s.disk.ended(c.pid) })
	if err == nil {
		err = s.disk.fail(c.stays)
	}
	c.done <- err
	return err
}

// ended reports whether the end of a killed process is in its log, as its last
// line.
func (d *disk) ended(pid int) bool {
	for _, log := range d.logs {
		if text, err := lastOf(log, 200); err == nil && bytes.HasPrefix(text[bytes.LastIndexByte(text, '\n')+1:], fmt.Appendf(nil, "%d ", pid)) {
			return bytes.HasSuffix(text, []byte("+++ killed by SIGKILL +++"))
		}
	}
	return false
}

// lastOf returns the end of a file, at most so long, without its last line break.
func lastOf(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
	return bytes.TrimSuffix(text, []byte{'\n'}), err
}

// fail leaves on the disk what stays after a power cut.
func (d *disk) fail(stays func(*change) bool) error {
	r := newReplay(d.dir, d.before)
	for i, log := range d.logs {
		if err := r.readFile(i, log); err != nil {
			return err
		}
	}
	if err := r.run(); err != nil {
		return err
	}
	now, err := d.read()
	if err == nil {
		err = r.isLive(now)
	}
	if err != nil {
		return err
	}
	writes, size, names := r.unsynced()
	d.met = writes
	d.notes = append(d.notes, fmt.Sprintf("a cut met %d writes of %d bytes and %d names that were not synced", writes, size, names))
	d.before, d.logs = r.image(stays), nil
	for path := range now {
		if _, stays := d.before[path]; !stays {
			err = errors.Join(err, os.Remove(path))
		}
	}
	for path, content := range d.before {
		// In its place: it is the same file as before.
		err = errors.Join(err, os.WriteFile(path, content, 0o600))
	}
	return errors.Join(err, missing(os.Remove(filepath.Join(d.dir, "utskick.db"+sharedMemory))))
}

func (r *replay) readFile(log int, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(r.read(log, f), f.Close())
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"utskick/e2e/witness"
	"utskick/suppression"
)

// disks are disks that are full: RLIMIT_FSIZE (setrlimit(2)) makes every write
// beyond a size fail with EFBIG, as a full disk makes it fail with ENOSPC. The
// limit also forbids to overwrite what lies beyond it, which a full disk does
// not: it is the harder of the two.
func disks() []row {
	return []row{
		{name: "disk-full", fault: "the disk full for 4 s, freed, full again, kill -9, freed", engines: []string{sqlite},
			doubt: []string{workerLost}, away: true, ends: "P6", apply: fillSQLite},
		{name: "disk-full-postgres", fault: "the disk of Postgres full until it is started again", engines: []string{postgres},
			doubt: []string{workerLost}, away: true, apply: fillPostgres},
	}
}

// mostOnFullDisk is how large a file may be on the full disk: that a log of the
// database is longer already must not give it room to begin again in.
const mostOnFullDisk = 64 << 10

// fillSQLite lets no file of serve grow beyond what the database's log is now, or
// less.
func fillSQLite(s *stage) error {
	if _, err := s.launch(); err != nil {
		return err
	}
	log := filepath.Join(s.env["UTSKICK_DATA_DIR"], "utskick.db-wal")
	for _, kill := range []bool{false, true} {
		time.Sleep(500 * time.Millisecond)
		size, err := os.Stat(log)
		if err != nil {
			return err
		}
		pid, _ := s.serve.pid()
		if err := limitFiles(uint64(min(size.Size(), mostOnFullDisk)), pid); err != nil {
			return err
		}
		s.faults++
		time.Sleep(4 * time.Second)
		if err := s.isFull(); err != nil {
			return err
		}
		if kill {
			err = s.serve.signal(syscall.SIGKILL)
		} else {
			err = limitFiles(unix.RLIM_INFINITY, pid)
		}
		if err != nil {
			return err
		}
	}
	s.over = time.Now()
	return nil
}

// isFull waits until the disk was seen to be full: a busy machine writes little.
func (s *stage) isFull() error {
	var last error
	err := s.eventually("the disk is full", func() bool { last = s.wasFull(); return last == nil })
	return errors.Join(err, last)
}

// wasFull says whether the database could be written to, by an unsubscribe that
// was refused, or that waits for its acknowledgement from the spool: that is
// longer than any other does.
func (s *stage) wasFull() error {
	wishes, err := readWishes(s.file("wishes.ndjson"))
	if err != nil {
		return err
	}
	waiting := map[string]int64{}
	for _, w := range wishes {
		if w.Event == refused {
			return nil
		}
		if delete(waiting, w.To); w.Event == asked {
			waiting[w.To] = w.At
		}
	}
	for _, since := range waiting {
		if time.Duration(witness.Now()-since) > suppression.WaitAtMost {
			return nil
		}
	}
	return errors.New("the row proves nothing: every objection could be written to the full disk")
}

// fillPostgres lets the files of Postgres, its log of transactions among them,
// hold no byte more. It ends itself over that, and comes back to a disk with
// room.
func fillPostgres(s *stage) error {
	if _, err := s.launch(); err != nil {
		return err
	}
	time.Sleep(time.Second)
	if err := s.limitPostgres(8 << 10); err != nil {
		return err
	}
	s.faults++
	time.Sleep(4 * time.Second)
	if err := s.isFull(); err != nil {
		return err
	}
	s.over = time.Now()
	return s.postgres.Restart(s.ctx)
}

// limitFiles sets how many bytes a file may have that a process writes.
func limitFiles(bytes uint64, pid int) error {
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		return fmt.Errorf("limit the files of a process: %w", err)
	}
	return nil
}

// limitPostgres does the same to a server and its children; what they start
// later inherits it. As the server may run as somebody else, this is done by a
// command that runs as the same.
func (s *stage) limitPostgres(bytes int) error {
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		return errSkipped{"there is no prlimit to limit the files of Postgres"}
	}
	all, err := family(s.postgres.PID())
	if err != nil {
		return err
	}
	for _, pid := range all {
		cmd := exec.CommandContext(s.ctx, prlimit, fmt.Sprintf("--pid=%d", pid), fmt.Sprintf("--fsize=%d:", bytes))
		s.postgres.RunAs(cmd)
		if out, err := cmd.CombinedOutput(); err != nil && pid == all[0] { // a child may be gone
			return fmt.Errorf("limit the files of Postgres: %w: %s", err, out)
		}
	}
	return nil
}

// family returns a process and its children (proc(5)).
func family(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	all := []int{pid}
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		all = append(all, child)
	}
	return all, nil
}

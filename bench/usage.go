package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// peakMemory is the most physical memory that this process has had, in bytes: 0
// where there is no /proc. What getrusage says would count the parent's in.
func peakMemory() int64 { return 1024 * procNumber("/proc/self/status", "VmHWM:") }

// bytesRead is all that this process has read, from connections too: 0 where
// there is no /proc.
func bytesRead() int64 { return procNumber("/proc/self/io", "rchar:") }

// procNumber returns the number behind a name in a file of /proc.
func procNumber(file, name string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64) // the kernel writes numbers
			return n
		}
	}
	return 0
}

// postmaster returns the process id of a Postgres.
func postmaster(ctx context.Context, db *pgx.Conn) (int, error) {
	var pid int
	err := db.QueryRow(ctx, `select split_part(pg_read_file('postmaster.pid'), e'\n', 1)::int`).Scan(&pid)
	if err != nil {
		return 0, fmt.Errorf("ask Postgres for its process: %w", err)
	}
	return pid, nil
}

// familyTime is the processor time of a process and of all its children, past
// ones included: 0 where there is no /proc. A child that ends while they are
// counted passes its time to the parent, which has been read: they are then
// counted again.
func familyTime(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	name := fmt.Sprintf("/proc/%d/stat", pid)
	for {
		own := readStat(name)
		sum := own.used + own.children
		files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
		for _, file := range files {
			if s := readStat(file); s.parent == pid {
				sum += s.used
			}
		}
		if readStat(name).children == own.children {
			return sum
		}
	}
}

type stat struct {
	parent         int
	used, children time.Duration
}

// readStat reads /proc/pid/stat (proc(5)); a process that is gone is zero. Its
// ticks are hundredths of a second on every Linux that Go runs on.
func readStat(file string) (s stat) {
	const tick = 10 * time.Millisecond
	text, err := os.ReadFile(file)
	end := bytes.LastIndexByte(text, ')') // of the name, which may hold anything
	if err != nil || end < 0 {
		return s
	}
	fields := strings.Fields(string(text[end+1:]))
	number := func(field int) int { // as proc(5) counts them
		n, _ := strconv.Atoi(fields[field-3]) // the kernel writes numbers
		return n
	}
	s.parent = number(4)
	s.used = time.Duration(number(14)+number(15)) * tick
	s.children = time.Duration(number(16)+number(17)) * tick
	return s
}

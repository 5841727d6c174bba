package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// vital is what a process was seen to take.
type vital struct {
	process    string
	window     int // which quiet time it was in; 0: none
	at         time.Duration
	rss, live  int64 // bytes
	goroutines int
}

// watch looks at every process every ten seconds, and says every minute how it
// goes.
func (s *soak) watch(ctx context.Context) error {
	next := time.Minute
	for pause(ctx, min(10*time.Second, s.quiet/3)) {
		s.mu.Lock()
		window := max(0, s.window)
		s.mu.Unlock()
		for _, p := range s.processes() {
			v, err := s.ask(p)
			if err != nil {
				continue // it is just being started, or stands still
			}
			v.window, v.at = window, time.Since(s.begun)
			s.mu.Lock()
			s.vitals = append(s.vitals, v)
			s.mu.Unlock()
		}
		if time.Since(s.begun) >= next {
			next += time.Minute
			s.progress()
		}
	}
	return nil
}

// ask asks a process how it is: the kernel for its memory, and itself, by a
// signal that only a build with failpoints answers, for its goroutines.
func (s *soak) ask(p *process) (v vital, err error) {
	pid, young := p.pid()
	if young || p.frozen() {
		return v, errNoVitals // the signal would end it before it listens for it
	}
	if err := p.signal(syscall.SIGUSR1); err != nil {
		return v, err
	}
	time.Sleep(200 * time.Millisecond)
	line, err := lastLine(s.file(p.name+".log"), fmt.Sprintf("vitals: pid %d, ", pid))
	if err != nil {
		return v, err
	}
	v = vital{process: p.name}
	if _, err := fmt.Sscanf(line, "%d goroutines, %d bytes live", &v.goroutines, &v.live); err != nil {
		return v, err
	}
	v.rss, err = resident(pid)
	return v, err
}

// resident returns the memory that a process has (proc(5), VmRSS).
func resident(pid int) (int64, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	var kilobytes int64
	_, err = fmt.Sscan(string(after), &kilobytes)
	return kilobytes << 10, err
}

// lastLine returns what follows the last occurrence of a text near the end of a
// file.
func lastLine(path, text string) (string, error) {
	const near = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err != nil || size > near {
		if _, err := f.Seek(-near, io.SeekEnd); err != nil {
			return "", err
		}
	} else if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return "", err
	}
	at := bytes.LastIndex(content, []byte(text))
	if at < 0 {
		return "", errNoVitals
	}
	line, _, _ := bytes.Cut(content[at+len(text):], []byte("\n"))
	return string(line), nil
}

// median of what the process took in a quiet time, in its second half: by then
// a process that was killed has grown as large as it gets.
func median(all []vital, process string, window int, what func(vital) int64) int64 {
	var values []int64
	for _, v := range all {
		if v.process == process && v.window == window {
			values = append(values, what(v))
		}
	}
	values = values[len(values)/2:]
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// growth is how a process was in the first and the last quiet time.
type growth struct {
	process         string
	last            int      // quiet time
	rss, live       [2]int64 // bytes
	goroutines      [2]int64 // in the first and the last third of the time
	gross, leftOver float64  // of memory, 0.05 is 5 %; left over is what objections do not explain
}

// bytesPerEntry is what a worker needs for a suppression entry at most: it keeps
// eight bytes of the key in a sorted list and half a byte to find it there, and
// of one key in eight, 40 bytes in a map until it is sorted in; and the heap may
// grow to twice what is in use (GOGC).
const bytesPerEntry = 2 * (8.5 + 40/8)

// growths compares the first quiet time with the last in which anybody was
// looked at. entries are those of suppression at the beginning of each.
func growths(all []vital, entries []int64) (list []growth) {
	var names []string
	last := 0
	for _, v := range all {
		last = max(last, v.window)
		if !slices.Contains(names, v.process) {
			names = append(names, v.process)
		}
	}
	if last == 0 {
		return nil
	}
	slices.Sort(names)
	for _, name := range names {
		g := growth{process: name, last: last}
		for i, w := range []int{1, g.last} {
			g.rss[i] = median(all, name, w, func(v vital) int64 { return v.rss })
			g.live[i] = median(all, name, w, func(v vital) int64 { return v.live })
		}
		g.goroutines[0], g.goroutines[1] = thirds(all, name)
		explained := 0.0
		if strings.HasPrefix(name, "work") {
			explained = bytesPerEntry * float64(entries[g.last-1]-entries[0])
		}
		if before := float64(g.rss[0]); before > 0 && g.rss[1] > 0 {
			more := float64(g.rss[1]) - before
			g.gross, g.leftOver = more/before, (more-explained)/before
		}
		list = append(list, g)
	}
	return list
}

// thirds returns the medians of how many goroutines a process had in the first
// and in the last third of the time. How many there are at a moment depends on
// which channels are busy, so a few minutes say nothing; below this many samples
// a third both are 0.
func thirds(all []vital, process string) (first, last int64) {
	const fewest = 30
	var values []int64
	for _, v := range all {
		if v.process == process {
			values = append(values, int64(v.goroutines))
		}
	}
	n := len(values) / 3
	if n < fewest {
		return 0, 0
	}
	head, tail := values[:n], values[len(values)-n:]
	slices.Sort(head)
	slices.Sort(tail)
	return head[n/2], tail[n/2]
}

// flat reports whether there are no more goroutines than before, up to a few
// that come and go.
func (g growth) flat() bool { return g.goroutines[1] <= g.goroutines[0]+max(5, g.goroutines[0]/10) }

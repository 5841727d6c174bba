package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
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
func median(all []vital, process string, window int, what func(vital) int64) (int64, bool) {
	var values []int64
	for _, v := range all {
		if v.process == process && v.window == window {
			values = append(values, what(v))
		}
	}
	values = values[len(values)/2:]
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	return values[len(values)/2], true
}

// growth is how a process was in the first and the last quiet time.
type growth struct {
	process           string
	first, last       int // which
	rss, live         [2]int64
	goroutines        [2]int64
	moreRSS, moreLive float64 // 0.05 is 5 %
}

func growths(all []vital) (list []growth) {
	names := map[string]bool{}
	last := 0
	for _, v := range all {
		names[v.process] = true
		last = max(last, v.window)
	}
	for name := range names {
		g := growth{process: name, first: 1, last: last}
		for i, w := range []int{g.first, g.last} {
			g.rss[i], _ = median(all, name, w, func(v vital) int64 { return v.rss })
			g.live[i], _ = median(all, name, w, func(v vital) int64 { return v.live })
			g.goroutines[i], _ = median(all, name, w, func(v vital) int64 { return int64(v.goroutines) })
		}
		if g.rss[0] > 0 {
			g.moreRSS = float64(g.rss[1])/float64(g.rss[0]) - 1
			g.moreLive = float64(g.live[1])/float64(max(1, g.live[0])) - 1
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b growth) int { return bytes.Compare([]byte(a.process), []byte(b.process)) })
	return list
}

// flat reports whether there are no more goroutines than before, up to a few
// that come and go.
func (g growth) flat() bool { return g.goroutines[1] <= g.goroutines[0]+max(5, g.goroutines[0]/20) }

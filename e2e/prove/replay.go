package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// replay does again what processes did to the files of a folder, as strace(1)
// logged it, and knows of each write and of each name whether it was synced.
type replay struct {
	dir           string
	live, durable map[string]*replayed // by path
	opened        map[handle]*position
	points        []point
	err           error // the first call that it cannot do again
}

// replayed is a file, whatever it is called.
type replayed struct {
	before  []byte
	changes []*change
	size    int64 // with all changes
}

// add adds a change.
func (f *replayed) add(c *change) {
	f.changes = append(f.changes, c)
	if f.size = max(f.size, c.at+int64(len(c.data))); c.resizes {
		f.size = c.at
	}
}

// change is a write, or a new size.
type change struct {
	at       int64
	data     []byte
	resizes  bool // to at
	complete bool // the system call has returned
	durable  bool
}

// handle is an open file of a traced program, position where it writes next.
type handle struct {
	log int
	fd  string
}

type position struct {
	file    *replayed
	at      int64
	appends bool
}

// point is an instant at which a system call begins or ends.
type point struct {
	at   string // seconds since 1970, all with as many digits
	step func()
}

// syscalled is a system call as strace writes it.
type syscalled struct {
	log    int
	name   string
	args   []string
	result string // "?" or nothing: it never returned

	change *change
	synced []*change
	names  map[string]*replayed
}

func newReplay(dir string, before map[string][]byte) *replay {
	r := &replay{dir: dir, live: map[string]*replayed{}, durable: map[string]*replayed{}, opened: map[handle]*position{}}
	for path, content := range before {
		f := &replayed{before: content, size: int64(len(content))}
		r.live[path], r.durable[path] = f, f
	}
	return r
}

// read reads the log of a program and its threads. A call that another thread
// interrupts has two lines.
func (r *replay) read(log int, from io.Reader) error {
	lines := bufio.NewReaderSize(from, 1<<20)
	begun := map[string]*syscalled{} // by thread
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		thread, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		at, text, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
		switch {
		case strings.HasPrefix(text, "<... "):
			c := begun[thread]
			if c == nil {
				return fmt.Errorf("a call ends that has not begun: %.80s", text)
			}
			delete(begun, thread)
			_, c.result, _ = strings.Cut(text, ") = ")
			_, args, _ := strings.Cut(text, " resumed>")
			c.args = append(c.args, argumentsOf(args)...)
			r.points = append(r.points, point{at, func() { r.end(c) }})
		case strings.HasSuffix(text, " <unfinished ...>"):
			c := parseCall(log, strings.TrimSuffix(text, " <unfinished ...>"))
			begun[thread] = c
			r.points = append(r.points, point{at, func() { r.begin(c) }})
		case strings.Contains(text, ") = "):
			c := parseCall(log, text)
			r.points = append(r.points, point{at, func() { r.begin(c); r.end(c) }})
		}
	}
}

// parseCall reads a call, whose strings are all in hexadecimal.
func parseCall(log int, text string) *syscalled {
	name, rest, _ := strings.Cut(text, "(")
	args, result, _ := strings.Cut(rest, ") = ")
	return &syscalled{log: log, name: name, args: argumentsOf(args), result: result}
}

func argumentsOf(text string) []string {
	text, _, _ = strings.Cut(text, ") = ")
	return strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' })
}

func (c *syscalled) arg(i int) string {
	if i >= len(c.args) {
		return ""
	}
	return c.args[i]
}

func (c *syscalled) number(i int) int64 {
	n, _ := strconv.ParseInt(c.arg(i), 10, 64) // strace writes nothing else there
	return n
}

// returned is what a call that succeeded has returned.
func (c *syscalled) returned() (n int64, ok bool) {
	digits, _, _ := strings.Cut(c.result, "<")
	digits, _, _ = strings.Cut(digits, " ")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n >= 0
}

// unhex reads what stands between two marks as \x2f\x74\x6d\x70.
func unhex(text, from, to string) []byte {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	b, _ := hex.DecodeString(strings.ReplaceAll(text, `\x`, "")) // strace writes nothing else there
	return b
}

// pathOf is what a descriptor is, or a string that names a file.
func pathOf(arg string) string {
	if strings.HasPrefix(arg, `"`) {
		return string(unhex(arg, `"`, `"`))
	}
	return string(unhex(arg, "<", ">"))
}

// watched reports whether a path is of a file that counts.
func (r *replay) watched(path string) bool {
	return strings.HasPrefix(path, r.dir+"/") && !strings.HasSuffix(path, sharedMemory)
}

// run does all that was read, in the order of its instants.
func (r *replay) run() error {
	slices.SortStableFunc(r.points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	for _, p := range r.points {
		p.step()
	}
	r.points = nil
	return r.err
}

// begin is what a call may have done as soon as it began.
func (r *replay) begin(c *syscalled) {
	path := pathOf(c.arg(0))
	switch c.name {
	case "write", "pwrite64", "ftruncate":
		if r.watched(path) {
			r.change(c, path)
		}
	case "fsync", "fdatasync":
		r.sync(c, path)
	case "open", "openat", "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2":
	default:
		for _, arg := range c.args {
			if r.watched(pathOf(arg)) {
				r.err = errors.Join(r.err, fmt.Errorf("the trace has a call that cannot be done again: %s", c.name))
			}
		}
	}
}

// change notes a write or a new size.
func (r *replay) change(c *syscalled, path string) {
	descriptor, _, _ := strings.Cut(c.arg(0), "<")
	where := r.opened[handle{c.log, descriptor}]
	f := r.live[path]
	if f == nil && where != nil { // it has no name any more
		f = where.file
	}
	if f == nil {
		r.err = errors.Join(r.err, fmt.Errorf("the trace has a %s to a file that was never opened: %s", c.name, filepath.Base(path)))
		return
	}
	ch := &change{}
	switch c.name {
	case "ftruncate":
		ch.at, ch.resizes = c.number(1), true
	case "pwrite64":
		ch.at, ch.data = c.number(3), unhex(c.arg(1), `"`, `"`)
	default:
		ch.data = unhex(c.arg(1), `"`, `"`)
	}
	if n, ok := c.returned(); ok && !ch.resizes {
		ch.data = ch.data[:min(int(n), len(ch.data))]
	} else if !ok && c.result != "" && !strings.HasPrefix(c.result, "?") {
		return // it failed
	}
	if c.name == "write" {
		if where == nil || where.appends {
			ch.at = f.size
		} else {
			ch.at = where.at
			where.at += int64(len(ch.data))
		}
	}
	c.change = ch
	f.add(ch)
}

// sync notes what an fsync will make durable: what is complete as it begins.
func (r *replay) sync(c *syscalled, path string) {
	if f := r.live[path]; f != nil {
		for _, ch := range f.changes {
			if ch.complete {
				c.synced = append(c.synced, ch)
			}
		}
		return
	}
	c.names = map[string]*replayed{}
	for name, f := range r.live {
		if filepath.Dir(name) == path {
			c.names[name] = f
		}
	}
}

// end is what is so when a call has returned.
func (r *replay) end(c *syscalled) {
	n, ok := c.returned()
	if !ok {
		return
	}
	if c.change != nil {
		c.change.complete = true
	}
	switch c.name {
	case "fsync", "fdatasync":
		r.synced(c)
	case "open", "creat":
		r.open(c, strconv.FormatInt(n, 10), pathOf(c.arg(0)), c.name == "creat" || strings.Contains(c.arg(1), "O_CREAT"), c.arg(1))
	case "openat":
		r.open(c, strconv.FormatInt(n, 10), pathOf(c.arg(1)), strings.Contains(c.arg(2), "O_CREAT"), c.arg(2))
	case "unlink":
		delete(r.live, pathOf(c.arg(0)))
	case "unlinkat":
		delete(r.live, pathOf(c.arg(1)))
	case "rename":
		r.rename(pathOf(c.arg(0)), pathOf(c.arg(1)))
	case "renameat", "renameat2":
		r.rename(pathOf(c.arg(1)), pathOf(c.arg(3)))
	}
}

func (r *replay) synced(c *syscalled) {
	for _, ch := range c.synced {
		ch.durable = true
	}
	if c.names == nil {
		return
	}
	folder := pathOf(c.arg(0))
	for name := range r.durable {
		if filepath.Dir(name) == folder {
			delete(r.durable, name)
		}
	}
	for name, f := range c.names {
		r.durable[name] = f
	}
}

func (r *replay) open(c *syscalled, descriptor, path string, creates bool, flags string) {
	at := handle{c.log, descriptor}
	delete(r.opened, at)
	if !r.watched(path) {
		return
	}
	f := r.live[path]
	if f == nil && creates {
		f = &replayed{}
		r.live[path] = f
	}
	if f == nil {
		return // a folder
	}
	if strings.Contains(flags, "O_TRUNC") && f.size > 0 {
		f.add(&change{resizes: true, complete: true})
	}
	r.opened[at] = &position{file: f, appends: strings.Contains(flags, "O_APPEND")}
}

func (r *replay) rename(from, to string) {
	if f := r.live[from]; f != nil {
		r.live[to] = f
		delete(r.live, from)
	}
}

// The parts of a file that can be asked for.
func everything(*change) bool   { return true }
func onlySynced(c *change) bool { return c.durable }
func partly(c *change) bool     { return c.durable || rand.N(2) == 0 }

// content is the file with those of its changes that stay.
func (f *replayed) content(stays func(*change) bool) []byte {
	b := bytes.Clone(f.before)
	for _, c := range f.changes {
		if !stays(c) {
			continue
		}
		end := c.at
		if !c.resizes {
			end = max(int64(len(b)), c.at+int64(len(c.data)))
		}
		if missing := end - int64(len(b)); missing > 0 {
			b = append(b, make([]byte, missing)...)
		}
		b = b[:end]
		if !c.resizes {
			copy(b[c.at:], c.data)
		}
	}
	return b
}

// image is what is there after a power cut: what was synced alone, or with a part
// of the rest.
func (r *replay) image(stays func(*change) bool) map[string][]byte {
	files := map[string][]byte{}
	for path, f := range r.durable {
		files[path] = f.content(stays)
	}
	return files
}

// isLive compares what was done again with what is there. Of a call that never
// returned nobody knows what it did.
func (r *replay) isLive(now map[string][]byte) error {
	for path, f := range r.live {
		unknown := slices.ContainsFunc(f.changes, func(c *change) bool { return !c.complete })
		if !unknown && !bytes.Equal(now[path], f.content(everything)) {
			return fmt.Errorf("the row proves nothing: what was traced does not make %s what it is", filepath.Base(path))
		}
	}
	for path := range now {
		if r.live[path] == nil {
			return fmt.Errorf("the row proves nothing: how %s came to be was not traced", filepath.Base(path))
		}
	}
	return nil
}

// unsynced counts the writes that a cut may lose, and the names.
func (r *replay) unsynced() (writes, bytes, names int) {
	for path, f := range r.live {
		if r.durable[path] != f {
			names++
		}
		for _, c := range f.changes {
			if !c.durable {
				writes++
				bytes += len(c.data)
			}
		}
	}
	return writes, bytes, names
}

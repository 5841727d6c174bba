package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// hexed writes a string as strace does.
func hexed(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(`\x` + hex.EncodeToString([]byte{s[i]}))
	}
	return b.String()
}

// trace writes a log of strace's: each line is a thread and a call, in which what
// stands in quotes or angle brackets is text.
func trace(lines ...string) string {
	var b strings.Builder
	for i, line := range lines {
		thread, call, _ := strings.Cut(line, " ")
		fmt.Fprintf(&b, "%s 1000.%06d ", thread, i)
		quote := byte(0)
		for j := 0; j < len(call); j++ {
			switch c := call[j]; {
			case quote != 0 && c == quote:
				quote = 0
				b.WriteByte(c)
			case quote != 0:
				b.WriteString(hexed(string(c)))
			case strings.HasPrefix(call[j:], "<unfinished"), strings.HasPrefix(call[j:], "<..."):
				b.WriteString(call[j : j+4])
				j += 3
			case c == '"' || c == '<':
				quote = map[byte]byte{'"': '"', '<': '>'}[c]
				b.WriteByte(c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestReplay(t *testing.T) {
	for name, c := range map[string]struct {
		lines   []string
		durable map[string]string // by name
		live    map[string]string
	}{
		"a write without an fsync": {
			lines:   []string{`1 pwrite64(3</d/old>, "XY", 2, 1) = 2`},
			durable: map[string]string{"old": "abc"}, live: map[string]string{"old": "aXY"},
		},
		"a write, then an fsync, then another": {
			lines:   []string{`1 pwrite64(3</d/old>, "XY", 2, 4) = 2`, `2 fsync(7</d/old>) = 0`, `1 pwrite64(3</d/old>, "z", 1, 0) = 1`},
			durable: map[string]string{"old": "abc\x00XY"}, live: map[string]string{"old": "zbc\x00XY"},
		},
		"a write that had not returned when the fsync began": {
			lines: []string{`1 pwrite64(3</d/old>, "XY", 2, 0 <unfinished ...>`, `2 fsync(7</d/old> <unfinished ...>`, `1 <... pwrite64 resumed>) = 2`,
				`2 <... fsync resumed>) = 0`},
			durable: map[string]string{"old": "abc"}, live: map[string]string{"old": "XYc"},
		},
		"an fsync that never returned, and one that failed": {
			lines: []string{`1 pwrite64(3</d/old>, "XY", 2, 0) = 2`, `2 fsync(7</d/old>) = -1 EIO (Input/output error)`,
				`2 fsync(7</d/old> <unfinished ...>`},
			durable: map[string]string{"old": "abc"}, live: map[string]string{"old": "XYc"},
		},
		"half of a write, and one that failed": {
			lines: []string{`1 pwrite64(3</d/old>, "XYZ", 3, 0) = 2`, `1 pwrite64(3</d/old>, "Q", 1, 0) = -1 ENOSPC (No space left on device)`,
				`2 fdatasync(7</d/old>) = 0`},
			durable: map[string]string{"old": "XYc"}, live: map[string]string{"old": "XYc"},
		},
		"a shorter file": {
			lines:   []string{`1 ftruncate(3</d/old>, 1) = 0`, `1 fsync(3</d/old>) = 0`, `1 ftruncate(3</d/old>, 2) = 0`},
			durable: map[string]string{"old": "a"}, live: map[string]string{"old": "a\x00"},
		},
		"a new file whose name is not synced": {
			lines:   []string{`1 openat(AT_FDCWD</>, "/d/new", O_WRONLY|O_CREAT, 0600) = 5</d/new>`, `1 write(5</d/new>, "n", 1) = 1`, `1 fsync(5</d/new>) = 0`},
			durable: map[string]string{"old": "abc"}, live: map[string]string{"old": "abc", "new": "n"},
		},
		"a new file that is added to, and its name": {
			lines: []string{`1 openat(AT_FDCWD</>, "/d/new", O_WRONLY|O_CREAT|O_APPEND, 0600) = 5</d/new>`, `1 write(5</d/new>, "n", 1) = 1`,
				`1 write(5</d/new>, "m", 1) = 1`, `1 fsync(5</d/new>) = 0`, `1 fsync(6</d>) = 0`, `1 write(5</d/new>, "o", 1) = 1`},
			durable: map[string]string{"old": "abc", "new": "nm"}, live: map[string]string{"old": "abc", "new": "nmo"},
		},
		"a file in the place of another": {
			lines: []string{`1 openat(AT_FDCWD</>, "/d/next", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 5</d/next>`, `1 write(5</d/next>, "n", 1) = 1`,
				`1 fsync(5</d/next>) = 0`, `1 renameat(AT_FDCWD</>, "/d/next", AT_FDCWD</>, "/d/old") = 0`},
			durable: map[string]string{"old": "abc"}, live: map[string]string{"old": "n"},
		},
		"the same, and the folder": {
			lines: []string{`1 openat(AT_FDCWD</>, "/d/next", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 5</d/next>`, `1 write(5</d/next>, "n", 1) = 1`,
				`1 fsync(5</d/next>) = 0`, `1 renameat(AT_FDCWD</>, "/d/next", AT_FDCWD</>, "/d/old") = 0`, `1 fsync(6</d>) = 0`},
			durable: map[string]string{"old": "n"}, live: map[string]string{"old": "n"},
		},
		"a file that is gone": {
			lines:   []string{`1 unlink("/d/old") = 0`},
			durable: map[string]string{"old": "abc"}, live: map[string]string{},
		},
		"others' files": {
			lines:   []string{`1 write(1</elsewhere>, "n", 1) = 1`, `1 pwrite64(3</d/old-shm>, "n", 1, 0) = 1`, `1 +++ exited with 0 +++`},
			durable: map[string]string{"old": "abc"}, live: map[string]string{"old": "abc"},
		},
	} {
		r := newReplay("/d", map[string][]byte{"/d/old": []byte("abc")})
		if err := r.read(0, strings.NewReader(trace(c.lines...))); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := r.run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		compareFiles(t, name+", after the cut", c.durable, r.image(onlySynced))
		live := map[string][]byte{}
		for path, content := range c.live {
			live["/d/"+path] = []byte(content)
		}
		if err := r.isLive(live); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func compareFiles(t *testing.T, name string, want map[string]string, got map[string][]byte) {
	t.Helper()
	for path, content := range got {
		if wanted, there := want[strings.TrimPrefix(path, "/d/")]; !there || wanted != string(content) {
			t.Errorf("%s: %s is %q, want %q", name, path, content, wanted)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d files, want %d", name, len(got), len(want))
	}
}

// TestReplayNotices sees that what is not understood is not passed over.
func TestReplayNotices(t *testing.T) {
	r := newReplay("/d", map[string][]byte{"/d/old": []byte("abc")})
	if err := r.read(0, strings.NewReader(trace(`1 fallocate(3</d/old>, 0, 0, 5) = 0`))); err != nil {
		t.Fatal(err)
	}
	if r.run() == nil {
		t.Error("a call that cannot be done again was passed over")
	}
	r = newReplay("/d", map[string][]byte{"/d/old": []byte("abc")})
	if r.isLive(map[string][]byte{"/d/old": []byte("abd")}) == nil || r.isLive(map[string][]byte{"/d/old": []byte("abc"), "/d/x": nil}) == nil {
		t.Error("a file that was changed without a trace was not noticed")
	}
}

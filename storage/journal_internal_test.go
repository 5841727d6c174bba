package storage

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"utskick/audience"
	"utskick/suppression"
)

func testLine(version int64) journalLine {
	e := suppression.Entry{Key: audience.Key{1, byte(version)}, Channel: "email", Topic: "*", Purpose: "marketing", Sender: "*", Cause: suppression.Objected,
		Active: true, Source: "test", Evidence: "a form\nwith two lines", Version: version}
	return lineOf(e, 3, 1_790_000_000_000)
}

func textOf(t testing.TB, lines ...journalLine) (text []byte) {
	t.Helper()
	for _, l := range lines {
		var err error
		if text, err = appendLine(text, l); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

func versionsIn(t testing.TB, text []byte) (versions []int64, damaged []int) {
	t.Helper()
	damaged, err := readJournal(bytes.NewReader(text), func(l journalLine) error {
		versions = append(versions, l.Version)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return versions, damaged
}

func TestJournalLines(t *testing.T) {
	want := testLine(7)
	got, err := parseLine(bytes.TrimSuffix(textOf(t, want), []byte{'\n'}))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(journalLine{})); diff != "" || err != nil || got.key != (audience.Key{1, 7}) {
		t.Errorf("%v %s", err, diff)
	}
	long := strings.Repeat("x", 3*maxLine) + "\n"
	for _, c := range []struct {
		name, before string
		damaged      []int
	}{
		{"nothing", "", nil}, {"an empty line", "\n", nil}, {"nonsense", "nonsense\n", []int{1}}, {"a line without an end to it", long, []int{1}},
		{"a checksum alone", "00000000 \n", []int{1}}, {"a key that is none", string(textOf(t, journalLine{Key: "ab", Purpose: "x", Sender: "*"})), []int{1}},
	} {
		versions, damaged := versionsIn(t, append([]byte(c.before), textOf(t, testLine(1), testLine(2))...))
		if diff := cmp.Diff([]int64{1, 2}, versions); diff != "" || !cmp.Equal(damaged, c.damaged) {
			t.Errorf("%s: damaged %v; %s", c.name, damaged, diff)
		}
	}
}

// TestJournalTorn cuts a journal at every byte: every line before the cut is
// read, and what is added afterwards too.
func TestJournalTorn(t *testing.T) {
	whole := textOf(t, testLine(1), testLine(2))
	dir := t.TempDir()
	for cut := range len(whole) {
		if err := os.WriteFile(filepath.Join(dir, journalFile), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j := openJournal(dir)
		if err := j.append(textOf(t, testLine(9))); err != nil {
			t.Fatal(err)
		}
		if last, err := j.lastVersion(); err != nil || last != 9 {
			t.Fatalf("cut at %d: last version %d, %v", cut, last, err)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(dir, journalFile))
		if err != nil {
			t.Fatal(err)
		}
		versions, _ := versionsIn(t, content)
		if want := 1 + bytes.Count(whole[:cut+1], []byte{'\n'}); len(versions) < want || versions[len(versions)-1] != 9 {
			t.Fatalf("cut at %d: read %v", cut, versions)
		}
	}
}

// TestJournalParts writes from several openings of one journal, as processes
// that share a directory do, while parts fill up.
func TestJournalParts(t *testing.T) {
	dir := t.TempDir()
	const writers, each = 4, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			j := openJournal(dir)
			defer j.close()
			j.size = 4000
			for i := range each {
				if err := j.append(textOf(t, testLine(int64(1+w*each+i)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	parts, err := openJournal(dir).parts()
	if err != nil || len(parts) < 3 || filepath.Base(parts[len(parts)-1]) != journalFile {
		t.Fatalf("%v, %v", parts, err)
	}
	seen := map[int64]int{}
	for _, p := range parts {
		content, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		versions, damaged := versionsIn(t, content)
		if len(damaged) > 0 {
			t.Errorf("%s has damaged lines %v", p, damaged)
		}
		for _, v := range versions {
			seen[v]++
		}
	}
	for v := int64(1); v <= writers*each; v++ {
		if seen[v] != 1 {
			t.Errorf("version %d is there %d times", v, seen[v])
		}
	}
}

// FuzzJournal reads anything, and what is written after it.
func FuzzJournal(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("nonsense\n00000000 {}\n"))
	f.Add(textOf(f, testLine(1), testLine(2)))
	f.Add(textOf(f, testLine(1))[:30])
	f.Fuzz(func(t *testing.T, before []byte) {
		versions, damaged := versionsIn(t, before)
		whole := append(append(before[:len(before):len(before)], '\n'), textOf(t, testLine(99))...)
		after, still := versionsIn(t, whole)
		if len(after) != len(versions)+1 || after[len(versions)] != 99 || len(still) != len(damaged) {
			t.Errorf("before: %v, damaged %v; after: %v, damaged %v", versions, damaged, after, still)
		}
		for _, l := range bytes.Split(before, []byte{'\n'}) {
			if read, err := parseLine(l); err == nil && !read.refusal() && read.entry().Validate() != nil {
				t.Error("an entry was read that cannot be recorded")
			}
		}
	})
}

// BenchmarkJournal writes a thousand entries at once, as an import does.
func BenchmarkJournal(b *testing.B) {
	s := &Store{journal: openJournal(b.TempDir()), now: time.Now}
	var w written
	for i := range int64(1000) {
		w.entries = append(w.entries, testLine(i+1).entry())
	}
	for i := range w.entries {
		w.entries[i].Key = audience.Key{byte(i), byte(i >> 8), 1}
	}
	for b.Loop() {
		if err := s.journalEntries(w); err != nil {
			b.Fatal(err)
		}
	}
}

package storage

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

func openTestSpool(t testing.TB, dir string) *Spool {
	t.Helper()
	s, err := OpenSpool(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var told = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func keptWish(n byte) suppression.Kept {
	w := suppression.Unsubscribe(audience.Key{n}, audience.Email, 12)
	w.At, w.Mark = told, "mark"
	return suppression.Kept{Wish: &w}
}

func keptClick(dedupe string) suppression.Kept {
	return suppression.Kept{Event: &tracking.Event{Type: tracking.Clicks, At: told, Group: 12, Key: audience.Key{9}, Link: 3, Dedupe: dedupe,
		Machine: tracking.Head, Agent: tracking.Phone, Requester: 1<<48 - 1}}
}

func drain(t *testing.T, s *Spool) (all []suppression.Kept) {
	t.Helper()
	if err := s.Drain(func(kept []suppression.Kept) error { all = append(all, kept...); return nil }, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSpoolGivesBackWhatItWasGiven(t *testing.T) {
	dir := t.TempDir()
	s := openTestSpool(t, dir)
	unknown := keptWish(2)
	unknown.Wish.Entry.Channel = ""
	nobody := keptClick("c-2")
	nobody.Event.Key = audience.Key{}
	chosen := keptWish(3)
	chosen.Wish.Entry.Topic, chosen.Wish.Visit = "", "0123456789abcdef"
	want := []suppression.Kept{keptWish(1), unknown, chosen, keptClick("c-1"), nobody}
	for _, k := range want {
		if _, err := s.Keep(k); err != nil {
			t.Fatal(err)
		}
	}
	// Another life reads them, after the end of the file was torn.
	f, err := os.OpenFile(s.name(1), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("12345678 {\"wish\"")
	f.Close()
	again := openTestSpool(t, dir)
	if part, err := again.Keep(keptWish(4)); err != nil || part != 2 {
		t.Errorf("it goes on in part %d: %v", part, err)
	}
	if diff := cmp.Diff(append(want, keptWish(4)), drain(t, again)); diff != "" {
		t.Errorf("given back (-want +got):\n%s", diff)
	}
	if left, err := again.parts(); err != nil || len(left) != 0 {
		t.Errorf("%v are left: %v", left, err)
	}
}

// TestSpoolKeepsWhatWasNotTaken: a part is forgotten when all of it was taken.
func TestSpoolKeepsWhatWasNotTaken(t *testing.T) {
	s := openTestSpool(t, t.TempDir())
	var wg sync.WaitGroup
	for range 2500 {
		wg.Go(func() {
			if _, err := s.Keep(keptWish(1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	away, pieces := errors.New("away"), 0
	err := s.Drain(func([]suppression.Kept) error {
		if pieces++; pieces == 2 {
			return away
		}
		return nil
	}, func(int64) { t.Error("it is said to be taken") })
	if !errors.Is(err, away) {
		t.Errorf("drained: %v", err)
	}
	if part, err := s.Keep(keptWish(2)); err != nil || part != 2 {
		t.Errorf("what comes meanwhile goes to part %d: %v", part, err)
	}
	if got := drain(t, s); len(got) != 2501 || got[2500].Wish.Entry.Key != (audience.Key{2}) {
		t.Errorf("%d records", len(got))
	}
}

// TestADamagedPartIsPutAside: what can be read of it is taken.
func TestADamagedPartIsPutAside(t *testing.T) {
	s := openTestSpool(t, t.TempDir())
	for n := range byte(3) {
		if _, err := s.Keep(keptWish(n + 1)); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(s.name(1))
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(s.name(1), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s); len(got) != 2 {
		t.Errorf("%d records", len(got))
	}
	if _, err := os.Stat(s.name(1) + ".damaged"); err != nil {
		t.Error(err)
	}
}

// fullDisk takes so many bytes.
type fullDisk struct {
	*os.File
	room int
}

var errFull = errors.New("no space left on device")

func (f *fullDisk) Write(b []byte) (int, error) {
	if len(b) <= f.room {
		f.room -= len(b)
		return f.File.Write(b)
	}
	n, _ := f.File.Write(b[:f.room])
	f.room = 0
	return n, errFull
}

// TestAFullDisk: what did not fit is not kept, and not given back either.
func TestAFullDisk(t *testing.T) {
	s := openTestSpool(t, t.TempDir())
	line, err := appendKept(nil, keptWish(1))
	if err != nil {
		t.Fatal(err)
	}
	s.create = func(name string) (spoolFile, error) {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		return &fullDisk{f, len(line) + len(line)/2}, err
	}
	for n := range byte(4) {
		_, err := s.Keep(keptWish(n + 1))
		if full := n%2 == 1; errors.Is(err, errFull) != full || (!full && err != nil) {
			t.Errorf("record %d: %v", n+1, err)
		}
	}
	got := drain(t, s)
	if len(got) != 2 || got[0].Wish.Entry.Key != (audience.Key{1}) || got[1].Wish.Entry.Key != (audience.Key{3}) {
		t.Errorf("given back: %+v", got)
	}
	if aside, _ := filepath.Glob(filepath.Join(s.dir, "*.damaged")); len(aside) > 0 {
		t.Errorf("put aside: %v", aside)
	}
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenIdentity(dir, "serve")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenIdentity(dir, "serve"); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process: %v", err)
	}
	first.Close()
	second, err := OpenIdentity(dir, "serve")
	if err != nil || second.Name != first.Name || second.Session == first.Session {
		t.Errorf("the next life: %+v after %+v: %v", second.Holder, first.Holder, err)
	}
	second.Close()
	if err := os.WriteFile(filepath.Join(dir, "instance"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenIdentity(dir, "serve"); err == nil || errors.Is(err, ErrInUse) {
		t.Errorf("a damaged identity: %v", err)
	}
}

// FuzzSpool: whatever a file holds, every record that is read is one that would
// be written so, and what lies before a torn end is read.
func FuzzSpool(f *testing.F) {
	whole, err := appendKept(nil, keptWish(1))
	if err != nil {
		f.Fatal(err)
	}
	click, err := appendKept(nil, keptClick("c-1"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{whole, click, whole[:len(whole)-1], append(bytes.Clone(whole), click[:20]...), []byte("00000000 {}\n"),
		seal(nil, []byte(`{"wish":{"k":"zz"}}`)), seal(nil, []byte(`{"type":"click"}`)), []byte("\n\n")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		read := 0
		_, err := readSpool(bytes.NewReader(append(bytes.Clone(whole), content...)), func(k suppression.Kept) error {
			read++
			line, err := appendKept(nil, k)
			if err != nil {
				t.Fatalf("%+v cannot be written: %v", k, err)
			}
			again, err := parseKept(bytes.TrimSuffix(line, []byte{'\n'}))
			if err != nil || !cmp.Equal(k, again) {
				t.Fatalf("%+v is read back as %+v: %v", k, again, err)
			}
			return nil
		})
		if err != nil || read == 0 {
			t.Fatalf("%d records: %v", read, err)
		}
	})
}

package suppression

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"utskick/audience"
)

// source is a fake index: one entry a key, in the order of their versions.
type source struct {
	mu      sync.Mutex
	head    Head
	entries []sourceEntry
	fails   map[string]error // by the name of the method

	plain   [][]audience.Key // what Matching was asked
	asked   [][]audience.Key // what MatchingAndChanged was asked
	loads   int
	before  func() // at the next MatchingAndChanged, before it reads
	after   func() // at the next MatchingAndChanged, after it has read
	loading func(context.Context) error
}

type sourceEntry struct {
	key     audience.Key
	cause   Cause
	version int64
}

func (s *source) record(keys ...audience.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		s.head.Version++
		s.entries = append(s.entries, sourceEntry{k, Objected, s.head.Version})
	}
}

func (s *source) matches(keys []audience.Key) (found []Match) {
	for _, k := range keys {
		for _, e := range s.entries {
			if e.key == k {
				found = append(found, Match{k, e.cause})
			}
		}
	}
	return found
}

func (s *source) Matching(_ context.Context, _ Scope, keys []audience.Key) ([]Match, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain = append(s.plain, keys)
	return s.matches(keys), s.head.Version, s.fails["Matching"]
}

func (s *source) MatchingAndChanged(_ context.Context, _ Scope, keys []audience.Key, after, through int64) (Changes, error) {
	once(&s.before)
	defer once(&s.after)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, keys)
	c := Changes{Head: s.head, Matches: s.matches(keys)}
	for _, e := range s.entries {
		if e.version > after && e.version <= through {
			c.Keys = append(c.Keys, e.key)
		}
	}
	return c, s.fails["MatchingAndChanged"]
}

func once(f *func()) {
	if run := *f; run != nil {
		*f = nil
		run()
	}
}

func (s *source) ActiveKeys(ctx context.Context, f func(audience.Key) error) (Head, error) {
	s.mu.Lock()
	s.loads++
	entries, head, err, loading := s.entries, s.head, s.fails["ActiveKeys"], s.loading
	s.mu.Unlock()
	if loading != nil {
		err = loading(ctx)
	}
	if err != nil {
		return Head{}, err
	}
	for _, e := range entries {
		if err := f(e.key); err != nil {
			return Head{}, err
		}
	}
	return head, nil
}

// snapshotOf loads a snapshot, and returns its clock.
func snapshotOf(t *testing.T, src *source) (*Snapshot, *clock) {
	t.Helper()
	c := &clock{}
	s := NewSnapshot(src, c.read, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// settled returns when no load goes on.
func (s *Snapshot) settled() {
	s.loading.Lock()
	defer s.loading.Unlock()
}

// check asks for keys and wants those of them that are blocked, at a version.
func check(t *testing.T, s *Snapshot, version int64, blocked []audience.Key, keys ...audience.Key) {
	t.Helper()
	matches, got, err := s.Matching(t.Context(), Scope{}, keys)
	if err != nil {
		t.Fatal(err)
	}
	var found []audience.Key
	for _, m := range matches {
		found = append(found, m.Key)
	}
	if diff := cmp.Diff(blocked, found); diff != "" || got != version {
		t.Errorf("version %d, want %d; blocked (-want +got):\n%s", got, version, diff)
	}
}

func some(bytes ...byte) (keys []audience.Key) {
	for _, b := range bytes {
		keys = append(keys, key(b))
	}
	return keys
}

func asked(t *testing.T, what string, want, got [][]audience.Key) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestSnapshotAsksOnlyWhatItCannotRuleOut(t *testing.T) {
	src := &source{}
	src.record(some(1, 2)...)
	s, _ := snapshotOf(t, src)
	twin := key(1) // the same prefix, another key
	twin[15] = 1
	check(t, s, 2, some(2), key(2), key(3), twin)
	check(t, s, 2, nil, key(4))
	asked(t, "asked", [][]audience.Key{{key(2), twin}, nil}, src.asked)
	asked(t, "asked plainly", nil, src.plain)
}

func TestSnapshotOfNothing(t *testing.T) {
	src := &source{}
	s, _ := snapshotOf(t, src)
	check(t, s, 0, nil, key(1))
	check(t, s, 0, nil)
	src.record(key(1))
	check(t, s, 1, some(1), key(1), key(2))
}

func TestSnapshotSeesWhatWasCommittedBeforeTheCall(t *testing.T) {
	src := &source{}
	src.record(key(1))
	s, _ := snapshotOf(t, src)
	src.record(some(2, 3)...)
	check(t, s, 3, some(1, 2), key(1), key(2), key(4))
	asked(t, "in the second statement: what has changed and was not asked", [][]audience.Key{some(2)}, src.plain)
	check(t, s, 3, some(2, 3), key(2), key(3), key(4))
	asked(t, "in one statement, since it is known", [][]audience.Key{some(1), some(2, 3)}, src.asked)
	src.record(key(1)) // known, and changed
	check(t, s, 4, some(1, 1), key(1))
	asked(t, "no second statement for what the first asked", [][]audience.Key{some(2)}, src.plain)
}

// TestSnapshotVersionIsKnownToAllRulings: what is committed between the two
// statements is known to the second alone.
func TestSnapshotVersionIsKnownToAllRulings(t *testing.T) {
	src := &source{}
	s, _ := snapshotOf(t, src)
	src.record(key(1))
	src.after = func() { src.record(key(2)) }
	check(t, s, 1, some(1), key(1), key(2))
	check(t, s, 2, some(1, 2), key(1), key(2))

	src.record(key(3))
	src.after = func() { src.mu.Lock(); src.head.Version = 1; src.mu.Unlock() } // a restored database
	check(t, s, 1, some(3), key(3))
}

// TestSnapshotLearnsInAnyOrder: a call that has read up to version 3 comes to
// learn it after another has learnt up to 5.
func TestSnapshotLearnsInAnyOrder(t *testing.T) {
	src := &source{}
	src.record(key(1))
	s, _ := snapshotOf(t, src)
	src.record(some(2, 3)...)
	src.after = func() {
		src.record(some(4, 5)...)
		check(t, s, 5, some(5), key(5))
	}
	check(t, s, 3, some(2), key(2), key(9)) // the slow one
	if got := s.held.Load().head.Version; got != 5 {
		t.Errorf("the head went to %d, want 5", got)
	}
	check(t, s, 5, some(1, 2, 3, 4, 5), some(1, 2, 3, 4, 5, 6)...)
}

func TestSnapshotInDoubtAsksForAll(t *testing.T) {
	for name, unsettle := range map[string]func(*source){
		"the version went back":                  func(s *source) { s.head.Version = 1; s.entries = s.entries[1:2] },
		"another database":                       func(s *source) { s.head.Epoch = "other" },
		"another database, further on":           func(s *source) { s.head.Epoch = "other"; s.record(key(7)) },
		"too much has changed":                   func(s *source) { s.record(some(11, 12, 13, 14, 15)...) },
		"too much has changed, the key the last": func(s *source) { s.record(some(11, 12, 13, 14, 8)...) },
	} {
		t.Run(name, func(t *testing.T) {
			src := &source{}
			src.record(some(1, 2)...)
			s, c := snapshotOf(t, src)
			s.maxChanges = 4
			src.entries = append(src.entries[:1:1], sourceEntry{key(2), Objected, 2}, sourceEntry{key(9), Objected, 0})
			unsettle(src)
			keys := some(1, 2, 7, 8, 9)
			for range 2 { // the second is not loaded again so soon
				var want []audience.Key
				for _, m := range src.matches(keys) {
					want = append(want, m.Key)
				}
				check(t, s, src.head.Version, want, keys...)
				s.settled()
			}
			asked(t, "asked plainly", [][]audience.Key{keys, keys}, src.plain)
			if src.loads != 1 {
				t.Errorf("%d loads within a pause, want 1", src.loads)
			}
			c.now = c.now.Add(minPause)
			check(t, s, src.head.Version, nil, key(30))
			s.settled()
			if src.loads != 2 || s.held.Load() == nil {
				t.Errorf("after the pause: %d loads, want 2", src.loads)
			}
		})
	}
}

func TestSnapshotLoadsBesideTheCall(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	src := &source{}
	src.record(key(1))
	began, loaded := make(chan struct{}), make(chan struct{})
	src.loading = func(context.Context) error { close(began); <-loaded; return nil }
	now := &clock{now: 1}
	s := NewSnapshot(src, now.read, slog.New(slog.DiscardHandler))
	for range 3 { // while it loads
		check(t, s, 1, some(1), key(1), key(2))
	}
	<-began
	src.record(key(2)) // missed by the load, found by the next call
	close(loaded)
	s.settled()
	check(t, s, 2, some(1, 2), key(1), key(2), key(3))
	asked(t, "asked", [][]audience.Key{some(1)}, src.asked)
	now.now = now.now.Add(minPause)
	s.reload() // of a call that found nothing held just before the load ended
	s.settled()
	if src.loads != 1 {
		t.Errorf("%d loads, want 1", src.loads)
	}
	s.Close()
	check(t, s, 2, some(1, 2), key(1), key(2), key(3))
	s.settled()
	if src.loads != 1 {
		t.Error("it was loaded after it was closed")
	}
}

func TestSnapshotCloseEndsALoad(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	src := &source{loading: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	s := NewSnapshot(src, (&clock{}).read, slog.New(slog.DiscardHandler))
	check(t, s, 0, nil, key(1))
	s.Close()
}

func TestSnapshotThatCannotBeLoaded(t *testing.T) {
	away := errors.New("database away")
	for _, c := range []struct {
		name   string
		fails  error
		most   int
		loads  int // after five pauses
		reason string
	}{
		{"failed", away, 10, 6, "database away"},
		{"too large", nil, 2, 1, "too many suppression entries"},
		{"as large as may be", nil, 3, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := &source{fails: map[string]error{"ActiveKeys": c.fails}}
			src.record(some(1, 2, 3)...)
			now, log := &clock{now: 1}, new(strings.Builder)
			s := NewSnapshot(src, now.read, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})))
			defer s.Close()
			s.maxKeys = c.most
			for range 6 {
				check(t, s, 3, some(1, 3), key(1), key(3), key(4))
				s.settled()
				now.now = now.now.Add(minPause)
			}
			if src.loads != c.loads || strings.Count(log.String(), "\n") != c.loads*min(len(c.reason), 1) || !strings.Contains(log.String(), c.reason) {
				t.Errorf("%d loads, want %d, for reason %q, and said:\n%s", src.loads, c.loads, c.reason, log)
			}
		})
	}
}

func TestSnapshotThatGrowsTooLarge(t *testing.T) {
	src := &source{}
	src.record(some(1, 2)...)
	s, c := snapshotOf(t, src)
	s.maxKeys = 3
	src.record(some(3, 4)...)
	c.now = c.now.Add(minPause)
	check(t, s, 4, some(1, 4), key(1), key(4), key(5))
	s.settled()
	if src.loads != 2 || s.held.Load() != nil {
		t.Errorf("%d loads, want 2, and nothing held", src.loads)
	}
	check(t, s, 4, some(1, 4), key(1), key(4), key(5))
}

func TestSnapshotWithoutDatabase(t *testing.T) {
	away := errors.New("database away")
	for _, method := range []string{"MatchingAndChanged", "Matching"} {
		src := &source{}
		s, _ := snapshotOf(t, src)
		src.record(key(1))
		src.fails = map[string]error{method: away}
		if matches, _, err := s.Matching(t.Context(), Scope{}, some(1, 2)); !errors.Is(err, away) || matches != nil {
			t.Errorf("%s fails: %v %v", method, matches, err)
		}
		src.fails = nil
		check(t, s, 1, some(1), key(1), key(2))
	}
}

// TestSnapshotUnderConcurrency: whoever was recorded before a call is found.
func TestSnapshotUnderConcurrency(t *testing.T) {
	src := &source{}
	s, _ := snapshotOf(t, src)
	var all sync.WaitGroup
	for r := range byte(4) {
		all.Go(func() {
			for i := range byte(50) {
				k := audience.Key{r + 1, i + 1}
				src.record(k)
				matches, _, err := s.Matching(t.Context(), Scope{}, []audience.Key{{99}, k})
				if err != nil || len(matches) != 1 || matches[0].Key != k {
					t.Errorf("%v %v", matches, err)
				}
			}
		})
	}
	all.Wait()
}

// TestPrefixSet holds the set to a map, over folds.
func TestPrefixSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.Custom(func(t *rapid.T) uint64 { // some at each end, some between
			return bits.RotateLeft64(rapid.Uint64Range(0, 99).Draw(t, "prefix"), -rapid.SampledFrom([]int{0, 3, 6}).Draw(t, "turned"))
		})
		want := map[uint64]bool{}
		first := rapid.SliceOfN(few, 0, 80).Draw(t, "first")
		for _, p := range first {
			want[p] = true
		}
		s := newPrefixSet(first)
		s.minFold = rapid.IntRange(0, 10).Draw(t, "minFold")
		for _, p := range rapid.SliceOf(few).Draw(t, "added") {
			s.add(keyOf(p))
			want[p] = true
		}
		for p := range uint64(99 + 2) {
			for _, p := range []uint64{p, bits.RotateLeft64(p, -3), bits.RotateLeft64(p, -6), ^p} {
				if s.has(keyOf(p)) != want[p] {
					t.Fatalf("has %x: %v", p, s.has(keyOf(p)))
				}
			}
		}
		if s.len() != len(want) || len(s.recent) > max(s.minFold, len(s.sorted)/foldPart) {
			t.Fatalf("%d keys, %d of them recent; want %d", s.len(), len(s.recent), len(want))
		}
	})
}

func keyOf(prefix uint64) (k audience.Key) {
	binary.BigEndian.PutUint64(k[:], prefix)
	return k
}

// BenchmarkSnapshot measures what a check of 1000 candidates takes within the
// process: two keys each, one candidate of fifty suppressed.
func BenchmarkSnapshot(b *testing.B) {
	for _, size := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			prefixes := make([]uint64, size)
			for i := range prefixes {
				prefixes[i] = random.Uint64()
			}
			keys := make([]audience.Key, 100*2000) // not the same ones, which would be in the cache
			for i := range keys {
				keys[i] = keyOf(random.Uint64())
				if i%100 == 0 {
					keys[i] = keyOf(prefixes[random.IntN(size)])
				}
			}
			s := NewSnapshot(silent{}, SystemClock, slog.New(slog.DiscardHandler))
			s.held.Store(&held{set: newPrefixSet(prefixes)})
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 2000) % len(keys) {
				if _, _, err := s.Matching(b.Context(), Scope{}, keys[i:i+2000]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// silent is a source with nothing to say.
type silent struct{ Source }

func (silent) MatchingAndChanged(context.Context, Scope, []audience.Key, int64, int64) (Changes, error) {
	return Changes{}, nil
}

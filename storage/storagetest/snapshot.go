package storagetest

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"utskick/audience"
	"utskick/internal/testserver"
	"utskick/storage"
	"utskick/suppression"
)

// snapshots is the suite of what a snapshot of the suppression index relies on.
func snapshots(t *testing.T, engine Engine) {
	var c storage.Config
	fresh := Engine{Name: engine.Name, Config: func(t testing.TB) storage.Config { c = engine.Config(t); return c }}
	for _, s := range []struct {
		name string
		test func(*testing.T, *Env)
	}{
		{"answers as the plain query does", snapshotAnswersAlike},
		{"sees what was committed before", snapshotSeesCommits},
		{"reads versions between two ends", changesBetweenVersions},
		{"finds who was recorded concurrently", snapshotUnderConcurrency},
		{"doubts a server that was started anew", func(t *testing.T, e *Env) { snapshotDoubtsRestart(t, e, c) }},
		{"doubts another database", func(t *testing.T, e *Env) { snapshotDoubts(t, e, c) }},
	} {
		t.Run(s.name, func(t *testing.T) { s.test(t, Open(t, fresh)) })
	}
}

// counted is the store, and how often it was asked in each way.
type counted struct {
	*storage.Store
	plain, changes atomic.Int64
}

func (c *counted) Matching(ctx context.Context, scope suppression.Scope, ks []audience.Key) ([]suppression.Match, int64, error) {
	c.plain.Add(1)
	return c.Store.Matching(ctx, scope, ks)
}

func (c *counted) MatchingAndChanged(ctx context.Context, scope suppression.Scope, ks []audience.Key, after, through int64) (suppression.Changes, error) {
	c.changes.Add(1)
	return c.Store.MatchingAndChanged(ctx, scope, ks, after, through)
}

// snapshot returns a loaded snapshot of the store.
func (e *Env) snapshot() (*suppression.Snapshot, *counted) {
	e.t.Helper()
	src := &counted{Store: e.Store}
	s := suppression.NewSnapshot(src, suppression.SystemClock, slog.New(slog.DiscardHandler))
	e.t.Cleanup(s.Close)
	e.must(s.Load(e.ctx()))
	return s, src
}

// answer is what an index says, in an order of its own.
type answer struct {
	Matches []suppression.Match
	Version int64
}

func ask(ctx context.Context, index suppression.Index, scope suppression.Scope, ks []audience.Key) (answer, error) {
	matches, version, err := index.Matching(ctx, scope, ks)
	slices.SortFunc(matches, func(a, b suppression.Match) int {
		return cmp.Or(slices.Compare(a.Key[:], b.Key[:]), cmp.Compare(a.Cause, b.Cause))
	})
	return answer{matches, version}, err
}

// snapshotAnswersAlike makes wishes of all sorts, and asks in between.
func snapshotAnswersAlike(t *testing.T, e *Env) {
	rounds := 0
	rapid.Check(t, func(t *rapid.T) {
		rounds++
		people := rapid.IntRange(0, 5)
		keyOf := func(person int) audience.Key { return e.email(fmt.Sprintf("r%d-%d@example.com", rounds, person)) }
		snapshot := suppression.NewSnapshot(e.Store, suppression.SystemClock, slog.New(slog.DiscardHandler))
		defer snapshot.Close()
		wish := func() suppression.Wish {
			entry := suppression.Entry{Key: keyOf(people.Draw(t, "person")), Topic: rapid.SampledFrom([]string{"*", "newsletter", "survey"}).Draw(t, "topic"),
				Channel: rapid.SampledFrom([]string{"*", "email", "sms"}).Draw(t, "channel"), Purpose: "marketing", Sender: "*",
				Cause:  rapid.SampledFrom([]suppression.Cause{suppression.Objected, suppression.Bounced}).Draw(t, "cause"),
				Active: rapid.IntRange(0, 3).Draw(t, "lifted") > 0, Source: "test"}
			if rapid.Bool().Draw(t, "expires") {
				entry.ExpiresAt = e.Now.Add(time.Hour)
			}
			return suppression.Wish{Entry: entry, Person: rapid.Bool().Draw(t, "of the person")}
		}
		check := func() {
			var ks []audience.Key
			for _, person := range rapid.SliceOf(people).Draw(t, "people") {
				ks = append(ks, keyOf(person))
			}
			want, err := ask(e.ctx(), e.Store, marketing, ks)
			e.must(err)
			got, err := ask(e.ctx(), snapshot, marketing, ks)
			e.must(err)
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("the snapshot answers otherwise (-plain +snapshot):\n%s", diff)
			}
		}
		steps := map[string]func(){
			"record": func() { e.must1(e.Record(e.ctx(), wish())) },
			"import": func() {
				_, err := e.RecordAll(e.ctx(), []suppression.Wish{wish(), wish(), wish()})
				e.must(err)
			},
			"time passes": func() { e.Now = e.Now.Add(20 * time.Minute) },
			"load":        func() { e.must(snapshot.Load(e.ctx())) },
			"check":       check,
		}
		names := slices.Sorted(maps.Keys(steps))
		steps["load"]()
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			steps[rapid.SampledFrom(names).Draw(t, "step")]()
		}
		check()
	})
}

func snapshotSeesCommits(t *testing.T, e *Env) {
	s, src := e.snapshot()
	for i := range 3 {
		k := e.email(address(i))
		e.must1(e.Record(e.ctx(), objection(k)))
		for _, want := range []int64{int64(i) + 1, int64(i) + 1} {
			got, err := ask(e.ctx(), s, marketing, []audience.Key{k, e.email("nobody@example.com")})
			e.must(err)
			if diff := gocmp.Diff(answer{[]suppression.Match{{Key: k, Cause: suppression.Unsubscribed}}, want}, got); diff != "" {
				t.Error(diff)
			}
		}
	}
	if src.changes.Load() != 6 || src.plain.Load() != 3 {
		t.Errorf("asked %d and %d times, want 6, and 3 for the changed ones alone", src.changes.Load(), src.plain.Load())
	}
}

func changesBetweenVersions(t *testing.T, e *Env) {
	var ks []audience.Key
	for i := range 6 {
		ks = append(ks, e.email(address(i)))
		e.must1(e.Record(e.ctx(), objection(ks[i])))
	}
	lifted := objection(ks[2])
	lifted.Entry.Active = false
	e.must1(e.Record(e.ctx(), lifted))
	var active []audience.Key
	head, err := e.ActiveKeys(e.ctx(), func(k audience.Key) error { active = append(active, k); return nil })
	e.must(err)
	if diff := gocmp.Diff(sorted(ks[0], ks[1], ks[3], ks[4], ks[5]), sorted(active...)); diff != "" || head.Version != 7 {
		t.Errorf("active keys at version %d, want 7:\n%s", head.Version, diff)
	}
	for _, c := range []struct {
		after, through int64
		want           []audience.Key
	}{{0, 2, ks[:2]}, {1, 4, []audience.Key{ks[1], ks[3]}}, {4, 5, ks[4:5]}, {6, 100, nil}, {7, 100, nil}} {
		got, err := e.MatchingAndChanged(e.ctx(), marketing, []audience.Key{ks[0], ks[2]}, c.after, c.through)
		e.must(err)
		want := suppression.Changes{Head: head, Matches: []suppression.Match{{Key: ks[0], Cause: suppression.Unsubscribed}}, Keys: sorted(c.want...)}
		got.Keys = sorted(got.Keys...)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("above %d through %d: %s", c.after, c.through, diff)
		}
	}
}

func sorted(ks ...audience.Key) []audience.Key {
	return slices.SortedFunc(slices.Values(ks), func(a, b audience.Key) int { return slices.Compare(a[:], b[:]) })
}

// snapshotUnderConcurrency: an entry whose Record has returned before a check
// begins is found by it, however many record and check beside.
func snapshotUnderConcurrency(t *testing.T, e *Env) {
	s, _ := e.snapshot()
	const recorders, each = 3, 10
	var recorded [recorders]atomic.Int64
	keyOf := func(r, i int) audience.Key { return e.email(fmt.Sprintf("c%d-%d@example.com", r, i)) }
	check := func() {
		var want []audience.Key
		for r := range recorders {
			for i := range recorded[r].Load() {
				want = append(want, keyOf(r, int(i)))
			}
		}
		got, err := ask(e.ctx(), s, marketing, append(want, e.email("nobody@example.com")))
		var found []audience.Key
		for _, m := range got.Matches {
			found = append(found, m.Key)
		}
		if diff := gocmp.Diff(sorted(want...), found); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		if got.Version < int64(len(want)) {
			t.Errorf("version %d, but %d entries were there before", got.Version, len(want))
		}
	}
	var writing, checking sync.WaitGroup
	done := make(chan struct{})
	for r := range recorders {
		writing.Go(func() {
			for i := range each {
				if _, err := e.Record(e.ctx(), objection(keyOf(r, i))); err != nil {
					t.Error(err)
				}
				recorded[r].Store(int64(i + 1))
				check()
			}
		})
		checking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					check()
				}
			}
		})
	}
	writing.Wait()
	close(done)
	checking.Wait()
}

// snapshotDoubts exchanges what is below the snapshot.
func snapshotDoubts(t *testing.T, e *Env, c storage.Config) {
	driver, address := "pgx", c.URL
	if c.URL == "" {
		driver, address = "sqlite", "file:"+filepath.Join(c.DataDir, "utskick.db")+"?_pragma=busy_timeout(20000)"
	}
	db, err := sql.Open(driver, address)
	e.must(err)
	t.Cleanup(func() { db.Close() })
	k := e.email("a@example.com")
	e.must1(e.Record(e.ctx(), objection(k)))
	changes := []string{
		`update suppression_head set generation = generation + 1`,
		`update suppression_head set ver = ver - 1`,
		`update suppression_head set ver = ver + 20001`, // more than a call reads
	}
	if c.URL != "" { // a restored dump
		changes = append(changes, `create table restored (like suppression_head including all); insert into restored select id, ver, generation from suppression_head;
			drop table suppression_head; alter table restored rename to suppression_head`)
	}
	for _, change := range changes {
		s, src := e.snapshot()
		want, err := ask(e.ctx(), s, marketing, []audience.Key{k})
		e.must(err)
		_, err = db.ExecContext(e.ctx(), change)
		e.must(err)
		plain, err := ask(e.ctx(), e.Store, marketing, []audience.Key{k})
		e.must(err)
		got, err := ask(e.ctx(), s, marketing, []audience.Key{k})
		e.must(err)
		if diff := gocmp.Diff(plain, got); diff != "" || len(want.Matches) != 1 || src.plain.Load() != 1 {
			t.Errorf("%s: all asked %d times, want once\n%s", change, src.plain.Load(), diff)
		}
	}
}

// snapshotDoubtsRestart starts a server of its own anew, as for a restored
// backup. The version alone would not tell. An embedded database has no server.
func snapshotDoubtsRestart(t *testing.T, e *Env, c storage.Config) {
	if c.URL == "" {
		return
	}
	server, err := testserver.StartPostgres(e.ctx(), testserver.Options{})
	e.must(err)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	url, err := server.NewDatabase(e.ctx())
	e.must(err)
	e = Open(t, Engine{Config: func(testing.TB) storage.Config { return storage.Config{URL: url, Connections: 1} }})
	s, src := e.snapshot()
	e.must(server.Restart(e.ctx()))
	for e.Ping(e.ctx()) != nil && e.ctx().Err() == nil { // connections that broke
	}
	_, err = ask(e.ctx(), s, marketing, nil)
	e.must(err)
	if src.plain.Load() != 1 {
		t.Errorf("all asked %d times, want once", src.plain.Load())
	}
}

package rights

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// forgetful has so many transactions of 500 rows left for each rule.
type forgetful struct {
	left  map[RuleName]int
	noted map[RuleName]int64
	turns []time.Time // when it is due again, as it was told
	taken bool
	fails RuleName
}

func (f *forgetful) Forget(_ context.Context, rule RuleName, _ time.Time, step func(int64) error) error {
	for f.left[rule] > 0 {
		if rule == f.fails {
			return errors.New("away")
		}
		f.left[rule]--
		if err := step(500); err != nil {
			return err
		}
	}
	return nil
}

func (f *forgetful) Forgettable(_ context.Context, rule RuleName, _ time.Time) (int64, error) {
	return int64(500 * f.left[rule]), nil
}

func (f *forgetful) NoteForgotten(_ context.Context, rule RuleName, rows int64) error {
	f.noted[rule] += rows
	return nil
}

func (f *forgetful) TakeTurn(_ context.Context, until time.Time) (bool, error) {
	if f.taken {
		return false, nil
	}
	f.turns = append(f.turns, until)
	return true, nil
}

func (f *forgetful) EndTurn(_ context.Context, next time.Time) error {
	f.turns = append(f.turns, next)
	return nil
}

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func newRetention(f *forgetful, log *strings.Builder) (*Retention, *[]time.Duration) {
	var waits []time.Duration
	return &Retention{Store: f, Rules: Rules(map[RuleName]int{KeepEvents: 30, KeepAudit: 365}), Now: func() time.Time { return noon },
		Log: slog.New(slog.NewTextHandler(log, nil)), Wait: func(_ context.Context, d time.Duration) { waits = append(waits, d) }}, &waits
}

func TestRetentionPausesAndEndsItsTurn(t *testing.T) {
	f := &forgetful{left: map[RuleName]int{KeepEvents: 3, KeepCases: 5, KeepAudit: 1}, noted: map[RuleName]int64{}}
	r, waits := newRetention(f, &strings.Builder{})
	if err := r.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[RuleName]int64{KeepEvents: 1500, KeepAudit: 500}, f.noted); diff != "" {
		t.Errorf("a rule that is off, or one that is not (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]time.Time{noon.Add(time.Hour), noon.Add(24 * time.Hour)}, f.turns); diff != "" {
		t.Error(diff)
	}
	if len(*waits) != 4 || (*waits)[0] < retainPause {
		t.Errorf("pauses %v", *waits)
	}
	f.taken, f.left[KeepEvents] = true, 3
	if err := r.round(t.Context()); err != nil || f.left[KeepEvents] != 3 {
		t.Errorf("out of turn: %v", err)
	}
}

func TestRetentionThatFailsGoesOnLater(t *testing.T) {
	f := &forgetful{left: map[RuleName]int{KeepEvents: 1, KeepAudit: 1}, noted: map[RuleName]int64{}, fails: KeepAudit}
	r, _ := newRetention(f, &strings.Builder{})
	if err := r.round(t.Context()); err == nil || !strings.Contains(err.Error(), "retention of audit") {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]time.Time{noon.Add(time.Hour)}, f.turns); diff != "" || f.noted[KeepEvents] != 500 {
		t.Errorf("%v %s", f.noted, diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.fails, f.left[KeepEvents] = "", 2
	if err := r.round(ctx); !errors.Is(err, context.Canceled) || f.left[KeepEvents] != 1 {
		t.Errorf("%v, %d left", err, f.left[KeepEvents])
	}
	preview, err := Preview(t.Context(), f, r.Rules, noon)
	if err != nil || preview[0].Rows != 500 || f.left[KeepEvents] != 1 {
		t.Errorf("%+v, %v", preview, err)
	}
}

func TestLatenciesAreNotLost(t *testing.T) {
	var log strings.Builder
	var kept []Latency
	down := true
	l := &Latencies{Log: slog.New(slog.NewTextHandler(&log, nil)), Keep: func(_ context.Context, gathered []Latency) error {
		if down {
			return errors.New("away")
		}
		kept = append(kept, gathered...)
		return nil
	}}
	l.Note(noon, 30*time.Millisecond)
	l.Flush(t.Context())
	l.Note(noon, 30*time.Millisecond)
	down = false
	l.Flush(t.Context())
	l.Flush(t.Context())
	want := []Latency{{Day: noon.Unix() / 86400, Bucket: BucketOf(30 * time.Millisecond), N: 2}}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBucketsAreATenthWide(t *testing.T) {
	for _, d := range []time.Duration{time.Microsecond, time.Millisecond, 1100 * time.Microsecond, 7 * time.Millisecond, time.Second, 9 * time.Second, time.Hour} {
		b := BucketOf(d)
		if end := BucketEnd(b); end < d-time.Microsecond || d > time.Millisecond && float64(end) > 1.11*float64(d) {
			t.Errorf("%s is in bucket %d, which ends at %s", d, b, end)
		}
	}
	all := []Latency{{Bucket: 0, N: 98}, {Bucket: 10, N: 1}, {Bucket: 20, N: 1}}
	for p, want := range map[float64]int64{0.5: 0, 0.98: 0, 0.99: 10, 1: 20} {
		if d, n := Quantile(all, p); n != 100 || d != BucketEnd(want) {
			t.Errorf("%g: %s of %d", p, d, n)
		}
	}
	if _, n := Quantile(nil, 0.5); n != 0 {
		t.Error("something of nothing")
	}
}

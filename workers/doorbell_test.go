package workers

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/internal/testserver"
	"utskick/suppression"
)

// store is a fake that has batches and slices to ring for, each until it was
// worked on; done tells of every one that was.
type store struct {
	mu      sync.Mutex
	batches []int64
	slices  []int
	ended   int64 // a batch of another channel that is only to be closed
	rung    map[int64]bool
	forgot  int
	done    chan int64
	hold    chan struct{} // what work waits for; nil: nothing
}

func newStore(batches ...int64) *store {
	return &store{batches: batches, rung: map[int64]bool{}, done: make(chan int64, 100)}
}

func (s *store) RingBatches(_ context.Context, ch audience.Channel, limit int) (refs []dispatcher.BatchRef, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.batches {
		if ch == audience.Email && !s.rung[id] && len(refs) < limit {
			s.rung[id] = true
			refs = append(refs, dispatcher.BatchRef{ID: id, Channel: ch})
		}
	}
	return refs, nil
}

// RingEnded rings for the SMS batch that nobody here can send.
func (s *store) RingEnded(_ context.Context, ch audience.Channel, _ int) ([]dispatcher.BatchRef, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch != audience.SMS || s.ended == 0 || s.rung[s.ended] {
		return nil, nil
	}
	s.rung[s.ended] = true
	return []dispatcher.BatchRef{{ID: s.ended, Channel: ch}}, nil
}

func (s *store) RingSlices(context.Context, int) (refs []dispatcher.SliceRef, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slice := range s.slices {
		refs = append(refs, dispatcher.SliceRef{Run: 1, Channel: audience.Email, Slice: slice})
	}
	s.slices = nil
	return refs, nil
}

func (s *store) ForgetRings(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot++
	s.rung = map[int64]bool{}
	return nil
}

func (s *store) PlanSlice(_ context.Context, ref dispatcher.SliceRef) error {
	s.done <- -int64(ref.Slice)
	return nil
}

func (s *store) Dispatch(_ context.Context, ref dispatcher.BatchRef) error {
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	for i, id := range s.batches {
		if id == ref.ID {
			s.batches = append(s.batches[:i:i], s.batches[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	s.done <- ref.ID
	return nil
}

func (s *store) NoteLapses(context.Context) error { return nil }

func (s *store) StartDueRuns(context.Context) (int, error)                    { return 0, nil }
func (s *store) FinishRuns(context.Context) (int, error)                      { return 0, nil }
func (s *store) ForgetRequesters(context.Context) (int, error)                { return 0, nil }
func (s *store) CallingBatches(context.Context) ([]dispatcher.Calling, error) { return nil, nil }
func (s *store) Sweep(context.Context, dispatcher.Calling) error              { return nil }

func (s *store) expect(t *testing.T, want ...int64) {
	t.Helper()
	missing := map[int64]bool{}
	for _, id := range want {
		missing[id] = true
	}
	deadline := time.After(30 * time.Second)
	for len(missing) > 0 {
		select {
		case id := <-s.done:
			delete(missing, id)
		case <-deadline:
			t.Fatalf("never worked on: %v", missing)
		}
	}
}

// runPool runs a pool until the test ends, or until the returned function is
// called.
func runPool(t *testing.T, r *Redis, s *store) (stop func()) {
	t.Helper()
	p := NewPool(Config{Redis: r, Rings: s, Planner: s, Sender: s, Keeper: dispatcher.NewKeeper(s, suppression.SystemClock),
		Concurrency: map[string]int{"plan": 1, "email": 2}, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// everyRedis runs a test on the in-process Redis, and on a real one where it is
// installed.
func everyRedis(t *testing.T, test func(*testing.T, *Redis)) {
	t.Run("embedded", func(t *testing.T) {
		r, err := EmbeddedRedis()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		test(t, r)
	})
	if url, ok := testserver.Redis(t); ok {
		t.Run("real", func(t *testing.T) {
			r, err := OpenRedis(url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(r.Close)
			test(t, r)
		})
	}
}

func TestDoorbellIsAnswered(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		s := newStore(1, 2, 3)
		s.slices, s.ended = []int{7}, 44
		runPool(t, r, s)
		s.expect(t, 1, 2, 3, -7, 44)
		names, err := r.client.SMembers(t.Context(), queuesKey).Result()
		if err != nil || len(names) != 2 {
			t.Errorf("queues on the dashboard: %v %v", names, err)
		}
	})
}

// TestEmptiedRedis empties Redis while rung tasks wait in it.
func TestEmptiedRedis(t *testing.T) {
	everyRedis(t, func(t *testing.T, r *Redis) {
		s := newStore(1, 2, 3, 4, 5, 6)
		s.hold = make(chan struct{})
		runPool(t, r, s)
		s.hold <- struct{}{} // work has begun, so the others wait
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(s.hold)
		s.expect(t, 1, 2, 3, 4, 5, 6)
	})
}

func TestWithoutRedis(t *testing.T) {
	gone, err := EmbeddedRedis()
	if err != nil {
		t.Fatal(err)
	}
	url := "redis://" + gone.server.Addr()
	gone.Close()
	r, err := OpenRedis(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	s := newStore(1, 2, 3, 4, 5)
	s.slices = []int{7}
	runPool(t, r, s)
	s.expect(t, 1, 2, 3, 4, 5, -7)
}

// TestStopFinishesWhatWasBegun stops the pool while a batch is being sent.
func TestStopFinishesWhatWasBegun(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	r, err := EmbeddedRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := newStore(1)
	s.hold = make(chan struct{})
	stop := runPool(t, r, s)
	s.hold <- struct{}{}
	stop()
	select {
	case <-s.done:
	default:
		t.Error("the pool ended before its work")
	}
}

func TestRedisAddressIsNotRepeated(t *testing.T) {
	_, err := OpenRedis("redis//:very-secret@host")
	if err == nil || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("%v", err)
	}
}

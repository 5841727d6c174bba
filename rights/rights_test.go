package rights

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"utskick/dispatcher"
	"utskick/suppression"
)

// TestEveryCauseHasWords: nobody who asks is answered with a code.
func TestEveryCauseHasWords(t *testing.T) {
	for code, list := range dispatcher.Causes() {
		if outcomes[code.String()].Swedish == "" || outcomes[code.String()].English == "" {
			t.Errorf("%s has no words", code)
		}
		for _, c := range list {
			if causes[string(c)].Swedish == "" || causes[string(c)].English == "" {
				t.Errorf("%s has no words", c)
			}
		}
	}
}

func TestCases(t *testing.T) {
	for name, ok := range map[string]bool{"2026-114": true, "ärende 7": true, "": false, " ": false, "anna@example.com": false, "a\nb": false, "19121212-1212": false, "ärende 701063-2391": false, strings.Repeat("7", 101): false} {
		if err := (Asked{Case: name}).Check(); (err == nil) != ok || err != nil && name != "" && name != " " && strings.Contains(err.Error(), name) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

// store is one that has to be asked several times.
type store struct {
	open     int64 // the number of the last request
	speaks   int   // how often somebody is not suppressed yet
	broken   error
	recorded int
	finished []int64
}

func (s *store) OpenErasure(context.Context, Asked) (Erasure, error) { return Erasure{ID: 1}, s.broken }

func (s *store) FinishErasure(_ context.Context, id int64) (Erasure, error) {
	s.finished = append(s.finished, id)
	if id == 1 && s.broken != nil {
		return Erasure{}, s.broken
	}
	if s.speaks > 0 {
		s.speaks--
		return Erasure{ID: id}, ErrSpeaks
	}
	return Erasure{ID: id, DoneAt: time.Unix(1, 0)}, nil
}

func (s *store) ErasureList(context.Context, bool, int) ([]Erasure, error) {
	panic("who lists the newest does not see them all")
}

func (s *store) OpenErasures(_ context.Context, after int64, limit int) (list []Erasure, err error) {
	for id := after + 1; id <= s.open && len(list) < limit; id++ {
		list = append(list, Erasure{ID: id})
	}
	return list, nil
}

func (s *store) Record(context.Context, suppression.Wish) (suppression.Recorded, error) {
	s.recorded++
	return suppression.Recorded{}, nil
}

// TestFinish: nobody is erased who is not suppressed. One that fails holds up no
// other, and neither do all those that came before.
func TestFinish(t *testing.T) {
	s := &store{open: 2*eraseMost + 1, speaks: 2}
	e := &Eraser{Store: s, Recorder: s, Log: slog.New(slog.DiscardHandler)}
	if now, err := e.Finish(t.Context(), Erasure{ID: 1}); err != nil || !now.Done() || s.recorded != 2 {
		t.Errorf("%+v, %v, recorded %d times", now, err, s.recorded)
	}
	s.speaks = attempts
	if _, err := e.Finish(t.Context(), Erasure{ID: 1}); !errors.Is(err, ErrSpeaks) {
		t.Errorf("%v", err)
	}
	s.broken, s.finished = errors.New("broken"), nil
	ctx, cancel := context.WithCancel(t.Context())
	e.Wait = func(context.Context, time.Duration) { cancel() }
	e.Run(ctx)
	for i, id := range s.finished {
		if id != int64(i+1) {
			t.Fatalf("tried %v", s.finished)
		}
	}
	if len(s.finished) != int(s.open) {
		t.Errorf("tried %d of %d", len(s.finished), s.open)
	}
	if _, err := e.Ask(t.Context(), Asked{Case: "7"}); !errors.Is(err, s.broken) {
		t.Errorf("acknowledged: %v", err)
	}
}

package dispatcher_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"utskick/dispatcher"
)

// TestAuditsGoOn has one audit that finds a breach, one that fails, and one that
// takes a minute.
func TestAuditsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var log strings.Builder
		var at []time.Duration
		ctx, cancel := context.WithCancel(t.Context())
		a := dispatcher.Auditor{Log: slog.New(slog.NewTextHandler(&log, nil))}
		a.Breaches = func(context.Context) ([]dispatcher.Breach, error) {
			at = append(at, time.Since(began))
			switch len(at) {
			case 1:
				return []dispatcher.Breach{{Promise: "P2", Name: "duplicates", Count: 3}}, nil
			case 2:
				return nil, errors.New("away")
			case 3:
				time.Sleep(time.Minute) // of the test's clock
				return []dispatcher.Breach{{Promise: "P2", Name: "duplicates"}}, nil
			}
			cancel()
			return nil, ctx.Err()
		}
		a.Run(ctx)
		want := []time.Duration{0, 10 * time.Minute, 20 * time.Minute, 71 * time.Minute}
		for i := range want {
			if at[i] != want[i] {
				t.Fatalf("audits at %v, want %v", at, want)
			}
		}
		last := a.Last()
		if last.Took != time.Minute || last.At.Sub(began) != 21*time.Minute || len(last.Breaches) != 1 || last.Breaches[0].Count != 0 {
			t.Errorf("the last: %+v", last)
		}
		if !strings.Contains(log.String(), "name=duplicates count=3") || !strings.Contains(log.String(), "away") {
			t.Errorf("the log: %s", log.String())
		}
	})
}

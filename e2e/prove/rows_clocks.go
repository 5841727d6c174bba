package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"utskick/e2e/witness"
	"utskick/internal/testserver"
)

// clocks are wall clocks that are an hour off.
func clocks() (all []row) {
	for name, shift := range map[string]string{"ahead": "1h", "back": "-1h"} {
		all = append(all, row{
			name: "clock-" + name, fault: "the clock of a worker one hour " + name + ", and 429s", ends: "P6",
			arms: func(string) map[string][]string {
				off := []string{"clock=shift:" + shift}
				return map[string][]string{"work-1": off, "serve": off}
			},
			apply: func(s *stage) error {
				if s.engine == sqlite {
					// The commands run on the same machine, and so by the same clock.
					s.env["UTSKICK_FAILPOINTS"] = "clock=shift:" + shift
				}
				return s.misbehaving(6*time.Second, witness.Rule{Status: 429, RetryAfter: 1, Every: 3})
			},
		})
	}
	return append(all, row{
		name: "clock-postgres", fault: "the clock of Postgres an hour ahead, then an hour back", engines: []string{postgres},
		server: preloadClock, apply: shiftPostgres,
	})
}

//go:embed shim/clock.c
var clockSource []byte

// preloadClock compiles what stands between Postgres and its clock.
func preloadClock(s *stage) (o testserver.Options, err error) {
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		return o, errSkipped{"there is no gcc to compile what shifts the clock of Postgres"}
	}
	// Postgres runs as somebody else, who may not enter our folders.
	dir, err := os.MkdirTemp("", "utskick-clock-")
	if err != nil {
		return o, err
	}
	s.closing = append(s.closing, func() error { return os.RemoveAll(dir) })
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	//nolint:gosec // G302: user postgres enters it.
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(source, clockSource, 0o600)); err != nil {
		return o, err
	}
	if out, err := exec.CommandContext(s.ctx, compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		return o, fmt.Errorf("compile the clock: %w: %s", err, out)
	}
	s.shift = filepath.Join(dir, "shift")
	return testserver.Options{Env: []string{"LD_PRELOAD=" + library, "UTSKICK_SHIM_FILE=" + s.shift}}, nil
}

// shiftPostgres sets its clock ahead in the middle of one campaign and back in
// that of the next, and asks it whether it believes that.
func shiftPostgres(s *stage) error {
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		if _, err := s.launch(); err != nil {
			return err
		}
		time.Sleep(time.Second)
		//nolint:gosec // G306: user postgres reads it.
		if err := os.WriteFile(s.shift, fmt.Appendf(nil, "%d", int(by.Seconds())), 0o644); err != nil {
			return err
		}
		off, err := s.postgresOff()
		if err != nil {
			return err
		}
		if (off - by).Abs() > time.Minute {
			return fmt.Errorf("the row proves nothing: the clock of Postgres is off by %s, not by %s", off, by)
		}
		s.faults++
		time.Sleep(3 * time.Second)
	}
	s.over = time.Now()
	return nil
}

// postgresOff returns how far the server's clock is ahead of ours.
func (s *stage) postgresOff() (time.Duration, error) {
	conn, err := pgx.Connect(s.ctx, s.postgres.URL)
	if err != nil {
		return 0, err
	}
	var now time.Time
	err = conn.QueryRow(s.ctx, `select clock_timestamp()`).Scan(&now)
	return time.Until(now), errors.Join(err, conn.Close(s.ctx))
}

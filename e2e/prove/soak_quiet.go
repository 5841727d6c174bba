package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"utskick/e2e/witness"
)

// backlog is what became of what the faults had held up, counted from the end
// of the last of them.
type backlog struct {
	claims, waiting int           // claims that were open, people without an answer, at the start
	untold          int           // webhooks, each copy by itself, that were not acknowledged
	gone            time.Duration // when nothing of both was left; 0: never
	pace            time.Duration // when sending was as fast as the limit again; 0: never
}

// backlogLimit is how long a backlog may last.
const backlogLimit = 120 * time.Second

func (b backlog) String() string {
	say := func(d time.Duration) string {
		if d == 0 {
			return "never"
		}
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%d claims, %d objections and %d webhooks open: settled %s, at the limit again %s", b.claims, b.waiting, b.untold, say(b.gone), say(b.pace))
}

func (b backlog) tooLong() bool {
	return b.gone == 0 || b.pace == 0 || max(b.gone, b.pace) > backlogLimit
}

// beQuiet watches how the product gets well when nothing happens to it.
//
// Its backlog is gone when three things have come true. Every claim that was
// open when the last fault was over is settled or swept up. Everybody who had
// asked to be left alone by then has been answered, and every webhook that was
// due by then is acknowledged. And of each channel people
// get their outcome at 0.9 times the limit or more over ten seconds, or nobody is
// pending. Whoever waits after that waits for the limit alone.
func (s *soak) beQuiet(ctx context.Context) error {
	over, since := witness.Now(), time.Now()
	db, err := pgx.Connect(s.ctx, s.env["UTSKICK_DATABASE_URL"])
	if err != nil {
		return err
	}
	defer db.Close(s.ctx)
	open, err := openClaims(s.ctx, db)
	if err != nil {
		return err
	}
	told, err := s.hooks()
	if err != nil {
		return err
	}
	b := backlog{claims: len(open), waiting: s.tally.waiting(over), untold: told.Waiting}
	if err := s.noteEntries(db); err != nil {
		return err
	}
	s.setWindow(+1)
	defer s.setWindow(-1)
	var paces paces
	for time.Since(since) < s.quiet {
		claims, errClaims := openClaims(s.ctx, db)
		told, errTold := s.hooks()
		if err := errors.Join(errClaims, errTold); err != nil {
			return err
		}
		if b.gone == 0 && !meet(open, claims) && s.tally.waiting(over) == 0 && (told.Oldest == 0 || told.Oldest > over) {
			b.gone = time.Since(since)
		}
		if paces.see(s.pending()); b.pace == 0 && paces.allAtLimit(s.limits()) {
			b.pace = time.Since(since)
		}
		if !pause(ctx, time.Second) {
			break
		}
	}
	// A quiet time that was cut short counts if it was long enough to know.
	if time.Since(since) > backlogLimit || !b.tooLong() {
		s.noteBacklog(b)
	}
	return nil
}

func (s *soak) noteBacklog(b backlog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backlogs = append(s.backlogs, b)
	fmt.Printf("%8s  quiet: %s\n", s.elapsed(), b)
}

// paces are what of each channel was settled at some times, and which of them
// have been at the limit since, or had nobody pending.
type paces struct {
	at      []time.Time
	settled [3][]int64
	idle    [3]bool
	reached [3]bool
}

// see notes the settled and the pending of each channel at some time.
func (p *paces) see(at time.Time, settled, pending [3]int64) {
	if len(p.at) > 0 && !at.After(p.at[len(p.at)-1]) {
		return
	}
	p.at = append(p.at, at)
	for ch := range settled {
		p.settled[ch] = append(p.settled[ch], settled[ch])
		p.idle[ch] = pending[ch] == 0
	}
}

// allAtLimit reports whether each channel has been at its limit, in messages a
// second, for ten seconds, or idle.
func (p *paces) allAtLimit(limits [3]int) bool {
	last := len(p.at) - 1
	for ch, limit := range limits {
		for i, at := range p.at {
			took := p.at[last].Sub(at)
			if took >= 10*time.Second && float64(p.settled[ch][last]-p.settled[ch][i]) >= 0.9*float64(limit)*took.Seconds() {
				p.reached[ch] = true
			}
		}
		p.reached[ch] = p.reached[ch] || p.idle[ch]
	}
	return p.reached == [3]bool{true, true, true}
}

// noteEntries notes how many suppression entries were ever written by now.
func (s *soak) noteEntries(db *pgx.Conn) error {
	var entries int64
	err := db.QueryRow(s.ctx, `select ver from suppression_head`).Scan(&entries)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, entries)
	return err
}

// claim is a batch under a fence.
type claim struct{ batch, fence int64 }

func openClaims(ctx context.Context, db *pgx.Conn) ([]claim, error) {
	rows, err := db.Query(ctx, `select id, fence from batches where state = 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c claim, err error) {
		return c, row.Scan(&c.batch, &c.fence)
	})
}

func meet(some, others []claim) bool {
	return slices.ContainsFunc(some, func(c claim) bool { return slices.Contains(others, c) })
}

// setWindow begins or ends a time that is quiet; the sign of window says which.
func (s *soak) setWindow(sign int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window = sign * (max(s.window, -s.window) + (sign+1)/2)
}

var errNoVitals = errors.New("it has not said how it is")

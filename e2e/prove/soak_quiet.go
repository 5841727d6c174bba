package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"utskick/e2e/witness"
)

// backlog is what became of what the faults had held up, counted from the end
// of the last of them.
type backlog struct {
	begun, waiting int           // batches that were begun, people without an answer, at the start
	gone           time.Duration // when nothing of both was left; 0: never
	pace           time.Duration // when sending was as fast as the limit again; 0: never
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
	return fmt.Sprintf("%d batches and %d objections open: settled %s, at the limit again %s", b.begun, b.waiting, say(b.gone), say(b.pace))
}

func (b backlog) tooLong() bool {
	return b.gone == 0 || b.pace == 0 || max(b.gone, b.pace) > backlogLimit
}

// beQuiet watches how the product gets well when nothing happens to it.
//
// Its backlog is gone when three things have come true. Every batch that
// somebody had begun when the last fault was over, and that was not done then,
// is done. Everybody who had asked to be left alone by then has been answered.
// And e-mails get their outcome at 0.9 times the limit or more, over ten
// seconds, or none is pending. What waits after that waits for the limit alone.
func (s *soak) beQuiet(ctx context.Context) error {
	over, since := witness.Now(), time.Now()
	db, err := pgx.Connect(s.ctx, s.env["UTSKICK_DATABASE_URL"])
	if err != nil {
		return err
	}
	defer db.Close(s.ctx)
	begun, err := begunBatches(s.ctx, db)
	if err != nil {
		return err
	}
	b := backlog{begun: len(begun), waiting: s.tally.waiting(over)}
	s.setWindow(+1)
	defer s.setWindow(-1)
	var paces []pace
	for time.Since(since) < s.quiet {
		left, err := undone(s.ctx, db, begun)
		if err != nil {
			return err
		}
		if b.gone == 0 && left == 0 && s.tally.waiting(over) == 0 {
			b.gone = time.Since(since)
		}
		settled, pending := s.settled()
		paces = append(paces, pace{time.Now(), settled})
		if b.pace == 0 && (pending == 0 || atLimit(paces, s.rate)) {
			b.pace = time.Since(since)
		}
		if !pause(ctx, time.Second) {
			return s.cutShort(b, since)
		}
	}
	s.noteBacklog(b)
	return nil
}

// cutShort keeps what was seen of a quiet time that came to no end: it counts if
// it was long enough to know.
func (s *soak) cutShort(b backlog, since time.Time) error {
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

// pace is how many had their outcome at a time.
type pace struct {
	at      time.Time
	settled int64
}

// atLimit reports whether there was a stretch of ten seconds at the limit, up to
// the last of these.
func atLimit(all []pace, rate int) bool {
	last := all[len(all)-1]
	for _, p := range all {
		took := last.at.Sub(p.at)
		if took >= 10*time.Second && float64(last.settled-p.settled) >= 0.9*float64(rate)*took.Seconds() {
			return true
		}
	}
	return false
}

func begunBatches(ctx context.Context, db *pgx.Conn) ([]int64, error) {
	rows, err := db.Query(ctx, `select id from batches where state <> 2 and fence > 0`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func undone(ctx context.Context, db *pgx.Conn, ids []int64) (n int, err error) {
	err = db.QueryRow(ctx, `select count(*) from batches where state <> 2 and id = any($1)`, ids).Scan(&n)
	return n, err
}

// setWindow begins or ends a time that is quiet; the sign of window says which.
func (s *soak) setWindow(sign int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window = sign * (max(s.window, -s.window) + (sign+1)/2)
}

var errNoVitals = errors.New("it has not said how it is")

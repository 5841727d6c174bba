package main

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"utskick/dispatcher"
	"utskick/e2e/witness"
	"utskick/internal/failpoint"
)

// eventsASecond is how many events serve is offered a second.
const eventsASecond = 3000

// storms are the rows in which serve takes events by the thousands, and is killed.
func storms() []row {
	return []row{
		{name: "events-killed", fault: fmt.Sprintf("serve killed three times as it takes %d events/s", eventsASecond), tracks: true, ends: "P5",
			doubt: []string{workerLost}, apply: func(s *stage) error {
				return s.stormed(func() error { return s.killServe(3) })
			}},
		{name: "kill-" + string(failpoint.EventBeforeCommit), fault: fmt.Sprintf("kill -9 at %s, hits 100, 200, 300", failpoint.EventBeforeCommit), tracks: true, ends: "P5",
			doubt: []string{workerLost},
			arms: func(string) map[string][]string {
				at := failpoint.EventBeforeCommit
				return map[string][]string{"serve": {arm(at, 100), arm(at, 200), arm(at, 300)}}
			},
			apply: func(s *stage) error {
				return s.stormed(func() error { return s.eventually("serve is killed three times", s.killed(3)) })
			}},
	}
}

// killServe kills it so many times, each when it has just taken as many events in
// a second as it is offered.
func (s *stage) killServe(times int) error {
	for range times {
		time.Sleep(2*time.Second + rand.N(2*time.Second))
		if err := s.eventually(fmt.Sprintf("serve takes %d events in a second", eventsASecond), s.takesEvents()); err != nil {
			return err
		}
		if err := s.serve.signal(syscall.SIGKILL); err != nil {
			return err
		}
		s.faults++
		s.over = time.Now()
		if err := s.listens(); err != nil {
			return err
		}
	}
	return nil
}

// takesEvents reports whether so many events were acknowledged in the last second.
func (s *stage) takesEvents() func() bool {
	type sample struct {
		at           time.Time
		acknowledged int
	}
	var samples []sample
	return func() bool {
		told, err := s.hooks()
		if err != nil {
			return false
		}
		now := sample{time.Now(), told.Acknowledged}
		samples = append(samples, now)
		for now.at.Sub(samples[0].at) > time.Second {
			samples = samples[1:]
		}
		return now.acknowledged-samples[0].acknowledged >= eventsASecond
	}
}

// stormed does something while events come by the thousands, and then holds the
// ledger against what was acknowledged.
func (s *stage) stormed(during func() error) error {
	how := witness.Telling{To: s.public, Key: s.hooksKey.private, Token: s.env["TWILIO_AUTH_TOKEN"], Copies: 2, Early: 0.2, Storm: eventsASecond}
	if _, err := s.hooks(how); err != nil {
		return err
	}
	for range 2 {
		if _, err := s.launch(); err != nil {
			return err
		}
	}
	if err := during(); err != nil {
		return err
	}
	how.Storm = 0
	if _, err := s.hooks(how); err != nil {
		return err
	}
	if err := s.waitForAll(); err != nil {
		return err
	}
	if err := s.allTold(); err != nil {
		return err
	}
	var all error
	for _, name := range s.launched[1:] { // nothing was told of the first
		r, err := s.report(name)
		if err == nil {
			err = errors.Join(s.judgeHooks(r), s.judgePeople(r))
		}
		all = errors.Join(all, err)
	}
	return errors.Join(all, s.judgeStorm())
}

// judgePeople counts who has opened and clicked. The witness follows all links of a
// message at once, and is taken for the machine that it is: nobody may be lost by
// that, nor counted as both.
func (s *stage) judgePeople(r dispatcher.Report) error {
	did := map[string]map[string]bool{"open": {}, "click": {}}
	err := readLines(witness.HooksLog(s.file("witness.ndjson")), func(l witness.Hooked) {
		for _, e := range l.Events {
			if l.Acknowledged() && e.Campaign == r.Campaign && did[e.Type] != nil {
				did[e.Type][e.To] = true
			}
		}
	})
	mail := r.Channels[0]
	for what, reported := range map[string]int64{"open": mail.Opened + mail.OpenedByMachines, "click": mail.Clicked + mail.ClickedByMachines} {
		if want := int64(len(did[what])); reported != want || want == 0 {
			err = errors.Join(err, fmt.Errorf("P5 is broken: %s: by %d people there is a %s, %d were acknowledged", r.Campaign, reported, what, want))
		}
	}
	return err
}

// offered is what the witness has told of one event.
type offered struct{ requests, acknowledged int }

// judgeStorm holds each event of the storm against the ledger: what was
// acknowledged is there once. So is what was told again after it was not
// acknowledged, but for a click, which is another one if it is made again.
func (s *stage) judgeStorm() error {
	all := map[string]map[string]offered{"deferred": {}, "open": {}, "click": {}}
	var first, last int64
	acknowledged := 0
	err := readLines(witness.HooksLog(s.file("witness.ndjson")), func(l witness.Hooked) {
		for _, e := range l.Events {
			if all[e.Type] == nil {
				continue // what became of a message
			}
			o := all[e.Type][e.ID]
			o.requests++
			if l.Acknowledged() {
				o.acknowledged++
				acknowledged++
				last = l.At
				if first == 0 {
					first = l.At
				}
			}
			all[e.Type][e.ID] = o
		}
	})
	if err != nil {
		return err
	}
	s.notes = append(s.notes, fmt.Sprintf("%d events of the storm were acknowledged within %.1f s: %d of SendGrid's, %d opens, %d clicks",
		acknowledged, time.Duration(last-first).Seconds(), len(all["deferred"]), len(all["open"]), len(all["click"])))
	return s.judgeLedger(all)
}

func (s *stage) judgeLedger(all map[string]map[string]offered) (err error) {
	db, err := s.database()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	written, err := s.times(db, `select dedupe, count(*) from events where dedupe like 'sendgrid-storm-%' group by dedupe`)
	if err != nil {
		return err
	}
	lost, twice := 0, 0
	for id, o := range all["deferred"] {
		switch n := written["sendgrid-"+id]; {
		case n == 0 && o.acknowledged > 0:
			lost++
		case n > 1:
			twice++
		}
	}
	if lost > 0 || twice > 0 {
		err = fmt.Errorf("P5 is broken: of SendGrid's events %d were acknowledged and are not in the ledger, %d are there more than once", lost, twice)
	}
	return errors.Join(err, s.judgeRequests(db, "open", "grp, k", all["open"]), s.judgeRequests(db, "click", "grp, k, link", all["click"]))
}

// judgeRequests compares numbers of opens or clicks: the ledger does not say by
// which address each came. Columns tell them apart.
func (s *stage) judgeRequests(db *sql.DB, what, columns string, all map[string]offered) error {
	written, err := s.times(db, fmt.Sprintf(`select row_number() over () || '', n from
		(select count(*) as n from events where type = '%s' and k is not null group by %s) x`, what, columns))
	if err != nil {
		return err
	}
	requests, events := 0, 0
	for _, o := range all {
		requests += o.requests
	}
	for _, n := range written {
		events += n
	}
	if len(written) != len(all) || events > requests {
		return fmt.Errorf("P5 is broken: %d %ss were acknowledged, made in %d requests, and the ledger has %d of %d", len(all), what, requests, events, len(written))
	}
	return nil
}

// database opens the database beside the product.
func (s *stage) database() (*sql.DB, error) {
	if s.engine == postgres {
		return sql.Open("pgx", s.env["UTSKICK_DATABASE_URL"])
	}
	return sql.Open("sqlite", "file:"+filepath.Join(s.env["UTSKICK_DATA_DIR"], "utskick.db")+"?_pragma=busy_timeout(20000)&_pragma=query_only(1)")
}

// times reads how often each thing is there.
func (s *stage) times(db *sql.DB, text string) (map[string]int, error) {
	rows, err := db.QueryContext(s.ctx, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Fields(text)[0], err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var what string
		var n int
		if err := rows.Scan(&what, &n); err != nil {
			return nil, err
		}
		all[what] = n
	}
	return all, rows.Err()
}

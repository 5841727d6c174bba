package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"utskick/dispatcher"
)

// restores put an older state of the database in the place of the newest, in
// mid-run, after people have unsubscribed and others were sent to.
func restores() []row {
	all := []row{
		{name: "restored-files", fault: "files of a backup in mid-run put back, all processes started again", short: []string{sqlite},
			apply: func(s *stage) error { return s.restored(s.takeFiles, true) }},
		{name: "restored-promoted", fault: "recovered to an older state in a new timeline, as by a failover, under running processes",
			engines: []string{postgres}, apply: func(s *stage) error { return s.restored(s.takeTimeline, false) }},
		{name: "restored-dump", fault: "a dump in mid-run restored into a new database, under running processes",
			engines: []string{postgres}, apply: func(s *stage) error { return s.restored(s.takeDump, false) }},
	}
	for i := range all {
		all[i].away, all[i].doubt = true, []string{string(dispatcher.CauseRestored), workerLost, noAnswer}
		// Slow enough that a backup falls into the middle, on a busy machine too.
		all[i].persons, all[i].every = 1000, 80*time.Millisecond
		all[i].env = map[string]string{"UTSKICK_EMAIL_RATE": "60", "UTSKICK_SMS_RATE": "60", "UTSKICK_PUSH_RATE": "60"}
	}
	return all
}

// restored takes a backup in mid-run, lets sends and objections go on, goes back
// to the backup, and releases the hold.
func (s *stage) restored(take func() (putBack func() error, err error), stopped bool) error {
	if _, err := s.launch(); err != nil {
		return err
	}
	if err := s.more(200, 0); err != nil {
		return err
	}
	putBack, err := take()
	if err != nil {
		return err
	}
	if err := s.more(200, 20); err != nil {
		return err
	}
	if stopped {
		s.end()
	}
	if err := putBack(); err != nil {
		return err
	}
	s.faults++
	if stopped {
		if err := s.startAll(nil); err != nil {
			return err
		}
	}
	return s.heldThenReleased()
}

// heldThenReleased sees that nothing is sent while objections are taken, and
// releases.
func (s *stage) heldThenReleased() error {
	if err := s.eventually("sending is held", s.held); err != nil {
		return err
	}
	// A call that was begun before the database went away may be about to end.
	time.Sleep(2 * time.Second)
	before, err := s.count()
	if err != nil {
		return err
	}
	if err := s.more(0, 20); err != nil {
		return fmt.Errorf("objections are not taken while sending is held: %w", err)
	}
	after, err := s.count()
	if err != nil {
		return err
	}
	if after.sent > before.sent {
		return fmt.Errorf("P2 is broken: %d were sent to while sending was held", after.sent-before.sent)
	}
	out, err := s.cli("database", "release", "--json")
	s.over = time.Now()
	if err != nil {
		return err
	}
	var r dispatcher.Released
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return err
	}
	if len(r.Journals) == 0 || r.Journals[0].Applied < 20 || r.InDoubt == 0 {
		return fmt.Errorf("the row proves nothing: %d journals, %d in doubt", len(r.Journals), r.InDoubt)
	}
	return nil
}

func (s *stage) held() bool {
	out, err := s.cli("database", "status", "--json")
	var status struct {
		Held bool `json:"held"`
	}
	return err == nil && json.Unmarshal([]byte(out), &status) == nil && status.Held
}

// progress is how many messages and acknowledgements there were so far.
type progress struct{ sent, acknowledged int }

func (s *stage) count() (t progress, err error) {
	calls, errCalls := readCalls(s.file("witness.ndjson"))
	for _, c := range calls {
		t.sent += len(c.Messages)
	}
	wishes, errWishes := readWishes(s.file("wishes.ndjson"))
	for _, w := range wishes {
		if w.Event == acknowledged {
			t.acknowledged++
		}
	}
	return t, errors.Join(errCalls, errWishes)
}

// more waits for so many more messages and acknowledgements.
func (s *stage) more(sent, acknowledged int) error {
	begun, err := s.count()
	if err != nil {
		return err
	}
	return s.eventually(fmt.Sprintf("%d more are sent to, %d more objections are acknowledged", sent, acknowledged), func() bool {
		now, err := s.count()
		return err == nil && now.sent >= begun.sent+sent && now.acknowledged >= begun.acknowledged+acknowledged
	})
}

// takeFiles copies the files of the database.
func (s *stage) takeFiles() (func() error, error) {
	if s.engine == postgres {
		return func() error { return s.postgres.PutBack(s.ctx, false) }, s.postgres.Backup(s.ctx)
	}
	path, backup := filepath.Join(s.file("data"), "utskick.db"), s.file("backup.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(20000)")
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(s.ctx, `vacuum into '`+backup+`'`)
	return func() error {
		return errors.Join(missing(os.Remove(path+"-wal")), missing(os.Remove(path+"-shm")), os.Rename(backup, path))
	}, errors.Join(err, db.Close())
}

// missing lets a file be gone already.
func missing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (s *stage) takeTimeline() (func() error, error) {
	return func() error { return s.postgres.PutBack(s.ctx, true) }, s.postgres.Backup(s.ctx)
}

func (s *stage) takeDump() (func() error, error) {
	restore, err := s.postgres.Dump(s.ctx, s.env["UTSKICK_DATABASE_URL"])
	return func() error { return restore(context.WithoutCancel(s.ctx)) }, err
}

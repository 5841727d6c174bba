package main

import (
	"cmp"
	"fmt"
	"time"

	"utskick/dispatcher"
	"utskick/internal/failpoint"
	"utskick/internal/testserver"
)

// row is a fault, and what may follow from it.
type row struct {
	name, fault string
	short       []string // engines with which it is in the selection that every build runs
	engines     []string // none: all
	env         map[string]string
	persons     int           // 0: usual
	every       time.Duration // between two objections; 0: usual
	waver       int           // people who are left to the row, and object at no other time
	// server says how to start a Postgres for this row alone; nil: the lane's.
	server func(*stage) (testserver.Options, error)
	// between changes the environment before anything is started.
	between func(*stage) error

	// arms says which processes have which failpoints; apply does the rest. It
	// returns when the last fault is over.
	arms  func(engine string) map[string][]string
	apply func(*stage) error

	doubt     []string // causes of in_doubt that the fault explains
	ends      string   // the promise that is broken when a run does not end
	away      bool     // commands fail while the fault lasts
	rates     []rate   // which are judged
	alone     bool     // no other row is played meanwhile
	mailAlone bool     // nobody has a phone or a device
	calm      bool     // nothing goes wrong
	cancels   bool
	tracks    bool // opens and clicks
	ownWay    bool // serve has a way of its own to Postgres
	refuses   bool
}

func (r row) size() int          { return cmp.Or(r.persons, 600) }
func (r row) gap() time.Duration { return cmp.Or(r.every, 40*time.Millisecond) }
func (r row) promise() string    { return cmp.Or(r.ends, "P3") + " is broken" }

// The causes of in_doubt, as faults explain them.
var (
	workerLost = string(dispatcher.CauseWorkerLost)
	noAnswer   = string(dispatcher.CauseNoAnswer)
	server     = string(dispatcher.CauseServer)
)

// none is the row without a fault.
const none = "none"

func rows() []row {
	all := []row{{name: none, fault: "none; addresses in two spellings", short: []string{postgres, sqlite}, calm: true, apply: once}}
	for _, more := range [][]row{kills(), sweeping(), releasing(), freezes(), delays(), operators(), brokers(), databases(), cutOffs(), restores(), vendors(), answered(),
		powerCuts(), consents(), storms(), clocks(), disks(), slowness(), webhooks(), lookUps(), relayed(), paced()} {
		all = append(all, more...)
	}
	return all
}

// once launches a campaign.
func once(s *stage) error {
	_, err := s.launch()
	s.over = time.Now()
	return err
}

// kills are the rows that kill a process at a point the first time it comes by;
// the one started in its place the second time; and the next the third time.
func kills() (all []row) {
	at := []failpoint.Name{
		failpoint.PlannedBeforeCommit, failpoint.PlannedAfterCommit, failpoint.Rung, failpoint.Prepared, failpoint.ClaimBeforeCommit,
		failpoint.ClaimAnswer, failpoint.Claimed, failpoint.Checked, failpoint.Opened, failpoint.Allowed, failpoint.Sent, failpoint.SettleBeforeCommit,
		failpoint.SettleAnswer, failpoint.Settled, failpoint.RunFinishing,
		failpoint.WishBeforeCommit, failpoint.WishCommitted, failpoint.Acknowledged,
	}
	for _, point := range at {
		var short []string
		if point == failpoint.Sent {
			short = []string{sqlite}
		}
		all = append(all, killsAt(point, short))
	}
	return all
}

func killsAt(point failpoint.Name, short []string) row {
	wish := point == failpoint.WishBeforeCommit || point == failpoint.WishCommitted || point == failpoint.Acknowledged
	return row{
		name: "kill-" + string(point), fault: fmt.Sprintf("kill -9 at %s, hits 1, 2, 3", point), doubt: []string{workerLost}, short: short,
		arms: func(engine string) map[string][]string {
			victim := "work-1"
			if wish || engine == sqlite {
				victim = "serve"
			}
			return map[string][]string{victim: {arm(point, 1), arm(point, 2), arm(point, 3)}}
		},
		apply: func(s *stage) error { return s.launchUntil("three kills at "+string(point), s.killed(3)) },
	}
}

func arm(point failpoint.Name, hit int) string { return fmt.Sprintf("%s=kill@%d", point, hit) }

// killed reports whether the armed process has died so often, and remembers
// when it did.
func (s *stage) killed(times int) func() bool {
	known := 0
	return func() bool {
		died := 0
		for _, p := range s.processes() {
			died += p.died()
		}
		if died > known {
			known, s.over = died, time.Now()
		}
		return died >= times
	}
}

package storagetest

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
)

// leases is the suite of who may claim while instances come and go. The clock of
// the database is a row that the test sets.
func leases(t *testing.T, engine Engine) {
	for name, test := range map[string]func(*testing.T, *leased){
		"a lapsed lease holds up every claim until it is taken again": lapseHolds,
		"an instance that has left holds up nothing":                  leftHolds,
		"an operator releases one that is gone":                       releasing,
		"a late renewal renews nothing":                               lateRenewal,
		"a renewal of an earlier life renews nothing":                 earlierLife,
		"a clock set back revives no lapsed lease":                    clockBack,
		"a clock set back ends the leases that nobody renews":         clockBackInTime,
		"a clock set forward ends every lease":                        clockForward,
		"a lease from the future is no lease":                         clockForwardAndBack,
		"batches are rung for again as soon as a lease is taken":      ringsAfterRejoin,
	} {
		t.Run(name, func(t *testing.T) { test(t, openLeased(t, engine)) })
	}
}

// leased is a store with an instance that has just joined, and a batch.
type leased struct {
	*Env
	db    *sql.DB
	clock int64
	who   suppression.Holder
	batch dispatcher.Batch
}

func openLeased(t *testing.T, engine Engine) *leased {
	const clock = `(select cast(value as bigint) from meta where name = 'clock')`
	l := &leased{clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC).UnixMilli(), who: suppression.Holder{Name: "serve-1", About: "serve on web-1", Session: 1}}
	var c storage.Config
	l.Env = Open(t, Engine{Name: engine.Name, Config: func(t testing.TB) storage.Config {
		c = engine.Config(t)
		c.Clock = clock
		return c
	}})
	l.db = rawDatabase(t, c)
	l.set(0)
	l.batch = l.started(20)[0]
	l.join()
	return l
}

// rawDatabase is the database without the store before it.
func rawDatabase(t testing.TB, c storage.Config) *sql.DB {
	t.Helper()
	driver, address := "pgx", c.URL
	if c.URL == "" {
		driver, address = "sqlite", "file:"+filepath.Join(c.DataDir, "utskick.db")+"?_pragma=busy_timeout(20000)"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// set moves the database's clock.
func (l *leased) set(by time.Duration) {
	l.t.Helper()
	l.clock += by.Milliseconds()
	_, err := l.db.ExecContext(l.ctx(), `insert into meta (name, value) values ('clock', cast($1 as bigint))
		on conflict (name) do update set value = excluded.value`, l.clock)
	l.must(err)
}

func (l *leased) join() {
	l.t.Helper()
	_, err := l.JoinLease(l.ctx(), l.who, l.clock)
	l.must(err)
}

func (l *leased) renew() error {
	clock, err := l.RenewLease(l.ctx(), l.who, l.clock)
	if err == nil && clock != l.clock {
		l.t.Errorf("renewed at %d, and the clock is %d", clock, l.clock)
	}
	return err
}

func (l *leased) state() suppression.LeaseState {
	l.t.Helper()
	all, err := l.Instances(l.ctx())
	l.must(err)
	if len(all) != 1 || all[0].Name != l.who.Name || all[0].About != l.who.About {
		l.t.Fatalf("%+v", all)
	}
	return all[0].State
}

// claimable claims the batch and gives it back.
func (l *leased) claimable() bool {
	l.t.Helper()
	c, _ := l.claimOf(l.batch, 20)
	err := l.Claim(l.ctx(), c)
	if errors.Is(err, dispatcher.ErrNotClaimed) {
		return false
	}
	l.must(err)
	l.must(l.Release(l.ctx(), c, l.Now))
	l.batch.Fence++
	return true
}

func (l *leased) expect(what string, claimable bool, state suppression.LeaseState) {
	l.t.Helper()
	if got := l.claimable(); got != claimable {
		l.t.Errorf("%s: claimable %v, want %v", what, got, claimable)
	}
	if got := l.state(); got != state {
		l.t.Errorf("%s: the lease is %s, want %s", what, got, state)
	}
}

func lapseHolds(t *testing.T, l *leased) {
	l.expect("joined", true, suppression.LeaseHeld)
	l.set(suppression.LeaseLife)
	l.expect("at the end of its life", true, suppression.LeaseHeld)
	l.must(l.renew())
	l.set(suppression.LeaseLife)
	l.expect("renewed", true, suppression.LeaseHeld)
	l.set(1 * time.Millisecond)
	l.expect("past its end", false, suppression.LeaseLapsed)
	if err := l.renew(); !errors.Is(err, suppression.ErrNotRenewed) {
		t.Errorf("a lapsed lease is renewed: %v", err)
	}
	l.expect("after a renewal", false, suppression.LeaseLapsed)
	l.join()
	l.expect("joined again", true, suppression.LeaseHeld)
}

func leftHolds(t *testing.T, l *leased) {
	former := l.who
	l.who.Session = 2
	l.join()
	l.must(l.LeaveLease(l.ctx(), former)) // arrives late
	l.expect("left in an earlier life", true, suppression.LeaseHeld)
	l.must(l.LeaveLease(l.ctx(), l.who))
	l.set(time.Hour)
	l.expect("left", true, suppression.LeaseLeft)
	if err := l.renew(); !errors.Is(err, suppression.ErrNotRenewed) {
		t.Errorf("a lease that was left is renewed: %v", err)
	}
	l.expect("left", true, suppression.LeaseLeft)
}

func releasing(t *testing.T, l *leased) {
	if err := l.ReleaseInstance(l.ctx(), l.who.Name); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("released while it is alive: %v", err)
	}
	if err := l.ReleaseInstance(l.ctx(), "nobody"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("released though unknown: %v", err)
	}
	l.set(time.Hour)
	l.expect("gone", false, suppression.LeaseLapsed)
	l.must(l.ReleaseInstance(l.ctx(), l.who.Name))
	l.expect("released", true, suppression.LeaseLeft)
}

func lateRenewal(t *testing.T, l *leased) {
	before := l.clock + 100
	l.set(100 * time.Millisecond)
	if _, err := l.RenewLease(l.ctx(), l.who, before); err != nil {
		t.Errorf("in time: %v", err)
	}
	l.set(1 * time.Millisecond)
	if _, err := l.RenewLease(l.ctx(), l.who, before); !errors.Is(err, suppression.ErrNotRenewed) {
		t.Errorf("late: %v", err)
	}
	l.set(suppression.LeaseLife)
	if _, err := l.JoinLease(l.ctx(), l.who, before); !errors.Is(err, suppression.ErrNotRenewed) {
		t.Errorf("joined late: %v", err)
	}
	l.expect("late", false, suppression.LeaseLapsed)
}

func earlierLife(t *testing.T, l *leased) {
	former := l.who
	l.who.Session = 2
	l.join()
	if _, err := l.RenewLease(l.ctx(), former, l.clock); !errors.Is(err, suppression.ErrNotRenewed) {
		t.Errorf("an earlier life's renewal: %v", err)
	}
	l.must(l.renew())
}

// clockBack: somebody has seen that the lease had lapsed.
func clockBack(t *testing.T, l *leased) {
	l.set(suppression.LeaseLife + time.Millisecond)
	l.must(l.NoteLapses(l.ctx()))
	l.set(-suppression.LeaseLife)
	l.must(l.NoteLapses(l.ctx()))
	l.expect("set back", false, suppression.LeaseLapsed)
	if err := l.renew(); !errors.Is(err, suppression.ErrNotRenewed) {
		t.Errorf("renewed: %v", err)
	}
	l.join()
	l.expect("joined again", true, suppression.LeaseHeld)
}

// clockBackInTime: the lease has not lapsed yet and would now live for longer.
func clockBackInTime(_ *testing.T, l *leased) {
	l.set(suppression.LeaseLife)
	l.must(l.NoteLapses(l.ctx()))
	l.expect("before", true, suppression.LeaseHeld)
	l.set(-suppression.LeaseLife)
	if l.claimable() {
		l.t.Error("claimed by a clock that was set back since the claimer looked")
	}
	l.must(l.NoteLapses(l.ctx()))
	l.expect("noticed", false, suppression.LeaseLapsed)
	l.join()
	l.expect("joined again", true, suppression.LeaseHeld)
}

func clockForward(_ *testing.T, l *leased) {
	l.must(l.NoteLapses(l.ctx()))
	l.set(time.Hour)
	l.expect("forward", false, suppression.LeaseLapsed)
	l.join()
	l.expect("joined again", true, suppression.LeaseHeld)
}

func clockForwardAndBack(_ *testing.T, l *leased) {
	l.set(time.Hour)
	l.join() // by the wrong clock, then it is cut off
	l.set(-time.Hour)
	l.expect("back", false, suppression.LeaseLapsed)
	l.set(suppression.LeaseLife)
	l.expect("later", false, suppression.LeaseLapsed)
}

func ringsAfterRejoin(t *testing.T, l *leased) {
	rung := func() int { return len(l.batches(audience.Email)) }
	l.claimable() // and given back: it may be rung for
	l.set(time.Hour)
	if n := rung(); n != 0 {
		t.Errorf("%d batches are rung for in vain", n)
	}
	l.join()
	if n := rung(); n != 1 {
		t.Fatalf("%d batches are rung for, want 1", n)
	}
	l.set(time.Hour) // it is rung for, and then the lease lapses
	l.join()
	if n := rung(); n != 1 {
		t.Errorf("%d batches are rung for after the lease is taken again, want 1", n)
	}
}

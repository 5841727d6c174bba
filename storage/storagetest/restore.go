package storagetest

import (
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
)

// restored is a store whose database can be put back to an earlier state, with
// what its processes keep outside of it left as it is.
type restored struct {
	*Env
	c  storage.Config
	db *sql.DB
}

func openRestored(t *testing.T, engine Engine) *restored {
	r := &restored{}
	r.Env = Open(t, Engine{Name: engine.Name, Config: func(t testing.TB) storage.Config {
		r.c = engine.Config(t)
		r.c.Log = slog.New(slog.DiscardHandler)
		return r.c
	}})
	r.c.Keyer, r.c.Now, r.c.Log = r.Keyer, func() time.Time { return r.Now }, slog.New(slog.DiscardHandler)
	driver, address := "pgx", r.c.URL
	if address == "" {
		driver, address = "sqlite", "file:"+filepath.Join(r.c.DataDir, "utskick.db")+"?_pragma=busy_timeout(20000)"
	}
	var err error
	r.db, err = sql.Open(driver, address)
	r.must(err)
	t.Cleanup(func() { r.db.Close() })
	return r
}

// backedUp are the tables that goBack puts back, in an order that foreign keys
// allow.
var backedUp = []string{"suppressions", "suppression_changes", "suppression_head", "guard", "runs", "slices", "groups", "members", "batches", "calls"}

// backUp copies the tables, and returns a function that puts them back. The
// database then says what it said at the copy, as a restored one does.
func (r *restored) backUp() (goBack func()) {
	r.t.Helper()
	run := func(texts ...string) {
		r.t.Helper()
		for _, text := range texts {
			if _, err := r.db.ExecContext(r.ctx(), text); err != nil {
				r.t.Fatalf("%s: %v", text, err)
			}
		}
	}
	overriding := ""
	if r.c.URL != "" {
		overriding = " overriding system value"
	}
	for _, table := range backedUp {
		run("drop table if exists copy_of_"+table, "create table copy_of_"+table+" as select * from "+table)
	}
	return func() {
		r.t.Helper()
		for i := len(backedUp) - 1; i >= 0; i-- {
			run("delete from " + backedUp[i])
		}
		for _, table := range backedUp {
			run("insert into " + table + overriding + " select * from copy_of_" + table)
		}
	}
}

// another opens the database as a further process does: of the same data
// directory, or of one of its own.
func (r *restored) another(dir string) *storage.Store {
	r.t.Helper()
	c := r.c
	if dir != "" {
		c.DataDir = dir
	}
	s, err := storage.Open(r.ctx(), c)
	r.must(err)
	r.t.Cleanup(func() { s.Close() })
	return s
}

func (r *restored) isHeld(s *storage.Store, want string) {
	r.t.Helper()
	h, err := s.Look(r.ctx())
	r.must(err)
	if (want == "") == h.Held() || !strings.Contains(h.Why, want) {
		r.t.Fatalf("held: %t, because %q; want %q", h.Held(), h.Why, want)
	}
}

func (r *restored) release(s *storage.Store, journals ...string) dispatcher.Released {
	r.t.Helper()
	released, err := s.ReleaseHold(r.ctx(), "test", journals)
	r.must(err)
	return released
}

func restores(t *testing.T, e Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *restored)
	}{
		{"nothing is held without a reason", notHeld},
		{"a database that went back is held, and released", heldAndReleased},
		{"one that lost no wish is held by its counter", heldByCounter},
		{"whoever was not planned yet is in doubt, too", unplanned},
		{"a campaign that was launched in the lost is not launched again", launchedInTheLost},
		{"a wish notices by itself", heldByWish},
		{"the latest word on an entry stands", latestWord},
		{"every process accepts a release once", acceptedOnce},
		{"a journal cannot be written, and nothing is acknowledged", journalFull},
		{"a notice that is not in the journal is not acknowledged", noticeJournalled},
		{"a batch of notices is taken whole or not at all", noticesWhole},
		{"of a mail all is taken or nothing", mailWhole},
		{"mail that is not in the journal is not acknowledged", mailJournalled},
		{"a refused consent stays refused", refusedConsent},
		{"what binds a contact since she came is in the journal", boundOutlasts},
		{"a wish and an import at the same moment do not miss each other", wishesAndImportsMeet},
		{"damaged lines are told", damagedLines},
		{"a memory of another database holds", otherIdentity},
		{"a look-up takes nothing for a send that was lost", lookUpsAfterARestore},
		{"a confirmation may have gone out in what was lost", confirmationInTheLost},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, openRestored(t, e)) })
	}
}

func notHeld(t *testing.T, r *restored) {
	for range 3 {
		r.must1(r.Record(r.ctx(), objection(r.email("a@example.com"))))
		r.isHeld(r.Store, "")
		r.isHeld(r.another(""), "")
	}
	if r.c.URL != "" { // an embedded database has one directory
		r.isHeld(r.another(t.TempDir()), "")
	}
	if _, err := r.ReleaseHold(r.ctx(), "test", nil); !errors.Is(err, dispatcher.ErrNotHeld) {
		t.Errorf("released what is not held: %v", err)
	}
}

// heldAndReleased: the lost history has sent the whole run, and two people
// unsubscribed in it.
func heldAndReleased(t *testing.T, r *restored) {
	r.mails(3000)
	r.library(audience.Email)
	run := r.launch()
	refs, err := r.RingSlices(r.ctx(), 1) // one slice is planned, the closing one is not
	r.must(err)
	r.must(r.PlanSlice(r.ctx(), refs[0]))
	before := r.batches(audience.Email)
	c, ks := r.claimOf(before[0], 1000)
	r.must(r.Claim(r.ctx(), c))
	_, err = r.Settle(r.ctx(), settlementOf(before[0], c, ks))
	r.must(err)
	claimed, kept := r.claimOf(before[1], 10)
	r.must(r.Claim(r.ctx(), claimed))
	r.isHeld(r.Store, "")
	goBack := r.backUp()

	r.Now = r.Now.Add(time.Second)
	r.isHeld(r.Store, "")
	for _, i := range []int{1, 2} {
		r.must1(r.Record(r.ctx(), objection(r.email(address(i)))))
	}
	goBack()
	next := before[2]
	untaken, _ := r.claimOf(next, 10)
	if err := r.Claim(r.ctx(), untaken); !errors.Is(err, dispatcher.ErrNotClaimed) {
		t.Fatalf("a batch was claimed before anybody looked: %v", err)
	}
	r.isHeld(r.Store, "suppressions went back")
	r.isHeld(r.Store, "suppressions went back")
	r.must1(r.Record(r.ctx(), objection(r.email(address(3))))) // wishes go on
	r.Now = r.Now.Add(time.Minute)
	if refs, err := r.RingBatches(r.ctx(), audience.Email, 10); err != nil || len(refs) != 0 {
		t.Errorf("the doorbell rings while sending is held: %v, %v", refs, err)
	}
	if h := r.HeldHere(); !h.Held() {
		t.Error("the process does not know")
	}
	released := r.release(r.Store)
	if len(released.Journals) != 1 || released.Journals[0].Applied != 4 || released.InDoubt != 2000 || len(released.Runs) != 1 || released.Runs[0] != run.ID {
		t.Errorf("%+v", released)
	}
	r.isHeld(r.Store, "")
	if got := r.blocked(marketing, r.email(address(1)), r.email(address(2)), r.email(address(3))); len(got) != 3 {
		t.Errorf("after the release %v are blocked", got)
	}
	rep := r.report(audience.Email)
	if rep.Sent != 1000 || rep.InDoubt != 2000 || rep.Causes["in_doubt"]["restored"] != 2000 || rep.Pending != 0 {
		t.Errorf("%+v", rep)
	}
	if _, err := r.Settle(r.ctx(), settlementOf(before[1], claimed, kept)); !errors.Is(err, dispatcher.ErrLostClaim) {
		t.Errorf("a claim from before the hold was settled: %v", err)
	}
	if again := r.batches(audience.Email); len(again) != 0 {
		t.Errorf("%d batches are left", len(again))
	}
	r.plan()
	r.ends(dispatcher.Finished)
	goesOn(t, r, before[2])
}

// goesOn resends, under ids that were never used before.
func goesOn(t *testing.T, r *restored, before dispatcher.Batch) {
	_, n, err := r.Resend(r.ctx(), campaign)
	if err != nil || n != 2000 {
		t.Fatalf("resent to %d: %v", n, err)
	}
	r.Now = r.Now.Add(time.Minute)
	b := r.batches(audience.Email)[0]
	if b.ID < before.ID+1_000_000 || b.Group < before.Group+1_000_000 {
		t.Errorf("batch %d, group %d: the lost history may have had these", b.ID, b.Group)
	}
	c, _ := r.claimOf(b, 10)
	r.must(r.Claim(r.ctx(), c))
	breaches, err := r.Breaches(r.ctx())
	r.must(err)
	for _, b := range breaches {
		if b.Count != 0 {
			t.Errorf("%s: %d", b.Name, b.Count)
		}
	}
}

// launchedInTheLost: all of its run is lost, and those who got it must not get it
// again. One that is due later, or was cancelled before, is no such.
func launchedInTheLost(t *testing.T, r *restored) {
	r.mails(30)
	r.library(audience.Email)
	cancelled := func() {
		t.Helper()
		_, err := r.LaunchRun(r.ctx(), campaign, dispatcher.Launch{})
		r.must(err)
		_, err = r.Cancel(r.ctx(), campaign)
		r.must(err)
		_, err = r.FinishRuns(r.ctx())
		r.must(err)
	}
	cancelled()
	goBack := r.backUp()
	r.isHeld(r.Store, "")
	goBack()
	r.isHeld(r.Store, "went back")
	if released := r.release(r.Store); len(released.Relaunched) != 0 || released.InDoubt != 0 {
		t.Errorf("nothing was launched: %+v", released)
	}
	goBack = r.backUp()
	r.launch()
	r.plan()
	goBack()
	r.isHeld(r.Store, "")
	r.isHeld(r.Store, "")
	goBack()
	r.isHeld(r.Store, "went back")
	if _, err := r.LaunchRun(r.ctx(), campaign, dispatcher.Launch{}); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("it was launched while sending is held: %v", err)
	}
	released := r.release(r.Store)
	if len(released.Relaunched) != 1 || released.InDoubt != 30 {
		t.Errorf("%+v", released)
	}
	if _, err := r.LaunchRun(r.ctx(), campaign, dispatcher.Launch{}); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("it can be launched again: %v", err)
	}
	r.plan()
	r.ends(dispatcher.Finished)
	if rep := r.report(audience.Email); rep.InDoubt != 30 {
		t.Errorf("%+v", rep)
	}
}

// heldByWish: nobody has looked yet, and the wish must not be numbered like one
// that was lost.
func heldByWish(t *testing.T, r *restored) {
	goBack := r.backUp()
	for i := range 5 {
		r.must1(r.Record(r.ctx(), objection(r.email(address(i)))))
	}
	goBack()
	r.must(os.Remove(filepath.Join(r.c.DataDir, "database.json")))
	if h, err := r.another("").Hold(r.ctx()); err != nil || !h.Held() {
		t.Errorf("a process that starts does not know from the journal: %+v, %v", h, err)
	}
	goBack()
	rec, err := r.Record(r.ctx(), objection(r.email("late@example.com")))
	r.must(err)
	if rec.Version < 1_000_000 {
		t.Errorf("version %d is one of the lost", rec.Version)
	}
	if h, err := r.Hold(r.ctx()); err != nil || !h.Held() {
		t.Errorf("%+v, %v", h, err)
	}
	if released := r.release(r.Store); released.Journals[0].Applied != 5 {
		t.Errorf("%+v", released)
	}
	again := r.backUp() // the same after a release
	r.must1(r.Record(r.ctx(), objection(r.email("later@example.com"))))
	again()
	r.must(os.Remove(filepath.Join(r.c.DataDir, "database.json")))
	if h, err := r.another("").Hold(r.ctx()); err != nil || !h.Held() {
		t.Errorf("a process that starts does not know from the journal: %+v, %v", h, err)
	}
	r.release(r.another(""))
	r.isHeld(r.another(""), "")
	r.isHeld(r.Store, "")
}

// heldByCounter: what is numbered after the hold is beyond what was lost, also
// where nobody here knows how much that was.
func heldByCounter(t *testing.T, r *restored) {
	r.must1(r.Record(r.ctx(), objection(r.email("a@example.com"))))
	goBack := r.backUp()
	r.isHeld(r.Store, "")
	r.isHeld(r.Store, "")
	goBack()
	r.isHeld(r.Store, "went back by about")
	rec, err := r.Record(r.ctx(), objection(r.email("b@example.com")))
	if r.must(err); rec.Version < 1_000_000 {
		t.Errorf("version %d may be one of the lost", rec.Version)
	}
	if released := r.release(r.Store); released.Journals[0].Applied != 0 {
		t.Errorf("%+v", released)
	}
}

// unplanned: a run that was due and had not begun, and one that is due later.
func unplanned(t *testing.T, r *restored) {
	r.mails(30)
	r.library(audience.Email)
	run, err := r.LaunchRun(r.ctx(), campaign, dispatcher.Launch{})
	r.must(err)
	later, err := r.CreateCampaign(r.ctx(), dispatcher.Campaign{Name: "later", Sender: "exempelbolaget", Topic: "newsletter",
		Channels: []dispatcher.CampaignChannel{{Channel: audience.Email, Template: "host-email"}}})
	r.must(err)
	_, err = r.LaunchRun(r.ctx(), later.Name, dispatcher.Launch{Due: r.Now.Add(time.Hour)})
	r.must(err)
	goBack := r.backUp()
	r.isHeld(r.Store, "")
	goBack()
	r.isHeld(r.Store, "went back")
	released := r.release(r.Store)
	if released.InDoubt != 30 || len(released.Runs) != 1 || released.Runs[0] != run.ID {
		t.Errorf("%+v", released)
	}
	r.plan()
	r.ends(dispatcher.Finished)
	r.Now = r.Now.Add(2 * time.Hour)
	_, err = r.StartDueRuns(r.ctx())
	r.must(err)
	r.plan()
	if sendable := r.batches(audience.Email); len(sendable) != 1 {
		t.Errorf("%d batches of the later run", len(sendable))
	}
}

// latestWord: set and lifted, in the lost history and under the hold.
func latestWord(t *testing.T, r *restored) {
	entry := func(name string) suppression.Entry {
		return suppression.Entry{Key: r.email(name + "@example.com"), Channel: "email", Topic: "*", Purpose: "*", Sender: "*", Cause: suppression.Paused,
			Active: true, Source: "test", Evidence: "said so"}
	}
	record := func(e suppression.Entry, active bool, until time.Time) {
		t.Helper()
		e.Active, e.ExpiresAt = active, until
		r.must1(r.Record(r.ctx(), suppression.Wish{Entry: e}))
	}
	never, brief := time.Time{}, r.Now.Add(time.Hour)
	record(entry("lifted in the lost"), true, never)
	record(entry("lasting in the lost"), true, brief)
	record(entry("untouched"), false, never)
	goBack := r.backUp()
	record(entry("lifted in the lost"), false, never)
	record(entry("set in the lost"), true, never)
	record(entry("set and lifted in the lost"), true, never)
	record(entry("set and lifted in the lost"), false, never)
	record(entry("lasting in the lost"), true, never)
	record(entry("lifted since"), true, never)
	record(entry("set since"), false, never)
	record(entry("lasting, then brief"), true, never)
	goBack()
	r.isHeld(r.Store, "went back")
	said := r.Now
	r.Now = r.Now.Add(time.Minute)
	record(entry("lifted since"), false, never)
	record(entry("set since"), true, never)
	record(entry("lasting, then brief"), true, brief)
	want := map[string]bool{"lifted in the lost": false, "set in the lost": true, "set and lifted in the lost": false, "lasting in the lost": true,
		"lifted since": false, "set since": true, "lasting, then brief": true, "untouched": false}
	r.reverse(filepath.Join(r.c.DataDir, "journal.ndjson")) // the order of lines does not matter
	for _, times := range []string{"once", "twice"} {
		if times == "twice" {
			goBack := r.backUp()
			record(entry("another"), true, never)
			goBack()
			r.isHeld(r.Store, "went back")
		}
		r.release(r.Store)
		now := r.Now
		r.Now = brief.Add(time.Hour) // what is brief has ended
		for name, blocked := range want {
			if got := len(r.blocked(marketing, entry(name).Key)) == 1; got != blocked {
				t.Errorf("%s: %s: blocked %t", times, name, got)
			}
		}
		r.Now = now
	}
	stored, err := r.Entries(r.ctx(), []audience.Key{entry("set in the lost").Key})
	r.must(err)
	if e := stored[0]; e.Evidence != "said so" || e.Source != "test" || !e.CreatedAt.Equal(said) {
		t.Errorf("%+v", e)
	}
}

// acceptedOnce: two instances, of which one makes the release.
func acceptedOnce(t *testing.T, r *restored) {
	if r.c.URL == "" {
		return // an embedded database has one directory
	}
	dir := t.TempDir()
	other := r.another(dir)
	goBack := r.backUp()
	for range 3 {
		_, err := other.Record(r.ctx(), objection(r.email("a@example.com")))
		r.must(err)
		r.isHeld(other, "")
		r.isHeld(r.Store, "")
	}
	goBack()
	r.isHeld(other, "went back")
	r.isHeld(r.Store, "went back")
	r.isHeld(r.another(dir), "went back") // a process that starts remembers
	if released := r.release(r.Store, filepath.Join(dir, "journal.ndjson")); len(released.Journals) != 1 || released.Journals[0].Applied != 3 {
		t.Errorf("%+v", released)
	}
	r.isHeld(other, "")
	r.isHeld(r.Store, "")
	r.isHeld(r.another(dir), "")
	goBack() // the same once more: the release is no longer in the database
	r.isHeld(other, "forgotten a release")
	r.isHeld(r.Store, "forgotten a release")
	r.Now = r.Now.Add(-time.Hour) // by a clock that is behind
	r.release(other)
	r.isHeld(r.Store, "")
	r.isHeld(r.another(dir), "")
	var actor string
	r.must(r.db.QueryRowContext(r.ctx(), `select actor from audit where action = 'database release' limit 1`).Scan(&actor))
	if actor != "test" {
		t.Errorf("released by %q", actor)
	}
}

func (r *restored) read(path string) []byte {
	content, err := os.ReadFile(path)
	r.must(err)
	return content
}

func (r *restored) reverse(path string) {
	r.t.Helper()
	lines := strings.SplitAfter(string(r.read(path)), "\n")
	slices.Reverse(lines)
	r.must(os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
}

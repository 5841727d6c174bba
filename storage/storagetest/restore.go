package storagetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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
var backedUp = []string{"suppressions", "suppression_head", "guard", "runs", "slices", "groups", "members", "batches", "calls"}

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
		{"a wish notices by itself", heldByWish},
		{"the latest word on an entry stands", latestWord},
		{"every process accepts a release once", acceptedOnce},
		{"a journal cannot be written, and nothing is acknowledged", journalFull},
		{"a refused consent stays refused", refusedConsent},
		{"damaged lines are told", damagedLines},
		{"a memory of another database holds", otherIdentity},
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

// heldByWish: nobody has looked yet, and the wish must not be numbered like one
// that was lost.
func heldByWish(t *testing.T, r *restored) {
	goBack := r.backUp()
	for i := range 5 {
		r.must1(r.Record(r.ctx(), objection(r.email(address(i)))))
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
	record(entry("lifted since"), false, never)
	record(entry("set since"), true, never)
	record(entry("lasting, then brief"), true, brief)
	want := map[string]bool{"lifted in the lost": false, "set in the lost": true, "set and lifted in the lost": false, "lasting in the lost": true,
		"lifted since": false, "set since": true, "lasting, then brief": true, "untouched": false}
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
	if e := stored[0]; e.Evidence != "said so" || e.Source != "test" || !e.CreatedAt.Equal(r.Now) {
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
	r.release(other)
	r.isHeld(r.Store, "")
	r.isHeld(r.another(dir), "")
	var actor string
	r.must(r.db.QueryRowContext(r.ctx(), `select actor from audit where action = 'database release' limit 1`).Scan(&actor))
	if actor != "test" {
		t.Errorf("released by %q", actor)
	}
}

func journalFull(t *testing.T, r *restored) {
	dir := filepath.Join(r.c.DataDir, "journal.ndjson")
	r.must(os.Mkdir(dir, 0o700)) // where the file would be
	_, err := r.Record(r.ctx(), objection(r.email("a@example.com")))
	if err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("acknowledged without a journal: %v", err)
	}
	if _, err := r.RecordAll(r.ctx(), []suppression.Wish{objection(r.email("b@example.com"))}); err == nil {
		t.Error("an import was acknowledged without a journal")
	}
	row := audience.Row{Contact: contact("a", "a@example.com"), Set: all, Consents: map[string]bool{"open_tracking": false}}
	if _, err := r.SaveContacts(r.ctx(), []audience.Row{row}); err == nil {
		t.Error("a refused consent was acknowledged without a journal")
	}
	r.must(os.Remove(dir))
	r.must1(r.Record(r.ctx(), objection(r.email("a@example.com"))))
}

func refusedConsent(t *testing.T, r *restored) {
	save := func(yes bool) {
		t.Helper()
		_, err := r.SaveContacts(r.ctx(), []audience.Row{{Contact: contact("a", "a@example.com"), Set: all, Consents: map[string]bool{"open_tracking": yes}}})
		r.must(err)
	}
	r.library(audience.Email)
	save(true)
	goBack := r.backUp()
	r.must1(r.Record(r.ctx(), objection(r.email("b@example.com"))))
	r.Now = r.Now.Add(time.Minute)
	save(false)
	goBack()
	_, err := r.db.ExecContext(r.ctx(), `update consents set granted = true, at = at - 60000`)
	r.must(err)
	_, err = r.db.ExecContext(r.ctx(), `update contacts set grants = 'open_tracking * yes'`)
	r.must(err)
	r.isHeld(r.Store, "went back")
	if released := r.release(r.Store); released.Journals[0].Applied != 2 {
		t.Errorf("%+v", released)
	}
	r.launch()
	r.plan()
	members, err := r.membersOf(r.batches(audience.Email)[0], 10)
	r.must(err)
	if members[0].Recipient.Tracked {
		t.Error("tracked after the refusal")
	}
}

func damagedLines(t *testing.T, r *restored) {
	goBack := r.backUp()
	for i := range 3 {
		r.must1(r.Record(r.ctx(), objection(r.email(address(i)))))
	}
	path := filepath.Join(r.c.DataDir, "journal.ndjson")
	content, err := os.ReadFile(path)
	r.must(err)
	if strings.Contains(string(content), "@") {
		t.Error("there is an address in the journal")
	}
	lines := strings.SplitAfter(string(content), "\n")
	lines[1] = strings.Replace(lines[1], "unsubscribed", "bounced", 1)
	r.must(os.WriteFile(path, []byte(strings.Join(lines, "")+lines[0][:40]), 0o600)) // and one that was cut short
	goBack()
	r.isHeld(r.Store, "went back")
	r.must1(r.Record(r.ctx(), objection(r.email(address(7)))))
	j := r.release(r.Store).Journals[0]
	if j.Applied != 2 || len(j.Damaged) != 2 || j.Damaged[0] != 2 || j.Damaged[1] != 4 || j.Lines != 3 {
		t.Errorf("%+v", j)
	}
}

// otherIdentity: each part of what a process remembers of the database's identity
// holds when it differs, and one that could not be read does not.
func otherIdentity(t *testing.T, r *restored) {
	path := filepath.Join(r.c.DataDir, "database.json")
	remembered, err := os.ReadFile(path)
	r.must(err)
	var known map[string]any
	r.must(json.Unmarshal(remembered, &known))
	parts := strings.Split(known["identity"].(string), "/")
	for i := range parts {
		for _, other := range []string{"-", "another"} {
			changed := append([]string(nil), parts...)
			changed[i] = other
			known["identity"] = strings.Join(changed, "/")
			content, err := json.Marshal(known)
			r.must(err)
			r.must(os.WriteFile(path, content, 0o600))
			want := map[string]string{"-": "", "another": "it"}[other]
			again := r.another("")
			h, err := again.Hold(context.Background())
			r.must(err)
			if h.Held() != (want != "") {
				t.Errorf("part %d is %s: held %t, %s", i, other, h.Held(), h.Why)
			}
			if h.Held() {
				r.release(again)
			}
			r.isHeld(r.Store, "")
			r.must(json.Unmarshal(r.read(path), &known))
		}
	}
}

func (r *restored) read(path string) []byte {
	content, err := os.ReadFile(path)
	r.must(err)
	return content
}

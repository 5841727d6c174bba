package storagetest

import (
	"cmp"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
	"utskick/templates"
)

// property takes the store through the steps of the protocol in orders of
// chance. A model in memory goes the same way, and after each step the store
// must say what the model says. A failure is shrunk to the fewest steps.
//
// RAPID_CHECKS and RAPID_STEPS say how many examples there are, and how many
// steps each has on average.
func property(t *testing.T, engine Engine) {
	var c storage.Config
	e := Open(t, Engine{Name: engine.Name, Config: func(t testing.TB) storage.Config { c = engine.Config(t); return c }})
	driver, address := "pgx", c.URL
	if c.URL == "" {
		driver, address = "sqlite", "file:"+filepath.Join(c.DataDir, "utskick.db")+"?_pragma=busy_timeout(20000)&_pragma=synchronous(0)"
	}
	db, err := sql.Open(driver, address)
	e.must(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	setDefault(t, "rapid.checks", "RAPID_CHECKS", examples)
	setDefault(t, "rapid.steps", "RAPID_STEPS", "40")
	outside := e.t
	defer func() { e.t = outside }()
	rapid.Check(t, func(t *rapid.T) {
		e.t = example{outside, t}
		m := newMachine(t, e, db, c.URL == "")
		m.begun()
		t.Repeat(map[string]func(*rapid.T){
			"":     func(*rapid.T) { m.check() },
			"step": func(*rapid.T) { draw(m, "step", m.steps()...).do() },
		})
		m.finish()
	})
}

// setDefault gives a flag of rapid a value for this test, unless somebody chose
// one.
func setDefault(t *testing.T, name, variable, value string) {
	f := flag.Lookup(name)
	before := f.Value.String()
	if os.Getenv(variable) != "" || before != f.DefValue {
		return
	}
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, before) })
}

// example lets an Env fail one example, which rapid then shrinks, in place of
// the whole test.
type example struct {
	testing.TB
	t *rapid.T
}

func (x example) Helper()                           { x.t.Helper() }
func (x example) Error(args ...any)                 { x.t.Error(args...) }
func (x example) Errorf(format string, args ...any) { x.t.Errorf(format, args...) }
func (x example) Fatal(args ...any)                 { x.t.Fatal(args...) }
func (x example) Fatalf(format string, args ...any) { x.t.Fatalf(format, args...) }

// machine is a store, the model of it, and those who work on it.
type machine struct {
	*Env
	*model
	t        *rapid.T
	db       *sql.DB
	embedded bool

	workers  [2]worker
	rung     []dispatcher.BatchRef // what doorbells have said
	observed []dispatcher.Calling  // what keepers have seen
	past     []replay              // what workers have done
	late     []lateEvidence
	unheard  []*pendingWish

	given map[memberID]int // how often a message was given to a provider
	taken map[memberID]int // of them, those that it surely took
	codes map[memberID]dispatcher.Code
}

// mailing is a campaign, and the channels that it uses.
type mailing struct {
	name     string
	channels []audience.Channel
}

var mailings = []mailing{
	{"Höst", []audience.Channel{audience.Email}},
	{"Vinter", []audience.Channel{audience.Email, audience.SMS, audience.Push}},
	{"Vår", []audience.Channel{audience.Push, audience.SMS}},
}

// wiped are the tables that an example begins with empty, in an order that
// foreign keys allow.
var wiped = []string{"events", "calls", "batches", "members", "groups", "slices", "runs", "campaigns", "links", "templates", "senders",
	"consents", "withdrawn_consents", "suppressions", "suppression_changes", "address_keys", "devices", "contacts"}

func newMachine(t *rapid.T, e *Env, db *sql.DB, embedded bool) *machine {
	e.Now = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	m := &machine{Env: e, t: t, db: db, embedded: embedded, given: map[memberID]int{}, taken: map[memberID]int{}, codes: map[memberID]dispatcher.Code{}}
	m.model = newModel(e)
	m.wipe()
	e.must(e.SaveSender(e.ctx(), templates.Sender{Name: "exempelbolaget", FromName: "Exempelbolaget", FromEmail: "nyheter@exempelbolaget.test"}))
	for _, ch := range audience.Channels {
		_, err := e.SaveTemplate(e.ctx(), templates.Template{Name: string(ch), Channel: ch, Default: "sv", Contents: twoLanguages.Contents}, nil)
		e.must(err)
	}
	for _, x := range mailings {
		c := dispatcher.Campaign{Name: x.name, Sender: "exempelbolaget", Topic: "newsletter"}
		for _, ch := range x.channels {
			c.Channels = append(c.Channels, dispatcher.CampaignChannel{Channel: ch, Template: string(ch)})
		}
		_, err := e.CreateCampaign(e.ctx(), c)
		e.must(err)
	}
	return m
}

// wipe empties the database, and lets ids begin at 1 again: an example that is
// run twice must fail with the same words.
func (m *machine) wipe() {
	tx, err := m.db.BeginTx(m.ctx(), nil)
	m.must(err)
	for _, table := range wiped {
		_, err := tx.ExecContext(m.ctx(), "delete from "+table)
		m.must(err)
	}
	again := `delete from sqlite_sequence`
	if !m.embedded {
		again = `select setval(s.oid::regclass, 1, false) from pg_class s where s.relkind = 'S' and s.relname not like 'goose%'`
	}
	_, err = tx.ExecContext(m.ctx(), again)
	m.must(err)
	// The store would notice a version that went back.
	m.must(tx.QueryRowContext(m.ctx(), `select ver from suppression_head`).Scan(&m.version))
	m.must(tx.Commit())
}

// begun takes most examples to where a run is planned, and there is work.
func (m *machine) begun() {
	if draw(m, "begins with nothing", false, false, false, true) {
		return
	}
	m.importContacts(names[:draw(m, "contacts", 3, 6, len(names))])
	m.launchRun(draw(m, "campaign", mailings...), 0)
	m.planAll()
	for _, ch := range audience.Channels {
		m.rung = append(m.rung, m.ringOn(ch, false, 1000)...)
	}
}

// steps are what can happen next; what is more often of interest stands there
// more often.
func (m *machine) steps() []step {
	return []step{
		{"import contacts", m.importSome},
		{"launch", m.launchAny},
		{"start due runs", m.startDue},
		{"plan what is rung", m.planRung},
		{"plan any slice", m.planAny},
		{"pause, resume, end", m.transition},
		{"ring batches", m.ring},
		{"forget rings", m.forgetRings},
		{"work", m.work},
		{"work", m.work},
		{"work", m.work},
		{"repeat what was done", m.repeatPast},
		{"beat", m.beat},
		{"look at claims", m.observe},
		{"take over", m.takeOver},
		{"sweep", m.sweepOne},
		{"late evidence", m.evidenceLate},
		{"finish runs", m.finishRuns},
		{"wish", m.wish},
		{"acknowledge", m.acknowledge},
		{"windows pass", m.windowsPass},
		{"time", m.time},
		{"history", m.historyOf},
		{"take over", m.takeOver},
	}
}

type step struct {
	name string
	do   func()
}

func (s step) String() string { return s.name }

// chance is a number below 64, each as likely as any other: rapid's own numbers
// and samples are mostly small ones.
var chance = rapid.Custom(func(t *rapid.T) (n int) {
	for range 6 {
		n *= 2
		if rapid.Bool().Draw(t, "bit") {
			n++
		}
	}
	return n
})

// draw picks one of at most 64, and shrinks to the first.
func draw[V any](m *machine, label string, from ...V) V {
	return rapid.Map(chance, func(n int) V { return from[n*len(from)/64] }).Draw(m.t, label)
}

func (m *machine) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf(format, args...)
}

// wants checks an error against the one that the model expects.
func (m *machine) wants(what string, got, want error) {
	m.t.Helper()
	if want == nil && got != nil || !errorIs(got, want) {
		m.fail("%s: %v, want %v", what, got, want)
	}
}

// rounds is how often everything is taken further at the end of an example: a
// bound that is far off, so that what does not end is found.
const rounds = 60

// finish drives all runs to their end, with a worker who makes no mistakes, and
// looks at what has become of everybody.
func (m *machine) finish() {
	m.windowsPass()
	for i := range m.workers {
		m.workers[i] = worker{}
	}
	for range rounds {
		if m.allEnded() {
			m.judge()
			return
		}
		m.Now = m.Now.Add(2 * time.Hour)
		m.startDue()
		for _, r := range m.runs {
			if r.State == dispatcher.Paused {
				_, err := m.Resume(m.ctx(), r.campaign)
				m.must(err)
				r.move(dispatcher.Sending, "")
				m.forgetRingsOf(r.ID)
			}
		}
		m.planAll()
		m.observe()
		for _, c := range m.observed {
			m.sweepThis(c)
		}
		m.observed = nil
		for _, ch := range audience.Channels {
			for _, r := range m.ringOn(ch, false, 1000) {
				m.workThrough(r)
			}
		}
		m.finishRuns()
		m.check()
	}
	m.fail("after %d rounds not all runs have ended", rounds)
}

func (m *machine) planAll() {
	for range 2 { // the closing slices are rung when the others are planned
		for _, r := range m.ringSlices() {
			m.planSlice(r)
		}
	}
}

func (m *machine) allEnded() bool {
	return !slices.ContainsFunc(m.runs, func(r *modelRun) bool { return !r.State.Ended() })
}

// judge looks at what has become of everybody when all is over.
func (m *machine) judge() {
	for id, x := range m.members {
		code := m.codeOf(x)
		if code == dispatcher.Pending {
			m.fail("a member is pending in a run that has ended: %+v", id)
		}
		if m.given[id] > 1 {
			m.fail("given to a provider %d times: %+v", m.given[id], id)
		}
		if m.taken[id] > 0 && code != dispatcher.Sent && code != dispatcher.InDoubt {
			m.fail("a provider took it, and it is %s: %+v", code, id)
		}
		if code == dispatcher.Sent && m.taken[id] == 0 {
			m.fail("no provider took it, and it is sent: %+v", id)
		}
	}
}

func byBatch(a, b suppression.InFlight) int {
	return cmp.Or(cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.Fence, b.Fence))
}

func (id memberID) String() string {
	return fmt.Sprintf("run %d, %s, key %s", id.run, id.channel, id.key.Short())
}

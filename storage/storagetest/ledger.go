package storagetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

func errorIs(err, target error) bool { return errors.Is(err, target) }

func planning(t *testing.T, e *Env) {
	e.mails(2500)
	twin := contact("twin", address(7))
	english := contact("english", "english@example.com")
	english.Locale = "en-GB"
	nobody := contact("nobody", "")
	e.save(twin, english, nobody)
	e.library(audience.Email, audience.Push)
	run := e.launch()
	for range 2 { // a planner that runs twice changes nothing
		e.plan()
		e.must(e.PlanSlice(e.ctx(), dispatcher.SliceRef{Run: run.ID, Channel: audience.Email, Slice: 0}))
	}
	mail := e.report(audience.Email)
	if mail.Audience != 2503 || mail.Duplicates != 1 || mail.Skipped != 1 || mail.Pending != 2501 {
		t.Errorf("e-mail: %+v", mail)
	}
	push := e.report(audience.Push)
	if push.Audience != 2503 || push.Skipped != 2503 || push.Causes["skipped"]["no_address"] != 2503 {
		t.Errorf("push: %+v", push)
	}
	seen := map[audience.Key]bool{}
	languages := map[string]int{}
	for _, b := range e.batches(audience.Email) {
		members, err := e.membersOf(b, 2*dispatcher.BatchSize)
		e.must(err)
		if len(members) > dispatcher.BatchSize {
			t.Errorf("batch %d has %d members", b.ID, len(members))
		}
		languages[b.Language] += len(members)
		for _, m := range members {
			if seen[m.Key] || m.Gone {
				t.Errorf("member %s: twice or gone", m.Key.Short())
			}
			seen[m.Key] = true
		}
	}
	if diff := cmp.Diff(map[string]int{"sv": 2500, "en": 1}, languages); diff != "" {
		t.Errorf("languages: %s", diff)
	}
	if got := e.batches(audience.Email); len(got) != 0 {
		t.Errorf("%d batches were rung twice at once", len(got))
	}
}

// languagesByLocale expects the planner to choose as the templates do.
func languagesByLocale(t *testing.T, e *Env) {
	tmpl := templates.Template{Name: "host-sms", Channel: audience.SMS, Default: "sv", Contents: map[string]templates.Content{
		"sv": {Text: "a"}, "pt": {Text: "b"}, "pt-BR": {Text: "c"}, "en_GB": {Text: "d"}}}
	e.library(audience.SMS)
	_, err := e.SaveTemplate(e.ctx(), tmpl, nil)
	e.must(err)
	want := map[string]int{}
	for i, locale := range []string{"sv-SE", "pt-br", "pt_BR", "PT-PT", "pt", "en", "en-GB", "fi-FI", "", "ptx"} {
		c := contact(fmt.Sprintf("l%d", i), "")
		c.Phone, c.Locale = fmt.Sprintf("+1212555%04d", 100+i), locale
		e.save(c)
		want[templates.LanguageFor(tmpl, locale)]++
	}
	e.launch()
	e.plan()
	got := map[string]int{}
	for _, b := range e.batches(audience.SMS) {
		members, err := e.membersOf(b, 100)
		e.must(err)
		got[b.Language] += len(members)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// ringEnded: batches that are only to be closed are found on any channel, and
// no others.
func ringEnded(t *testing.T, e *Env) {
	e.started(20, audience.Email)
	e.Now = e.Now.Add(time.Minute)
	ended := func() int {
		t.Helper()
		refs, err := e.RingEnded(e.ctx(), audience.Email, 100)
		e.must(err)
		return len(refs)
	}
	if n := ended(); n != 0 {
		t.Errorf("%d batches of a run that is sending", n)
	}
	e.Now = e.Now.Add(dispatcher.DefaultSendBy)
	if n := ended(); n != 1 {
		t.Errorf("%d batches past send_by, want 1", n)
	}
	e.Now = e.Now.Add(time.Minute)
	if _, err := e.Cancel(e.ctx(), campaign); err != nil {
		t.Fatal(err)
	}
	if n := ended(); n != 1 {
		t.Errorf("%d batches of a cancelled run, want 1", n)
	}
}

func closingSlice(t *testing.T, e *Env) {
	e.mails(10)
	e.library(audience.Email)
	run := e.launch()
	e.Now = e.Now.Add(time.Second)
	// The slices were cut, none is planned. One slice is planned, then people
	// move: one into it, one away from it, one is new, one is a twin.
	e.must(e.PlanSlice(e.ctx(), dispatcher.SliceRef{Run: run.ID, Channel: audience.Email, Slice: 0}))
	e.save(contact("c3", "moved@example.com"), contact("new", "new@example.com"), contact("twin", address(4)))
	e.plan()
	got := e.report(audience.Email)
	if got.Audience != 11 || got.Pending != 11 {
		t.Fatalf("after the closing slice: %+v", got)
	}
	gone := 0
	for _, b := range e.batches(audience.Email) {
		members, err := e.membersOf(b, 100)
		e.must(err)
		for _, m := range members {
			if m.Gone {
				gone++
			}
		}
	}
	if gone != 1 {
		t.Errorf("%d members are gone, want the one who moved after she was planned", gone)
	}
}

func (e *Env) started(n int, channels ...audience.Channel) []dispatcher.Batch {
	e.t.Helper()
	if len(channels) == 0 {
		channels = []audience.Channel{audience.Email}
	}
	e.mails(n)
	e.library(channels...)
	e.launch()
	e.plan()
	return e.batches(channels[0])
}

func claimOnce(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, _ := e.claimOf(b, 20)
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			mine := c
			mine.Nonce = int64(i)
			switch err := e.Claim(e.ctx(), mine); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, dispatcher.ErrNotClaimed):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d workers claimed the batch", won.Load())
	}
}

func claimNeedsRun(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, _ := e.claimOf(b, 20)
	if _, err := e.Pause(e.ctx(), campaign, "operator"); err != nil {
		t.Fatal(err)
	}
	if err := e.Claim(e.ctx(), c); !errors.Is(err, dispatcher.ErrNotClaimed) {
		t.Errorf("claim of a paused run: %v", err)
	}
	if _, err := e.Resume(e.ctx(), campaign); err != nil {
		t.Fatal(err)
	}
	if err := e.Claim(e.ctx(), c); !errors.Is(err, dispatcher.ErrNotClaimed) {
		t.Errorf("claim with the revision from before the pause: %v", err)
	}
	b, err := e.Batch(e.ctx(), b.ID)
	e.must(err)
	c.Rev = b.Rev
	e.must(e.Claim(e.ctx(), c))
}

func settling(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 12)
	e.must(e.Claim(e.ctx(), c))
	s := settlementOf(b, c, ks)
	s.Exceptions = []dispatcher.Exception{
		{Key: ks[0], Code: dispatcher.Suppressed, Cause: dispatcher.Cause(suppression.Objected)},
		{Key: ks[1], Code: dispatcher.Suppressed, Cause: dispatcher.Cause(suppression.NoBasis)},
		{Key: ks[2], Code: dispatcher.Failed, Cause: dispatcher.CauseRefused},
		{Key: ks[4], Code: dispatcher.InDoubt, Cause: dispatcher.CauseNoAnswer},
	}
	p, err := e.Settle(e.ctx(), s)
	if err != nil || p.Done {
		t.Fatalf("first chunk: %+v %v", p, err)
	}
	if _, err := e.Settle(e.ctx(), s); !errors.Is(err, dispatcher.ErrLostClaim) {
		t.Errorf("settled twice: %v", err)
	}
	got := e.report(audience.Email)
	if got.Sent != 8 || got.Suppressed != 2 || got.Failed != 1 || got.InDoubt != 1 || got.Pending != 8 {
		t.Errorf("after the first chunk: %+v", got)
	}
	b, err = e.Batch(e.ctx(), b.ID)
	e.must(err)
	c, ks = e.claimOf(b, 100)
	if len(ks) != 8 {
		t.Fatalf("%d members are left, want 8", len(ks))
	}
	e.must(e.Claim(e.ctx(), c))
	if p, err = e.Settle(e.ctx(), settlementOf(b, c, ks)); err != nil || !p.Done {
		t.Fatalf("last chunk: %+v %v", p, err)
	}
	e.ends(dispatcher.Finished)
}

// ends expects the run to end in a state now.
func (e *Env) ends(want dispatcher.RunState) {
	e.t.Helper()
	_, err := e.FinishRuns(e.ctx())
	e.must(err)
	run, err := e.LatestRun(e.ctx(), campaign)
	e.must(err)
	if run.State != want {
		e.t.Errorf("the run is %s, want %s", run.State, want)
	}
}

func movedMembers(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 100)
	e.must(e.Claim(e.ctx(), c))
	s := settlementOf(b, c, ks)
	s.Moves = []dispatcher.Move{{Keys: []audience.Key{ks[9], ks[2], ks[5]}, RetryAt: e.Now.Add(time.Minute), Attempts: 1}}
	if p, err := e.Settle(e.ctx(), s); err != nil || !p.Done {
		t.Fatalf("%+v %v", p, err)
	}
	if got := e.report(audience.Email); got.Sent != 17 || got.Pending != 3 {
		t.Errorf("%+v", got)
	}
	if got := e.batches(audience.Email); len(got) != 0 {
		t.Error("moved members were rung before their time")
	}
	e.Now = e.Now.Add(2 * time.Minute)
	again := e.batches(audience.Email)
	if len(again) != 1 || again[0].Attempts != 1 || again[0].Group == b.Group {
		t.Fatalf("after the pause: %+v", again)
	}
	c, moved := e.claimOf(again[0], 100)
	if diff := cmp.Diff([]audience.Key{ks[2], ks[5], ks[9]}, moved); diff != "" {
		t.Fatal(diff)
	}
	e.must(e.Claim(e.ctx(), c))
	e.must(e.Release(e.ctx(), c, e.Now.Add(time.Minute)))
	if err := e.Release(e.ctx(), c, e.Now); !errors.Is(err, dispatcher.ErrLostClaim) {
		t.Errorf("released twice: %v", err)
	}
	e.Now = e.Now.Add(2 * time.Minute)
	again = e.batches(audience.Email)
	c, moved = e.claimOf(again[0], 100)
	e.must(e.Claim(e.ctx(), c))
	if _, err := e.Settle(e.ctx(), settlementOf(again[0], c, moved)); err != nil {
		t.Fatal(err)
	}
	e.ends(dispatcher.Finished)
	if got := e.report(audience.Email); got.Sent != 20 {
		t.Errorf("%+v", got)
	}
}

func sweeping(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 5)
	e.must(e.Claim(e.ctx(), c))
	claims, err := e.CallingBatches(e.ctx())
	e.must(err)
	if len(claims) != 1 {
		t.Fatalf("claims: %+v", claims)
	}
	stale := claims[0]
	stale.Beat--
	e.must(e.Sweep(e.ctx(), stale))
	if got := e.report(audience.Email); got.InDoubt != 0 {
		t.Error("a claim whose worker lives was swept")
	}
	e.must(e.Sweep(e.ctx(), claims[0]))
	if got := e.report(audience.Email); got.InDoubt != 5 || got.Causes["in_doubt"]["worker_lost"] != 5 || got.Pending != 15 {
		t.Errorf("after the sweep: %+v", got)
	}
	if _, err := e.Settle(e.ctx(), settlementOf(b, c, ks)); !errors.Is(err, dispatcher.ErrLostClaim) {
		t.Errorf("the swept worker settled: %v", err)
	}
	evidence := []dispatcher.Message{{Key: ks[0]}, {Key: ks[1]}}
	for range 2 {
		e.must(e.Evidence(e.ctx(), b.Group, evidence))
	}
	if got := e.report(audience.Email); got.InDoubt != 3 || got.Sent != 2 {
		t.Errorf("after late evidence: %+v", got)
	}
	b, err = e.Batch(e.ctx(), b.ID)
	e.must(err)
	c, ks = e.claimOf(b, 100)
	if len(ks) != 15 {
		t.Errorf("%d members go on, want 15", len(ks))
	}
	e.must(e.Claim(e.ctx(), c))
}

func cancelling(t *testing.T, e *Env) {
	b := e.started(20)[0]
	c, ks := e.claimOf(b, 5)
	e.must(e.Claim(e.ctx(), c))
	if _, err := e.Cancel(e.ctx(), campaign); err != nil {
		t.Fatal(err)
	}
	e.ends(dispatcher.Cancelling)
	if _, err := e.Settle(e.ctx(), settlementOf(b, c, ks)); err != nil {
		t.Fatal(err)
	}
	e.Now = e.Now.Add(time.Minute)
	rest := e.batches(audience.Email)
	if len(rest) != 1 {
		t.Fatalf("%d batches are rung to be closed", len(rest))
	}
	e.must(e.CloseRest(e.ctx(), rest[0], dispatcher.Skipped, dispatcher.CauseCancelled))
	e.ends(dispatcher.Cancelled)
	if got := e.report(audience.Email); got.Sent != 5 || got.Causes["skipped"]["cancelled"] != 15 || got.Pending != 0 {
		t.Errorf("%+v", got)
	}
}

func launchOnce(t *testing.T, e *Env) {
	e.mails(3)
	e.library(audience.Email)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_, err := e.LaunchRun(e.ctx(), campaign, dispatcher.Launch{})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, storage.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("launched %d times", won.Load())
	}
	if _, err := e.LaunchRun(e.ctx(), "unknown", dispatcher.Launch{}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("an unknown campaign: %v", err)
	}
}

func eventsOnce(t *testing.T, e *Env) {
	b := e.started(20)[0]
	_, ks := e.claimOf(b, 2)
	open := tracking.Event{Type: tracking.Opens, At: e.Now, Group: b.Group, Key: ks[0], Dedupe: "o1"}
	again := open
	again.Dedupe = "o2"
	foreign := open
	foreign.Dedupe, foreign.Group = "o3", 999_999
	var wg sync.WaitGroup
	for _, ev := range []tracking.Event{open, open, again, foreign,
		{Type: tracking.Clicks, At: e.Now, Group: b.Group, Dedupe: "c1"}, {Type: tracking.Clicks, At: e.Now, Group: b.Group, Dedupe: "c2"}} {
		wg.Go(func() {
			if err := e.AppendEvent(e.ctx(), ev); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := e.report(audience.Email); got.Opened != 1 || got.Clicked != 2 {
		t.Errorf("opened %d, want 1 person; clicked %d, want 2 without a person", got.Opened, got.Clicked)
	}
}

func apiKeys(t *testing.T, e *Env) {
	k, err := e.CreateKey(e.ctx(), "ci", "admin", []byte("hash"))
	e.must(err)
	if _, err := e.CreateKey(e.ctx(), "ci", "admin", []byte("other")); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("a name twice: %v", err)
	}
	got, err := e.KeyByHash(e.ctx(), []byte("hash"))
	if err != nil || got.ID != k.ID || got.Scope != "admin" {
		t.Errorf("%+v %v", got, err)
	}
	e.must(e.RevokeKey(e.ctx(), "ci"))
	if _, err := e.KeyByHash(e.ctx(), []byte("hash")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a revoked key: %v", err)
	}
	if _, err := e.KeyByID(e.ctx(), k.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a revoked key by id: %v", err)
	}
}

func templateVersions(t *testing.T, e *Env) {
	tmpl := templates.Template{Name: "a", Channel: audience.SMS, Default: "sv", Contents: map[string]templates.Content{"sv": {Text: "ett"}}}
	first, err := e.SaveTemplate(e.ctx(), tmpl, []string{"https://example.com/1", "https://example.com/1"})
	e.must(err)
	tmpl.Contents = map[string]templates.Content{"sv": {Text: "två"}}
	second, err := e.SaveTemplate(e.ctx(), tmpl, nil)
	e.must(err)
	if first.Version != 1 || second.Version != 2 {
		t.Errorf("versions %d and %d", first.Version, second.Version)
	}
	newest, err := e.TemplateByName(e.ctx(), "a")
	if err != nil || newest.Contents["sv"].Text != "två" {
		t.Errorf("%+v %v", newest, err)
	}
	old, err := e.TemplateByID(e.ctx(), first.ID)
	if err != nil || old.Contents["sv"].Text != "ett" {
		t.Errorf("%+v %v", old, err)
	}
	links, err := e.LinkIDs(e.ctx(), first.ID)
	if err != nil || len(links) != 1 {
		t.Fatalf("%v %v", links, err)
	}
	target, err := e.LinkTarget(e.ctx(), links["https://example.com/1"])
	if err != nil || target != "https://example.com/1" {
		t.Errorf("%q %v", target, err)
	}
}

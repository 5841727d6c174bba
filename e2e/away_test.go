package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"utskick/channels/channeltest"
	"utskick/internal/testserver"
	"utskick/suppression"
)

// TestServeCutOffFromTheDatabase cuts serve off from a Postgres that the worker
// still reaches. People object meanwhile, and click.
func TestServeCutOffFromTheDatabase(t *testing.T) {
	database, ok := testserver.Postgres(t)
	broker, also := testserver.Redis(t)
	if !ok || !also {
		return // not installed here; see testserver
	}
	way, err := testserver.StartWay(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = way.Close() })
	vendors, env := startVendors(t)
	env["UTSKICK_DATABASE_URL"], env["UTSKICK_REDIS_URL"] = database, broker
	env["UTSKICK_SECRET_FILE"] = filepath.Join(t.TempDir(), "secret.json")
	w := newWorld(t, env)
	w.must("migrate")
	w.prepare(600)
	w.env["UTSKICK_DATABASE_URL"] = way.URL
	serve := w.serve("serve")
	w.env["UTSKICK_DATABASE_URL"] = database
	fast := w.start("work")
	w.launch("first")
	w.ended("first")
	fast.stop()
	links, click := map[string]string{}, ""
	for _, m := range vendors["email"].Received() {
		links[m.To] = serve.public + strings.TrimPrefix(unsubscribeLink.FindString(m.HTML), publicURL)
		click = serve.public + strings.TrimPrefix(clickLink.FindString(m.HTML), publicURL)
	}
	w.env["UTSKICK_EMAIL_RATE"] = "40" // slow enough to meddle with
	w.start("work")
	w.launch("second")
	second := func() map[string]channeltest.Message { return newestTo(vendors["email"].Received()[600:]) }
	until(t, "the second campaign is sent", func() bool { return len(second()) > 40 })

	way.Cut()
	cut := time.Now()
	acknowledged := objectAll(t, links, second(), 50)
	if res, _ := get(t, click); res.StatusCode != http.StatusFound {
		t.Errorf("a click while the database is away: %s", res.Status)
	}
	for who, at := range acknowledged {
		// The last renewal was sent a second before the cut at most.
		if at.Sub(cut) < suppression.AwayWait-suppression.RenewEvery-100*time.Millisecond {
			t.Errorf("%s was acknowledged %v after the cut", who, at.Sub(cut))
		}
	}
	if out, _, code := w.run("doctor"); code != 1 || !strings.Contains(out, "utskick instances release serve-") {
		t.Errorf("the doctor does not name the instance: %s", out)
	}
	atRest := len(second())
	way.Mend()
	mended := time.Now()
	until(t, "sending goes on", func() bool { return len(second()) > atRest })
	t.Logf("sending went on %v after the way was mended", time.Since(mended))
	c := w.ended("second")
	spared := int64(0)
	for who, at := range acknowledged {
		m, sent := second()[who]
		if !sent {
			spared++
		} else if m.At.After(at) {
			t.Errorf("%s was sent to %v after the objection was acknowledged", who, m.At.Sub(at))
		}
	}
	if spared == 0 || c.Causes["suppressed"]["unsubscribed"] != spared || c.Sent+spared != 600 || c.InDoubt != 0 {
		t.Errorf("%d were spared; %+v", spared, c)
	}
	var first struct {
		Channels []struct {
			Unsubscribed, Clicked int64
			ByMachines            int64 `json:"clicked_by_machines"`
		}
	}
	decode(t, w.must("campaigns", "report", "first", "--json"), &first)
	if got := first.Channels[0]; got.Unsubscribed != int64(len(acknowledged)) || got.Clicked+got.ByMachines != 1 {
		t.Errorf("the first campaign counts %+v, %d objected and one clicked", got, len(acknowledged))
	}
}

func newestTo(mails []channeltest.Message) map[string]channeltest.Message {
	all := map[string]channeltest.Message{}
	for _, m := range mails {
		all[m.To] = m
	}
	return all
}

// objectAll lets n people who have not been sent to object at once, and returns
// when each was told that it is done.
func objectAll(t *testing.T, links map[string]string, sent map[string]channeltest.Message, n int) map[string]time.Time {
	t.Helper()
	acknowledged, mu, wg := map[string]time.Time{}, sync.Mutex{}, sync.WaitGroup{}
	for who, link := range links {
		if _, already := sent[who]; already || n == 0 {
			continue
		}
		n--
		wg.Go(func() {
			res, err := client.PostForm(link, url.Values{"List-Unsubscribe": {"One-Click"}})
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusAccepted {
				t.Error(fmt.Errorf("an objection while the database is away: %s", res.Status))
				return
			}
			mu.Lock()
			defer mu.Unlock()
			acknowledged[who] = time.Now()
		})
	}
	wg.Wait()
	return acknowledged
}

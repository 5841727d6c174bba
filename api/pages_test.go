package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	xhtml "golang.org/x/net/html"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
)

// newOpsSite has one campaign of every state.
func newOpsSite(t *testing.T) *site {
	s := newSite(t, nil)
	for _, state := range []dispatcher.RunState{"", dispatcher.Scheduled, dispatcher.Sending, dispatcher.Paused, dispatcher.Finished} {
		name := "Höst <" + string(state) + ">"
		s.store.campaigns = append(s.store.campaigns, dispatcher.Campaign{Name: name, Sender: "exempel", Topic: "offer"})
		if state == "" {
			continue
		}
		s.store.runs[name] = dispatcher.Run{ID: 4, State: state, Reason: map[bool]string{true: "wrong price"}[state == dispatcher.Paused], Due: begin, SendBy: begin.Add(time.Hour)}
		s.store.reports[name] = dispatcher.Report{Run: 4, Channels: []dispatcher.ChannelReport{{Channel: audience.Email, Audience: 1007, Duplicates: 2, Sent: 801, Suppressed: 103, Failed: 7, InDoubt: 4, Skipped: 55, Pending: 35,
			Causes: map[string]map[string]int64{"suppressed": {"unsubscribed": 100, "objected": 3}, "failed": {"refused": 7}, "in_doubt": {"server": 4}, "skipped": {"no_address": 55}},
			Opened: 21, Clicked: 12, Unsubscribed: 5}}}
	}
	return s
}

const sendingPage = "/ops/campaigns/H%C3%B6st%20%3Csending%3E"

func TestOpsShowsEveryRun(t *testing.T) {
	s := newOpsSite(t)
	cookie, csrf := s.session(s.marketer)
	page := s.as("", http.MethodGet, "/ops", "", "Cookie", cookie).body
	for _, want := range []string{"Höst &lt;sending&gt;", "not launched", "wrong price", `<td class="n">1007</td><td class="n">2</td><td class="n">801</td><td class="n">103</td><td class="n">7</td><td class="n">4</td><td class="n">55</td><td class="n">35</td>`,
		`action="` + sendingPage + `/pause"`, `action="` + sendingPage + `/cancel"`, `value="` + csrf + `"`, `http-equiv="refresh" content="5"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, unwanted := range []string{"finished%3E/cancel", "finished%3E/pause", "sending%3E/resume", "scheduled%3E/pause", "%3C%3E/cancel"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page offers %s", unwanted)
		}
	}
	if off := s.as("", http.MethodGet, "/ops?refresh=off", "", "Cookie", cookie).body; strings.Contains(off, `http-equiv="refresh"`) {
		t.Error("the page does not rest when asked to")
	}
	reader, _ := s.session(s.aud)
	if page := s.as("", http.MethodGet, "/ops", "", "Cookie", reader).body; strings.Contains(page, "/cancel") {
		t.Error("whoever may only read is offered buttons")
	}
}

func TestACampaignShowsItsCauses(t *testing.T) {
	s := newOpsSite(t)
	page := s.as(s.aud, http.MethodGet, sendingPage, "").body
	for _, want := range []string{"<td>suppressed</td><td>unsubscribed</td><td class=\"n\">100</td>", "<td>in_doubt</td><td>server</td><td class=\"n\">4</td>", `<td class="n">21</td><td class="n">12</td><td class="n">5</td>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	s.as(s.aud, http.MethodGet, "/ops/campaigns/nothing", "").want(t, http.StatusNotFound)
}

func TestButtons(t *testing.T) {
	s := newOpsSite(t)
	cookie, csrf := s.session(s.marketer)
	press := func(action string) answer {
		return s.as("", http.MethodPost, sendingPage+"/"+action, "csrf="+csrf, "Content-Type", form, "Cookie", cookie)
	}
	for _, step := range []struct {
		action string
		status int
		state  dispatcher.RunState
	}{
		{"launch", 404, dispatcher.Sending}, {"pause", 303, dispatcher.Paused}, {"pause", 409, dispatcher.Paused}, {"resume", 303, dispatcher.Sending}, {"cancel", 303, dispatcher.Cancelled}, {"resume", 409, dispatcher.Cancelled},
	} {
		a := press(step.action)
		if state := s.store.runs["Höst <sending>"].State; a.status != step.status || state != step.state {
			t.Errorf("%s: got %d, and the run is %s", step.action, a.status, state)
		}
		if a.status == 303 && a.header.Get("Location") != sendingPage {
			t.Errorf("%s leads to %q", step.action, a.header.Get("Location"))
		}
	}
}

func TestSumsThatDoNotMeetAreShown(t *testing.T) {
	s := newOpsSite(t)
	s.store.reports["Höst <sending>"].Channels[0].Sent++
	if page := s.as(s.aud, http.MethodGet, "/ops", "").body; !strings.Contains(page, "The sums do not meet") {
		t.Error("nothing is shown")
	}
	if !strings.Contains(s.log.String(), "does not add up") {
		t.Error("nothing is logged")
	}
}

func TestPagesWithoutADatabase(t *testing.T) {
	s := newOpsSite(t)
	s.as(s.admin, http.MethodGet, "/", "").want(t, http.StatusOK)
	s.store.fail(errDown)
	for _, path := range []string{"/", "/ops", sendingPage} {
		a := s.as(s.admin, http.MethodGet, path, "")
		a.want(t, http.StatusServiceUnavailable)
		if !strings.Contains(a.body, "<h1>Service Unavailable</h1>") || strings.Contains(a.body, errDown.Error()) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

// operatorPages are the pages that people look at.
var operatorPages = []string{"/", "/ops", sendingPage, "/docs", "/outbox/email/", "/outbox/email/1.eml", "/outbox/sms/", "/login", "/ops/campaigns/nothing",
	"/ops/people", "/ops/people/1", "/ops/inbound"}

var fromElsewhere = regexp.MustCompile(`(?i)(src|action)\s*=\s*"?(https?:)?//|@import|url\(|<script|<link|\son\w+=|\sstyle=`)

func TestPagesLoadNothingFromElsewhere(t *testing.T) {
	s := newOpsSite(t)
	s.capture("email", "1.eml", strings.Split(exampleMail, "--xx\r\nContent-Type: text/html")[0]+"--xx--")
	cookie, _ := s.session(s.admin)
	for _, path := range operatorPages {
		a := s.as("", http.MethodGet, path, "", "Cookie", cookie)
		if found := fromElsewhere.FindString(a.body); found != "" {
			t.Errorf("%s has %q", path, found)
		}
		policy := a.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; style-src ") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "script-src") {
			t.Errorf("%s has the policy %q", path, policy)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept", path)
		}
	}
}

// TestPagesAreSound looks for what WCAG 2.2 asks of every page and a machine
// can see: a language (3.1.1), a title (2.4.2), one main heading, levels that
// are not jumped over (1.3.1), labels (3.3.2), names of frames (4.1.2), ids
// that occur once, and elements that are closed.
func TestPagesAreSound(t *testing.T) {
	s := newOpsSite(t)
	s.capture("email", "1.eml", exampleMail)
	cookie, _ := s.session(s.admin)
	pages := map[string]string{}
	for _, path := range append(operatorPages, s.server.NewLoginLink()) {
		pages[path] = s.as("", http.MethodGet, path, "", "Cookie", cookie).body
	}
	p := newPublicSite(t)
	pages["/u/good"] = p.visit(http.MethodGet, "/u/"+p.token('u', 1, 0, anna), "").body
	pages["/u/done"] = p.visit(http.MethodPost, "/u/"+p.token('u', 1, 0, anna), "").body
	pages["/u/bad"] = p.visit(http.MethodGet, "/u/x", "").body
	for path, page := range pages {
		for _, err := range soundness(page) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

var voids = map[string]bool{"meta": true, "br": true, "input": true, "img": true, "link": true, "hr": true}

func soundness(page string) (errs []error) {
	z := xhtml.NewTokenizer(strings.NewReader(page))
	var open []string
	var level, mains, titles int
	ids, labels := map[string]bool{}, map[string]bool{}
	wrong := func(text string) { errs = append(errs, errors.New(text)) }
	var inputs []map[string]string
	for {
		switch z.Next() {
		case xhtml.ErrorToken:
			if len(open) > 0 {
				wrong("not closed: " + strings.Join(open, " "))
			}
			for _, in := range inputs {
				if in["type"] != "hidden" && !labels[in["id"]] {
					wrong("an input without a label")
				}
			}
			if level == 0 || mains != 1 || titles != 1 {
				wrong("no heading, or not one main and one title")
			}
			return errs
		case xhtml.StartTagToken:
			token := z.Token()
			attrs := map[string]string{}
			for _, a := range token.Attr {
				attrs[a.Key] = a.Val
			}
			if id := attrs["id"]; id != "" && ids[id] {
				wrong("the id " + id + " twice")
			}
			ids[attrs["id"]] = true
			switch name := token.Data; {
			case name == "html" && attrs["lang"] == "":
				wrong("no language")
			case name == "iframe" && attrs["title"] == "", name == "nav" && attrs["aria-label"] == "":
				wrong(name + " without a name")
			case name == "th" && attrs["scope"] == "":
				wrong("th without a scope")
			case name == "main":
				mains++
			case name == "title":
				titles++
			case name == "label":
				labels[attrs["for"]] = true
			case name == "input":
				inputs = append(inputs, attrs)
			case len(name) == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6':
				if next := int(name[1] - '0'); next > level+1 || (next == 1 && level > 0) {
					wrong("heading " + name + " in a wrong place")
				} else {
					level = next
				}
			}
			if !voids[token.Data] {
				open = append(open, token.Data)
			}
		case xhtml.EndTagToken:
			name := z.Token().Data
			if len(open) == 0 || open[len(open)-1] != name {
				wrong("</" + name + "> closes " + strings.Join(open, " "))
				return errs
			}
			open = open[:len(open)-1]
		}
	}
}

func TestDocsDescribeEveryOperation(t *testing.T) {
	s := newSite(t, nil)
	page := s.as(s.aud, http.MethodGet, "/docs", "").body
	operations := 0
	for _, pattern := range s.server.operator.routes.patterns {
		if strings.Contains(pattern, " /v1/") {
			operations++
			if !strings.Contains(page, "<code>"+pattern+"</code>") {
				t.Errorf("%s is not described", pattern)
			}
		}
	}
	if operations < 20 {
		t.Errorf("only %d operations", operations)
	}
	for _, want := range []string{"one of email, sms, push", "<code>channels[].template</code>", "--data-binary @FILE", "-X PUT", "<code>languages.&lt;name&gt;.html</code>", "default 100", "matches ^[a-z0-9]"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

func TestOpenAPI(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Version = "1.2.3" })
	a := s.as(s.aud, http.MethodGet, "/openapi.json", "")
	a.want(t, http.StatusOK)
	var doc struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Tags        []string
			Responses   map[string]any
		}
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.Version != "1.2.3" || len(doc.Paths) < 15 {
		t.Errorf("%s, version %s, %d paths", doc.OpenAPI, doc.Info.Version, len(doc.Paths))
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 || len(op.Responses) < 2 {
				t.Errorf("%s %s says %+v", method, path, op)
			}
		}
	}
}

func TestHealth(t *testing.T) {
	s := newSite(t, nil)
	ready := func() (int, string) {
		a := s.as("", http.MethodGet, "/readyz", "")
		return a.status, strings.TrimSpace(a.body)
	}
	if status, body := ready(); status != 200 || body != `{"database":"ok","lease":"held","redis":"none","sending":"ok","spool":"0 records"}` {
		t.Errorf("got %d %s", status, body)
	}
	s.store.instances = []suppression.Instance{{Name: "serve-1", State: suppression.LeaseHeld}, {Name: "serve-2", State: suppression.LeaseLapsed}}
	if status, body := ready(); status != 200 || !strings.Contains(body, `"sending":"held: instance serve-2 `) || !strings.Contains(body, "utskick instances release serve-2") {
		t.Errorf("a lapsed instance: got %d %s", status, body)
	}
	s.store.hold = dispatcher.Hold{Since: time.Unix(1, 0), Why: "it went back"}
	const held = "held: it went back; " + dispatcher.WayOut
	if status, body := ready(); status != 200 || body != `{"database":"ok","lease":"held","redis":"none","sending":"`+held+`","spool":"0 records"}` {
		t.Errorf("held: got %d %s", status, body)
	}
	a := s.as(s.aud, http.MethodGet, "/v1/database", "")
	if !strings.Contains(a.body, `"held":true`) || !strings.Contains(a.body, "it went back") || !strings.Contains(a.body, dispatcher.WayOut) {
		t.Errorf("held: the API says %s", a.body)
	}
	if a := s.as(s.aud, http.MethodGet, "/ops", ""); !strings.Contains(a.body, "All sending is "+held) {
		t.Error("held: the page does not say so")
	}
	s.store.fail(errDown)
	if status, body := ready(); status != 503 || body != `{"database":"no answer","lease":"held","redis":"none","sending":"unknown","spool":"0 records"}` {
		t.Errorf("without a database: got %d %s", status, body)
	}
	s.as("", http.MethodGet, "/healthz", "").want(t, http.StatusOK)
}

func TestQueues(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"/ops/queues", "/ops/queues/", "/ops/queues/api/queues"} {
		a := s.as(s.aud, http.MethodGet, path, "")
		a.want(t, http.StatusOK)
		if a.body != "queues at "+path || a.header.Get("Content-Security-Policy") != queuesPolicy {
			t.Errorf("%s: %q, %v", path, a.body, a.header)
		}
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			if a := s.as(s.admin, method, path, ""); a.status == http.StatusOK {
				t.Errorf("%s %s changes queues", method, path)
			}
		}
	}
}

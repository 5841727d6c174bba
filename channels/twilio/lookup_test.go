package twilio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/twilio/twiliotest"
	"utskick/tracking"
)

const number = "+46701740605"

// inquiry asks for what was taken in the minute from now on.
func inquiry(service, sender string) channels.Inquiry {
	q := channels.NewInquiry(number)
	q.Service, q.Sender, q.From, q.Until = service, sender, now, now.Add(time.Minute)
	return q
}

// listed is a message of ours that was taken ten seconds from now.
func listed(sid string) twiliotest.Listed {
	return twiliotest.Listed{SID: sid, To: number, From: "Exempel", Status: "delivered", Created: now.Add(10 * time.Second), Sent: now.Add(12 * time.Second)}
}

func start(t *testing.T) (*twiliotest.Account, *Provider) {
	vendor := twiliotest.Start(testAccount, testToken)
	t.Cleanup(vendor.Close)
	p := newProvider(t, vendor.Address())
	t.Cleanup(func() { p.Close() })
	return vendor, p
}

func TestLookFindsWhatWasTaken(t *testing.T) {
	vendor, p := start(t)
	vendor.Add(listed("SM01"))
	got, err := p.Look(t.Context(), inquiry("", "Exempel"))
	if err != nil {
		t.Fatal(err)
	}
	want := []channels.Sighting{{ID: "SM01", Created: now.Add(10 * time.Second), Type: tracking.Delivered, At: now.Add(12 * time.Second), Dedupe: "twilio-SM01-delivered"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLookGoesByNumberSenderAndTime: an account is used by others, too.
func TestLookGoesByNumberSenderAndTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*twiliotest.Listed)
		seen   bool
	}{
		{"ours", func(*twiliotest.Listed) {}, true},
		{"in the first second", func(l *twiliotest.Listed) { l.Created = now }, true},
		{"in the last second", func(l *twiliotest.Listed) { l.Created = now.Add(time.Minute) }, true},
		{"failed", func(l *twiliotest.Listed) { l.Status = "failed" }, true},
		{"sent ten hours later", func(l *twiliotest.Listed) { l.Sent = l.Created.Add(10 * time.Hour) }, true},
		{"another number", func(l *twiliotest.Listed) { l.To = "+46701740606" }, false},
		{"another sender", func(l *twiliotest.Listed) { l.From = "Annan" }, false},
		{"by a service", func(l *twiliotest.Listed) { l.Service = "MG01" }, false},
		{"an answer to a message", func(l *twiliotest.Listed) { l.Direction = "outbound-reply" }, false},
		{"from the customer", func(l *twiliotest.Listed) { l.Direction = "inbound" }, false},
		{"earlier", func(l *twiliotest.Listed) { l.Created = now.Add(-time.Second) }, false},
		{"later", func(l *twiliotest.Listed) { l.Created = now.Add(time.Minute + time.Second) }, false},
		{"not sent yet, which the list leaves out", func(l *twiliotest.Listed) { l.Sent = time.Time{} }, false},
	} {
		vendor, p := start(t)
		message := listed("SM01")
		c.change(&message)
		vendor.Add(message)
		got, err := p.Look(t.Context(), inquiry("", "Exempel"))
		if err != nil || (len(got) == 1) != c.seen {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

// TestLookAsksForWholeDays: UTC ones, and the next day, too, when the message may
// have waited until then.
func TestLookAsksForWholeDays(t *testing.T) {
	p := newProvider(t, Global)
	for at, want := range map[string][2]string{
		"2026-11-23T12:00:00Z":      {"2026-11-23", "2026-11-24"},
		"2026-11-23T14:30:00Z":      {"2026-11-23", "2026-11-25"},
		"2026-11-24T00:30:00+01:00": {"2026-11-23", "2026-11-25"},
	} {
		q := inquiry("", "Exempel")
		from, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		q.From, q.Until = from, from.Add(time.Minute)
		asked := p.listOf(q).Query()
		if got := [2]string{asked.Get("DateSent>"), asked.Get("DateSent<")}; got != want {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}

func TestLookKnowsTheSender(t *testing.T) {
	for _, c := range []struct {
		name                     string
		service, sms             string // the sender's
		defaultService, fallback string
		want                     string
	}{
		{"the sender's service wins", "MG01", "Exempel", "MG02", "Annan", "SM01"},
		{"then the sender's name", "", "Exempel", "MG02", "Annan", "SM02"},
		{"then the default service", "", "", "MG02", "Annan", "SM03"},
		{"then the default name", "", "", "", "Annan", "SM04"},
		{"of nobody nothing is known", "", "", "", "", ""},
	} {
		vendor, p := start(t)
		p.config.Service, p.config.From = c.defaultService, c.fallback
		for sid, by := range map[string][2]string{"SM01": {"MG01", "+46701740699"}, "SM02": {"", "Exempel"}, "SM03": {"MG02", ""}, "SM04": {"", "Annan"}} {
			m := listed(sid)
			m.Service, m.From = by[0], by[1]
			vendor.Add(m)
		}
		got, err := p.Look(t.Context(), inquiry(c.service, c.sms))
		if err != nil || (len(got) != 1 && c.want != "") || (len(got) == 1 && got[0].ID != c.want) {
			t.Errorf("%s: %v, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestLookReadsAllPages(t *testing.T) {
	vendor, p := start(t)
	for i := range 2*pageSize + 1 {
		vendor.Add(listed(fmt.Sprintf("SM%032d", i)))
	}
	got, err := p.Look(t.Context(), inquiry("", "Exempel"))
	ids := map[string]bool{}
	for _, s := range got {
		ids[s.ID] = true
	}
	if err != nil || len(ids) != 2*pageSize+1 || vendor.Attempts() != 3 {
		t.Errorf("%d messages by %d requests: %v", len(ids), vendor.Attempts(), err)
	}
	for i := range mostPages * pageSize {
		vendor.Add(listed(fmt.Sprintf("SMa%031d", i)))
	}
	if _, err := p.Look(t.Context(), inquiry("", "Exempel")); !errors.Is(err, channels.ErrUnreadable) {
		t.Errorf("more than can be read: %v", err)
	}
}

// TestLookStaysOnTheList: our credentials go nowhere else.
func TestLookStaysOnTheList(t *testing.T) {
	for _, next := range []string{
		"https://other.example.com/2010-04-01/Accounts/" + testAccount + "/Messages.json?Page=1", "//other.example.com/2010-04-01/Accounts/" + testAccount + "/Messages.json?Page=1",
		"/2010-04-01/Accounts/AC11111111111111111111111111111111/Messages.json?Page=1", "/Messages.json", "Messages.json", "%zz",
	} {
		vendor, p := start(t)
		vendor.Script(channeltest.Answer{Status: 200, Body: fmt.Sprintf(`{"messages":[],"next_page_uri":%q}`, next)})
		if _, err := p.Look(t.Context(), inquiry("", "Exempel")); !errors.Is(err, channels.ErrUnreadable) || vendor.Attempts() != 1 {
			t.Errorf("%s: %v, %d requests", next, err, vendor.Attempts())
		}
	}
}

// TestLookAsksAsTheSDKDoes compares the request with that of twilio-go, but for
// the times, which it writes with an hour.
func TestLookAsksAsTheSDKDoes(t *testing.T) {
	vendor, p := start(t)
	if _, err := p.Look(t.Context(), inquiry("", "Exempel")); err != nil {
		t.Fatal(err)
	}
	c := &client.Client{Credentials: client.NewCredentials(testAccount, testToken),
		HTTPClient: &http.Client{Transport: redirect{to: p.config.URL, next: http.DefaultTransport}}}
	c.SetAccountSid(testAccount)
	params := new(api.ListMessageParams).SetTo(number).SetPageSize(pageSize).SetDateSentAfter(now).SetDateSentBefore(now.AddDate(0, 0, 1))
	if _, err := api.NewApiService(client.NewRequestHandler(c)).PageMessage(params, "", ""); err != nil {
		t.Fatal(err)
	}
	var asked []url.Values
	for line := range strings.Lines(string(vendor.Raw())) {
		target, get := strings.CutPrefix(line, "GET /2010-04-01/Accounts/"+testAccount+"/Messages.json?")
		if target, _, _ = strings.Cut(target, "\r"); get {
			values, err := url.ParseQuery(target)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"DateSent>", "DateSent<"} {
				values.Set(name, values.Get(name)[:len(time.DateOnly)])
			}
			asked = append(asked, values)
		}
	}
	if len(asked) != 2 {
		t.Fatalf("%d requests", len(asked))
	}
	if diff := cmp.Diff(asked[1], asked[0]); diff != "" {
		t.Errorf("(-SDK +ours):\n%s", diff)
	}
}

func TestLookWithoutAnAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer channeltest.Answer
		want   channels.Unanswered
	}{
		{"429", twiliotest.Answer(429, 20429, "of "+number), channels.Unanswered{Reason: "throttled"}},
		{"429 with Retry-After", channeltest.Answer{Status: 429, Header: map[string]string{"Retry-After": "7"}}, channels.Unanswered{Reason: "throttled", Pause: 7 * time.Second}},
		{"401", twiliotest.Answer(401, 20003, "of "+number), channels.Unanswered{Reason: "bad_credentials"}},
		{"404", twiliotest.Answer(404, 20404, "of "+number), channels.Unanswered{Reason: "wrong_endpoint"}},
		{"500", twiliotest.Answer(500, 20500, "of "+number), channels.Unanswered{Reason: "server_error"}},
		{"503", channeltest.Answer{Status: 503, Header: map[string]string{"Retry-After": "9"}}, channels.Unanswered{Reason: "server_error", Pause: 9 * time.Second}},
		{"a redirect", channeltest.Answer{Status: 302, Header: map[string]string{"Location": "/"}}, channels.Unanswered{Reason: "redirected"}},
		{"a reset", channeltest.Answer{Fault: channeltest.Reset}, channels.Unanswered{Reason: "connection_failed"}},
		{"silence", channeltest.Answer{Fault: channeltest.Silence}, channels.Unanswered{Reason: "timeout"}},
	} {
		vendor := twiliotest.Start(testAccount, testToken)
		p, err := New(Config{URL: vendor.Address(), Account: testAccount, Token: testToken, Timeout: 300 * time.Millisecond, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // a request on a fresh connection that breaks is made again
			vendor.Script(c.answer)
		}
		_, err = p.Look(t.Context(), inquiry("", "Exempel"))
		var got *channels.Unanswered
		if !errors.As(err, &got) || *got != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, &c.want)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), number[1:]) {
			t.Errorf("%s: the error holds the number", c.name)
		}
		p.Close()
		vendor.Close()
	}
}

func TestLookOfWhoLeaves(t *testing.T) {
	vendor, p := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	vendor.Script(channeltest.Answer{Fault: channeltest.Silence, Before: cancel})
	if _, err := p.Look(ctx, inquiry("", "Exempel")); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), number) {
		t.Error(err)
	}
}

// ours is a message as Twilio's documentation shows it, of our number.
const ours = `{"body":"Hej","num_segments":"1","direction":"outbound-api","from":"Exempel","date_updated":"Mon, 23 Nov 2026 12:00:12 +0000",
	"price":null,"error_message":null,"uri":"/2010-04-01/Accounts/AC0/Messages/SM01.json","account_sid":"AC0","num_media":"0","to":"+46701740605",
	"date_created":"Mon, 23 Nov 2026 12:00:10 +0000","status":"sent","sid":"SM01","date_sent":"Mon, 23 Nov 2026 12:00:12 +0000",
	"messaging_service_sid":null,"error_code":null,"price_unit":"SEK","api_version":"2010-04-01","subresource_uris":{"media":"/x"}}`

func TestLookCannotReadThis(t *testing.T) {
	list := func(message string) string { return `{"messages":[` + message + `],"next_page_uri":null}` }
	for name, body := range map[string]string{
		"nothing": "", "HTML": "<html>", "null": "null", "an empty object": "{}", "cut short": list(ours)[:300],
		"another type":  `{"messages":{},"next_page_uri":null}`,
		"a bad date":    list(strings.Replace(ours, "Mon, 23 Nov 2026 12:00:10 +0000", "2026-11-23", 1)),
		"no id":         list(strings.Replace(ours, `"SM01"`, `""`, 1)),
		"a strange id":  list(strings.Replace(ours, `"SM01"`, `"SM 01"`, 1)),
		"no state":      list(strings.Replace(ours, `"sent"`, `""`, 1)),
		"a distant day": list(strings.Replace(ours, "Mon, 23 Nov 2026 12:00:10 +0000", "Mon, 01 Jan 0001 00:00:00 +0000", 1)),
		"too much":      list(ours + strings.Repeat(" ", mostPage)),
	} {
		vendor, p := start(t)
		vendor.Script(channeltest.Answer{Status: 200, Body: body})
		if _, err := p.Look(t.Context(), inquiry("", "Exempel")); !errors.Is(err, channels.ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	vendor, p := start(t)
	vendor.Script(channeltest.Answer{Status: 200, Body: list(strings.Replace(ours, "+46701740605", "+46701740606", 1))})
	if got, err := p.Look(t.Context(), inquiry("", "Exempel")); err != nil || len(got) != 0 {
		t.Errorf("a number that was not asked for: %v, %v", got, err)
	}
	vendor.Script(channeltest.Answer{Status: 200, Body: list(ours)})
	if got, err := p.Look(t.Context(), inquiry("", "Exempel")); err != nil || len(got) != 1 || got[0].Dedupe != "twilio-SM01-sent" {
		t.Errorf("as documented: %v, %v", got, err)
	}
}

func FuzzList(f *testing.F) {
	for _, seed := range []string{`{"messages":[` + ours + `],"next_page_uri":null}`, `{"messages":[]}`, `{"messages":[null]}`, "<html>",
		`{"messages":[` + ours + `,` + ours + `],"next_page_uri":"/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json?Page=1"}`} {
		f.Add([]byte(seed))
	}
	p := newProvider(f, Global)
	q := inquiry("", "Exempel")
	f.Fuzz(func(t *testing.T, body []byte) {
		seen, next, err := readPage(body, q, fieldFrom, "Exempel")
		for _, s := range seen {
			if !channels.IsID(s.ID) || s.Created.Before(q.From) || s.Created.After(q.Until) || s.At.Before(s.Created) || s.Type == "" || s.Dedupe == "" {
				t.Errorf("%+v", s)
			}
		}
		if err != nil && (len(seen) > 0 || strings.Contains(err.Error(), number)) {
			t.Errorf("%v, %v", seen, err)
		}
		if at, err := p.next(next); err == nil && at != nil && (at.Host != "api.twilio.com" || at.Path != p.list.Path || at.User != nil) {
			t.Errorf("%q leads to %s", next, at)
		}
	})
}

package twilio

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/twilio/twiliotest"
	"utskick/suppression"
	"utskick/templates"
)

const (
	testAccount = "AC00000000000000000000000000000000"
	testToken   = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
	callback    = "https://utskick.example.com/hooks/twilio/status"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newProvider(t testing.TB, url string) *Provider {
	t.Helper()
	p, err := New(Config{URL: url, Account: testAccount, Token: testToken, StatusCallback: callback, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSuite(t *testing.T) {
	channeltest.Run(t, channeltest.Target{
		New: func(t *testing.T, address string, o channeltest.Options) channels.Provider {
			p, err := New(Config{
				URL: address, Account: testAccount, Token: testToken, StatusCallback: callback, Connections: 8,
				Timeout: o.Timeout, Dial: o.Dial, Now: func() time.Time { return now },
			})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Start:   func(*testing.T) channeltest.StandIn { return twiliotest.Start(testAccount, testToken) },
		Secrets: []string{testToken},
		Answers: answers(),
	})
}

func answers() []channeltest.Case {
	var cases []channeltest.Case
	add := func(name string, answer channeltest.Answer, want channels.Result) {
		cases = append(cases, channeltest.Case{Name: name, Answer: answer, Want: want})
	}
	answer := func(status, code int) channeltest.Answer {
		return twiliotest.Answer(status, code, "an error that names +46701740605")
	}
	later := func(status, code int, after string) channeltest.Answer {
		a := answer(status, code)
		a.Header["Retry-After"] = after
		return a
	}
	refused := func(reason string, suppress suppression.Cause) channels.Result {
		return channels.Result{Class: channels.Refused, Reason: reason, Suppress: suppress}
	}
	notTaken := func(reason string, pause time.Duration) channels.Result {
		return channels.Result{Class: channels.NotTaken, Reason: reason, Pause: pause}
	}
	badSender := channels.Result{Class: channels.HoldSender, Reason: "bad_sender"}
	hold := func(reason string) channels.Result { return channels.Result{Class: channels.Hold, Reason: reason} }
	inDoubt := func(reason string) channels.Result {
		return channels.Result{Class: channels.InDoubt, Reason: reason}
	}

	add("201", channeltest.Answer{}, channels.Result{Class: channels.Accepted, ProviderID: channeltest.AnyID})
	add("201 whose body is lost", channeltest.Answer{Status: 201}, channels.Result{Class: channels.Accepted})
	add("200", channeltest.Answer{Status: 200}, inDoubt("server_error"))
	add("307", channeltest.Answer{Status: 307, Header: map[string]string{"Location": "/"}}, hold("redirected"))

	for code, want := range map[int]channels.Result{
		21610: refused("opted_out", suppression.Stopped),
		21211: refused("invalid_number", suppression.Invalid),
		21265: refused("short_code", suppression.Invalid),
		21614: refused("not_mobile", suppression.Invalid),
		21635: refused("landline", suppression.Invalid),
		30005: refused("unknown_number", suppression.Invalid),
		30006: refused("landline", suppression.Invalid),
		63003: refused("invalid_number", suppression.Invalid),
		63024: refused("invalid_number", suppression.Invalid),
		21408: refused("region_not_permitted", ""),
		21612: refused("no_route", ""),
		21617: refused("too_large", ""),
		30003: refused("unreachable", ""),
		30007: refused("filtered", ""),
		63016: refused("outside_window", ""),
		21611: notTaken("queue_full", 10*time.Minute),
		63017: notTaken("throttled", 0),
		63038: notTaken("daily_limit", time.Hour),
		21212: badSender,
		21603: badSender,
		21606: badSender,
		21705: badSender,
		21609: hold("bad_callback"),
		30002: hold("account_suspended"),
		29999: {Class: channels.Rejected, Reason: "bad_request"},
	} {
		add(strconv.Itoa(code), answer(400, code), want)
	}
	add("400 without a code", channeltest.Answer{Status: 400, Body: "<html>"}, channels.Result{Class: channels.Rejected, Reason: "bad_request"})
	add("401", answer(401, 20003), hold("bad_credentials"))
	add("403", answer(403, 20005), hold("forbidden"))
	add("403 for a region", answer(403, 21408), refused("region_not_permitted", ""))
	add("404", answer(404, 20404), hold("wrong_endpoint"))
	add("405", answer(405, 20004), hold("wrong_endpoint"))
	add("408", answer(408, 0), inDoubt("timeout"))
	add("429", answer(429, 20429), notTaken("throttled", 0))
	add("429 with seconds", later(429, 20429, "3"), notTaken("throttled", 3*time.Second))
	add("429 with a date", later(429, 20429, now.Add(time.Minute).Format(http.TimeFormat)), notTaken("throttled", time.Minute))
	add("429 with a year of seconds", later(429, 20429, "31536000"), notTaken("throttled", time.Hour))
	add("429 with nonsense", later(429, 20429, "soon"), notTaken("throttled", 0))
	add("429 at the daily limit", answer(429, 63038), notTaken("daily_limit", time.Hour))
	add("500", answer(500, 20500), inDoubt("server_error"))
	add("500 with a known code", answer(500, 21610), inDoubt("server_error"))
	add("502", answer(502, 0), inDoubt("server_error"))
	add("503", channeltest.Answer{Status: 503, Header: map[string]string{"Retry-After": "5"}}, channels.Result{Class: channels.InDoubt, Reason: "server_error", Pause: 5 * time.Second})
	add("504", answer(504, 0), inDoubt("server_error"))
	return cases
}

// TestBodyIsWhatTheSDKWouldSend sends each message both ways.
func TestBodyIsWhatTheSDKWouldSend(t *testing.T) {
	vendor := twiliotest.Start(testAccount, testToken)
	defer vendor.Close()
	p := newProvider(t, vendor.Address())
	defer p.Close()
	d, permits, addresses := chunk(t, 3)
	for row := range addresses {
		if _, err := p.sendBySDK(channels.NewAttempt(permits[row]), d, row, addresses[row]); err != nil {
			t.Fatal(err)
		}
	}
	send(t, p, d, permits)
	got, want := byNumber(vendor)[1], byNumber(vendor)[0]
	if diff := cmp.Diff(want, got); diff != "" || len(got) != len(addresses) {
		t.Errorf("%d messages (-SDK +ours):\n%s", len(got), diff)
	}
	for _, header := range []string{"Authorization: Basic ", "Content-Type: application/x-www-form-urlencoded\r\n"} {
		if n := strings.Count(string(vendor.Raw()), header); n != 2*len(addresses) {
			t.Errorf("%d requests have the header %q, want %d", n, header, 2*len(addresses))
		}
	}
}

// byNumber returns the first and the second message of each number.
func byNumber(vendor *twiliotest.Account) (rounds [2]map[string]channeltest.Message) {
	for i := range rounds {
		rounds[i] = make(map[string]channeltest.Message)
	}
	for _, m := range vendor.Received() {
		m.At, m.ID = time.Time{}, ""
		round := 0
		if _, seen := rounds[0][m.To]; seen {
			round = 1
		}
		rounds[round][m.To] = m
	}
	return rounds
}

func send(t *testing.T, p *Provider, d channels.Draft, permits []*suppression.Permit) []channels.Result {
	t.Helper()
	call, err := p.Prepare(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return call.Send(context.Background(), permits)
}

func TestWhoItComesFrom(t *testing.T) {
	for _, c := range []struct {
		name           string
		service, sms   string // the sender's
		defaultService string
		defaultFrom    string
		want           string
	}{
		{"the sender's service wins", "MG01", "Exempel", "MG02", "Annan", "MG01"},
		{"then the sender's name", "", "Exempel", "MG02", "Annan", "Exempel"},
		{"then the default service", "", "", "MG02", "Annan", "MG02"},
		{"then the default name", "", "", "", "Annan", "Annan"},
		{"a number keeps its plus", "", "+46701740699", "", "", "+46701740699"},
	} {
		vendor := twiliotest.Start(testAccount, testToken)
		p := newProvider(t, vendor.Address())
		p.config.Service, p.config.From = c.defaultService, c.defaultFrom
		d, permits, _ := chunk(t, 1)
		d.Skeleton.Sender.SMSService, d.Skeleton.Sender.SMSSender = c.service, c.sms
		send(t, p, d, permits)
		if got := vendor.Received()[0].From; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		p.Close()
		vendor.Close()
	}
}

func TestIdsTravelAlong(t *testing.T) {
	for address, want := range map[string]map[string]string{
		"": {},
		"https://utskick.example.com/hooks/twilio/status":     {"g": "4711"},
		"https://utskick.example.com/hooks/twilio/status?v=1": {"g": "4711", "v": "1"},
	} {
		vendor := twiliotest.Start(testAccount, testToken)
		p := newProvider(t, vendor.Address())
		p.config.StatusCallback = address
		d, permits, _ := chunk(t, 1)
		results := send(t, p, d, permits)
		if address != "" {
			want["k"] = d.Keys[0].String()
		}
		got := vendor.Received()[0]
		if diff := cmp.Diff(want, got.Args); diff != "" {
			t.Errorf("%q (-want +got):\n%s", address, diff)
		}
		if got.ID != results[0].ProviderID {
			t.Errorf("%q: the result names %q, the vendor %q", address, results[0].ProviderID, got.ID)
		}
		p.Close()
		vendor.Close()
	}
}

func TestNotUTF8(t *testing.T) {
	vendor := twiliotest.Start(testAccount, testToken)
	defer vendor.Close()
	p := newProvider(t, vendor.Address())
	defer p.Close()
	d, permits, _ := chunk(t, 1)
	d.Skeleton.Text = templates.Part{{Literal: "Hej \xffAnna", Hole: -1}}
	send(t, p, d, permits)
	if got, want := vendor.Received()[0].Text, "Hej \ufffdAnna"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPrepareRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*channels.Draft)
	}{
		{"no sender", "sms_sender", func(d *channels.Draft) { d.Skeleton.Sender.SMSSender = "" }},
		{"no text", "no text", func(d *channels.Draft) { d.Skeleton.Text = nil }},
		{"a hole without values", "hole 8", func(d *channels.Draft) {
			d.Skeleton.Text = append(d.Skeleton.Text, templates.Segment{Hole: channeltest.Columns})
		}},
	} {
		p := newProvider(t, Global)
		d, _, _ := chunk(t, 2)
		c.change(&d)
		_, err := p.Prepare(context.Background(), d)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*Config)
	}{
		{"no account", "TWILIO_ACCOUNT_SID", func(c *Config) { c.Account = "" }},
		{"a path for an account", "TWILIO_ACCOUNT_SID", func(c *Config) { c.Account = "AC0/../0" }},
		{"no token", "TWILIO_AUTH_TOKEN", func(c *Config) { c.Token = "" }},
		{"a token with a line end", "TWILIO_AUTH_TOKEN", func(c *Config) { c.Token += "\n" }},
		{"no scheme", "UTSKICK_TWILIO_URL", func(c *Config) { c.URL = "api.twilio.com" }},
		{"credentials in the address", "UTSKICK_TWILIO_URL", func(c *Config) { c.URL = "https://u:" + testToken + "@twilio.example.com" }},
		{"a callback that is no address", "UTSKICK_PUBLIC_URL", func(c *Config) { c.StatusCallback = "/hooks" }},
		{"an underscore in the callback's host", "underscore", func(c *Config) { c.StatusCallback = "https://ut_skick.example.com/" }},
	} {
		config := Config{Account: testAccount, Token: testToken}
		c.change(&config)
		_, err := New(config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		} else if strings.Contains(err.Error(), testToken) {
			t.Errorf("%s: the error holds the token", c.name)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(201, "", []byte(`{"sid":"SM0"}`))
	f.Add(400, "", []byte(`{"code":21610,"message":"x"}`))
	f.Add(400, "", []byte(`{"code":"21610"}`))
	f.Add(400, "", []byte(`{"code":{"code":1e400}}`))
	f.Add(429, "-9223372036854775808", []byte(`{"code":63038`))
	f.Add(503, "Mon, 01 Jan 0001 00:00:00 GMT", []byte("<html>"))
	p := newProvider(f, Global)
	f.Fuzz(func(t *testing.T, status int, after string, body []byte) {
		channeltest.WantSound(t, p.answer(channels.Answer{Status: status, Header: http.Header{"Retry-After": {after}}, Body: body}))
	})
}

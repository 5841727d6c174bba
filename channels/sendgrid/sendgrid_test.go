package sendgrid

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/sendgrid/sendgridtest"
)

const testKey = "SG.example-of-a-key.with-two-parts"

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newProvider(t testing.TB, url string) *Provider {
	t.Helper()
	p, err := New(Config{URL: url, Key: testKey, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSuite(t *testing.T) {
	channeltest.Run(t, channeltest.Target{
		New: func(t *testing.T, address string, o channeltest.Options) channels.Provider {
			p, err := New(Config{URL: address, Key: testKey, Timeout: o.Timeout, Dial: o.Dial, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Start:   func(*testing.T) channeltest.StandIn { return sendgridtest.Start(testKey) },
		Secrets: []string{testKey},
		Answers: answers(),
	})
}

func answers() []channeltest.Case {
	inDoubt := channels.Result{Class: channels.InDoubt, Reason: "server_error"}
	answer := func(status int, header ...string) channeltest.Answer {
		a := sendgridtest.Answer(status, "an error that names mottagare.0@example.com")
		for i := 0; i < len(header); i += 2 {
			a.Header[header[i]] = header[i+1]
		}
		return a
	}
	unverified := answer(403)
	unverified.Body = `{"errors":[{"message":"The from address does not match a verified Sender Identity.","field":"from","help":null}]}`
	reset := strconv.FormatInt(now.Add(7*time.Second).Unix(), 10)
	return []channeltest.Case{
		{Name: "202", Rows: 3, Want: channels.Result{Class: channels.Accepted, ProviderID: channeltest.AnyID}},
		{Name: "200 of the sandbox", Answer: answer(200), Want: channels.Result{Class: channels.InDoubt, Reason: "server_error"}},
		{Name: "302", Answer: answer(302, "Location", "/v3/mail/send"), Want: channels.Result{Class: channels.Hold, Reason: "redirected"}},
		{Name: "307", Answer: answer(307, "Location", "/v3/mail/send"), Want: channels.Result{Class: channels.Hold, Reason: "redirected"}},
		{Name: "400 for one", Answer: answer(400), Want: channels.Result{Class: channels.Refused, Reason: "bad_request"}},
		{Name: "400 for many", Rows: 3, Answer: answer(400), Want: channels.Result{Class: channels.Rejected, Reason: "bad_request"}},
		{Name: "401", Rows: 2, Answer: answer(401), Want: channels.Result{Class: channels.Hold, Reason: "bad_credentials"}},
		{Name: "403", Answer: answer(403), Want: channels.Result{Class: channels.Hold, Reason: "forbidden"}},
		{Name: "403 of the sender", Rows: 2, Answer: unverified, Want: channels.Result{Class: channels.HoldSender, Reason: "bad_sender"}},
		{Name: "404", Answer: answer(404), Want: channels.Result{Class: channels.Hold, Reason: "wrong_endpoint"}},
		{Name: "405", Answer: answer(405), Want: channels.Result{Class: channels.Hold, Reason: "wrong_endpoint"}},
		{Name: "408", Answer: answer(408), Want: channels.Result{Class: channels.InDoubt, Reason: "timeout"}},
		{Name: "413", Rows: 2, Answer: answer(413), Want: channels.Result{Class: channels.TooLarge, Reason: "too_large"}},
		{Name: "415", Rows: 2, Answer: answer(415), Want: channels.Result{Class: channels.Rejected, Reason: "bad_request"}},
		{Name: "429 with a time", Rows: 3, Answer: answer(429, "X-RateLimit-Reset", reset), Want: channels.Result{Class: channels.NotTaken, Reason: "throttled", Pause: 7 * time.Second}},
		{Name: "429 with seconds", Answer: answer(429, "Retry-After", "5"), Want: channels.Result{Class: channels.NotTaken, Reason: "throttled", Pause: 5 * time.Second}},
		{Name: "429 with a date", Answer: answer(429, "Retry-After", now.Add(time.Minute).Format(http.TimeFormat)), Want: channels.Result{Class: channels.NotTaken, Reason: "throttled", Pause: time.Minute}},
		{Name: "429 with milliseconds for seconds", Answer: answer(429, "X-RateLimit-Reset", reset+"000"), Want: channels.Result{Class: channels.NotTaken, Reason: "throttled", Pause: time.Hour}},
		{Name: "429 with a time gone by", Answer: answer(429, "X-RateLimit-Reset", "1"), Want: channels.Result{Class: channels.NotTaken, Reason: "throttled"}},
		{Name: "429 alone", Answer: answer(429), Want: channels.Result{Class: channels.NotTaken, Reason: "throttled"}},
		{Name: "500", Rows: 3, Answer: answer(500), Want: inDoubt},
		{Name: "502", Answer: answer(502), Want: inDoubt},
		{Name: "503", Answer: answer(503, "Retry-After", "30"), Want: channels.Result{Class: channels.InDoubt, Reason: "server_error", Pause: 30 * time.Second}},
		{Name: "504", Answer: answer(504), Want: inDoubt},
		{Name: "529", Answer: answer(529), Want: inDoubt},
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(202, "", "", 1000)
	f.Add(429, "1795435207", "", 1)
	f.Add(429, "9223372036854775807", "", 1)
	f.Add(503, "", "-9223372036854775808", 2)
	f.Add(503, "", "Mon, 01 Jan 0001 00:00:00 GMT", 2)
	p := newProvider(f, Global)
	f.Fuzz(func(t *testing.T, status int, reset, after string, recipients int) {
		header := http.Header{"X-Ratelimit-Reset": {reset}, "Retry-After": {after}}
		channeltest.WantSound(t, p.answer(status, header, recipients))
	})
}

package fcm

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/fcm/fcmtest"
	"utskick/suppression"
	"utskick/templates"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func startTokens(t testing.TB) *fcmtest.Tokens {
	tokens := fcmtest.StartTokens()
	t.Cleanup(tokens.Close)
	return tokens
}

func newProvider(t testing.TB, url string, tokens *fcmtest.Tokens) *Provider {
	t.Helper()
	p, err := New(Config{URL: url, Credentials: tokens.Credentials(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func chunk(tb testing.TB, rows int) (channels.Draft, []*suppression.Permit, []string) {
	addresses := channeltest.Addresses(audience.Push, rows)
	d := channels.Draft{
		Skeleton: channeltest.Skeleton(audience.Push), Sheet: channeltest.Sheet(rows), Group: 4711,
		Keys: channeltest.Keys(audience.KindPush, addresses...),
	}
	return d, channeltest.Permits(tb, new(channeltest.Clock), audience.KindPush, addresses...), addresses
}

func send(t *testing.T, p *Provider, d channels.Draft, permits []*suppression.Permit) []channels.Result {
	t.Helper()
	call, err := p.Prepare(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return call.Send(context.Background(), permits)
}

func TestSuite(t *testing.T) {
	tokens := startTokens(t)
	channeltest.Run(t, channeltest.Target{
		New: func(t *testing.T, address string, o channeltest.Options) channels.Provider {
			p, err := New(Config{
				URL: address, Credentials: tokens.Credentials(), Connections: 8,
				Timeout: o.Timeout, Dial: o.Dial, Now: func() time.Time { return now },
			})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Start:   func(*testing.T) channeltest.StandIn { return fcmtest.Start(tokens) },
		Secrets: []string{"ya29.", "PRIVATE KEY"}, // how access tokens and keys begin
		Answers: answers(),
	})
}

func answers() []channeltest.Case {
	var cases []channeltest.Case
	add := func(name string, answer channeltest.Answer, want channels.Result) {
		cases = append(cases, channeltest.Case{Name: name, Answer: answer, Want: want})
	}
	later := func(a channeltest.Answer, after string) channeltest.Answer {
		a.Header["Retry-After"] = after
		return a
	}
	result := func(class channels.Class, reason string) channels.Result {
		return channels.Result{Class: class, Reason: reason}
	}
	refused := func(reason string, suppress suppression.Cause) channels.Result {
		return channels.Result{Class: channels.Refused, Reason: reason, Suppress: suppress}
	}
	throttled := func(pause time.Duration) channels.Result {
		return channels.Result{Class: channels.NotTaken, Reason: "throttled", Pause: pause}
	}
	const badToken = "The registration token is not a valid FCM registration token"
	quota := fcmtest.Answer(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "", "Quota exceeded")
	html := func(status int) channeltest.Answer { return channeltest.Answer{Status: status, Body: "<html>"} }

	add("200", channeltest.Answer{}, channels.Result{Class: channels.Accepted, ProviderID: channeltest.AnyID})
	add("200 whose body is lost", channeltest.Answer{Status: 200}, result(channels.Accepted, ""))
	add("204", channeltest.Answer{Status: 204}, result(channels.InDoubt, "server_error"))
	add("302", html(302), result(channels.Hold, "redirected"))
	add("unregistered", fcmtest.Answer(404, "NOT_FOUND", "UNREGISTERED", "", "Requested entity was not found."), refused("unregistered", suppression.Unregistered))
	add("404 of the project", fcmtest.Answer(404, "NOT_FOUND", "", "", "Requested entity was not found."), result(channels.Hold, "wrong_endpoint"))
	add("404 of a proxy", html(404), result(channels.Hold, "wrong_endpoint"))
	add("405", html(405), result(channels.Hold, "wrong_endpoint"))
	add("bad token by message", fcmtest.Answer(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "", badToken), refused("invalid_token", suppression.Invalid))
	add("bad token by field", fcmtest.Answer(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "message.token", "Invalid registration token"), refused("invalid_token", suppression.Invalid))
	add("bad payload by field", fcmtest.Answer(400, "INVALID_ARGUMENT", "", "message.data[0].value", "Invalid value at 'message.data[0].value' (TYPE_STRING), 12"), result(channels.Rejected, "bad_request"))
	add("bad payload by message", fcmtest.Answer(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "", "Android message is too big"), result(channels.Rejected, "bad_request"))
	add("bad payload that quotes a token", fcmtest.Answer(400, "INVALID_ARGUMENT", "", "message.data[0].value", badToken), result(channels.Rejected, "bad_request"))
	add("400 that is not JSON", html(400), result(channels.Rejected, "bad_request"))
	add("token of another project", fcmtest.Answer(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "", "SenderId mismatch"), refused("sender_mismatch", suppression.Invalid))
	add("403", fcmtest.Answer(403, "PERMISSION_DENIED", "", "", "Permission denied"), result(channels.Hold, "forbidden"))
	add("platform's credentials", fcmtest.Answer(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", "", "Auth error from APNS or Web Push Service"), result(channels.HoldSender, "platform_credentials"))
	add("401", fcmtest.Answer(401, "UNAUTHENTICATED", "", "", "Request had invalid authentication credentials."), result(channels.Hold, "bad_credentials"))
	add("408", html(408), result(channels.InDoubt, "timeout"))
	add("429", quota, throttled(time.Minute))
	add("429 that is not FCM's", html(429), throttled(time.Minute))
	add("429 with seconds", later(fcmtest.Answer(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "", ""), "5"), throttled(5*time.Second))
	add("429 with a date", later(fcmtest.Answer(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "", ""), now.Add(2*time.Minute).Format(http.TimeFormat)), throttled(2*time.Minute))
	add("429 with a year", later(fcmtest.Answer(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "", ""), "31536000"), throttled(time.Hour))
	add("500", fcmtest.Answer(500, "INTERNAL", "INTERNAL", "", "Internal error"), result(channels.InDoubt, "server_error"))
	add("502", html(502), result(channels.InDoubt, "server_error"))
	add("503", fcmtest.Answer(503, "UNAVAILABLE", "UNAVAILABLE", "", "The service is currently unavailable."), result(channels.InDoubt, "server_error"))
	add("503 with seconds", later(fcmtest.Answer(503, "UNAVAILABLE", "UNAVAILABLE", "", ""), "30"), channels.Result{Class: channels.InDoubt, Reason: "server_error", Pause: 30 * time.Second})
	add("504", html(504), result(channels.InDoubt, "server_error"))
	return cases
}

func TestTooLargeSparesTheOthers(t *testing.T) {
	tokens := startTokens(t)
	vendor := fcmtest.Start(tokens)
	defer vendor.Close()
	d, permits, addresses := chunk(t, 2)
	d.Skeleton.Text = templates.Part{{Hole: 0}}
	sheet := new(templates.Sheet)
	sheet.Reset(channeltest.Columns)
	for _, text := range []string{strings.Repeat("å", maxPayload/2), "kort"} {
		values := make([][]byte, channeltest.Columns)
		values[0] = []byte(text)
		sheet.AppendRow(values...)
	}
	d.Sheet = sheet
	results := send(t, newProvider(t, vendor.Address(), tokens), d, permits)
	if want := (channels.Result{Class: channels.Refused, Reason: "too_large"}); results[0] != want {
		t.Errorf("the long message: %+v, want %+v", results[0], want)
	}
	if got := vendor.Received(); len(got) != 1 || got[0].To != addresses[1] || got[0].ID != results[1].ProviderID {
		t.Errorf("the short message: %+v, received %d", results[1], len(got))
	}
}

func TestAccessTokens(t *testing.T) {
	t.Run("one for many calls", func(t *testing.T) {
		tokens := startTokens(t)
		vendor := fcmtest.Start(tokens)
		defer vendor.Close()
		p := newProvider(t, vendor.Address(), tokens)
		for range 3 {
			d, permits, _ := chunk(t, 2)
			send(t, p, d, permits)
		}
		if got := len(tokens.Given()); got != 1 {
			t.Errorf("%d tokens were fetched", got)
		}
	})
	t.Run("renewed before it ends", func(t *testing.T) {
		tokens := startTokens(t)
		tokens.Lifetime(int(early/time.Second) - 1)
		vendor := fcmtest.Start(tokens)
		defer vendor.Close()
		p := newProvider(t, vendor.Address(), tokens)
		for range 2 {
			d, permits, _ := chunk(t, 1)
			send(t, p, d, permits)
		}
		if got := len(tokens.Given()); got != 2 {
			t.Errorf("%d tokens were fetched, want a new one each time", got)
		}
	})
	t.Run("the account is refused", func(t *testing.T) {
		tokens := startTokens(t)
		tokens.Refuse(http.StatusBadRequest)
		vendor := fcmtest.Start(tokens)
		defer vendor.Close()
		d, permits, _ := chunk(t, 2)
		permits[1] = nil
		got := send(t, newProvider(t, vendor.Address(), tokens), d, permits)
		want := []channels.Result{{Class: channels.Hold, Reason: "bad_credentials"}, {}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := vendor.Attempts(); got != 0 {
			t.Errorf("%d requests without a token", got)
		}
	})
	for name, status := range map[string]int{"overloaded": 503, "throttling": 429} {
		t.Run("the token server is "+name, func(t *testing.T) {
			tokens := startTokens(t)
			tokens.Refuse(status)
			d, _, _ := chunk(t, 2)
			_, err := newProvider(t, Global, tokens).Prepare(context.Background(), d)
			if err == nil || strings.Contains(err.Error(), "@") {
				t.Errorf("%v, want an error without the account's address", err)
			}
		})
	}
	t.Run("the token server is gone", func(t *testing.T) {
		tokens := startTokens(t)
		tokens.Close()
		d, _, _ := chunk(t, 2)
		if _, err := newProvider(t, Global, tokens).Prepare(context.Background(), d); err == nil {
			t.Error("prepared without a token")
		}
	})
}

func TestPrepareRefuses(t *testing.T) {
	p := newProvider(t, Global, startTokens(t))
	for _, c := range []struct {
		name, want string
		change     func(*channels.Draft)
	}{
		{"no text", "neither title nor text", func(d *channels.Draft) { d.Skeleton.Subject, d.Skeleton.Text = nil, nil }},
		{"a hole without values", "hole 8", func(d *channels.Draft) {
			d.Skeleton.Data[0].Value = templates.Part{{Hole: channeltest.Columns}}
		}},
		{"data of FCM's", "google.id", func(d *channels.Draft) { d.Skeleton.Data[0].Name = "google.id" }},
	} {
		d, _, _ := chunk(t, 2)
		c.change(&d)
		_, err := p.Prepare(context.Background(), d)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	file := string(startTokens(t).Credentials())
	replaced := func(from, to string) func(*Config) {
		return func(c *Config) { c.Credentials = []byte(strings.Replace(file, from, to, 1)) }
	}
	for _, c := range []struct {
		name, want string
		change     func(*Config)
	}{
		{"no credentials", "GOOGLE_APPLICATION_CREDENTIALS", func(c *Config) { c.Credentials = nil }},
		{"no JSON", "not JSON", func(c *Config) { c.Credentials = []byte("-----BEGIN PRIVATE KEY-----") }},
		{"another type", "service_account", replaced("service_account", "authorized_user")},
		{"no project", "project_id", replaced(`"`+fcmtest.Project+`"`, `""`)},
		{"a path for a project", "project_id", replaced(`"`+fcmtest.Project+`"`, `"a/../b"`)},
		{"no token server", "token_uri", replaced("http://127.0.0.1", "")},
		{"a broken key", "private_key", replaced("BEGIN PRIVATE", "BEGIN PUBLIC")},
		{"no scheme", "UTSKICK_FCM_URL", func(c *Config) { c.URL = "fcm.googleapis.com" }},
		{"too long a TTL", "4 weeks", func(c *Config) { c.TTL = maxTTL + time.Second }},
	} {
		config := Config{Credentials: []byte(file)}
		c.change(&config)
		_, err := New(config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that names %s", c.name, err, c.want)
		} else if strings.Contains(err.Error(), "PRIVATE KEY") {
			t.Errorf("%s: the error holds the key", c.name)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, "", []byte(`{"name":"projects/p/messages/0"}`))
	for _, a := range answers() {
		f.Add(a.Answer.Status, a.Answer.Header["Retry-After"], []byte(a.Answer.Body))
	}
	f.Add(400, "", []byte(`{"error":{"details":[{"@type":7}]}}`))
	f.Add(429, "-9223372036854775808", []byte(`{"error":[]}`))
	f.Add(503, "Mon, 01 Jan 0001 00:00:00 GMT", []byte("<html>"))
	p := newProvider(f, Global, startTokens(f))
	f.Fuzz(func(t *testing.T, status int, after string, body []byte) {
		channeltest.WantSound(t, p.answer(channels.Answer{Status: status, Header: http.Header{"Retry-After": {after}}, Body: body}))
	})
}

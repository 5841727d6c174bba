package e2e

import (
	"path/filepath"
	"testing"

	"utskick/channels/channeltest"
	"utskick/channels/fcm/fcmtest"
	"utskick/channels/sendgrid/sendgridtest"
	"utskick/channels/twilio/twiliotest"
	"utskick/dispatcher"
	"utskick/examples"
	"utskick/internal/testserver"

	"github.com/redis/go-redis/v9"
)

// TestSeparateProcesses runs serve and two workers on a real Postgres and a
// real Redis, through stand-ins for SendGrid, Twilio and FCM. In the middle
// Redis loses all it has, and one worker is killed.
func TestSeparateProcesses(t *testing.T) {
	database, ok := testserver.Postgres(t)
	broker, also := testserver.Redis(t)
	if !ok || !also {
		return // not installed here; see testserver
	}
	vendors, env := startVendors(t)
	env["UTSKICK_DATABASE_URL"], env["UTSKICK_REDIS_URL"] = database, broker
	env["UTSKICK_SECRET_FILE"] = filepath.Join(t.TempDir(), "secret.json")
	env["UTSKICK_EMAIL_RATE"] = "800" // slow enough to meddle with
	w := newWorld(t, env)
	w.must("migrate")
	w.must("contacts", "import", w.example(examples.Contacts))
	w.must("suppressions", "import", w.example(examples.Suppressions))
	w.must("senders", "save", w.example(examples.Sender))
	for _, name := range examples.Templates {
		w.must("templates", "save", w.example(name))
	}
	w.must("campaigns", "create", demoCampaign, "--sender", "exempelbolaget", "--topic", "offer", "--email", "host-email", "--sms", "host-sms", "--push", "host-push")
	w.serve("serve")
	first := w.start("work")
	w.start("work")
	w.must("campaigns", "launch", demoCampaign)
	until(t, "mails are sent", func() bool { return len(vendors["email"].Received()) > 500 })
	flush(t, broker)
	until(t, "more mails are sent", func() bool { return len(vendors["email"].Received()) > 1500 })
	first.kill()
	var r dispatcher.Report
	until(t, "the run ends", func() bool { r = w.report(demoCampaign); return r.State.Ended() })
	for _, c := range r.Channels {
		once := map[string]bool{}
		for _, m := range vendors[string(c.Channel)].Received() {
			if once[m.To] {
				t.Errorf("%s: an address was sent to twice", c.Channel)
			}
			once[m.To] = true
		}
		if n := int64(len(once)); c.Pending != 0 || n < c.Sent || n > c.Sent+c.InDoubt || n == 0 {
			t.Errorf("%s: the vendor has %d; %+v", c.Channel, n, c)
		}
	}
	compareWithDemo(t, r)
}

// compareWithDemo expects the same people as the demo has on SQLite with an
// outbox: only the killed worker's calls may be in doubt instead of sent.
func compareWithDemo(t *testing.T, got dispatcher.Report) {
	t.Helper()
	var want dispatcher.Report
	decode(t, newWorld(t, nil).must("demo", "--exit", "--json"), &want)
	for i, c := range want.Channels {
		g := got.Channels[i]
		if g.Audience != c.Audience || g.Duplicates != c.Duplicates || g.Skipped != c.Skipped || g.Failed != c.Failed {
			t.Errorf("%s: %+v\nthe demo: %+v", c.Channel, g, c)
		}
		if g.Sent+g.Suppressed+g.InDoubt != c.Sent+c.Suppressed || g.Suppressed > c.Suppressed {
			t.Errorf("%s: %+v\nthe demo: %+v", c.Channel, g, c)
		}
	}
}

// startVendors starts a stand-in a channel and returns the settings that lead
// to them.
func startVendors(t *testing.T) (map[string]channeltest.StandIn, map[string]string) {
	t.Helper()
	const account, token, key = "AC0123456789abcdef0123456789abcdef", "token-of-the-test", "SG.key-of-the-test"
	tokens := fcmtest.StartTokens()
	t.Cleanup(tokens.Close)
	vendors := map[string]channeltest.StandIn{"email": sendgridtest.Start(key), "sms": twiliotest.Start(account, token), "push": fcmtest.Start(tokens)}
	for _, v := range vendors {
		t.Cleanup(v.Close)
	}
	credentials := filepath.Join(t.TempDir(), "fcm.json")
	write(t, credentials, tokens.Credentials())
	return vendors, map[string]string{
		"UTSKICK_EMAIL": "sendgrid", "UTSKICK_SENDGRID_URL": vendors["email"].Address(), "SENDGRID_API_KEY": key,
		"UTSKICK_SMS": "twilio", "UTSKICK_TWILIO_URL": vendors["sms"].Address(), "TWILIO_ACCOUNT_SID": account, "TWILIO_AUTH_TOKEN": token,
		"UTSKICK_PUSH": "fcm", "UTSKICK_FCM_URL": vendors["push"].Address(), "GOOGLE_APPLICATION_CREDENTIALS": credentials,
	}
}

// flush empties Redis.
func flush(t *testing.T, url string) {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(options)
	defer c.Close()
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

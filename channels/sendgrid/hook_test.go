package sendgrid

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
	"utskick/tracking"
)

// signer is SendGrid's side.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner(t testing.TB) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key}
}

func shown(t testing.TB, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func (s signer) hook(t testing.TB) *Hook {
	t.Helper()
	h, err := NewHook(shown(t, &s.key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (s signer) sign(t testing.TB, body []byte) http.Header {
	t.Helper()
	const at = "1764000000"
	sum := sha256.Sum256(append([]byte(at), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{"X-Twilio-Email-Event-Webhook-Timestamp": {at},
		"X-Twilio-Email-Event-Webhook-Signature": {base64.StdEncoding.EncodeToString(signature)}}
}

// events is a batch after SendGrid's published list of fields, with every type of
// event, one of another system, and one of a type that nobody knows yet.
func events(t testing.TB) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/events.json")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))
}

func TestHookReadsWhatSendGridTells(t *testing.T) {
	s := newSigner(t)
	body := events(t)
	told, err := s.hook(t).Read("", s.sign(t, body), body)
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		Type   tracking.EventType
		Effect suppression.Cause
		Counts bool
	}
	var lines []line
	for _, n := range told.Notices {
		lines = append(lines, line{n.Type, n.Effect.Cause, n.Effect.Counts})
		if e := n.Effect; e != (suppression.Effect{}) && (e.Channel != audience.Email || !strings.HasPrefix(e.Evidence, "sendgrid: ") || strings.Contains(e.Evidence, "@")) {
			t.Errorf("%+v", e)
		}
	}
	want := []line{{Type: "processed"}, {Type: "deferred"}, {Type: "delivered"}, {"bounced", suppression.Bounced, false}, {Type: "bounced"},
		{"dropped", suppression.Bounced, false}, {"complained", suppression.Complained, false}, {Type: "sendgrid_open"}, {Type: "sendgrid_click"},
		{"sendgrid_unsubscribe", suppression.Unsubscribed, false}, {"sendgrid_group_unsubscribe", suppression.Unsubscribed, false},
		{Type: "sendgrid_group_resubscribe"}, {Type: "sendgrid_teleported"}, {Type: "sendgrid_machine_open"}, {"deferred", suppression.Bounced, true},
		{Type: "deferred"}, {"bounced", suppression.Invalid, false}, {Type: "bounced"}, {"dropped", suppression.Unsubscribed, false},
		{"dropped", suppression.Complained, false}, {"dropped", suppression.Invalid, false}, {Type: "dropped"}, {Type: "dropped"}}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if told.Foreign != 2 {
		t.Errorf("%d foreign, want 2", told.Foreign)
	}
	first := tracking.Event{Type: tracking.Processed, At: time.Unix(1764000001, 0).UTC(), Group: 4711,
		Key: audience.Key{0: 0x0a, 15: 0xff}, Dedupe: "sendgrid-cHJvY2Vzc2Vk"}
	if diff := cmp.Diff(first, told.Notices[0].Event); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHookRefusesForgeries(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	body := events(t)
	genuine := s.sign(t, body)
	var parsed any
	if err := json.Unmarshal(body, &parsed); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	with := func(name, value string) http.Header {
		h := genuine.Clone()
		h.Set(name, value)
		return h
	}
	for name, c := range map[string]struct {
		header http.Header
		body   []byte
	}{
		"no signature":             {http.Header{}, body},
		"another key":              {other.sign(t, body), body},
		"written anew":             {genuine, again},
		"one more blank":           {genuine, append(bytes.Clone(body), ' ')},
		"another timestamp":        {with("X-Twilio-Email-Event-Webhook-Timestamp", "1764000002"), body},
		"not base64":               {with("X-Twilio-Email-Event-Webhook-Signature", "!"), body},
		"not ASN.1":                {with("X-Twilio-Email-Event-Webhook-Signature", "AAAA"), body},
		"zeros":                    {with("X-Twilio-Email-Event-Webhook-Signature", "MAYCAQACAQA="), body},
		"an empty body":            {genuine, nil},
		"timestamp and body moved": {with("X-Twilio-Email-Event-Webhook-Timestamp", "1764000000["), body[1:]},
	} {
		told, err := s.hook(t).Read("", c.header, c.body)
		// The last one is what the signature cannot tell: it is no JSON then.
		if name == "timestamp and body moved" && errors.Is(err, channels.ErrUnreadable) {
			continue
		}
		if !errors.Is(err, channels.ErrForged) || len(told.Notices) != 0 {
			t.Errorf("%s: %v, %d events", name, err, len(told.Notices))
		}
	}
}

func TestHookRefusesWhatIsNoBatch(t *testing.T) {
	s := newSigner(t)
	for _, body := range []string{``, `{}`, `[`, `[{"event":"processed"}`, `null`, strings.Repeat("[", 100_000)} {
		if told, err := s.hook(t).Read("", s.sign(t, []byte(body)), []byte(body)); !errors.Is(err, channels.ErrUnreadable) || len(told.Notices) != 0 {
			t.Errorf("%.20q: %v", body, err)
		}
	}
}

func TestHookKeys(t *testing.T) {
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"empty": "", "not base64": "!", "no key": "AAAA", "P-384": shown(t, &large.PublicKey), "RSA": shown(t, &other.PublicKey)} {
		if _, err := NewHook(key); err == nil || !strings.Contains(err.Error(), "UTSKICK_SENDGRID_WEBHOOK_KEY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzEvents: whatever SendGrid signs, no event is without its ids, and reading
// it twice gives the same.
func FuzzEvents(f *testing.F) {
	f.Add(events(f))
	f.Add([]byte(`[{"g":"1","k":"00","sg_event_id":"x","timestamp":1764000000,"event":"processed"}]`))
	f.Add([]byte(`[{"g":1e400,"k":{},"sg_event_id":[],"timestamp":"1764000000","event":null},7,"x",null,[]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		told, err := readEvents(body)
		if err != nil {
			if !errors.Is(err, channels.ErrUnreadable) || len(told.Notices)+told.Foreign != 0 {
				t.Fatalf("refused with %+v, %v", told, err)
			}
			return
		}
		for _, e := range told.Notices {
			if e.Group <= 0 || e.Dedupe == "sendgrid-" || e.Type == "" || e.At.Year() < 2000 || e.At.Year() > 2100 || len(e.Type) > 60 {
				t.Fatalf("%+v", e)
			}
			if e.Effect.Cause != "" && e.Wish().Entry.Validate() != nil {
				t.Fatalf("an effect that cannot be recorded: %+v", e)
			}
		}
		again, _ := readEvents(body)
		if diff := cmp.Diff(told, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestMachineOpens wants SendGrid's own judgement to be kept with its open.
func TestMachineOpens(t *testing.T) {
	s := newSigner(t)
	for says, want := range map[string]tracking.Machine{`true`: tracking.ProviderSays, `false`: "", `"yes"`: "", `null`: ""} {
		body := []byte(`[{"event":"open","timestamp":1764000001,"sg_event_id":"b3Blbg","g":"4711","k":"0a0000000000000000000000000000ff","sg_machine_open":` + says + `}]`)
		told, err := s.hook(t).Read("", s.sign(t, body), body)
		if err != nil || len(told.Notices) != 1 || told.Notices[0].Machine != want {
			t.Errorf("%s: %+v, %v", says, told.Notices, err)
		}
	}
}

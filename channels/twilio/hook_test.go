package twilio

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
	"utskick/tracking"
)

const (
	hookQuery = "g=4711&k=0a0000000000000000000000000000ff"
	hookForm  = "SmsSid=SM0123456789abcdef0123456789abcdef&SmsStatus=delivered&MessageStatus=delivered&To=%2B46701740605" +
		"&MessageSid=SM0123456789abcdef0123456789abcdef&AccountSid=AC00000000000000000000000000000000&From=Exempel&ApiVersion=2010-04-01"
)

// signedBy is the header that Twilio would send to an address.
func signedBy(t testing.TB, token, address, form string) http.Header {
	t.Helper()
	values, err := url.ParseQuery(form)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(address))
	for _, name := range names {
		mac.Write([]byte(name + values.Get(name)))
	}
	return http.Header{"X-Twilio-Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
}

func newHook(t testing.TB) *Hook {
	t.Helper()
	h, err := NewHook(testToken, callback, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHookReadsStatuses(t *testing.T) {
	h := newHook(t)
	for status, want := range map[string]tracking.EventType{"queued": "processed", "sent": "processed", "delivered": "delivered", "read": "delivered",
		"undelivered": "bounced", "failed": "dropped", "canceled": "dropped", "teleported": "twilio_teleported"} {
		form := strings.ReplaceAll(hookForm, "delivered", status)
		told, err := h.Read(hookQuery, signedBy(t, testToken, callback+"?"+hookQuery, form), []byte(form))
		if err != nil {
			t.Fatal(err)
		}
		e := tracking.Event{Type: want, At: now, Group: 4711, Key: audience.Key{0: 0x0a, 15: 0xff},
			Dedupe: "twilio-SM0123456789abcdef0123456789abcdef-" + status}
		if diff := cmp.Diff(channels.Told{Notices: []suppression.Notice{{Event: e}}}, told); diff != "" {
			t.Errorf("%s (-want +got):\n%s", status, diff)
		}
	}
	for _, query := range []string{"", "g=0&k=0a0000000000000000000000000000ff", "g=1&k=0a", "k=0a0000000000000000000000000000ff"} {
		address := callback
		if query != "" {
			address += "?" + query
		}
		told, err := h.Read(query, signedBy(t, testToken, address, hookForm), []byte(hookForm))
		if err != nil || told.Foreign != 1 || len(told.Notices) != 0 {
			t.Errorf("%q: %+v, %v", query, told, err)
		}
	}
}

// TestHookEffects is the table of what follows from a code, for a message that
// was taken. A code of one that was delivered, which should not be, has none.
func TestHookEffects(t *testing.T) {
	at := func(cause suppression.Cause, code string) suppression.Effect {
		return suppression.Effect{Channel: audience.SMS, Cause: cause, Evidence: "twilio: " + code}
	}
	counts := at(suppression.Bounced, "30003")
	counts.Counts = true
	want := map[string]suppression.Effect{"21610": at(suppression.Stopped, "21610"), "30003": counts}
	for _, code := range []string{"21211", "21265", "21614", "21635", "30005", "30006", "63003", "63024"} {
		want[code] = at(suppression.Invalid, code)
	}
	for _, code := range []string{"30001", "30002", "30004", "30007", "30008", "21408", "21611", "21612", "63016", "63018", "63049", "", "0", "x", "99999", "-30003", "18446744073709581619"} {
		want[code] = suppression.Effect{}
	}
	h := newHook(t)
	for code, effect := range want {
		for status, effect := range map[string]suppression.Effect{"undelivered": effect, "failed": effect, "delivered": {}, "sent": {}} {
			form := strings.ReplaceAll(hookForm, "delivered", status) + "&ErrorCode=" + code
			told, err := h.Read(hookQuery, signedBy(t, testToken, callback+"?"+hookQuery, form), []byte(form))
			if err != nil || len(told.Notices) != 1 {
				t.Fatalf("%s: %+v, %v", code, told, err)
			}
			if diff := cmp.Diff(effect, told.Notices[0].Effect); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", code, status, diff)
			}
		}
	}
}

// TestHookSpellings: Twilio signs now with the port, now without, and perhaps
// with the overrides.
func TestHookSpellings(t *testing.T) {
	for _, address := range []string{
		"https://utskick.example.com/hooks/twilio/status?" + hookQuery,
		"https://utskick.example.com:443/hooks/twilio/status?" + hookQuery,
		"https://utskick.example.com/hooks/twilio/status?" + hookQuery + overrides,
	} {
		if _, err := newHook(t).Read(hookQuery, signedBy(t, testToken, address, hookForm), []byte(hookForm)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestHookRefusesForgeries(t *testing.T) {
	genuine := signedBy(t, testToken, callback+"?"+hookQuery, hookForm)
	empty := signedBy(t, testToken, callback+"?"+hookQuery, "")
	for name, c := range map[string]struct {
		query  string
		header http.Header
		form   string
	}{
		"no signature":          {hookQuery, http.Header{}, hookForm},
		"another token":         {hookQuery, signedBy(t, "another", callback+"?"+hookQuery, hookForm), hookForm},
		"another host":          {hookQuery, signedBy(t, testToken, "https://other.example.com/hooks/twilio/status?"+hookQuery, hookForm), hookForm},
		"another person":        {strings.Replace(hookQuery, "0a", "0b", 1), genuine, hookForm},
		"another status":        {hookQuery, genuine, strings.ReplaceAll(hookForm, "delivered", "failed")},
		"a second value":        {hookQuery, genuine, hookForm + "&MessageStatus=failed"},
		"a second group":        {hookQuery + "&g=4712", genuine, hookForm},
		"the hash of a body":    {hookQuery + "&bodySHA256=x", genuine, hookForm},
		"a form that is none":   {hookQuery, genuine, "%"},
		"a signature for empty": {hookQuery, empty, hookForm},
	} {
		if told, err := newHook(t).Read(c.query, c.header, []byte(c.form)); !errors.Is(err, channels.ErrForged) || len(told.Notices) != 0 {
			t.Errorf("%s: %+v, %v", name, told, err)
		}
	}
}

func TestHookNeedsItsSecrets(t *testing.T) {
	for _, c := range [][2]string{{"", callback}, {testToken, ""}} {
		if _, err := NewHook(c[0], c[1], nil); err == nil {
			t.Errorf("%q", c)
		}
	}
}

// FuzzStatus: whatever is in a callback, no event is without its ids.
func FuzzStatus(f *testing.F) {
	f.Add(hookQuery, hookForm)
	f.Add("g=9223372036854775808&k=zz", "MessageSid=&MessageStatus=")
	f.Add("g=1&k=00000000000000000000000000000000", "MessageSid=%00&MessageStatus=%ff")
	h := newHook(f)
	f.Fuzz(func(t *testing.T, query, form string) {
		asked, errQuery := url.ParseQuery(query)
		values, errForm := url.ParseQuery(form)
		if errQuery != nil || errForm != nil {
			return
		}
		e, ours := h.event(asked, values)
		if ours && (e.Group <= 0 || e.Type == "" || len(e.Type) > 60 || len(e.Dedupe) > 220 || strings.ContainsFunc(e.Dedupe, func(r rune) bool { return r <= ' ' || r > '~' })) {
			t.Fatalf("%+v", e)
		}
	})
}

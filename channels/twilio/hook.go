package twilio

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/twilio/twilio-go/client"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
	"utskick/tracking"
)

// Hook reads status callbacks
// (https://www.twilio.com/docs/messaging/guides/track-outbound-message-status).
type Hook struct {
	validator client.RequestValidator
	address   string
	now       func() time.Time
}

// NewHook takes the auth token, which signs, and the address that messages name
// as their StatusCallback: it is signed, too, and a proxy before the listener
// must not change what it looks like. now is nil for time.Now.
func NewHook(token, address string, now func() time.Time) (*Hook, error) {
	if token == "" || address == "" {
		return nil, errors.New("twilio: status callbacks need an auth token and a public address; set TWILIO_AUTH_TOKEN and UTSKICK_PUBLIC_URL")
	}
	if now == nil {
		now = time.Now
	}
	return &Hook{client.NewRequestValidator(token), address, now}, nil
}

// Read verifies the parameters and the address with its query, and reads what
// became of one message.
func (h *Hook) Read(query string, header http.Header, body []byte) (told channels.Told, err error) {
	asked, form, err := h.verify(query, header, body)
	if err != nil {
		return told, err
	}
	if e, ours := h.event(asked, form); ours {
		code, _ := strconv.ParseInt(form.Get("ErrorCode"), 10, 64) // 0 where there is none
		told.Notices = []suppression.Notice{{Event: e, Effect: effectOf(e.Type, code)}}
	} else {
		told.Foreign = 1
	}
	return told, nil
}

// verify returns the parameters of the address and the body, which Twilio has
// signed.
func (h *Hook) verify(query string, header http.Header, body []byte) (asked, form url.Values, err error) {
	address := h.address
	if query != "" {
		address += "?" + query
	}
	// The validator would take the hash of the body for the body's parameters,
	// which Twilio does for JSON alone, and looks at the first value of a name.
	asked, errQuery := url.ParseQuery(query)
	form, errForm := url.ParseQuery(string(body))
	if errQuery != nil || errForm != nil || asked.Has("bodySHA256") || repeated(form) || repeated(asked) {
		return nil, nil, channels.ErrForged
	}
	// What is documented of the overrides leaves open whether they are signed.
	signature := header.Get("X-Twilio-Signature")
	if !h.validator.ValidateBody(address, body, signature) && !h.validator.ValidateBody(address+overrides, body, signature) {
		return nil, nil, channels.ErrForged
	}
	return asked, form, nil
}

// repeated reports whether a name has several values: one of them would not have
// been signed.
func repeated(v url.Values) bool {
	for _, values := range v {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// event reads a callback. Twilio does not say when it happened, so a repetition
// after midnight is written down once more; persons are counted, and she is one.
func (h *Hook) event(asked, form url.Values) (e tracking.Event, ours bool) {
	group, err := strconv.ParseInt(asked.Get("g"), 10, 64)
	id, status := form.Get("MessageSid"), strings.ToLower(form.Get("MessageStatus"))
	if err != nil || group <= 0 || !channels.IsID(id) || !channels.IsID(status) {
		return e, false
	}
	key, err := hex.DecodeString(asked.Get("k"))
	if err != nil || len(key) != audience.KeySize {
		return e, false
	}
	return tracking.Event{Type: typeOf(status), At: h.now(), Group: group, Key: audience.Key(key), Dedupe: dedupe(id, status)}, true
}

// dedupe is the same however often, and in whichever way, a state is told.
func dedupe(id, status string) string { return "twilio-" + id + "-" + status }

// statuses are Twilio's words. What it has queued it has taken.
var statuses = map[string]tracking.EventType{
	"accepted":    tracking.Processed,
	"scheduled":   tracking.Processed,
	"queued":      tracking.Processed,
	"sending":     tracking.Processed,
	"sent":        tracking.Processed,
	"delivered":   tracking.Delivered,
	"read":        tracking.Delivered,
	"undelivered": tracking.Bounced,
	"failed":      tracking.Dropped,
	"canceled":    tracking.Dropped,
}

func typeOf(status string) tracking.EventType {
	if t, known := statuses[status]; known {
		return t
	}
	return tracking.Foreign("twilio", status)
}

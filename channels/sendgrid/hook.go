package sendgrid

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"
	"github.com/tidwall/gjson"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
	"utskick/tracking"
)

// Hook reads the Event Webhook
// (https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event).
type Hook struct{ key *ecdsa.PublicKey }

// NewHook takes the verification key as SendGrid's settings show it: a P-256
// public key, DER in base64.
func NewHook(key string) (*Hook, error) {
	wrong := errors.New("the verification key of the event webhook is an ECDSA P-256 public key in base64, as SendGrid's mail settings show it; set UTSKICK_SENDGRID_WEBHOOK_KEY")
	der, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, wrong
	}
	// sendgrid-go's own function panics on a key of another kind.
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, wrong
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, wrong
	}
	return &Hook{public}, nil
}

// Read verifies the body as it came and reads its events. The query of the
// address says nothing. The signature tells who speaks, not when: a repeated
// request has the ids of its events, by which they are one.
func (h *Hook) Read(_ string, header http.Header, body []byte) (channels.Told, error) {
	genuine, err := eventwebhook.VerifySignature(h.key, body, header.Get(eventwebhook.VerificationHTTPHeader), header.Get(eventwebhook.TimestampHTTPHeader))
	if err != nil || !genuine {
		return channels.Told{}, channels.ErrForged
	}
	return readEvents(body)
}

// readEvents reads the array of events. What has no ids of ours is not ours.
func readEvents(body []byte) (told channels.Told, err error) {
	if !json.Valid(body) || !gjson.ParseBytes(body).IsArray() {
		return told, channels.ErrUnreadable
	}
	gjson.ParseBytes(body).ForEach(func(_, event gjson.Result) bool {
		if e, ours := readEvent(event); ours {
			told.Notices = append(told.Notices, suppression.Notice{Event: e, Effect: effectOf(event)})
		} else {
			told.Foreign++
		}
		return true
	})
	return told, nil
}

// readEvent reads one event. Its address, its network and its program are not
// kept.
func readEvent(event gjson.Result) (e tracking.Event, ours bool) {
	id, at := event.Get("sg_event_id"), event.Get("timestamp")
	group, err := strconv.ParseInt(event.Get("g").Str, 10, 64)
	if err != nil || group <= 0 || !event.IsObject() || !channels.IsID(id.Str) || !channels.Plausible(at.Int()) {
		return e, false
	}
	key, err := hex.DecodeString(event.Get("k").Str)
	if err != nil || len(key) != audience.KeySize {
		return e, false
	}
	e = tracking.Event{Type: typeOf(event), At: time.Unix(at.Int(), 0).UTC(), Group: group, Key: audience.Key(key), Dedupe: "sendgrid-" + id.Str}
	if event.Get("sg_machine_open").Bool() {
		e.Machine = tracking.ProviderSays
	}
	return e, true
}

// types are SendGrid's words. Opens and clicks of its own counting are not ours:
// we have it count neither, and ours obey the recipient's consent.
var types = map[string]tracking.EventType{
	"processed":  tracking.Processed,
	"deferred":   tracking.Deferred,
	"delivered":  tracking.Delivered,
	"bounce":     tracking.Bounced,
	"dropped":    tracking.Dropped,
	"spamreport": tracking.Complained,
}

func typeOf(event gjson.Result) tracking.EventType {
	word := event.Get("event").Str
	if word == "open" && event.Get("sg_machine_open").Bool() {
		word = "machine_open" // fetched by Apple's privacy proxy
	}
	if t, known := types[word]; known {
		return t
	}
	return tracking.Foreign("sendgrid", word)
}

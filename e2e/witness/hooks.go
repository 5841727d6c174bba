package witness

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // it is what Twilio signs with
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Telling is how the witness tells by webhook what became of messages.
type Telling struct {
	To     string  // the product's public listener; empty: nothing is told
	Key    []byte  // an ECDSA P-256 private key in PKCS 8, for SendGrid's signature
	Token  string  // for Twilio's
	Copies int     // how often each event is told; 0 is once
	Early  float64 // the part of calls whose events are told before their answer
	Storm  int     // how many events a second are told beside, see [hooks.storm]
	Brief  bool    // the log names an event only once, when it is acknowledged
}

// Told is what was told so far, each copy by itself. Waiting counts those that
// were not acknowledged yet, and Oldest is when the oldest of them was to be told,
// by [Now]; 0: there is none.
type Told struct {
	Waiting, Acknowledged, Refused int
	Oldest                         int64
}

// Hooked is a line of the log of webhooks, which lies beside the other one: a
// request that was made.
type Hooked struct {
	At     int64  `json:"at"`
	Vendor string `json:"vendor"`
	Status int    `json:"status"` // 0: there was no answer
	Early  bool   `json:"early,omitempty"`
	Count  int    `json:"count"` // how many events were told
	// Events are these; of a brief log those among them that are acknowledged now,
	// and were not before.
	Events []*Event `json:"events,omitempty"`
}

// Event is what is told of one message. ID is the same in all copies.
type Event struct {
	ID       string `json:"id"`
	Type     string `json:"type"` // in the vendor's word
	Channel  string `json:"channel"`
	To       string `json:"to"`
	Campaign string `json:"campaign"`

	vendor       string
	message      Message
	at           int64 // seconds since 1970
	born         int64 // by [Now]
	acknowledged bool  // one of its copies
}

// HooksLog returns where the log of webhooks lies, beside the log of calls.
func HooksLog(path string) string { return path + ".hooks" }

// atOnce is how many requests may be under way.
const atOnce = 64

// hooks tells.
type hooks struct {
	log  *Log
	fail func(error)
	http http.Client

	mu      sync.Mutex
	how     Telling
	key     *ecdsa.PrivateKey
	waiting []*Event // as often as they are to be told
	flying  []*Event // which are being told just now
	told    Told
	mails   []Event  // taken since there is a storm: one for each message
	clicks  []*Event // of links in them that nobody has clicked yet
}

func newHooks(log *Log, fail func(error)) *hooks {
	return &hooks{log: log, fail: fail, http: http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: atOnce},
		// Where a link leads there is no shop.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// serve takes a [Telling], and answers what was told so far.
func (h *hooks) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if err := h.set(http.MaxBytesReader(w, r.Body, 1<<20)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	told := h.told
	for _, e := range slices.Concat(h.waiting, h.flying) {
		told.Waiting++
		if told.Oldest == 0 || e.born < told.Oldest {
			told.Oldest = e.born
		}
	}
	// Who is gone does not get it.
	_ = json.NewEncoder(w).Encode(told)
}

func (h *hooks) set(body io.Reader) error {
	var how Telling
	if err := json.NewDecoder(body).Decode(&how); err != nil {
		return err
	}
	var key *ecdsa.PrivateKey
	if len(how.Key) > 0 {
		parsed, err := x509.ParsePKCS8PrivateKey(how.Key)
		if err != nil {
			return err
		}
		key, _ = parsed.(*ecdsa.PrivateKey)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.how, h.key = how, key
	return nil
}

// words are what each vendor tells of a message that arrives.
var words = map[string][]string{"sendgrid": {"processed", "delivered"}, "twilio": {"sent", "delivered"}}

// of makes the events of a call that was taken, and reports whether they are to
// be told before it is answered.
func (h *hooks) of(call Line) (events []*Event, early bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.how.To == "" || !call.Taken {
		return nil, false
	}
	for i, m := range call.Messages {
		if h.how.Storm > 0 && call.Vendor == "sendgrid" {
			h.remember(m)
		}
		for _, word := range words[call.Vendor] {
			if m.group == "" {
				continue
			}
			events = append(events, &Event{ID: fmt.Sprintf("witness-%d-%d-%s", call.Call, i, word), Type: word, Channel: m.Channel, To: m.To,
				Campaign: m.Campaign, vendor: call.Vendor, message: m, at: time.Now().Unix(), born: Now()})
		}
	}
	return events, mathrand.Float64() < h.how.Early
}

// add lets events be told some time, each as often as was asked for.
func (h *hooks) add(events []*Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range max(h.how.Copies, 1) {
		h.waiting = append(h.waiting, events...)
	}
}

// mostEvents is how many events one request has, and mostTold how many are told
// before others are drawn.
const (
	mostEvents = 500
	mostTold   = 20 * mostEvents
)

// run tells what waits, shuffled, until the process ends.
func (h *hooks) run() {
	for {
		time.Sleep(50 * time.Millisecond)
		again := h.tell(context.Background(), h.draw(), false)
		h.mu.Lock()
		h.waiting, h.flying = append(h.waiting, again...), nil
		h.mu.Unlock()
		if len(again) > 0 {
			time.Sleep(200 * time.Millisecond)
		}
	}
}

// draw takes half of what waits, at random: the others wait for those that come
// later.
func (h *hooks) draw() []*Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	mathrand.Shuffle(len(h.waiting), func(i, j int) { h.waiting[i], h.waiting[j] = h.waiting[j], h.waiting[i] })
	n := min((len(h.waiting)+1)/2, mostTold)
	h.flying = slices.Clone(h.waiting[:n])
	h.waiting = h.waiting[n:]
	return h.flying
}

// tell makes the requests for events, and returns those that were not
// acknowledged.
func (h *hooks) tell(ctx context.Context, events []*Event, early bool) (again []*Event) {
	h.mu.Lock()
	how, key := h.how, h.key
	h.mu.Unlock()
	var mu sync.Mutex
	var requests errgroup.Group
	requests.SetLimit(atOnce)
	post := func(about []*Event, make func() (*http.Request, error)) {
		requests.Go(func() error {
			refused := h.post(make, early, about)
			mu.Lock()
			defer mu.Unlock()
			again = append(again, refused...)
			return nil
		})
	}
	var mails []*Event
	for _, e := range events {
		switch e.vendor {
		case "sendgrid":
			mails = append(mails, e)
		case person:
			post([]*Event{e}, func() (*http.Request, error) { return personRequest(ctx, how, e) })
		default:
			post([]*Event{e}, func() (*http.Request, error) { return twilioRequest(ctx, how, e) })
		}
	}
	for part := range slices.Chunk(mails, mostEvents) {
		post(part, func() (*http.Request, error) { return sendGridRequest(ctx, how, key, part) })
	}
	_ = requests.Wait() // what was refused is told again
	return again
}

// post makes one request and writes down its answer.
func (h *hooks) post(make func() (*http.Request, error), early bool, events []*Event) (again []*Event) {
	req, err := make()
	if err != nil {
		h.fail(err)
		return nil
	}
	line := Hooked{Vendor: events[0].vendor, Early: early, Count: len(events)}
	res, err := h.http.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		line.Status = res.StatusCode
	}
	line.At = Now()
	line.Events = h.named(events, line.Acknowledged())
	if !line.Acknowledged() {
		again = events
	}
	if err := h.log.Append(line); err != nil {
		h.fail(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told.Acknowledged += len(events) - len(again)
	h.told.Refused += len(again)
	return again
}

// named returns those of the events that the log is to name.
func (h *hooks) named(events []*Event, acknowledged bool) (first []*Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.how.Brief {
		return events
	}
	for _, e := range events {
		if acknowledged && !e.acknowledged {
			e.acknowledged = true
			first = append(first, e)
		}
	}
	return first
}

// Acknowledged reports whether the product has said that it has the events. A
// click is answered with the way to its target.
func (l Hooked) Acknowledged() bool {
	return l.Status/100 == 2 || (l.Vendor == person && l.Status == http.StatusFound)
}

// sendGridRequest is a request of SendGrid's Event Webhook, signed over the
// timestamp and the body.
func sendGridRequest(ctx context.Context, how Telling, key *ecdsa.PrivateKey, events []*Event) (*http.Request, error) {
	body := []byte("[")
	for i, e := range events {
		if i > 0 {
			body = append(body, ",\r\n"...)
		}
		one, err := json.Marshal(map[string]any{"email": e.To, "timestamp": e.at, "event": e.Type, "sg_event_id": e.ID,
			"sg_message_id": "witness.recvd-0", "g": e.message.group, "k": e.message.key, "category": []string{"g" + e.message.group}})
		if err != nil {
			return nil, err
		}
		body = append(body, one...)
	}
	body = append(body, "]\r\n"...)
	at := strconv.FormatInt(time.Now().Unix(), 10)
	sum := sha256.Sum256(append([]byte(at), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, how.To+"/hooks/sendgrid", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Twilio-Email-Event-Webhook-Timestamp", at)
	req.Header.Set("X-Twilio-Email-Event-Webhook-Signature", base64.StdEncoding.EncodeToString(signature))
	return req, nil
}

// twilioRequest is a status callback of Twilio's, signed over the address that
// the message named and the parameters.
func twilioRequest(ctx context.Context, how Telling, e *Event) (*http.Request, error) {
	address, err := url.Parse(e.message.callback)
	if err != nil {
		return nil, err
	}
	address.Fragment = "" // it tells Twilio how to connect, and is not asked for
	form := url.Values{"MessageSid": {e.message.id}, "SmsSid": {e.message.id}, "MessageStatus": {e.Type}, "SmsStatus": {e.Type}, "To": {e.To},
		"ApiVersion": {"2010-04-01"}}
	mac := hmac.New(sha1.New, []byte(how.Token))
	mac.Write([]byte(address.String()))
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		mac.Write([]byte(name + form.Get(name)))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, how.To+address.RequestURI(), bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return req, nil
}

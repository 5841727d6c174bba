package witness

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Lists is the vendor's name in rules for the requests for a list of messages. No
// other rule is for them.
const Lists = "twilio-list"

// taken are the SMS that Twilio would list: those that it has taken.
type taken struct {
	rules *rules

	mu       sync.Mutex
	messages []listedMessage // the oldest first
}

// listedMessage is what the list says of a message.
type listedMessage struct {
	SID       string  `json:"sid"`
	To        string  `json:"to"`
	From      *string `json:"from"`
	Service   *string `json:"messaging_service_sid"`
	Direction string  `json:"direction"`
	Status    string  `json:"status"`
	Created   string  `json:"date_created"`
	Updated   string  `json:"date_updated"`
	Sent      string  `json:"date_sent"`
}

// add keeps the messages of a call that was taken.
func (t *taken) add(call Line) {
	if call.Vendor != "twilio" || !call.Taken {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().UTC().Format(time.RFC1123Z)
	for _, m := range call.Messages {
		t.messages = append(t.messages, listedMessage{SID: m.id, To: m.To, From: unlessEmpty(m.from), Service: unlessEmpty(m.service),
			Direction: "outbound-api", Status: "sent", Created: now, Updated: now, Sent: now})
	}
}

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// serve lists the messages to a number, the newest first, a page at a time.
func (t *taken) serve(w http.ResponseWriter, r *http.Request) {
	if told, any := t.rules.pick(func(one Rule) bool { return one.Vendor == Lists }); any {
		if told.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(told.RetryAfter))
		}
		w.WriteHeader(told.Status)
		// Who is gone does not get it.
		_, _ = io.WriteString(w, refuseTwilio(told.Status))
		return
	}
	asked := r.URL.Query()
	size, err := strconv.Atoi(asked.Get("PageSize"))
	if err != nil || size < 1 {
		http.Error(w, refuseTwilio(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	after, _ := strconv.Atoi(asked.Get("PageToken"))
	page := struct {
		Messages []listedMessage `json:"messages"`
		Next     *string         `json:"next_page_uri"`
	}{Messages: []listedMessage{}}
	found := t.to(asked.Get("To"))
	page.Messages = append(page.Messages, found[min(after, len(found)):min(after+size, len(found))]...)
	if after+size < len(found) {
		asked.Set("PageToken", strconv.Itoa(after+size))
		next := r.URL.Path + "?" + asked.Encode()
		page.Next = &next
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(page)
}

func (t *taken) to(number string) (found []listedMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.messages) - 1; i >= 0; i-- {
		if t.messages[i].To == number {
			found = append(found, t.messages[i])
		}
	}
	return found
}

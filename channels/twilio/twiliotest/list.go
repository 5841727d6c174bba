package twiliotest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	api "github.com/twilio/twilio-go/rest/api/v2010"

	"utskick/channels/channeltest"
)

// Listed is a message of the account that nobody has posted to the stand-in.
type Listed struct {
	SID, To, From, Service, Status, Direction string // "": a new one; queued; outbound-api
	Created, Sent                             time.Time
}

// Add adds messages to the account.
func (a *Account) Add(messages ...Listed) {
	for _, l := range messages {
		m := api.ApiV2010Message{To: &l.To, Status: or(l.Status, "queued"), Direction: or(l.Direction, "outbound-api"), Sid: or(l.SID, newSID()),
			DateCreated: date(l.Created), DateUpdated: date(l.Created)}
		if l.From != "" {
			m.From = &l.From
		}
		if l.Service != "" {
			m.MessagingServiceSid = &l.Service
		}
		if !l.Sent.IsZero() {
			m.DateSent, m.DateUpdated = date(l.Sent), date(l.Sent)
		}
		a.vendor.add(m)
	}
}

func or(s, otherwise string) *string {
	if s == "" {
		s = otherwise
	}
	return &s
}

func date(t time.Time) *string {
	text := t.UTC().Format(time.RFC1123Z)
	return &text
}

func newSID() string {
	var id [16]byte
	rand.Read(id[:])
	return "SM" + hex.EncodeToString(id[:])
}

func (v *vendor) add(m api.ApiV2010Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages = append(v.messages, m)
}

// list answers who asks for the list of messages: the newest first, of those that
// are not sent yet none to whom says when.
func (v *vendor) list(r *http.Request) (channeltest.Answer, bool) {
	path := "/2010-04-01/Accounts/" + v.account + "/Messages.json"
	user, password, _ := r.BasicAuth()
	if r.Method != http.MethodGet || r.URL.Path != path {
		return channeltest.Answer{}, false
	}
	if user != v.account || password != v.token {
		return Answer(http.StatusUnauthorized, 20003, "Authenticate"), true
	}
	asked := r.URL.Query()
	size, err := strconv.Atoi(asked.Get("PageSize"))
	if err != nil || size < 1 || size > 1000 {
		return Answer(http.StatusBadRequest, 20001, "Invalid parameter PageSize"), true
	}
	number, err := strconv.Atoi("0" + asked.Get("Page"))
	if err != nil {
		return Answer(http.StatusBadRequest, 20001, "Invalid parameter Page"), true
	}
	found := v.found(asked)
	first := min(number*size, len(found))
	last := min(first+size, len(found))
	page := api.ListMessageResponse{Page: number, PageSize: size, Start: first, End: last, Messages: found[first:last]}
	if last < len(found) {
		asked.Set("Page", strconv.Itoa(number+1))
		asked.Set("PageToken", "PA"+*found[last-1].Sid)
		next := path + "?" + asked.Encode()
		page.NextPageUri = &next
	}
	a := answer(http.StatusOK, page)
	if len(page.Messages) == 0 {
		a.Body = `{"messages":[],"next_page_uri":null}` // the SDK's type leaves it out
	}
	return a, true
}

func (v *vendor) found(asked url.Values) (found []api.ApiV2010Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range slices.Backward(v.messages) {
		if (asked.Get("To") == "" || asked.Get("To") == *m.To) && sentWithin(asked, m.DateSent) {
			found = append(found, m)
		}
	}
	return found
}

// sentWithin takes the upper day for excluded, as the documentation may be read.
func sentWithin(asked url.Values, sent *string) bool {
	after, before := asked.Get("DateSent>"), asked.Get("DateSent<")
	if after == "" && before == "" {
		return true
	}
	if sent == nil {
		return false
	}
	at, err := time.Parse(time.RFC1123Z, *sent)
	if err != nil {
		panic(err) // we wrote it
	}
	day := at.UTC().Format(time.DateOnly)
	return day >= after && (before == "" || day < before)
}

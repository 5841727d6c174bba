package witness

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"time"
)

// person is who makes requests in the place of a vendor: those of a mail program
// and of a browser.
const person = "person"

// clicksOf is the part of a storm that are clicks and opens: the rest is told by
// SendGrid.
const clicksOf = 6 // every sixth

// remember lets a message take part in the storm: it is told of over and over
// that the recipient's server wants it later, each pixel is fetched and each link
// is clicked once.
func (h *hooks) remember(m Message) {
	e := Event{Channel: m.Channel, To: m.To, Campaign: m.Campaign, message: m}
	h.mails = append(h.mails, e)
	e.vendor = person
	add := func(kind, path string) {
		one := e
		one.Type, one.ID = kind, path
		h.clicks = append(h.clicks, &one)
	}
	if m.pixel != "" {
		add("open", m.pixel)
	}
	for _, path := range m.clicks {
		add("click", path)
	}
}

// storm tells so many events a second as it was told to, until the process ends.
func (h *hooks) storm() {
	const round = 20 * time.Millisecond
	n, owed := 0, 0.0
	last := time.Now()
	for now := range time.Tick(round) {
		h.mu.Lock()
		owed += now.Sub(last).Seconds() * float64(h.how.Storm)
		last = now
		for owed >= 1 && len(h.mails) > 0 {
			n++
			e := h.nextOfStorm(n)
			copies := 1
			if e.vendor != person { // whose second click would be another one
				copies = max(1, h.how.Copies)
			}
			for range copies {
				h.waiting = append(h.waiting, e)
			}
			owed -= float64(copies)
		}
		if len(h.mails) == 0 {
			owed = 0
		}
		h.mu.Unlock()
	}
}

// nextOfStorm returns the next event: a click or an open that was not made yet, if
// it is time for one, or what SendGrid tells of any message.
func (h *hooks) nextOfStorm(n int) *Event {
	if last := len(h.clicks) - 1; last >= 0 && n%clicksOf == 0 {
		i := mathrand.N(last + 1)
		e := h.clicks[i]
		h.clicks[i], h.clicks = h.clicks[last], h.clicks[:last]
		e.born = Now()
		return e
	}
	e := h.mails[mathrand.N(len(h.mails))]
	e.vendor, e.Type, e.ID, e.at = "sendgrid", "deferred", fmt.Sprintf("storm-%d", n), time.Now().Unix()
	e.born = Now()
	return &e
}

// personRequest follows a link, or fetches a pixel.
func personRequest(ctx context.Context, how Telling, e *Event) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, http.MethodGet, how.To+e.ID, nil)
}

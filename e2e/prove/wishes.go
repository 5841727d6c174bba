package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"utskick/e2e/witness"
)

// The events of the unsubscribing client's log.
const (
	asked        = "asked"        // just before the request
	acknowledged = "acknowledged" // the answer was read to its end
	refused      = "refused"      // any other outcome: it is asked again

	renewalAsked   = "renewal_asked" // the same, of a person who consents again
	renewed        = "renewed"
	renewalRefused = "renewal_refused"
)

// wish is a line of its log.
type wish struct {
	At      int64  `json:"at"` // by [witness.Now]
	Event   string `json:"event"`
	Channel string `json:"channel"`
	To      string `json:"to"`
	Status  int    `json:"status,omitempty"`
}

// client uses the unsubscribe links that reached the witness.
type client struct {
	log    *witness.Log
	public string // the public listener
	links  []witness.Message
	gap    time.Duration // between two people
	http   *http.Client
	wg     sync.WaitGroup
	stop   context.CancelFunc
}

// start asks for one person after the other, in any order, without waiting for
// the one before.
func (c *client) start(ctx context.Context) {
	ctx, c.stop = context.WithCancel(ctx)
	c.http = &http.Client{Timeout: 20 * time.Second, // longer than it takes to acknowledge without the database
		Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	c.wg.Go(func() {
		tick := time.NewTicker(c.gap)
		defer tick.Stop()
		for _, m := range c.links {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			c.wg.Go(func() { c.persist(ctx, m) })
		}
	})
}

// end lets nobody begin any more, and waits for whoever has.
func (c *client) end() {
	c.stop()
	c.wg.Wait()
	c.http.CloseIdleConnections()
}

// persist asks until it is acknowledged, or the row is over.
func (c *client) persist(ctx context.Context, m witness.Message) {
	for !c.ask(m) && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (c *client) ask(m witness.Message) (done bool) {
	link, err := url.Parse(m.Link)
	if err != nil {
		return false
	}
	// Whoever has begun to ask is answered, also when the row ends.
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.public+link.Path, strings.NewReader("List-Unsubscribe=One-Click"))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.tell(req, m, asked, acknowledged, refused)
}

// tell makes a request in somebody's name, and logs it by these words.
func (c *client) tell(req *http.Request, m witness.Message, before, done, failed string) bool {
	line := wish{Channel: m.Channel, To: canonical(m.Channel, m.To), At: witness.Now(), Event: before}
	c.write(line)
	line.Event = failed
	res, err := c.http.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		line.Status = res.StatusCode
		if err == nil && (res.StatusCode == http.StatusOK || res.StatusCode == http.StatusAccepted) {
			line.Event = done
		}
	}
	line.At = witness.Now()
	c.write(line)
	return line.Event == done
}

func (c *client) write(w wish) {
	if err := c.log.Append(w); err != nil {
		panic(err) // without its log there is nothing to prove
	}
}

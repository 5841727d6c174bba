package smtp

import (
	"bytes"
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/mime"
	"utskick/suppression"
)

// call is a prepared chunk.
type call struct {
	provider *Provider
	keys     []audience.Key
	down     error // why there is no connection
	layout   *mime.Layout

	buf    *[]byte
	bodies [][]byte // dots stuffed; nil for a row that no mail can be made of
	heads  []string // DKIM-Signature lines, or none
}

// build makes the messages of all rows, in one buffer.
func (c *call) build(l *mime.Layout, d channels.Draft) error {
	c.layout = l
	c.buf = c.provider.buffers.Get().(*[]byte)
	buf := (*c.buf)[:0]
	now := c.provider.now()
	ends := make([]int, len(d.Keys))
	for row, key := range d.Keys {
		start := len(buf)
		var err error
		buf, err = l.Append(buf, d.Sheet, row, mime.Envelope{Group: d.Group, Key: key, Date: now})
		if err != nil {
			buf = buf[:start]
		}
		ends[row] = len(buf)
		if row == 0 { // the others will be about as long
			buf = slices.Grow(buf, len(buf)*len(d.Keys)*9/8)
		}
	}
	*c.buf = buf
	c.bodies = make([][]byte, len(ends))
	start := 0
	for row, end := range ends {
		c.bodies[row] = buf[start:end:end]
		start = end
	}
	if c.provider.signs(d.Skeleton) {
		return c.sign(d.Skeleton.Sender.DKIMSelector)
	}
	return nil
}

// sign signs all rows, on all processors, and doubles their dots then: an RSA
// signature takes a millisecond.
func (c *call) sign(selector string) error {
	c.heads = make([]string, len(c.bodies))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for row, body := range c.bodies {
		if len(body) == 0 {
			continue
		}
		group.Go(func() (err error) {
			c.heads[row], err = sign(body, c.provider.key, c.layout.Domain(), selector)
			c.bodies[row] = stuff(body)
			return err
		})
	}
	return group.Wait()
}

// stuff doubles each dot at the start of a line (RFC 5321, 4.5.2) in what was
// signed; other layouts have done so. Most messages have none and are returned
// as they are. No header begins with a dot,
// so the first line needs no look.
func stuff(message []byte) []byte {
	dot := []byte("\n.")
	n := bytes.Count(message, dot)
	if n == 0 {
		return message
	}
	out := make([]byte, 0, len(message)+n)
	for {
		at := bytes.Index(message, dot)
		if at < 0 {
			return append(out, message...)
		}
		out = append(append(out, message[:at+2]...), '.')
		message = message[at+2:]
	}
}

// Send spreads the rows over the relay's connections.
func (c *call) Send(ctx context.Context, permits []*suppression.Permit) []channels.Result {
	defer c.release()
	s := &sending{call: c, ctx: ctx, permits: permits, results: make([]channels.Result, len(permits)), finished: make(chan struct{})}
	err := c.down
	if err == nil {
		err = s.spread()
	}
	s.settleRest(err)
	return s.results
}

func (c *call) release() {
	if c.buf != nil {
		c.provider.buffers.Put(c.buf)
		c.buf, c.bodies = nil, nil
	}
}

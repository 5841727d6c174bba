// Package smtp sends e-mail through a relay. Its client is its own because no
// library pipelines (RFC 2920): connections are kept, and a message and the
// envelope of the next share a round trip.
package smtp

import (
	"context"
	"crypto"
	"sync"
	"sync/atomic"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/mime"
	"utskick/templates"
)

// Provider sends through one relay. It is safe for concurrent use.
type Provider struct {
	settings settings
	key      crypto.Signer
	now      func() time.Time
	pool     *pool
	buffers  sync.Pool // *[]byte

	// without8Bit is set when a connection did not offer 8BITMIME. The next
	// message may go to that server, so text is encoded from then on.
	without8Bit atomic.Bool

	mu      sync.Mutex
	layouts map[layoutKey]*mime.Layout
}

type layoutKey struct {
	skeleton *templates.Skeleton
	signed   bool
	eightBit bool
}

// maxLayouts bounds how many layouts are kept. A process sends few groups at a
// time; one that is made anew costs less than a millisecond.
const maxLayouts = 64

// New checks the configuration. It opens no connection.
func New(c Config) (*Provider, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	p := &Provider{settings: s, key: c.DKIM, now: c.Now, layouts: make(map[layoutKey]*mime.Layout)}
	if p.now == nil {
		p.now = time.Now
	}
	p.buffers.New = func() any { return new([]byte) }
	p.pool = &pool{connect: p.connect, now: p.now, size: s.connections}
	return p, nil
}

// Name is smtp.
func (p *Provider) Name() string { return "smtp" }

// Channel is e-mail.
func (p *Provider) Channel() audience.Channel { return audience.Email }

// PerCall is 1: each recipient has a message of her own.
func (p *Provider) PerCall() int { return 1 }

// Close takes leave of the relay. Sends that still run end as they would.
func (p *Provider) Close() error {
	p.pool.close()
	return nil
}

// Prepare opens connections, and builds and signs all of the messages but their
// To lines. A relay that cannot be reached is no error: Send says it row by
// row, as it says all that becomes of messages.
func (p *Provider) Prepare(ctx context.Context, d channels.Draft) (channels.Call, error) {
	if err := d.Check(audience.Email); err != nil {
		return nil, err
	}
	c := &call{provider: p, keys: d.Keys}
	if err := p.pool.warm(ctx, len(d.Keys)); err != nil {
		c.down = err
		return c, nil
	}
	layout, err := p.layout(d.Skeleton)
	if err != nil {
		return nil, err
	}
	if err := c.build(layout, d); err != nil {
		return nil, err
	}
	return c, nil
}

func (p *Provider) connect(ctx context.Context) (*conn, error) {
	c, err := p.settings.connect(ctx)
	if err == nil && !c.offers.eightBit {
		p.without8Bit.Store(true)
	}
	return c, err
}

// layout returns the layout of a skeleton. What will be signed is not sent as
// 8bit, nor are its dots doubled before: see [mime.Options].
func (p *Provider) layout(s *templates.Skeleton) (*mime.Layout, error) {
	signed := p.signs(s)
	key := layoutKey{s, signed, !signed && !p.without8Bit.Load()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.layouts[key]; l != nil {
		return l, nil
	}
	l, err := mime.NewLayout(s, mime.Options{EightBit: key.eightBit, Dots: !signed})
	if err != nil {
		return nil, err
	}
	if len(p.layouts) >= maxLayouts {
		clear(p.layouts)
	}
	p.layouts[key] = l
	return l, nil
}

func (p *Provider) signs(s *templates.Skeleton) bool {
	return p.key != nil && s.Sender.DKIMSelector != ""
}

// Package outbox writes messages to a folder instead of sending them, for the
// demo, for tests and for a look at a campaign before it goes out.
//
// Each attempt is one new file in its channel's folder, or one line in the
// sent.ndjson there, and never both:
//
//	attempts = files + lines of sent.ndjson
//
// Up to [Limit] attempts in a folder, all are files and there is no sent.ndjson.
// Above it every [Sample]th is a file and the others are lines, which have the
// key, the group and the time, and neither address nor message. Names of files
// sort by time.
//
// Files appear whole or not at all, and survive the death of the process. They
// are not forced to disk one by one, so the last seconds may be lost with the
// machine's power.
package outbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/mime"
)

const (
	// Limit is how many attempts of a channel are all kept as files.
	Limit = 10_000
	// Sample is how many attempts above the limit there are to a file.
	Sample = 1_000
)

// Config of a provider.
type Config struct {
	Dir     string // the data directory; messages go to outbox/<channel> in it
	Channel audience.Channel
	Now     func() time.Time // nil is time.Now
	Limit   int              // 0 is [Limit]
}

// Provider is the outbox of one channel. It is safe for concurrent use, and
// several processes may share a folder: each counts what was there when it
// started, and what it wrote since.
type Provider struct {
	channel  audience.Channel
	dir      string
	now      func() time.Time
	limit    int64
	run      string       // tells the files of processes apart
	attempts atomic.Int64 // in the folder, as far as this process knows
	sequence atomic.Int64
	list     list
}

// New makes the folder if it is missing, readable by its owner alone, since
// messages and addresses are in it.
func New(c Config) (*Provider, error) {
	if !c.Channel.Dispatched() {
		return nil, fmt.Errorf("outbox: no messages are sent by %q", c.Channel)
	}
	p := &Provider{channel: c.Channel, dir: filepath.Join(c.Dir, "outbox", string(c.Channel)), now: c.Now, limit: int64(c.Limit), run: run()}
	if p.now == nil {
		p.now = time.Now
	}
	if p.limit == 0 {
		p.limit = Limit
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	p.list.path = filepath.Join(p.dir, "sent.ndjson")
	n, err := p.count()
	if err != nil {
		return nil, fmt.Errorf("outbox: counting what is there: %w", err)
	}
	p.attempts.Store(n)
	return p, nil
}

func run() string {
	var b [3]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// count counts the attempts that the folder holds.
func (p *Provider) count() (int64, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return 0, err
	}
	n, err := p.list.count()
	for _, e := range entries {
		if filepath.Ext(e.Name()) == p.extension() && e.Name()[0] != '.' {
			n++
		}
	}
	return n, err
}

func (p *Provider) extension() string {
	if p.channel == audience.Email {
		return ".eml"
	}
	return ".json"
}

// Name is outbox.
func (p *Provider) Name() string { return "outbox" }

// Channel is the one that it was made for.
func (p *Provider) Channel() audience.Channel { return p.channel }

// PerCall is 1: each message is a file.
func (p *Provider) PerCall() int { return 1 }

// Close closes the list.
func (p *Provider) Close() error { return p.list.close() }

// Prepare encodes what the messages of the chunk share.
func (p *Provider) Prepare(_ context.Context, d channels.Draft) (channels.Call, error) {
	if err := d.Check(p.channel); err != nil {
		return nil, err
	}
	c := &call{provider: p, draft: d}
	if p.channel == audience.Email {
		layout, err := mime.NewLayout(d.Skeleton, mime.Options{EightBit: true})
		if err != nil {
			return nil, err
		}
		c.layout = layout
	}
	return c, nil
}

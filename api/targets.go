package api

import (
	"context"
	"sync"
	"time"

	"utskick/dispatcher"
)

const (
	// maxTargets bounds how many links are remembered, and maxTargetBytes what
	// they take.
	maxTargets     = 200_000
	maxTargetBytes = 32 << 20
	// lookAgain is how often new links are looked for.
	lookAgain = 5 * time.Second
	// askFor bounds a question to the database that a customer waits for.
	askFor = time.Second
)

// targets remembers where links lead: all of the newest, so that clicks are led
// on while the database is away, and older ones as they are clicked. A stored
// link never changes. When there is no room, the one that was learnt first goes.
type targets struct {
	store Messages

	mu     sync.RWMutex
	known  map[int64]string
	order  []int64 // as learnt
	bytes  int
	newest int64 // of those that were looked for
}

func (t *targets) get(ctx context.Context, id int64) (string, error) {
	t.mu.RLock()
	target, ok := t.known[id]
	t.mu.RUnlock()
	if ok {
		return target, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	target, err := t.store.LinkTarget(ctx, id)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learn(id, target)
	return target, nil
}

func (t *targets) learn(id int64, target string) {
	if _, ok := t.known[id]; ok {
		return
	}
	if t.known == nil {
		t.known = map[int64]string{}
	}
	t.known[id], t.order, t.bytes = target, append(t.order, id), t.bytes+len(target)
	for len(t.order) > maxTargets || t.bytes > maxTargetBytes {
		oldest := t.order[0]
		t.bytes -= len(t.known[oldest])
		t.order = t.order[1:]
		delete(t.known, oldest)
	}
}

// look learns the links that are new since it last looked.
func (t *targets) look(ctx context.Context) error {
	t.mu.RLock()
	after := t.newest
	t.mu.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, lookAgain)
	defer cancel()
	links, err := t.store.Links(ctx, after, maxTargets)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range links {
		t.learn(l.ID, l.Target)
		t.newest = l.ID
	}
	return nil
}

// run keeps looking until ctx ends. While the database is away it knows what it
// knew.
func (t *targets) run(ctx context.Context) {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		_ = t.look(ctx) // who asks for a link that is not known is told
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// maxGroups bounds the memory for where groups of messages come from.
const maxGroups = 100_000

// groups remembers where messages come from, which never changes either.
type groups struct {
	mu    sync.RWMutex
	known map[int64]dispatcher.Origin
}

func (g *groups) get(id int64) (dispatcher.Origin, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	origin, ok := g.known[id]
	return origin, ok
}

func (g *groups) learn(id int64, origin dispatcher.Origin) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil || len(g.known) >= maxGroups {
		g.known = map[int64]dispatcher.Origin{}
	}
	g.known[id] = origin
}

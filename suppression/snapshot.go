package suppression

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"utskick/audience"
)

// Head is how far the index of a database has come.
type Head struct {
	Version int64
	// Epoch names the history that Version counts in. A database that was
	// restored, or that another server answers for, has another one: versions of
	// different epochs say nothing about each other.
	Epoch string
}

// Changes is what one statement read of the index: the head, the entries that
// block some keys, and which keys have changed.
type Changes struct {
	Head
	Matches []Match
	Keys    []audience.Key
}

// Source is the index on the primary database, as a [Snapshot] asks it.
type Source interface {
	Index
	// MatchingAndChanged does what Matching does, and in the same statement, begun
	// after the call, reads the head and the keys of all active entries whose
	// version is above after and at most through.
	MatchingAndChanged(ctx context.Context, scope Scope, keys []audience.Key, after, through int64) (Changes, error)
	// ActiveKeys calls f for the key of every active entry, whatever its scope and
	// expiry, in no order, and some more than once. Together they are what the
	// index held at the head that is returned. f's error ends it, and so does ctx.
	ActiveKeys(ctx context.Context, f func(audience.Key) error) (Head, error)
}

const (
	// maxKeys is the size of the largest snapshot, in entries: 32 MB.
	maxKeys = 4_000_000
	// maxChanges is how many changes a check reads at most: about 20 ms of its
	// permits' second.
	maxChanges = 20_000
	// minPause and restFactor keep loads apart when one follows the other: a tenth
	// of the time goes into them at most.
	minPause   = time.Second
	restFactor = 9
)

// Snapshot is an [Index] that spares the database what it need not be asked. It
// holds the prefixes of all keys with an active entry, and only ever rules out:
// a key that is not in it, and has not changed since, has no entry. Every other
// key is asked of the database. What has changed since is read anew by every
// call, from the primary, in a statement that begins after the call; so an entry
// that was committed before the call is found, as it is without a snapshot.
//
// At any doubt it asks the database for every key, and loads itself again: when
// it is not loaded yet, too much has changed, the version went back, or the
// database is another one.
type Snapshot struct {
	source Source
	clock  Clock
	log    *slog.Logger

	held atomic.Pointer[held] // nil: every key is asked

	loading   sync.Mutex // held by the one load that goes on
	notBefore Instant    // of the next load that a call starts; guarded by loading
	ctx       context.Context
	stop      context.CancelFunc

	maxKeys    int
	maxChanges int64
}

// NewSnapshot makes a snapshot of source that the first call has loaded. Close
// it in the end. clock measures the pauses between loads.
func NewSnapshot(source Source, clock Clock, log *slog.Logger) *Snapshot {
	s := &Snapshot{source: source, clock: clock, log: log, maxKeys: maxKeys, maxChanges: maxChanges}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Close ends a load that goes on, and waits for it. Calls are answered as
// before, but nothing is loaded any more.
func (s *Snapshot) Close() {
	s.stop()
	s.loading.Lock()
	defer s.loading.Unlock()
	s.held.Store(nil)
}

// Matching implements [Index].
//
// The version is the one that every ruling knew at least. Keys that are ruled
// out, and keys that the set has, are ruled on by the first statement, at its
// head. Keys that the first statement found changed are asked in a second one,
// which may know a later version; that is not returned, because the others do
// not know it.
func (s *Snapshot) Matching(ctx context.Context, scope Scope, keys []audience.Key) ([]Match, int64, error) {
	h := s.held.Load()
	if h == nil {
		s.reload()
		return s.source.Matching(ctx, scope, keys)
	}
	asked, at := h.suspects(keys)
	c, err := s.source.MatchingAndChanged(ctx, scope, asked, at.Version, at.Version+s.maxChanges)
	if err != nil {
		return nil, 0, err
	}
	if why := s.doubt(at, c.Head); why != "" {
		s.drop(h, why)
		return s.source.Matching(ctx, scope, keys)
	}
	if h.learn(at, c) > s.maxKeys {
		s.drop(h, "it has grown too large")
	}
	late := changedUnasked(keys, asked, c.Keys)
	if len(late) == 0 {
		return c.Matches, c.Version, nil
	}
	matches, version, err := s.source.Matching(ctx, scope, late)
	if err != nil {
		return nil, 0, err
	}
	return append(c.Matches, matches...), min(c.Version, version), nil
}

// doubt returns why what is known at one head cannot be brought up to another
// by the changes that were read, or nothing.
func (s *Snapshot) doubt(at, now Head) string {
	switch {
	case now.Epoch != at.Epoch:
		return "the database is another one"
	case now.Version < at.Version:
		return "the version went back"
	case now.Version > at.Version+s.maxChanges:
		return "too much has changed"
	}
	return ""
}

// changedUnasked returns those of the keys that have changed and were not among
// the asked.
func changedUnasked(keys, asked, changed []audience.Key) []audience.Key {
	if len(changed) == 0 {
		return nil
	}
	open := make(map[audience.Key]bool, len(changed))
	for _, k := range changed {
		open[k] = true
	}
	for _, k := range asked {
		delete(open, k)
	}
	var late []audience.Key
	for _, k := range keys {
		if open[k] {
			late = append(late, k)
		}
	}
	return late
}

// drop gives up what is held, unless another call has, and loads again.
func (s *Snapshot) drop(h *held, why string) {
	if s.held.CompareAndSwap(h, nil) {
		s.log.Info("the suppression snapshot is given up and will be loaded again", "reason", why)
	}
	s.reload()
}

// reload starts a load beside the caller, whose permits would die of waiting
// for it. It does nothing while another load goes on, or too soon after one.
func (s *Snapshot) reload() {
	if !s.loading.TryLock() {
		return
	}
	if s.ctx.Err() != nil || s.held.Load() != nil || s.clock() < s.notBefore {
		s.loading.Unlock()
		return
	}
	go func() {
		defer s.loading.Unlock()
		if err := s.load(s.ctx); err != nil && s.ctx.Err() == nil {
			s.log.Warn("without a suppression snapshot every key is asked of the database", "error", err)
		}
	}()
}

// Load loads the snapshot and returns when it is in use, for those who do not
// want the first call to do without. The error says why it is not: calls are
// answered all the same.
func (s *Snapshot) Load(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	return s.load(ctx)
}

var errTooManyKeys = errors.New("there are too many suppression entries for a snapshot; it is not tried again in this process")

// load is called by whoever holds loading.
func (s *Snapshot) load(ctx context.Context) error {
	began := s.clock()
	var prefixes []uint64
	head, err := s.source.ActiveKeys(ctx, func(k audience.Key) error {
		if len(prefixes) == s.maxKeys {
			return errTooManyKeys
		}
		prefixes = append(prefixes, prefix(k))
		return nil
	})
	took := time.Duration(s.clock() - began)
	s.notBefore = s.clock().Add(max(minPause, restFactor*took))
	if err != nil {
		if errors.Is(err, errTooManyKeys) {
			s.notBefore = math.MaxInt64
		}
		return fmt.Errorf("load the suppression snapshot: %w", err)
	}
	h := &held{set: newPrefixSet(prefixes), head: head}
	s.log.Info("suppression snapshot loaded", "keys", h.set.len(), "version", head.Version, "took", took)
	s.held.Store(h)
	return nil
}

// held is a set of keys and the head up to which it is complete.
type held struct {
	mu   sync.RWMutex
	set  *prefixSet
	head Head
}

// suspects returns those of the keys that may have an entry, and the head up to
// which the others have none.
func (h *held) suspects(keys []audience.Key) ([]audience.Key, Head) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var found []audience.Key
	for _, k := range keys {
		if h.set.has(k) {
			found = append(found, k)
		}
	}
	return found, h.head
}

// learn adds what has changed since at, and returns the size of the set. The
// head never goes back: another call may have learnt more meanwhile. No version
// is skipped, since all up to at were learnt before.
func (h *held) learn(at Head, c Changes) int {
	if c.Version == at.Version {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range c.Keys {
		h.set.add(k)
	}
	h.head.Version = max(h.head.Version, c.Version)
	return h.set.len()
}

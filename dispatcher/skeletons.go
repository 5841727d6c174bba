package dispatcher

import (
	"context"
	"fmt"
	"sync"

	"utskick/templates"
	"utskick/tracking"
)

// skeletons compiles each message once for the groups that share it.
type skeletons struct {
	library   Library
	signer    *tracking.Signer
	publicURL string

	mu    sync.Mutex
	known map[skeletonKey]compiled
}

// skeletonKey names what a skeleton depends on. A run's revision is part of it:
// an edit while the run is paused takes effect.
type skeletonKey struct {
	template int64
	language string
	sender   string
	topic    string
	rev      int64
	run      int64
}

type compiled struct {
	skeleton *templates.Skeleton
	sender   templates.Sender
}

// mostSkeletons bounds the memory of a process that lives for months.
const mostSkeletons = 200

func (s *skeletons) get(ctx context.Context, b Batch) (*templates.Skeleton, templates.Sender, error) {
	key := skeletonKey{b.Template, b.Language, b.Sender, b.Topic, b.Rev, b.Run}
	s.mu.Lock()
	c, ok := s.known[key]
	s.mu.Unlock()
	if ok {
		return c.skeleton, c.sender, nil
	}
	c, err := s.compile(ctx, b)
	if err != nil {
		return nil, templates.Sender{}, fmt.Errorf("compile template %d, %s: %w", b.Template, b.Language, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= mostSkeletons {
		s.known = map[skeletonKey]compiled{}
	}
	s.known[key] = c
	return c.skeleton, c.sender, nil
}

func (s *skeletons) compile(ctx context.Context, b Batch) (compiled, error) {
	var c compiled
	t, err := s.library.TemplateByID(ctx, b.Template)
	if err != nil {
		return c, err
	}
	if c.sender, err = s.library.SenderByName(ctx, b.Sender); err != nil {
		return c, err
	}
	links, err := s.library.LinkIDs(ctx, b.Template)
	if err != nil {
		return c, err
	}
	c.skeleton, err = templates.Compile(t, b.Language, templates.Options{Sender: c.sender, Topic: b.Topic,
		PublicURL: s.publicURL, Signer: s.signer, Links: links})
	return c, err
}

package workers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
)

// Doubts is the part of the store that knows who is in doubt, and when their
// provider is to be asked.
type Doubts interface {
	TakeLook(ctx context.Context, ch audience.Channel) (dispatcher.Look, error)
	Sighted(ctx context.Context, d dispatcher.Doubt, seen []channels.Sighting) (resolved bool, err error)
	EndLook(ctx context.Context, l dispatcher.Look, left []dispatcher.Doubt) error
	PutOffLook(ctx context.Context, l dispatcher.Look, until time.Time) error
}

// Looker asks a provider what it has taken for somebody. Its error is a
// [channels.Unanswered] when the provider is to be left alone, or else
// [channels.ErrUnreadable], when only this one cannot be found out.
type Looker interface {
	Look(ctx context.Context, q channels.Inquiry) ([]channels.Sighting, error)
}

// LookUps asks the provider of a channel about those in doubt.
type LookUps struct {
	Doubts  Doubts
	Looker  Looker
	Channel audience.Channel
	Log     *slog.Logger
	Now     func() time.Time
	// Wait returns when d has passed, or when ctx ends; nil is a timer.
	Wait func(ctx context.Context, d time.Duration)

	failed int // rounds, one after the other
}

const (
	lookEvery  = 5 * time.Second        // when nobody is to be asked for
	lookGap    = 100 * time.Millisecond // between two inquiries of this process
	lookAtOnce = 4
	lookPause  = 10 * time.Second // after an error, doubled each time
	lookLonger = 10 * time.Minute // and no longer than this, unless the provider says so
)

// Run asks until ctx ends.
func (l *LookUps) Run(ctx context.Context) {
	if l.Wait == nil {
		l.Wait = wait
	}
	for ctx.Err() == nil {
		l.Wait(ctx, l.round(ctx))
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// round asks about one batch, and returns how long to wait before the next.
func (l *LookUps) round(ctx context.Context) time.Duration {
	look, err := l.Doubts.TakeLook(ctx, l.Channel)
	if err == nil && look.Batch == 0 {
		return lookEvery
	}
	var left []dispatcher.Doubt
	if err == nil {
		left, err = l.ask(ctx, look)
	}
	if err == nil {
		err = l.Doubts.EndLook(ctx, look, left)
	}
	if err == nil {
		l.failed = 0
		l.Log.Info("those in doubt were looked up", "channel", l.Channel, "batch", look.Batch, "asked", len(look.Doubts), "left", len(left))
		return 0
	}
	pause := l.pause(ctx, err)
	if look.Batch != 0 {
		// Whoever goes on with it need not wait until this one is given up.
		err = errors.Join(err, l.Doubts.PutOffLook(context.WithoutCancel(ctx), look, l.Now().Add(pause)))
	}
	if ctx.Err() == nil {
		l.Log.Warn("looking up those in doubt failed and will be tried again", "channel", l.Channel, "batch", look.Batch, "in", pause, "error", err)
	}
	return pause
}

// pause is how long to leave the provider alone after an error.
func (l *LookUps) pause(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	pause := min(lookPause<<min(l.failed, 10), lookLonger)
	l.failed++
	if unanswered := new(channels.Unanswered); errors.As(err, &unanswered) {
		pause = max(pause, unanswered.Pause)
	}
	return pause
}

// ask asks for everybody, some at once, at a pace that leaves the provider its
// strength for messages. It returns those whom nothing was found out of. The first
// error ends it; what was found out until then holds.
func (l *LookUps) ask(ctx context.Context, look dispatcher.Look) (left []dispatcher.Doubt, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	var mu sync.Mutex
	places := make(chan struct{}, lookAtOnce)
	for _, d := range look.Doubts {
		l.Wait(ctx, lookGap)
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-places }()
			resolved, err := l.one(ctx, d)
			if err != nil {
				cancel(err)
			}
			if !resolved {
				mu.Lock()
				left = append(left, d)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return left, context.Cause(ctx)
}

func (l *LookUps) one(ctx context.Context, d dispatcher.Doubt) (resolved bool, err error) {
	seen, err := l.Looker.Look(ctx, d.Inquiry)
	if errors.Is(err, channels.ErrUnreadable) {
		l.Log.Warn("what a provider has taken cannot be read", "channel", l.Channel, "group", d.Group, "key", d.Key.Short(), "error", err)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return l.Doubts.Sighted(ctx, d, seen)
}

package workers

import (
	"context"

	"golang.org/x/time/rate"
)

// Limiter paces one channel within this process.
type Limiter struct {
	perSecond int
	bucket    *rate.Limiter
}

// NewLimiter lets perSecond messages out a second. Its bucket holds half a
// second's messages, which is the most that one call may take at once.
func NewLimiter(perSecond int) *Limiter {
	return &Limiter{perSecond: perSecond, bucket: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/2))}
}

// PerSecond returns the limit in messages a second.
func (l *Limiter) PerSecond() int { return l.perSecond }

// Wait returns when n messages may go out, or when ctx ends.
func (l *Limiter) Wait(ctx context.Context, n int) error { return l.bucket.WaitN(ctx, n) }

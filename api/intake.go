package api

import (
	"context"

	"utskick/suppression"
	"utskick/tracking"
)

// Intake takes what comes home by the links in messages.
type Intake interface {
	// Record returns when the wish is acknowledged. kept says that it is on this
	// machine's disk, and the database has not got it yet.
	Record(ctx context.Context, w suppression.Wish) (kept bool, err error)
	// Revise returns when the wishes are acknowledged in the place of what was
	// recorded in the visit, or beside it: revised says which.
	Revise(ctx context.Context, visit string, wishes []suppression.Wish) (revised bool, err error)
	// AppendEvent returns when the event is durable.
	AppendEvent(ctx context.Context, e tracking.Event) error
	Standing() suppression.Standing
}

// direct is an intake without a spool.
type direct struct {
	register *suppression.Register
	store    Messages
}

func (d direct) Record(ctx context.Context, w suppression.Wish) (bool, error) {
	_, err := d.register.Record(ctx, w)
	return false, err
}

func (d direct) Revise(ctx context.Context, visit string, wishes []suppression.Wish) (bool, error) {
	err := d.register.Revise(ctx, visit, wishes)
	return err == nil, err
}

func (d direct) AppendEvent(ctx context.Context, e tracking.Event) error {
	return d.store.AppendEvent(ctx, e)
}

func (d direct) Standing() suppression.Standing { return suppression.Standing{Joined: true} }

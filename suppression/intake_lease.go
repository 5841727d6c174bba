package suppression

import (
	"context"
	"errors"
	"fmt"
	"time"

	"utskick/tracking"
)

// Start brings to the database what an earlier life has left in the spool, and
// takes the lease.
func (i *Intake) Start(ctx context.Context) error {
	if err := i.bring(ctx); err != nil {
		return fmt.Errorf("bring the spool to the database: %w", err)
	}
	if err := i.hold(ctx); err != nil {
		return fmt.Errorf("take the lease of instance %s: %w", i.Holder.Name, err)
	}
	return nil
}

// Run renews the lease until ctx ends.
func (i *Intake) Run(ctx context.Context) {
	ticker := time.NewTicker(RenewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			i.Round(ctx)
		}
	}
}

// Round does what is due every [RenewEvery]: it empties the spool, and holds the
// lease if it is empty.
func (i *Intake) Round(ctx context.Context) {
	err := error(nil)
	if i.Standing().Kept > 0 {
		err = i.bring(ctx)
	}
	if err == nil {
		err = i.hold(ctx)
	}
	if ctx.Err() == nil {
		i.setAway(err)
	}
}

// Leave gives the lease up, once nobody brings anything any more. With something
// in the spool it does not: sending waits for the next life.
func (i *Intake) Leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*LateAtMost)
	defer cancel()
	if i.Standing().Kept > 0 {
		if err := i.bring(ctx); err != nil {
			return fmt.Errorf("the spool is not empty, and nothing is sent until instance %s is started again: %w", i.Holder.Name, err)
		}
	}
	return i.Leases.LeaveLease(ctx, i.Holder)
}

// bringWithin bounds what one piece of the spool may take.
const bringWithin = 10 * time.Second

// bring empties the spool into the database.
func (i *Intake) bring(ctx context.Context) error {
	brought := 0
	err := i.Spool.Drain(func(kept []Kept) error {
		ctx, cancel := context.WithTimeout(ctx, bringWithin)
		defer cancel()
		if err := i.take(ctx, kept); err != nil {
			return err
		}
		brought += len(kept)
		// Those who come from now on need not queue behind the spool.
		i.setAway(nil)
		return nil
	}, func(n int64) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.taken = n
		i.forget(n)
	})
	if brought > 0 {
		i.Log.Info("the spool was brought to the database", "instance", i.Holder.Name, "records", brought)
	}
	return err
}

// take records what was kept as if it came now. What the database has already
// changes nothing.
func (i *Intake) take(ctx context.Context, kept []Kept) error {
	var wishes []Wish
	var events []tracking.Event
	for _, k := range kept {
		if k.Event != nil {
			events = append(events, *k.Event)
			continue
		}
		w := *k.Wish
		if err := i.complete(ctx, &w); err != nil {
			return err
		}
		wishes = append(wishes, w)
	}
	if len(wishes) > 0 {
		if err := i.Register.RecordAll(ctx, wishes); err != nil {
			return err
		}
	}
	if len(events) == 0 {
		return nil
	}
	return i.Events.AppendEvents(ctx, events)
}

// complete looks up what a wish left to its message.
func (i *Intake) complete(ctx context.Context, w *Wish) (err error) {
	if w.Entry.Channel == "" {
		w.Entry.Channel, err = i.ChannelOf(ctx, w.Group)
	}
	if w.Entry.Topic == "" && err == nil {
		w.Entry.Topic, err = i.TopicOf(ctx, w.Group)
	}
	if w.Entry.Sender == "" && err == nil {
		w.Entry.Sender, err = i.SenderOf(ctx, w.Group)
	}
	return err
}

// hold renews the lease, or takes it where it was lost.
func (i *Intake) hold(ctx context.Context) error {
	if i.Standing().Joined {
		err := i.request(ctx, i.Leases.RenewLease)
		if !errors.Is(err, ErrNotRenewed) {
			return err
		}
		i.Log.Warn("the lease was lost and is taken again", "instance", i.Holder.Name)
		i.mu.Lock()
		i.joined = false
		i.mu.Unlock()
	}
	limited, cancel := context.WithTimeout(ctx, LateAtMost)
	defer cancel()
	clock, err := i.Leases.LeaseClock(limited)
	if err != nil {
		return err
	}
	i.knows(clock)
	i.setAway(nil)
	return i.request(ctx, i.Leases.JoinLease)
}

// knows remembers the database's clock, as it was now or before.
func (i *Intake) knows(clock int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clock, i.read = clock, i.Clock()
}

// request asks for the lease, unless something is in the spool. The limit that
// goes along makes sure that the request takes effect within [LateAtMost] or not
// at all, however long it is on its way.
func (i *Intake) request(ctx context.Context, ask func(context.Context, Holder, int64) (int64, error)) error {
	i.mu.Lock()
	if i.pending > 0 {
		i.mu.Unlock()
		return nil
	}
	i.sent = i.Clock()
	before := i.clock + (time.Duration(i.sent-i.read) + LateAtMost).Milliseconds()
	i.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, LateAtMost)
	defer cancel()
	clock, err := ask(ctx, i.Holder, before)
	if err != nil {
		return err
	}
	i.knows(clock)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.joined = true
	return nil
}

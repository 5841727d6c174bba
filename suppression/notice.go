package suppression

import (
	"context"
	"fmt"
	"time"

	"utskick/audience"
	"utskick/internal/failpoint"
	"utskick/tracking"
)

// Effect is what follows from an event for the address of its message. Without a
// cause nothing does.
type Effect struct {
	Channel  audience.Channel
	Cause    Cause
	Counts   bool   // not by itself: it counts towards the cause, as [Enough] says
	Evidence string // in the words of whoever told it; no address
}

// Notice is what a provider tells of a message, and what follows from it.
type Notice struct {
	tracking.Event
	Effect Effect
}

// Wish is what an effect is written as.
func (n Notice) Wish() Wish {
	w := Provider(n.Key, n.Effect.Channel, n.Effect.Cause, n.Effect.Evidence)
	w.From = n.Event.Group
	return w
}

// Of an address that one message after the other could not be delivered to, for
// reasons that may pass: a full mailbox, a phone that is switched off. These
// many messages in a row within CountWithin, none delivered between them, and
// at least CountAcross from the first to the last, suppress it. A weekly
// newsletter needs five weeks for that; a daily one waits a week, since a
// mailbox that is full over a holiday is emptied after it.
const (
	CountMessages = 5
	CountAcross   = 7 * 24 * time.Hour
	CountWithin   = 60 * 24 * time.Hour
)

// Enough reports whether so many messages, the first and the last of them at
// these instants, suppress an address. One message is one, however often it was
// tried.
func Enough(messages int, first, last time.Time) bool {
	return messages >= CountMessages && last.Sub(first) >= CountAcross
}

// Take returns when the notices are durable, all or none, and no send to anybody
// whom one of them suppresses can be started any more. A notice that is already
// there suppresses nobody again: what was lifted since stays lifted. It is
// acknowledged like the first all the same, since the first may not have been.
//
// When it returns an error, the notices are not acknowledged; they may be
// durable.
func (r *Register) Take(ctx context.Context, notices []Notice) error {
	for i, n := range notices {
		if n.Effect.Cause == "" {
			continue
		}
		if err := n.Wish().Entry.Validate(); err != nil {
			return fmt.Errorf("notice %d of %d has an effect that cannot be recorded: %w", i+1, len(notices), err)
		}
	}
	claims, err := r.store.TakeNotices(ctx, notices)
	if err != nil {
		return fmt.Errorf("take %d notices: %w", len(notices), err)
	}
	r.wait(ctx, claims)
	failpoint.Hit(failpoint.Acknowledged)
	return nil
}

package rights

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"utskick/audience"
	"utskick/suppression"
)

// Asked is a request to be erased (GDPR 17).
type Asked struct {
	ExternalID string       // of the contact
	Key        audience.Key // of the address of somebody who is none; zero: a contact
	Case       string       // number of the case; no name, no address and no identity number
	By         string       // who of the staff took it
	// Declined: she wants no suppression to be kept for having been erased, and may be
	// sent to when a file brings her again. What she had objected to stays.
	Declined bool
}

// Check reports the first thing that is wrong with a request.
func (a Asked) Check() error {
	switch {
	case strings.TrimSpace(a.Case) == "":
		return errors.New("case: is empty: name the case, so that it can be shown later why somebody was erased")
	case len(a.Case) > maxCase:
		return fmt.Errorf("case: is longer than %d bytes", maxCase)
	case strings.ContainsAny(a.Case, "@\r\n"):
		return errors.New("case: is a number or a name of a case; it outlives the erasure, so no address may be in it")
	case audience.HasIdentityNumber(a.Case):
		return errors.New("case: has what looks like a Swedish personal identity or coordination number; it outlives the erasure: give the number of the case instead")
	}
	return nil
}

const maxCase = 100 // bytes

// Erasure is one request and what has become of it.
type Erasure struct {
	ID       int64     `json:"id"`
	Case     string    `json:"case"`
	AskedAt  time.Time `json:"asked_at"`
	AskedBy  string    `json:"asked_by"`
	Declined bool      `json:"decline_suppression" doc:"No suppression is kept but what the person had said before; she may be sent to when a file brings her again"`
	DoneAt   time.Time `json:"done_at,omitzero" doc:"Absent: it waits for what is under way"`
	Messages int64     `json:"messages" doc:"How many messages were cut loose from the person"`
	// Waits are the campaigns whose run has the person and has not ended.
	Waits []string `json:"waits_for,omitempty" doc:"Campaigns whose run has the person and has not ended: resume or cancel them"`

	Key audience.Key `json:"-"` // of kind contact, or of the address of who is none; zero once it is done
}

// Done reports whether nothing of the person is left.
func (e Erasure) Done() bool { return !e.DoneAt.IsZero() }

// ErrSpeaks says that a key of the person is not suppressed yet.
var ErrSpeaks = errors.New("the person is not suppressed yet")

// Erasures keeps requests and carries them out.
type Erasures interface {
	// OpenErasure returns when the request is durable, here and in the journal, with
	// a line in the audit log. Asked again before it is done, it is the same one, and
	// the last word on Declined holds. A key that is a contact's is [ErrContact].
	OpenErasure(ctx context.Context, a Asked) (Erasure, error)
	// FinishErasure erases the person if no run that has not ended has her, and else
	// returns what it waits for. It is [ErrSpeaks] when one of her keys lacks the
	// suppression of [Silence]. Done again it changes nothing.
	FinishErasure(ctx context.Context, id int64) (Erasure, error)
	// ErasureList returns up to limit requests, the newest first; open are only those
	// that are not done.
	ErasureList(ctx context.Context, open bool, limit int) ([]Erasure, error)
	// OpenErasures returns up to limit requests that are not done with an id above
	// after, the oldest first.
	OpenErasures(ctx context.Context, after int64, limit int) ([]Erasure, error)
}

// Recorder takes wishes; it returns when nothing can be started any more that
// they forbid.
type Recorder interface {
	Record(ctx context.Context, w suppression.Wish) (suppression.Recorded, error)
}

// Silence is the wish that goes before an erasure and outlasts it: nothing, by no
// channel, for no purpose, for every key that the person has or had.
func Silence(k audience.Key) suppression.Wish {
	return suppression.Wish{Person: true, Entry: suppression.Entry{Key: k, Channel: suppression.Any, Topic: suppression.Any, Purpose: suppression.Any,
		Sender: suppression.Any, Cause: suppression.Erased, Active: true, Source: "operator", Evidence: "asked to be erased"}}
}

// Eraser erases people.
type Eraser struct {
	Store    Erasures
	Recorder Recorder
	Log      *slog.Logger
	// Wait returns when d has passed, or when ctx ends; nil is a timer.
	Wait func(ctx context.Context, d time.Duration)
}

// Ask returns when the request is on record and nothing new can be sent to the
// person. The rest follows when the runs have ended that have her.
func (e *Eraser) Ask(ctx context.Context, a Asked) (Erasure, error) {
	if err := a.Check(); err != nil {
		return Erasure{}, err
	}
	asked, err := e.Store.OpenErasure(ctx, a)
	if err != nil {
		return Erasure{}, fmt.Errorf("put an erasure on record: %w", err)
	}
	if _, err := e.Recorder.Record(ctx, Silence(asked.Key)); err != nil {
		return Erasure{}, fmt.Errorf("suppress a person who is to be erased: %w", err)
	}
	return asked, nil
}

// attempts is how often a finish is begun anew because the person has got a new
// address meanwhile.
const attempts = 5

// Finish erases the person of a request if nothing is under way, and returns how
// the request stands.
func (e *Eraser) Finish(ctx context.Context, asked Erasure) (Erasure, error) {
	for range attempts {
		now, err := e.Store.FinishErasure(ctx, asked.ID)
		if !errors.Is(err, ErrSpeaks) {
			return now, err
		}
		if _, err := e.Recorder.Record(ctx, Silence(now.Key)); err != nil {
			return now, fmt.Errorf("suppress a person who is to be erased: %w", err)
		}
	}
	return asked, fmt.Errorf("erasure %d: %w", asked.ID, ErrSpeaks)
}

const (
	eraseEvery = 15 * time.Second
	eraseMost  = 100 // requests read at a time
)

// Run finishes what can be finished, until ctx ends.
func (e *Eraser) Run(ctx context.Context) {
	wait := e.Wait
	if wait == nil {
		wait = timer
	}
	for ctx.Err() == nil {
		e.round(ctx)
		wait(ctx, eraseEvery)
	}
}

func timer(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// round tries every request, the oldest first: however many wait for their runs,
// none is out of sight.
func (e *Eraser) round(ctx context.Context) {
	for after, more := int64(0), true; more; {
		open, err := e.Store.OpenErasures(ctx, after, eraseMost)
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("erasures could not be read and will be tried again", "error", err)
		}
		e.finishAll(ctx, open)
		if more = len(open) == eraseMost && ctx.Err() == nil; more {
			after = open[len(open)-1].ID
		}
	}
}

// finishAll finishes each request by itself: one that fails holds up no other.
func (e *Eraser) finishAll(ctx context.Context, open []Erasure) {
	for _, asked := range open {
		now, err := e.Finish(ctx, asked)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.Log.Warn("an erasure failed and will be tried again", "erasure", asked.ID, "error", err)
		case now.Done():
			e.Log.Info("a person was erased", "erasure", now.ID, "messages", now.Messages)
		}
	}
}

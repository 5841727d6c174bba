package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/internal/failpoint"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// Limiter paces one channel.
type Limiter interface {
	// Wait returns when n messages may go out, or when ctx ends. It returns
	// [ErrNotNow] when n is more than Most, or the provider is to be left alone.
	Wait(ctx context.Context, n int) error
	// Begin returns when n messages may begin that Wait let go that long ago: at once,
	// unless so much time has passed that they would come together with others. It
	// fails as Wait does.
	Begin(ctx context.Context, n int, since time.Duration) error
	// Most is how many messages may go at once now; 0 is any number.
	Most() int
	// Pause keeps every worker from the provider for d, and Paused returns how
	// much of that is left.
	Pause(ctx context.Context, d time.Duration)
	Paused() time.Duration
}

// Suppressor keeps an address from being used again because its provider said
// so.
type Suppressor interface {
	Record(ctx context.Context, w suppression.Wish) (suppression.Recorded, error)
}

// Config is what a [Worker] works with.
type Config struct {
	Ledger     Ledger
	Library    Library
	Gate       *suppression.Gate
	Suppressor Suppressor
	Providers  map[audience.Channel]channels.Provider
	Limiters   map[audience.Channel]Limiter // a channel without one is not limited
	// Domains are the mail domains that have a limit of their own, and
	// DomainSlots is how many batches of theirs may be worked on at once.
	Domains     map[string]DomainLimit
	DomainSlots int
	Signer      *tracking.Signer
	PublicURL   string
	Owner       string // names this process in claims
	Now         func() time.Time
	Log         *slog.Logger
}

// Worker takes batches through the protocol. It is safe for concurrent use:
// several batches at once keep a provider busy while the database answers.
type Worker struct {
	Config
	skeletons skeletons
	lanes     lanes
	paces     map[audience.Channel]*pace
	breakers  map[audience.Channel]*breaker
	sheets    sync.Pool
}

// NewWorker makes a worker.
func NewWorker(c Config) *Worker {
	w := &Worker{Config: c, paces: map[audience.Channel]*pace{}, breakers: map[audience.Channel]*breaker{}}
	w.skeletons = skeletons{library: c.Library, signer: c.Signer, publicURL: c.PublicURL}
	w.lanes = newLanes(c.Domains, c.DomainSlots)
	w.sheets.New = func() any { return new(templates.Sheet) }
	for ch := range c.Providers {
		w.paces[ch], w.breakers[ch] = &pace{}, &breaker{}
	}
	return w
}

// ErrNoProvider says that a batch's channel has no provider in this process.
var ErrNoProvider = errors.New("no provider is configured for this channel")

// Dispatch takes chunks of a batch, one after the other, until the batch is
// done, deferred or stopped, or somebody else has it. All of these return nil:
// a doorbell that was rung in vain is no error.
//
// The batch is read once. What changes of it afterwards is this worker's doing,
// or makes its next claim fail.
func (w *Worker) Dispatch(ctx context.Context, ref BatchRef) error {
	b, err := w.Ledger.Batch(ctx, ref.ID)
	if err != nil {
		return err
	}
	if !b.Ready || b.Fence != ref.Fence {
		return nil
	}
	leave, again := w.lanes.enter(b, w.Now())
	if leave == nil {
		return w.Ledger.Postpone(ctx, b, again)
	}
	defer leave()
	more := true
	for more && err == nil && ctx.Err() == nil {
		more, err = w.step(ctx, &b)
	}
	switch {
	case errors.Is(err, ErrNotClaimed):
		return nil
	case ctx.Err() != nil && ((more && err == nil) || errors.Is(err, ctx.Err())):
		// This process ends. Another need not wait until the ring is forgotten.
		return w.Ledger.Postpone(context.WithoutCancel(ctx), b, w.Now())
	}
	return err
}

// step does what the batch needs next, moves it on, and reports whether it may
// go on.
func (w *Worker) step(ctx context.Context, b *Batch) (more bool, err error) {
	switch {
	case b.RunState == Cancelling:
		return false, w.Ledger.CloseRest(ctx, *b, Skipped, CauseCancelled)
	case b.RunState != Sending:
		return false, nil
	case w.Now().After(b.SendBy):
		return false, w.Ledger.CloseRest(ctx, *b, Failed, CauseExpired)
	}
	if b.Held {
		return false, nil
	}
	provider := w.Providers[b.Channel]
	if provider == nil {
		return false, fmt.Errorf("%s: %w", b.Channel, ErrNoProvider)
	}
	if b.Piece.Waits() {
		return false, w.decidePiece(ctx, *b)
	}
	wait, leave := w.enter(b.Channel)
	if wait > 0 {
		return w.notNow(ctx, b, wait)
	}
	defer leave()
	c, err := w.prepare(ctx, *b, provider)
	if errors.Is(err, ErrNotNow) {
		return w.notNow(ctx, b, soonAgain)
	}
	if err != nil {
		return false, err
	}
	defer w.sheets.Put(c.sheet)
	failpoint.Hit(failpoint.Prepared)
	more, err = w.call(ctx, c)
	b.Fence, b.Last, b.Attempts = b.Fence+1, c.through, 0
	return more, err
}

// chunk is the part of a batch that one claim covers.
type chunk struct {
	batch      Batch
	provider   channels.Provider
	sheet      *templates.Sheet
	members    int
	through    audience.Key
	keys       []audience.Key            // of the rows, in order
	candidates []suppression.Candidate   // of the rows
	exceptions []Exception               // those who have no row
	aside      map[string][]audience.Key // by domain: they go on in batches of their own
	call       channels.Call             // nil when there are no rows
	letGo      time.Time                 // by the rate limit
	notice     string                    // version of the privacy notice that the messages lead to
}

// prepare does everything slow, before the claim: it reads the members and
// their contacts, renders, has the provider prepare its call, and waits for the
// rate limit.
func (w *Worker) prepare(ctx context.Context, b Batch, provider channels.Provider) (*chunk, error) {
	members, err := w.Ledger.Members(ctx, b, w.chunkSize(b, provider))
	if err != nil {
		return nil, err
	}
	skeleton, sender, err := w.skeletons.get(ctx, b)
	if err != nil {
		return nil, err
	}
	c := &chunk{batch: b, provider: provider, sheet: w.sheets.Get().(*templates.Sheet), members: len(members), through: b.High,
		notice: sender.NoticeVersion}
	if len(members) > 0 {
		c.through = members[len(members)-1].Key
	}
	if b.Domain == "" {
		members = c.setAside(members, w.lanes)
	}
	c.render(members, skeleton, sender.OpenTracking)
	if len(c.keys) == 0 {
		return c, nil
	}
	draft := channels.Draft{Skeleton: skeleton, Sheet: c.sheet, Group: b.Group, Keys: c.keys}
	if c.call, err = provider.Prepare(ctx, draft); err != nil {
		return nil, fmt.Errorf("prepare a call of batch %d: %w", b.ID, err)
	}
	if err := w.pace(ctx, b, len(c.keys)); err != nil {
		return nil, fmt.Errorf("wait for the rate limit of %s: %w", b.Channel, err)
	}
	c.letGo = w.Now()
	if !w.breakers[b.Channel].allows(len(c.keys), w.Now()) {
		return nil, ErrNotNow
	}
	return c, nil
}

// setAside takes those out of a chunk whose domain has a limit.
func (c *chunk) setAside(members []Member, l lanes) []Member {
	return slices.DeleteFunc(members, func(m Member) bool {
		domain, aside := l.sets(m)
		if !aside || m.Gone {
			return false
		}
		if c.aside == nil {
			c.aside = map[string][]audience.Key{}
		}
		c.aside[domain] = append(c.aside[domain], m.Key)
		return true
	})
}

func (c *chunk) render(members []Member, skeleton *templates.Skeleton, policy templates.Policy) {
	c.sheet.Reset(skeleton.Columns())
	c.keys = make([]audience.Key, 0, len(members))
	c.candidates = make([]suppression.Candidate, 0, len(members))
	for _, m := range members {
		if m.Gone {
			c.exceptions = append(c.exceptions, Exception{Key: m.Key, Code: Skipped, Cause: CauseAddressChanged})
			continue
		}
		r := &m.Recipient
		r.Tracked = !r.Untracked && (policy == templates.Always || (policy != templates.Never && r.Tracked))
		if err := skeleton.Fill(c.sheet, c.batch.Group, m.Recipient); err != nil {
			c.exceptions = append(c.exceptions, Exception{Key: m.Key, Code: Failed, Cause: CauseRender})
			continue
		}
		c.keys = append(c.keys, m.Key)
		c.candidates = append(c.candidates, m.Candidate)
	}
}

// call is the protocol proper: claim, check, send, settle. What follows the
// claim is not cut short when ctx ends; only the send begins nothing more.
func (w *Worker) call(ctx context.Context, c *chunk) (more bool, err error) {
	claim := Claim{Batch: c.batch.ID, Fence: c.batch.Fence, Run: c.batch.Run, Rev: c.batch.Rev, Nonce: rand.Int64(),
		Owner: w.Owner, From: c.batch.Last, Through: c.through, Template: c.batch.Template, Notice: c.notice}
	scope := suppression.Scope{Channel: c.batch.Channel, Topic: c.batch.Topic, Sender: c.batch.Sender, Purpose: suppression.Marketing, Targeted: c.batch.Targeted}
	whole := context.WithoutCancel(ctx)
	verdict, err := w.Gate.Admit(whole, scope, c.candidates, func(ctx context.Context) error { return w.Ledger.Claim(ctx, claim) })
	if errors.Is(err, ErrNotClaimed) {
		return false, err
	}
	if err != nil {
		// Nothing was sent, and perhaps nothing was claimed.
		return false, errors.Join(err, w.release(whole, claim, c))
	}
	defer w.keepAlive(whole, c)()
	permits := c.permits(verdict)
	results := w.begin(ctx, c, permits)
	if err := w.noteLate(whole, c, results); err != nil {
		w.Log.Error("late starts could not be written down", "batch", c.batch.ID, "error", err)
	}
	o := judge(c, verdict, permits, results, w.Now())
	if o.nothingDone() {
		return false, errors.Join(w.release(whole, claim, c, o.pause), w.halt(whole, c, o))
	}
	o.moves = append(o.moves, w.lanes.moves(c.aside, w.Now())...)
	more, err = w.settle(whole, c, claim, verdict, o)
	return more, errors.Join(err, w.halt(whole, c, o), w.suppress(whole, c, o))
}

func (c *chunk) permits(v suppression.Verdict) []*suppression.Permit {
	permits := make([]*suppression.Permit, len(v.Rulings))
	for i, r := range v.Rulings {
		permits[i] = r.Permit
	}
	return permits
}

// beatEvery is how often a claim that takes long says that its worker lives.
const beatEvery = SweepAfter / 4

// keepAlive keeps the claim from being swept until it is stopped: while a call
// goes on, and while what came of it cannot be written down.
func (w *Worker) keepAlive(ctx context.Context, c *chunk) (stop func()) {
	done := make(chan struct{})
	beat := time.AfterFunc(beatEvery, func() { w.beat(ctx, c, done) })
	return func() {
		beat.Stop()
		close(done)
	}
}

// reasonPace is of a chunk that came so late that it would have broken the limit.
const reasonPace = "too_late_for_its_rate"

// begin sends, unless the claim and the check took so long that the rate limit
// would be broken. Then the chunk waits once more, for as long as its permits leave
// it time to be sent in, or is given back.
func (w *Worker) begin(ctx context.Context, c *chunk, permits []*suppression.Permit) []channels.Result {
	l := w.Limiters[c.batch.Channel]
	if c.call == nil || l == nil {
		return w.send(ctx, c, permits)
	}
	short, cancel := context.WithTimeout(ctx, halfTheWindow)
	defer cancel()
	if err := l.Begin(short, len(c.keys), w.Now().Sub(c.letGo)); err != nil {
		return channels.Fill(permits, channels.Result{Class: channels.Withheld, Reason: reasonPace})
	}
	return w.send(ctx, c, permits)
}

// send makes the call, and notes how fast it went.
func (w *Worker) send(ctx context.Context, c *chunk, permits []*suppression.Permit) []channels.Result {
	if c.call == nil {
		return nil
	}
	started := w.Now()
	results := c.call.Send(ctx, permits)
	failpoint.Hit(failpoint.Sent)
	w.paces[c.batch.Channel].note(len(permits), w.Now().Sub(started), results)
	w.noteAnswers(ctx, c.batch.Channel, permits, results)
	return results
}

func (w *Worker) beat(ctx context.Context, c *chunk, done <-chan struct{}) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		if err := w.Ledger.Beat(context.WithoutCancel(ctx), c.batch.ID, c.batch.Fence+1); err != nil {
			w.Log.Warn("a claim's heartbeat failed", "batch", c.batch.ID, "error", err)
		}
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
}

// settleFor bounds how long a worker tries to write down what it did. After
// that the sweep declares the claim in doubt.
const settleFor = 2 * time.Minute

// settle writes the outcome down, again and again while the database is away:
// it is known only here. A claim that was swept meanwhile gets the sends as
// late evidence.
func (w *Worker) settle(ctx context.Context, c *chunk, claim Claim, v suppression.Verdict, o outcome) (more bool, err error) {
	s := Settlement{Batch: claim.Batch, Group: c.batch.Group, Fence: claim.Fence + 1, Members: c.members, Through: c.through,
		Version: v.Version, ProviderID: o.callID, Messages: o.messages(), Exceptions: o.exceptions, Moves: o.moves}
	var p Progress
	lost := false
	err = w.insist(s.Batch, func() (err error) {
		if !lost {
			p, err = w.Ledger.Settle(ctx, s)
			lost = errors.Is(err, ErrLostClaim)
		}
		if lost {
			w.Log.Warn("a claim was swept before it was settled", "batch", s.Batch, "fence", s.Fence, "sent", len(o.sent))
			return w.Ledger.Evidence(ctx, c.batch.Group, o.sent)
		}
		return err
	})
	return err == nil && !lost && !p.Done && !o.stops(), err
}

// insist writes down what became of a claim, again and again while it fails.
func (w *Worker) insist(batch int64, write func() error) error {
	deadline := time.Now().Add(settleFor)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := write()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		w.Log.Warn("settling failed and is tried again", "batch", batch, "error", err)
		time.Sleep(wait)
	}
}

// noteLate keeps what cannot be prevented from passing unnoticed: messages whose
// permits were long dead when they left, because this process was frozen between
// the look at the clock and the write.
func (w *Worker) noteLate(ctx context.Context, c *chunk, results []channels.Result) error {
	n := 0
	for _, r := range results {
		if r.Late {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	w.Log.Error("late_start: messages left after their permits had died; the process was frozen", "batch", c.batch.ID, "fence", c.batch.Fence+1, "messages", n)
	return w.insist(c.batch.ID, func() error { return w.Ledger.LateStarts(ctx, c.batch.ID, c.batch.Fence+1, n) })
}

// release gives a claim back of which nothing was sent. Nobody else knows that:
// were it not written down, its members would be in doubt.
func (w *Worker) release(ctx context.Context, claim Claim, c *chunk, pause ...time.Duration) error {
	o := outcome{}
	for _, p := range pause {
		o.pause = max(o.pause, p)
	}
	return w.insist(claim.Batch, func() error {
		err := w.Ledger.Release(ctx, claim, w.Now().Add(o.pauseOf(c.batch.Attempts)))
		if errors.Is(err, ErrLostClaim) {
			return nil // it was never made, or the sweep was first
		}
		return err
	})
}

// halt stops the run, or all runs on the channel, after an answer that no retry
// mends.
func (w *Worker) halt(ctx context.Context, c *chunk, o outcome) error {
	reason := fmt.Sprintf("%s answered %s", c.provider.Name(), cmp.Or(o.stop.Reason, o.stop.Class.String()))
	switch o.stop.Class {
	case channels.Hold:
		w.Log.Error("a channel is held", "channel", c.batch.Channel, "reason", reason, "release", "utskick providers release "+string(c.batch.Channel))
		return w.Ledger.HoldChannel(ctx, c.batch.Channel, reason)
	case channels.HoldSender:
		w.Log.Error("a run is paused", "run", c.batch.Run, "channel", c.batch.Channel, "reason", reason)
		return w.Ledger.PauseRun(ctx, c.batch.Run, reason)
	}
	return nil
}

// suppress records the addresses that their provider says can never work.
func (w *Worker) suppress(ctx context.Context, c *chunk, o outcome) error {
	var all error
	for _, d := range o.dead {
		evidence := fmt.Sprintf("%s: %s, group %d", c.provider.Name(), d.reason, c.batch.Group)
		_, err := w.Suppressor.Record(ctx, suppression.Provider(d.key, c.batch.Channel, d.cause, evidence))
		all = errors.Join(all, err)
	}
	return all
}

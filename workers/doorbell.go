package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/internal/failpoint"
)

// The names that marketing and operations read on the queue dashboard.
const (
	queuePlan = "plan"

	taskPlan  = "plan"
	taskBatch = "batch"
)

// Rings is the part of the store that knows what is ready.
type Rings interface {
	RingBatches(ctx context.Context, channel audience.Channel, limit int) ([]dispatcher.BatchRef, error)
	// RingEnded rings for batches that are only to be closed.
	RingEnded(ctx context.Context, channel audience.Channel, limit int) ([]dispatcher.BatchRef, error)
	RingSlices(ctx context.Context, limit int) ([]dispatcher.SliceRef, error)
	ForgetRings(ctx context.Context) error
}

// Planner plans a slice of a run.
type Planner interface {
	PlanSlice(ctx context.Context, ref dispatcher.SliceRef) error
}

// Sender takes a batch through the protocol.
type Sender interface {
	Dispatch(ctx context.Context, ref dispatcher.BatchRef) error
}

// Config is what a [Pool] works with.
type Config struct {
	Redis   *Redis
	Rings   Rings
	Planner Planner
	Sender  Sender
	Keeper  *dispatcher.Keeper
	// Concurrency is how many batches of a channel, or slices under "plan",
	// are worked on at once; 0 is none.
	Concurrency map[string]int
	Limiters    []*Limiter
	LookUps     *LookUps // nil: no provider can be asked about those in doubt
	Log         *slog.Logger
}

// Pool is a worker process: it keeps the regular duties, rings the doorbell and
// answers it.
type Pool struct {
	Config
	client *asynq.Client
	insp   *asynq.Inspector
	nudge  chan struct{}
	local  map[string]chan struct{} // free places for work without Redis
	away   bool                     // Redis did not answer last time
	wg     sync.WaitGroup
}

// NewPool makes a pool; [Pool.Run] starts it.
func NewPool(c Config) *Pool {
	p := &Pool{Config: c, nudge: make(chan struct{}, 1), local: map[string]chan struct{}{}}
	p.client = asynq.NewClient(c.Redis.opt)
	p.insp = asynq.NewInspector(c.Redis.opt)
	for queue, n := range c.Concurrency {
		p.local[queue] = make(chan struct{}, n)
	}
	return p
}

// Nudge asks for a round now.
func (p *Pool) Nudge() {
	select {
	case p.nudge <- struct{}{}:
	default:
	}
}

// shutdownTimeout is longer than the longest time-out of a provider: a handler
// that is abandoned in the middle of a call leaves members in doubt.
const shutdownTimeout = 90 * time.Second

// Run works until ctx ends, then lets what was begun come to its end.
func (p *Pool) Run(ctx context.Context) error {
	for _, l := range p.Limiters {
		p.wg.Go(func() { l.Run(ctx) })
	}
	if p.LookUps != nil {
		p.wg.Go(func() { p.LookUps.Run(ctx) })
	}
	stop := p.startServers(ctx)
	ticker := time.NewTicker(dispatcher.Every)
	defer ticker.Stop()
	for {
		p.round(ctx)
		select {
		case <-ctx.Done():
			stop()
			p.wg.Wait()
			return errors.Join(p.client.Close(), p.insp.Close())
		case <-ticker.C:
		case <-p.nudge:
		}
	}
}

// startServers starts one asynq server a queue, so that a slow provider holds
// up nobody else's workers. A server whose Redis is away starts when it is back.
func (p *Pool) startServers(ctx context.Context) (stop func()) {
	var servers []*asynq.Server
	var mu sync.Mutex
	for queue, n := range p.Concurrency {
		if n == 0 {
			continue
		}
		p.wg.Go(func() {
			if s := p.startServer(ctx, queue, n); s != nil {
				mu.Lock()
				servers = append(servers, s)
				mu.Unlock()
			}
		})
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		var wg sync.WaitGroup
		for _, s := range servers {
			wg.Go(s.Shutdown)
		}
		wg.Wait()
	}
}

func (p *Pool) startServer(ctx context.Context, queue string, n int) *asynq.Server {
	for {
		s := asynq.NewServer(p.Redis.opt, asynq.Config{
			Concurrency: n, Queues: map[string]int{queue: 1},
			TaskCheckInterval: 100 * time.Millisecond, ShutdownTimeout: shutdownTimeout,
			Logger: quietLogger{p.Log}, LogLevel: asynq.WarnLevel,
		})
		// asynq leaves a handler alone as soon as the context that it gave it
		// ends; handlers get ours, so that a call that was begun is waited for.
		err := s.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error { return p.handle(ctx, t) }))
		if err == nil {
			return s
		}
		p.Log.Warn("Redis does not answer; work goes on without it", "queue", queue)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Second):
		}
	}
}

// task is what the doorbell says: ids, never recipients.
type task struct {
	Batch *dispatcher.BatchRef `json:"batch,omitempty"`
	Slice *dispatcher.SliceRef `json:"slice,omitempty"`
}

// handle answers the doorbell. It always returns nil: what failed is in the
// ledger, and will be rung again from there.
func (p *Pool) handle(ctx context.Context, t *asynq.Task) error {
	var what task
	if err := json.Unmarshal(t.Payload(), &what); err != nil {
		p.Log.Error("a task cannot be read", "type", t.Type())
		return nil
	}
	// asynq also leaves it alone when Redis has lost its lease.
	p.wg.Add(1)
	defer p.wg.Done()
	p.do(ctx, what)
	return nil
}

// longest is how long one answer to the doorbell may take chunk after chunk. A
// slow batch goes on when it is rung again.
const longest = 10 * time.Minute

func (p *Pool) do(ctx context.Context, what task) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	switch {
	case what.Slice != nil:
		if err := p.Planner.PlanSlice(ctx, *what.Slice); err != nil {
			p.Log.Error("planning failed and will be tried again", "run", what.Slice.Run, "channel", what.Slice.Channel,
				"slice", what.Slice.Slice, "error", err)
		}
		p.Nudge()
	case what.Batch != nil:
		if err := p.Sender.Dispatch(ctx, *what.Batch); err != nil && ctx.Err() == nil {
			p.Log.Error("a batch failed and will be tried again", "batch", what.Batch.ID, "channel", what.Batch.Channel, "error", err)
		}
	}
}

// round keeps the duties and rings for what is ready.
func (p *Pool) round(ctx context.Context) {
	changed, err := p.Keeper.Round(ctx)
	if err != nil {
		p.complain(ctx, "the regular duties failed", err)
		return
	}
	if err := p.checkEpoch(ctx); err != nil {
		p.complain(ctx, "the doorbell's memory cannot be checked", err)
		return
	}
	if err := p.ringAll(ctx); err != nil {
		p.complain(ctx, "ringing failed", err)
	}
	if changed {
		p.Nudge()
	}
}

func (p *Pool) complain(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		p.Log.Error(what, "error", err)
	}
}

// epochKey is missing when Redis has lost its memory. Then everything is rung
// again.
const epochKey = "utskick:epoch"

func (p *Pool) checkEpoch(ctx context.Context) error {
	fresh, err := p.Redis.client.SetNX(ctx, epochKey, failpoint.Now().UnixMilli(), 0).Result()
	if away := err != nil; away != p.away {
		p.away = away
		if away {
			p.Log.Warn("Redis is away; batches are taken from the database directly")
		} else {
			p.Log.Info("Redis answers")
		}
	}
	if err == nil && fresh {
		p.showQueues(ctx)
		return p.Rings.ForgetRings(ctx)
	}
	return nil
}

// queuesKey is where asynq keeps the names of its queues.
const queuesKey = "asynq:queues"

// showQueues lets the dashboard list every queue from the start. asynq itself
// adds a queue with its first task, and operations would look at a page without
// the queue they came for.
func (p *Pool) showQueues(ctx context.Context) {
	for queue, n := range p.Concurrency {
		if n == 0 {
			continue
		}
		if err := p.Redis.client.SAdd(ctx, queuesKey, queue).Err(); err != nil {
			p.Log.Warn("the dashboard cannot be told of a queue", "queue", queue, "error", err)
		}
	}
}

func (p *Pool) ringAll(ctx context.Context) error {
	if n := p.room(queuePlan); n > 0 && p.Concurrency[queuePlan] > 0 {
		refs, err := p.Rings.RingSlices(ctx, n)
		if err != nil {
			return err
		}
		for i := range refs {
			p.ring(ctx, queuePlan, taskPlan, task{Slice: &refs[i]})
		}
	}
	for _, ch := range audience.Channels {
		queue := string(ch)
		if p.Concurrency[queue] == 0 {
			if err := p.closeEnded(ctx, ch); err != nil {
				return err
			}
			continue
		}
		n := p.room(queue)
		if n == 0 {
			continue
		}
		refs, err := p.Rings.RingBatches(ctx, ch, n)
		if err != nil {
			return err
		}
		for i := range refs {
			p.ring(ctx, queue, taskBatch, task{Batch: &refs[i]})
		}
	}
	return nil
}

// closeEnded closes batches of a channel that nobody here can send: a run that
// was cancelled, or whose time is over, must end without a provider, too.
func (p *Pool) closeEnded(ctx context.Context, ch audience.Channel) error {
	const atOnce = 100
	refs, err := p.Rings.RingEnded(ctx, ch, atOnce)
	for i := range refs {
		p.do(ctx, task{Batch: &refs[i]})
	}
	return err
}

// mostWaiting bounds how many tasks of a queue wait in Redis.
const mostWaiting = 500

// room returns how many tasks may be rung now.
func (p *Pool) room(queue string) int {
	if p.away {
		return cap(p.local[queue]) - len(p.local[queue])
	}
	info, err := p.insp.GetQueueInfo(queue)
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return mostWaiting // nothing was ever put there
	}
	if err != nil {
		return p.Concurrency[queue]
	}
	return max(0, mostWaiting-info.Pending)
}

// ring offers a task to asynq, or takes it at once when Redis is away.
func (p *Pool) ring(ctx context.Context, queue, kind string, what task) {
	if !p.away {
		err := p.enqueue(ctx, queue, kind, what)
		failpoint.Hit(failpoint.Rung)
		if err == nil {
			return
		}
		p.Log.Warn("a task could not be queued", "queue", queue, "error", err)
		p.away = true
	}
	select {
	case p.local[queue] <- struct{}{}:
	default:
		return // no place here: it is rung again when its ring has grown old
	}
	p.wg.Go(func() {
		p.do(ctx, what)
		<-p.local[queue]
		p.Nudge()
	})
}

func (p *Pool) enqueue(ctx context.Context, queue, kind string, what task) error {
	payload, err := json.Marshal(what)
	if err != nil {
		return err
	}
	// A task is never retried by asynq: the ledger rings again. The ring's time
	// is in its id, so that a second ring is another task.
	id := fmt.Sprintf("%s-%x", payload, failpoint.Now().UnixMilli())
	_, err = p.client.EnqueueContext(ctx, asynq.NewTask(kind, payload), asynq.Queue(queue), asynq.MaxRetry(0),
		asynq.TaskID(id), asynq.Timeout(2*longest))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

// quietLogger passes asynq's words to our log.
type quietLogger struct{ log *slog.Logger }

func (l quietLogger) Debug(args ...any) { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l quietLogger) Info(args ...any)  { l.log.Debug(fmt.Sprint(args...), "from", "asynq") }
func (l quietLogger) Warn(args ...any)  { l.log.Warn(fmt.Sprint(args...), "from", "asynq") }
func (l quietLogger) Error(args ...any) { l.log.Warn(fmt.Sprint(args...), "from", "asynq") }
func (l quietLogger) Fatal(args ...any) { l.log.Error(fmt.Sprint(args...), "from", "asynq") }

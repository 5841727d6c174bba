package dispatcher

import (
	"context"
	"errors"
	"time"

	"utskick/audience"
	"utskick/suppression"
	"utskick/templates"
)

// BatchSize is how many members a batch has at most.
const BatchSize = 1000

// SliceSize is about how many contacts a planning slice looks at. A slice is
// one transaction, short enough to be repeated without regret.
const SliceSize = 15000

// ErrNotClaimed says that a batch is not to be had now: another worker has it,
// it is done, or its run is not sending or was edited since the batch was read.
var ErrNotClaimed = errors.New("the batch was not claimed")

// ErrLostClaim says that a batch was swept while its worker still held it.
// What the worker knows is then late evidence.
var ErrLostClaim = errors.New("the claim on the batch is no longer held")

// BatchRef is what a doorbell says: which batch, at which fence.
type BatchRef struct {
	ID      int64            `json:"batch"`
	Fence   int64            `json:"fence"`
	Channel audience.Channel `json:"channel"`
}

// SliceRef names a planning slice.
type SliceRef struct {
	Run     int64            `json:"run"`
	Channel audience.Channel `json:"channel"`
	Slice   int              `json:"slice"`
}

// Batch is a contiguous range of keys of a group, as a worker sees it.
type Batch struct {
	BatchRef
	Group    int64
	Run      int64
	Rev      int64
	RunState RunState
	SendBy   time.Time
	Low      audience.Key // first key
	High     audience.Key // last key
	Last     audience.Key // members up to here are settled; zero: none
	Ready    bool         // not calling, not done
	Attempts int          // times that nothing of it was taken, in a row
	Piece    Piece
	Held     bool   // its channel is
	Domain   string // of all members, if they were set aside for its limit
	Dense    bool   // about every contact whose key lies in the range is a member

	Sender   string
	Template int64
	Language string
	Topic    string
	Family   string // of products; empty: not named
	Targeted bool   // chosen by what is known of people
	// Subscribers says that the topic is for those who have subscribed to it.
	Subscribers bool
}

// Member is one recipient of a chunk, read before the claim. Gone says that the
// contact no longer has the address that was planned.
type Member struct {
	Key       audience.Key
	Gone      bool
	Candidate suppression.Candidate
	Recipient templates.Recipient
}

// Claim is what a worker asks for: the members of a batch from its last settled
// key, exclusive, up to Through, inclusive.
type Claim struct {
	Batch   int64
	Fence   int64 // the fence that the worker saw; the claim raises it by one
	Run     int64
	Rev     int64
	Nonce   int64
	Owner   string
	From    audience.Key
	Through audience.Key
	// Template is the version that is sent, kept with the call: a later edit of
	// the run does not change what was said.
	Template int64
	// Notice is the version of the privacy notice that the messages lead to.
	Notice string
}

// Exception is a member whose outcome differs from what its batch says of it.
type Exception struct {
	Key   audience.Key
	Code  Code
	Cause Cause
}

// Message is a message that a provider took. ProviderID is the provider's id of
// it, or empty where one id stands for the whole call.
type Message struct {
	Key        audience.Key
	ProviderID string
}

// Settlement closes a claim: one transaction.
type Settlement struct {
	Batch      int64
	Group      int64
	Fence      int64 // of the claim
	Members    int   // how many the claim covered
	Through    audience.Key
	Version    int64     // of the suppression index at the check
	ProviderID string    // of the call, where one call carries many
	Messages   []Message // those with an id of their own, in key order
	Exceptions []Exception
	Moves      []Move // members that go on elsewhere
}

// Moved counts the members that go on elsewhere.
func (s Settlement) Moved() (n int) {
	for _, m := range s.Moves {
		n += len(m.Keys)
	}
	return n
}

// Progress is where a batch stands after a settlement.
type Progress struct {
	Done bool
}

// Ledger is the part of the store that dispatching batches needs.
type Ledger interface {
	// Batch returns the batch as it is now.
	Batch(ctx context.Context, id int64) (Batch, error)
	// Members returns up to limit unsettled members of the batch in key order.
	Members(ctx context.Context, b Batch, limit int) ([]Member, error)
	// Claim commits a claim durably, or returns ErrNotClaimed.
	Claim(ctx context.Context, c Claim) error
	// Release gives a claim back of which nothing was sent, by its nonce. The
	// batch is ready again, not before retryAt.
	Release(ctx context.Context, c Claim, retryAt time.Time) error
	// Postpone keeps a ready batch from being rung for until an instant, unless
	// somebody has taken it meanwhile.
	Postpone(ctx context.Context, b Batch, until time.Time) error
	// Settle writes what became of a claim, or returns ErrLostClaim.
	Settle(ctx context.Context, s Settlement) (Progress, error)
	// CloseRest gives every unsettled member of a ready batch the code and
	// cause, and closes the batch.
	CloseRest(ctx context.Context, b Batch, code Code, cause Cause) error
	// Beat says that the owner of a claim is alive.
	Beat(ctx context.Context, batch, fence int64) error
	// Evidence records that members were sent after all: late answers of a
	// claim that was swept. Only in_doubt members change.
	Evidence(ctx context.Context, group int64, sent []Message) error
	// LateStarts records that n messages of a claim may have left so late that an
	// objection may have been acknowledged before.
	LateStarts(ctx context.Context, batch, fence int64, n int) error
	// DecidePiece decides on a ready batch that is a piece that waits: while
	// others of its halving are out, it waits on; when all [HoldingPieces] of
	// them were refused alike, all may be tried again and their run is paused
	// with the reason (held); otherwise its members go on in halves, and one who
	// is alone has failed.
	DecidePiece(ctx context.Context, b Batch, reason string) (held bool, err error)
	// HoldChannel lets nothing be sent by a channel, for a reason, until an
	// operator releases it.
	HoldChannel(ctx context.Context, channel audience.Channel, reason string) error
	// PauseRun stops a run with a reason, unless it is not sending.
	PauseRun(ctx context.Context, run int64, reason string) error
}

// Library is the part of the store that holds what is said and by whom.
type Library interface {
	TemplateByID(ctx context.Context, id int64) (templates.Template, error)
	SenderByName(ctx context.Context, name string) (templates.Sender, error)
	// LinkIDs returns the stored ids of a template version's link targets.
	LinkIDs(ctx context.Context, template int64) (map[string]int64, error)
}

package dispatcher

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

// A call with many recipients may be refused for the sake of one of them, and
// the answer does not say whose. It is halved then, and each half tried by
// itself, down to the one who is refused alone: with one among 1000 that takes
// 21 calls. But a call may also be refused for what all its messages share, and
// halving that would fail everybody, one by one. So the eight pieces of the third
// halving wait for each other: when all of them are refused alike, nobody is
// failed and the run is paused.

// HoldingDepth is the halving whose pieces wait for each other, and HoldingPieces
// is how many it makes.
const (
	HoldingDepth  = 3
	HoldingPieces = 1 << HoldingDepth
)

// Piece says that a batch is a part of a call that was refused.
type Piece struct {
	Origin int64 // the batch whose call was refused first; 0: this is no piece
	Depth  int   // how often that was halved
	// Refusal is why this piece, too, was refused: it waits for the others.
	Refusal string
}

// Waits reports whether the piece waits for the others of its halving.
func (p Piece) Waits() bool { return p.Refusal != "" }

// Move says where members of a settled chunk go on: in a batch of their own, not
// before RetryAt.
type Move struct {
	Keys     []audience.Key
	RetryAt  time.Time
	Attempts int // times that nothing of it was taken, in a row
	Piece    Piece
	Domain   string // of all its members, when that has a limit
}

// Halves cuts members, in key order, into two moves.
func Halves(m Move) []Move {
	middle := (len(m.Keys) + 1) / 2
	first, second := m, m
	first.Keys, second.Keys = m.Keys[:middle], m.Keys[middle:]
	return []Move{first, second}
}

// judgeWhole judges a call that was refused as a whole: one answer to many
// recipients, and none of them named. It reports whether it was.
func (o *outcome) judgeWhole(b Batch, keys []audience.Key, permits []*suppression.Permit, results []channels.Result, now time.Time) bool {
	var asked []audience.Key
	var answer channels.Result
	for i, k := range keys {
		if permits[i] == nil {
			continue
		}
		if len(asked) > 0 && results[i].Class != answer.Class {
			return false
		}
		asked, answer = append(asked, k), results[i]
	}
	all := Move{Keys: asked, RetryAt: now, Piece: b.Piece}
	switch alone := len(asked) == 1; {
	case answer.Class == channels.TooLarge && !alone:
		o.moves = Halves(all)
	case answer.Class == channels.Rejected && b.Piece.Depth == HoldingDepth:
		all.Piece.Refusal = cmp.Or(answer.Reason, channels.Rejected.String())
		o.moves = []Move{all}
	case answer.Class == channels.Rejected && !alone:
		all.Piece = Piece{Origin: cmp.Or(b.Piece.Origin, b.ID), Depth: b.Piece.Depth + 1}
		o.moves = Halves(all)
	default:
		return false
	}
	return true
}

// decidePiece lets a piece that waits go the way of its halving.
func (w *Worker) decidePiece(ctx context.Context, b Batch) error {
	reason := fmt.Sprintf("%s answered %s to every part of a call", w.Providers[b.Channel].Name(), b.Piece.Refusal)
	held, err := w.Ledger.DecidePiece(ctx, b, reason)
	if held {
		w.Log.Error("a run is paused", "run", b.Run, "channel", b.Channel, "reason", reason)
	}
	return err
}

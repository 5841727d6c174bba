package dispatcher

import (
	"math/rand/v2"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

// outcome is what a chunk's results mean for the ledger.
type outcome struct {
	exceptions []Exception
	moves      []Move         // go on in batches of their own
	returned   []audience.Key // not taken
	sent       []Message      // everybody who was sent to: the evidence if the claim is lost
	dead       []deadAddress
	callID     string          // where it stands for all of sent
	pause      time.Duration   // the longest that the provider asked for
	stop       channels.Result // by which the run must stop, or the channel; zero: neither must
	done       int             // how many have an outcome from the provider
}

type deadAddress struct {
	key    audience.Key
	cause  suppression.Cause
	reason string
}

// nothingDone says that the provider has done nothing with anybody of the
// chunk, so that the claim can be given back whole.
func (o outcome) nothingDone() bool { return o.done == 0 && len(o.returned) > 0 }

// stops reports whether nothing more of the batch may be sent now.
func (o outcome) stops() bool { return o.stop.Class != channels.Withheld }

// judge sorts the results of a chunk.
func judge(c *chunk, v suppression.Verdict, permits []*suppression.Permit, results []channels.Result, now time.Time) outcome {
	o := outcome{exceptions: c.exceptions, sent: make([]Message, 0, len(c.keys))}
	many := c.provider.PerCall() > 1
	whole := many && o.judgeWhole(c.batch, c.keys, permits, results, now)
	if !whole {
		results = holdIfAlike(permits, results)
	}
	for i, k := range c.keys {
		switch {
		case permits[i] == nil:
			o.except(k, Suppressed, Cause(v.Rulings[i].Cause))
		case !whole:
			o.add(k, results[i])
		}
	}
	if many && len(o.sent) > 0 {
		o.callID = o.sent[0].ProviderID
	}
	if len(o.returned) > 0 {
		o.moves = append(o.moves, Move{Keys: o.returned, RetryAt: now.Add(o.pauseOf(c.batch.Attempts)), Attempts: c.batch.Attempts + 1, Piece: c.batch.Piece})
	}
	for i := range o.moves {
		o.moves[i].Domain = c.batch.Domain
	}
	return o
}

// messages returns those with an id of their own.
func (o outcome) messages() []Message {
	if o.callID != "" || len(o.sent) == 0 || o.sent[0].ProviderID == "" {
		return nil
	}
	return o.sent
}

// fewestAlike is how many recipients in one chunk have to be refused with one
// voice before it is taken for a refusal of us.
const fewestAlike = 20

// holdIfAlike takes a chunk of which everybody is refused for the same reason,
// and for none that names an address, for a refusal of the sender: a relay that
// blocks us says so to each recipient in turn. Failing them all would lose
// people over a setting.
func holdIfAlike(permits []*suppression.Permit, results []channels.Result) []channels.Result {
	asked, reason := 0, ""
	for i, r := range results {
		if permits[i] == nil {
			continue
		}
		if (r.Class != channels.Refused && r.Class != channels.Rejected) || r.Suppress != "" || (asked > 0 && r.Reason != reason) {
			return results
		}
		asked, reason = asked+1, r.Reason
	}
	if asked < fewestAlike {
		return results
	}
	return channels.Fill(permits, channels.Result{Class: channels.HoldSender, Reason: reason + "_for_everybody"})
}

func (o *outcome) except(k audience.Key, code Code, cause Cause) {
	o.exceptions = append(o.exceptions, Exception{Key: k, Code: code, Cause: cause})
}

// add applies one result. What each class means here is the table of
// docs/states.md.
func (o *outcome) add(k audience.Key, r channels.Result) {
	switch r.Class {
	case channels.Accepted:
		o.done++
		o.sent = append(o.sent, Message{Key: k, ProviderID: r.ProviderID})
	case channels.InDoubt:
		o.done++
		o.except(k, InDoubt, causeOfDoubt(r.Reason))
	case channels.Refused, channels.Rejected, channels.TooLarge: // alone
		o.done++
		o.except(k, Failed, causeOfRefusal(r))
		if r.Suppress != "" {
			o.dead = append(o.dead, deadAddress{k, r.Suppress, r.Reason})
		}
	case channels.Hold, channels.HoldSender:
		if o.stop.Class != channels.Hold {
			o.stop = r
		}
		o.giveBack(k, r)
	default: // Withheld by an expired permit, NotTaken
		o.giveBack(k, r)
	}
}

func (o *outcome) giveBack(k audience.Key, r channels.Result) {
	o.returned = append(o.returned, k)
	o.pause = max(o.pause, r.Pause)
}

func causeOfDoubt(reason string) Cause {
	if reason == channels.ReasonServerError {
		return CauseServer
	}
	return CauseNoAnswer
}

func causeOfRefusal(r channels.Result) Cause {
	if r.Class == channels.TooLarge || r.Reason == channels.ReasonTooLarge {
		return CauseTooLarge
	}
	return CauseRefused
}

// The pauses between tries of what was not taken: doubled each time, with
// jitter, so that many batches do not come back in step.
const (
	firstPause = 500 * time.Millisecond
	mostPause  = 5 * time.Minute
)

// pauseOf returns how long to leave what was not taken: what the provider asked
// for, and never less than the backoff after so many attempts.
func (o outcome) pauseOf(attempts int) time.Duration {
	backoff := mostPause
	if attempts < 10 {
		backoff = min(mostPause, firstPause<<attempts)
	}
	backoff = backoff/2 + rand.N(backoff/2)
	return max(o.pause, backoff)
}

package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// Confirmations is the part of the store that keeps the mails by which people
// confirm what was asked for in their name. They are in no campaign: each was
// asked for by one person, goes to her alone, and has no links but the one.
type Confirmations interface {
	// NextConfirmation returns one that waits and is due; with no id, none is.
	NextConfirmation(ctx context.Context) (DueConfirmation, error)
	// ClaimConfirmation commits, durably, that this one may be sent from here on.
	// It is [ErrNotClaimed] when somebody else has it, when it has waited too long,
	// and while the channel or all sending is held.
	ClaimConfirmation(ctx context.Context, due DueConfirmation, wording string) error
	// SettleConfirmation changes nothing when the claim was somebody else's.
	SettleConfirmation(ctx context.Context, due DueConfirmation, o ConfirmationOutcome) error
	// TidyConfirmations gives up on what has waited too long or was lost, and
	// forgets what was not confirmed in time.
	TidyConfirmations(ctx context.Context) error
}

// DueConfirmation is a confirmation whose mail is to be sent.
type DueConfirmation struct {
	ID            int64
	Key           audience.Key
	Candidate     suppression.Candidate
	Sender, Topic string
	Locale        string
	Attempts      int
	Nonce         int64 // tells who claims it from all others who found it
}

// ConfirmationOutcome is what became of its mail. Pending goes back to waiting,
// which only what was certainly not taken does.
type ConfirmationOutcome struct {
	Code    Code
	Reason  string
	RetryAt time.Time
}

// Confirmer sends those mails, one at a time, each at most once: what is in doubt
// stays so, and the person can ask again. Any number of confirmers may run.
type Confirmer struct {
	Store      Confirmations
	Library    SenderLibrary
	Gate       *suppression.Gate
	Suppressor Suppressor
	Provider   channels.Provider // of e-mail
	Limiter    Limiter           // nil: no limit
	Signer     *tracking.Signer
	PublicURL  string
	Now        func() time.Time
	Log        *slog.Logger

	tidied time.Time
}

// SenderLibrary is where a confirmer finds who is speaking.
type SenderLibrary interface {
	SenderByName(ctx context.Context, name string) (templates.Sender, error)
}

const (
	confirmEvery = time.Second
	tidyEvery    = time.Minute
)

// Run sends what comes until ctx ends.
func (c *Confirmer) Run(ctx context.Context) {
	ticker := time.NewTicker(confirmEvery)
	defer ticker.Stop()
	for {
		for ctx.Err() == nil {
			more, err := c.Round(ctx)
			if err != nil && ctx.Err() == nil {
				c.Log.Warn("a confirmation could not be sent", "error", err)
			}
			if !more || err != nil {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Round sends one mail, if one is due, and reports whether there may be more.
func (c *Confirmer) Round(ctx context.Context) (more bool, err error) {
	if now := c.Now(); now.Sub(c.tidied).Abs() >= tidyEvery {
		if err := c.Store.TidyConfirmations(ctx); err != nil {
			return false, err
		}
		c.tidied = now
	}
	due, err := c.Store.NextConfirmation(ctx)
	if err != nil || due.ID == 0 {
		return false, err
	}
	call, wording, err := c.prepare(ctx, due)
	if err != nil {
		return true, errors.Join(fmt.Errorf("confirmation %d: %w", due.ID, err), c.putOff(ctx, due))
	}
	if c.Limiter != nil {
		if err := c.Limiter.Wait(ctx, 1); err != nil {
			return false, skipNotNow(err)
		}
	}
	scope := suppression.Scope{Channel: audience.Email, Topic: due.Topic, Sender: due.Sender, Purpose: suppression.Marketing}
	whole := context.WithoutCancel(ctx)
	verdict, err := c.Gate.AdmitConfirmation(whole, scope, due.Candidate, func(ctx context.Context) error {
		return c.Store.ClaimConfirmation(ctx, due, wording)
	})
	switch {
	case errors.Is(err, ErrNotClaimed):
		return false, nil
	case err != nil:
		// Nothing was sent, and perhaps nothing was claimed.
		again := ConfirmationOutcome{Code: Pending, Reason: "check_failed", RetryAt: c.again(due, 0)}
		return false, errors.Join(err, c.Store.SettleConfirmation(whole, due, again))
	}
	if cause := verdict.Rulings[0].Cause; cause != "" {
		return true, c.Store.SettleConfirmation(whole, due, ConfirmationOutcome{Code: Suppressed, Reason: string(cause)})
	}
	result := call.Send(ctx, []*suppression.Permit{verdict.Rulings[0].Permit})[0]
	if result.Late {
		c.Log.Error("late_start: a confirmation left after its permit had died; the process was frozen", "confirmation", due.ID)
	}
	return true, c.settle(whole, due, result)
}

// putOff lets others go before one that cannot be made ready.
func (c *Confirmer) putOff(ctx context.Context, due DueConfirmation) error {
	if err := c.Store.ClaimConfirmation(ctx, due, ""); err != nil {
		return err
	}
	return c.Store.SettleConfirmation(ctx, due, ConfirmationOutcome{Code: Pending, Reason: "not_ready", RetryAt: c.again(due, 0)})
}

func skipNotNow(err error) error {
	if errors.Is(err, ErrNotNow) {
		return nil
	}
	return err
}

// prepare makes the call, and returns which words are in it. Its group is below
// zero, where no campaign has one: the Message-ID is made of it, and must differ
// from request to request.
func (c *Confirmer) prepare(ctx context.Context, due DueConfirmation) (channels.Call, string, error) {
	sender, err := c.Library.SenderByName(ctx, due.Sender)
	if err != nil {
		return nil, "", err
	}
	topic := due.Topic
	if topic == suppression.Any {
		topic = ""
	}
	skeleton, wording := templates.Confirmation(sender, topic, due.Locale)
	link := c.PublicURL + "/s/" + c.Signer.Sign(tracking.Token{Purpose: tracking.Confirm, Group: due.ID, Key: due.Key})
	var sheet templates.Sheet
	sheet.Reset(1)
	sheet.AppendRow([]byte(link))
	call, err := c.Provider.Prepare(ctx, channels.Draft{Skeleton: skeleton, Sheet: &sheet, Group: -due.ID, Keys: []audience.Key{due.Key}})
	return call, wording, err
}

// settle writes down what a result means. What the provider would refuse of any
// message is tried again until the request is too old: an operator may mend it.
func (c *Confirmer) settle(ctx context.Context, due DueConfirmation, r channels.Result) error {
	o := ConfirmationOutcome{Reason: r.Reason}
	switch r.Class {
	case channels.Accepted:
		o.Code = Sent
	case channels.InDoubt:
		o.Code = InDoubt
	case channels.Refused, channels.Rejected, channels.TooLarge:
		o.Code = Failed
	default:
		o.Code, o.RetryAt = Pending, c.again(due, r.Pause)
	}
	if c.Limiter != nil && r.Pause > 0 {
		c.Limiter.Pause(ctx, r.Pause)
	}
	err := c.Store.SettleConfirmation(ctx, due, o)
	if r.Class == channels.Refused && r.Suppress != "" {
		evidence := fmt.Sprintf("%s: %s, confirmation %d", c.Provider.Name(), r.Reason, due.ID)
		_, suppressed := c.Suppressor.Record(ctx, suppression.Provider(due.Key, audience.Email, r.Suppress, evidence))
		err = errors.Join(err, suppressed)
	}
	return err
}

// again is when what was not taken is tried next.
func (c *Confirmer) again(due DueConfirmation, pause time.Duration) time.Time {
	backoff := min(time.Second<<min(due.Attempts, 10), 5*time.Minute)
	return c.Now().Add(max(backoff, pause))
}

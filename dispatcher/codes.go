package dispatcher

import "utskick/suppression"

// Code is the outcome of dispatch for one member. What happens to the message
// later (delivered, bounced, opened) are events, and change no code.
type Code int

// The codes. A member has one, or none yet.
const (
	Pending Code = iota
	Sent
	Suppressed // the gate refused
	Failed
	InDoubt // may have been sent; never sent again by itself
	Skipped
)

var codeNames = [...]string{"pending", "sent", "suppressed", "failed", "in_doubt", "skipped"}

func (c Code) String() string {
	if c >= 0 && int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "unknown"
}

// Cause says why a member has its code.
type Cause string

// The causes of failed, in_doubt and skipped. The causes of suppressed are
// those of package suppression. The list is closed: docs/states.md publishes
// it, and a test compares the two.
const (
	// failed
	CauseExpired  Cause = "expired"   // not begun by the run's send_by
	CauseRender   Cause = "render"    // the template could not be filled for this contact
	CauseRefused  Cause = "refused"   // the provider refuses this recipient
	CauseTooLarge Cause = "too_large" // the message is over the provider's size limit
	// The provider took the message and says that it will not send it, of somebody in doubt.
	CauseDropped Cause = "dropped"
	// An operator gave up on somebody in doubt.
	CauseWrittenOff Cause = "written_off"

	// in_doubt
	CauseNoAnswer   Cause = "no_answer"   // handed over whole, and no answer came
	CauseServer     Cause = "server"      // an answer that leaves open whether it was taken (5xx)
	CauseWorkerLost Cause = "worker_lost" // the worker vanished between claim and settle
	CauseRestored   Cause = "restored"    // the database was restored; it may have been sent in what was lost

	// skipped
	CauseNoAddress      Cause = "no_address"      // no destination on this channel
	CauseAddressChanged Cause = "address_changed" // the address was replaced after planning
	CauseCancelled      Cause = "cancelled"
)

// Causes lists every cause by its code, in the order in which docs show them.
func Causes() map[Code][]Cause {
	withheld := make([]Cause, 0, len(suppression.Causes)+1)
	for _, c := range suppression.Causes {
		withheld = append(withheld, Cause(c))
	}
	withheld = append(withheld, Cause(suppression.NoBasis))
	return map[Code][]Cause{
		Suppressed: withheld,
		Failed:     {CauseExpired, CauseRender, CauseRefused, CauseTooLarge, CauseDropped, CauseWrittenOff},
		InDoubt:    {CauseNoAnswer, CauseServer, CauseWorkerLost, CauseRestored},
		Skipped:    {CauseNoAddress, CauseAddressChanged, CauseCancelled},
	}
}

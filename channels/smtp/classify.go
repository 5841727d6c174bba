package smtp

import (
	"errors"
	"time"

	"utskick/channels"
	"utskick/suppression"
)

// Reasons that results of this provider have, besides those of
// [channels.Failure].
const (
	reasonStopped        = "stopped"             // the send was ended before this row
	reasonForeign        = "foreign_permit"      // the permit is for another recipient than the row
	reasonAddress        = "unsupported_address" // its form, or letters that need SMTPUTF8
	reasonMessage        = "unsendable_message"  // its values make a header too long
	reasonTooLarge       = "too_large"
	reasonUnavailable    = "service_unavailable"     // 421
	reasonThrottled      = channels.ReasonThrottled  // a temporary refusal of the sender or the message
	reasonGreylisted     = channels.ReasonGreylisted // a temporary refusal of the recipient
	reasonTemporary      = channels.ReasonRecipientLater
	reasonProtocol       = "protocol_error"
	reasonEightBit       = "no_8bitmime" // this connection offers less than others did
	reasonTLS            = "tls_failed"
	reasonCredentials    = "bad_credentials"
	reasonNoAuth         = "no_auth_offered"
	reasonSender         = "sender_refused"
	reasonUnknown        = "unknown_address"
	reasonInvalid        = "invalid_address"
	reasonNoMail         = "domain_takes_no_mail"
	reasonDisabled       = "mailbox_disabled"
	reasonFull           = "mailbox_full"
	reasonPolicy         = "policy"
	reasonRecipient      = "recipient_refused"
	reasonContentRefused = "content_refused"
)

// greylistPause is how long a recipient is left alone whose server said "later"
// (RFC 6647, 4.1 and 5: servers want one to five minutes or more).
const greylistPause = 5 * time.Minute

// stage is what was answered.
type stage uint8

const (
	stageMail stage = iota
	stageRcpt
	stageData
	stageEnd // the answer after the final dot
)

// classify says what a negative or unexpected answer means. The attempt was not
// taken in any case but one: an answer after the final dot that is neither.
func classify(at stage, r reply) channels.Result {
	switch {
	case r.code == 421:
		return notTaken(reasonUnavailable, 0)
	case r.temporary():
		return classifyTemporary(at, r)
	case r.code/100 != 5:
		if at == stageEnd {
			return channels.Result{Class: channels.InDoubt, Reason: reasonProtocol}
		}
		return notTaken(reasonProtocol, 0)
	case r.code == 530 || r.code == 534 || r.code == 535 || r.code == 538: // RFC 4954, 6
		return channels.Result{Class: channels.Hold, Reason: reasonCredentials}
	case tooLarge(at, r):
		return refused(reasonTooLarge)
	case at == stageMail:
		// Whoever it is for: the relay will not have our sender.
		return channels.Result{Class: channels.HoldSender, Reason: reasonSender}
	case at == stageData && r.code == 503:
		return notTaken(reasonProtocol, 0)
	default:
		return classifyRefusal(at, r)
	}
}

func classifyTemporary(at stage, r reply) channels.Result {
	switch {
	case at == stageRcpt && (r.code == 450 || r.code == 451 || r.code == 452):
		return notTaken(reasonGreylisted, greylistPause)
	case at == stageRcpt:
		return notTaken(reasonTemporary, 0)
	default:
		return notTaken(reasonThrottled, 0)
	}
}

// tooLarge is 5.3.4 (RFC 3463, 3.4) anywhere, and 552 where it can only mean
// the size of the message (RFC 1870, 6.1); of a recipient it means a full
// mailbox.
func tooLarge(at stage, r reply) bool {
	return r.enhanced == status{5, 3, 4} || r.code == 552 && at != stageRcpt && r.enhanced[1] != 2
}

// classifyRefusal reads a permanent refusal of the recipient or the message by
// its enhanced code. Only one that says that the address can never work
// ([channels.Enhanced.Dead]) suppresses it: a bare 550 may as well be the
// server's policy (RFC 5321, 4.2.3).
func classifyRefusal(at stage, r reply) channels.Result {
	if cause := r.enhanced.Dead(); cause != "" {
		return suppressed(dead(r.enhanced, cause), cause)
	}
	switch r.enhanced {
	case status{5, 2, 1}:
		return refused(reasonDisabled)
	case status{5, 2, 2}:
		return refused(reasonFull)
	}
	switch {
	case r.enhanced[1] == 7:
		return refused(reasonPolicy)
	case at == stageRcpt && r.code == 552:
		return refused(reasonFull)
	case at == stageRcpt:
		return refused(reasonRecipient)
	default:
		return refused(reasonContentRefused)
	}
}

// dead names a code that says that the address can never work.
func dead(code status, cause suppression.Cause) string {
	switch {
	case code == status{5, 1, 10}:
		return reasonNoMail
	case cause == suppression.Bounced:
		return reasonUnknown
	default:
		return reasonInvalid
	}
}

func notTaken(reason string, pause time.Duration) channels.Result {
	return channels.Result{Class: channels.NotTaken, Reason: reason, Pause: pause}
}

func refused(reason string) channels.Result {
	return channels.Result{Class: channels.Refused, Reason: reason}
}

func suppressed(reason string, cause suppression.Cause) channels.Result {
	return channels.Result{Class: channels.Refused, Reason: reason, Suppress: cause}
}

// failure is the result of a row whose connection failed it.
func failure(err error, w channels.Written) channels.Result {
	r := channels.Failure(err, w)
	if errors.Is(err, errProtocol) {
		r.Reason = reasonProtocol
	}
	return r
}

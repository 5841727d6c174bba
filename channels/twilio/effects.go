package twilio

import (
	"strconv"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

// counted are codes that suppress a number when message after message has them
// (https://www.twilio.com/docs/api/errors/30003): the phone is off or out of
// reach, or the number is not in service any more, and Twilio does not tell which.
var counted = map[int64]suppression.Cause{30003: suppression.Bounced}

// effectOf says what follows for the number from the error of a message that
// failed after it was taken. The codes mean what they mean in an answer
// ([codes]).
func effectOf(t tracking.EventType, code int64) suppression.Effect {
	if t != tracking.Bounced && t != tracking.Dropped {
		return suppression.Effect{}
	}
	e := suppression.Effect{Channel: audience.SMS, Cause: codes[code].Suppress, Evidence: "twilio: " + strconv.FormatInt(code, 10)}
	if cause, counts := counted[code]; counts {
		e.Cause, e.Counts = cause, true
	}
	if e.Cause == "" {
		return suppression.Effect{}
	}
	return e
}

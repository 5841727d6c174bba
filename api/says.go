package api

import (
	"strings"
	"time"

	"utskick/suppression"
)

// outcomes are the codes of members in plain words.
var outcomes = map[string]string{
	"pending":    "Not sent yet",
	"sent":       "Sent",
	"suppressed": "Withheld",
	"failed":     "Not sent",
	"in_doubt":   "Sent or not: nobody knows",
	"skipped":    "Left out",
}

// reasons are the causes in plain words, as they follow an outcome.
var reasons = map[string]string{
	"objected":     "the person has objected",
	"restricted":   "the person asked that her data be left alone for now",
	"erased":       "the person was erased, and asked not to be contacted when a file brings her again",
	"unsubscribed": "the person has unsubscribed",
	"stopped":      "the person has answered STOP",
	"complained":   "the person has reported a message as spam",
	"withdrawn":    "the person has taken a consent back",
	"bounced":      "messages to this address come back",
	"invalid":      "the provider says that the address can never work",
	"unregistered": "the app is gone from the phone",
	"push_off":     "notifications are switched off on the phone",
	"paused":       "the person has asked for a pause",
	"no_basis":     "there is no legal ground on record: neither a consent nor a soft opt-in",

	"expired":     "its time was over before it could be sent",
	"render":      "the message could not be made for this person",
	"refused":     "the provider refuses this recipient",
	"too_large":   "the message is too large for the provider",
	"dropped":     "the provider did not send it after all",
	"written_off": "an operator has given it up, since nobody knew whether it was sent",

	"no_answer":   "the provider has not answered",
	"server":      "the provider's answer left it open",
	"worker_lost": "the process that was sending it broke off",
	"restored":    "the database was restored, and may have forgotten it",

	"no_address":      "there is no address on this channel",
	"address_changed": "the address was replaced before it was sent",
	"cancelled":       "the campaign was cancelled first",
}

// sayOutcome says what became of a message, and why.
func sayOutcome(outcome, cause string) string {
	says := outcomes[outcome]
	if says == "" {
		says = outcome
	}
	if reason := reasons[cause]; reason != "" {
		return says + ": " + reason
	}
	return strings.TrimSuffix(says+": "+cause, ": ")
}

var purposeWords = map[string]string{
	suppression.Any:                   "all uses of the data",
	string(suppression.Marketing):     "marketing",
	string(suppression.Profiling):     "profiling",
	string(suppression.OpenTracking):  "tracking of opens",
	string(suppression.AdTracking):    "tracking for ads",
	string(suppression.AdListSharing): "sharing with ad platforms",
}

var channelWords = map[string]string{"email": "by e-mail", "sms": "by SMS", "push": "by push message", "post": "by post", "phone": "by phone"}

// sayWish says what somebody does not want, and why we know it.
func sayWish(e suppression.Entry) string {
	says := []string{"No " + purposeWords[e.Purpose]}
	if words := channelWords[e.Channel]; words != "" {
		says = append(says, words)
	}
	if e.Topic != suppression.Any {
		says = append(says, "of the kind "+e.Topic)
	}
	switch e.Sender {
	case suppression.Any:
	case suppression.Later:
		says = append(says, "from senders that are saved later")
	default:
		says = append(says, "from "+e.Sender)
	}
	if !e.ExpiresAt.IsZero() {
		says = append(says, "until "+e.ExpiresAt.UTC().Format(time.DateOnly))
	}
	return strings.Join(says, " ") + ": " + reasons[string(e.Cause)]
}

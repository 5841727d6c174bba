package replies

import (
	"cmp"
	"context"
	"fmt"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/mailback"
	"utskick/suppression"
	"utskick/tracking"
)

// delivery reads a notice about delivery. With a link of ours in what it returns,
// the message is known, and of whom: our messages have one recipient each. Without
// one the recipient is known by the address alone.
func (t *taking) delivery(ctx context.Context) error {
	for i, r := range t.m.Recipients {
		what, effect := effectOf(r)
		k, err := t.recipient(ctx, r, &effect)
		switch {
		case err != nil:
			return err
		case k.IsZero():
			t.counts.Unknown++
			continue
		}
		if t.token.Key.IsZero() && effect.Counts {
			effect = suppression.Effect{} // nothing to count by
		}
		t.count(what, effect)
		t.tell(k, what, effect, i)
	}
	return nil
}

// recipient returns whose key a recipient is, or none. An address that is not the
// one we wrote to is where that one leads on to. The only one there is tells of
// ours, but not that ours can never work; one of several may be of a list.
func (t *taking) recipient(ctx context.Context, r mailback.Recipient, e *suppression.Effect) (audience.Key, error) {
	if t.token.Key.IsZero() {
		k, known, err := t.known(ctx, r.Original, r.Final)
		if !known {
			k = audience.Key{}
		}
		return k, err
	}
	for _, address := range []string{r.Original, r.Final} {
		if k, is := t.key(address); is && k == t.token.Key {
			return k, nil
		}
	}
	if len(t.m.Recipients) > 1 {
		return audience.Key{}, nil
	}
	if e.Cause != "" {
		e.Cause, e.Counts = suppression.Bounced, true
	}
	return t.token.Key, nil
}

func (t *taking) count(what tracking.EventType, e suppression.Effect) {
	switch {
	case what == tracking.Deferred:
		t.counts.Delays++
	case what != tracking.Bounced:
		t.counts.Delivered++
	case e.Counts:
		t.counts.Bounces.Counting++
	case e.Cause != "":
		t.counts.Bounces.Suppressing++
	default:
		t.counts.Bounces.Harmless++
	}
}

// effectOf says what a server's notice is and what follows from it, as for an
// answer to SMTP: only a code that says that the address can never work suppresses
// it, one that is about the mailbox counts, and all others are about us, or about
// everybody there (RFC 3463, 3.2 to 3.8).
func effectOf(r mailback.Recipient) (tracking.EventType, suppression.Effect) {
	code := codeOf(r)
	e := suppression.Effect{Channel: audience.Email, Evidence: fmt.Sprintf("mail: delivery notice %d.%d.%d", code[0], code[1], code[2])}
	switch r.Action {
	case "failed":
		if e.Cause = code.Dead(); e.Cause == "" && code.Mailbox() {
			e.Cause, e.Counts = suppression.Bounced, true
		}
		return tracking.Bounced, orNone(e)
	case "delayed":
		if code.Mailbox() {
			e.Cause, e.Counts = suppression.Bounced, true
		}
		return tracking.Deferred, orNone(e)
	case "delivered":
		return tracking.Delivered, suppression.Effect{}
	}
	return tracking.Processed, suppression.Effect{} // relayed or expanded: it went on
}

func orNone(e suppression.Effect) suppression.Effect {
	if e.Cause == "" {
		return suppression.Effect{}
	}
	return e
}

// codeOf returns the code of a recipient. Some servers write a general one, and
// the one that they were answered beside it.
func codeOf(r mailback.Recipient) channels.Enhanced {
	code, answered := channels.FindEnhanced(r.Status), channels.FindEnhanced(r.Diagnostic)
	if code[1] == 0 || code[2] == 0 {
		return cmp.Or(answered, code)
	}
	return code
}

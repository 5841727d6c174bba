package replies

import (
	"context"
	"slices"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

// others are the types of complaints from which nothing follows (RFC 5965, 7.3;
// RFC 6591). Types that nobody knows are other.
var others = []string{"fraud", "virus", "other", "not-spam", "auth-failure", "dmarc"}

// feedback reads a complaint. That somebody calls a message spam is that person's
// own word, and so is that somebody wants no more of them.
func (t *taking) feedback(ctx context.Context) error {
	k := t.token.Key
	if k.IsZero() {
		found, known, err := t.known(ctx, t.m.Addressed...)
		if err != nil {
			return err
		}
		if !known {
			t.counts.Unknown++
			return nil
		}
		k = found
	}
	effect := suppression.Effect{Channel: audience.Email}
	switch t.m.Feedback {
	case "abuse":
		effect.Cause, effect.Evidence = suppression.Complained, "mail: complaint"
		t.counts.Complaints++
		t.tell(k, tracking.Complained, effect, 0)
	case "opt-out", "opt-out-list":
		effect.Cause, effect.Evidence = suppression.Unsubscribed, "mail: opt-out by the mailbox provider"
		t.counts.Unsubscribes++
		t.tell(k, tracking.Unsubscribes, effect, 0)
	default:
		kind := t.m.Feedback
		if !slices.Contains(others, kind) {
			kind = "other"
		}
		t.counts.Feedback = map[string]int{kind: 1}
		t.tell(k, tracking.Foreign("mail", "feedback"), suppression.Effect{}, 0)
	}
	return nil
}

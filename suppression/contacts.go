package suppression

import (
	"cmp"
	"context"

	"utskick/audience"
)

// Contacts saves the contacts of a file and records what the file refuses: a
// "no" to marketing, profiling or the sharing of ad lists is a withdrawal, and
// binds like any other wish. (A "no" to a purpose that is opt-in leaves no
// grant, which is enough.) It implements [audience.Store].
type Contacts struct {
	audience.Store
	Register *Register
	Keyer    *audience.Keyer
}

// SaveContacts returns when the rows are stored and their refusals acknowledged.
func (c Contacts) SaveContacts(ctx context.Context, rows []audience.Row) (audience.Saved, error) {
	saved, err := c.Store.SaveContacts(ctx, rows)
	if err != nil {
		return saved, err
	}
	var wishes []Wish
	for _, r := range rows {
		for name, granted := range r.Consents {
			if purpose, sender := audience.SplitConsent(name); !granted && !OptIn(Purpose(purpose)) {
				wishes = append(wishes, c.withdrawal(r, purpose, cmp.Or(sender, Any)))
			}
		}
	}
	for len(wishes) > 0 {
		n := min(len(wishes), ImportSize)
		if err := c.Register.RecordAll(ctx, wishes[:n]); err != nil {
			return saved, err
		}
		wishes = wishes[n:]
	}
	return saved, nil
}

func (c Contacts) withdrawal(r audience.Row, purpose, sender string) Wish {
	return Wish{Person: true, Entry: Entry{Key: c.Keyer.Key(audience.KindContact, r.Contact.ExternalID), Channel: Any, Topic: Any,
		Purpose: purpose, Sender: sender, Cause: Withdrawn, Active: true, Source: "import", Evidence: "contacts file"}}
}

// OptIn says whether a purpose needs a grant, so that the absence of one
// already is a no.
func OptIn(p Purpose) bool { return p == OpenTracking || p == AdTracking }

package api

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

// The ways in which a text can name somebody, beside the kinds of addresses.
const (
	byContactID = "contact_id" // our number of the contact
	byKey       = "key"
	byLink      = "link"    // of a message, or its token
	byMessage   = "message" // a provider's id of a message, or its Message-ID
)

// finder reads what somebody pastes into the search. Nothing of it is repeated
// or logged.
type finder struct {
	reader suppression.Reader
	signer *tracking.Signer
}

// clue is one thing that a text may be.
type clue struct {
	how     string
	key     audience.Key
	contact int64
}

// clues returns what a text may be. One that is signed, or has a form that
// nothing else has, is that alone; others may be several things at once, such as
// a number that is a phone's and an external id.
func (f finder) clues(text string) []clue {
	text = strings.TrimSpace(text)
	if key, ok := f.byToken(text); ok {
		return []clue{{how: byLink, key: key}}
	}
	if key, err := f.reader.Key(byKey, text); err == nil {
		return []clue{{how: byKey, key: key}}
	}
	if key, ok := ownMessageID(text); ok {
		return []clue{{how: byMessage, key: key}}
	}
	var all []clue
	for _, kind := range []audience.Kind{audience.KindEmail, audience.KindPhone, audience.KindContact, audience.KindPush} {
		if key, err := f.reader.Key(string(kind), bare(kind, text)); err == nil {
			all = append(all, clue{how: string(kind), key: key})
		}
	}
	if id, err := strconv.ParseInt(text, 10, 64); err == nil && id > 0 {
		all = append(all, clue{how: byContactID, contact: id})
	}
	return all
}

// bare takes an address out of how mail programs and links show it.
func bare(kind audience.Kind, text string) string {
	if kind != audience.KindEmail {
		return strings.TrimPrefix(text, "tel:")
	}
	text = strings.TrimPrefix(text, "mailto:")
	if _, in, found := strings.Cut(text, "<"); found && strings.HasSuffix(in, ">") {
		return strings.TrimSuffix(in, ">")
	}
	return text
}

// likely is the clue that a text is, if nobody has what it says: that of its
// kind, if it is given.
func likely(text, kind string, all []clue) (clue, bool) {
	guess := cmp.Or(kind, string(suppression.GuessKind(bare(audience.KindEmail, strings.TrimSpace(text)))))
	for _, how := range []string{byLink, byKey, byMessage, guess} {
		if i := slices.IndexFunc(all, func(c clue) bool { return c.how == how && !c.key.IsZero() }); i >= 0 {
			return all[i], true
		}
	}
	return clue{}, false
}

// byToken reads the last part of a link of ours, or its token alone. Lines that a
// mail program has broken are joined.
func (f finder) byToken(text string) (audience.Key, bool) {
	text = strings.Trim(strings.Join(strings.Fields(text), ""), "<>")
	if u, err := url.Parse(text); err == nil {
		text = u.Path
	}
	token := strings.TrimSuffix(text[strings.LastIndex(text, "/")+1:], ".gif")
	for _, purpose := range []tracking.Purpose{tracking.Unsubscribe, tracking.Preferences, tracking.Open, tracking.Click, tracking.Bait} {
		if t, err := f.signer.Parse(purpose, token); err == nil && !t.Key.IsZero() {
			return t.Key, true
		}
	}
	return audience.Key{}, false
}

// messageID is the Message-ID of our e-mails: the group and the key, in front of
// the sender's domain.
var messageID = regexp.MustCompile(`^<?\d{1,19}\.([0-9a-f]{32})@[^@\s<>]+>?$`)

func ownMessageID(text string) (audience.Key, bool) {
	m := messageID.FindStringSubmatch(text)
	if m == nil {
		return audience.Key{}, false
	}
	key, err := audience.ParseKey(m[1])
	return key, err == nil && !key.IsZero()
}

// foundPerson is somebody whom a search has found.
type foundPerson struct {
	ID         string `json:"id" doc:"For GET /v1/people/{id}: the number of a contact"`
	ExternalID string `json:"external_id"`
	FirstName  string `json:"first_name,omitempty"`
	LastName   string `json:"last_name,omitempty"`
	By         string `json:"by" doc:"What it was found by: email, phone, push, contact (external id), contact_id, key, link or message"`
	Current    bool   `json:"current" doc:"Absent for an address that she had before" `
}

// foundAnswer is the answer to a search.
type foundAnswer struct {
	People []foundPerson `json:"people"`
	// ID is where wishes of an address of nobody are kept.
	ID string `json:"id,omitempty" doc:"When nobody has or had the address: the id under which its wishes are kept all the same"`
	By string `json:"by,omitempty" doc:"What the text was taken for, when nobody was found"`
}

// shortestID is the length of the shortest id that a provider gives to messages:
// SendGrid's have 22 characters.
const shortestID = 20

// providersID says whether a text may be a provider's id of a message, which
// takes long to look for. An address of nobody is none.
func providersID(text, kind string, clues []clue) bool {
	if kind != "" {
		return kind == byMessage
	}
	return len(text) >= shortestID && !slices.ContainsFunc(clues, func(c clue) bool {
		return c.how == string(audience.KindEmail) || c.how == string(audience.KindPhone) || c.how == byKey || c.how == byLink
	})
}

// find looks for whoever a text names: as the kind that is given, or else as
// whatever it may be.
func (o *operator) find(ctx context.Context, text, kind string) (foundAnswer, error) {
	clues := o.finder.clues(text)
	if kind != "" {
		clues = slices.DeleteFunc(clues, func(c clue) bool { return c.how != kind })
	}
	answer, err := o.followClues(ctx, clues)
	if err != nil || len(answer.People) > 0 {
		return answer, err
	}
	if id := strings.Trim(strings.TrimSpace(text), "<>"); providersID(id, kind, clues) {
		key, err := o.c.Store.KeyOfMessage(ctx, id)
		if err == nil {
			clues = []clue{{how: byMessage, key: key}}
			answer, err = o.followClues(ctx, clues)
		}
		if err != nil && !errors.Is(err, o.c.NotFound) || len(answer.People) > 0 {
			return answer, err
		}
	}
	if c, ok := likely(text, kind, clues); ok {
		answer.ID, answer.By = c.key.String(), c.how
	}
	return answer, nil
}

// followClues finds contacts, each once.
func (o *operator) followClues(ctx context.Context, clues []clue) (foundAnswer, error) {
	answer := foundAnswer{People: []foundPerson{}}
	how := map[audience.Key]string{}
	var keys []audience.Key
	var own []audience.Found
	for _, c := range clues {
		if c.contact == 0 {
			how[c.key], keys = c.how, append(keys, c.key)
			continue
		}
		contact, _, err := o.c.Store.Person(ctx, c.contact)
		if err != nil && !errors.Is(err, o.c.NotFound) {
			return answer, err
		}
		if err == nil {
			own = append(own, audience.Found{ID: contact.ID, ExternalID: contact.ExternalID, FirstName: contact.FirstName, LastName: contact.LastName,
				KnownKey: audience.KnownKey{Current: true}})
		}
	}
	found, err := o.c.Store.FindPeople(ctx, keys)
	if err != nil {
		return answer, err
	}
	known := map[int64]bool{}
	for _, f := range append(own, found...) {
		if known[f.ID] {
			continue
		}
		known[f.ID] = true
		by := byContactID
		if !f.Key.IsZero() {
			by = how[f.Key]
		}
		answer.People = append(answer.People, foundPerson{strconv.FormatInt(f.ID, 10), f.ExternalID, f.FirstName, f.LastName, by, f.Current})
	}
	return answer, nil
}

// auditFinding notes who looked whom up, without what they looked by.
func (o *operator) auditFinding(ctx context.Context, found foundAnswer) {
	for _, p := range found.People {
		o.audit(ctx, "person.find", contactObject(p.ID), "by "+p.By)
	}
	if len(found.People) > 0 {
		return
	}
	if key, err := audience.ParseKey(found.ID); err == nil {
		o.audit(ctx, "person.find", key.Short(), "nobody by "+found.By)
		return
	}
	o.audit(ctx, "person.find", "nobody", "")
}

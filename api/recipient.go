package api

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// recipient is whoever a message went to, and the message, as far as either is
// known: a person who was erased is a key, and so is one of another database.
type recipient struct {
	token  tracking.Token
	origin dispatcher.Origin // its topic is empty where it is not known
	who    audience.Addressee
	// entries are all that is on record; told is whether they could be read.
	entries []suppression.Entry
	told    bool
}

// recipient reads what a page shows. What cannot be read within [askFor] is not
// shown: the page works all the same.
func (p *public) recipient(ctx context.Context, token tracking.Token) recipient {
	r := recipient{token: token, origin: p.originOf(ctx, token.Group)}
	if p.c.Intake.Standing().Away {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	who, err := p.c.Store.Addressee(ctx, token.Key)
	if err == nil {
		r.who = who
		r.entries, err = p.c.Store.Entries(ctx, who.Keys)
	}
	r.told = err == nil
	return r
}

// originOf returns where a message comes from. A token that we signed for a
// group that is gone, because it was erased or is in another database, is still
// a person's word: it then covers every channel. While the database is away it
// may be that of the message, whichever that is.
func (p *public) originOf(ctx context.Context, group int64) dispatcher.Origin {
	if origin, ok := p.groups.get(group); ok {
		return origin
	}
	if p.c.Intake.Standing().Away {
		return dispatcher.Origin{Channel: ownChannel}
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	origin, err := p.c.Store.Origin(ctx, group)
	switch {
	case errors.Is(err, p.c.NotFound) || (err == nil && !origin.Channel.Dispatched()):
		return dispatcher.Origin{Channel: anyChannel}
	case err != nil:
		return dispatcher.Origin{Channel: ownChannel}
	}
	p.groups.learn(group, origin)
	return origin
}

// chooser is the person, choosing in a visit.
func (r recipient) chooser(p *public, visit string) suppression.Chooser {
	return suppression.Chooser{Key: r.token.Key, Group: r.token.Group, Topic: r.origin.Topic, Sender: r.origin.Sender, Visit: visit, At: p.c.Now()}
}

// byLink is the choice that the link itself stands for.
func (r recipient) byLink() suppression.Choice {
	if r.origin.Channel == anyChannel {
		return suppression.StopMarketing
	}
	return suppression.Choice(r.origin.Channel)
}

// masked is the address that the message went to, if it is still known, with no
// more of it than its owner needs to know it again.
func masked(email string) string {
	local, domain, found := strings.Cut(email, "@")
	if !found || local == "" {
		return ""
	}
	first, _ := utf8.DecodeRuneInString(local)
	return string(first) + "…@" + domain
}

// labelOf says what a topic is called in a language: by the sender of the
// message, or by another one that has a name for it.
func labelOf(topic, language string, senders []templates.Sender) string {
	for _, s := range senders {
		l := s.Topics[topic]
		name := cmp.Or(l.English, l.Swedish)
		if language == swedish.Language {
			name = cmp.Or(l.Swedish, l.English)
		}
		if name != "" {
			return name
		}
	}
	return topic
}

// firstOf moves the sender of the message before the others. Of a message that is
// not known it may be the only one that there is.
func firstOf(name string, senders []templates.Sender) (*templates.Sender, []templates.Sender) {
	i := slices.IndexFunc(senders, func(s templates.Sender) bool { return s.Name == name || len(senders) == 1 })
	if i < 0 {
		return nil, senders
	}
	ordered := slices.Concat(senders[i:i+1], senders[:i], senders[i+1:])
	return &ordered[0], ordered
}

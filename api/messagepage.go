package api

import (
	"fmt"
	"net/http"
	"slices"

	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// messagePage is a page about a message: the form to unsubscribe, or the
// choices.
type messagePage struct {
	publicPage
	Scope scopeWords // what the link covers
	About string     // which message it is
	Kind  string     // what its kind is called
	To    string     // the masked address
	From  *templates.Sender
	Prefs string // where the choices are
	Visit string
	// Newsletter says which is which, where the kind is for subscribers.
	Newsletter string

	// Of the choices alone.
	Heading, Status string
	Late, Kept      bool
	Undo            bool
	SwitchForm      bool // the other language shows what was just done again
	Chosen          []suppression.Choice
	Less            []choiceView // narrower, in the place of what was done
	Told            bool         // what holds is known
	Holds           []string
	Return          []returnView // what can be asked for again
	Stop, Data      []choiceView
	Pause           []choiceView // one of them
	All             choiceView
}

// choiceView is a choice on a page.
type choiceView struct {
	Value  suppression.Choice
	Label  string
	Chosen bool // in this visit
	Holds  bool // from before it
}

func (p *public) messagePage(r *http.Request, to recipient) messagePage {
	page := messagePage{publicPage: p.page(r, to.who.Locale), To: masked(to.who.Email)}
	page.From, page.Senders = firstOf(to.origin.Sender, page.Senders)
	w := page.Words
	page.Scope = w.Scopes[to.origin.Channel]
	page.About = fmt.Sprintf(w.About, w.Messages[to.origin.Channel])
	if to.origin.Topic != "" {
		page.Kind = labelOf(to.origin.Topic, w.Language, page.Senders)
		page.About = fmt.Sprintf(w.AboutKind, w.Messages[to.origin.Channel], page.Kind)
	}
	if page.From != nil && slices.Contains(page.From.Subscriptions, to.origin.Topic) {
		page.Newsletter = fmt.Sprintf(w.Confirm.Newsletter, page.Kind)
	}
	token := to.token
	token.Purpose = tracking.Preferences
	page.Prefs = "../p/" + p.c.Signer.Sign(token) + "?lang=" + w.Language
	return page
}

// choicesPage is the page of choices, after some were chosen in a visit.
func (p *public) choicesPage(r *http.Request, to recipient, visit tracking.Visit, chosen []suppression.Choice) messagePage {
	page := p.messagePage(r, to)
	page.Action, page.Visit, page.Chosen = page.Prefs, p.visitToken(visit), chosen
	page.Undo, page.SwitchForm, page.Told = true, true, to.told
	now := p.c.Now()
	before := to.chooser(p, visit.ID)
	var mine []suppression.Wish
	if len(chosen) > 0 {
		mine = before.Wishes(chosen)
	}
	var others []suppression.Entry // that are not of this visit
	label := func(topic string) string { return labelOf(topic, page.Words.Language, page.Senders) }
	for _, e := range to.entries {
		if !e.InForce(now) {
			continue
		}
		sender := e.Sender
		e.Sender = nameOf(e.Sender, page.Senders)
		if text := page.Words.hold(e, label); !slices.Contains(page.Holds, text) {
			page.Holds = append(page.Holds, text)
		}
		e.Sender = sender
		if !slices.ContainsFunc(mine, func(w suppression.Wish) bool { return w.Entry.SameAs(e) }) {
			others = append(others, e)
		}
	}
	page.offerReturn(to, others, p)
	view := func(c suppression.Choice) choiceView {
		v := choiceView{Value: c, Label: page.Words.Choices[c], Chosen: slices.Contains(chosen, c)}
		if c == suppression.StopKind {
			v.Label = fmt.Sprintf(v.Label, page.Kind)
		}
		if c == suppression.StopSender {
			v.Label = fmt.Sprintf(v.Label, page.From.FromName)
		}
		v.Holds = !v.Chosen && before.Holds(c, now, others)
		return v
	}
	for _, c := range []suppression.Choice{suppression.StopKind, suppression.StopEmail, suppression.StopSMS, suppression.StopPush,
		suppression.StopPost, suppression.StopPhone, suppression.StopSender, suppression.StopMarketing} {
		if page.offers(c) {
			page.Stop = append(page.Stop, view(c))
		}
	}
	page.Pause = []choiceView{view(suppression.Pause30), view(suppression.Pause90)}
	page.Data = []choiceView{view(suppression.NoProfiling), view(suppression.NoAdSharing), view(suppression.NoOpenTracking)}
	page.All = view(suppression.StopEverything)
	return page
}

// offers reports whether there is anything to choose: a kind only of a message of
// which it is known, its sender only where there are others.
func (page *messagePage) offers(c suppression.Choice) bool {
	switch c {
	case suppression.StopKind:
		return page.Kind != ""
	case suppression.StopSender:
		return page.From != nil && len(page.Senders) > 1
	}
	return true
}

// nameOf is what customers know a sender by.
func nameOf(sender string, senders []templates.Sender) string {
	for _, s := range senders {
		if s.Name == sender {
			return s.FromName
		}
	}
	return sender
}

// narrower offers less in the place of what the link has just done.
func (page *messagePage) narrower() {
	for _, c := range []suppression.Choice{suppression.StopKind, suppression.StopSender, suppression.Pause30, suppression.Pause90} {
		if !page.offers(c) {
			continue
		}
		label := page.Words.Instead[c]
		switch c {
		case suppression.StopKind:
			label = fmt.Sprintf(label, page.Kind)
		case suppression.StopSender:
			label = fmt.Sprintf(label, page.From.FromName)
		}
		page.Less = append(page.Less, choiceView{Value: c, Label: label})
	}
}

// NoPause reports whether no pause is chosen in this visit.
func (page messagePage) NoPause() bool {
	return !slices.ContainsFunc(page.Pause, func(c choiceView) bool { return c.Chosen })
}

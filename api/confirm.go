package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// confirmPage is where the link in the mail of a confirmation leads.
type confirmPage struct {
	publicPage
	From       *templates.Sender
	SwitchForm bool // never: the page says the same when it is opened again
	Heading    string
	Status     string // what was done
	Texts      []string
	Button     bool
	Wider      bool // the button lifts more than the topic's own wishes
}

// confirm shows what a person would confirm, and records it on a POST: scanners
// open every link in a mail.
func (p *public) confirm(w http.ResponseWriter, r *http.Request, text string) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		p.notAllowed(w, "GET, HEAD, POST")
		return
	}
	token, err := p.c.Signer.Parse(tracking.Confirm, text)
	if err != nil || token.Key.IsZero() {
		p.notFound(w, r)
		return
	}
	if r.Method == http.MethodPost {
		p.confirmNow(w, r, token)
		return
	}
	if p.c.Intake.Standing().Away {
		p.unavailable(w, r)
		return
	}
	c, err := p.c.Store.Confirmation(r.Context(), token.Group, token.Key)
	if err != nil {
		p.notConfirmed(w, r, token, nil, err)
		return
	}
	page := p.confirmPage(r, c)
	if !c.ConfirmedAt.IsZero() {
		page.Heading, page.Texts = page.Words.Confirm.Used, []string{page.Words.Confirm.UsedP}
	} else {
		page.ask(c)
	}
	p.pages.write(w, http.StatusOK, "confirm", page)
}

func (p *public) confirmNow(w http.ResponseWriter, r *http.Request, token tracking.Token) {
	form, err := readForm(w, r, maxOneClick)
	if err != nil {
		p.badBody(w, err)
		return
	}
	if p.c.Intake.Standing().Away {
		p.tryAgain(w, r, form)
		return
	}
	_, agent := tracking.Classify(tracking.Fetch{UserAgent: r.UserAgent()})
	by := suppression.Confirmed{ID: token.Group, Key: token.Key, Wider: form.Has("wider"),
		Evidence: fmt.Sprintf("pressed the button behind the link in the mail to the address (%s)", agent)}
	// Whoever hangs up now has still confirmed.
	c, err := p.c.Store.Confirm(context.WithoutCancel(r.Context()), by)
	if err != nil {
		p.notConfirmed(w, r, token, form, err)
		return
	}
	page := p.confirmPage(r, c)
	words := page.Words.Confirm
	page.Heading, page.Status, page.Texts = words.DoneAll, words.DoneAllP, []string{words.Leave}
	label := labelOf(c.Topic, page.Words.Language, page.Senders)
	switch {
	case c.Before:
		page.Heading, page.Status, page.Texts = words.Used, "", []string{words.UsedP}
	case c.Wider:
		page.Heading, page.Status, page.Texts = fmt.Sprintf(words.Done, label), "", []string{fmt.Sprintf(words.StillStopped, label)}
	case c.Topic != suppression.Any:
		page.Heading, page.Status = fmt.Sprintf(words.Done, label), fmt.Sprintf(words.DoneP, label)
	}
	p.pages.write(w, http.StatusOK, "confirm", page)
}

// notConfirmed answers for a request that is too old, or when nothing could be
// read or written: then the form can be sent again.
func (p *public) notConfirmed(w http.ResponseWriter, r *http.Request, token tracking.Token, form url.Values, err error) {
	if !errors.Is(err, p.c.NotFound) {
		p.c.Log.Error("a confirmation was not recorded", "confirmation", token.Group, "key", token.Key.Short(), "method", r.Method, "error", err)
		p.tryAgain(w, r, form)
		return
	}
	page := p.confirmPage(r, suppression.Confirmation{})
	page.Heading, page.Texts = page.Words.Confirm.Late, []string{page.Words.Confirm.LateP}
	p.pages.write(w, http.StatusGone, "confirm", page)
}

func (p *public) confirmPage(r *http.Request, c suppression.Confirmation) *confirmPage {
	page := &confirmPage{publicPage: p.page(r, c.Locale)}
	page.Switch, page.Action = true, "?lang="+page.Words.Language
	page.From, page.Senders = firstOf(c.Sender, page.Senders)
	return page
}

// ask fills in what the button does, and what it does not.
func (page *confirmPage) ask(c suppression.Confirmation) {
	words, label := page.Words.Confirm, labelOf(c.Topic, page.Words.Language, page.Senders)
	page.Button, page.Wider = true, c.Wider
	page.Heading, page.Texts = words.TitleAll, []string{words.WillAll}
	if c.Topic != suppression.Any {
		page.Heading, page.Texts = fmt.Sprintf(words.Title, label), []string{fmt.Sprintf(words.Will, label), fmt.Sprintf(words.Only, label)}
	}
	if c.Wider {
		page.Texts = []string{fmt.Sprintf(words.Will, label), fmt.Sprintf(words.Wider, label)}
	}
	page.Texts = append(page.Texts, page.Words.NotYet)
}

// returns are what can be asked for again on the pages of a message: the kind of
// the message, or all marketing by e-mail.
const (
	returnKind  = "kind"
	returnEmail = "email"
)

// returnView is one of them on a page.
type returnView struct{ Value, Label string }

// offerReturn offers to ask for what the person has ended in an earlier visit.
// What she has ended in this one she can undo.
func (page *messagePage) offerReturn(to recipient, entries []suppression.Entry, p *public) {
	if page.From == nil {
		return
	}
	stands := func(topic string) bool {
		return topic != "" && slices.ContainsFunc(entries, func(e suppression.Entry) bool {
			return e.Topic == topic && e.StandsAgainst(page.From.Name, p.c.Now())
		})
	}
	if stands(to.origin.Topic) {
		page.Return = append(page.Return, returnView{returnKind, fmt.Sprintf(page.Words.Confirm.AgainKind, page.Kind)})
	}
	if stands(suppression.Any) {
		page.Return = append(page.Return, returnView{returnEmail, page.Words.Confirm.AgainAll})
	}
}

// askReturn sends a mail to the person's own address, if there is one. Nothing
// changes before she confirms there: anybody may have a copy of the message.
func (p *public) askReturn(w http.ResponseWriter, r *http.Request, token tracking.Token, visit tracking.Visit, form url.Values) {
	to := p.recipient(r.Context(), token)
	page := p.choicesPage(r, to, visit, nil)
	a := suppression.Asking{Topic: suppression.Any, Locale: page.Words.Language, Source: "pages of a message"}
	if form.Get("return") == returnKind {
		a.Topic = to.origin.Topic
	}
	if page.From == nil || a.Topic == "" {
		p.tryAgain(w, r, form)
		return
	}
	// The record alone may name no version of the notice, though one is in force.
	ctx := context.WithoutCancel(r.Context())
	sender, err := p.c.Store.SenderByName(ctx, page.From.Name)
	a.Sender, a.Notice = page.From.Name, sender.NoticeVersion
	if err == nil {
		err = p.c.Store.AskReturn(ctx, token.Key, a)
	}
	if err != nil {
		p.c.Log.Error("a return was not asked for", "group", token.Group, "key", token.Key.Short(), "error", err)
		p.tryAgain(w, r, form)
		return
	}
	page.Heading, page.Status = page.Words.Confirm.Asked, page.Words.Confirm.AskedP
	page.Undo, page.Return, page.Switch, page.SwitchForm = false, nil, true, false
	p.pages.write(w, http.StatusOK, "choices", page)
}

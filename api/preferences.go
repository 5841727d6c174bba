package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

const (
	// undoFor is how long what was done on the pages can be undone there. Whoever
	// has a forwarded copy of the mail cannot undo what her friend did.
	undoFor = time.Hour
	// maxChoices bounds the body of a form of choices, in bytes.
	maxChoices = 16 << 10
)

// preferences shows what holds and what can be chosen, and takes choices by
// POST.
func (p *public) preferences(w http.ResponseWriter, r *http.Request, text string) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		p.notAllowed(w, "GET, HEAD, POST")
		return
	}
	token, err := p.c.Signer.Parse(tracking.Preferences, text)
	if err != nil || token.Key.IsZero() {
		p.notFound(w, r)
		return
	}
	if r.Method == http.MethodPost {
		p.choose(w, r, token)
		return
	}
	page := p.choicesPage(r, p.recipient(r.Context(), token), tracking.NewVisit(token.Group, token.Key, p.c.Now()), nil)
	page.Heading, page.Switch, page.SwitchForm, page.Undo = page.Words.Title, true, false, false
	p.pages.write(w, http.StatusOK, "choices", page)
}

// choose takes what was chosen in the place of all that was chosen before in the
// same visit. To undo is to choose nothing.
func (p *public) choose(w http.ResponseWriter, r *http.Request, token tracking.Token) {
	form, err := readForm(w, r, maxChoices)
	if err != nil {
		p.badBody(w, err)
		return
	}
	visit, begun, err := p.visitOf(form, token)
	if err != nil {
		p.notFound(w, r)
		return
	}
	if what := form.Get("return"); what == returnKind || what == returnEmail {
		p.askReturn(w, r, token, visit, form)
		return
	}
	origin := p.originOf(r.Context(), token.Group)
	chosen := chosenIn(form, origin.Channel)
	if !begun && len(chosen) == 0 {
		p.chooseNothing(w, r, token, visit, form.Has("undo"))
		return
	}
	by := recipient{token: token, origin: origin}.chooser(p, visit.ID)
	// Whoever hangs up now has still told us.
	revised, err := p.c.Intake.Revise(context.WithoutCancel(r.Context()), visit.ID, by.Wishes(chosen))
	if err != nil {
		p.notRecorded(w, r, token, form, err)
		return
	}
	page := p.choicesPage(r, p.recipient(r.Context(), token), visit, chosen)
	page.Heading, page.Status, page.Late = page.Words.Saved, page.Words.SavedP, true
	switch {
	case form.Has("undo"):
		page.Heading, page.Status, page.Late, page.Undo = page.Words.Undone, page.Words.UndoneP, false, false
	case len(chosen) == 0:
		page.Heading, page.Status, page.Late, page.Undo = page.Words.Title, page.Words.NothingChosen, false, false
	}
	p.answer(w, page, !revised)
}

// chooseNothing answers where there is nothing to take back, or no more.
func (p *public) chooseNothing(w http.ResponseWriter, r *http.Request, token tracking.Token, visit tracking.Visit, undo bool) {
	page := p.choicesPage(r, p.recipient(r.Context(), token), visit, nil)
	page.Heading, page.Status, page.Undo = page.Words.Title, page.Words.NothingChosen, false
	status := http.StatusOK
	if undo {
		page.Heading, page.Status, status = page.Words.TooLate, page.Words.TooLateP, http.StatusConflict
	}
	p.pages.write(w, status, "choices", page)
}

// chosenIn returns what a form has chosen. Of a message of which nothing is known
// any more, there is no kind and no sender to choose.
func chosenIn(form url.Values, channel audience.Channel) (chosen []suppression.Choice) {
	if form.Has("undo") {
		return nil
	}
	for _, choice := range suppression.Choices {
		if (choice == suppression.StopKind || choice == suppression.StopSender) && channel == anyChannel {
			continue
		}
		if slices.Contains(form["choice"], string(choice)) {
			chosen = append(chosen, choice)
		}
	}
	return chosen
}

// visitOf returns the visit that a form belongs to, and whether it has begun
// before: if not, or so long ago that nothing can be undone any more, it begins
// now. A visit to the pages of another message is an error.
func (p *public) visitOf(form url.Values, token tracking.Token) (v tracking.Visit, begun bool, err error) {
	now := p.c.Now()
	text := form.Get("visit")
	if text == "" {
		return tracking.NewVisit(token.Group, token.Key, now), false, nil
	}
	if v, err = p.c.Signer.ParseVisit(text, token); err != nil {
		return v, false, err
	}
	if now.Sub(v.At) > undoFor {
		return tracking.NewVisit(token.Group, token.Key, now), false, nil
	}
	v.At = now
	return v, true, nil
}

func (p *public) visitToken(v tracking.Visit) string {
	text, err := p.c.Signer.SignVisit(v)
	if err != nil {
		panic(err) // a visit that was made or verified has an id
	}
	return text
}

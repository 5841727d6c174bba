package api

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"utskick/suppression"
	"utskick/tracking"
)

// maxOneClick bounds the body of a one-click request, in bytes. RFC 8058 sends
// some thirty of them, in one of two encodings; what they say is not looked at,
// because the address says it all. Our own form adds the visit it belongs to.
const maxOneClick = 4 << 10

// unsubscribe shows a form to whoever opens the link, and acts on a POST: that
// of the form, and that of a mail program (RFC 8058). Scanners open every link
// in a mail, so opening one changes nothing.
func (p *public) unsubscribe(w http.ResponseWriter, r *http.Request, text string) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		p.notAllowed(w, "GET, HEAD, POST")
		return
	}
	// The token is verified before anything else is asked.
	token, err := p.c.Signer.Parse(tracking.Unsubscribe, text)
	if err != nil || token.Key.IsZero() {
		p.notFound(w, r)
		return
	}
	if r.Method == http.MethodPost {
		p.unsubscribeNow(w, r, token)
		return
	}
	to := p.recipient(r.Context(), token)
	page := p.messagePage(r, to)
	page.Switch, page.Action = true, "?lang="+page.Words.Language
	page.Visit = p.visitToken(tracking.NewVisit(token.Group, token.Key, p.c.Now()))
	p.pages.write(w, http.StatusOK, "unsubscribe", page)
}

func (p *public) unsubscribeNow(w http.ResponseWriter, r *http.Request, token tracking.Token) {
	form, err := readForm(w, r, maxOneClick)
	if err != nil {
		p.badBody(w, err)
		return
	}
	visit, _, err := p.visitOf(form, token)
	if err != nil {
		p.notFound(w, r)
		return
	}
	origin := p.originOf(r.Context(), token.Group)
	wish := suppression.Unsubscribe(token.Key, origin.Channel, token.Group)
	wish.Visit = visit.ID
	// Whoever hangs up now has still told us.
	kept, err := p.c.Intake.Record(context.WithoutCancel(r.Context()), wish)
	if err != nil {
		p.notRecorded(w, r, token, form, err)
		return
	}
	to := p.recipient(r.Context(), token)
	page := p.choicesPage(r, to, visit, []suppression.Choice{to.byLink()})
	page.Heading, page.Status, page.Late = page.Words.Done, page.Words.Scopes[origin.Channel].Did, true
	page.narrower()
	p.answer(w, page, kept)
}

// answer shows what was done. What is in the spool alone cannot be undone yet.
func (p *public) answer(w http.ResponseWriter, page messagePage, kept bool) {
	if !kept {
		p.pages.write(w, http.StatusOK, "choices", page)
		return
	}
	page.Undo, page.Less, page.Kept, page.SwitchForm = false, nil, true, false
	p.pages.write(w, http.StatusAccepted, "choices", page)
}

// readForm reads a body of one of our forms; of one in another encoding, as of a
// mail program, it reads nothing but its end.
func readForm(w http.ResponseWriter, r *http.Request, most int64) (url.Values, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" {
		return url.Values{}, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return url.Values{}, nil //nolint:nilerr // what it says besides is not needed
	}
	return form, nil
}

func (p *public) badBody(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, http.StatusText(status), status)
}

func (p *public) notRecorded(w http.ResponseWriter, r *http.Request, token tracking.Token, form url.Values, err error) {
	p.c.Log.Error("a wish was not acknowledged", "group", token.Group, "key", token.Key.Short(), "method", r.Method, "error", err)
	p.tryAgain(w, r, form)
}

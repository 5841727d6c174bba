package api

import (
	"context"
	"errors"
	"io"
	"net/http"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

// maxOneClick bounds the body of a one-click request, in bytes. RFC 8058 sends
// some thirty of them, in one of two encodings; what they say is not looked at,
// because the address says it all.
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
	channel := p.channelOf(r.Context(), token.Group)
	if r.Method == http.MethodPost {
		p.unsubscribeNow(w, r, token, channel)
		return
	}
	page := p.page(r)
	page.Switch, page.Action = true, "?lang="+page.Words.Language
	p.pages.write(w, http.StatusOK, "unsubscribe", scopedPage{page, page.Words.Scopes[channel]})
}

// scopedPage is a page about what an unsubscribe covers.
type scopedPage struct {
	publicPage
	Scope scopeWords
}

// channelOf returns the channel of a message. A token that we signed for a
// group that is gone, because it was erased or is in another database, is still
// a person's word: it then covers every channel. While the database is away it
// may be that of the message, whichever that is.
func (p *public) channelOf(ctx context.Context, group int64) audience.Channel {
	if channel, ok := p.groups.get(group); ok {
		return channel
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	channel, err := p.c.Store.GroupChannel(ctx, group)
	switch {
	case errors.Is(err, p.c.NotFound) || (err == nil && !channel.Dispatched()):
		return anyChannel
	case err != nil:
		return ownChannel
	}
	p.groups.learn(group, channel)
	return channel
}

func (p *public) unsubscribeNow(w http.ResponseWriter, r *http.Request, token tracking.Token, channel audience.Channel) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxOneClick)); err != nil {
		p.badBody(w, err)
		return
	}
	// Whoever hangs up now has still told us.
	ctx := context.WithoutCancel(r.Context())
	kept, err := p.c.Intake.Record(ctx, suppression.Unsubscribe(token.Key, channel, token.Group))
	if err != nil {
		p.notRecorded(w, r, token, err)
		return
	}
	status := http.StatusOK
	if kept {
		status = http.StatusAccepted
	}
	page := p.page(r)
	p.pages.write(w, status, "unsubscribed", scopedPage{page, page.Words.Scopes[channel]})
}

func (p *public) badBody(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, http.StatusText(status), status)
}

func (p *public) notRecorded(w http.ResponseWriter, r *http.Request, token tracking.Token, err error) {
	p.c.Log.Error("an unsubscribe was not acknowledged", "group", token.Group, "key", token.Key.Short(), "method", r.Method, "error", err)
	p.unavailable(w, r)
}

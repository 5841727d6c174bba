package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"utskick/templates"
	"utskick/tracking"
)

// public is the site that links in messages lead to. It sets no cookies, runs
// no scripts, and changes what a person allows by POST alone. It has no mux: a
// mux redirects what it finds untidy, and a one-click request must never be
// redirected (RFC 8058, 3.1).
type public struct {
	c       Config
	pages   *pages
	senders senders
	targets targets
	groups  groups
	handler http.Handler
}

func newPublic(c Config) *public {
	p := &public{c: c, pages: loadPages(c.Log), senders: senders{store: c.Store, now: c.Now}, targets: targets{store: c.Store}}
	h := recovered(c.Log, http.HandlerFunc(p.route), http.HandlerFunc(p.unavailable))
	h = limited(maxConcurrent, h, http.HandlerFunc(p.unavailable))
	p.handler = withHeaders(map[string]string{
		"Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; style-src " + p.pages.styleSource +
			"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Referrer-Policy":        "no-referrer", // addresses here have tokens in them
		"X-Content-Type-Options": "nosniff",
		"X-Robots-Tag":           "noindex, nofollow",
	}, h)
	return p
}

// route sends a request to its page by the first part of its path.
func (p *public) route(w http.ResponseWriter, r *http.Request) {
	kind, token, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch kind {
	case "u":
		p.unsubscribe(w, r, token)
	case "p":
		p.preferences(w, r, token)
	case "s":
		p.confirm(w, r, token)
	case "o":
		p.opened(w, r, token)
	case "c":
		p.clicked(w, r, token)
	case "hooks":
		p.hook(w, r, token)
	case "robots.txt":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("User-agent: *\nDisallow: /\n"))
	default:
		p.notFound(w, r)
	}
}

// publicPage is what every page of the public site shows.
type publicPage struct {
	Words   words
	Other   words              // of the other language
	Switch  bool               // offer the other language
	Action  string             // where the form leads
	Repeat  []field            // what the form says again
	Senders []templates.Sender // who we are: all of us
}

// field is one of a form that nobody sees.
type field struct{ Name, Value string }

// page is in the language that was asked for, or else that of a locale, which
// may be empty.
func (p *public) page(r *http.Request, locale string) publicPage {
	w := wordsFor(r, locale)
	return publicPage{Words: w, Other: otherThan(w), Senders: p.senders.get(r.Context())}
}

// notFound answers for whatever is not there and for every token that is not
// one of ours, alike: an answer that tells them apart helps to forge one.
func (p *public) notFound(w http.ResponseWriter, r *http.Request) {
	p.pages.write(w, http.StatusNotFound, "missing", p.page(r, ""))
}

// unavailable answers when nothing could be read or recorded, and it is not known
// what a form said. To unsubscribe, the link says it all; of what else was chosen or
// confirmed, to send it again without its words would say something else.
func (p *public) unavailable(w http.ResponseWriter, r *http.Request) {
	var form url.Values
	if strings.HasPrefix(r.URL.Path, "/u/") {
		form = url.Values{}
	}
	p.tryAgain(w, r, form)
}

// tryAgain answers so, and offers to send a form again; nil: it is not known.
func (p *public) tryAgain(w http.ResponseWriter, r *http.Request, form url.Values) {
	page := p.page(r, "")
	_, page.Senders = firstOf(p.knownSender(r), page.Senders)
	if r.Method == http.MethodPost && form != nil {
		page.Action = "?lang=" + page.Words.Language
		for _, name := range []string{"visit", "choice", "undo", "return", "wider"} {
			for _, value := range form[name] {
				page.Repeat = append(page.Repeat, field{name, value})
			}
		}
	}
	w.Header().Set("Retry-After", "10")
	p.pages.write(w, http.StatusServiceUnavailable, "unavailable", page)
}

// knownSender returns the sender of the message that a link is of, if it is in
// memory: whoever is told that nothing works now is told whom to write to instead.
func (p *public) knownSender(r *http.Request) string {
	kind, text, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	for _, purpose := range []tracking.Purpose{tracking.Unsubscribe, tracking.Preferences} {
		if token, err := p.c.Signer.Parse(purpose, text); err == nil && kind == string(purpose) {
			origin, _ := p.groups.get(token.Group)
			return origin.Sender
		}
	}
	return ""
}

func (p *public) notAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	w.WriteHeader(http.StatusMethodNotAllowed)
}

// rememberSenders is how long the senders are taken to be what they were. When
// the database does not answer, they stay, and it is asked again a little
// later: the page that says so must name whom to write to instead.
const (
	rememberSenders = time.Minute
	askAgain        = 5 * time.Second
)

type senders struct {
	store Library
	now   func() time.Time

	mu    sync.Mutex
	known []templates.Sender
	until time.Time
}

func (s *senders) get(ctx context.Context) []templates.Sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Before(s.until) {
		return s.known
	}
	// One asks for all: a request that is hung up must not leave the others
	// without an answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	found, err := s.store.Senders(ctx)
	if err != nil {
		s.until = now.Add(askAgain)
		return s.known
	}
	s.known, s.until = found, now.Add(rememberSenders)
	return s.known
}

// mostSenders is how many senders a page names at its end.
const mostSenders = 5

// Named are the senders that the end of the page names: that of the message first,
// where it is known. What the page says of the message asks all of them.
func (page publicPage) Named() []templates.Sender {
	return page.Senders[:min(len(page.Senders), mostSenders)]
}

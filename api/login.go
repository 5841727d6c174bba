package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"
)

const logoutPath = "/logout"

// linkLife is how long a log-in link waits to be used.
const linkLife = 15 * time.Minute

// newLink makes a log-in link and returns its path.
func (g *guard) newLink() string {
	b := make([]byte, 24)
	rand.Read(b) // never fails (crypto/rand, Go 1.24)
	link := base64.RawURLEncoding.EncodeToString(b)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.links[sha256.Sum256([]byte(link))] = g.c.Now().Add(linkLife)
	return "/login/" + link
}

// hasLink says whether a link would work, and uses it up if it shall be used.
func (g *guard) hasLink(link string, use bool) bool {
	hash, now := sha256.Sum256([]byte(link)), g.c.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.links, func(_ [32]byte, until time.Time) bool { return !now.Before(until) })
	_, ok := g.links[hash]
	if use {
		delete(g.links, hash)
	}
	return ok
}

// linkedVisitor returns the visitor of a session that a link began. Such a
// session has no key that could be revoked, so it ends with the process.
func (g *guard) linkedVisitor(ses session) (visitor, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.linked[ses.id]; !ok {
		return visitor{}, errNobody
	}
	return visitor{name: "log-in link", scope: ScopeAdmin, session: &ses}, nil
}

func (g *guard) startLinked() session {
	ses, now := g.sessions.start(0), g.c.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.linked, func(_ [16]byte, until time.Time) bool { return !now.Before(until) })
	g.linked[ses.id] = ses.expires
	return ses
}

// cookieName has the prefix that binds a cookie to https and to this very host
// (RFC 6265bis), where there is https.
func (g *guard) cookieName() string {
	if g.secure {
		return "__Host-utskick"
	}
	return "utskick"
}

func (g *guard) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: g.cookieName(), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: g.secure, SameSite: http.SameSiteStrictMode})
}

func (g *guard) logIn(w http.ResponseWriter, r *http.Request, ses session, next string) {
	g.setCookie(w, g.sessions.seal(ses), int(sessionLife/time.Second))
	http.Redirect(w, r, next, http.StatusSeeOther)
}

type loginPage struct {
	Next   string
	Failed string
}

// registerLogin adds the pages by which browsers come in and go out.
func (o *operator) registerLogin() {
	o.routes.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		o.pages.write(w, http.StatusOK, "login", loginPage{Next: localPath(r.URL.Query().Get("next"))})
	})
	o.routes.HandleFunc("POST /login", o.logInByKey)
	o.routes.HandleFunc("GET /login/{link}", o.showLink)
	o.routes.HandleFunc("POST /login/{link}", o.logInByLink)
	o.routes.HandleFunc("POST "+logoutPath, o.logOut)
}

func (o *operator) logInByKey(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	page := loginPage{Next: localPath(r.PostFormValue("next"))}
	key, err := o.guard.keys.byText(r.Context(), strings.TrimSpace(r.PostFormValue("key")))
	switch {
	case err == nil:
		o.guard.logIn(w, r, o.guard.sessions.start(key.ID), page.Next)
	case errors.Is(err, o.c.NotFound):
		page.Failed = "There is no such key, or it was revoked."
		o.pages.write(w, http.StatusUnauthorized, "login", page)
	default:
		o.c.Log.Error("a key could not be looked up", "error", err)
		page.Failed = "The database does not answer. Try again in a moment."
		o.pages.write(w, http.StatusServiceUnavailable, "login", page)
	}
}

// showLink leaves the link alone: scanners open every link that they see.
func (o *operator) showLink(w http.ResponseWriter, r *http.Request) {
	if !o.guard.hasLink(r.PathValue("link"), false) {
		o.pages.write(w, http.StatusNotFound, "nolink", nil)
		return
	}
	o.pages.write(w, http.StatusOK, "link", r.URL.Path)
}

func (o *operator) logInByLink(w http.ResponseWriter, r *http.Request) {
	if !o.guard.hasLink(r.PathValue("link"), true) {
		o.pages.write(w, http.StatusNotFound, "nolink", nil)
		return
	}
	o.guard.logIn(w, r, o.guard.startLinked(), "/")
}

func (o *operator) logOut(w http.ResponseWriter, r *http.Request) {
	if ses := visitorOf(r.Context()).session; ses != nil {
		o.guard.mu.Lock()
		delete(o.guard.linked, ses.id)
		o.guard.mu.Unlock()
	}
	o.guard.setCookie(w, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// localPath returns a path of this site, or its home: nobody is sent elsewhere
// after logging in.
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

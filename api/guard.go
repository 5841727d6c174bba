package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// guard stands before every route of the operator site. A route is closed
// unless open names it, so that a new one is never open by oversight.
type guard struct {
	c        Config
	keys     *knownKeys
	sessions sessions
	origins  *http.CrossOriginProtection
	secure   bool   // browsers come by https
	host     string // of OperatorURL; empty if there is none

	mu     sync.Mutex
	links  map[[32]byte]time.Time // hashes of log-in links that were not used, and when they end
	linked map[[16]byte]time.Time // sessions that a log-in link began, and when they end
}

// open lists the patterns that need no log-in.
var open = map[string]bool{
	"GET /healthz":       true,
	"GET /readyz":        true,
	"GET /login":         true,
	"POST /login":        true,
	"GET /login/{link}":  true,
	"POST /login/{link}": true,
}

func newGuard(c Config) *guard {
	g := &guard{c: c,
		keys:     &knownKeys{keys: c.Keys, now: c.Now},
		sessions: sessions{secret: c.Secret, now: c.Now},
		origins:  http.NewCrossOriginProtection(),
		links:    map[[32]byte]time.Time{},
		linked:   map[[16]byte]time.Time{},
	}
	if u, err := url.Parse(c.OperatorURL); err == nil {
		g.secure, g.host = u.Scheme == "https", u.Hostname()
	}
	if c.OperatorURL != "" {
		// It is a web address without a path, which is all that can fail here.
		_ = g.origins.AddTrustedOrigin(c.OperatorURL)
	}
	return g
}

// visitor is who asks: the holder of a key, or of a session.
type visitor struct {
	name    string
	scope   string
	session *session // nil for a bearer of a key
}

type visitorKey struct{}

// visitorOf returns who asks. On a closed route there is always one.
func visitorOf(ctx context.Context) visitor {
	v, _ := ctx.Value(visitorKey{}).(visitor)
	return v
}

var errNobody = errors.New("log in, or send Authorization: Bearer with an API key")

// before lets through to next whoever may do what is asked.
func (g *guard) before(routes *routes, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := g.misplaced(r); p != nil {
			writeProblem(w, p)
			return
		}
		if open[routes.pattern(r)] {
			next.ServeHTTP(w, r)
			return
		}
		v, err := g.visitor(r)
		if err != nil {
			g.turnAway(w, r, err)
			return
		}
		if p := g.forbidden(v, w, r, routes.path(r)); p != nil {
			writeProblem(w, p)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, v)))
	})
}

// misplaced refuses what comes by another site's doing: under a foreign name
// that leads to this machine (DNS rebinding), or from a foreign page.
func (g *guard) misplaced(r *http.Request) *ProblemDetails {
	if !g.knownHost(r) {
		return newProblem(http.StatusMisdirectedRequest,
			"this site does not go by that name: use localhost or an IP address, or configure the address of the operator site")
	}
	if err := g.origins.Check(r); err != nil {
		return newProblem(http.StatusForbidden, "this request comes from another site")
	}
	return nil
}

// knownHost reports whether the site may go by the name in a request. Names are
// checked on connections to this very machine, which is where a page of a
// stranger can reach through a browser what no stranger reaches by himself. A
// page cannot pretend to an IP address.
func (g *guard) knownHost(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (g.host != "" && strings.EqualFold(host, g.host))
}

// visitor finds out who asks. The error is errNobody, or the store's.
func (g *guard) visitor(r *http.Request) (visitor, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		return g.bearer(r.Context(), header)
	}
	cookie, err := r.Cookie(g.cookieName())
	if err != nil {
		return visitor{}, errNobody
	}
	ses, err := g.sessions.open(cookie.Value)
	if err != nil {
		return visitor{}, errNobody
	}
	if ses.key == 0 {
		return g.linkedVisitor(ses)
	}
	key, err := g.keys.byID(r.Context(), ses.key)
	if err != nil {
		return visitor{}, g.orNobody(err)
	}
	return visitor{name: key.Name, scope: key.Scope, session: &ses}, nil
}

func (g *guard) bearer(ctx context.Context, header string) (visitor, error) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(text, keyPrefix) {
		return visitor{}, errNobody
	}
	key, err := g.keys.byText(ctx, text)
	if err != nil {
		return visitor{}, g.orNobody(err)
	}
	return visitor{name: key.Name, scope: key.Scope}, nil
}

func (g *guard) orNobody(err error) error {
	if errors.Is(err, g.c.NotFound) {
		return errNobody
	}
	return err
}

// turnAway sends browsers to the log-in page and tells programs what to send.
func (g *guard) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case !errors.Is(err, errNobody):
		g.c.Log.Error("a key could not be looked up", "error", err)
		w.Header().Set("Retry-After", "5")
		writeProblem(w, newProblem(http.StatusServiceUnavailable, "the database does not answer, so nobody can be let in; try again"))
	case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
		http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	default:
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeProblem(w, newProblem(http.StatusUnauthorized, errNobody.Error()))
	}
}

// forbidden says why a visitor may not do what is asked, or nothing. path is that
// of the route.
func (g *guard) forbidden(v visitor, w http.ResponseWriter, r *http.Request, path string) *ProblemDetails {
	if !mayDo(v.scope, r.Method, path) && path != logoutPath {
		if servesRights(path) {
			return newProblem(http.StatusForbidden, "this key may not export or erase people: use one of scope admin or service")
		}
		if v.scope == ScopeApp {
			return newProblem(http.StatusForbidden, "this key may report devices and ask for subscriptions, and nothing else")
		}
		if v.scope == ScopeOfficer {
			return newProblem(http.StatusForbidden, "this key is the data protection officer's: it sees cases, the compliance report and the audit log")
		}
		if v.scope == ScopeService {
			return newProblem(http.StatusForbidden, "this key is one of customer service: for people, their wishes, their cases and what they answer, and nothing else")
		}
		return newProblem(http.StatusForbidden, "this key may read, and change nothing: use one of scope marketing or admin")
	}
	if v.session == nil || safeMethod(r.Method) || g.sessions.csrfValid(*v.session, csrfOf(w, r)) {
		return nil
	}
	return newProblem(http.StatusForbidden, "the form is not one of this session: load the page again, or send its token in X-CSRF-Token")
}

// maxForm bounds the forms of the operator's pages, in bytes.
const maxForm = 16 << 10

// csrfOf returns the token of a form, or of the header where there is no form.
func csrfOf(w http.ResponseWriter, r *http.Request) string {
	if token := r.Header.Get("X-CSRF-Token"); token != "" {
		return token
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return ""
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	return r.PostFormValue("csrf")
}

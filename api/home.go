package api

import (
	"net/http"
	"strings"
)

const homePath = "/{$}" // the route of the first page

// frame is what every page of the operator site shows around its content.
type frame struct {
	Title     string
	Visitor   string // name of the key
	MayChange bool   // what the page shows: who may open a case may do all that its pages offer
	CSRF      string // empty for a bearer of a key, who needs none
	Queues    bool   // there is a queue dashboard
	Outbox    bool
	Service   bool // the key is one of customer service, which sees no campaigns
	MayFind   bool // may look for people
	Metrics   bool
	Nav       []navLink
	Refresh   int    // seconds until the page loads itself again; 0 never
	Held      string // why all sending is held; empty: it is not
}

func (o *operator) frame(r *http.Request, title string) frame {
	v := visitorOf(r.Context())
	may := func(path string) bool { return mayDo(v.scope, http.MethodGet, path) } // of a route
	f := frame{Title: title, Visitor: v.name, MayChange: mayDo(v.scope, http.MethodPost, casesPath), MayFind: mayDo(v.scope, http.MethodPost, peoplePath),
		Service: v.scope == ScopeService, Queues: o.c.Queues != nil && may("/ops/queues"), Outbox: o.outbox != nil && may(routeOf("/outbox/")),
		Metrics: o.c.Metrics != nil && may("/metrics"), Nav: o.nav(v.scope)}
	if hold, err := o.c.Store.Hold(r.Context()); err == nil && hold.Held() {
		f.Held = sendingSays(hold)
	}
	if v.session != nil {
		f.CSRF = o.guard.sessions.csrf(*v.session)
	}
	return f
}

// navLink leads to one of the pages.
type navLink struct{ Path, Title string }

// nav returns the pages that are there and that a scope may see.
func (o *operator) nav(scope string) (links []navLink) {
	for _, l := range []struct {
		navLink
		there bool
	}{
		{navLink{"/", "Home"}, scope != ScopeService},
		{navLink{"/ops", "Campaigns"}, true},
		{navLink{peoplePath, "People"}, mayDo(scope, http.MethodPost, peoplePath)},
		{navLink{inboundPath, "Messages to read"}, true},
		{navLink{"/ops/cases", "Cases"}, true},
		{navLink{"/ops/compliance", "Compliance"}, true},
		{navLink{"/ops/queues", "Queues"}, o.c.Queues != nil},
		{navLink{"/outbox/", "Outbox"}, o.outbox != nil},
		{navLink{"/docs", "API"}, true},
	} {
		if l.there && mayDo(scope, http.MethodGet, routeOf(l.Path)) {
			links = append(links, l.navLink)
		}
	}
	return links
}

// routeOf returns the route of one of these pages: one whose path ends in a slash
// is its own.
func routeOf(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "{$}"
	}
	return path
}

func (o *operator) registerHome() {
	o.routes.HandleFunc("GET "+homePath, func(w http.ResponseWriter, r *http.Request) {
		if visitorOf(r.Context()).scope == ScopeService {
			http.Redirect(w, r, peoplePath, http.StatusSeeOther)
			return
		}
		campaigns, err := o.campaignLines(r.Context())
		if err != nil {
			o.pageFailed(w, r, "campaign", err)
			return
		}
		o.pages.write(w, http.StatusOK, "home", struct {
			frame
			Campaigns []campaignLine
		}{o.frame(r, "Utskick"), campaigns})
	})
}

// pageFailed answers for a page whose data could not be read; what is as for
// failed.
func (o *operator) pageFailed(w http.ResponseWriter, r *http.Request, what string, err error) {
	p := o.failed(what, err)
	o.pages.write(w, p.Status, "failed", struct {
		frame
		Detail string
	}{o.frame(r, p.Title), p.Detail})
}

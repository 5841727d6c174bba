package api

import (
	"net/http"
)

// frame is what every page of the operator site shows around its content.
type frame struct {
	Title     string
	Visitor   string // name of the key
	MayChange bool
	CSRF      string // empty for a bearer of a key, who needs none
	Queues    bool   // there is a queue dashboard
	Outbox    bool
	Service   bool // the key is one of customer service, which sees no campaigns
	MayFind   bool // may look for people
	Metrics   bool
	Refresh   int    // seconds until the page loads itself again; 0 never
	Held      string // why all sending is held; empty: it is not
}

func (o *operator) frame(r *http.Request, title string) frame {
	v := visitorOf(r.Context())
	f := frame{Title: title, Visitor: v.name, MayChange: mayDo(v.scope, http.MethodPost, ""),
		Queues: o.c.Queues != nil, Outbox: o.outbox != nil, Metrics: o.c.Metrics != nil}
	f.Service, f.MayFind = v.scope == ScopeService, mayDo(v.scope, http.MethodPost, peoplePath)
	if hold, err := o.c.Store.Hold(r.Context()); err == nil && hold.Held() {
		f.Held = sendingSays(hold)
	}
	if v.session != nil {
		f.CSRF = o.guard.sessions.csrf(*v.session)
	}
	return f
}

func (o *operator) registerHome() {
	o.routes.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
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

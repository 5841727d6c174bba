package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"utskick/rights"
)

// mostCases is how many cases a page lists.
const mostCases = 100

const casesPath = "/ops/cases"

func (o *operator) registerCasePages() {
	o.routes.HandleFunc("GET /ops/cases", func(w http.ResponseWriter, r *http.Request) { o.writeCases(w, r, caseFields{}, nil) })
	o.routes.HandleFunc("POST /ops/cases", o.openCaseByForm)
	o.routes.HandleFunc("GET /ops/cases/{id}", o.showCase)
	o.routes.HandleFunc("POST /ops/cases/{id}/{action}", func(w http.ResponseWriter, r *http.Request) { o.actOnCase(w, r, r.PathValue("action")) })
	// What some scopes may do alone needs a route of its own: scopes are asked about those.
	for _, action := range []string{"notes", "route"} {
		o.routes.HandleFunc("POST /ops/cases/{id}/"+action, func(w http.ResponseWriter, r *http.Request) { o.actOnCase(w, r, action) })
	}
}

// choices are the closed lists that the forms offer.
type caseChoices struct {
	Kinds   []rights.CaseKind
	Ways    []rights.Way
	Routes  []rights.Route
	Methods []rights.IdentityMethod
}

var offeredForCases = caseChoices{rights.CaseKinds, rights.Ways, rights.Routes, rights.IdentityMethods}

// casesPage lists cases, with a form that opens one.
type casesPage struct {
	frame
	caseChoices
	Wrong  *ProblemDetails // with what was sent
	Filled caseFields      // what was sent, if it was refused
	Filter rights.CaseFilter
	Cases  []caseView
	More   string // query of the next page
}

// writeCases lists cases as the query says. wrong is why a form was refused.
func (o *operator) writeCases(w http.ResponseWriter, r *http.Request, filled caseFields, wrong *ProblemDetails) {
	query := r.URL.Query()
	after, _ := strconv.ParseInt(query.Get("after"), 10, 64) // anything else is the first page
	f := rights.CaseFilter{Waiting: query.Get("show") == "", Overdue: query.Get("show") == "overdue", Route: rights.Route(query.Get("route")),
		Kind: rights.CaseKind(query.Get("kind")), After: max(after, 0), Limit: mostCases}
	found, err := o.c.Store.Cases(r.Context(), f, o.c.Now())
	if err != nil {
		o.pageFailed(w, r, "case", err)
		return
	}
	page := casesPage{frame: o.frame(r, "Cases"), caseChoices: offeredForCases, Wrong: wrong, Filled: filled, Filter: f}
	for _, c := range found {
		page.Cases = append(page.Cases, o.viewCase(c))
	}
	if len(found) == mostCases {
		query.Set("after", strconv.FormatInt(found[len(found)-1].ID, 10))
		page.More = "?" + query.Encode()
	}
	status := http.StatusOK
	if wrong != nil {
		status = wrong.Status
	}
	o.pages.write(w, status, "cases", page)
}

func (o *operator) openCaseByForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f := caseFields{Kind: r.PostFormValue("kind"), Way: r.PostFormValue("way"), ReceivedAt: r.PostFormValue("received_at"),
		External: r.PostFormValue("external_case"), Route: r.PostFormValue("route"), Note: r.PostFormValue("note")}
	f.Person.Kind, f.Person.Address = r.PostFormValue("person_kind"), r.PostFormValue("person")
	if f.Person.Address == "" {
		f.Person.Kind = "" // the form always has one
	}
	c, p := o.openCase(r.Context(), f)
	if p != nil {
		f.Person.Address = "" // an address is not sent back
		o.writeCases(w, r, f, p)
		return
	}
	http.Redirect(w, r, casePath(c.ID), http.StatusSeeOther)
}

func casePath(id int64) string { return "/ops/cases/" + strconv.FormatInt(id, 10) }

func (o *operator) showCase(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		o.pageFailed(w, r, "case of this number", o.c.NotFound)
		return
	}
	o.writeCase(w, r, id, nil)
}

// writeCase shows a case. wrong is why a form on it was refused.
func (o *operator) writeCase(w http.ResponseWriter, r *http.Request, id int64, wrong *ProblemDetails) {
	c, err := o.c.Store.Case(r.Context(), id)
	if err != nil {
		o.pageFailed(w, r, "case of this number", err)
		return
	}
	page := struct {
		frame
		caseChoices
		Wrong         *ProblemDetails
		Sent          url.Values // by a form that was refused
		Case          caseView
		Waiting       bool
		IsObjection   bool
		IsRestriction bool
		MayNote       bool
	}{frame: o.frame(r, "Case "+strconv.FormatInt(id, 10)), caseChoices: offeredForCases, Wrong: wrong, Case: o.viewCase(c), Waiting: c.State.Waiting(),
		IsObjection: c.Kind == rights.CaseObjection, IsRestriction: c.Kind == rights.CaseRestriction}
	page.MayNote = page.MayChange || visitorOf(r.Context()).scope == ScopeOfficer && c.Route == rights.RouteOfficer
	status := http.StatusOK
	if wrong != nil {
		status, page.Sent = wrong.Status, r.PostForm
	}
	o.pages.write(w, status, "case", page)
}

// actOnCase does what a form says and goes back to the case.
func (o *operator) actOnCase(w http.ResponseWriter, r *http.Request, action string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	do := o.caseActions(r)[action]
	if err != nil || do == nil {
		o.pageFailed(w, r, "such form", o.c.NotFound)
		return
	}
	if p := do(r.Context(), id); p != nil {
		o.writeCase(w, r, id, p)
		return
	}
	http.Redirect(w, r, casePath(id), http.StatusSeeOther)
}

// caseActions are the forms on the page of a case, by the last part of where they
// are sent.
func (o *operator) caseActions(r *http.Request) map[string]func(context.Context, int64) *ProblemDetails {
	field := r.PostFormValue
	change := func(action, detail string, change caseChange) func(context.Context, int64) *ProblemDetails {
		return func(ctx context.Context, id int64) *ProblemDetails {
			_, p := o.changeCase(ctx, id, action, detail, change)
			return p
		}
	}
	actions := map[string]func(context.Context, int64) *ProblemDetails{
		"notes":    change("note", "", writing(field("text"))),
		"identity": change("identity", field("method"), checking(field("method"))),
		"extend":   change("extend", "", extending(field("reason"), field("told_at"))),
		"route":    change("route", field("route"), routing(field("route"))),
		"lift-restriction": func(ctx context.Context, id int64) *ProblemDetails {
			_, p := o.lift(ctx, id, field("informed_at"))
			return p
		},
	}
	for state, name := range endings {
		actions[name] = change(name, "", ending(state, field("outcome")))
	}
	return actions
}

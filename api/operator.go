package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"utskick/dispatcher"
	"utskick/suppression"
)

// operator is the site of the people who run campaigns.
type operator struct {
	c       Config
	guard   *guard
	routes  *routes
	api     huma.API
	pages   *pages
	outbox  *outbox // nil: there is none
	reader  suppression.Reader
	finder  finder
	handler http.Handler
}

// operatorHeaders keep the pages from loading anything from elsewhere, from
// being framed, and from being kept by a browser after log-out.
func operatorHeaders(p *pages) map[string]string {
	return map[string]string{
		"Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; style-src " + p.styleSource +
			"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"Referrer-Policy":        "no-referrer",
		"X-Content-Type-Options": "nosniff",
	}
}

func newOperator(c Config) *operator {
	o := &operator{c: c, guard: newGuard(c), routes: &routes{}, pages: loadPages(c.Log),
		reader: suppression.Reader{Keyer: c.Keyer, Region: c.Region, Source: "operator"}}
	o.finder = finder{o.reader, c.Signer}
	o.api = humago.New(o.routes, humaConfig(c.Version))
	o.registerContacts()
	o.registerImports()
	o.registerSenders()
	o.registerNotices()
	o.registerTemplates()
	o.registerCampaigns()
	o.registerSuppressions()
	o.registerInstances()
	o.registerInbound()
	o.registerCases()
	o.registerCasePages()
	o.registerCompliance()
	o.registerPeople()
	o.registerPeoplePages()
	o.registerInboundPages()
	o.registerSubscriptions()
	o.registerDevices()
	o.registerDatabase()
	o.registerRights()
	o.registerHolds()
	o.registerLogin()
	o.registerHome()
	o.registerOps()
	o.registerDocs()
	o.registerOutbox()
	o.registerHealth()
	problem := func(status int, detail string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, newProblem(status, detail)) })
	}
	h := o.guard.before(o.routes, o.routes)
	h = recovered(c.Log, h, problem(http.StatusInternalServerError, "this is a defect of the program; its log says where"))
	h = limited(maxConcurrent, h, problem(http.StatusServiceUnavailable, "too many requests at a time; try again"))
	o.handler = withHeaders(operatorHeaders(o.pages), h)
	return o
}

// humaConfig leaves out what huma would add to bodies and routes: links to
// schemas, a viewer that is loaded from elsewhere, and its own route to the
// document, which is made at the first request without a lock.
func humaConfig(version string) huma.Config {
	if version == "" {
		version = "0"
	}
	config := huma.DefaultConfig("Utskick", version)
	config.Info.Description = "Direct marketing by e-mail, SMS and push, with suppression enforced at the moment of sending."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	json := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	config.Formats = map[string]huma.Format{"application/json": json, "json": json}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		securityName: {Type: "http", Scheme: "bearer", Description: "An API key, as utskick keys create prints it"},
	}
	config.Security = []map[string][]string{{securityName: {}}}
	return config
}

const securityName = "key"

// operation describes a route of the API.
func operation(method, path, id, tag, summary, description string) huma.Operation {
	return huma.Operation{Method: method, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary, Description: description}
}

// failed turns an error of the store into an answer. what names what was looked
// for, and holds nothing that was sent.
func (o *operator) failed(what string, err error) *ProblemDetails {
	switch {
	case errors.Is(err, o.c.NotFound):
		return newProblem(http.StatusNotFound, "there is no "+what)
	case errors.Is(err, o.c.Conflict):
		return newProblem(http.StatusConflict, strings.TrimSuffix(err.Error(), ": "+o.c.Conflict.Error()))
	}
	o.c.Log.Error("the store failed", "about", what, "error", err)
	return newProblem(http.StatusServiceUnavailable, "the database did not answer; a change may or may not have been made, so look before trying again")
}

// audit records what a visitor did. What is done is done: a failure to record
// it is logged and does not turn the answer into an error.
func (o *operator) audit(ctx context.Context, action, object, detail string) {
	actor := visitorOf(ctx).name
	if err := o.c.Store.Audit(context.WithoutCancel(ctx), actor, action, object, detail); err != nil {
		o.c.Log.Error("the audit log was not written", "actor", actor, "action", action, "object", object, "error", err)
	}
}

// pingTimeout is how long /readyz waits for an answer.
const pingTimeout = 2 * time.Second

func (o *operator) registerHealth() {
	o.routes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"process": "ok"})
	})
	o.routes.HandleFunc("GET /readyz", o.ready)
	if o.c.Metrics != nil {
		o.routes.Handle("GET /metrics", promhttp.HandlerFor(o.c.Metrics, promhttp.HandlerOpts{}))
	}
	if o.c.Queues != nil {
		queues := withHeaders(map[string]string{"Content-Security-Policy": queuesPolicy}, o.c.Queues)
		o.routes.Handle("GET /ops/queues", queues)
		o.routes.Handle("GET /ops/queues/", queues)
	}
}

// queuesPolicy lets the queue dashboard run the scripts and styles that it
// brings inline, and load nothing from elsewhere: its fonts and icons fall back
// to those of the browser.
const queuesPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ready depends on the database alone: without Redis everything goes on, more
// slowly.
func (o *operator) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	state := func(ask func(context.Context) error) string {
		if ask == nil {
			return "none"
		}
		if ask(ctx) != nil {
			return "no answer"
		}
		return "ok"
	}
	parts := map[string]string{"database": state(o.c.Store.Ping), "redis": state(o.c.Redis), "sending": "unknown"}
	status := http.StatusOK
	if parts["database"] != "ok" {
		status = http.StatusServiceUnavailable
	}
	// Held or not, the pages that customers meet are served: it stays ready.
	if hold, err := o.c.Store.Hold(ctx); err == nil {
		parts["sending"] = sendingSays(hold)
		if all, err := o.c.Store.Instances(ctx); err == nil && parts["sending"] == "ok" {
			parts["sending"] = sendingWaitsFor(all)
		}
	}
	standing := o.c.Intake.Standing()
	parts["lease"], parts["spool"] = "held", fmt.Sprintf("%d records", standing.Kept)
	if !standing.Joined || standing.Away {
		parts["lease"] = "not renewed"
	}
	writeJSON(w, status, parts)
}

// sendingWaitsFor names an instance whose lease has lapsed.
func sendingWaitsFor(all []suppression.Instance) string {
	for _, i := range all {
		if i.State == suppression.LeaseLapsed {
			return "held: instance " + i.Name + " has not renewed its lease; start it again, or if it is gone for good: utskick instances release " + i.Name
		}
	}
	return "ok"
}

func sendingSays(h dispatcher.Hold) string {
	if !h.Held() {
		return "ok"
	}
	return "held: " + h.Why + "; " + dispatcher.WayOut
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away
}

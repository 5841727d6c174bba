package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"utskick/audience"
	"utskick/rights"
)

// Rights is the part of the store by which people's rights are carried out.
type Rights interface {
	rights.Source
	rights.Erasures
}

const rightsTag = "People's rights"

// The routes where all that is held about somebody can be had, and removed.
const (
	exportRoute     = "/v1/contacts/{external_id}/export"
	exportPageRoute = "/v1/contacts/{external_id}/export.html"
	eraseRoute      = "/v1/contacts/{external_id}/erase"
)

func servesRights(path string) bool {
	return path == exportRoute || path == exportPageRoute || path == eraseRoute
}

// mayServeRights says which scopes may export and erase: reading lists is not
// enough for all about one person, and neither is running campaigns.
func mayServeRights(scope string) bool { return scope == ScopeAdmin || scope == ScopeService }

func (o *operator) exporter() *rights.Exporter {
	return &rights.Exporter{Source: o.c.Store, About: o.c.About, Now: o.c.Now}
}

func (o *operator) eraser() *rights.Eraser {
	return &rights.Eraser{Store: o.c.Store, Recorder: o.c.Register, Log: o.c.Log}
}

func (o *operator) registerRights() {
	export := operation(http.MethodGet, exportRoute, "export-person", rightsTag, "Export all that is held about a person (JSON)",
		"For access and portability (GDPR 15 and 20). Needs a key of scope admin or service, and is in the audit log. The format is stable; docs/formats.md has it.")
	export.Responses = map[string]*huma.Response{"200": {Description: "The export", Content: map[string]*huma.MediaType{"application/json": {}}}}
	huma.Register(o.api, export, o.exportJSON)
	page := operation(http.MethodGet, exportPageRoute, "export-person-page", rightsTag, "Export all that is held about a person (a page to read)",
		"One file that needs nothing else, in Swedish or English by the person's locale, or by lang.")
	page.Responses = map[string]*huma.Response{"200": {Description: "The page", Content: map[string]*huma.MediaType{"text/html": {}}}}
	huma.Register(o.api, page, o.exportHTML)
	erase := operation(http.MethodPost, eraseRoute, "erase-person", rightsTag, "Erase a person",
		"When this answers, nothing new can be sent to the person. She is erased within a minute, or once the last run has ended that has her (GDPR 17). "+
			"What is kept is her keyed suppression, so that a later import of her is not sent to, unless she declines it.")
	erase.DefaultStatus = http.StatusAccepted
	huma.Register(o.api, erase, o.erasePerson)
	huma.Register(o.api, operation(http.MethodGet, "/v1/erasures", "list-erasures", rightsTag, "List erasures",
		"The newest first, without who was erased. One that is not done waits for the runs that have the person."), o.listErasures)
}

// exported makes the export of a person and notes who had it made.
func (o *operator) exported(ctx context.Context, in exportPath, form string) (rights.Export, error) {
	id, err := contactPath{in.ExternalID}.id()
	if err != nil {
		return rights.Export{}, err
	}
	made, err := o.exporter().Make(ctx, id, in.Language)
	if err != nil {
		return rights.Export{}, o.failed("contact with this external id", err)
	}
	o.audit(ctx, "person.export", o.c.Keyer.Key(audience.KindContact, id).Short(), form)
	return made, nil
}

type exportPath struct {
	ExternalID string `path:"external_id" doc:"The retailer's own name for the contact"`
	Language   string `query:"lang" enum:"sv,en" doc:"Absent: by the person's locale"`
}

func (o *operator) exportJSON(ctx context.Context, in *exportPath) (*huma.StreamResponse, error) {
	made, err := o.exported(ctx, *in, "json")
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Disposition", `attachment; filename="export.json"`)
		_ = made.WriteJSON(w) // the client went away
	}}, nil
}

// exportPolicy lets the page have the one style that it brings inline, and load
// nothing.
const exportPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (o *operator) exportHTML(ctx context.Context, in *exportPath) (*huma.StreamResponse, error) {
	made, err := o.exported(ctx, *in, "html")
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", exportPolicy)
		_ = made.WriteHTML(w) // the client went away
	}}, nil
}

type eraseFields struct {
	Case    string `json:"case" minLength:"1" maxLength:"100" doc:"Number of the case, such as that of a paper file; no name and no address"`
	Decline bool   `json:"decline_suppression,omitempty" doc:"The person wants no suppression to be kept but what she had said before, and may be sent to when a file brings her again"`
}

func (o *operator) erasePerson(ctx context.Context, in *struct {
	ExternalID string `path:"external_id" doc:"The retailer's own name for the contact"`
	Body       eraseFields
}) (*struct{ Body rights.Erasure }, error) {
	id, err := contactPath{in.ExternalID}.id()
	if err != nil {
		return nil, err
	}
	asked := rights.Asked{ExternalID: id, Case: in.Body.Case, By: visitorOf(ctx).name, Declined: in.Body.Decline}
	if err := asked.Check(); err != nil {
		field, rule, _ := strings.Cut(err.Error(), ": ")
		return nil, invalid(Violation{Field: "body." + field, Rule: rule})
	}
	// A client that hangs up has still told us.
	ctx = context.WithoutCancel(ctx)
	e, err := o.eraser().Ask(ctx, asked)
	switch {
	case errors.Is(err, o.c.NotFound):
		return nil, o.failed("contact with this external id", err)
	case err != nil:
		o.c.Log.Error("an erasure was not acknowledged", "error", err)
		return nil, newProblem(http.StatusServiceUnavailable, "the erasure was not acknowledged; ask for it again until it is")
	}
	o.audit(ctx, "person.erase", o.c.Keyer.Key(audience.KindContact, id).Short(), "case "+asked.Case)
	return &struct{ Body rights.Erasure }{e}, nil
}

type erasureList struct {
	Erasures []rights.Erasure `json:"erasures"`
}

func (o *operator) listErasures(ctx context.Context, in *struct {
	Open  bool `query:"open" doc:"Only those that are not done"`
	Limit int  `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}) (*struct{ Body erasureList }, error) {
	list, err := o.c.Store.ErasureList(ctx, in.Open, in.Limit)
	if err != nil {
		return nil, o.failed("erasure", err)
	}
	if list == nil {
		list = []rights.Erasure{}
	}
	return &struct{ Body erasureList }{erasureList{list}}, nil
}

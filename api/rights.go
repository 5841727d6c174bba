package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
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
	exportRoute           = "/v1/contacts/{external_id}/export"
	exportPageRoute       = "/v1/contacts/{external_id}/export.html"
	eraseRoute            = "/v1/contacts/{external_id}/erase"
	personExportRoute     = "/v1/people/{id}/export"
	personExportPageRoute = "/v1/people/{id}/export.html"
	personEraseRoute      = "/v1/people/{id}/erase"
)

func servesRights(path string) bool {
	return slices.Contains([]string{exportRoute, exportPageRoute, eraseRoute, personExportRoute, personExportPageRoute, personEraseRoute}, path)
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
	o.registerRightsOfPeople()
	huma.Register(o.api, operation(http.MethodGet, "/v1/erasures", "list-erasures", rightsTag, "List erasures",
		"The newest first, without who was erased. One that is not done waits for the runs that have the person."), o.listErasures)
}

// registerRightsOfPeople offers the same for whoever customer service has found:
// also for somebody who is no contact, but of whom something is held.
func (o *operator) registerRightsOfPeople() {
	const what = "As for a contact. For a key it is what is held under it of somebody who is no contact: what she answered, her cases, her wishes, " +
		"and newsletters that she asked for. A key that a contact has or had is refused: take the contact."
	export := operation(http.MethodGet, personExportRoute, "export-found-person", rightsTag, "Export all that is held about a person or a key (JSON)", what)
	export.Responses = map[string]*huma.Response{"200": {Description: "The export", Content: map[string]*huma.MediaType{"application/json": {}}}}
	huma.Register(o.api, export, func(ctx context.Context, in *foundPath) (*huma.StreamResponse, error) {
		return asJSON(o.exportFound(ctx, *in, "json"))
	})
	page := operation(http.MethodGet, personExportPageRoute, "export-found-person-page", rightsTag, "Export all that is held about a person or a key (a page to read)", what)
	page.Responses = map[string]*huma.Response{"200": {Description: "The page", Content: map[string]*huma.MediaType{"text/html": {}}}}
	huma.Register(o.api, page, func(ctx context.Context, in *foundPath) (*huma.StreamResponse, error) {
		return asPage(o.exportFound(ctx, *in, "html"))
	})
	erase := operation(http.MethodPost, personEraseRoute, "erase-found-person", rightsTag, "Erase a person, or what is held under a key", what)
	erase.DefaultStatus = http.StatusAccepted
	huma.Register(o.api, erase, o.eraseFound)
}

// exported makes the export of a contact and notes who had it made.
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

// exportFound does the same for whoever an id names, a contact or a bare key.
func (o *operator) exportFound(ctx context.Context, in foundPath, form string) (made rights.Export, err error) {
	p, err := o.person(ctx, in.ID)
	if err != nil {
		return made, o.failed(noPerson, err)
	}
	if p.contact != nil {
		made, err = o.exporter().Make(ctx, p.contact.ExternalID, in.Language)
	} else {
		made, err = o.exporter().MakeOfKey(ctx, p.key, in.Language)
	}
	if err != nil {
		return made, o.rightsFailed(err)
	}
	o.audit(ctx, "person.export", p.object(), form)
	return made, nil
}

// rightsFailed turns an error about somebody who was found into an answer.
func (o *operator) rightsFailed(err error) *ProblemDetails {
	if errors.Is(err, rights.ErrContact) {
		return newProblem(http.StatusConflict, rights.ErrContact.Error())
	}
	return o.failed(noPerson, err)
}

type foundPath struct {
	ID       string `path:"id" doc:"Number of a contact, or a key in hexadecimal"`
	Language string `query:"lang" enum:"sv,en" doc:"Absent: by the person's locale"`
}

type exportPath struct {
	ExternalID string `path:"external_id" doc:"The retailer's own name for the contact"`
	Language   string `query:"lang" enum:"sv,en" doc:"Absent: by the person's locale"`
}

func (o *operator) exportJSON(ctx context.Context, in *exportPath) (*huma.StreamResponse, error) {
	return asJSON(o.exported(ctx, *in, "json"))
}

func asJSON(made rights.Export, err error) (*huma.StreamResponse, error) {
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
	return asPage(o.exported(ctx, *in, "html"))
}

func asPage(made rights.Export, err error) (*huma.StreamResponse, error) {
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
	Case    string `json:"case" minLength:"1" maxLength:"100" doc:"Number of the case, such as that of a paper file; no name, no address and no identity number"`
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
	return o.erase(ctx, rights.Asked{ExternalID: id}, in.Body)
}

func (o *operator) eraseFound(ctx context.Context, in *struct {
	ID   string `path:"id" doc:"Number of a contact, or a key in hexadecimal"`
	Body eraseFields
}) (*struct{ Body rights.Erasure }, error) {
	p, err := o.person(ctx, in.ID)
	if err != nil {
		return nil, o.failed(noPerson, err)
	}
	if p.contact != nil {
		return o.erase(ctx, rights.Asked{ExternalID: p.contact.ExternalID}, in.Body)
	}
	return o.erase(ctx, rights.Asked{Key: p.key}, in.Body)
}

func (o *operator) erase(ctx context.Context, asked rights.Asked, f eraseFields) (*struct{ Body rights.Erasure }, error) {
	asked.Case, asked.By, asked.Declined = f.Case, visitorOf(ctx).name, f.Decline
	if err := asked.Check(); err != nil {
		field, rule, _ := strings.Cut(err.Error(), ": ")
		return nil, invalid(Violation{Field: "body." + field, Rule: rule})
	}
	// A client that hangs up has still told us.
	ctx = context.WithoutCancel(ctx)
	e, err := o.eraser().Ask(ctx, asked)
	switch {
	case errors.Is(err, o.c.NotFound) && asked.Key.IsZero():
		return nil, o.failed("contact with this external id", err)
	case errors.Is(err, rights.ErrContact):
		return nil, o.rightsFailed(err)
	case err != nil:
		o.c.Log.Error("an erasure was not acknowledged", "error", err)
		return nil, newProblem(http.StatusServiceUnavailable, "the erasure was not acknowledged; ask for it again until it is")
	}
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

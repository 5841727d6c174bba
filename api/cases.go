package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
	"utskick/rights"
	"utskick/suppression"
)

const casesTag = "Cases"

// caseFields open a case.
type caseFields struct {
	Kind       string `json:"kind" enum:"access,rectification,erasure,restriction,portability,objection,question,complaint" doc:"An objection is one to direct marketing"`
	Way        string `json:"way" enum:"mail,phone,letter,chat,web" doc:"How it reached us"`
	ReceivedAt string `json:"received_at,omitempty" doc:"RFC 3339, or a day; now if it is not given"`
	Person     struct {
		Kind    string `json:"kind,omitempty" enum:"email,phone,push,contact,key" doc:"What address is; a contact is named by its external id, a key in hexadecimal"`
		Address string `json:"address,omitempty" doc:"Of an address, the key alone is kept"`
	} `json:"person,omitempty" doc:"Only questions and complaints may do without"`
	External string `json:"external_case,omitempty" doc:"Number of the paper case; no identity number"`
	Route    string `json:"route,omitempty" enum:"service,officer" doc:"Customer service, or the data protection officer"`
	Note     string `json:"note,omitempty"`
}

// caseView is a case as the API shows it.
type caseView struct {
	ID         int64          `json:"id"`
	Kind       string         `json:"kind"`
	Way        string         `json:"way"`
	ReceivedAt time.Time      `json:"received_at"`
	Due        string         `json:"due" doc:"The day by which it is to be answered: a month after it came, or three (GDPR 12(3))"`
	Overdue    bool           `json:"overdue"`
	State      string         `json:"state" enum:"open,extended,answered,refused,closed"`
	Route      string         `json:"route" enum:"service,officer"`
	OpenedAt   time.Time      `json:"opened_at"`
	OpenedBy   string         `json:"opened_by"`
	Contact    string         `json:"contact,omitempty" doc:"External id of the contact"`
	Key        string         `json:"key,omitempty" doc:"Key of the person or of the address that she came by, in hexadecimal"`
	External   string         `json:"external_case,omitempty"`
	Identity   *identityView  `json:"identity,omitempty" doc:"Absent: not checked"`
	Extension  *extensionView `json:"extension,omitempty"`
	Outcome    string         `json:"outcome,omitempty"`
	EndedAt    time.Time      `json:"ended_at,omitzero"`
	EndedBy    string         `json:"ended_by,omitempty"`
	Notes      []noteView     `json:"notes,omitempty"`
}

type identityView struct {
	Method string    `json:"method"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

type extensionView struct {
	Reason string    `json:"reason"`
	ToldAt time.Time `json:"told_at"`
}

type noteView struct {
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	Text string    `json:"text"`
}

func (o *operator) viewCase(c rights.Case) caseView {
	v := caseView{ID: c.ID, Kind: string(c.Kind), Way: string(c.Way), ReceivedAt: c.Received, Due: c.Due.Format(time.DateOnly), Overdue: c.Overdue(o.c.Now()),
		State: string(c.State), Route: string(c.Route), OpenedAt: c.Opened, OpenedBy: c.OpenedBy, Contact: c.Contact, External: c.External,
		Outcome: c.Outcome, EndedAt: c.Ended, EndedBy: c.EndedBy}
	if !c.Key.IsZero() {
		v.Key = c.Key.String()
	}
	if c.Identity.Method != "" {
		v.Identity = &identityView{string(c.Identity.Method), c.Identity.By, c.Identity.At}
	}
	if !c.ExtendedTold.IsZero() {
		v.Extension = &extensionView{c.ExtendedReason, c.ExtendedTold}
	}
	for _, n := range c.Notes {
		v.Notes = append(v.Notes, noteView(n))
	}
	return v
}

type caseAnswer struct{ Body caseView }

func (o *operator) registerCases() {
	post := func(path, id, summary, description string) huma.Operation {
		return operation(http.MethodPost, path, id, casesTag, summary, description)
	}
	opens := post("/v1/cases", "open-case", "Open a case", "It is due a month after it was received (GDPR 12(3)). A case of kind objection or restriction holds "+
		"when this answers: no send to the person can be started any more. An objection to marketing needs no identification and no paper.")
	opens.DefaultStatus = http.StatusCreated
	huma.Register(o.api, opens, o.postCase)
	huma.Register(o.api, operation(http.MethodGet, "/v1/cases", "list-cases", casesTag, "List cases", "In the order of their numbers, without notes."), o.listCases)
	huma.Register(o.api, operation(http.MethodGet, "/v1/cases/{id}", "read-case", casesTag, "Read a case", "With its notes."), o.getCase)
	huma.Register(o.api, post("/v1/cases/{id}/notes", "note-case", "Write a note", "Free text; no identity numbers."), o.noteCase)
	huma.Register(o.api, post("/v1/cases/{id}/identity", "check-identity", "Note how identity was checked",
		"By the name of the key, now. Refused for an objection to marketing, which needs none (GDPR 12(2), 21(2)-(3))."), o.checkCase)
	huma.Register(o.api, post("/v1/cases/{id}/extend", "extend-case", "Take two more months",
		"Once, when the person was told so and why within the first month (GDPR 12(3))."), o.extendCase)
	huma.Register(o.api, post("/v1/cases/{id}/route", "route-case", "Hand a case over", ""), o.routeCase)
	huma.Register(o.api, post("/v1/cases/{id}/answer", "answer-case", "Note that a case was answered",
		"What gives out or changes data needs an identity check first."), o.endCase(rights.CaseAnswered))
	huma.Register(o.api, post("/v1/cases/{id}/refuse", "refuse-case", "Note that a case was refused",
		"The outcome is the reason, which the person is told, with where she can complain (GDPR 12(4)). An objection to marketing cannot be refused."), o.endCase(rights.CaseRefused))
	huma.Register(o.api, post("/v1/cases/{id}/close", "close-case", "Close a case that needs no answer", "Such as one that was taken back."), o.endCase(rights.CaseClosed))
	o.registerRestriction()
}

func (o *operator) postCase(ctx context.Context, in *struct{ Body caseFields }) (*caseAnswer, error) {
	c, p := o.openCase(ctx, in.Body)
	if p != nil {
		return nil, p
	}
	return &caseAnswer{o.viewCase(c)}, nil
}

// openCase keeps a case, after what it asks of every send is in force: if only
// one of the two can be done, it is that.
func (o *operator) openCase(ctx context.Context, f caseFields) (rights.Case, *ProblemDetails) {
	c := rights.Case{Kind: rights.CaseKind(f.Kind), Way: rights.Way(f.Way), External: f.External, Route: rights.Route(f.Route)}
	now, by := o.c.Now(), visitorOf(ctx).name
	var p *ProblemDetails
	if c.Contact, c.Key, p = o.subject(ctx, f.Person.Kind, f.Person.Address); p != nil {
		return c, p
	}
	var err error
	if c.Received, err = moment("received_at", f.ReceivedAt); err == nil {
		err = c.Open(now, by)
	}
	if err == nil && strings.TrimSpace(f.Note) != "" {
		err = c.Write(f.Note, by, now)
	}
	if err != nil {
		return c, o.caseFailed(err)
	}
	detail := string(c.Kind)
	if wish, asks := c.Wish(by); asks {
		detail += ", in force"
		if _, err := o.c.Intake.Record(context.WithoutCancel(ctx), wish); err != nil {
			o.c.Log.Error("a wish was not recorded", "key", c.Key.Short(), "error", err)
			return c, newProblem(http.StatusServiceUnavailable, "nothing was acknowledged, and no case was opened; send it again")
		}
	}
	if c, err = o.c.Store.OpenCase(context.WithoutCancel(ctx), c); err != nil {
		p := o.caseFailed(err)
		p.Detail = "the case was perhaps not kept; an objection or restriction in it is in force. Look, and send it again"
		return c, p
	}
	o.audit(ctx, "case.open", strconv.FormatInt(c.ID, 10), detail)
	return c, nil
}

// subject finds whom a case is about. Of an address the key is taken alone.
func (o *operator) subject(ctx context.Context, kind, address string) (contact string, key audience.Key, p *ProblemDetails) {
	if kind == "" && strings.TrimSpace(address) == "" {
		return "", key, nil
	}
	key, err := o.reader.Key(kind, address)
	if err != nil {
		return "", key, invalid(Violation{Field: "body.person.address", Rule: err.Error()})
	}
	if audience.Kind(kind) != audience.KindContact {
		return "", key, nil
	}
	c, err := o.contactByID(ctx, address)
	if errors.Is(err, o.c.NotFound) {
		return "", key, invalid(Violation{Field: "body.person.address", Rule: "is no contact; name who is none by an address"})
	}
	if err != nil {
		return "", key, o.failed("contact", err)
	}
	return c.ExternalID, key, nil
}

func (o *operator) contactByID(ctx context.Context, id string) (audience.Contact, error) {
	id, err := audience.NormalizeExternalID(id)
	if err != nil {
		return audience.Contact{}, fmt.Errorf("contact: %w", o.c.NotFound)
	}
	return o.c.Store.Contact(ctx, id)
}

// moment reads a time, or a day. Nothing is no time.
func moment(field, s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, rights.Broken{Field: field, Rule: "is neither a day such as 2026-11-28 nor a moment such as 2026-11-28T09:30:00+01:00"}
}

// caseFailed turns an error about a case into an answer.
func (o *operator) caseFailed(err error) *ProblemDetails {
	var whole *ProblemDetails
	if errors.As(err, &whole) {
		return whole
	}
	broken, is := rights.AsBroken(err)
	switch {
	case !is:
		return o.failed("case", err)
	case broken.Field == "case" || broken.Field == "identity":
		return newProblem(http.StatusConflict, "the "+broken.Field+" "+broken.Rule)
	}
	return invalid(Violation{Field: "body." + broken.Field, Rule: broken.Rule})
}

// changeCase does one thing to a case, in the name of the visitor. What the
// officer may do at all she may do to cases that are routed to her.
func (o *operator) changeCase(ctx context.Context, id int64, action, detail string, change func(c *rights.Case, by string, now time.Time) error) (rights.Case, *ProblemDetails) {
	v := visitorOf(ctx)
	c, err := o.c.Store.ChangeCase(context.WithoutCancel(ctx), id, func(c *rights.Case) error {
		if v.scope == ScopeOfficer && c.Route != rights.RouteOfficer {
			return newProblem(http.StatusForbidden, "this case is not routed to the officer: she may read it, and change nothing")
		}
		return change(c, v.name, o.c.Now())
	})
	if err != nil {
		return c, o.caseFailed(err)
	}
	o.audit(ctx, "case."+action, strconv.FormatInt(id, 10), detail)
	return c, nil
}

func (o *operator) caseView(c rights.Case, p *ProblemDetails) (*caseAnswer, error) {
	if p != nil {
		return nil, p
	}
	return &caseAnswer{o.viewCase(c)}, nil
}

func (o *operator) getCase(ctx context.Context, in *struct {
	ID int64 `path:"id"`
}) (*caseAnswer, error) {
	c, err := o.c.Store.Case(ctx, in.ID)
	if err != nil {
		return nil, o.caseFailed(err)
	}
	return o.caseView(c, nil)
}

// casesAnswer is a page of cases.
type casesAnswer struct {
	Cases []caseView `json:"cases"`
}

func (o *operator) listCases(ctx context.Context, in *struct {
	Open    bool   `query:"open" doc:"Only those that wait for an answer"`
	Overdue bool   `query:"overdue" doc:"Only those whose day has gone by"`
	Route   string `query:"route" enum:"service,officer"`
	Kind    string `query:"kind" enum:"access,rectification,erasure,restriction,portability,objection,question,complaint"`
	After   int64  `query:"after" minimum:"0" doc:"Id of the last case of the page before"`
	Limit   int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}) (*struct{ Body casesAnswer }, error) {
	found, err := o.c.Store.Cases(ctx, rights.CaseFilter{Waiting: in.Open, Overdue: in.Overdue, Route: rights.Route(in.Route), Kind: rights.CaseKind(in.Kind),
		After: in.After, Limit: in.Limit}, o.c.Now())
	if err != nil {
		return nil, o.caseFailed(err)
	}
	views := make([]caseView, len(found))
	for i, c := range found {
		views[i] = o.viewCase(c)
	}
	return &struct{ Body casesAnswer }{casesAnswer{views}}, nil
}

func (o *operator) noteCase(ctx context.Context, in *struct {
	ID   int64 `path:"id"`
	Body struct {
		Text string `json:"text"`
	}
}) (*caseAnswer, error) {
	return o.caseView(o.changeCase(ctx, in.ID, "note", "", writing(in.Body.Text)))
}

func (o *operator) checkCase(ctx context.Context, in *struct {
	ID   int64 `path:"id"`
	Body struct {
		Method string `json:"method" enum:"callback_known_number,code_known_address,in_store,paper_request,e_identification,not_needed"`
	}
}) (*caseAnswer, error) {
	return o.caseView(o.changeCase(ctx, in.ID, "identity", in.Body.Method, checking(in.Body.Method)))
}

func (o *operator) extendCase(ctx context.Context, in *struct {
	ID   int64 `path:"id"`
	Body struct {
		Reason string `json:"reason"`
		ToldAt string `json:"told_at,omitempty" doc:"When the person was told, RFC 3339 or a day"`
	}
}) (*caseAnswer, error) {
	return o.caseView(o.changeCase(ctx, in.ID, "extend", "", extending(in.Body.Reason, in.Body.ToldAt)))
}

func (o *operator) routeCase(ctx context.Context, in *struct {
	ID   int64 `path:"id"`
	Body struct {
		Route string `json:"route" enum:"service,officer"`
	}
}) (*caseAnswer, error) {
	return o.caseView(o.changeCase(ctx, in.ID, "route", in.Body.Route, routing(in.Body.Route)))
}

type endingInput struct {
	ID   int64 `path:"id"`
	Body struct {
		Outcome string `json:"outcome,omitempty" doc:"What the person was answered, or why not; no identity numbers. Only an objection may do without"`
	}
}

func (o *operator) endCase(as rights.CaseState) func(context.Context, *endingInput) (*caseAnswer, error) {
	return func(ctx context.Context, in *endingInput) (*caseAnswer, error) {
		return o.caseView(o.changeCase(ctx, in.ID, endings[as], "", ending(as, in.Body.Outcome)))
	}
}

// endings are the names of what ends a case.
var endings = map[rights.CaseState]string{rights.CaseAnswered: "answer", rights.CaseRefused: "refuse", rights.CaseClosed: "close"}

// What may be done to a case, from the API and from the pages alike.
type caseChange = func(c *rights.Case, by string, now time.Time) error

func writing(text string) caseChange {
	return func(c *rights.Case, by string, now time.Time) error { return c.Write(text, by, now) }
}

func checking(method string) caseChange {
	return func(c *rights.Case, by string, now time.Time) error {
		return c.Check(rights.IdentityMethod(method), by, now)
	}
}

func extending(reason, told string) caseChange {
	return func(c *rights.Case, _ string, now time.Time) error {
		at, err := moment("told_at", told)
		if err != nil {
			return err
		}
		return c.Extend(reason, at, now)
	}
}

func routing(to string) caseChange {
	return func(c *rights.Case, _ string, _ time.Time) error { return c.Reroute(rights.Route(to)) }
}

func ending(as rights.CaseState, outcome string) caseChange {
	return func(c *rights.Case, by string, now time.Time) error { return c.End(as, outcome, by, now) }
}

func (o *operator) registerRestriction() {
	restrict := operation(http.MethodPost, "/v1/people/{id}/restrict", "restrict-person", casesTag, "Restrict what is done with a person's data",
		"When this answers, nothing is sent to her any more, by any channel and for any purpose, until the restriction is lifted (GDPR 18). "+
			"Opening a case of kind restriction does the same. The answer is the case.")
	huma.Register(o.api, restrict, o.restrictPerson)
	huma.Register(o.api, operation(http.MethodPost, "/v1/cases/{id}/lift-restriction", "lift-restriction", casesTag, "Lift a restriction",
		"The person must be informed before the restriction is lifted (GDPR 18(3)): say when she was. Other wishes of hers stay."), o.liftRestriction)
}

func (o *operator) restrictPerson(ctx context.Context, in *struct {
	ID   string `path:"id" doc:"Number of a contact, or a key in hexadecimal"`
	Body struct {
		Case int64 `json:"case" doc:"Number of her case, of kind restriction"`
	}
}) (*caseAnswer, error) {
	p, err := o.person(ctx, in.ID)
	if err != nil {
		return nil, o.failed(noPerson, err)
	}
	c, err := o.c.Store.Case(ctx, in.Body.Case)
	if err != nil {
		return nil, o.caseFailed(err)
	}
	if c.Kind != rights.CaseRestriction || !slices.Contains(p.keys(), c.Key) {
		return nil, newProblem(http.StatusConflict, "this is no case of restriction of this person")
	}
	wish, _ := c.Wish(visitorOf(ctx).name)
	wish.Entry.Key = p.key
	if _, err := o.c.Intake.Record(context.WithoutCancel(ctx), wish); err != nil {
		o.c.Log.Error("a wish was not recorded", "key", c.Key.Short(), "error", err)
		return nil, newProblem(http.StatusServiceUnavailable, "the restriction was not acknowledged; send it again until it is")
	}
	o.audit(ctx, "person.restrict", p.object(), fmt.Sprintf("case %d", c.ID))
	return &caseAnswer{o.viewCase(c)}, nil
}

func (o *operator) liftRestriction(ctx context.Context, in *struct {
	ID   int64 `path:"id"`
	Body struct {
		InformedAt string `json:"informed_at,omitempty" doc:"When the person was informed that it will be lifted, RFC 3339 or a day"`
	}
}) (*caseAnswer, error) {
	return o.caseView(o.lift(ctx, in.ID, in.Body.InformedAt))
}

// lift lifts a restriction, and then notes it: a note of what was not done would
// be worse than none.
func (o *operator) lift(ctx context.Context, id int64, informed string) (rights.Case, *ProblemDetails) {
	at, err := moment("informed_at", informed)
	if err != nil {
		return rights.Case{}, o.caseFailed(err)
	}
	c, err := o.c.Store.Case(ctx, id)
	if err == nil {
		err = c.Lift(at, o.c.Now())
	}
	if err != nil {
		return c, o.caseFailed(err)
	}
	wish, _ := c.Wish(visitorOf(ctx).name)
	wish.Entry.Active, wish.Entry.Evidence = false, fmt.Sprintf("case %d, person informed on %s", c.ID, at.Format(time.DateOnly))
	if _, err := o.c.Register.Record(context.WithoutCancel(ctx), wish); err != nil {
		o.c.Log.Error("a restriction was not lifted", "key", c.Key.Short(), "error", err)
		return c, newProblem(http.StatusServiceUnavailable, "the restriction was perhaps not lifted; send it again")
	}
	note := "Restriction lifted; the person was informed on " + at.Format(time.DateOnly) + "."
	return o.changeCase(ctx, id, "lift", string(suppression.Restricted), writing(note))
}

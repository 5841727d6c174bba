package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
	"utskick/templates"
)

const (
	sendersTag   = "Senders"
	templatesTag = "Templates"
)

func (o *operator) registerSenders() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/senders", "list-senders", sendersTag, "List senders", ""), o.listSenders)
	huma.Register(o.api, operation(http.MethodPut, "/v1/senders/{name}", "put-sender", sendersTag, "Add or replace a sender",
		"A run that is being sent goes on with the sender as it was; pause and resume it to let a change take effect."), o.putSender)
}

func (o *operator) listSenders(ctx context.Context, _ *struct{}) (*struct{ Body []templates.Sender }, error) {
	senders, err := o.c.Store.Senders(ctx)
	if err != nil {
		return nil, o.failed("sender", err)
	}
	if senders == nil {
		senders = []templates.Sender{}
	}
	return &struct{ Body []templates.Sender }{senders}, nil
}

func (o *operator) putSender(ctx context.Context, in *struct {
	Name string `path:"name" doc:"Short name of the sender"`
	Body templates.Sender
}) (*struct{ Body templates.Sender }, error) {
	if in.Body.Name != in.Name {
		return nil, invalid(Violation{Field: "body.name", Rule: "is not the name in the path"})
	}
	var refused *templates.SenderError
	err := templates.CheckSender(in.Body)
	if err == nil {
		err = o.c.Store.SaveSender(ctx, in.Body)
	}
	switch {
	case errors.As(err, &refused):
		return nil, invalid(fieldProblems(refused.Problems)...)
	case err != nil:
		return nil, o.failed("sender", err)
	}
	o.audit(ctx, "sender.save", in.Name, "")
	return &struct{ Body templates.Sender }{in.Body}, nil
}

// maxTemplate bounds the body with a template, in bytes: some languages of
// templates.MaxHTML each.
const maxTemplate = 16 << 20

func (o *operator) registerTemplates() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/templates", "list-templates", templatesTag, "List templates", "The newest version of each."), o.listTemplates)
	huma.Register(o.api, operation(http.MethodGet, "/v1/templates/{name}", "get-template", templatesTag, "Show the newest version of a template", ""), o.getTemplate)
	save := operation(http.MethodPost, "/v1/templates", "save-template", templatesTag, "Save a new version of a template",
		"Refused with everything that is wrong in it at once. A run goes on with the version that it was launched with.")
	save.DefaultStatus, save.MaxBodyBytes, save.BodyReadTimeout = http.StatusCreated, maxTemplate, readTimeout
	huma.Register(o.api, save, o.saveTemplate)
	huma.Register(o.api, operation(http.MethodPost, "/v1/templates/{name}/preview", "preview-template", templatesTag, "Show a template as a recipient would get it",
		"Nothing is sent. The links lead nowhere."), o.previewTemplate)
}

func (o *operator) listTemplates(ctx context.Context, _ *struct{}) (*struct{ Body []templates.Template }, error) {
	all, err := o.c.Store.Templates(ctx)
	if err != nil {
		return nil, o.failed("template", err)
	}
	if all == nil {
		all = []templates.Template{}
	}
	return &struct{ Body []templates.Template }{all}, nil
}

type templateAnswer struct{ Body templates.Template }

func (o *operator) getTemplate(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*templateAnswer, error) {
	t, err := o.c.Store.TemplateByName(ctx, in.Name)
	if err != nil {
		return nil, o.failed("template with this name", err)
	}
	return &templateAnswer{t}, nil
}

// templateFields is what a new version is made from.
type templateFields struct {
	Name     string                       `json:"name" minLength:"1" maxLength:"200"`
	Channel  audience.Channel             `json:"channel" enum:"email,sms,push"`
	Default  string                       `json:"default_language" doc:"Language for contacts whose own is not among languages"`
	Contents map[string]templates.Content `json:"languages" doc:"Content by language, such as sv or en. E-mail has subject, html and, if it shall not be made from the html, text; SMS has text; push has subject (its title), text and link"`
}

func (o *operator) saveTemplate(ctx context.Context, in *struct{ Body templateFields }) (*templateAnswer, error) {
	t := templates.Template{Name: in.Body.Name, Channel: in.Body.Channel, Default: in.Body.Default, Contents: in.Body.Contents}
	attributes, err := o.c.Store.Attributes(ctx)
	if err != nil {
		return nil, o.failed("template", err)
	}
	if err := templates.Check(t, attributes); err != nil {
		return nil, o.refusedTemplate(err)
	}
	var targets []string
	for language := range t.Contents {
		found, err := templates.Targets(t, language)
		if err != nil {
			return nil, o.failed("template", err)
		}
		targets = append(targets, found...)
	}
	slices.Sort(targets)
	if t, err = o.c.Store.SaveTemplate(ctx, t, slices.Compact(targets)); err != nil {
		return nil, o.failed("template", err)
	}
	o.audit(ctx, "template.save", t.Name, "")
	return &templateAnswer{t}, nil
}

// refusedTemplate lists all that is wrong in a template.
func (o *operator) refusedTemplate(err error) error {
	var refused *templates.InvalidError
	if !errors.As(err, &refused) {
		return o.failed("template", err)
	}
	violations := make([]Violation, len(refused.Problems))
	for i, p := range refused.Problems {
		violations[i] = Violation{Field: placeInTemplate(p), Line: p.Line, Rule: p.Rule}
	}
	return invalid(violations...)
}

// placeInTemplate says where a problem stands in the request. The name of a
// language is the client's own.
func placeInTemplate(p templates.Problem) string {
	place := []string{"body"}
	if p.Language != "" {
		place = append(place, "languages", p.Language)
	}
	if p.Part != "" {
		place = append(place, p.Part)
	}
	return safeField(strings.Join(place, "."))
}

type previewFields struct {
	Language  string           `json:"language,omitempty" doc:"Absent: the one that the recipient's locale leads to"`
	Sender    string           `json:"sender" minLength:"1" doc:"Name of a saved sender"`
	Recipient templates.Sample `json:"recipient,omitempty" doc:"Whom to fill the template with"`
}

func (o *operator) previewTemplate(ctx context.Context, in *struct {
	Name string `path:"name"`
	Body previewFields
}) (*struct{ Body templates.Shown }, error) {
	t, err := o.c.Store.TemplateByName(ctx, in.Name)
	if err != nil {
		return nil, o.failed("template with this name", err)
	}
	sender, err := o.c.Store.SenderByName(ctx, in.Body.Sender)
	if errors.Is(err, o.c.NotFound) {
		return nil, invalid(Violation{Field: "body.sender", Rule: "there is no such sender; save it first"})
	}
	if err != nil {
		return nil, o.failed("sender", err)
	}
	language := in.Body.Language
	if language == "" {
		language = templates.LanguageFor(t, in.Body.Recipient.Locale)
	}
	if _, ok := t.Contents[language]; !ok {
		return nil, invalid(Violation{Field: "body.language", Rule: "is not one of the template's languages"})
	}
	shown, err := templates.Preview(t, sender, language, in.Body.Recipient)
	if err != nil {
		return nil, o.notRendered(err)
	}
	return &struct{ Body templates.Shown }{shown}, nil
}

// notRendered says where and why a template cannot be filled for a recipient.
func (o *operator) notRendered(err error) error {
	var failed *templates.RenderError
	if !errors.As(err, &failed) {
		return o.failed("template", err)
	}
	place := "template"
	if failed.Part != "" {
		place += "." + failed.Part
	}
	return invalid(Violation{Field: place, Line: failed.Line, Rule: failed.Rule})
}

package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// docsSection is one tag of the API, as the documentation shows it.
type docsSection struct {
	Tag        string
	Operations []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Description string
	Parameters                             []docsField
	BodyType, BodyAbout                    string
	Body                                   []docsField
	AnswerStatus, AnswerType, AnswerAbout  string
	Answer                                 []docsField
	Curl                                   string
}

// docsField is one parameter, or one property of a body: its place, such as
// channels[].template, and what may stand there.
type docsField struct {
	Name, Type, Rules, About string
	Required                 bool
}

func (o *operator) registerDocs() {
	// Everything is registered by now, and the document does not change any more.
	document, err := json.Marshal(o.api.OpenAPI())
	if err != nil {
		panic(err) // the document is a part of the program
	}
	o.routes.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document) // the client went away
	})
	sections := describe(o.api.OpenAPI())
	o.routes.HandleFunc("GET /docs", func(w http.ResponseWriter, r *http.Request) {
		o.pages.write(w, http.StatusOK, "docs", struct {
			frame
			About    string
			Sections []docsSection
		}{o.frame(r, "API documentation"), o.api.OpenAPI().Info.Description, sections})
	})
}

// describe turns the OpenAPI document into what the page shows.
func describe(doc *huma.OpenAPI) []docsSection {
	byTag := map[string][]docsOperation{}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, op := range operationsOf(doc.Paths[path]) {
			byTag[op.Tags[0]] = append(byTag[op.Tags[0]], describeOperation(doc, op))
		}
	}
	var sections []docsSection
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		sections = append(sections, docsSection{tag, byTag[tag]})
	}
	return sections
}

func operationsOf(item *huma.PathItem) []*huma.Operation {
	all := []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete}
	return slices.DeleteFunc(all, func(op *huma.Operation) bool { return op == nil })
}

func describeOperation(doc *huma.OpenAPI, op *huma.Operation) docsOperation {
	d := docsOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description}
	for _, p := range op.Parameters {
		about := p.Description
		if about == "" && p.Schema != nil {
			about = p.Schema.Description
		}
		d.Parameters = append(d.Parameters, docsField{Name: p.Name, Type: p.In + ", " + typeOf(doc, p.Schema), Rules: rulesOf(p.Schema), About: about, Required: p.Required})
	}
	var example any
	if op.RequestBody != nil {
		var schema *huma.Schema
		d.BodyType, schema = contentOf(op.RequestBody.Content)
		d.BodyAbout = op.RequestBody.Description
		d.Body, example = fieldsOf(doc, "", schema, nil), exampleOf(doc, schema, nil)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if strings.HasPrefix(status, "2") {
			answer := op.Responses[status]
			var schema *huma.Schema
			d.AnswerStatus, d.AnswerAbout = status, answer.Description
			d.AnswerType, schema = contentOf(answer.Content)
			d.Answer = fieldsOf(doc, "", schema, nil)
		}
	}
	d.Curl = curlFor(op, d.BodyType, example)
	return d
}

// contentOf returns the one type that a body of ours has.
func contentOf(content map[string]*huma.MediaType) (string, *huma.Schema) {
	for name, media := range content {
		return name, media.Schema
	}
	return "", nil
}

// resolve follows a reference to where the schema is.
func resolve(doc *huma.OpenAPI, s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return doc.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

func typeOf(doc *huma.OpenAPI, s *huma.Schema) string {
	s = resolve(doc, s)
	switch {
	case s == nil:
		return "any"
	case s.Type == huma.TypeArray:
		return "list of " + typeOf(doc, s.Items)
	case s.Format != "" && s.Format != "int64" && s.Format != "int32":
		return s.Type + " (" + s.Format + ")"
	}
	return s.Type
}

// rulesOf says in words what a value must keep.
func rulesOf(s *huma.Schema) string {
	if s == nil {
		return ""
	}
	var rules []string
	if len(s.Enum) > 0 {
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			values[i] = fmt.Sprint(v)
		}
		rules = append(rules, "one of "+strings.Join(values, ", "))
	}
	add := func(has bool, format string, args ...any) {
		if has {
			rules = append(rules, fmt.Sprintf(format, args...))
		}
	}
	add(s.Default != nil, "default %v", s.Default)
	add(s.Pattern != "", "matches %s", s.Pattern)
	add(s.Minimum != nil, "at least %v", deref(s.Minimum))
	add(s.Maximum != nil, "at most %v", deref(s.Maximum))
	add(s.MinLength != nil && *s.MinLength > 0, "not empty")
	add(s.MaxLength != nil, "at most %d characters", deref(s.MaxLength))
	add(s.MinItems != nil && *s.MinItems > 0, "not empty")
	return strings.Join(rules, "; ")
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// fieldsOf lists the properties of a schema by their place. within are the
// schemas around it, so that one that holds itself ends.
func fieldsOf(doc *huma.OpenAPI, place string, s *huma.Schema, within []*huma.Schema) []docsField {
	s = resolve(doc, s)
	if s == nil || slices.Contains(within, s) {
		return nil
	}
	within = append(within, s)
	if s.Type == huma.TypeArray {
		return fieldsOf(doc, place+"[]", s.Items, within)
	}
	if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
		return fieldsOf(doc, join(place, "<name>"), values, within)
	}
	var fields []docsField
	for _, name := range sortedProperties(s) {
		p := s.Properties[name]
		f := docsField{Name: join(place, name), Type: typeOf(doc, p), Rules: rulesOf(p), About: p.Description, Required: slices.Contains(s.Required, name)}
		fields = append(append(fields, f), fieldsOf(doc, f.Name, p, within)...)
	}
	return fields
}

func join(place, name string) string {
	if place == "" {
		return name
	}
	return place + "." + name
}

// sortedProperties puts what must be there first.
func sortedProperties(s *huma.Schema) []string {
	names := slices.Collect(maps.Keys(s.Properties))
	slices.SortFunc(names, func(a, b string) int {
		need := func(n string) int {
			if slices.Contains(s.Required, n) {
				return 0
			}
			return 1
		}
		return cmp.Or(need(a)-need(b), strings.Compare(a, b))
	})
	return names
}

// exampleOf makes a value that has what must be there.
func exampleOf(doc *huma.OpenAPI, s *huma.Schema, within []*huma.Schema) any {
	s = resolve(doc, s)
	if s == nil || slices.Contains(within, s) {
		return nil
	}
	within = append(within, s)
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type == huma.TypeArray:
		return []any{exampleOf(doc, s.Items, within)}
	case s.Type == huma.TypeInteger || s.Type == huma.TypeNumber:
		return 1
	case s.Type == huma.TypeBoolean:
		return true
	case s.Format == "date-time":
		return "2026-12-01T09:00:00+01:00"
	case s.Type != huma.TypeObject:
		return "…"
	}
	object := map[string]any{}
	for _, name := range s.Required {
		object[name] = exampleOf(doc, s.Properties[name], within)
	}
	return object
}

// curlFor is a command to try an operation with.
func curlFor(op *huma.Operation, bodyType string, example any) string {
	command := `curl -H "Authorization: Bearer $UTSKICK_KEY"`
	if op.Method != http.MethodGet {
		command += " -X " + op.Method
	}
	switch {
	case bodyType == "text/csv":
		command += " -H 'Content-Type: text/csv' --data-binary @FILE"
	case bodyType != "" && example != nil:
		if body, err := json.Marshal(example); err == nil && string(body) != "{}" {
			command += " -H 'Content-Type: application/json' -d '" + string(body) + "'"
		}
	}
	return command + ` "$UTSKICK_SITE` + op.Path + `"`
}

package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
)

// ProblemDetails is the body of every error (RFC 9457). It names fields and rules, and
// repeats nothing that was sent.
type ProblemDetails struct {
	Title  string      `json:"title" doc:"Name of the HTTP status"`
	Status int         `json:"status" doc:"HTTP status"`
	Detail string      `json:"detail,omitempty" doc:"What is wrong, and what to do about it"`
	Errors []Violation `json:"errors,omitempty" doc:"Everything that is wrong with the request"`
}

// Violation is one field that breaks a rule.
type Violation struct {
	Field string `json:"field,omitempty" doc:"Where, such as body.email"`
	Line  int    `json:"line,omitempty" doc:"Line within the field, from 1"`
	Rule  string `json:"rule" doc:"The rule that is broken"`
}

func (p *ProblemDetails) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *ProblemDetails) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *ProblemDetails) ContentType(string) string { return problemJSON }

const problemJSON = "application/problem+json"

func (v Violation) Error() string { return v.Field + ": " + v.Rule }

// huma's own errors repeat the values that were sent, and those may be somebody's
// address.
func init() {
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		return newProblem(status, detail, errs...)
	}
}

func newProblem(status int, detail string, errs ...error) *ProblemDetails {
	p := &ProblemDetails{Title: http.StatusText(status), Status: status, Detail: detail}
	for _, err := range errs {
		var broken *huma.ErrorDetail
		var own Violation
		var whole *ProblemDetails
		switch {
		case errors.As(err, &whole):
			return whole
		case errors.As(err, &own):
			p.Errors = append(p.Errors, own)
		case errors.As(err, &broken) && status == http.StatusUnsupportedMediaType:
			p.Errors = append(p.Errors, Violation{Field: "header.Content-Type", Rule: "is not application/json"})
		case errors.As(err, &broken):
			p.Errors = append(p.Errors, Violation{Field: safeField(broken.Location), Rule: broken.Message})
		}
	}
	return p
}

// invalid refuses a request with everything that is wrong with it.
func invalid(violations ...Violation) *ProblemDetails {
	p := newProblem(http.StatusUnprocessableEntity, "the request breaks the rules listed in errors; nothing was changed")
	p.Errors = violations
	return p
}

// rowProblems says what is wrong with the row that a request's body was read
// as. where gives the place of a column in the body.
func rowProblems(problems []audience.Problem, where func(column string) string) []Violation {
	violations := make([]Violation, len(problems))
	for i, p := range problems {
		violations[i] = Violation{Field: where(p.Field), Rule: p.Rule}
	}
	return violations
}

// fieldName is what names of ours look like. A name that a client made up may
// be anything, and is not repeated.
var fieldName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{0,62}(\[\d{1,9}\])*$`)

// safeField leaves of a location with any such name only where it begins: body,
// path or query. The name may have dots, so nobody can tell where it begins.
func safeField(location string) string {
	for part := range strings.SplitSeq(location, ".") {
		if !fieldName.MatchString(part) {
			first, _, _ := strings.Cut(location, ".")
			return first
		}
	}
	return location
}

// unmarshal is encoding/json with errors that repeat nothing of the body.
func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("is not valid JSON from byte %d on", syntax.Offset)
	case errors.As(err, &wrong):
		return fmt.Errorf("has a value of the wrong type at byte %d", wrong.Offset)
	}
	return errors.New("has a value of the wrong form")
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, p *ProblemDetails) {
	w.Header().Set("Content-Type", problemJSON)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client went away
}

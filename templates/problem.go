package templates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong in a template: where, and which rule it breaks.
type Problem struct {
	Language string `json:"language,omitempty"`
	// Part is subject, html, text or link; empty for the template as a whole.
	Part string `json:"part,omitempty"`
	// Line counts from 1 within the part; 0 stands for the part as a whole.
	Line int    `json:"line,omitempty"`
	Rule string `json:"rule"`
}

// String returns the problem as one line for people: "sv, html, line 3: ...".
func (p Problem) String() string {
	var where []string
	if p.Language != "" {
		where = append(where, p.Language)
	}
	if p.Part != "" {
		where = append(where, p.Part)
	}
	if p.Line > 0 {
		where = append(where, fmt.Sprintf("line %d", p.Line))
	}
	if len(where) == 0 {
		return p.Rule
	}
	return strings.Join(where, ", ") + ": " + p.Rule
}

// InvalidError refuses a template, with all its problems at once.
type InvalidError struct {
	Template string
	Problems []Problem
}

func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return fmt.Sprintf("template %q: %s", e.Template, strings.Join(lines, "; "))
}

// invalid returns nil when there is no problem. Problems are put in the order
// in which an author meets them.
func invalid(template string, problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			strings.Compare(a.Language, b.Language),
			cmp.Compare(slices.Index(parts, a.Part), slices.Index(parts, b.Part)),
			cmp.Compare(a.Line, b.Line))
	})
	return &InvalidError{Template: template, Problems: slices.Compact(problems)}
}

// The parts of a content, in the order in which problems are listed.
const (
	partSubject = "subject"
	partHTML    = "html"
	partText    = "text"
	partLink    = "link"
)

var parts = []string{"", partSubject, partHTML, partText, partLink}

// RenderError says that a message could not be made for one recipient. It names
// the place in the template and the rule, never the person nor a value.
type RenderError struct {
	Template string
	Language string
	Part     string // subject, html, text or link; empty for the whole message
	Line     int    // of the part, 0 if it is not one line's doing
	Rule     string
}

func (e *RenderError) Error() string {
	return fmt.Sprintf("template %q: %s", e.Template, Problem{e.Language, e.Part, e.Line, e.Rule})
}

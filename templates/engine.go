package templates

import (
	"errors"
	"fmt"
	"html"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/osteele/liquid"
	"github.com/osteele/liquid/filters"
	"github.com/osteele/liquid/render"
	"github.com/osteele/liquid/values"
)

// captureBlock stands for the library's own capture, which sets no bound.
const captureBlock = "bounded_capture"

// blockName is what a block is called in the source given to the library.
func blockName(name string) string {
	if name == "capture" {
		return captureBlock
	}
	return name
}

// The two ways in which Liquid is rendered. htmlLiquid escapes whatever {{ }}
// shows; rawLiquid, for subjects and texts, escapes nothing.
var (
	rawLiquid  = newEngine(false)
	htmlLiquid = newEngine(true)
)

func newEngine(escape bool) *liquid.Engine {
	e := liquid.NewEngine()
	boundFilters(e)
	if escape {
		e.SetAutoEscapeReplacer(render.HtmlEscaper)
		// Everything is escaped once, on its way out. The filters that authors
		// add out of habit must not make it twice.
		e.RegisterFilter("escape", func(s string) string { return s })
		e.RegisterFilter("escape_once", html.UnescapeString)
	}
	e.RegisterBlock(captureBlock, func(ctx render.Context) (string, error) {
		out := &boundedWriter{left: maxVariable}
		if err := ctx.RenderChildren(out); err != nil {
			return "", err
		}
		var value any = string(out.buf)
		if escape {
			value = values.SafeValue{Value: value}
		}
		ctx.Set(ctx.TagArgs(), value)
		return "", nil
	})
	return e
}

var errTooLong = errors.New("longer than a template may make it")

// boundedWriter keeps what is written to it, up to a number of bytes.
type boundedWriter struct {
	buf  []byte
	left int
	full bool // more was written than there was room for
}

func (w *boundedWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		w.full = true
		return 0, errTooLong
	}
	w.left -= len(p)
	w.buf = append(w.buf, p...)
	return len(p), nil
}

var _ io.Writer = (*boundedWriter)(nil)

// filterArgs says which filters a template may use, with the least and the most
// arguments of each. safe is not among them: it would let what a contact says
// into the HTML.
var filterArgs = map[string][2]int{
	"append": {1, 1}, "prepend": {1, 1}, "default": {1, 1},
	"capitalize": {}, "downcase": {}, "upcase": {},
	"escape": {}, "escape_once": {}, "url_encode": {}, "url_decode": {},
	"remove": {1, 1}, "remove_first": {1, 1}, "remove_last": {1, 1},
	"replace": {2, 2}, "replace_first": {2, 2}, "replace_last": {2, 2},
	"strip": {}, "lstrip": {}, "rstrip": {}, "strip_html": {}, "strip_newlines": {},
	"slice": {1, 2}, "truncate": {0, 2}, "truncatewords": {0, 2},
	"size": {}, "pluralize": {2, 2}, "date": {0, 1},
	"abs": {}, "ceil": {}, "floor": {}, "round": {0, 1},
	"plus": {1, 1}, "minus": {1, 1}, "times": {1, 1}, "divided_by": {1, 1}, "modulo": {1, 1},
	"at_least": {1, 1}, "at_most": {1, 1},
	"split": {1, 1}, "join": {0, 1}, "first": {}, "last": {}, "reverse": {}, "concat": {1, 1},
	"sort": {}, "sort_natural": {}, "uniq": {}, "compact": {},
}

// filterDictionary collects the library's own filters, so that they can be
// wrapped.
type filterDictionary map[string]any

func (d filterDictionary) AddFilter(name string, fn any) { d[name] = fn }

// boundFilters wraps the filters whose result may be longer than what they are
// given: a few dozen of them in a row would otherwise fill any memory. A date
// that is missing stays missing.
func boundFilters(e *liquid.Engine) {
	standard := filterDictionary{}
	filters.AddStandardFilters(standard)
	for _, name := range []string{"append", "prepend", "url_encode", "escape", "escape_once", "truncate", "truncatewords"} {
		e.RegisterFilter(name, bounded(standard[name]))
	}
	for _, name := range []string{"replace", "replace_first", "replace_last"} {
		e.RegisterFilter(name, boundedReplace(standard[name]))
	}
	split := standard["split"].(func(string, string) any)
	e.RegisterFilter("split", func(s, separator string) (any, error) {
		if strings.Count(s, separator) >= maxElements {
			return nil, errTooLong
		}
		return split(s, separator), nil
	})
	e.RegisterFilter("concat", func(a, b []any) (any, error) {
		if len(a)+len(b) > maxElements {
			return nil, errTooLong
		}
		return slices.Concat(a, b), nil
	})
	join := standard["join"].(func([]any, func(string) string) any)
	e.RegisterFilter("join", func(list []any, separator func(string) string) (any, error) {
		return checkVariable(join(list, separator).(string))
	})
	boundDate(e, standard["date"])
}

var timeType = reflect.TypeFor[time.Time]()

// boundDate shows nothing for a date that is missing, where the library would
// show the first day of the year 1.
func boundDate(e *liquid.Engine, filter any) {
	date := filter.(func(time.Time, func(string) string) (string, error))
	e.RegisterFilter("date", func(value any, format func(string) string) (any, error) {
		if value == nil || value == "" {
			return nil, nil
		}
		t, err := values.Convert(value, timeType)
		if err != nil {
			return nil, err
		}
		return date(t.(time.Time), format)
	})
}

func checkVariable(s string) (string, error) {
	if len(s) > maxVariable {
		return "", errTooLong
	}
	return s, nil
}

// bounded wraps a filter of texts.
func bounded(filter any) any {
	switch f := filter.(type) {
	case func(string) string:
		return func(s string) (string, error) { return checkVariable(f(s)) }
	case func(string, string) string:
		return func(s, arg string) (string, error) { return checkVariable(f(s, arg)) }
	case func(string, func(int) int, func(string) string) string:
		return func(s string, length func(int) int, ellipsis func(string) string) (string, error) {
			return checkVariable(f(s, length, ellipsis))
		}
	}
	panic(fmt.Sprintf("a filter of an unexpected form: %T", filter))
}

// boundedReplace refuses before it replaces: the result may be long already.
func boundedReplace(filter any) any {
	f := filter.(func(string, string, string) string)
	return func(s, from, to string) (string, error) {
		if len(s)+strings.Count(s, from)*len(to) > 2*maxVariable {
			return "", errTooLong
		}
		return checkVariable(f(s, from, to))
	}
}

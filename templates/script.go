package templates

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"sort"
	"strings"

	"github.com/osteele/liquid"
	"github.com/osteele/liquid/values"
)

// script renders, in one run of the Liquid library, all holes of one part that
// take it. The tags that set variables run with them, in the order in which the
// author wrote them.
type script struct {
	part     string
	template *liquid.Template
	holes    int
	starts   []lineMark
	sender   map[string]any
	language string
	markers  map[string]filler // links that the holes show
	slots    map[string]int
}

// lineMark says which line of the part a line of the script's source is.
type lineMark struct{ script, part int }

// run is what a script has rendered for one recipient.
type run struct {
	out   boundedWriter
	holes [][]byte
}

// separator stands before every hole of a script. No value can hold it: it is
// drawn anew by every process.
var separator = "\x00" + rand.Text() + "\x00"

// maxRun bounds what a script may write: a row as such, and its separators.
func (sc *script) maxRun() int { return 2*MaxRow + (sc.holes+1)*len(separator) }

// scriptBuilder collects the source of a script.
type scriptBuilder struct {
	script
	source strings.Builder
	lines  int
}

// add appends a node; what a hole shows follows a separator.
func (b *scriptBuilder) add(n *node, hole bool) {
	if hole {
		b.source.WriteString(separator)
		b.holes++
	}
	text := source([]*node{n}) + nextLine
	b.starts = append(b.starts, lineMark{1 + b.lines, n.line})
	b.lines += strings.Count(text, "\n")
	b.source.WriteString(text)
}

// nextLine ends a line of a script without rendering anything, so that errors
// tell one node from the next.
const nextLine = "{% comment %}\n{% endcomment %}"

// lineOf returns the author's line of a line of the source.
func (sc *script) lineOf(line int) int {
	i := sort.Search(len(sc.starts), func(i int) bool { return sc.starts[i].script > line }) - 1
	if i < 0 || sc.starts[i].part == 0 {
		return 0
	}
	return sc.starts[i].part + line - sc.starts[i].script
}

// render runs the scripts of the message for one recipient.
func (s *Skeleton) render(r *row) error {
	for len(r.runs) < len(s.scripts) {
		r.runs = append(r.runs, run{})
	}
	for i, sc := range s.scripts {
		if line, rule := sc.run(&r.runs[i], r); rule != "" {
			return s.failed(sc.part, line, rule)
		}
	}
	return nil
}

// run renders into out. The library's own errors repeat values, so none of
// their text is passed on.
func (sc *script) run(to *run, r *row) (line int, rule string) {
	const failed = "a filter cannot take what this contact has"
	defer func() {
		if recover() != nil { // some filters of the library panic on odd arguments
			line, rule = 0, failed
		}
	}()
	to.out = boundedWriter{buf: to.out.buf[:0], left: sc.maxRun()}
	if err := sc.template.FRender(&to.out, sc.bindings(r)); err != nil {
		if to.out.full {
			return sc.lineOf(err.LineNumber()), fmt.Sprintf("the values of this contact make more than %d bytes", MaxRow)
		}
		return sc.lineOf(err.LineNumber()), failed
	}
	to.holes = append(to.holes[:0], bytes.Split(to.out.buf, []byte(separator))[1:]...)
	if len(to.holes) != sc.holes {
		return 0, "the holes of this part cannot be told apart"
	}
	return 0, ""
}

func (sc *script) bindings(r *row) map[string]any {
	b := map[string]any{
		"contact":  contactValue{absent, sc.slots, r.values},
		"sender":   sc.sender,
		"language": sc.language,
	}
	for name, fill := range sc.markers {
		b[name] = string(fill(nil, r))
	}
	return b
}

var absent = values.ValueOf(nil)

// contactValue is the contact as Liquid sees her: what is empty is missing.
type contactValue struct {
	values.Value
	slots  map[string]int
	values []string
}

// PropertyValue returns contact.name.
func (c contactValue) PropertyValue(name values.Value) values.Value { return c.IndexValue(name) }

// IndexValue returns contact["name"].
func (c contactValue) IndexValue(name values.Value) values.Value {
	text, _ := name.Interface().(string)
	slot, known := c.slots[text]
	if !known || c.values[slot] == "" {
		return absent
	}
	return values.ValueOf(c.values[slot])
}

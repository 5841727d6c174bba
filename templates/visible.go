package templates

import (
	"slices"
	"strings"

	xhtml "golang.org/x/net/html"
)

var (
	voidElements = []string{"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
	// What stands in these is not shown, or not by every mail program.
	invisibleElements = []string{"head", "title", "style", "script", "template", "noframes", "noembed",
		"iframe", "object", "textarea", "select", "datalist", "details", "dialog", "progress", "meter", "rp", "xmp", "plaintext",
		"svg", "math", "audio", "video", "canvas"}
)

// maxOpen bounds how many elements may be open at once.
const maxOpen = 500

type openElement struct {
	name    string
	start   int
	branch  int  // of Liquid
	hides   bool // by itself
	covered bool // by itself or by one around it
	scope   bool // one that keeps end tags in
	cell    bool // a part of a table
}

// openElements follows which elements are open, to know what is hidden. HTML
// forgives nearly everything, so this is sure only where the author is strict:
// what is hidden must be well-formed, in one branch of Liquid. Then whatever a
// browser hides is hidden here.
type openElements struct {
	h     *htmlDocument
	list  []openElement
	count map[string]int // of open elements by name
}

// place notes where a token stands, and opens or closes its element.
func (o *openElements) place(t *htmlToken) {
	if top := o.top(); t.kind == xhtml.StartTagToken && t.name == "body" && top.name == "head" {
		o.pop(len(o.list) - 1)
	}
	t.within, t.hidden = o.top().name, o.top().covered
	switch t.kind {
	case xhtml.CommentToken, xhtml.DoctypeToken:
		t.hidden = true
	case xhtml.StartTagToken, xhtml.SelfClosingTagToken:
		o.open(t)
	case xhtml.EndTagToken:
		o.close(t)
	}
}

func (o *openElements) top() openElement {
	if len(o.list) == 0 {
		return openElement{}
	}
	return o.list[len(o.list)-1]
}

func (o *openElements) open(t *htmlToken) {
	hides := slices.Contains(invisibleElements, t.name) || o.h.hides(t)
	t.hidden = t.hidden || hides
	switch {
	case t.name == "frameset" || t.name == "noscript":
		o.h.problem(t.start, "<%s> cannot be used: mail programs differ about what is shown beside it", t.name)
	case hides && (t.name == "html" || t.name == "body"):
		o.h.problem(t.start, "<%s> is hidden, and the whole mail with it", t.name)
	case slices.Contains(voidElements, t.name):
	case t.kind == xhtml.SelfClosingTagToken && o.foreign(t.name):
	case len(o.list) < maxOpen:
		o.count[t.name]++
		o.list = append(o.list, openElement{
			name: t.name, start: t.start, branch: o.h.branchAt(t.start), hides: hides, covered: t.hidden,
			scope: slices.Contains(scopeElements, t.name), cell: slices.Contains(cellElements, t.name),
		})
	default:
		o.h.problem(t.start, "more than %d elements are open", maxOpen)
	}
}

// foreign reports whether an element is one of SVG or MathML, where <x/> is
// closed.
func (o *openElements) foreign(name string) bool {
	return name == "svg" || name == "math" ||
		slices.ContainsFunc(o.list, func(e openElement) bool { return e.name == "svg" || e.name == "math" })
}

func (o *openElements) close(t *htmlToken) {
	if t.name == "body" {
		o.done()
	}
	top := o.top()
	if strict := top.covered || o.h.tokenAt(t.start).captured; !strict {
		o.closeInnermost(t.name)
		return
	}
	if top.name != t.name || top.branch != o.h.branchAt(t.start) {
		o.h.problem(t.start, "</%s> does not close what was opened last in this block: what is hidden or captured is well-formed", t.name)
		return
	}
	o.pop(len(o.list) - 1)
}

// pop closes all elements but the first n.
func (o *openElements) pop(n int) {
	for _, e := range o.list[n:] {
		o.count[e.name]--
	}
	o.list = o.list[:n]
}

var (
	cellElements = []string{"caption", "thead", "tbody", "tfoot", "tr", "td", "th"}
	// An end tag does not close what is open around these (WHATWG, 13.2.4.2).
	scopeElements = []string{"table", "caption", "td", "th", "marquee", "applet"}
)

// closeInnermost closes the innermost element of the name that is in scope. The
// end tags of a table and its parts reach through the parts within.
func (o *openElements) closeInnermost(name string) {
	if o.count[name] == 0 {
		return
	}
	ofTable := name == "table" || slices.Contains(cellElements, name)
	for i := len(o.list) - 1; i >= 0; i-- {
		open := &o.list[i]
		if open.name == name {
			o.pop(i)
			return
		}
		if open.scope && !(ofTable && open.cell) {
			return
		}
	}
}

// done reports what is open where the footer will stand, and would hide it.
func (o *openElements) done() {
	for _, e := range o.list {
		if e.hides {
			o.h.problem(e.start, "<%s> is hidden and never closed: it would hide the footer", e.name)
		}
	}
}

// checkCaptures reports the elements that a capture leaves open.
func (o *openElements) checkCaptures() {
	for _, e := range o.list {
		if o.h.tokenAt(e.start).captured {
			o.h.problem(e.start, "<%s> is not closed within its capture", e.name)
		}
	}
}

// hides reports whether a tag hides its element, or may do so: a style that
// Liquid has a part in counts as hiding.
func (h *htmlDocument) hides(t *htmlToken) bool {
	if _, hidden := t.attribute("hidden"); hidden {
		return true
	}
	style, ok := t.attribute("style")
	if !ok {
		return false
	}
	text, literal := h.literal(style.start, style.end)
	if !literal {
		return true
	}
	for _, declaration := range strings.Split(strings.ToLower(text), ";") {
		declaration = strings.TrimSuffix(strings.Join(strings.Fields(declaration), ""), "!important")
		switch declaration {
		case "display:none", "visibility:hidden", "opacity:0", "max-height:0", "max-height:0px", "mso-hide:all":
			return true
		}
	}
	return false
}

package templates

import (
	"fmt"
	"strings"

	"github.com/osteele/liquid"
)

// partCompiler turns one part into literals and holes. What stands outside all
// blocks is a literal, an output or a block is a hole. What no recipient has a
// part in is rendered at once.
type partCompiler struct {
	*compiler
	name     string
	escaping escaping
	assigned map[string]bool // set by assign or capture, anywhere in the part
	script   scriptBuilder
	out      Part
}

func (c *compiler) part(name, text string, e escaping) Part {
	doc := parseDocument(text)
	p := &partCompiler{compiler: c, name: name, escaping: e, assigned: map[string]bool{}}
	p.script.markers = map[string]filler{}
	p.noteAssigned(doc.tree)
	for _, n := range doc.tree {
		p.node(n)
	}
	if err := p.finish(); err != nil || len(doc.problems) > 0 {
		c.problems = append(c.problems, Problem{Language: c.language, Part: name, Rule: "what is made of this part is not Liquid any more"})
	}
	return p.out
}

func (p *partCompiler) noteAssigned(nodes []*node) {
	for _, n := range nodes {
		if setsVariable(n) {
			p.assigned[n.variable] = true
		}
		for _, b := range n.branches {
			p.noteAssigned(b.body)
		}
	}
}

func setsVariable(n *node) bool { return n.kind == assignNode || n.name == "capture" }

// node adds one top-level node.
func (p *partCompiler) node(n *node) {
	u := p.use(n)
	switch {
	case n.kind == textNode:
		p.literal(n.text)
	case setsVariable(n):
		p.scripted(n, false)
	case !u.varies && !u.assigned && !u.sets && p.fold(n):
	case u.assigned || u.sets:
		p.hole("", n.line, p.viaLibrary(n))
	default:
		p.shared(n)
	}
}

// use says what a node, and all within it, reads and sets.
type use struct {
	varies   bool // from recipient to recipient
	assigned bool // reads a variable of the part
	sets     bool // sets one
}

func (p *partCompiler) use(n *node) use {
	u := use{sets: setsVariable(n)}
	n.operands(func(o operand) {
		root := o.root()
		u.varies = u.varies || root == "contact" || root == "unsubscribe_url" || root == "preferences_url" || strings.HasPrefix(root, "_")
		u.assigned = u.assigned || p.assigned[root]
		if root == "contact" && len(o.path) == 2 {
			p.slot(o.path[1])
		}
	})
	for _, b := range n.branches {
		for _, child := range b.body {
			inner := p.use(child)
			u = use{u.varies || inner.varies, u.assigned || inner.assigned, u.sets || inner.sets}
		}
	}
	return u
}

// operands calls read with every operand of the node itself, not with those of
// the nodes within it.
func (n *node) operands(read func(operand)) {
	n.output.operands(read)
	for _, b := range n.branches {
		for _, o := range b.when {
			read(o)
		}
		for _, r := range b.test.relations {
			r.left.operands(read)
			read(r.right)
		}
	}
}

func (o output) operands(read func(operand)) {
	read(o.operand)
	for _, f := range o.filters {
		for _, arg := range f.args {
			read(arg)
		}
	}
}

func (p *partCompiler) literal(text string) {
	if p.escaping == asHeader {
		text = string(appendHeader(nil, text))
	}
	if text == "" {
		return
	}
	if n := len(p.out); n > 0 && p.out[n-1].Hole < 0 {
		p.out[n-1].Literal += text
		return
	}
	p.out = append(p.out, Segment{Literal: text, Hole: -1})
}

// fold renders a node that is the same for everybody. If it cannot be rendered,
// it becomes a hole, and its recipients get the error.
func (p *partCompiler) fold(n *node) bool {
	text, ok := p.renderOnce(source([]*node{n}))
	if ok {
		p.literal(text)
	}
	return ok
}

func (p *partCompiler) renderOnce(text string) (out string, ok bool) {
	defer func() {
		if recover() != nil {
			out, ok = "", false
		}
	}()
	template, err := p.engine().ParseString(text)
	if err != nil {
		return "", false
	}
	w := &boundedWriter{left: MaxHTML}
	if template.FRender(w, (&script{sender: p.senderValues(), language: p.language}).bindings(&row{})) != nil {
		return "", false
	}
	return string(w.buf), true
}

func (p *partCompiler) engine() *liquid.Engine {
	if p.escaping == asHTML {
		return htmlLiquid
	}
	return rawLiquid
}

// senderValues leaves out what is empty, so that it is missing in Liquid too.
func (c *compiler) senderValues() map[string]any {
	fields := map[string]any{}
	for _, name := range senderFields {
		if value := c.senderField(name); value != "" {
			fields[name] = value
		}
	}
	return fields
}

// shared adds a hole that other holes with the same source share.
func (p *partCompiler) shared(n *node) {
	key := fmt.Sprint(p.escaping, source([]*node{n}))
	if n.kind == outputNode && p.marker(n.output) != nil {
		key = n.output.root() // the same in every part
	}
	if column, known := p.columns[key]; known {
		p.out = append(p.out, Segment{Hole: column})
		return
	}
	fill := p.closure(n, p.escaping)
	if fill == nil {
		fill = p.viaLibrary(n)
	}
	p.hole(key, n.line, fill)
}

func (p *partCompiler) hole(key string, line int, fill filler) {
	column := len(p.skeleton.holes)
	p.skeleton.holes = append(p.skeleton.holes, hole{p.name, line, fill})
	if key != "" {
		p.columns[key] = column
	}
	p.out = append(p.out, Segment{Hole: column})
}

// viaLibrary adds a node to the part's script, and returns what copies its
// result into the sheet.
func (p *partCompiler) viaLibrary(n *node) filler {
	script, index := len(p.skeleton.scripts), p.script.holes
	p.scripted(n, true)
	if p.escaping == asHeader {
		return func(dst []byte, r *row) []byte {
			return appendHeader(dst, view(r.runs[script].holes[index]))
		}
	}
	return func(dst []byte, r *row) []byte {
		return append(dst, r.runs[script].holes[index]...)
	}
}

// scripted adds a node to the script, and what fills the product's own names in
// it.
func (p *partCompiler) scripted(n *node, hole bool) {
	p.script.add(n, hole)
	p.noteMarkers(n)
}

func (p *partCompiler) noteMarkers(n *node) {
	n.operands(func(o operand) {
		if fill := p.marker(output{operand: o}); fill != nil {
			p.script.markers[o.root()] = fill
		}
	})
	for _, b := range n.branches {
		for _, child := range b.body {
			p.noteMarkers(child)
		}
	}
}

// finish compiles the script, if the part takes one. One without holes is run
// too: what it sets may be something that cannot be computed.
func (p *partCompiler) finish() error {
	if p.script.source.Len() == 0 {
		return nil
	}
	template, err := p.engine().ParseTemplateLocation([]byte(p.script.source.String()), "", 1)
	if err != nil {
		return err
	}
	sc := p.script.script
	sc.part, sc.template, sc.slots = p.name, template, p.slots
	sc.sender, sc.language = p.senderValues(), p.language
	p.skeleton.scripts = append(p.skeleton.scripts, &sc)
	return nil
}

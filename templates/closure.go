package templates

import (
	"unicode"
	"unicode/utf8"
)

// filler appends the value of a hole for one recipient. It never fails.
type filler func(dst []byte, r *row) []byte

// escaping says what happens to a value on its way into a part.
type escaping uint8

const (
	asIs     escaping = iota // texts, push, SMS
	asHTML                   // HTML
	asHeader                 // subjects: a line must stay one line
)

// The common Liquid is compiled to closures that append bytes; the rest is left
// to the library. Both give the same bytes: FuzzClosures compares them.

// output compiles {{ }}, or returns nil if that takes the library.
func (c *compiler) output(o output, e escaping) filler {
	if f := c.marker(o); f != nil {
		return f
	}
	value := c.text(o.operand)
	if value == nil {
		return nil
	}
	steps := make([]step, 0, len(o.filters)+1)
	for _, f := range o.filters {
		s := c.filter(f, e)
		if s == nil {
			return nil
		}
		steps = append(steps, s)
	}
	switch {
	case e == asHTML && len(steps) == 0:
		return func(dst []byte, r *row) []byte { return appendHTML(dst, value(r)) }
	case e == asHTML:
		steps = append(steps, rewriting(appendHTML))
	case e == asHeader:
		steps = append(steps, rewriting(appendHeader))
	}
	return func(dst []byte, r *row) []byte {
		from := len(dst)
		dst = append(dst, value(r)...)
		for _, s := range steps {
			dst = s(dst, from, r)
		}
		return dst
	}
}

// getter returns the text of an operand for one recipient; empty is missing.
type getter func(r *row) string

// text compiles an operand that is text, or returns nil.
func (c *compiler) text(o operand) getter {
	if o.root() == "contact" {
		slot := c.slot(o.path[1])
		return func(r *row) string { return r.values[slot] }
	}
	constant, ok := c.constant(o)
	if !ok {
		return nil
	}
	return func(*row) string { return constant }
}

// constant returns the text of an operand that is the same for everybody.
func (c *compiler) constant(o operand) (string, bool) {
	switch {
	case o.is("language"):
		return c.language, true
	case o.root() == "sender":
		return c.senderField(o.path[1]), true
	case o.path == nil:
		text, isText := o.literal.(string)
		return text, isText
	}
	return "", false
}

// step changes what a value has appended to dst since from.
type step func(dst []byte, from int, r *row) []byte

func (c *compiler) filter(f filterCall, e escaping) step {
	switch f.name {
	case "default":
		alternative := c.text(f.args[0])
		if alternative == nil {
			return nil
		}
		return func(dst []byte, from int, r *row) []byte {
			if len(dst) == from {
				dst = append(dst, alternative(r)...)
			}
			return dst
		}
	case "upcase":
		return rewriting(appendUpper)
	case "downcase":
		return rewriting(appendLower)
	case "capitalize":
		return rewriting(appendCapitalized)
	case "escape":
		if e == asHTML {
			return func(dst []byte, _ int, _ *row) []byte { return dst }
		}
		return rewriting(appendHTML)
	}
	return nil
}

// rewriting makes a step of a function that appends a changed copy.
func rewriting(change func(dst []byte, s string) []byte) step {
	return func(dst []byte, from int, r *row) []byte {
		r.scratch = append(r.scratch[:0], dst[from:]...)
		return change(dst[:from], view(r.scratch))
	}
}

// entities are what the library's HtmlEscaper writes.
var entities = [256]string{'&': "&amp;", '\'': "&#39;", '<': "&lt;", '>': "&gt;", '"': "&#34;"}

func appendHTML(dst []byte, s string) []byte {
	plain := 0 // where the bytes begin that need no entity
	for i := range len(s) {
		if entity := entities[s[i]]; entity != "" {
			dst = append(append(dst, s[plain:i]...), entity...)
			plain = i + 1
		}
	}
	return append(dst, s[plain:]...)
}

// appendHeader drops the characters that would end a header line or hide in it
// (RFC 5322, 2.2): a name with a line feed must not begin a header of its own.
func appendHeader(dst []byte, s string) []byte {
	for _, c := range []byte(s) {
		if c >= ' ' && c != 0x7f {
			dst = append(dst, c)
		}
	}
	return dst
}

func appendUpper(dst []byte, s string) []byte { return appendMapped(dst, s, unicode.ToUpper) }
func appendLower(dst []byte, s string) []byte { return appendMapped(dst, s, unicode.ToLower) }

func appendCapitalized(dst []byte, s string) []byte {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return dst
	}
	dst = utf8.AppendRune(dst, unicode.ToUpper(unicode.ToLower(first)))
	return appendLower(dst, s[size:])
}

func appendMapped(dst []byte, s string, change func(rune) rune) []byte {
	for _, r := range s {
		dst = utf8.AppendRune(dst, change(r))
	}
	return dst
}

// nodes compiles what stands within a block, or returns nil.
func (c *compiler) nodes(nodes []*node, e escaping) filler {
	var fillers []filler
	for _, n := range nodes {
		f := c.closure(n, e)
		if f == nil {
			return nil
		}
		fillers = append(fillers, f)
	}
	return func(dst []byte, r *row) []byte {
		for _, f := range fillers {
			dst = f(dst, r)
		}
		return dst
	}
}

// closure compiles one node, or returns nil.
func (c *compiler) closure(n *node, e escaping) filler {
	switch {
	case n.kind == textNode:
		text := n.text
		if e == asHeader {
			text = string(appendHeader(nil, text))
		}
		return func(dst []byte, _ *row) []byte { return append(dst, text...) }
	case n.kind == outputNode:
		return c.output(n.output, e)
	case n.kind == blockNode && (n.name == "if" || n.name == "unless"):
		return c.choice(n, e)
	}
	return nil
}

type choice struct {
	test test
	fill filler
}

// choice compiles if, elsif, else and unless.
func (c *compiler) choice(n *node, e escaping) filler {
	var choices []choice
	for _, b := range n.branches {
		one := choice{c.test(b.test), c.nodes(b.body, e)}
		if b.name == "else" {
			one.test = func(*row) bool { return true }
		}
		if one.test == nil || one.fill == nil {
			return nil
		}
		if test := one.test; b.name == "unless" {
			one.test = func(r *row) bool { return !test(r) }
		}
		choices = append(choices, one)
	}
	return func(dst []byte, r *row) []byte {
		for _, one := range choices {
			if one.test(r) {
				return one.fill(dst, r)
			}
		}
		return dst
	}
}

type test func(r *row) bool

// test compiles a condition: and and or from left to right, as Liquid reads it.
func (c *compiler) test(cond condition) test {
	var tests []test
	for _, r := range cond.relations {
		t := c.relation(r)
		if t == nil {
			return nil
		}
		tests = append(tests, t)
	}
	if len(tests) == 1 {
		return tests[0]
	}
	return func(r *row) bool {
		holds := len(tests) > 0 && tests[0](r)
		for i, or := range cond.ors {
			if holds != or {
				holds = tests[i+1](r)
			}
		}
		return holds
	}
}

// relation compiles ==, != and the bare question whether a value is there.
func (c *compiler) relation(rel relation) test {
	left := c.compared(rel.left.operand)
	if left == nil {
		return nil
	}
	switch rel.op {
	case "":
		if !isText(rel.left.operand) {
			return nil
		}
		return func(r *row) bool { return left(r) != "" }
	case "==", "!=":
		right, equal := c.compared(rel.right), rel.op == "=="
		if right == nil {
			return nil
		}
		return func(r *row) bool { return (left(r) == right(r)) == equal }
	}
	return nil
}

// compared compiles one side of a comparison. A missing value and nothing are
// both empty here. Check lets nothing else be compared that could be empty.
func (c *compiler) compared(o operand) getter {
	if isNothing(o) {
		return func(*row) string { return "" }
	}
	return c.text(o)
}

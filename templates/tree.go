package templates

import (
	"fmt"
	"slices"
	"strings"
)

type nodeKind uint8

const (
	textNode   nodeKind = iota
	outputNode          // {{ .. }}
	assignNode          // {% assign %}
	plainNode           // {% cycle %}, {% break %}, {% continue %}
	blockNode           // {% if %}, {% unless %}, {% case %}, {% for %}, {% capture %}
)

// node is one node of a Liquid tree.
type node struct {
	kind     nodeKind
	line     int
	text     string // of a text
	name     string // of a tag or a block
	args     string
	output   output // what is shown, assigned or looped over
	variable string // what assign, capture or for sets
	branches []*branch
}

// branch is a part of a block: from its first tag to the next clause, or from a
// clause to the next.
type branch struct {
	name string // if, elsif, else, when, ..
	args string
	line int
	test condition // of if, elsif and unless
	when []operand // of when
	body []*node
}

// document is a parsed Liquid source.
type document struct {
	source   string
	tokens   []token
	tree     []*node
	problems []Problem // with Line and Rule
}

// clauses says which clauses a block may have.
var clauses = map[string][]string{
	"if":      {"elsif", "else"},
	"unless":  {"else"},
	"case":    {"when", "else"},
	"for":     {"else"},
	"capture": {},
}

// parseDocument parses what an author wrote, and notes all that is wrong with
// its form. Names are the business of [checker].
func parseDocument(source string) *document {
	b := &treeBuilder{doc: &document{source: source}}
	var problem *Problem
	b.doc.tokens, problem = scan(source)
	for i := range b.doc.tokens {
		t := &b.doc.tokens[i]
		b.add(t)
	}
	if problem != nil {
		b.problem(problem.Line, "%s", problem.Rule)
	}
	for _, open := range b.stack {
		b.problem(open.line, "{%% %s %%} is never closed by {%% end%s %%}", open.name, open.name)
	}
	return b.doc
}

// depthAt returns how many blocks lie around a byte of the source.
func (d *document) depthAt(offset int) int {
	if t := d.tokenAt(offset); t != nil {
		return t.depth
	}
	return 0
}

func (d *document) tokenAt(offset int) *token {
	i, found := slices.BinarySearchFunc(d.tokens, offset, func(t token, offset int) int {
		switch {
		case t.end <= offset:
			return -1
		case t.start > offset:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &d.tokens[i]
}

// tokensIn returns the tokens that touch the bytes from start to end.
func (d *document) tokensIn(start, end int) []token {
	first, _ := slices.BinarySearchFunc(d.tokens, start, func(t token, start int) int {
		if t.end <= start {
			return -1
		}
		return 1
	})
	last := first
	for last < len(d.tokens) && d.tokens[last].start < end {
		last++
	}
	return d.tokens[first:last]
}

// branchAt returns the branch that a byte of the source stands in.
func (d *document) branchAt(offset int) int {
	if t := d.tokenAt(offset); t != nil {
		return t.branch
	}
	return 0
}

// textOf returns what a text token writes between two offsets.
func (d *document) textOf(t token, start, end int) string {
	from, to := max(start, t.bodyStart), min(end, t.bodyEnd)
	return d.source[from:max(from, to)]
}

type treeBuilder struct {
	doc      *document
	stack    []*node
	branches []int // number of the branch that is open in each block
	last     int   // highest number of a branch
	captures int   // among the stack
}

// place notes on a token where it stands.
func (b *treeBuilder) place(t *token) {
	t.depth, t.branch, t.captured = len(b.stack), 0, b.captures > 0
	if n := len(b.branches); n > 0 {
		t.branch = b.branches[n-1]
	}
}

func (b *treeBuilder) problem(line int, format string, args ...any) {
	if len(b.doc.problems) < maxProblems {
		b.doc.problems = append(b.doc.problems, Problem{Line: line, Rule: fmt.Sprintf(format, args...)})
	}
}

// body returns where the next node belongs.
func (b *treeBuilder) body() *[]*node {
	if len(b.stack) == 0 {
		return &b.doc.tree
	}
	block := b.stack[len(b.stack)-1]
	return &block.branches[len(block.branches)-1].body
}

func (b *treeBuilder) append(n *node) { *b.body() = append(*b.body(), n) }

func (b *treeBuilder) add(t *token) {
	b.place(t)
	switch t.kind {
	case textToken:
		b.text(t)
	case outputToken:
		value, err := parseOutput(t.args)
		if err != nil {
			b.problem(t.line, "{{ }}: %s", err)
		}
		b.append(&node{kind: outputNode, line: t.line, args: t.args, output: value})
	case tagToken:
		b.tag(t)
	}
}

// text merges neighbours, which a comment may have held apart.
func (b *treeBuilder) text(t *token) {
	if t.text == "" {
		return
	}
	body := *b.body()
	if n := len(body); n > 0 && body[n-1].kind == textNode {
		body[n-1].text += t.text
		return
	}
	b.append(&node{kind: textNode, line: t.line, text: t.text})
}

func (b *treeBuilder) tag(t *token) {
	n := &node{line: t.line, name: t.name, args: t.args}
	switch {
	case t.name == "assign":
		a, err := parseAssignment(t.args)
		b.complain(t, err)
		n.kind, n.variable, n.output = assignNode, a.variable, a.value
		b.append(n)
	case t.name == "cycle":
		values, err := parseOperands(t.args)
		b.complain(t, err)
		if slices.ContainsFunc(values, func(o operand) bool { _, isText := o.literal.(string); return !isText }) {
			b.problem(t.line, "cycle goes through texts in quotes")
		}
		n.kind = plainNode
		b.append(n)
	case t.name == "break" || t.name == "continue":
		if t.args != "" {
			b.problem(t.line, "%s stands alone", t.name)
		}
		n.kind = plainNode
		b.append(n)
	case clauses[t.name] != nil:
		b.open(n, t)
	case strings.HasPrefix(t.name, "end") && clauses[t.name[3:]] != nil:
		b.close(t)
	case t.name == "else" || t.name == "elsif" || t.name == "when":
		b.clause(t)
	default:
		b.problem(t.line, "{%% %s %%} is not a tag that templates may use", t.name)
	}
}

func (b *treeBuilder) complain(t *token, err error) {
	if err != nil {
		b.problem(t.line, "{%% %s %%}: %s", t.name, err)
	}
}

func (b *treeBuilder) open(n *node, t *token) {
	n.kind = blockNode
	first := &branch{name: t.name, args: t.args, line: t.line}
	var err error
	switch t.name {
	case "if", "unless":
		first.test, err = parseCondition(t.args)
	case "case":
		n.output, err = parseOutput(t.args)
		if err == nil && len(n.output.filters) > 0 {
			err = fmt.Errorf("assign the filtered value to a name first")
		}
	case "for":
		var loop loopHead
		loop, err = parseLoop(t.args)
		n.variable, n.output = loop.variable, loop.over
	case "capture":
		n.variable = t.args
		if wordLength(t.args) != len(t.args) || t.args == "" {
			err = fmt.Errorf("capture has the form: capture name")
		}
	}
	b.complain(t, err)
	n.branches = []*branch{first}
	b.append(n)
	b.stack = append(b.stack, n)
	b.last++
	b.branches = append(b.branches, b.last)
	if n.name == "capture" {
		b.captures++
	}
	if len(b.stack) == maxDepth+1 {
		b.problem(t.line, "blocks stand within each other more than %d deep", maxDepth)
	}
}

func (b *treeBuilder) clause(t *token) {
	if len(b.stack) == 0 {
		b.problem(t.line, "{%% %s %%} stands outside a block", t.name)
		return
	}
	block := b.stack[len(b.stack)-1]
	if !slices.Contains(clauses[block.name], t.name) {
		b.problem(t.line, "{%% %s %%} cannot stand within {%% %s %%} of line %d", t.name, block.name, block.line)
		return
	}
	t.depth--
	b.last++
	b.branches[len(b.branches)-1] = b.last
	if block.branches[len(block.branches)-1].name == "else" {
		b.problem(t.line, "{%% %s %%} after {%% else %%}", t.name)
	}
	next := &branch{name: t.name, args: t.args, line: t.line}
	var err error
	switch {
	case t.name == "elsif":
		next.test, err = parseCondition(t.args)
	case t.name == "when":
		next.when, err = parseOperands(t.args)
	case t.args != "":
		err = fmt.Errorf("else stands alone")
	}
	b.complain(t, err)
	block.branches = append(block.branches, next)
}

func (b *treeBuilder) close(t *token) {
	name := t.name[3:]
	if len(b.stack) == 0 || b.stack[len(b.stack)-1].name != name {
		b.problem(t.line, "{%% %s %%} closes nothing that is open here", t.name)
		return
	}
	block := b.stack[len(b.stack)-1]
	b.stack, b.branches = b.stack[:len(b.stack)-1], b.branches[:len(b.branches)-1]
	if name == "capture" {
		b.captures--
	}
	b.place(t)
	if t.args != "" {
		b.problem(t.line, "%s stands alone", t.name)
	}
	if block.name == "case" {
		b.closeCase(block)
	}
}

// closeCase: Liquid drops what stands before the first when.
func (b *treeBuilder) closeCase(block *node) {
	for _, n := range block.branches[0].body {
		if n.kind != textNode || strings.TrimSpace(n.text) != "" {
			b.problem(n.line, "only white space may stand between {%% case %%} and its first {%% when %%}")
			return
		}
	}
	block.branches[0].body = nil
}

// source writes nodes as Liquid again, for the library to render: comments are
// gone, white space is trimmed, raw text is escaped.
func source(nodes []*node) string {
	var b strings.Builder
	for _, n := range nodes {
		n.write(&b)
	}
	return b.String()
}

func (n *node) write(b *strings.Builder) {
	switch n.kind {
	case textNode:
		b.WriteString(liquidText(n.text))
	case outputNode:
		b.WriteString("{{ " + n.args + " }}")
	case assignNode, plainNode:
		writeTag(b, n.name, n.args)
	case blockNode:
		for i, br := range n.branches {
			if i == 0 {
				writeTag(b, blockName(br.name), br.args)
			} else {
				writeTag(b, br.name, br.args)
			}
			for _, child := range br.body {
				child.write(b)
			}
		}
		writeTag(b, "end"+blockName(n.name), "")
	}
}

func writeTag(b *strings.Builder, name, args string) {
	b.WriteString("{% " + name)
	if args != "" {
		b.WriteString(" " + args)
	}
	b.WriteString(" %}")
}

// liquidText returns Liquid that renders text as it is, whatever follows it.
func liquidText(text string) string {
	if !strings.Contains(text, "{{") && !strings.Contains(text, "{%") && !strings.HasSuffix(text, "{") {
		return text
	}
	return strings.ReplaceAll(text, "{", `{{ "{" }}`)
}

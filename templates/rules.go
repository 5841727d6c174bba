package templates

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The names that a template may use, beside contact.<attribute> and the names
// that it sets itself.
var (
	contactFields = []string{"first_name", "last_name", "locale"}
	senderFields  = []string{"from_name", "postal_address", "site", "privacy_notice"}
	loopFields    = []string{"first", "last", "index", "index0", "rindex", "rindex0", "length"}
	listFields    = []string{"first", "last", "size"}
	nothing       = []string{"blank", "empty", "null"}
	reservedNames = slices.Concat(nothing, []string{
		"contact", "sender", "language", "unsubscribe_url", "preferences_url", "forloop", "and", "or", "contains", "in"})
)

// checker walks the Liquid tree of one part and notes every name, filter and
// comparison that cannot work. It looks at all branches: the library would only
// find what a run happens to execute.
type checker struct {
	attributes map[string]bool // nil allows any
	escaped    bool            // the part is HTML
	variables  map[string]bool // set so far; true for captured ones
	inLoop     bool
	loops      int
	problems   []Problem
}

// checkNames returns the problems of form and of names in one part.
func checkNames(doc *document, attributes map[string]bool, escaped bool) []Problem {
	c := &checker{attributes: attributes, escaped: escaped, variables: map[string]bool{}}
	c.problems = append(c.problems, doc.problems...)
	c.walk(doc.tree)
	return c.problems
}

func (c *checker) problem(line int, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{Line: line, Rule: fmt.Sprintf(format, args...)})
	}
}

func (c *checker) walk(nodes []*node) {
	for _, n := range nodes {
		switch n.kind {
		case outputNode:
			c.output(n.line, n.output)
		case assignNode:
			c.output(n.line, n.output)
			c.set(n, len(n.output.filters) == 0 && c.variables[n.output.root()])
		case plainNode:
			if !c.inLoop {
				c.problem(n.line, "{%% %s %%} stands only within a loop", n.name)
			}
		case blockNode:
			c.block(n)
		}
	}
}

func (c *checker) block(n *node) {
	switch n.name {
	case "case":
		c.operand(n.line, n.output.operand)
		c.caseOf(n)
	case "for":
		c.loop(n)
		return
	case "capture":
		defer c.set(n, true)
	}
	for _, b := range n.branches {
		for _, r := range b.test.relations {
			c.relation(b.line, r)
		}
		c.walk(b.body)
	}
}

func (c *checker) caseOf(n *node) {
	for _, b := range n.branches[1:] {
		for _, value := range b.when {
			c.relation(b.line, relation{left: output{operand: n.output.operand}, op: "==", right: value})
		}
	}
}

func (c *checker) loop(n *node) {
	c.loops++
	switch {
	case c.inLoop:
		c.problem(n.line, "a loop within a loop")
		return
	case c.loops == maxLoops+1:
		c.problem(n.line, "more than %d loops", maxLoops)
	case countNodes(n.branches[0].body) > maxLoopNodes:
		c.problem(n.line, "a loop around more than %d tags and outputs", maxLoopNodes)
	}
	if over := n.output; over.path != nil {
		c.output(n.line, over)
		makesList := slices.ContainsFunc(over.filters, func(f filterCall) bool { return f.name == "split" })
		if !c.isVariable(over.operand) && !makesList {
			c.problem(n.line, `a loop goes over a list: make one, as in {%% for x in contact.interests | split: "," %%}`)
		}
	}
	c.set(n, false)
	c.inLoop = true
	c.walk(n.branches[0].body)
	c.inLoop = false
	for _, b := range n.branches[1:] {
		c.walk(b.body)
	}
}

func countNodes(nodes []*node) int {
	count := 0
	for _, n := range nodes {
		if n.kind != textNode {
			count++
		}
		for _, b := range n.branches {
			count += countNodes(b.body)
		}
	}
	return count
}

// set notes the name that a tag sets.
func (c *checker) set(n *node, captured bool) {
	if slices.Contains(reservedNames, n.variable) || strings.HasPrefix(n.variable, "_") {
		c.problem(n.line, "%s cannot be the name of a variable", n.variable)
	}
	if n.variable != "" {
		c.variables[n.variable] = captured
	}
}

func (c *checker) isVariable(o operand) bool {
	_, set := c.variables[o.root()]
	return set
}

func (c *checker) output(line int, o output) {
	c.operand(line, o.operand)
	if len(o.filters) > 0 {
		c.notCaptured(line, o.operand)
	}
	for _, f := range o.filters {
		bounds, known := filterArgs[f.name]
		switch {
		case !known:
			c.problem(line, "%s is not a filter that templates may use", f.name)
		case len(f.args) < bounds[0] || len(f.args) > bounds[1]:
			c.problem(line, "the filter %s takes %s", f.name, argumentCount(bounds))
		case f.name == "date":
			c.dateFormat(line, f.args)
		}
		for _, arg := range f.args {
			c.operand(line, arg)
			c.notCaptured(line, arg)
		}
	}
}

func argumentCount(bounds [2]int) string {
	switch {
	case bounds == [2]int{}:
		return "no arguments"
	case bounds[0] == bounds[1]:
		return fmt.Sprintf("%d argument(s)", bounds[0])
	}
	return fmt.Sprintf("%d to %d arguments", bounds[0], bounds[1])
}

var wideField = regexp.MustCompile(`%[-_^#0]*\d{3}`)

// dateFormat: a field may be padded to any width, so who writes the format
// decides how much memory it takes.
func (c *checker) dateFormat(line int, args []operand) {
	if len(args) == 0 {
		return
	}
	format, isText := args[0].literal.(string)
	if !isText || wideField.MatchString(format) {
		c.problem(line, `date takes a format in quotes, such as "%%Y-%%m-%%d"`)
	}
}

// notCaptured: what was captured in HTML is HTML; a filter or a comparison
// would see the markup, and its result would be escaped again.
func (c *checker) notCaptured(line int, o operand) {
	if c.escaped && c.variables[o.root()] {
		c.problem(line, "%s was captured as HTML: it can be shown, not filtered or compared", o.root())
	}
}

// operand checks that a path names something that can be there.
func (c *checker) operand(line int, o operand) {
	known := true
	switch root := o.root(); root {
	case "":
	case "contact":
		c.contactField(line, o)
	case "sender":
		known = len(o.path) == 2 && slices.Contains(senderFields, o.path[1])
	case "language", "unsubscribe_url", "preferences_url":
		known = len(o.path) == 1
	case "forloop":
		known = c.inLoop && len(o.path) == 2 && slices.Contains(loopFields, o.path[1])
	default:
		known = c.isVariable(o) && (len(o.path) == 1 ||
			len(o.path) == 2 && (slices.Contains(listFields, o.path[1]) || isIndex(o.path[1])))
	}
	if !known {
		c.problem(line, "%s is not known here", pathName(o.path))
	}
}

func (c *checker) contactField(line int, o operand) {
	switch {
	case len(o.path) != 2:
		c.problem(line, "name one field of the contact, such as contact.first_name")
	case c.attributes != nil && !c.attributes[o.path[1]] && !slices.Contains(contactFields, o.path[1]):
		c.problem(line, "%s is not a registered attribute", pathName(o.path))
	}
}

func isIndex(name string) bool {
	return strings.Trim(name, "-0123456789") == ""
}

// pathName writes a path for people. Only names are shown in full: brackets may
// hold any text.
func pathName(path []string) string {
	var b strings.Builder
	for i, name := range path {
		switch {
		case wordLength(name) != len(name):
			b.WriteString("[..]")
		case i > 0:
			b.WriteString("." + name)
		default:
			b.WriteString(name)
		}
	}
	return b.String()
}

// relation checks what is compared with what. All that a contact or a sender
// has is text, and an empty text is a missing one.
func (c *checker) relation(line int, r relation) {
	if len(r.left.filters) > 0 {
		c.problem(line, "a filtered value cannot be tested: assign it to a name first")
	}
	sides := []operand{r.left.operand, r.right}
	if r.op == "" {
		sides = sides[:1]
	}
	for i, o := range sides {
		c.notCaptured(line, o)
		if r.op == "" || !isNothing(o) {
			c.operand(line, o)
		}
		if r.op != "" {
			c.comparable(line, r.op, o, sides[1-i])
		}
	}
}

// comparable checks one side of a comparison against the other.
func (c *checker) comparable(line int, op string, o, other operand) {
	equality := op == "==" || op == "!="
	switch value := o.literal.(type) {
	case string:
		if value == "" && isText(other) {
			c.problem(line, "an empty value is a missing one: compare with blank, or ask {%% if %s %%}", pathName(other.path))
		}
	case int, float64, bool:
		switch {
		case !isText(other) || op == "contains":
		case equality:
			c.problem(line, "%s is text: put the value in quotes", pathName(other.path))
		default:
			c.problem(line, "%s is text: make a number of it first, as in {%% assign points = contact.points | plus: 0 %%}", pathName(other.path))
		}
	}
	if isNothing(o) && (!isText(other) || !equality) {
		c.problem(line, "nil, null, blank and empty can only be compared with a value of the contact or the sender, by == or !=")
	}
}

// isText reports whether o is a value that is always text, or missing.
func isText(o operand) bool {
	return slices.Contains([]string{"contact", "sender", "language", "unsubscribe_url", "preferences_url"}, o.root())
}

// isNothing reports whether o stands for a missing value.
func isNothing(o operand) bool {
	return o.path == nil && o.literal == nil || len(o.path) == 1 && slices.Contains(nothing, o.path[0])
}

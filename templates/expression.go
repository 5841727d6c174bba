package templates

import (
	"errors"
	"fmt"
)

// operand is a path, such as contact.first_name, or a literal.
type operand struct {
	path    []string // nil for a literal; what stands in brackets is a name too
	literal any      // string, int, float64, bool or nil
}

func (o operand) root() string {
	if len(o.path) == 0 {
		return ""
	}
	return o.path[0]
}

// is reports whether the operand is exactly this path.
func (o operand) is(path ...string) bool {
	if len(path) != len(o.path) {
		return false
	}
	for i := range path {
		if path[i] != o.path[i] {
			return false
		}
	}
	return true
}

type filterCall struct {
	name string
	args []operand
}

// output is what {{ }} shows: an operand that went through filters.
type output struct {
	operand
	filters []filterCall
}

// relation compares two operands, or asks with an empty op whether left is
// there at all.
type relation struct {
	left  output
	op    string // == != < > <= >= contains
	right operand
}

// condition joins relations from left to right: and and or weigh the same.
type condition struct {
	relations []relation
	ors       []bool // ors[i] stands between relations i and i+1
}

// loopHead is what stands in {% for %}.
type loopHead struct {
	variable string
	over     output
	isRange  bool
}

// expressionParser reads the expressions of Liquid, those that a template may
// use. Whatever it accepts, the Liquid library accepts with the same meaning.
type expressionParser struct {
	lexemes []lexeme
	at      int
}

func parseOutput(args string) (output, error) {
	return parseAll(args, (*expressionParser).output)
}

func parseCondition(args string) (condition, error) {
	return parseAll(args, (*expressionParser).condition)
}

func parseOperands(args string) ([]operand, error) {
	return parseAll(args, (*expressionParser).operands)
}

func parseLoop(args string) (loopHead, error) {
	return parseAll(args, (*expressionParser).loop)
}

type assignment struct {
	variable string
	value    output
}

func parseAssignment(args string) (assignment, error) {
	return parseAll(args, func(p *expressionParser) (assignment, error) {
		name := p.next()
		if name.kind != wordLexeme || !p.accept(signLexeme, "=") {
			return assignment{}, errors.New("assign has the form: assign name = value")
		}
		value, err := p.output()
		return assignment{name.text, value}, err
	})
}

// parseAll runs parse and refuses what is left over.
func parseAll[T any](args string, parse func(*expressionParser) (T, error)) (T, error) {
	var none T
	lexemes, err := lex(args)
	if err != nil {
		return none, err
	}
	p := &expressionParser{lexemes: lexemes}
	value, err := parse(p)
	if err != nil {
		return none, err
	}
	if rest := p.peek(); rest.kind != endLexeme {
		return none, fmt.Errorf("%s is not expected here", rest.describe())
	}
	return value, nil
}

func (p *expressionParser) peek() lexeme { return p.lexemes[p.at] }

func (p *expressionParser) next() lexeme {
	l := p.lexemes[p.at]
	if l.kind != endLexeme {
		p.at++
	}
	return l
}

func (p *expressionParser) accept(kind lexemeKind, text string) bool {
	if !p.peek().is(kind, text) {
		return false
	}
	p.at++
	return true
}

func (p *expressionParser) operand() (operand, error) {
	switch l := p.next(); {
	case l.kind == literalLexeme:
		return operand{literal: l.value}, nil
	case l.kind == wordLexeme && !reservedWord(l.text):
		return p.path(l.text)
	case l.is(signLexeme, "("):
		return operand{}, errors.New("parentheses stand only around the range of a loop, such as (1..3)")
	case l.kind == endLexeme:
		return operand{}, errors.New("something is missing at the end")
	default:
		return operand{}, fmt.Errorf("%s is not a name or a value", l.describe())
	}
}

func reservedWord(word string) bool {
	return word == "and" || word == "or" || word == "contains" || word == "in"
}

// path reads what follows its first name: .name, ["name"] or [0].
func (p *expressionParser) path(root string) (operand, error) {
	o := operand{path: []string{root}}
	for {
		switch {
		case p.peek().kind == propertyLexeme:
			o.path = append(o.path, p.next().text)
		case p.accept(signLexeme, "["):
			index := p.next()
			switch index.value.(type) {
			case string:
				o.path = append(o.path, index.value.(string))
			case int:
				o.path = append(o.path, index.text)
			default:
				return o, errors.New(`brackets hold a text or a whole number, such as contact["city"]`)
			}
			if !p.accept(signLexeme, "]") {
				return o, errors.New("[ is not closed by ]")
			}
		default:
			return o, nil
		}
	}
}

func (p *expressionParser) output() (output, error) {
	first, err := p.operand()
	if err != nil {
		return output{}, err
	}
	o := output{operand: first}
	for p.accept(signLexeme, "|") {
		f, err := p.filter()
		if err != nil {
			return output{}, err
		}
		o.filters = append(o.filters, f)
	}
	if len(o.filters) > maxFilters {
		return output{}, fmt.Errorf("more than %d filters", maxFilters)
	}
	return o, nil
}

func (p *expressionParser) filter() (filterCall, error) {
	switch l := p.next(); l.kind {
	case wordLexeme:
		return filterCall{name: l.text}, nil
	case keywordLexeme:
		args, err := p.arguments()
		return filterCall{l.text, args}, err
	default:
		return filterCall{}, errors.New("the name of a filter is missing after |")
	}
}

// arguments reads operands with commas between them.
func (p *expressionParser) arguments() ([]operand, error) {
	var list []operand
	for {
		o, err := p.operand()
		if err != nil {
			return nil, err
		}
		list = append(list, o)
		if !p.accept(signLexeme, ",") {
			return list, nil
		}
	}
}

// operands reads the values of {% when %}, with commas or the word or.
func (p *expressionParser) operands() ([]operand, error) {
	var list []operand
	for {
		o, err := p.operand()
		if err != nil {
			return nil, err
		}
		list = append(list, o)
		if !p.accept(signLexeme, ",") && !p.accept(wordLexeme, "or") {
			return list, nil
		}
	}
}

func (p *expressionParser) relation() (relation, error) {
	left, err := p.output()
	if err != nil {
		return relation{}, err
	}
	r := relation{left: left}
	switch l := p.peek(); {
	case l.is(wordLexeme, "contains"):
		r.op = p.next().text
	case l.kind == signLexeme:
		switch l.text {
		case "==", "!=", "<", ">", "<=", ">=":
			r.op = p.next().text
		}
	}
	if r.op == "" {
		return r, nil
	}
	if len(left.filters) > 0 {
		return relation{}, errors.New("a filtered value cannot be compared: assign it to a name first")
	}
	r.right, err = p.operand()
	return r, err
}

func (p *expressionParser) condition() (condition, error) {
	var c condition
	for {
		r, err := p.relation()
		if err != nil {
			return condition{}, err
		}
		c.relations = append(c.relations, r)
		switch {
		case p.accept(wordLexeme, "and"):
			c.ors = append(c.ors, false)
		case p.accept(wordLexeme, "or"):
			c.ors = append(c.ors, true)
		default:
			return c, nil
		}
	}
}

func (p *expressionParser) loop() (loopHead, error) {
	name := p.next()
	if name.kind != wordLexeme || !p.accept(wordLexeme, "in") {
		return loopHead{}, errors.New("for has the form: for name in list")
	}
	l := loopHead{variable: name.text}
	var err error
	if p.peek().is(signLexeme, "(") {
		l.isRange, err = true, p.rangeOf()
	} else {
		l.over, err = p.output()
	}
	if err != nil {
		return loopHead{}, err
	}
	return l, p.loopModifiers()
}

func (p *expressionParser) rangeOf() error {
	p.next()
	from, fromInt := p.next().value.(int)
	dots := p.accept(signLexeme, "..")
	to, toInt := p.next().value.(int)
	if !fromInt || !dots || !toInt || !p.accept(signLexeme, ")") {
		return errors.New("a range has two whole numbers, such as (1..3)")
	}
	if to-from >= maxElements {
		return errors.New("a range has at most 1,000 numbers")
	}
	return nil
}

func (p *expressionParser) loopModifiers() error {
	for {
		switch l := p.peek(); {
		case l.is(wordLexeme, "reversed"):
			p.next()
		case l.is(keywordLexeme, "limit") || l.is(keywordLexeme, "offset"):
			p.next()
			if n, ok := p.next().value.(int); !ok || n < 0 {
				return fmt.Errorf("%s: is followed by a whole number", l.text)
			}
		default:
			return nil
		}
	}
}

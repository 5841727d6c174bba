package templates

import (
	"fmt"
	"html"
	"slices"
	"strings"

	xhtml "golang.org/x/net/html"
)

// htmlDocument is an HTML part with the Liquid in it: two languages over the
// same bytes. Offsets count in the source as the author wrote it.
type htmlDocument struct {
	*document
	masked   string
	captured map[string]bool // variables that hold HTML
	tags     []htmlToken
	problems []Problem
}

type htmlToken struct {
	kind       xhtml.TokenType
	name       string // of a tag, in lower case
	start, end int
	attributes []attribute // of a start tag
	hidden     bool        // no reader sees it
	within     string      // script or style, for the text in them
}

// attribute is one of a tag; start and end are those of its value.
type attribute struct {
	name       string
	start, end int
	quoted     bool
}

const masked = '\x01'

// mask replaces Liquid by bytes that mean nothing to what reads the rest, so
// that all offsets stay. Outputs become \x01, as does raw text if literalRaw is
// not set; tags become fill.
func mask(doc *document, fill byte, literalRaw bool) string {
	b := []byte(doc.source)
	for _, t := range doc.tokens {
		switch {
		case t.kind == outputToken:
			blank(b[t.start:t.end], masked)
		case t.kind != textToken || t.raw && !literalRaw:
			blank(b[t.start:t.end], fill)
		case t.raw:
			blank(b[t.start:t.bodyStart], fill)
			blank(b[t.bodyEnd:t.end], fill)
		}
	}
	return string(b)
}

func blank(b []byte, with byte) {
	for i := range b {
		b[i] = with
	}
}

// parseHTML cuts the HTML into tags and text. Liquid tags read as white space,
// so that an attribute after {% if %} is an attribute.
func parseHTML(doc *document) *htmlDocument {
	h := &htmlDocument{document: doc, masked: mask(doc, ' ', true), captured: capturedNames(doc.tree)}
	tokenizer := xhtml.NewTokenizer(strings.NewReader(h.masked))
	open := &openElements{h: h, count: map[string]int{}}
	pos := 0
	for {
		kind := tokenizer.Next()
		t := htmlToken{kind: kind, start: pos, end: pos + len(tokenizer.Raw())}
		if kind == xhtml.ErrorToken {
			break
		}
		pos = t.end
		if kind == xhtml.StartTagToken || kind == xhtml.EndTagToken || kind == xhtml.SelfClosingTagToken {
			name, _ := tokenizer.TagName()
			t.name = string(name)
			t.attributes = attributes(h.masked[t.start:t.end], t.start)
		}
		open.place(&t)
		h.tags = append(h.tags, t)
	}
	if pos < len(h.masked) {
		h.problem(pos, "a tag begins here and is never closed by >")
	}
	open.done()
	open.checkCaptures()
	return h
}

func (h *htmlDocument) problem(offset int, format string, args ...any) {
	if len(h.problems) < maxProblems {
		line := 1 + strings.Count(h.source[:offset], "\n")
		h.problems = append(h.problems, Problem{Line: line, Rule: fmt.Sprintf(format, args...)})
	}
}

const (
	htmlSpace     = " \t\n\r\f"
	maxAttributes = 100
)

// attributes reads the attributes of a tag as HTML does (WHATWG, 13.2.5.32 to
// 13.2.5.39). Base is the offset of the tag.
func attributes(tag string, base int) []attribute {
	var list []attribute
	i := indexAny(tag, 1, htmlSpace+"/>")
	for len(list) < maxAttributes {
		i = skipAny(tag, i, htmlSpace+"/")
		if i == len(tag) || tag[i] == '>' {
			break
		}
		end := indexAny(tag, i+1, htmlSpace+"/>=")
		a := attribute{name: strings.ToLower(tag[i:end]), start: base + end, end: base + end}
		i = end
		if equals := skipAny(tag, i, htmlSpace); equals < len(tag) && tag[equals] == '=' {
			i = a.value(tag, skipAny(tag, equals+1, htmlSpace), base)
		}
		if !slices.ContainsFunc(list, func(b attribute) bool { return b.name == a.name }) {
			list = append(list, a)
		}
	}
	return list
}

// value reads a value that begins at i, and returns where the tag goes on.
func (a *attribute) value(tag string, i, base int) int {
	if i < len(tag) && (tag[i] == '"' || tag[i] == '\'') {
		end := indexAny(tag, i+1, tag[i:i+1])
		a.start, a.end, a.quoted = base+i+1, base+end, true
		return min(end+1, len(tag))
	}
	end := indexAny(tag, i, htmlSpace+">")
	a.start, a.end = base+i, base+end
	return end
}

// indexAny returns where one of chars stands in s at from or after it, or the
// length of s.
func indexAny(s string, from int, chars string) int {
	if from >= len(s) {
		return len(s)
	}
	if i := strings.IndexAny(s[from:], chars); i >= 0 {
		return from + i
	}
	return len(s)
}

// skipAny returns where something else than chars stands in s at from or after
// it, or the length of s.
func skipAny(s string, from int, chars string) int {
	for from < len(s) && strings.IndexByte(chars, s[from]) >= 0 {
		from++
	}
	return min(from, len(s))
}

func (t *htmlToken) attribute(name string) (attribute, bool) {
	for _, a := range t.attributes {
		if a.name == name {
			return a, true
		}
	}
	return attribute{}, false
}

// literal returns a value that holds no Liquid, decoded and trimmed.
func (h *htmlDocument) literal(start, end int) (string, bool) {
	for _, t := range h.tokensIn(start, end) {
		if t.kind != textToken || t.raw {
			return "", false
		}
	}
	return strings.TrimSpace(html.UnescapeString(h.source[start:end])), true
}

package templates

import (
	"regexp"
	"strings"
	"unicode"
)

type tokenKind uint8

const (
	textToken    tokenKind = iota
	outputToken            // {{ .. }}
	tagToken               // {% .. %}
	commentToken           // {% comment %} .. {% endcomment %}, all of it
)

// token is a piece of a Liquid source. The tokens of a source lie end to end
// and cover it.
type token struct {
	kind       tokenKind
	start, end int
	line       int
	text       string // what a text token renders
	raw        bool   // a text token that was written as {% raw %}
	bodyStart  int    // of a text token: where its text stands in the source,
	bodyEnd    int    // before white space is trimmed
	name       string // of a tag
	args       string // of a tag or an output
	trimLeft   bool
	trimRight  bool
	depth      int  // how many blocks lie around it
	branch     int  // which branch of which block it stands in; 0 is outside all
	captured   bool // a capture is among the blocks
}

var (
	endComment = regexp.MustCompile(`\{%-?\s*endcomment\s*-?%\}`)
	endRaw     = regexp.MustCompile(`\{%-?\s*endraw\s*-?%\}`)
	tagName    = regexp.MustCompile(`^\w+`)
)

// scanner cuts a Liquid source into tokens, in time linear in its length.
// Whitespace control ({%- -%}) is resolved here, as in the original Liquid: a
// dash strips the white space of the text beside it, whatever a run renders.
type scanner struct {
	source string
	pos    int
	line   int
	tokens []token
}

// scan returns the tokens, and the problem that ended the scan early, if any;
// the rest is then one text token.
func scan(source string) ([]token, *Problem) {
	s := &scanner{source: source, line: 1}
	for s.pos < len(source) {
		next := nextDelimiter(source[s.pos:])
		s.add(token{kind: textToken, text: source[s.pos : s.pos+next], end: s.pos + next})
		if s.pos == len(source) {
			break
		}
		if rule := s.delimited(); rule != "" {
			problem := &Problem{Line: s.line, Rule: rule}
			s.add(token{kind: textToken, text: source[s.pos:], end: len(source)})
			s.trim()
			return s.tokens, problem
		}
	}
	s.trim()
	return s.tokens, nil
}

// nextDelimiter returns the offset of the next {{ or {%, or the length of text.
func nextDelimiter(text string) int {
	for from := 0; ; {
		i := strings.IndexByte(text[from:], '{')
		if i < 0 || from+i+1 >= len(text) {
			return len(text)
		}
		from += i + 1
		if text[from] == '{' || text[from] == '%' {
			return from - 1
		}
	}
}

// add appends a token that begins where the last one ended; an empty one is
// dropped.
func (s *scanner) add(t token) {
	if t.end == s.pos {
		return
	}
	t.start, t.line = s.pos, s.line
	if !t.raw {
		t.bodyStart, t.bodyEnd = t.start, t.end
	}
	s.line += strings.Count(s.source[t.start:t.end], "\n")
	s.pos = t.end
	s.tokens = append(s.tokens, t)
}

// delimited adds the output, tag, comment or raw text that begins here.
func (s *scanner) delimited() (rule string) {
	open, closing := s.source[s.pos:s.pos+2], "}}"
	if open == "{%" {
		closing = "%}"
	}
	length := strings.Index(s.source[s.pos+2:], closing)
	if length < 0 {
		return open + " is never closed by " + closing
	}
	if length > maxOutput {
		return open + " holds more than 1,000 bytes; is it closed where it should be?"
	}
	t := token{kind: outputToken, end: s.pos + 2 + length + 2}
	inner := s.source[s.pos+2 : t.end-2]
	if strings.HasPrefix(inner, "-") {
		t.trimLeft, inner = true, inner[1:]
	}
	if strings.HasSuffix(inner, "-") {
		t.trimRight, inner = true, inner[:len(inner)-1]
	}
	t.args = strings.TrimSpace(strings.NewReplacer("\n", " ", "\r", " ").Replace(inner))
	if open == "{%" {
		t.kind, t.name = tagToken, tagName.FindString(t.args)
		t.args = strings.TrimSpace(t.args[len(t.name):])
	}
	switch {
	case t.kind == tagToken && t.name == "comment":
		return s.untilEnd(t, commentToken, endComment)
	case t.kind == tagToken && t.name == "raw":
		return s.untilEnd(t, textToken, endRaw)
	}
	s.add(t)
	return ""
}

// untilEnd adds everything from an opening comment or raw tag to its end tag.
func (s *scanner) untilEnd(t token, kind tokenKind, end *regexp.Regexp) (rule string) {
	found := end.FindStringIndex(s.source[t.end:])
	if found == nil {
		return "{% " + t.name + " %} is never closed by {% end" + t.name + " %}"
	}
	closing := s.source[t.end+found[0] : t.end+found[1]]
	t.kind, t.raw, t.text = kind, kind == textToken, s.source[t.end:t.end+found[0]]
	t.bodyStart, t.bodyEnd = t.end, t.end+found[0]
	t.trimRight = strings.HasSuffix(closing, "-%}")
	t.end += found[1]
	s.add(t)
	return ""
}

// trim strips the text beside dashes. Text written as raw stays as it is.
func (s *scanner) trim() {
	for i := range s.tokens {
		t := &s.tokens[i]
		if t.kind != textToken || t.raw {
			continue
		}
		if i > 0 && s.tokens[i-1].trimRight {
			t.text = strings.TrimLeftFunc(t.text, unicode.IsSpace)
		}
		if i+1 < len(s.tokens) && s.tokens[i+1].trimLeft {
			t.text = strings.TrimRightFunc(t.text, unicode.IsSpace)
		}
	}
}

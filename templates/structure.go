package templates

import (
	"slices"
	"strings"

	xhtml "golang.org/x/net/html"
)

// checkStructure checks that the tags in the source are the tags that readers
// get, whatever Liquid renders: that no branch and no value makes, opens or
// closes half a tag. Without that nobody could say what a recipient sees.
func (h *htmlDocument) checkStructure() {
	for i := range h.tags {
		t := &h.tags[i]
		switch t.kind {
		case xhtml.TextToken:
			h.checkText(t)
		case xhtml.CommentToken, xhtml.DoctypeToken:
			h.checkComment(t)
		default:
			h.checkTag(t)
		}
		if t.kind != xhtml.TextToken && h.branchAt(t.start) != h.branchAt(t.end-1) {
			h.problem(t.start, "what begins with < here ends in another block of Liquid")
		}
	}
}

func (h *htmlDocument) checkText(t *htmlToken) {
	if t.within == "script" || t.within == "style" {
		for _, piece := range h.tokensIn(t.start, t.end) {
			if piece.kind == outputToken {
				h.problem(piece.start, "a value within <%s>: it cannot be made safe there", t.within)
			}
		}
	}
	for i := t.start; i < t.end; i++ {
		if h.masked[i] != '<' {
			continue
		}
		// White space may be trimmed away, so it separates nothing.
		next := skipAny(h.source, i+1, htmlSpace)
		if next < len(h.source) && h.masked[next] != h.source[next] {
			h.problem(i, "< before Liquid: write &lt; if it is a sign, and the name of a tag in full")
		}
	}
}

func (h *htmlDocument) checkComment(t *htmlToken) {
	raw := h.masked[t.start:t.end]
	switch {
	case strings.HasPrefix(raw, "<!--"):
		whole := raw == "<!-->" || raw == "<!--->" ||
			len(raw) >= len("<!---->") && (strings.HasSuffix(raw, "-->") || strings.HasSuffix(raw, "--!>"))
		if !whole {
			h.problem(t.start, "a comment begins here and is never closed")
		}
	case !strings.HasSuffix(raw, ">"):
		h.problem(t.start, "what begins here is never closed by >")
	case strings.HasPrefix(raw, "<![CDATA["):
		h.problem(t.start, "CDATA is not a part of HTML")
	case raw != h.source[t.start:t.end]:
		h.problem(t.start, "Liquid within <! > or </ >")
	}
}

// checkTag checks the Liquid within a tag: values stand in quotes, tags stand
// apart from names.
func (h *htmlDocument) checkTag(t *htmlToken) {
	name := t.start + len("<") + len(t.name)
	if t.kind == xhtml.EndTagToken {
		name++
	}
	if h.source[name] == '{' {
		h.problem(name, "Liquid touches the name of a tag: put a space between")
	}
	for _, a := range t.attributes {
		if a.quoted && h.branchAt(a.start-1) != h.branchAt(min(a.end, t.end-1)) {
			h.problem(a.start, "the quotes of an attribute stand in different blocks of Liquid")
		}
	}
	for _, piece := range h.tokensIn(t.start, t.end) {
		quoted := t.quotes(piece)
		switch {
		case piece.kind == textToken && (quoted || !piece.raw):
		case piece.kind == textToken:
			h.problem(piece.start, "{%% raw %%} within a tag stands in the quotes of an attribute")
		case piece.kind == outputToken && !quoted:
			h.problem(piece.start, "a value within a tag stands in the quotes of an attribute")
		case piece.kind == outputToken:
			h.checkAttributeValue(piece)
		case !quoted && (piece.trimLeft || piece.trimRight):
			h.problem(piece.start, "{%%- within a tag would join its attributes")
		case !quoted && !strings.ContainsRune(htmlSpace+"\"'}", rune(h.source[piece.start-1])):
			h.problem(piece.start, "within a tag, Liquid stands after a space or a quote")
		}
	}
}

// quotes reports whether a piece of a tag stands in a quoted value, and not in
// one that is run as a script.
func (t *htmlToken) quotes(piece token) bool {
	return slices.ContainsFunc(t.attributes, func(a attribute) bool {
		return a.quoted && a.start <= piece.start && piece.end <= a.end && !strings.HasPrefix(a.name, "on")
	})
}

// checkAttributeValue: captured HTML is not escaped, and may hold quotes.
func (h *htmlDocument) checkAttributeValue(piece token) {
	if o, err := parseOutput(piece.args); err == nil && h.captured[o.root()] {
		h.problem(piece.start, "%s was captured as HTML: it cannot be shown within a tag", o.root())
	}
}

// capturedNames returns the variables that hold HTML, or may hold it: those that
// capture sets, and the copies of variables.
func capturedNames(nodes []*node) map[string]bool {
	names := map[string]bool{}
	noteCaptured(nodes, names)
	return names
}

func noteCaptured(nodes []*node, names map[string]bool) {
	for _, n := range nodes {
		isCopy := n.kind == assignNode && len(n.output.filters) == 0 && n.output.path != nil && !isText(n.output.operand)
		if n.name == "capture" || isCopy {
			names[n.variable] = true
		}
		for _, b := range n.branches {
			noteCaptured(b.body, names)
		}
	}
}

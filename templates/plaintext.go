package templates

import (
	"html"
	"regexp"
	"strings"

	xhtml "golang.org/x/net/html"
)

// breaks says how many line ends stand before and after an element.
var breaks = map[string]int{
	"p": 2, "h1": 2, "h2": 2, "h3": 2, "h4": 2, "h5": 2, "h6": 2, "ul": 2, "ol": 2, "dl": 2,
	"blockquote": 2, "table": 2, "hr": 2, "pre": 2, "figure": 2, "form": 2,
	"div": 1, "tr": 1, "li": 1, "dt": 1, "dd": 1, "section": 1, "article": 1, "header": 1, "footer": 1,
	"main": 1, "nav": 1, "aside": 1, "address": 1, "center": 1, "caption": 1, "figcaption": 1, "body": 1,
}

// textFromHTML makes a plain text of an HTML part, both with Liquid in them. A
// link becomes "text (address)", an image its alt text. All Liquid tags are
// kept, those within HTML tags and hidden elements too, so that blocks stay
// balanced and variables set. Targets are those that {{ _link_N }} stands for.
func textFromHTML(source string, targets []string) string {
	w := &textWriter{h: parseHTML(parseDocument(source)), targets: targets, lineEnds: 2}
	for _, t := range w.h.tags {
		w.token(t)
	}
	return strings.TrimSpace(w.b.String()) + "\n"
}

type textWriter struct {
	h        *htmlDocument
	targets  []string
	b        strings.Builder
	lineEnds int    // that the text ends with; 2 at its start
	wanted   int    // line ends to write before the next word
	space    bool   // white space to write before the next word
	href     string // of the open link, as Liquid; empty if it is not shown
	linkFrom int    // where the text of the open link begins in b
}

func (w *textWriter) token(t htmlToken) {
	if t.kind == xhtml.TextToken {
		w.text(t)
		return
	}
	href := w.openLink(t)
	w.tagsWithin(t, href)
	if n := breaks[t.name]; n > 0 {
		w.wanted = max(w.wanted, n)
	}
	switch {
	case t.hidden:
	case t.name == "br":
		w.wanted = min(max(w.wanted, 0)+1, 2)
	case t.name == "td" || t.name == "th":
		w.space = true
	case t.name == "li" && t.kind == xhtml.StartTagToken:
		w.words("- ")
		w.lineEnds = 2 // what comes next stays on this line
	case t.name == "img":
		if alt, ok := t.attribute("alt"); ok {
			w.liquid(alt.start, alt.end)
		}
	case t.name == "a":
		w.closeLink()
		if t.kind == xhtml.StartTagToken && href != (attribute{}) {
			w.href, w.linkFrom = w.address(href), w.b.Len()
		}
	}
}

// openLink returns the href of a link that is shown, if its Liquid is whole.
func (w *textWriter) openLink(t htmlToken) attribute {
	href, ok := t.link()
	if !ok || t.hidden || t.name != "a" || len(parseDocument(w.h.source[href.start:href.end]).problems) > 0 {
		return attribute{}
	}
	return href
}

// tagsWithin keeps the Liquid tags in an HTML tag or comment, but for those of
// an address that is shown later.
func (w *textWriter) tagsWithin(t htmlToken, href attribute) {
	for _, piece := range w.h.tokensIn(t.start, t.end) {
		if piece.kind == tagToken && (piece.start < href.start || piece.end > href.end) {
			w.tag(piece)
		}
	}
}

// address returns what is shown of a link; empty if it leads nowhere.
func (w *textWriter) address(href attribute) string {
	var b strings.Builder
	for _, piece := range w.h.tokensIn(href.start, href.end) {
		switch piece.kind {
		case outputToken:
			b.WriteString(unescapedOutput(piece.args))
		case tagToken:
			writeTag(&b, piece.name, piece.args)
		case textToken:
			b.WriteString(w.literalOf(piece, href.start, href.end))
		}
	}
	address := strings.TrimSpace(b.String())
	if strings.HasPrefix(address, "#") || strings.HasPrefix(address, "tel:") {
		return ""
	}
	return strings.TrimPrefix(address, "mailto:")
}

// literalOf returns the decoded text of a piece as Liquid.
func (w *textWriter) literalOf(piece token, start, end int) string {
	return strings.ReplaceAll(html.UnescapeString(w.h.textOf(piece, start, end)), "{", `{{ "{" }}`)
}

// closeLink shows the address of the open link after its text, unless the text
// is the address.
func (w *textWriter) closeLink() {
	address := w.href
	w.href = ""
	if address == "" {
		return
	}
	if w.b.Len() == w.linkFrom || strings.TrimSpace(w.b.String()[w.linkFrom:]) == "" {
		w.words(address)
		return
	}
	if text := strings.TrimSpace(w.b.String()[w.linkFrom:]); text != address && text != w.target(address) {
		wanted := w.wanted
		w.wanted, w.space = 0, false
		w.words(" (" + address + ")")
		w.wanted = wanted
	}
}

// target returns what an address that is {{ _link_N }} stands for.
func (w *textWriter) target(address string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(address, "{{ "), " }}")
	if n, ok := linkNumber(name); ok && n < len(w.targets) {
		return w.targets[n]
	}
	return address
}

func (w *textWriter) text(t htmlToken) {
	if t.hidden {
		w.tagsWithin(t, attribute{})
		return
	}
	w.liquid(t.start, t.end)
}

// liquid writes what is visible between two offsets.
func (w *textWriter) liquid(start, end int) {
	for _, piece := range w.h.tokensIn(start, end) {
		switch piece.kind {
		case outputToken:
			w.words(unescapedOutput(piece.args))
		case tagToken:
			w.tag(piece)
		case textToken:
			w.literal(w.literalOf(piece, start, end))
		}
	}
}

// literal writes words with single spaces between them.
func (w *textWriter) literal(text string) {
	words := strings.FieldsFunc(text, isInvisible)
	if len(words) == 0 {
		w.space = w.space || text != ""
		return
	}
	w.space = w.space || !strings.HasPrefix(text, words[0])
	w.words(strings.Join(words, " "))
	w.space = !strings.HasSuffix(text, words[len(words)-1])
}

func (w *textWriter) words(text string) {
	w.flush()
	w.b.WriteString(text)
	w.lineEnds = 0
}

// flush writes the line ends or the space that the next word wants before it.
func (w *textWriter) flush() {
	if w.wanted > w.lineEnds {
		w.b.WriteString(strings.Repeat("\n", w.wanted-w.lineEnds))
		w.lineEnds = w.wanted
	} else if w.space && w.lineEnds == 0 && w.wanted == 0 {
		w.b.WriteByte(' ')
	}
	w.wanted, w.space = 0, false
}

// tag writes a Liquid tag. Line ends go before it: what stands in the block may
// not be shown, and what follows must not run into what went before.
func (w *textWriter) tag(t token) {
	w.flush()
	writeTag(&w.b, t.name, t.args)
}

var escapeFilter = regexp.MustCompile(`\|\s*escape(_once)?\s*(\||$)`)

// unescapedOutput returns an output for a plain text, where nothing is escaped.
func unescapedOutput(args string) string {
	for escapeFilter.MatchString(args) {
		args = strings.TrimSpace(escapeFilter.ReplaceAllString(args, "$2"))
	}
	return "{{ " + args + " }}"
}

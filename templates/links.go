package templates

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	xhtml "golang.org/x/net/html"
)

// linkPrefix begins the names that stand for click links in a source. Authors
// cannot use such a name.
const linkPrefix = "_link_"

// linker replaces literal web addresses by {{ _link_N }}, N being the target's
// place in targets. Addresses with Liquid in them, and those in raw text and
// HTML comments, stay as they are and are not counted.
type linker struct {
	targets []string
	index   map[string]int
}

func newLinker() *linker { return &linker{index: map[string]int{}} }

func (l *linker) marker(target string) string {
	n, known := l.index[target]
	if !known {
		n = len(l.targets)
		l.index[target] = n
		l.targets = append(l.targets, target)
	}
	return "{{ " + linkPrefix + strconv.Itoa(n) + " }}"
}

// linkNumber returns N of _link_N.
func linkNumber(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, linkPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// edit replaces the bytes from start to end.
type edit struct {
	start, end int
	with       string
}

func applyEdits(source string, edits []edit) string {
	var b strings.Builder
	pos := 0
	for _, e := range edits {
		b.WriteString(source[pos:e.start])
		b.WriteString(e.with)
		pos = e.end
	}
	b.WriteString(source[pos:])
	return b.String()
}

// html rewrites the links of <a> and <area>; every other byte stays.
func (l *linker) html(source string) string {
	h := parseHTML(parseDocument(source))
	var edits []edit
	for _, t := range h.tags {
		href, ok := t.link()
		if !ok {
			continue
		}
		if target, literal := h.literal(href.start, href.end); literal && isWebAddress(target) {
			edits = append(edits, edit{href.start, href.end, l.marker(target)})
		}
	}
	return applyEdits(source, edits)
}

// link returns the href of a link.
func (t *htmlToken) link() (attribute, bool) {
	if t.kind == xhtml.EndTagToken || t.name != "a" && t.name != "area" {
		return attribute{}, false
	}
	return t.attribute("href")
}

var webAddress = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"'\x01]+`)

// text rewrites the web addresses in a plain text.
func (l *linker) text(source string) string {
	doc := parseDocument(source)
	hidden := mask(doc, masked, false)
	var edits []edit
	for _, at := range webAddress.FindAllStringIndex(hidden, -1) {
		start, end := at[0], at[1]
		if end < len(hidden) && hidden[end] == masked {
			continue // Liquid goes on with it
		}
		target := withoutPunctuation(hidden[start:end])
		if !isWebAddress(target) {
			continue
		}
		end = start + len(target)
		with := l.marker(target)
		if start > 0 && source[start-1] == '{' { // which would become a part of {{
			start, with = start-1, `{{ "{" }}`+with
		}
		edits = append(edits, edit{start, end, with})
	}
	return applyEdits(source, edits)
}

// withoutPunctuation drops what belongs to the sentence around an address: marks
// at its end, and brackets that it does not open itself.
func withoutPunctuation(address string) string {
	for {
		address = strings.TrimRight(address, ".,;:!?*]}")
		if !strings.HasSuffix(address, ")") || strings.Count(address, ")") <= strings.Count(address, "(") {
			return address
		}
		address = address[:len(address)-1]
	}
}

// isWebAddress reports whether a link target can be stored and redirected to.
func isWebAddress(target string) bool {
	u, err := url.Parse(target)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		len(target) <= MaxLink && !strings.ContainsFunc(target, isSpaceOrControl)
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xa0 }

// checkLinks checks where the links of an HTML part lead.
func (h *htmlDocument) checkLinks() {
	for _, t := range h.tags {
		href, ok := t.link()
		if !ok {
			continue
		}
		target, literal := h.literal(href.start, href.end)
		switch {
		case !literal:
			h.checkMixedLink(href)
		case isWebAddress(target) || strings.HasPrefix(target, "#") && len(target) <= MaxLink:
		case !slices.Contains([]string{"mailto", "tel", "sms"}, scheme(target)):
			h.problem(href.start, "a link begins with https:, http:, mailto:, tel:, sms: or #, and is whole")
		}
	}
}

// scheme returns what stands before the colon, as a browser reads it: it drops
// control characters.
func scheme(target string) string {
	before, _, found := strings.Cut(target, ":")
	if !found {
		return ""
	}
	return strings.ToLower(strings.Map(func(r rune) rune {
		if isSpaceOrControl(r) {
			return -1
		}
		return r
	}, before))
}

// checkMixedLink checks a link with Liquid in it.
func (h *htmlDocument) checkMixedLink(href attribute) {
	for _, rule := range mixedLinkProblems(h.document, href.start, href.end) {
		h.problem(href.start, "%s", rule)
	}
}

// mixedLinkProblems judges wherever a link with Liquid in it may begin: at its
// start, and after every tag until something stands outside all blocks. It must
// not begin with what a contact says, which could lead anywhere, nor with a
// script, nor with half a scheme that a value could complete.
func mixedLinkProblems(doc *document, start, end int) (rules []string) {
	begins, depth := true, doc.depthAt(start)
	for _, t := range doc.tokensIn(start, end) {
		if t.kind == tagToken || t.kind == commentToken {
			begins = true
			continue
		}
		text := doc.source[t.start:t.end]
		if t.kind == textToken {
			text = strings.TrimSpace(html.UnescapeString(doc.textOf(t, start, end)))
		}
		if text == "" || !begins {
			continue
		}
		if rule := linkBeginning(t, text); rule != "" {
			rules = append(rules, rule)
		}
		if t.depth == depth {
			break
		}
		begins = false
	}
	return slices.Compact(rules)
}

var scriptSchemes = []string{"javascript", "data", "vbscript", "file", "blob", "about", "view-source"}

func linkBeginning(t token, text string) (rule string) {
	if t.kind == outputToken {
		o, err := parseOutput(t.args)
		if err == nil && len(o.filters) == 0 && (o.is("unsubscribe_url") || o.is("preferences_url") || o.is("sender", "site") || o.is("sender", "privacy_notice")) {
			return ""
		}
		return "a link cannot begin with a value: write https:// and the host"
	}
	switch {
	case slices.Contains(scriptSchemes, scheme(text)):
		return fmt.Sprintf("a link cannot begin with %s:", scheme(text))
	case !strings.ContainsAny(text, ":/?#"):
		return "a link begins with a whole scheme, such as https:"
	}
	return ""
}

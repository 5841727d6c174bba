package templates

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"utskick/audience"
)

// Check returns nil, or an [*InvalidError] with all that is wrong in a
// template. It is called when a template is saved; attributes are the
// registered names that it may use as contact.<name>.
func Check(t Template, attributes []string) error {
	known := make(map[string]bool, len(attributes))
	for _, name := range attributes {
		known[name] = true
	}
	problems := checkTemplate(t)
	for tag, content := range t.Contents {
		if parsed, err := language.Parse(tag); err != nil || parsed.String() != tag {
			problems = append(problems, Problem{Language: tag, Rule: "this is not a language tag such as sv, sv-SE or en"})
		}
		problems = append(problems, checkContent(t.Channel, tag, content, known)...)
	}
	return invalid(t.Name, problems)
}

func checkTemplate(t Template) (problems []Problem) {
	if t.Name == "" {
		problems = append(problems, Problem{Rule: "the template has no name"})
	}
	if !t.Channel.Dispatched() {
		problems = append(problems, Problem{Rule: fmt.Sprintf("channel %q is not one of email, sms and push", t.Channel)})
	}
	if _, ok := t.Contents[t.Default]; !ok {
		problems = append(problems, Problem{Rule: fmt.Sprintf("the default language %q is not among the languages", t.Default)})
	}
	return problems
}

// contentPart is one part of a content, and what is demanded of it.
type contentPart struct {
	name     string
	text     string
	limit    int
	escaping escaping
	needed   bool
	unused   bool
}

func contentParts(channel audience.Channel, c Content) []contentPart {
	email, sms, push := channel == audience.Email, channel == audience.SMS, channel == audience.Push
	return []contentPart{
		{partSubject, c.Subject, MaxSubject, asHeader, email || push, sms},
		{partHTML, c.HTML, MaxHTML, asHTML, email, sms || push},
		{partText, c.Text, MaxText, asIs, sms || push, false},
		{partLink, c.Link, MaxLink, asHeader, false, email || sms},
	}
}

// checkContent checks one language. Nil attributes allow any.
func checkContent(channel audience.Channel, tag string, c Content, attributes map[string]bool) []Problem {
	var problems []Problem
	for _, part := range contentParts(channel, c) {
		for _, p := range part.check(channel, attributes) {
			p.Language, p.Part = tag, part.name
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return problems
	}
	if n := len(prepare(channel, tag, c, Sender{}).targets); n > MaxLinks {
		problems = []Problem{{Language: tag, Rule: fmt.Sprintf("%d link targets, at most %d are possible", n, MaxLinks)}}
	}
	return problems
}

func (p contentPart) check(channel audience.Channel, attributes map[string]bool) []Problem {
	empty := strings.TrimSpace(p.text) == ""
	switch {
	case empty && p.needed:
		return []Problem{{Rule: "this part is needed and empty"}}
	case empty:
		return nil
	case p.unused:
		return []Problem{{Rule: fmt.Sprintf("%s has no such part", channel)}}
	case len(p.text) > p.limit:
		return []Problem{{Rule: fmt.Sprintf("%d bytes, at most %d are possible", len(p.text), p.limit)}}
	case p.escaping == asHeader && strings.ContainsAny(p.text, "\r\n"):
		return []Problem{{Rule: "this part is one line"}}
	case !utf8.ValidString(p.text) || strings.ContainsFunc(p.text, isOddControl):
		return []Problem{{Rule: "this part is not plain UTF-8 text: it has control characters or broken ones"}}
	}
	doc := parseDocument(p.text)
	if n := countNodes(doc.tree); n > maxNodes {
		return []Problem{{Rule: fmt.Sprintf("%d tags and outputs, at most %d are possible", n, maxNodes)}}
	}
	problems := checkNames(doc, attributes, p.escaping == asHTML)
	problems = append(problems, p.checkForm(doc)...)
	if len(problems) == 0 {
		problems = p.checkLibrary(doc)
	}
	return append(problems, checkLength(channel, doc)...)
}

func isOddControl(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' }

// checkForm checks what is not Liquid: the HTML, and where a push leads.
func (p contentPart) checkForm(doc *document) []Problem {
	switch p.name {
	case partHTML:
		h := parseHTML(doc)
		h.checkStructure()
		h.checkLinks()
		return h.problems
	case partLink:
		return checkPushLink(doc)
	}
	return nil
}

// checkLibrary: whatever passed so far must parse in the library too.
func (p contentPart) checkLibrary(doc *document) []Problem {
	engine := rawLiquid
	if p.escaping == asHTML {
		engine = htmlLiquid
	}
	if _, err := engine.ParseTemplateLocation([]byte(source(doc.tree)), "", 1); err != nil {
		return []Problem{{Line: err.LineNumber(), Rule: "Liquid cannot read what stands here"}}
	}
	return nil
}

var appScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://[^\s]`)

// checkPushLink: a tap may open a page or, by its own scheme, a place in the
// app.
func checkPushLink(doc *document) []Problem {
	var rules []string
	target := strings.TrimSpace(doc.source)
	switch {
	case strings.Contains(target, "{{") || strings.Contains(target, "{%"):
		rules = mixedLinkProblems(doc, 0, len(doc.source))
	case isWebAddress(target):
	case !appScheme.MatchString(target) || slices.Contains(append(scriptSchemes, "http", "https"), scheme(target)) || strings.ContainsFunc(target, isSpaceOrControl):
		rules = []string{"a link begins with https:, http: or the scheme of an app, and is whole"}
	}
	var problems []Problem
	for _, rule := range rules {
		problems = append(problems, Problem{Line: 1, Rule: rule})
	}
	return problems
}

// checkLength finds what would be too long for every recipient, or for all who
// see the longest branches.
func checkLength(channel audience.Channel, doc *document) []Problem {
	always, sometimes := literalLength(doc.tree)
	switch channel {
	case audience.Email:
		if sometimes > MaxRow {
			return []Problem{{Rule: fmt.Sprintf("the text in blocks may take %d bytes, at most %d may differ between recipients", sometimes, MaxRow)}}
		}
	case audience.SMS:
		if room := MaxSMS - longestOptOut; always > room {
			return []Problem{{Rule: fmt.Sprintf("%d characters, at most %d are possible beside the words to opt out", always, room)}}
		}
	case audience.Push:
		if always > MaxPush {
			return []Problem{{Rule: fmt.Sprintf("%d characters, at most %d bytes are possible", always, MaxPush)}}
		}
	}
	return nil
}

// longestOptOut is room for the words of [wording.optOut] and its link.
const longestOptOut = 100

// literalLength returns how long the text outside blocks is, in UTF-16 units,
// and how long that in blocks may be, in bytes.
func literalLength(nodes []*node) (always, sometimes int) {
	for _, n := range nodes {
		if n.kind == textNode {
			always += utf16Units(n.text)
		}
		longest := 0
		for _, b := range n.branches {
			longest = max(longest, bytesIn(b.body))
		}
		sometimes += longest
	}
	return always, sometimes
}

// bytesIn returns how many bytes of text a body may show.
func bytesIn(nodes []*node) int {
	total := 0
	for _, n := range nodes {
		longest := 0
		for _, b := range n.branches {
			longest = max(longest, bytesIn(b.body))
		}
		total += len(n.text) + longest
	}
	return total
}

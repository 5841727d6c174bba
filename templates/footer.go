package templates

import (
	"html"
	"strings"

	xhtml "golang.org/x/net/html"
)

// presence is what every rendering of a part surely shows its reader: what
// stands outside blocks and comments, and is not hidden.
type presence struct {
	link   bool // a way to unsubscribe
	notice bool // the address of the privacy notice, to be followed
	text   string
}

// shown returns the text of a token that surely renders, and marks what is not
// known by \x00.
func shown(t token, doc *document, start, end int, s Sender) string {
	switch {
	case t.depth > 0 || t.kind == tagToken:
		return ""
	case t.kind == textToken:
		return doc.textOf(t, start, end)
	case t.kind == commentToken:
		return ""
	}
	o, err := parseOutput(t.args)
	switch {
	case err != nil || len(o.filters) > 0:
	case o.is("sender", "from_name"):
		return s.FromName
	case o.is("sender", "postal_address"):
		return s.addressLine()
	}
	return "\x00"
}

// isUnsubscribe reports whether a token surely renders the link to unsubscribe.
func isUnsubscribe(t token) bool { return surely(t, "unsubscribe_url") }

// isNotice reports whether it surely renders the address of the privacy notice.
func isNotice(t token) bool { return surely(t, "sender", "privacy_notice") }

func surely(t token, path ...string) bool {
	if t.kind != outputToken || t.depth > 0 {
		return false
	}
	o, err := parseOutput(t.args)
	return err == nil && o.is(path...) && len(o.filters) == 0
}

func textPresence(source string, s Sender) presence {
	doc := parseDocument(source)
	var p presence
	var b strings.Builder
	for _, t := range doc.tokens {
		p.link = p.link || isUnsubscribe(t)
		p.notice = p.notice || isNotice(t)
		b.WriteString(shown(t, doc, 0, len(source), s))
	}
	p.text = b.String()
	return p
}

// htmlPresence: the link counts as the href of an <a> with something to see in
// it. A link in a comment, another attribute or a hidden element does not.
func htmlPresence(h *htmlDocument, s Sender) presence {
	var p presence
	var b strings.Builder
	within, toNotice := false, false // a link to unsubscribe, or to the notice
	for _, t := range h.tags {
		visible := !t.hidden && h.depthAt(t.start) == 0
		switch {
		case t.name == "a":
			begins := t.kind == xhtml.StartTagToken && visible
			within, toNotice = begins && h.leadsTo(t, isUnsubscribe), begins && h.leadsTo(t, isNotice)
		case t.kind == xhtml.TextToken && !t.hidden:
			text := h.shownText(t, s)
			seen := strings.TrimFunc(text, isInvisible) != ""
			p.link, p.notice = p.link || within && seen, p.notice || toNotice && seen
			b.WriteString(text)
		case t.name == "img":
			p.link = p.link || within && visible
		case t.kind != xhtml.TextToken:
			b.WriteByte(' ')
		}
	}
	p.text = b.String()
	return p
}

func isInvisible(r rune) bool {
	return r <= ' ' || r == 0xa0 || r == 0xad || r == 0x34f || 0x200b <= r && r <= 0x200f || r == 0x2060 || r == 0xfeff
}

// leadsTo reports whether a link is what one token renders, and nothing else.
func (h *htmlDocument) leadsTo(t htmlToken, is func(token) bool) bool {
	href, ok := t.attribute("href")
	if !ok {
		return false
	}
	found := false
	for _, piece := range h.tokensIn(href.start, href.end) {
		switch {
		case is(piece):
			found = true
		case piece.kind != textToken || strings.TrimSpace(h.textOf(piece, href.start, href.end)) != "":
			return false
		}
	}
	return found
}

func (h *htmlDocument) shownText(t htmlToken, s Sender) string {
	var b strings.Builder
	for _, piece := range h.tokensIn(t.start, t.end) {
		text := shown(piece, h.document, t.start, t.end, s)
		if piece.kind == textToken {
			text = html.UnescapeString(text)
		}
		b.WriteString(text)
	}
	return b.String()
}

// footer says how much a part lacks of what every e-mail must carry.
type footer uint8

const (
	noFooter      footer = iota
	notice               // that it is advertising, and whose (marknadsföringslagen 2008:486, 9 §)
	addressFooter        // and the sender's name and postal address
	linkFooter           // and the links to unsubscribe and to the preferences
)

// lacking returns the least footer that completes a part.
func (p presence) lacking(s Sender) footer {
	text := squeeze(p.text)
	switch {
	case !p.link:
		return linkFooter
	case !strings.Contains(text, squeeze(s.FromName)) || !strings.Contains(text, squeeze(s.addressLine())):
		return addressFooter
	case !saysAdvertising(text):
		return notice
	}
	return noFooter
}

func squeeze(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// saysAdvertising looks for the words by which a reader recognises advertising.
func saysAdvertising(text string) bool {
	for _, word := range []string{"reklam", "annons", "marknadsföring", "advertis", "advert ", "marketing"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// lacksNotice reports whether a part does not lead to the sender's privacy notice,
// as every message does that may be the first one (GDPR 13, 14(3)(b), 21(4)).
func (p presence) lacksNotice(s Sender) bool { return s.PrivacyNotice != "" && !p.notice }

// wording is what the product itself says to recipients, in one language.
type wording struct {
	notice    string // before the sender's name
	question  string // before the link
	link      string // the text of the link
	textLink  string // before the address, in a text
	choose    string // the text of the link to the preferences
	textPrefs string // before their address, in a text
	privacy   string // the text of the link to the privacy notice
	smsAnswer string // for a number that takes answers
	smsLink   string // before the address, for a one-way sender
}

var (
	swedish = wording{
		notice:    "Detta är reklam från",
		question:  "Vill du inte ha fler utskick från oss?",
		link:      "Avsluta utskicken",
		textLink:  "Avsluta utskicken:",
		choose:    "Välj vad du får",
		textPrefs: "Välj vad du får:",
		privacy:   "Så behandlar vi personuppgifter",
		smsAnswer: "Svara STOPP för att slippa.",
		smsLink:   "Avsluta:",
	}
	english = wording{
		notice:    "This is advertising from",
		question:  "Would you rather not get these messages?",
		link:      "Unsubscribe",
		textLink:  "Unsubscribe:",
		choose:    "Choose what you get",
		textPrefs: "Choose what you get:",
		privacy:   "How we use personal data",
		smsAnswer: "Reply STOP to opt out.",
		smsLink:   "Opt out:",
	}
)

// wordingFor returns Swedish for Swedish, and English for all other languages.
func wordingFor(language string) wording {
	if baseLanguage(language) == "sv" {
		return swedish
	}
	return english
}

// htmlFooter returns the footer as a Liquid source; privacy is whether it leads to
// the privacy notice.
func (w wording) htmlFooter(f footer, privacy bool, language string) string {
	const style = `style="color:#555555;"`
	var lines []string
	if f >= notice {
		lines = append(lines, w.notice+" {{ sender.from_name }}.")
	}
	if f >= addressFooter {
		lines = append(lines, `{{ sender.from_name }}, {{ sender.postal_address }}, <a href="{{ sender.site }}" `+style+`>{{ sender.site }}</a>`)
	}
	if f >= linkFooter {
		lines = append(lines, w.question+` <a href="{{ unsubscribe_url }}" `+style+`>`+w.link+`</a>`+
			` · <a href="{{ preferences_url }}" `+style+`>`+w.choose+`</a>`)
	}
	if privacy {
		lines = append(lines, `<a href="{{ sender.privacy_notice }}" `+style+`>`+w.privacy+`</a>`)
	}
	if len(lines) == 0 {
		return ""
	}
	return "\n" + `<div lang="` + language + `" style="padding:24px 16px;font-family:Arial,Helvetica,sans-serif;` +
		`font-size:12px;line-height:18px;color:#555555;text-align:center;">` + strings.Join(lines, "<br>\n") + "</div>\n"
}

func (w wording) textFooter(f footer, privacy bool) string {
	text := ""
	if f >= notice {
		text += w.notice + " {{ sender.from_name }}.\n"
	}
	if f >= addressFooter {
		text += "{{ sender.from_name }}, {{ sender.postal_address }}, {{ sender.site }}\n"
	}
	if f >= linkFooter {
		text += w.textLink + " {{ unsubscribe_url }}\n" + w.textPrefs + " {{ preferences_url }}\n"
	}
	if privacy {
		text += w.privacy + ": {{ sender.privacy_notice }}\n"
	}
	if text == "" {
		return ""
	}
	return "\n--\n" + text
}

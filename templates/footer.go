package templates

import (
	"html"
	"strings"

	xhtml "golang.org/x/net/html"
)

// presence is what every rendering of a part surely shows its reader: what
// stands outside blocks and comments, and is not hidden.
type presence struct {
	link bool // a way to unsubscribe
	text string
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
func isUnsubscribe(t token) bool {
	if t.kind != outputToken || t.depth > 0 {
		return false
	}
	o, err := parseOutput(t.args)
	return err == nil && o.is("unsubscribe_url") && len(o.filters) == 0
}

func textPresence(source string, s Sender) presence {
	doc := parseDocument(source)
	var p presence
	var b strings.Builder
	for _, t := range doc.tokens {
		p.link = p.link || isUnsubscribe(t)
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
	within := false // a link to unsubscribe
	for _, t := range h.tags {
		visible := !t.hidden && h.depthAt(t.start) == 0
		switch {
		case t.name == "a":
			within = t.kind == xhtml.StartTagToken && visible && h.leadsToUnsubscribe(t)
		case t.kind == xhtml.TextToken && !t.hidden:
			text := h.shownText(t, s)
			p.link = p.link || within && strings.TrimFunc(text, isInvisible) != ""
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

func (h *htmlDocument) leadsToUnsubscribe(t htmlToken) bool {
	href, ok := t.attribute("href")
	if !ok {
		return false
	}
	found := false
	for _, piece := range h.tokensIn(href.start, href.end) {
		switch {
		case isUnsubscribe(piece):
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

// wording is what the product itself says to recipients, in one language.
type wording struct {
	notice    string // before the sender's name
	question  string // before the link
	link      string // the text of the link
	textLink  string // before the address, in a text
	choose    string // the text of the link to the preferences
	textPrefs string // before their address, in a text
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

// htmlFooter returns the footer as a Liquid source.
func (w wording) htmlFooter(f footer, language string) string {
	if f == noFooter {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n" + `<div lang="` + language + `" style="padding:24px 16px;font-family:Arial,Helvetica,sans-serif;` +
		`font-size:12px;line-height:18px;color:#555555;text-align:center;">`)
	b.WriteString(w.notice + " {{ sender.from_name }}.")
	if f >= addressFooter {
		b.WriteString("<br>\n" + `{{ sender.from_name }}, {{ sender.postal_address }}, <a href="{{ sender.site }}" style="color:#555555;">{{ sender.site }}</a>`)
	}
	if f >= linkFooter {
		b.WriteString("<br>\n" + w.question + ` <a href="{{ unsubscribe_url }}" style="color:#555555;">` + w.link + `</a>` +
			` · <a href="{{ preferences_url }}" style="color:#555555;">` + w.choose + `</a>`)
	}
	b.WriteString("</div>\n")
	return b.String()
}

func (w wording) textFooter(f footer) string {
	if f == noFooter {
		return ""
	}
	text := "\n--\n" + w.notice + " {{ sender.from_name }}.\n"
	if f >= addressFooter {
		text += "{{ sender.from_name }}, {{ sender.postal_address }}, {{ sender.site }}\n"
	}
	if f >= linkFooter {
		text += w.textLink + " {{ unsubscribe_url }}\n" + w.textPrefs + " {{ preferences_url }}\n"
	}
	return text
}

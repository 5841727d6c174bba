package templates

import (
	"fmt"
	"strings"

	xhtml "golang.org/x/net/html"

	"utskick/audience"
)

// Targets returns the link targets of one language in order of first
// appearance: in the HTML, then in the text, then the link of a push message.
// Each becomes a stored link; [Compile] asks for its id.
func Targets(t Template, language string) ([]string, error) {
	content, ok := t.Contents[language]
	if !ok {
		return nil, fmt.Errorf("template %q has no language %q", t.Name, language)
	}
	return prepare(t.Channel, language, content, Sender{}).targets, nil
}

// prepared is a content with all that the product adds: {{ _link_N }} where a
// literal link was, the footers, the pixel. It is Liquid still.
type prepared struct {
	subject, html, text, link string
	targets                   []string // by N
}

func prepare(channel audience.Channel, language string, c Content, s Sender) prepared {
	l := newLinker()
	p := prepared{subject: c.Subject}
	switch channel {
	case audience.Email:
		p.html = l.html(c.HTML)
		p.text = c.Text
		if strings.TrimSpace(p.text) == "" {
			p.text = textFromHTML(p.html, l.targets)
		}
		p.text = completeText(l.text(p.text), language, s)
		p.html = completeHTML(p.html, language, s)
	case audience.SMS:
		p.text = completeSMS(l.text(c.Text), language, s)
	case audience.Push:
		p.text = c.Text
		p.link = strings.TrimSpace(c.Link)
		if isWebAddress(p.link) && !strings.Contains(p.link, "{") {
			p.link = l.marker(p.link)
		}
	}
	p.targets = l.targets
	return p
}

// completeHTML adds the footer, the line about being measured and the pixel at the
// end of the body.
func completeHTML(source, language string, s Sender) string {
	h := parseHTML(parseDocument(source))
	there := htmlPresence(h, s)
	end := h.bodyEnd()
	return source[:end] + wordingFor(language).htmlFooter(there.lacking(s), there.lacksNotice(s), language) + "{{ " + measuringMarker + " }}\n{{ " + pixelMarker + " }}" + source[end:]
}

// bodyEnd returns where the last thing of the body belongs: before </body>,
// else before </html>, else at the end.
func (h *htmlDocument) bodyEnd() int {
	end := len(h.source)
	for _, t := range h.tags {
		if t.kind != xhtml.EndTagToken || t.name != "body" && t.name != "html" {
			continue
		}
		if piece := h.tokenAt(t.start); piece != nil && piece.kind == textToken && !piece.raw && piece.depth == 0 && !t.hidden {
			end = t.start
			if t.name == "body" {
				return end
			}
		}
	}
	return end
}

func completeText(source, language string, s Sender) string {
	there := textPresence(source, s)
	return strings.TrimRight(source, "\r\n") + "\n" + wordingFor(language).textFooter(there.lacking(s), there.lacksNotice(s)) + "{{ " + textMeasuringMarker + " }}"
}

// completeSMS adds a way to opt out: an answer, if the sender can be answered,
// else a link.
func completeSMS(source, language string, s Sender) string {
	if textPresence(source, s).link {
		return source
	}
	return strings.TrimRight(source, "\r\n ") + "\n" + wordingFor(language).optOut(s)
}

func (w wording) optOut(s Sender) string {
	if s.SMSService != "" || strings.HasPrefix(s.SMSSender, "+") {
		return w.smsAnswer
	}
	return w.smsLink + " {{ unsubscribe_url }}"
}

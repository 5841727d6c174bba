package mailback

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// mostOwn bounds the text whose lines are looked at, in bytes.
const mostOwn = 64 << 10

// ownLines returns the lines of a message that its writer wrote, without what is
// quoted and without the signature.
func ownLines(top entity) []string {
	text := ""
	if part := top.find(func(e entity) bool { return e.media == "text/plain" && len(e.body) > 0 }); part != nil {
		text = string(part.body)
	}
	if strings.TrimSpace(text) == "" {
		if part := top.find(func(e entity) bool { return e.media == "text/html" }); part != nil {
			text = htmlText(string(part.body))
		}
	}
	if len(text) > mostOwn {
		text = strings.ToValidUTF8(text[:mostOwn], "")
	}
	return own(strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n"))
}

var (
	// What programs put above the message that is answered.
	divider = regexp.MustCompile(`(?i)^\s*(?:-{3,}\s*(?:original(?:meddelande| message)|ursprungligt meddelande|vidarebefordrat meddelande|forwarded message|reply (?:above|message)).*|_{10,}\s*|-{10,}\s*)$`)
	// "On … wrote:", "Den … skrev …:", in one line or folded.
	attribution = regexp.MustCompile(`(?is)^\s*(?:>\s*)?(?:on|den|le|am|op|på|kl\.?|(?:mån|tis|ons|tors?|fre|lör|sön)[a-z]*\.?)\s.{4,300}\b(?:wrote|skrev|schrieb|écrit|skreiv)\b.{0,200}:\s*$|^.{1,200}\s(?:skrev|wrote)\s*:\s*$`)
	// The headers that Outlook repeats. Two of them make a block.
	repeated = regexp.MustCompile(`(?i)^\s*\*?(?:från|from|skickat|sent|till|to|ämne|subject|datum|date)\s?:\*?\s?\S`)
	// What phones and programs put below.
	footer = regexp.MustCompile(`(?i)^\s*(?:skickat (?:från|med)|skickades från|sent (?:from|with|via)|hämta outlook|get outlook|hämta .{2,30} för (?:ios|android))\b`)
)

func own(lines []string) (kept []string) {
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch n := attributed(lines[i:]); {
		case line == "-- " || strings.TrimRight(line, " \r") == "--", divider.MatchString(line), repeatedBlock(lines[i:]):
			return trimmed(kept)
		case n > 0 && !quotedAfter(lines[i+n:]): // all that follows is quoted without a mark
			return trimmed(kept)
		case n > 0:
			i += n - 1
		case strings.HasPrefix(strings.TrimLeft(line, " \t"), ">"), footer.MatchString(line):
		default:
			kept = append(kept, line)
		}
	}
	return trimmed(kept)
}

// attributed returns how many lines say who wrote what follows: none, or up to
// three, as programs fold them.
func attributed(lines []string) int {
	joined := ""
	for i := range min(3, len(lines)) {
		joined += " " + strings.TrimSpace(lines[i])
		if i == 0 && strings.TrimSpace(joined) == "" {
			return 0
		}
		if len(joined) < 600 && attribution.MatchString(strings.TrimSpace(joined)) {
			return i + 1
		}
	}
	return 0
}

// quotedAfter reports whether the next line that is not empty has the mark of a
// quotation.
func quotedAfter(lines []string) bool {
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			return strings.HasPrefix(l, ">")
		}
	}
	return false
}

func repeatedBlock(lines []string) bool {
	return len(lines) > 1 && repeated.MatchString(lines[0]) && repeated.MatchString(lines[1])
}

// trimmed takes out empty lines at both ends and where several follow each other.
// That a line goes on in the next (RFC 3676, 4) is seen by the space at its end.
func trimmed(lines []string) (kept []string) {
	for _, l := range lines {
		l = strings.TrimRight(strings.TrimLeft(strings.ReplaceAll(l, "\u00a0", " "), " \t"), "\t\r")
		if strings.TrimSpace(l) == "" {
			l = ""
		}
		if l != "" || (len(kept) > 0 && kept[len(kept)-1] != "") {
			kept = append(kept, l)
		}
	}
	for len(kept) > 0 && kept[len(kept)-1] == "" {
		kept = kept[:len(kept)-1]
	}
	return kept
}

// breaks are the elements after which a new line begins.
var breaks = map[atom.Atom]bool{atom.Br: true, atom.P: true, atom.Div: true, atom.Tr: true, atom.Li: true, atom.Hr: true,
	atom.H1: true, atom.H2: true, atom.H3: true, atom.Table: true, atom.Ul: true, atom.Ol: true}

// unread are the elements of which nothing is read.
var unread = map[atom.Atom]bool{atom.Blockquote: true, atom.Style: true, atom.Script: true, atom.Head: true, atom.Title: true}

// htmlText returns what an HTML message says, without what is quoted in it: the
// element by which Gmail, Apple and Thunderbird quote, or all below the line by
// which Outlook does.
func htmlText(source string) string {
	var b strings.Builder
	tokens, skipped := html.NewTokenizer(strings.NewReader(source)), 0
	for b.Len() < mostOwn {
		switch kind := tokens.Next(); kind {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			if skipped == 0 {
				b.WriteString(strings.Join(strings.FieldsFunc(string(tokens.Text()), func(r rune) bool { return r == '\n' || r == '\r' || r == '\t' }), " "))
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			t := tokens.Token()
			if kind == html.StartTagToken && skipped == 0 && outlookQuote(t) {
				return b.String()
			}
			switch {
			case unread[t.DataAtom] && kind == html.StartTagToken:
				skipped++
			case unread[t.DataAtom] && kind == html.EndTagToken && skipped > 0:
				skipped--
			case breaks[t.DataAtom]:
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}

// outlookQuote reports whether an element begins the message that is answered.
func outlookQuote(t html.Token) bool {
	for _, a := range t.Attr {
		switch {
		case a.Key == "id" && (a.Val == "divRplyFwdMsg" || a.Val == "appendonsend" || a.Val == "reply-intro"),
			a.Key == "class" && strings.Contains(a.Val, "gmail_quote"):
			return true
		}
	}
	return false
}

package suppression

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Meaning is what somebody says who answers a message.
type Meaning string

// The meanings. Unclear is for customer service to read.
const (
	SaysStop  Meaning = "stop"
	SaysStart Meaning = "start"
	SaysHelp  Meaning = "help"
	Unclear   Meaning = "unclear"
)

// ReadMeaning reads a short answer in Swedish or English. Case, punctuation,
// diacritics and repeated letters say nothing, and neither do the words that people
// put around a stop. It is clear when nothing else is in it: "sluta skicka sms" is
// an objection, "when do you stop the sale?" is a question. A renewal has to be
// the one word, since it gives up a protection.
func ReadMeaning(text string) Meaning {
	words := wordsOf(text)
	if len(words) == 0 || len(words) > mostWords {
		return Unclear
	}
	if rest, objects := withoutStops(words); objects {
		if !slices.ContainsFunc(rest, func(w string) bool { return !around[w] }) {
			return SaysStop
		}
		return Unclear
	}
	rest := slices.DeleteFunc(words, func(w string) bool { return polite[w] })
	switch {
	case len(rest) != 1:
		return Unclear
	case renewals[rest[0]]:
		return SaysStart
	case helps[rest[0]]:
		return SaysHelp
	}
	return Unclear
}

const (
	mostWords = 16   // an answer with more has something else to say
	mostBytes = 4096 // and more than this is not read
)

// wordsOf splits a text into words of plain letters, in lower case.
func wordsOf(text string) []string {
	if len(text) > mostBytes {
		text = text[:mostBytes]
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r), r == '\'', r == '’', r == '\u00ad', r == '\u200b', r == '\u200d', r == '\ufeff':
			return -1 // accents, apostrophes and what is not seen
		case unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return ' '
	}, norm.NFKD.String(strings.ToValidUTF8(text, " ")))
	words := strings.Fields(plain)
	for i, w := range words {
		words[i] = squeezed(w)
	}
	return words
}

// squeezed writes a letter that is repeated once: "STOOOPP" is a stop.
func squeezed(w string) string {
	var b strings.Builder
	var last rune
	for _, r := range w {
		if r != last {
			b.WriteRune(r)
		}
		last = r
	}
	return b.String()
}

// withoutStops takes out what says stop, and reports whether there was any.
func withoutStops(words []string) (rest []string, objects bool) {
	for len(words) > 0 {
		n := 0
		for _, s := range stops {
			if len(s) > n && len(s) <= len(words) && slices.Equal(s, words[:len(s)]) {
				n = len(s)
			}
		}
		if n > 0 {
			objects, words = true, words[n:]
			continue
		}
		rest, words = append(rest, words[0]), words[1:]
	}
	return rest, objects
}

// stops are words and phrases that say stop: those that we publish, Twilio's
// (https://help.twilio.com/articles/223134027), and what people write instead.
// Twilio's END, CANCEL, QUIT and REVOKE are among them: with other words around
// them they may be about anything, but then those are not in around.
var stops = phrases("stop", "stopp", "stoppa", "avsluta", "sluta", "avregistrera", "avregistrering", "avanmäl", "avanmäla", "avanmälan", "avprenumerera",
	"stopall", "stop all", "unsubscribe", "unsub", "cancel", "end", "quit", "revoke", "optout", "opt out", "opt me out", "remove me", "take me off",
	"remove my number", "ta bort mig", "ta bort mitt nummer", "ta bort numret", "inga fler", "inget mer", "inga mer", "inte ha", "skicka inte", "skicka inga",
	"skicka aldrig", "inte längre", "no more", "do not send", "dont send", "do not text", "dont text", "do not contact", "dont contact", "never send", "leave me alone",
	"lämna mig ifred", "lämna mig i fred")

// around are the words that may stand around a stop without making it unclear. No
// negation is among them.
var around = vocabulary("hej hejsan hello hi dear tack snälla vänligen please thanks thank you pls nu now genast omedelbart immediately direkt gärna bara just",
	"jag vill ska kan du ni er era ert eran din dina mig min mitt mina oss i want would like to can could your me my us we",
	"att från med för på av den det de dom här denna detta dessa till and och from with the this these that those all alla allt any every it for of",
	"skicka skickar skickas skickat sända sänder send sending sends texting text texts message messages messaging receive receiving get getting contact contacting få får ha have längre anymore more mer fler",
	"sms smsen smset sms:et meddelande meddelanden meddelandena mejl mejlen mail mejla email emails epost reklam reklamen utskick utskicken nyhetsbrev nyhetsbrevet prenumeration prenumerationen subscription newsletter newsletters erbjudande erbjudanden erbjudandena offers ads advertising marketing spam spamma spamming",
	"nummer numret number list listan lista lists")

var (
	polite = vocabulary("tack please snälla thanks hej hello pls")
	// Twilio's words (https://help.twilio.com/articles/223134027), by which it lets
	// messages through again itself, and the Swedish START. JA is none of them: it
	// answers whatever question came last from the number, be it customer service's.
	renewals = vocabulary("start starta unstop yes")
	helps    = vocabulary("help hjälp info")
)

func phrases(all ...string) (out [][]string) {
	for _, p := range all {
		out = append(out, wordsOf(p))
	}
	return out
}

func vocabulary(lines ...string) map[string]bool {
	known := map[string]bool{}
	for _, w := range wordsOfAll(lines) {
		known[w] = true
	}
	return known
}

func wordsOfAll(lines []string) (all []string) {
	for _, l := range lines {
		all = append(all, wordsOf(l)...)
	}
	return all
}

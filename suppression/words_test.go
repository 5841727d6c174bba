package suppression_test

import (
	"strings"
	"testing"

	"utskick/suppression"
)

func TestReadMeaning(t *testing.T) {
	for meaning, texts := range map[suppression.Meaning][]string{
		suppression.SaysStop: {"STOP", "stop!", "STOPP", "Stopp tack", " stopp. ", "\"STOP\"", "STOOOPP!!!", "S\u0301TOP", "ＳＴＯＰ", "STOP\r\n",
			"AVSLUTA", "SLUTA", "AVREGISTRERA", "avregistrera mig", "Avregistrera mig från era utskick, tack!", "sluta skicka sms", "Sluta skicka era sms till mig!",
			"Hej, jag vill inte ha fler sms", "inga fler sms", "Skicka inte fler meddelanden tack", "ta bort mitt nummer från listan", "Avanmäl mig", "AVANMÄLAN", "avanma\u0308l",
			"STOPALL", "stop all", "UNSUBSCRIBE", "unsubscribe me please", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "opt-out", "Opt out!", "Stop sending me messages",
			"please stop texting me", "Don't text me any more", "don’t send me messages", "remove me from your list", "no more texts", "STOP STOP STOP", "stop/avsluta", "stop\u200b"},
		suppression.SaysStart: {"START", "start!", "Starta", "YES", "UNSTOP", "yes please"},
		suppression.SaysHelp:  {"HELP", "help?", "Hjälp", "INFO"},
		suppression.Unclear: {"", " ", "?!", "👍", "Tack!", "When do you stop the sale?", "Var ligger närmaste busstopp?", "stopp i pump 4", "sluta inte skicka sms", "don't stop",
			"stoppa inte", "När slutar ni?", "Hur lång tid tar det innan rean är slut", "JA", "Ja tack", "ja!", "ja men inte idag", "start sending", "at the end of the week?", "cancel my order", "avsluta mitt köp",
			"help me stop", "nej", "no", "stp", "shop", "step", "stopwatch", "nonstop", "stop " + strings.Repeat("sms ", 20)},
	} {
		for _, text := range texts {
			if got := suppression.ReadMeaning(text); got != meaning {
				t.Errorf("%q is %s, want %s", text, got, meaning)
			}
		}
	}
}

// FuzzReadMeaning: whatever is written, case and punctuation around it do not
// change what it means, and a word that is known to nobody makes it unclear.
func FuzzReadMeaning(f *testing.F) {
	for _, text := range []string{"STOP", "avregistrera mig", "JA", "ja tack", "YES", "hjälp", "don't stop", "\xff", "ＳＴＯＰ", "stop\u0301\u200b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		meaning := suppression.ReadMeaning(text)
		if len(text) < 1000 {
			if got := suppression.ReadMeaning(" \"" + text + "\" !\n"); got != meaning {
				t.Fatalf("%q is %s, and in quotes %s", text, meaning, got)
			}
			if got := suppression.ReadMeaning(text + " qwzx"); got != suppression.Unclear {
				t.Fatalf("%q with an unknown word is %s", text, got)
			}
		}
		switch meaning {
		case suppression.SaysStop, suppression.SaysStart, suppression.SaysHelp, suppression.Unclear:
		default:
			t.Fatalf("%q", meaning)
		}
	})
}

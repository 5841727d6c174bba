package api

// confirmWords are the texts about what is confirmed by mail. %s is the name of a
// topic.
type confirmWords struct {
	Title, TitleAll     string // headings
	Will, WillAll       string // what the button does
	Only                string // and what it does not
	Wider               string // that it lifts more
	Button              string
	Done, DoneAll       string // headings
	DoneP, DoneAllP     string
	StillStopped        string // confirmed, while a wider wish stands
	Leave               string // how to end it
	Used, UsedP         string // of a link that has confirmed
	Late, LateP         string // of one that is too old
	Newsletter          string // which is which: the topic, and all marketing by e-mail
	Again, AgainHint    string // heading over what can be asked for again
	AgainKind, AgainAll string // on buttons
	Asked, AskedP       string
}

var confirmSwedish = confirmWords{
	Title: "Bekräfta att du vill ha ”%s”", TitleAll: "Bekräfta att du vill ha reklam via e-post igen",
	Will:    "Om du trycker på knappen skickar vi ”%s” till den e-postadress som länken kom till.",
	WillAll: "Om du trycker på knappen får vi åter skicka reklam via e-post till dig. Det du har avslutat av ett visst slag, och på andra sätt än via e-post, förblir avslutat.",
	Only:    "Det gäller ”%s” och ingenting annat: annan reklam via e-post från oss varken börjar eller slutar med det.",
	Wider: "Du har tidigare sagt att du inte vill ha någon reklam via e-post från oss, och då kan inte heller ”%s” komma. Om du trycker på knappen gäller det inte längre. " +
		"Då kan också annan reklam via e-post från oss komma; den kan du avsluta för sig.",
	Button: "Bekräfta",
	Done:   "Du prenumererar på ”%s”", DoneAll: "Du kan få reklam via e-post igen",
	DoneP: "Vi skickar ”%s” till dig från och med nu.", DoneAllP: "Det gäller från och med nu.",
	StillStopped: "Men du har också sagt att du inte vill ha någon reklam via e-post från oss. Så länge det gäller kommer inte heller ”%s”. Be om prenumerationen en gång till för att ändra det, eller säg till kundservice.",
	Leave:        "Du kan avsluta när du vill, med länken i varje utskick.",
	Used:         "Länken är redan använd", UsedP: "Det du bekräftade är sparat, och länken ändrar ingenting mer. Vad som gäller nu ser du via länken i våra utskick.",
	Late: "Länken gäller inte längre", LateP: "Den gällde i 7 dagar, och ingenting har ändrats. Be om en ny där du bad om den här.",
	Newsletter: "”%s” är något som du prenumererar på. Du kan avsluta bara det: då kan annan reklam via e-post från oss fortsätta. Avslutar du all reklam via e-post kommer inte heller det.",
	Again:      "Vill du ha något igen?", AgainHint: "Tryck på en knapp, så skickar vi ett mejl till din e-postadress. Ingenting ändras förrän du bekräftar där.",
	AgainKind: "Få ”%s” igen", AgainAll: "Få all reklam via e-post igen",
	Asked: "Titta i din inkorg", AskedP: "Om vi har din e-postadress har vi skickat ett mejl dit. Öppna länken i det och bekräfta där. Ingenting har ändrats än. Kommer inget mejl, säg till kundservice.",
}

var confirmEnglish = confirmWords{
	Title: "Confirm that you want “%s”", TitleAll: "Confirm that you want marketing by e-mail again",
	Will:    "If you press the button, we send “%s” to the e-mail address that the link came to.",
	WillAll: "If you press the button, we may send you marketing by e-mail again. What you have stopped of a certain kind, and in other ways than by e-mail, stays stopped.",
	Only:    "This is about “%s” and nothing else: other marketing by e-mail from us neither begins nor ends with it.",
	Wider: "You have told us before that you want no marketing by e-mail from us, and so “%s” cannot come either. If you press the button, that holds no longer. " +
		"Other marketing by e-mail from us may come as well then; you can stop it by itself.",
	Button: "Confirm",
	Done:   "You are subscribed to “%s”", DoneAll: "You can get marketing by e-mail again",
	DoneP: "We send you “%s” from now on.", DoneAllP: "This holds from now on.",
	StillStopped: "But you have also told us that you want no marketing by e-mail from us. As long as that holds, “%s” does not come either. Ask for the subscription once more to change it, or tell customer service.",
	Leave:        "You can stop it at any time, by the link in every message.",
	Used:         "This link has been used", UsedP: "What you confirmed is noted, and the link changes nothing more. The link in our messages shows what holds now.",
	Late: "This link works no longer", LateP: "It worked for 7 days, and nothing has changed. Ask for a new one where you asked for this.",
	Newsletter: "“%s” is something that you subscribe to. You can stop it alone: other marketing by e-mail from us may then go on. If you stop all marketing by e-mail, it does not come either.",
	Again:      "Do you want something again?", AgainHint: "Press one, and we send a mail to your e-mail address. Nothing changes until you confirm there.",
	AgainKind: "Get “%s” again", AgainAll: "Get all marketing by e-mail again",
	Asked: "Look into your inbox", AskedP: "If we have your e-mail address, we have sent a mail to it. Open the link in it and confirm there. Nothing has changed yet. If no mail comes, tell customer service.",
}

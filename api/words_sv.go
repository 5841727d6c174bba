package api

import (
	"utskick/audience"
	"utskick/suppression"
)

var swedish = words{
	Language: "sv", Itself: "Svenska", Switch: "Språk",
	Months: [12]string{"januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november", "december"},
	Date:   "%d %s %d",

	About: "Den här sidan gäller %s.", AboutKind: "Den här sidan gäller %s av slaget ”%s”.", From: "Från", To: "Till",
	Kinds: "Varje slags meddelande avslutas för sig: om du avslutar det här slaget fortsätter andra slag från oss tills du avslutar dem också.",
	Messages: map[audience.Channel]string{audience.Email: "ett e-postmeddelande", audience.SMS: "ett sms", audience.Push: "en pushnotis",
		anyChannel: "ett meddelande", ownChannel: "ett meddelande"},
	By: map[audience.Channel]string{audience.Email: "via e-post", audience.SMS: "via sms", audience.Push: "via pushnotiser", audience.Post: "med post", audience.Phone: "per telefon"},

	Scopes: map[audience.Channel]scopeWords{
		audience.Email: {"Avsluta reklam via e-post",
			"Om du trycker på knappen slutar vi att skicka reklam till dig via e-post: all reklam, inte bara det här utskicket, och till alla dina e-postadresser som vi känner till.",
			"Vi skickar inte längre någon reklam till dig via e-post."},
		audience.SMS: {"Avsluta reklam via sms",
			"Om du trycker på knappen slutar vi att skicka reklam till dig via sms: all reklam, inte bara det här meddelandet.",
			"Vi skickar inte längre någon reklam till dig via sms."},
		audience.Push: {"Avsluta reklam via pushnotiser",
			"Om du trycker på knappen slutar vi att skicka reklam till dig via pushnotiser: all reklam, inte bara det här meddelandet, och på alla dina enheter som vi känner till.",
			"Vi skickar inte längre någon reklam till dig via pushnotiser."},
		anyChannel: {"Avsluta reklam från oss",
			"Om du trycker på knappen slutar vi att skicka reklam till dig: all reklam, via e-post, sms, pushnotiser, post och telefon.",
			"Vi skickar inte längre någon reklam till dig."},
		ownChannel: {"Avsluta reklam från oss",
			"Om du trycker på knappen slutar vi att skicka reklam till dig på det sätt som det här meddelandet kom: all reklam, inte bara det här meddelandet.",
			"Vi skickar inte längre någon reklam till dig på det sätt som det här meddelandet kom."},
	},
	NotYet: "Ingenting har ändrats än.", Button: "Avsluta",
	Other: "Välj något annat: bara det här slaget, en paus, andra vägar, hur dina uppgifter används",
	Done:  "Du är avanmäld", Late: "Ett meddelande som redan har lämnats vidare kan fortfarande komma fram.",

	Title: "Dina val om vår reklam", Saved: "Dina val är sparade", Undone: "Allt är som det var förut", TooLate: "Det är för sent att ångra här",
	SavedP: "De gäller nu.", UndoneP: "Det du nyss gjorde på de här sidorna är ogjort. Det du eller andra har sagt till oss tidigare gäller fortfarande.",
	TooLateP:      "Det går att ångra i en timme. Ingenting har ändrats. Kundservice kan ändra det åt dig.",
	NothingChosen: "Du har inte valt något här. Vad som gäller nu står nedan.",
	KeptP:         "Vi har sparat det säkert, och det gäller. Det du valde förut gäller också. Vi kan inte visa eller ångra något just nu; kom tillbaka om en stund.",
	Undo:          "Ångra", UndoHint: "Gör allt som det var innan du kom till de här sidorna nyss.",
	Less: "Vill du hellre avsluta mindre?", LessHint: "Tryck på en knapp, så ersätter det valet det du nyss gjorde.",
	Now: "Vad som gäller nu", NothingNow: "Du har inte avslutat något.", UnknownNow: "Vi kan inte visa vad du har valt tidigare just nu. Det gäller ändå.",
	Back:   "Om du vill ha tillbaka något som du har avslutat tidigare, säg till kundservice.",
	Choose: "Välj", ChooseHint: "Välj så mycket du vill. Du behöver inte ange något skäl.",
	Stop: "Avsluta meddelanden", StopHint: "Pushnotiser kan du också stänga av i telefonens inställningar.",
	Pause: "Eller ta en paus", PauseHint: "Pausen gäller all reklam och tar slut av sig själv.", NoPause: "Ingen paus",
	Data: "Hur dina uppgifter används", DataHint: "De här valen avslutar inga meddelanden.", All: "Allt",
	Already: "gäller redan", Save: "Spara mina val",
	Choices: map[suppression.Choice]string{
		suppression.StopKind: "Inget mer av det här slaget: %s", suppression.StopEmail: "Ingen reklam via e-post", suppression.StopSMS: "Ingen reklam via sms",
		suppression.StopPush: "Ingen reklam via pushnotiser", suppression.StopPost: "Ingen reklam med post", suppression.StopPhone: "Ingen reklam per telefon",
		suppression.StopSender:    "Ingen reklam från %s, på något sätt",
		suppression.StopMarketing: "Ingen reklam alls, på något sätt", suppression.Pause30: "En paus i 30 dagar", suppression.Pause90: "En paus i 90 dagar",
		suppression.NoProfiling: "Välj inte ut erbjudanden till mig efter vad ni vet om mig (ingen profilering)", suppression.NoAdSharing: "Dela inte mina uppgifter med annonsplattformar",
		suppression.NoOpenTracking: "Spara inte när jag öppnar eller klickar",
		suppression.StopEverything: "Allt: ingen reklam alls, ingen profilering, ingen delning, ingen uppföljning av vad jag öppnar",
	},
	Instead: map[suppression.Choice]string{suppression.StopSender: "Avsluta bara reklam från %s", suppression.StopKind: "Avsluta bara: %s", suppression.Pause30: "Bara en paus i 30 dagar", suppression.Pause90: "Bara en paus i 90 dagar"},
	Holds: holdWords{All: "Ingen reklam alls, på något sätt.", Everything: "Ingen reklam alls, och ingen användning av dina uppgifter för den.", Channel: "Ingen reklam %s.",
		Kind: "Inga meddelanden av slaget ”%s”.", KindChannel: "Inga meddelanden av slaget ”%s” %s.", Pause: "En paus från all reklam till den %s.",
		PauseOf: "En paus från reklam %s till den %s.", Until: ", till den %s.", Undelivered: "Ingenting skickas till en adress som meddelanden har kommit tillbaka från.",
		Data: map[suppression.Purpose]string{suppression.Profiling: "Ingen profilering.", suppression.OpenTracking: "Ingen uppföljning av vad du öppnar eller klickar på.",
			suppression.AdTracking: "Ingen spårning för annonser.", suppression.AdListSharing: "Ingen delning av dina uppgifter med annonsplattformar."}},

	Confirm: confirmSwedish,

	Contact: "Vilka vi är", Answer: "Skriv till", Service: "Kundservice", ServiceP: "Kundservice hjälper dig med dina önskemål i alla ärenden.",
	Phone: "Telefon:", Post: "Post:", Page: "Kundservice på webben", Officer: "Dataskyddsombud:", Notice: "Vår information om personuppgifter",
	Elsewhere: "Vår annonsering på andra ställen", Cookies: "Webbplatsens cookie-inställningar: ge eller återkalla samtycke till marknadsföringscookies",
	Platforms: "Annonsplattformar har egna inställningar. Om du stänger av personanpassade annonser där ser du fortfarande våra annonser, men de är inte valda för dig; " +
		"uppgifterna raderas inte, och inget samtycke som du har gett oss återkallas. Det gör du ovan, eller i cookie-inställningarna.",
	Info: "%s: om dess annonser", Settings: "%s: inställningar",

	Missing: "Länken fungerar inte", MissingP: "Den är ofullständig, eller så är den inte en av våra. Om du har kopierat den, kopiera hela; den är en enda lång rad.",
	Trouble: "Det gick inte", TroubleP: "Vi kunde inte spara det just nu. Försök igen om en stund.", Try: "Försök igen",
	Otherwise: "Om det inte går, säg till oss på vilket sätt du vill, till exempel genom att svara på meddelandet. Du behöver inte ange något skäl.",
}

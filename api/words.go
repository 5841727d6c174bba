package api

import (
	"net/http"

	"golang.org/x/text/language"

	"utskick/audience"
)

// words are the texts of the public pages in one language.
type words struct {
	Language  string // BCP 47
	Itself    string // what the language is called in itself
	Contact   string // heading over who we are
	Answer    string // before an address to write to
	Scopes    map[audience.Channel]scopeWords
	NotYet    string // that opening the page has changed nothing
	Button    string
	Done      string // heading once it is done
	Late      string // what may still come
	Missing   string // heading over a link that is not ours
	MissingP  string
	Trouble   string // heading when nothing could be recorded
	TroubleP  string
	Try       string // on a button
	Otherwise string // how to be heard in another way
}

// scopeWords say what an unsubscribe covers.
type scopeWords struct{ Title, Will, Did string }

// anyChannel stands for all channels, where it is not known any more which one
// a message came by.
const anyChannel audience.Channel = "*"

// ownChannel stands for that of the message, while nobody can be asked which
// one it is.
const ownChannel audience.Channel = ""

var english = words{
	Language: "en", Itself: "English",
	Contact: "Who we are", Answer: "Write to",
	Scopes: map[audience.Channel]scopeWords{
		audience.Email: {"Unsubscribe from marketing by e-mail",
			"If you press the button, we stop sending you marketing by e-mail: all of it, not this mailing alone, and to every e-mail address that we know of you.",
			"We no longer send you marketing by e-mail."},
		audience.SMS: {"Unsubscribe from marketing by SMS",
			"If you press the button, we stop sending you marketing by SMS: all of it, not this message alone.",
			"We no longer send you marketing by SMS."},
		audience.Push: {"Unsubscribe from marketing by push notification",
			"If you press the button, we stop sending you marketing by push notification: all of it, not this message alone, and on every device that we know of you.",
			"We no longer send you marketing by push notification."},
		anyChannel: {"Unsubscribe from our marketing",
			"If you press the button, we stop sending you marketing: all of it, by e-mail, SMS and push notification.",
			"We no longer send you marketing by e-mail, SMS or push notification."},
		ownChannel: {"Unsubscribe from our marketing",
			"If you press the button, we stop sending you marketing in the way that this message came to you: all of it, not this message alone.",
			"We no longer send you marketing in the way that this message came to you."},
	},
	NotYet: "Nothing has changed yet.", Button: "Unsubscribe",
	Done: "You are unsubscribed", Late: "A message that was handed over before may still arrive.",
	Missing: "This link does not work", MissingP: "It is incomplete, or it is not one of ours. If you copied it, copy all of it; it is one long line.",
	Trouble: "This did not work", TroubleP: "We could not record it just now. Please try again in a moment.", Try: "Try again",
	Otherwise: "If it goes on not working, tell us in any way you like, for example by answering the message. You need to give no reason.",
}

var swedish = words{
	Language: "sv", Itself: "Svenska",
	Contact: "Vilka vi är", Answer: "Skriv till",
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
			"Om du trycker på knappen slutar vi att skicka reklam till dig: all reklam, via e-post, sms och pushnotiser.",
			"Vi skickar inte längre någon reklam till dig via e-post, sms eller pushnotiser."},
		ownChannel: {"Avsluta reklam från oss",
			"Om du trycker på knappen slutar vi att skicka reklam till dig på det sätt som det här meddelandet kom: all reklam, inte bara det här meddelandet.",
			"Vi skickar inte längre någon reklam till dig på det sätt som det här meddelandet kom."},
	},
	NotYet: "Ingenting har ändrats än.", Button: "Avsluta",
	Done: "Du är avanmäld", Late: "Ett meddelande som redan har lämnats vidare kan fortfarande komma fram.",
	Missing: "Länken fungerar inte", MissingP: "Den är ofullständig, eller så är den inte en av våra. Om du har kopierat den, kopiera hela; den är en enda lång rad.",
	Trouble: "Det gick inte", TroubleP: "Vi kunde inte spara det just nu. Försök igen om en stund.", Try: "Försök igen",
	Otherwise: "Om det inte går, säg till oss på vilket sätt du vill, till exempel genom att svara på meddelandet. Du behöver inte ange något skäl.",
}

var languages = language.NewMatcher([]language.Tag{language.English, language.Swedish})

// wordsFor returns the language that ?lang= asks for, or else the browser.
func wordsFor(r *http.Request) words {
	switch r.URL.Query().Get("lang") {
	case swedish.Language:
		return swedish
	case english.Language:
		return english
	}
	if _, i := language.MatchStrings(languages, r.Header.Get("Accept-Language")); i == 1 {
		return swedish
	}
	return english
}

func otherThan(w words) words {
	if w.Language == swedish.Language {
		return english
	}
	return swedish
}

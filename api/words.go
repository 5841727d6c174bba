package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/text/language"

	"utskick/audience"
	"utskick/suppression"
)

// words are the texts of the public pages in one language. A text with %s says
// in its comment what goes there.
type words struct {
	Language string // BCP 47
	Itself   string // what the language is called in itself
	Switch   string // names the switch between languages
	Months   [12]string
	Date     string // %d day, %s month, %d year

	// The message that somebody came from.
	About     string // %s channel
	AboutKind string // %s channel, %s kind
	From      string // before the sender
	To        string // before the masked address
	Kinds     string // that kinds are left one by one
	Messages  map[audience.Channel]string
	By        map[audience.Channel]string

	// Unsubscribing.
	Scopes map[audience.Channel]scopeWords
	NotYet string // that opening the page has changed nothing
	Button string
	Other  string // leads to the choices
	Done   string // heading once it is done
	Late   string // what may still come

	// Choosing.
	Title, Saved, Undone, TooLate    string // headings
	SavedP, UndoneP, TooLateP        string
	NothingChosen                    string
	KeptP                            string // acknowledged while nothing can be looked up
	Undo, UndoHint                   string
	Less, LessHint                   string // narrower than what was just done
	Now, NothingNow, UnknownNow      string // what holds
	Back                             string // how something is got back later
	Choose, ChooseHint               string
	Stop, StopHint, Pause, PauseHint string
	Data, DataHint, All              string
	NoPause                          string
	Already                          string // behind what holds from before
	Save                             string
	Choices                          map[suppression.Choice]string // of the kind and the sender: %s its name
	Instead                          map[suppression.Choice]string // the same on a button
	Holds                            holdWords

	Confirm confirmWords // what is confirmed by mail

	// Whom to turn to.
	Contact   string // heading over who we are
	Answer    string // before an address to write to
	Service   string
	ServiceP  string
	Phone     string
	Post      string
	Page      string
	Officer   string
	Notice    string
	Elsewhere string // advertising in other places
	Cookies   string
	Platforms string // that a platform's own settings withdraw nothing here
	Info      string // %s platform
	Settings  string // %s platform

	Missing   string // heading over a link that is not ours
	MissingP  string
	Trouble   string // heading when nothing could be recorded
	TroubleP  string
	Try       string // on a button
	Otherwise string // how to be heard in another way
}

// scopeWords say what an unsubscribe covers.
type scopeWords struct{ Title, Will, Did string }

// holdWords say what holds now.
type holdWords struct {
	All         string
	Everything  string // of any use
	Channel     string // %s by which channel
	Kind        string // %s kind
	KindChannel string // %s kind, %s by which channel
	Pause       string // %s date
	PauseOf     string // %s by which channel, %s date
	Until       string // %s date
	Undelivered string
	Data        map[suppression.Purpose]string
}

// anyChannel stands for all channels, where it is not known any more which one
// a message came by.
const anyChannel audience.Channel = "*"

// ownChannel stands for that of the message, while nobody can be asked which
// one it is.
const ownChannel audience.Channel = ""

var languages = language.NewMatcher([]language.Tag{language.English, language.Swedish})

// wordsFor returns the language that ?lang= asks for, or else that of the
// person's locale, or else the browser's.
func wordsFor(r *http.Request, locale string) words {
	switch r.URL.Query().Get("lang") {
	case swedish.Language:
		return swedish
	case english.Language:
		return english
	}
	asked := []string{r.Header.Get("Accept-Language")}
	if locale != "" {
		asked = []string{locale}
	}
	if _, i := language.MatchStrings(languages, asked...); i == 1 {
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

// date writes a day as people read it.
func (w words) date(t time.Time) string {
	return fmt.Sprintf(w.Date, t.Day(), w.Months[t.Month()-1], t.Year())
}

// hold says what an entry means, as one sentence.
func (w words) hold(e suppression.Entry, label func(topic string) string) string {
	h, by, any := w.Holds, w.By[audience.Channel(e.Channel)], suppression.Any
	if data := h.Data[suppression.Purpose(e.Purpose)]; data != "" {
		return data
	}
	var text string
	switch {
	case e.Cause == suppression.Bounced || e.Cause == suppression.Invalid || e.Cause == suppression.Unregistered:
		return h.Undelivered
	case e.Cause == suppression.Paused && e.Channel == any:
		return fmt.Sprintf(h.Pause, w.date(e.ExpiresAt))
	case e.Cause == suppression.Paused:
		return fmt.Sprintf(h.PauseOf, by, w.date(e.ExpiresAt))
	case e.Topic != any && e.Channel != any:
		text = fmt.Sprintf(h.KindChannel, label(e.Topic), by)
	case e.Topic != any:
		text = fmt.Sprintf(h.Kind, label(e.Topic))
	case e.Channel != any:
		text = fmt.Sprintf(h.Channel, by)
	case e.Purpose == any:
		text = h.Everything
	default:
		text = h.All
	}
	if e.Sender != any {
		text = strings.TrimSuffix(text, ".") + " (" + e.Sender + ")."
	}
	if !e.ExpiresAt.IsZero() {
		text = strings.TrimSuffix(text, ".") + fmt.Sprintf(h.Until, w.date(e.ExpiresAt))
	}
	return text
}

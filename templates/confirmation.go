package templates

import (
	"cmp"
	"fmt"
	"html"
	"strings"

	"utskick/audience"
)

// confirmationWording is the version of the words below. It is kept with every
// proof, so it changes whenever they do.
const confirmationWording = "1"

// confirmationWords are those of a mail that asks whether it was the person
// herself who asked.
type confirmationWords struct {
	subject, subjectAll string // %s topic; of all marketing: %s sender
	asked, askedAll     string // %s topic, %s sender; of all marketing: %s sender
	how, link           string
	until, otherwise    string
}

var (
	confirmSwedish = confirmationWords{
		subject: "Bekräfta att du vill ha %s", subjectAll: "Bekräfta att du vill ha e-post från %s igen",
		asked:    "Någon, troligen du, har bett att få ”%s” från %s till den här e-postadressen.",
		askedAll: "Någon, troligen du, har bett att åter få reklam via e-post från %s till den här e-postadressen.",
		how:      "Om det var du, öppna länken och tryck på knappen på sidan som visas:", link: "Gå vidare för att bekräfta",
		until:     "Länken gäller i 7 dagar. Ingenting har ändrats än.",
		otherwise: "Om det inte var du behöver du inte göra något.",
	}
	confirmEnglish = confirmationWords{
		subject: "Confirm that you want %s", subjectAll: "Confirm that you want e-mail from %s again",
		asked:    "Somebody, probably you, has asked for “%s” from %s to be sent to this e-mail address.",
		askedAll: "Somebody, probably you, has asked for marketing by e-mail from %s to be sent to this e-mail address again.",
		how:      "If it was you, open the link and press the button on the page that it shows:", link: "Go on to confirm",
		until:     "The link works for 7 days. Nothing has changed yet.",
		otherwise: "If it was not you, you need to do nothing.",
	}
)

// TopicLabel is what customers read for a topic in a language.
func (s Sender) TopicLabel(topic, language string) string {
	l := s.Topics[topic]
	if baseLanguage(language) == "sv" {
		return cmp.Or(l.Swedish, l.English, topic)
	}
	return cmp.Or(l.English, l.Swedish, topic)
}

// Confirmation is the mail by which a person confirms what was asked for in her
// name: a topic, or with none, all marketing by e-mail. It says who asks and from
// where, and advertises nothing. Its only hole is the link. wording names the
// words and their language.
func Confirmation(s Sender, topic, locale string) (skeleton *Skeleton, wording string) {
	w, language := confirmEnglish, "en"
	if baseLanguage(locale) == "sv" {
		w, language = confirmSwedish, "sv"
	}
	subject, asked := fmt.Sprintf(w.subjectAll, s.FromName), fmt.Sprintf(w.askedAll, s.FromName)
	if topic != "" {
		label := s.TopicLabel(topic, language)
		subject, asked = fmt.Sprintf(w.subject, label), fmt.Sprintf(w.asked, label, s.FromName)
	}
	hole := Segment{Hole: 0}
	text := func(lines ...string) Segment { return Segment{Literal: strings.Join(lines, "\n\n"), Hole: -1} }
	paragraphs := func(lines ...string) string {
		var b strings.Builder
		for _, l := range lines {
			b.WriteString("<p>" + html.EscapeString(l) + "</p>\n")
		}
		return b.String()
	}
	from := s.FromName + ", " + s.addressLine() + ", " + s.Site
	return &Skeleton{Channel: audience.Email, Language: language, Sender: s, Topic: topic,
		Subject: literal(subject),
		Text:    Part{text(asked, w.how, ""), hole, text("", w.until, w.otherwise, from+"\n")},
		HTML: Part{
			{Literal: `<!doctype html><html lang="` + language + `"><head><meta charset="utf-8"><title>` + html.EscapeString(subject) + "</title></head>\n" +
				`<body style="font-family:Arial,Helvetica,sans-serif;font-size:16px;line-height:24px;color:#222222;padding:16px;">` + "\n" + paragraphs(asked, w.how) + `<p><a href="`, Hole: -1},
			hole,
			{Literal: `">` + w.link + "</a></p>\n" + paragraphs(w.until, w.otherwise, from) + "</body></html>\n", Hole: -1},
		},
		Headers: []Field{{"Auto-Submitted", literal("auto-generated")}},
	}, confirmationWording + " " + language
}

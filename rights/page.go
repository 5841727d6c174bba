package rights

import (
	_ "embed" // the page
	"html/template"
	"io"
	"time"

	"utskick/audience"
)

//go:embed export.html
var exportPage string

var page = template.Must(template.New("export").Parse(exportPage))

// view is an export in one language.
type view struct {
	Export
	Words    map[string]string
	Sections []section
}

// Say returns the words in the language of the page.
func (v view) Say(l Label) string { return l.In(v.Language) }

// Channel returns what people call a channel.
func (v view) Channel(c audience.Channel) string { return saying(channelNames, c).In(v.Language) }

// When writes an instant.
func (v view) When(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// WriteHTML writes the export as one page for people: it needs nothing else, and
// can be printed.
func (e Export) WriteHTML(w io.Writer) error {
	words := make(map[string]string, len(pageWords))
	for name, l := range pageWords {
		words[name] = l.In(e.Language)
	}
	return page.Execute(w, view{e, words, e.sections()})
}

var pageWords = map[string]Label{
	"Title":       {"Dina personuppgifter", "Your personal data"},
	"For":         {"Kundnummer", "Customer number"},
	"Made":        {"Utdraget gjordes", "Made"},
	"Intro":       {"Det här är allt vi har sparat om dig för utskick av reklam (dataskyddsförordningen, artikel 15 och 20).", "This is all that we hold about you for direct marketing (GDPR, articles 15 and 20)."},
	"Controllers": {"Vem som ansvarar", "Who is responsible"},
	"Officer":     {"Dataskyddsombud", "Data protection officer"},
	"Notice":      {"Integritetsinformation", "Privacy notice"},
	"Messages":    {"Alla meddelanden, skickade eller inte", "All messages, sent or not"},
	"None":        {"Inga.", "None."},
	"Template":    {"Innehåll", "Content"},
	"Version":     {"version", "version"},
	"Recipients":  {"Vem som har fått uppgifter", "Who got data"},
	"Handed":      {"Adressen och meddelandet lämnas till leverantören när det skickas.", "The address and the message are handed to the provider when it is sent."},
	"Retention":   {"Hur länge", "How long"},
	"Rights":      {"Dina rättigheter", "Your rights"},
	"Elsewhere":   {"Utanför databasen", "Outside the database"},
	"Contents":    {"Innehåll", "Contents"},
}

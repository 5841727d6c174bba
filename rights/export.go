package rights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/templates"
	"utskick/tracking"
)

// Row is a row of a table with the columns of the register that have a value.
// Times are RFC 3339 in UTC, keys hexadecimal.
type Row map[string]any

// Data is all that is held about a person.
type Data struct {
	Contact        audience.Contact
	Communications []dispatcher.Communication
	Senders        []templates.Sender
	Rows           map[string][]Row // by table
}

// Source reads what is held about a person: by her external id, or by the key of an
// address that no contact has or had, and else [ErrContact].
type Source interface {
	PersonalData(ctx context.Context, externalID string) (Data, error)
	DataOfKey(ctx context.Context, k audience.Key) (Data, error)
}

// ErrContact says that the key of somebody who was taken for no contact is one's.
var ErrContact = errors.New("a contact has or had this address; take the contact instead")

// About is what an export says besides the data (GDPR 15(1)), as it is configured.
type About struct {
	Recipients []Recipient
	Authority  string // whom to complain to
	Retention  string // how long data is kept; empty: the default words
}

// Recipient is a provider that messages are handed over to.
type Recipient struct {
	Channel  audience.Channel `json:"channel"`
	Provider string           `json:"provider"`
}

// Exporter makes access exports (GDPR 15 and 20).
type Exporter struct {
	Source Source
	About  About
	Now    func() time.Time
}

// exportFormat names the format of the JSON; docs/formats.md describes it.
const exportFormat = "utskick-person-1"

// Export is what a person is handed.
type Export struct {
	Format         string           `json:"format"`
	MadeAt         time.Time        `json:"made_at"`
	Person         string           `json:"person"`   // external id; of who is no contact the key
	Language       string           `json:"language"` // of the HTML
	Controllers    []Controller     `json:"controllers"`
	Recipients     []Recipient      `json:"recipients"`
	Retention      Label            `json:"retention"`
	Complaint      Label            `json:"complaint"`
	Elsewhere      []Label          `json:"elsewhere"`
	Communications []Communication  `json:"communications"`
	Data           map[string][]Row `json:"data"`
	Labels         map[string]Names `json:"labels"`
}

// Controller is who is responsible (GDPR 15(1), 4(7)).
type Controller struct {
	Name           string `json:"name"`
	PostalAddress  string `json:"postal_address,omitempty"`
	Site           string `json:"site,omitempty"`
	PrivacyNotice  string `json:"privacy_notice,omitempty"`
	DataProtection string `json:"data_protection_officer,omitempty"` // an e-mail address
}

// Communication is a message with its ruling in plain words.
type Communication struct {
	dispatcher.Communication
	Means Label        `json:"means"`
	Told  []Occurrence `json:"events_in_words,omitempty"`
}

// Occurrence is what happened to a message, in plain words.
type Occurrence struct {
	At     time.Time `json:"at"`
	Means  Label     `json:"means"`
	Target string    `json:"target,omitempty"`
}

// Names are what a table and its columns are called.
type Names struct {
	Label
	Columns map[string]Label `json:"columns"`
}

// Make makes the export of a person; language is sv, en or empty: that of her
// locale.
func (x *Exporter) Make(ctx context.Context, externalID, language string) (Export, error) {
	d, err := x.Source.PersonalData(ctx, externalID)
	if err != nil {
		return Export{}, fmt.Errorf("make an access export: %w", err)
	}
	return x.export(d, d.Contact.ExternalID, language), nil
}

// MakeOfKey makes the export of somebody who is no contact, of what is held under
// the key of her address. It may be nothing.
func (x *Exporter) MakeOfKey(ctx context.Context, k audience.Key, language string) (Export, error) {
	d, err := x.Source.DataOfKey(ctx, k)
	if err != nil {
		return Export{}, fmt.Errorf("make an access export: %w", err)
	}
	return x.export(d, k.String(), language), nil
}

func (x *Exporter) export(d Data, person, language string) Export {
	if language != Swedish && language != English {
		language = English
		if d.Contact.Locale == "" || strings.HasPrefix(d.Contact.Locale, Swedish) {
			language = Swedish
		}
	}
	e := Export{Format: exportFormat, MadeAt: x.Now().UTC(), Person: person, Language: language, Recipients: x.About.Recipients,
		Retention: retention(x.About.Retention), Complaint: complaint(x.About.Authority), Elsewhere: elsewhere, Data: d.Rows, Labels: map[string]Names{},
		Controllers: controllers(d.Senders), Communications: []Communication{}}
	for _, c := range d.Communications {
		e.Communications = append(e.Communications, inWords(c))
	}
	for _, t := range Register() {
		if len(t.Columns) == 0 {
			continue
		}
		n := Names{Label: t.Title, Columns: map[string]Label{}}
		for _, c := range t.Columns {
			n.Columns[c.Name] = c.Label
		}
		e.Labels[t.Name] = n
	}
	return e
}

func controllers(senders []templates.Sender) []Controller {
	list := []Controller{}
	for _, s := range senders {
		c := Controller{Name: s.FromName, PostalAddress: s.PostalAddress, Site: s.Site, PrivacyNotice: s.PrivacyNotice}
		if s.DataProtection != nil {
			c.DataProtection = s.DataProtection.Email
		}
		list = append(list, c)
	}
	return list
}

// inWords says what became of a message, and why.
func inWords(c dispatcher.Communication) Communication {
	w := Communication{Communication: c, Means: saying(outcomes, c.Outcome)}
	if c.Cause != "" {
		why := saying(causes, c.Cause)
		w.Means = Label{w.Means.Swedish + " – " + why.Swedish, w.Means.English + " – " + why.English}
	}
	for _, e := range c.Events {
		w.Told = append(w.Told, occurrence(e))
	}
	return w
}

func occurrence(e tracking.Event) Occurrence {
	o := Occurrence{At: e.At, Means: saying(happenings, e.Type), Target: e.Target}
	if e.Machine != "" {
		o.Means = Label{o.Means.Swedish + ", troligen av ett program", o.Means.English + ", probably by a program"}
	}
	return o
}

// WriteJSON writes the export in a form for other programs (GDPR 20(1)).
func (e Export) WriteJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(e)
}

func retention(configured string) Label {
	if configured != "" {
		return Label{configured, configured}
	}
	return Label{
		"Uppgifterna sparas så länge du är kund, eller tills du begär att de raderas. Vad du inte vill ha sparas längre, som en nyckel utan adress, så att det gäller även i framtiden.",
		"The data is kept for as long as you are a customer, or until you ask for its erasure. What you do not want is kept longer, as a key without an address, so that it holds in future, too.",
	}
}

func complaint(authority string) Label {
	return Label{
		"Du har rätt att få fel rättade, att begära radering eller begränsning, att invända, och att klaga hos tillsynsmyndigheten: " + authority + ".",
		"You have the right to have errors corrected, to ask for erasure or restriction, to object, and to complain to the supervisory authority: " + authority + ".",
	}
}

// elsewhere is what is held outside the database.
var elsewhere = []Label{
	{"Ändringar av vad du inte vill ha skrivs också i en fil vid sidan av databasen, som nycklar utan adress, så att de överlever ett fel på databasen.",
		"Changes of what you do not want are also written to a file beside the database, as keys without an address, so that they survive a failure of the database."},
	{"När databasen inte svarar sparas det du gör på våra sidor i en fil, som nycklar, tills databasen har det.",
		"While the database does not answer, what you do on our pages is kept in a file, as keys, until the database has it."},
	{"Säkerhetskopior av databasen har uppgifterna så som de var, tills de ersätts av nyare.",
		"Backups of the database have the data as it was, until they are replaced by newer ones."},
	{"Programmets loggar har varken adresser eller nycklar, bara nycklars första åtta tecken.",
		"The program's logs have neither addresses nor keys, only the first eight characters of keys."},
}

// section is a part of the page.
type section struct {
	Name    string
	Title   string
	Entries [][]field
}

type field struct{ Label, Value string }

// sections are the tables in the order of the register, in one language.
func (e Export) sections() []section {
	var all []section
	for _, t := range Register() {
		if len(t.Columns) == 0 || len(e.Data[t.Name]) == 0 {
			continue
		}
		s := section{Name: t.Name, Title: t.Title.In(e.Language)}
		for _, row := range e.Data[t.Name] {
			var entry []field
			for _, c := range t.Columns {
				if v, there := row[c.Name]; there {
					entry = append(entry, field{c.Label.In(e.Language), e.text(v)})
				}
			}
			s.Entries = append(s.Entries, entry)
		}
		all = append(all, s)
	}
	return all
}

// text writes a value for people.
func (e Export) text(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return Label{"ja", "yes"}.In(e.Language)
		}
		return Label{"nej", "no"}.In(e.Language)
	case map[string]any:
		var parts []string
		for name, value := range v {
			parts = append(parts, fmt.Sprintf("%s: %v", name, value))
		}
		slices.Sort(parts)
		return strings.Join(parts, "\n")
	}
	return fmt.Sprint(v)
}

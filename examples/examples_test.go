package examples_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/examples"
	"utskick/suppression"
	"utskick/templates"
)

// customers is a store that keeps contacts by external id.
type customers struct {
	contacts   map[string]audience.Contact
	consents   map[string]map[string]bool
	attributes []string
}

func (c *customers) RegisterAttributes(_ context.Context, names []string) error {
	c.attributes = names
	return nil
}

func (c *customers) SaveContacts(_ context.Context, rows []audience.Row) (saved audience.Saved, err error) {
	for _, row := range rows {
		id := row.Contact.ExternalID
		stored, known := c.contacts[id]
		c.contacts[id], _ = row.Apply(stored)
		c.consents[id] = row.Consents
		if known {
			saved.Updated++
		} else {
			saved.Created++
		}
	}
	return saved, nil
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(examples.Files, name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func importContacts(t *testing.T) (*customers, audience.Report, map[string]int) {
	t.Helper()
	store := &customers{contacts: map[string]audience.Contact{}, consents: map[string]map[string]bool{}}
	problems := map[string]int{}
	var purposes []string
	for _, p := range suppression.Purposes {
		purposes = append(purposes, string(p))
	}
	report, err := audience.Import(t.Context(), bytes.NewReader(read(t, examples.Contacts)), store, audience.ImportOptions{
		Region: "SE", Purposes: purposes,
		Problems: func(p audience.Problem) error { problems[p.Field+" "+p.Rule]++; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return store, report, problems
}

func TestContactsImport(t *testing.T) {
	store, report, problems := importContacts(t)
	if diff := cmp.Diff(audience.Report{Rows: 5012, Created: 5005, Updated: 1, Rejected: 6, Warnings: 51}, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	wantProblems := map[string]int{
		" the row has 22 fields, the header has 21":      1,
		"first_name " + string(audience.ErrBareQuote):    1,
		"city " + string(audience.ErrOpenQuote):          1,
		"external_id " + string(audience.ErrEmpty):       1,
		"external_id " + string(audience.ErrRepeated):    1,
		"basis " + string(audience.ErrBasis):             1,
		"consent.marketing " + string(audience.ErrYesNo): 1,
		"email " + string(audience.ErrLocalSpace):        1,
		"email " + string(audience.ErrNoAt):              1,
		"email " + string(audience.ErrDomain):            1,
		"phone " + string(audience.ErrPhoneCharacter):    16,
		"phone " + string(audience.ErrPhoneInvalid):      29,
		"locale " + string(audience.ErrLocale):           1,
		"timezone " + string(audience.ErrTimeZone):       1,
	}
	if diff := cmp.Diff(wantProblems, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"city", "tier", "points"}, store.attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

// The demo shows what the product does with the dirt, so the dirt must be there.
func TestContactsHaveTheDirtOfRealLife(t *testing.T) {
	store, _, _ := importContacts(t)
	count := map[string]int{}
	holders := map[string]int{}
	for id, c := range store.contacts {
		for what, is := range map[string]bool{
			"e-mail": c.Email != "", "phone": c.Phone != "", "devices": len(c.Devices) > 0, "several devices": len(c.Devices) > 1,
			"IDN": strings.Contains(c.Email, "@xn--"), "no name": c.FirstName == "", "not Swedish": c.Locale != "sv-SE" && c.Locale != "",
			"no ground": c.Basis == audience.NoBasis && !store.consents[id]["marketing"],
			"tracked":   store.consents[id]["open_tracking"],
		} {
			if is {
				count[what]++
			}
		}
		for _, address := range append([]string{c.Email, c.Phone}, tokens(c)...) {
			holders[address]++
		}
	}
	for address, n := range holders {
		switch {
		case address == "" || n == 1:
		case strings.Contains(address, "@"):
			count["shared e-mail"]++
		case strings.HasPrefix(address, "+"):
			count["shared phone"]++
		default:
			count["shared device"]++
		}
	}
	want := map[string]int{
		"e-mail": 4802, "shared e-mail": 68, "IDN": 35, "phone": 955, "shared phone": 95, "devices": 800, "several devices": 261,
		"shared device": 8, "no name": 339, "not Swedish": 614, "no ground": 523, "tracked": 1948,
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func tokens(c audience.Contact) (tokens []string) {
	for _, d := range c.Devices {
		tokens = append(tokens, d.Token)
	}
	return tokens
}

// Nobody owns what is in the files: their domains and numbers are reserved for
// examples and fiction.
func TestContactsAreNobody(t *testing.T) {
	domain := regexp.MustCompile(`(?i)@([^\s,"@]+)`)
	reserved := regexp.MustCompile(`(?i)(^|\.)(example\.(com|net|org)|test)$`)
	for _, name := range []string{examples.Contacts, examples.Suppressions, examples.Sender} {
		for _, m := range domain.FindAllStringSubmatch(string(read(t, name)), -1) {
			if !reserved.MatchString(m[1]) && m[1] != "example" {
				t.Errorf("%s: %s is not reserved for examples", name, m[1])
			}
		}
	}
	fiction := regexp.MustCompile(`^\+467017406(0[5-9]|[1-9]\d)$|^\+1\d{3}55501\d\d$`)
	store, _, _ := importContacts(t)
	for id, c := range store.contacts {
		if c.Phone != "" && !fiction.MatchString(c.Phone) {
			t.Errorf("contact %s has a number that is not reserved for fiction", id)
		}
	}
}

func TestSuppressions(t *testing.T) {
	keyer, err := audience.NewKeyer(bytes.Repeat([]byte{7}, audience.MinPepper))
	if err != nil {
		t.Fatal(err)
	}
	store, _, _ := importContacts(t)
	known := map[audience.KindKey]bool{}
	for _, c := range store.contacts {
		for _, k := range keyer.ContactKeys(c) {
			known[k] = true
		}
	}
	rows, err := csv.NewReader(bytes.NewReader(read(t, examples.Suppressions))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(rows[0], ","), "kind,address,channel,topic,purpose,sender,cause,evidence"; got != want {
		t.Fatalf("header %s, want %s", got, want)
	}
	hits, seen, causes := 0, map[audience.KindKey]bool{}, map[suppression.Cause]bool{}
	for i, row := range rows[1:] {
		kind := audience.Kind(row[0])
		normal, err := audience.Normalize(kind, row[1], "SE")
		if err != nil {
			t.Errorf("row %d: %s: %v", i+1, kind, err)
			continue
		}
		key := audience.KindKey{Kind: kind, Key: keyer.Key(kind, normal)}
		entry := suppression.Entry{
			Key: key.Key, Channel: orAny(row[2]), Topic: orAny(row[3]), Purpose: orAny(row[4]), Sender: orAny(row[5]),
			Cause: suppression.Cause(row[6]), Evidence: row[7], Active: true,
		}
		if err := entry.Validate(); err != nil {
			t.Errorf("row %d: %v", i+1, err)
		}
		seen[key], causes[entry.Cause] = true, true
		if known[key] {
			hits++
		}
	}
	if len(rows)-1 != 300 || len(seen) != 300 || hits < 270 {
		t.Errorf("%d rows with %d keys, %d of them of customers", len(rows)-1, len(seen), hits)
	}
	want := []suppression.Cause{suppression.Bounced, suppression.Complained, suppression.Objected, suppression.Stopped, suppression.Unsubscribed, suppression.Withdrawn}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(causes))); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

func orAny(s string) string {
	if s == "" {
		return suppression.Any
	}
	return s
}

func decode(t *testing.T, name string, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(read(t, name)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestSenders(t *testing.T) {
	var names []string
	for _, file := range examples.Senders {
		var sender templates.Sender
		decode(t, file, &sender)
		if err := templates.CheckSender(sender); err != nil {
			t.Error(err)
		}
		names = append(names, sender.Name)
	}
	if diff := cmp.Diff([]string{"exempelbolaget", "exempelbanken", "exempelforeningen"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestTemplates(t *testing.T) {
	channels := map[audience.Channel]bool{}
	for _, name := range examples.Templates {
		var template templates.Template
		decode(t, name, &template)
		if err := templates.Check(template, []string{"city", "tier", "points"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]string{"en", "sv"}, slices.Sorted(maps.Keys(template.Contents))); diff != "" || template.Default != "sv" {
			t.Errorf("%s: default %s, languages (-want +got):\n%s", name, template.Default, diff)
		}
		channels[template.Channel] = true
	}
	for _, c := range audience.Channels {
		if !channels[c] {
			t.Errorf("there is no template for %s", c)
		}
	}
}

// The Swedish author wrote a link to unsubscribe; the English one forgot it,
// which the product puts right.
func TestEmailTemplate(t *testing.T) {
	var template templates.Template
	decode(t, examples.EmailTemplate, &template)
	for language, unsubscribe := range map[string]bool{"sv": true, "en": false} {
		html := template.Contents[language].HTML
		if strings.Contains(html, "{{ unsubscribe_url }}") != unsubscribe {
			t.Errorf("%s: unsubscribe_url is there: %v", language, !unsubscribe)
		}
		if n := strings.Count(html, `href="https://www.exempelbolaget.test/`); n != 3 {
			t.Errorf("%s: %d links, want 3", language, n)
		}
		for _, part := range []string{`{{ contact.first_name | default: "`, `{% if contact.tier == "guld" %}`, `{{ contact.points `} {
			if !strings.Contains(html, part) {
				t.Errorf("%s: %s is missing", language, part)
			}
		}
	}
}

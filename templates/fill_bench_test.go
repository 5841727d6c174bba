package templates

import (
	"strings"
	"testing"

	"utskick/audience"
	"utskick/tracking"
)

// benchTemplate has 8 holes of its own, 3 links, a pixel and a link to
// unsubscribe.
var benchTemplate = Template{
	Name: "bench", Channel: audience.Email, Default: "sv",
	Contents: map[string]Content{"sv": {
		Subject: `{{ contact.first_name | default: "Hej" }}, nytt hos {{ sender.from_name }}`,
		HTML: `<html><body><h1>Hej {{ contact.first_name }} {{ contact.last_name }}</h1>
<p>Du har {{ contact.points | default: "0" }} poäng, nivå {{ contact.level | capitalize }}.</p>
<p>{% if contact.city == "Lund" %}Välkommen till vår butik i {{ contact.city }}!{% else %}Vi ses i {{ contact.city }}.{% endif %}</p>
<p>{{ contact.store }} {{ contact.car }}</p>
<a href="https://www.example.com/a">A</a> <a href="https://www.example.com/b">B</a> <a href="https://www.example.com/c">C</a>
</body></html>`,
	}},
}

var benchRecipient = Recipient{
	Key: audience.Key{1, 2, 3}, FirstName: "Åsa", LastName: "Exempelsson", Locale: "sv-SE", Tracked: true,
	Attributes: []byte(`{"city":"Göteborg","store":"Exempelgatan","points":"1234","level":"guld","car":"Volvo V70","fuel":"diesel","last_visit":"2026-03-01","segment":"a7"}`),
}

func benchSkeleton(b testing.TB, t Template) *Skeleton {
	b.Helper()
	signer, err := tracking.NewSigner([]byte(strings.Repeat("s", 32)))
	if err != nil {
		b.Fatal(err)
	}
	o := Options{Topic: "news", PublicURL: "https://utskick.example.com", Signer: signer, Links: map[string]int64{},
		Sender: Sender{FromName: "Exempelbolaget", FromEmail: "news@exempelbolaget.test", PostalAddress: "Box 1, 123 45 Staden", Site: "https://www.exempelbolaget.test"}}
	targets, err := Targets(t, t.Default)
	if err != nil {
		b.Fatal(err)
	}
	for i, target := range targets {
		o.Links[target] = int64(1000 + i)
	}
	s, err := Compile(t, t.Default, o)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkFill fills sheets of 1000 rows. The aim is 2.5 us a recipient and no
// allocation.
func BenchmarkFill(b *testing.B) {
	benchmarkFill(b, benchTemplate)
}

// BenchmarkFillLibrary is the same with two holes that take the Liquid library.
func BenchmarkFillLibrary(b *testing.B) {
	t := benchTemplate
	c := t.Contents["sv"]
	c.HTML = strings.Replace(c.HTML, "<p>", `<p>{{ contact.store | truncate: 8 }} {% case contact.level %}{% when "guld" %}!{% endcase %}`, 1)
	t.Contents = map[string]Content{"sv": c}
	benchmarkFill(b, t)
}

func benchmarkFill(b *testing.B, t Template) {
	s := benchSkeleton(b, t)
	b.ReportMetric(float64(s.Columns()), "columns")
	var sheet Sheet
	sheet.Reset(s.Columns())
	b.ReportAllocs()
	for b.Loop() {
		if sheet.Rows() == 1000 {
			sheet.Reset(s.Columns())
		}
		if err := s.Fill(&sheet, 1234567, benchRecipient); err != nil {
			b.Fatal(err)
		}
	}
}

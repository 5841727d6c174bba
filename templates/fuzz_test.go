package templates

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	xhtml "golang.org/x/net/html"

	"utskick/audience"
	"utskick/tracking"
)

var fuzzRecipients = []Recipient{
	{Key: audience.Key{1}},
	{Key: audience.Key{2}, FirstName: "Åsa", LastName: `<"O'Neill">`, Locale: "sv-SE", Tracked: true,
		Attributes: []byte(`{"city":"Lund","points":"120","interests":"a,b,c"}`)},
	{Key: audience.Key{3}, FirstName: "-->\r\nBcc: x", LastName: `" style="display:none`, Tracked: true,
		Attributes: []byte(`{"city":"</body><!--","points":"x","interests":"{{ unsubscribe_url }}"}`)},
}

var fuzzSender = Sender{
	FromName: "Exempelbolaget", FromEmail: "nytt@exempelbolaget.test", ReplyTo: "svar@exempelbolaget.test",
	PostalAddress: "Exempelgatan 1\n123 45 Exempelstad", Site: "https://www.exempelbolaget.test", SMSSender: "Exempel",
}

// compileAll checks and compiles every language of a template. A template that
// is refused gives nil.
func compileAll(t testing.TB, tpl Template) []*Skeleton {
	t.Helper()
	if err := Check(tpl, []string{"city", "points", "interests"}); err != nil {
		var invalid *InvalidError
		if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
			t.Fatalf("Check gives %T: %v", err, err)
		}
		return nil
	}
	signer, err := tracking.NewSigner([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	var all []*Skeleton
	for language := range tpl.Contents {
		o := Options{Sender: fuzzSender, Topic: "nyheter", PublicURL: "https://utskick.test", Signer: signer, Links: map[string]int64{}}
		targets, err := Targets(tpl, language)
		if err != nil {
			t.Fatal(err)
		}
		for i, target := range targets {
			if !isWebAddress(target) {
				t.Errorf("the target %q cannot be redirected to", target)
			}
			o.Links[target] = int64(i)
		}
		s, err := Compile(tpl, language, o)
		if err != nil {
			t.Fatalf("the template was saved, and does not compile: %v", err)
		}
		all = append(all, s)
	}
	return all
}

// FuzzCheckAndCompile: what is saved compiles; what is rendered keeps its
// promises, whatever contacts are called: a link to unsubscribe that is seen, in
// both parts and in the header, and headers of one line.
func FuzzCheckAndCompile(f *testing.F) {
	for i, c := range []Content{
		{Subject: "Hej {{ contact.first_name }}", HTML: "<p>{{ contact.last_name }}</p>"},
		{Subject: "Hej", HTML: `<html><head><title>x</title></head><body><a href="https://www.example.com/?a=1&amp;b=2">x</a></body></html>`},
		{Subject: "Hej", HTML: `<div style="display:none">x</div><p title="{{ contact.city }}">{% if contact.city == "Lund" %}<a href="{{ unsubscribe_url }}">x</a>{% endif %}`},
		{Subject: "Hej", HTML: `<a href="{{ unsubscribe_url }}">x</a><!-- </body> --></body>`, Text: "Se https://www.example.com/(a). {{ unsubscribe_url }}"},
		{Subject: "Hej", HTML: `{% assign x = contact.interests | split: "," %}{% for y in x %}<li>{{ y }}</li>{% endfor %}<table><tr><td>{% raw %}</td>{% endraw %}`},
		{Text: "Hej {{ contact.first_name }}! https://www.example.com/a"},
		{Subject: "Hej", Text: "{{ contact.city | default: language }}", Link: "https://www.example.com/a"},
	} {
		f.Add(byte(i), c.Subject, c.HTML, c.Text, c.Link)
	}
	addGolden(f)
	f.Fuzz(func(t *testing.T, channel byte, subject, html, text, link string) {
		c := Content{Subject: subject, HTML: html, Text: text, Link: link}
		channels := audience.Channels
		if html != "" {
			channels = channels[:1]
		}
		tpl := Template{Name: "fuzz", Channel: channels[int(channel)%len(channels)], Default: "en", Contents: map[string]Content{"en": c}}
		for _, s := range compileAll(t, tpl) {
			var sheet Sheet
			sheet.Reset(s.Columns())
			for _, r := range fuzzRecipients {
				err := s.Fill(&sheet, 7, r)
				var failed *RenderError
				if err != nil && !errors.As(err, &failed) {
					t.Fatalf("Fill gives %T: %v", err, err)
				}
				if err == nil {
					checkMessage(t, s, &sheet, sheet.Rows()-1, r)
				}
			}
		}
	})
}

// addGolden adds the golden templates to the corpus.
func addGolden(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*/template.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		for _, c := range readGolden[Template](f, file).Contents {
			f.Add(byte(0), c.Subject, c.HTML, c.Text, c.Link)
		}
	}
}

var (
	unsubscribeToken = regexp.MustCompile(`https://utskick\.test/u/[A-Za-z0-9_-]{40,}`)
	oneHTTPS         = regexp.MustCompile(`^<https://utskick\.test/u/[A-Za-z0-9_-]{40,}>$`)
)

func checkMessage(t *testing.T, s *Skeleton, sheet *Sheet, row int, r Recipient) {
	t.Helper()
	subject, text := string(s.Subject.Append(nil, sheet, row)), string(s.Text.Append(nil, sheet, row))
	if strings.ContainsAny(subject, "\r\n") {
		t.Fatalf("the subject has several lines: %q", subject)
	}
	switch s.Channel {
	case audience.Email:
		if !unsubscribeToken.MatchString(text) {
			t.Fatalf("the text has no link to unsubscribe: %q", text)
		}
		for _, required := range []string{"Exempelbolaget", "Exempelgatan 1, 123 45 Exempelstad"} {
			if !strings.Contains(strings.ToLower(strings.Join(strings.Fields(text), " ")), strings.ToLower(required)) {
				t.Fatalf("the text has no %s: %q", required, text)
			}
		}
		checkVisibleLink(t, string(s.HTML.Append(nil, sheet, row)), r)
		if header := string(s.Headers[0].Value.Append(nil, sheet, row)); !oneHTTPS.MatchString(header) {
			t.Fatalf("List-Unsubscribe: %s", header)
		}
	case audience.SMS:
		if !unsubscribeToken.MatchString(text) || utf16Units(text) > MaxSMS {
			t.Fatalf("an SMS without a way out, or too long: %q", text)
		}
	}
}

// checkVisibleLink reads the HTML as a browser does.
func checkVisibleLink(t *testing.T, text string, r Recipient) {
	t.Helper()
	document, err := xhtml.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	links, pixels := 0, 0
	for n := range document.Descendants() {
		switch {
		case n.Type == xhtml.ElementNode && n.Data == "a" && unsubscribeToken.MatchString(attributeOf(n, "href")) && isShown(n):
			links++
		case n.Type == xhtml.ElementNode && n.Data == "img" && strings.HasPrefix(attributeOf(n, "src"), "https://utskick.test/o/"):
			pixels++
		}
	}
	if links == 0 {
		t.Fatalf("no link to unsubscribe is shown: %s", text)
	}
	if pixels > 1 || pixels == 1 && !r.Tracked {
		t.Fatalf("%d pixels, tracked %v: %s", pixels, r.Tracked, text)
	}
}

func attributeOf(n *xhtml.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func isShown(n *xhtml.Node) bool {
	for ; n != nil; n = n.Parent {
		style := strings.Join(strings.Fields(strings.ToLower(attributeOf(n, "style"))), "")
		if strings.Contains(style, "display:none") || n.Data == "template" || n.Data == "select" || n.Data == "head" {
			return false
		}
	}
	return true
}

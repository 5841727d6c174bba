package templates

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"utskick/audience"
	"utskick/tracking"
)

var testSigner = func() *tracking.Signer {
	s, err := tracking.NewSigner([]byte(strings.Repeat("s", 32)))
	if err != nil {
		panic(err)
	}
	return s
}()

func testOptions(t testing.TB, tpl Template, language string) Options {
	t.Helper()
	o := Options{Sender: fuzzSender, Topic: "nyheter", PublicURL: "https://utskick.test", Signer: testSigner, Links: map[string]int64{}}
	targets, err := Targets(tpl, language)
	if err != nil {
		t.Fatal(err)
	}
	for i, target := range targets {
		o.Links[target] = int64(100 + i)
	}
	return o
}

func compiled(t testing.TB, tpl Template) *Skeleton {
	t.Helper()
	s, err := Compile(tpl, tpl.Default, testOptions(t, tpl, tpl.Default))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTokensName: what a link says of the recipient, with and without her
// consent.
func TestTokensName(t *testing.T) {
	s := compiled(t, email(Content{HTML: `<a href="https://a.test/">a</a>{% if contact.first_name %}<a href="https://a.test/">b</a>{% endif %}`}))
	key := audience.Key{9}
	for _, tracked := range []bool{true, false} {
		var sheet Sheet
		sheet.Reset(s.Columns())
		if err := s.Fill(&sheet, 77, Recipient{Key: key, FirstName: "Bo", Tracked: tracked}); err != nil {
			t.Fatal(err)
		}
		html := string(s.HTML.Append(nil, &sheet, 0))
		click := tracking.Token{Purpose: tracking.Click, Group: 77, Link: 100}
		if tracked {
			click.Key = key
		}
		if n := strings.Count(html, "https://utskick.test/c/"+testSigner.Sign(click)); n != 2 {
			t.Errorf("tracked %v: %d click links of the right kind in %s", tracked, n, html)
		}
		if !strings.Contains(html, "https://utskick.test/u/"+testSigner.Sign(tracking.Token{Purpose: tracking.Unsubscribe, Group: 77, Key: key})) {
			t.Errorf("tracked %v: the link to unsubscribe does not name the recipient", tracked)
		}
		pixel := "https://utskick.test/o/" + testSigner.Sign(tracking.Token{Purpose: tracking.Open, Group: 77, Key: key}) + ".gif"
		if strings.Contains(html, pixel) != tracked || strings.Contains(html, "/o/") != tracked {
			t.Errorf("tracked %v: pixel in %s", tracked, html)
		}
	}
}

// TestFillRefuses: one recipient's message cannot be made; the sheet stays as it
// was, the error names the place, and no value.
func TestFillRefuses(t *testing.T) {
	const secret = "hemlighet"
	long := strings.Repeat(secret, 1200)
	tests := map[string]struct {
		template Template
		city     string
		want     string
	}{
		"filter":         {email(Content{HTML: "<p>\n{{ contact.city | ceil }}</p>"}), secret, `sv, html, line 2: a filter cannot take what this contact has`},
		"date":           {email(Content{Text: "{{ contact.city | date: '%Y' }}"}), secret, `sv, text, line 1: a filter cannot take what this contact has`},
		"by zero":        {email(Content{Subject: "{% assign n = 1 | divided_by: 0 %}{{ n }}"}), secret, `sv, subject, line 1: a filter cannot take what this contact has`},
		"panic":          {email(Content{Text: "{{ contact.city | slice: 2, -5 }}"}), secret, `sv, text: a filter cannot take what this contact has`},
		"in a variable":  {email(Content{Text: "a\n{% assign n = contact.city | floor %}b\n{{ n }}"}), secret, `sv, text, line 2: a filter cannot take what this contact has`},
		"growing":        {email(Content{Text: "{% assign x = contact.city %}" + strings.Repeat("{% assign x = x | append: x %}", 40) + "{{ x }}"}), secret, `sv, text, line 1: a filter cannot take what this contact has`},
		"growing block":  {email(Content{Text: "{% assign x = contact.city %}" + strings.Repeat("{% capture x %}{{ x }}{{ x }}{% endcapture %}", 40) + "{{ x }}"}), secret, `sv, text, line 1: a filter cannot take what this contact has`},
		"replacing":      {email(Content{Text: "{{ contact.city | replace: '', contact.city | replace: '', contact.city | replace: '', contact.city | replace: '', contact.city }}"}), long[:9000], `sv, text, line 1: a filter cannot take what this contact has`},
		"long list":      {email(Content{Text: "{% assign l = contact.city | split: '' %}{{ l.size }}"}), long[:9000], `sv, text, line 1: a filter cannot take what this contact has`},
		"loop":           {email(Content{Text: "{% for i in (1..1000) %}{{ contact.city }}{{ contact.city }}{{ contact.city }}{% endfor %}"}), secret, `sv, text, line 1: the values of this contact make more than 10000 bytes`},
		"long value":     {email(Content{Text: "{{ contact.city }}"}), long, `sv: contact.city has more than 10000 bytes`},
		"long row":       {email(Content{HTML: "<p>\n{{ contact.city }}", Text: "x"}), long[:9904], `sv, html, line 2: what differs from recipient to recipient takes 10084 bytes, 10000 are possible; the longest piece stands here`},
		"long subject":   {email(Content{Subject: "{{ contact.city }}", HTML: "<p>x</p>"}), long[:999], `sv, subject: the subject takes 999 bytes, 998 are possible`},
		"long SMS":       {Template{Name: "nytt", Channel: audience.SMS, Default: "sv", Contents: map[string]Content{"sv": {Text: "{{ contact.city }}"}}}, long[:1600], `sv, text: the message has 1676 characters, 1600 are possible`},
		"long push":      {Template{Name: "nytt", Channel: audience.Push, Default: "sv", Contents: map[string]Content{"sv": {Subject: "x", Text: "{{ contact.city }}"}}}, long[:4096], `sv: title, text and data take 4182 bytes, 4096 are possible`},
		"long condition": {email(Content{Text: "{% if contact.city == 'x' %}y{% endif %}"}), long, `sv: contact.city has more than 10000 bytes`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := Check(tt.template, registered); err != nil {
				t.Fatal(err)
			}
			s := compiled(t, tt.template)
			var sheet Sheet
			sheet.Reset(s.Columns())
			good := Recipient{Key: audience.Key{1}, FirstName: "Bo"}
			if err := s.Fill(&sheet, 1, good); err != nil && name != "by zero" {
				t.Fatal(err)
			}
			rows, bytes := sheet.Rows(), len(sheet.buf)
			err := s.Fill(&sheet, 1, withCity(good, tt.city))
			var failed *RenderError
			if !errors.As(err, &failed) || err.Error() != fmt.Sprintf("template %q: %s", "nytt", tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Error("the error repeats a value")
			}
			if sheet.Rows() != rows || len(sheet.buf) != bytes || len(sheet.ends) != rows*s.Columns() {
				t.Errorf("something was appended: %d rows, %d bytes", sheet.Rows(), len(sheet.buf))
			}
		})
	}
}

func withCity(r Recipient, city string) Recipient {
	r.Attributes = attributesOf(map[string]string{"city": city})
	return r
}

func TestFillRefusesForeignSheet(t *testing.T) {
	s := compiled(t, email(Content{HTML: "<p>{{ contact.city }}</p>"}))
	var sheet Sheet
	sheet.Reset(s.Columns() + 1)
	if err := s.Fill(&sheet, 1, Recipient{}); err == nil || sheet.Rows() != 0 {
		t.Errorf("%d rows, %v", sheet.Rows(), err)
	}
}

// TestAttributes: how a flat JSON object is read.
func TestAttributes(t *testing.T) {
	s := compiled(t, email(Content{HTML: "x", Text: "[{{ contact.city }}|{{ contact.points }}|{{ contact.size }}]", Subject: "x"}))
	for object, want := range map[string]string{
		``:   "[||]",
		`{}`: "[||]",
		`{"city":"Lund","x":"y","points":"1","size":"M"}`:        "[Lund|1|M]",
		` { "size" : "" , "city" : "L\u00fc\"\\n\ud83e\udd90" }`: "[Lü\"\\n🦐||]",
		`{"city":"a","city":"b"}`:                                "[a||]",
		`{"points":12,"city":null,"size":true}`:                  "[|12|true]",
		`not JSON`:                                               "[||]",
		`["city"]`:                                               "[||]",
	} {
		var sheet Sheet
		sheet.Reset(s.Columns())
		if err := s.Fill(&sheet, 1, Recipient{Attributes: []byte(object)}); err != nil {
			t.Fatal(err)
		}
		if got := string(s.Text.Append(nil, &sheet, 0)); !strings.HasPrefix(got, want+"\n") {
			t.Errorf("%s gives %q, not %q", object, got, want)
		}
	}
}

// TestFillKeepsNothingOfTheLastRow: a sheet is used for many.
func TestFillKeepsNothingOfTheLastRow(t *testing.T) {
	s := compiled(t, email(Content{HTML: "x", Text: "{{ contact.first_name }}{{ contact.city }}{{ contact.city | truncate: 3 }}", Subject: "x"}))
	var sheet Sheet
	sheet.Reset(s.Columns())
	for range 2 {
		for _, r := range []Recipient{withCity(Recipient{FirstName: "Bo"}, "Linköping"), {}} {
			if err := s.Fill(&sheet, 1, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	for row, want := range []string{"BoLinköping...", "", "BoLinköping...", ""} {
		if got, _, _ := strings.Cut(string(s.Text.Append(nil, &sheet, row)), "\n"); got != want {
			t.Errorf("row %d: %q, want %q", row, got, want)
		}
	}
}

// TestSkeletonServesManyAtOnce is for the race detector.
func TestSkeletonServesManyAtOnce(t *testing.T) {
	s := compiled(t, email(Content{HTML: `<p>{{ contact.first_name | upcase }}{% assign x = contact.city | append: "!" %}{{ x }}{% for i in (1..3) %}{{ i }}{{ unsubscribe_url }}{% endfor %}</p>`}))
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			var sheet Sheet
			sheet.Reset(s.Columns())
			name := fmt.Sprint("bo", worker)
			for row := range 50 {
				if err := s.Fill(&sheet, int64(worker), withCity(Recipient{FirstName: name}, name)); err != nil {
					t.Error(err)
					return
				}
				want := "<p>" + strings.ToUpper(name) + name + "!1https"
				if got := string(s.HTML.Append(nil, &sheet, row)); !strings.HasPrefix(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	wg.Wait()
}

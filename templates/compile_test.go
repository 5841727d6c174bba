package templates

import (
	"errors"
	"strings"
	"testing"

	"utskick/audience"
)

func TestCompileRefuses(t *testing.T) {
	good := email(Content{HTML: `<a href="https://a.test/">a</a>`})
	tests := map[string]struct {
		change func(*Template, *Options)
		want   string
	}{
		"unknown language":  {func(tpl *Template, _ *Options) { delete(tpl.Contents, "sv") }, `template "nytt" has no language "sv"`},
		"unchecked":         {func(tpl *Template, _ *Options) { tpl.Contents["sv"] = Content{Subject: "x", HTML: "{{ x }}"} }, `template "nytt": sv, html, line 1: x is not known here`},
		"target not stored": {func(_ *Template, o *Options) { o.Links = nil }, `compiling template "nytt": a link target has no stored id; store all that Targets returns`},
		"http":              {func(_ *Template, o *Options) { o.PublicURL = "http://utskick.test" }, `compiling template "nytt": public URL: it begins with https:// and has no slash at its end`},
		"slash":             {func(_ *Template, o *Options) { o.PublicURL += "/" }, `compiling template "nytt": public URL: it begins with https:// and has no slash at its end`},
		"no signer":         {func(_ *Template, o *Options) { o.Signer = nil }, `compiling template "nytt": signer: links cannot be made without one`},
		"no topic":          {func(_ *Template, o *Options) { o.Topic = "" }, `compiling template "nytt": topic "": write 1 to 63 of the letters a to z, digits, - and _`},
		"topic of two":      {func(_ *Template, o *Options) { o.Topic = "a b" }, `compiling template "nytt": topic "a b": write 1 to 63 of the letters a to z, digits, - and _`},
		"nameless sender":   {func(_ *Template, o *Options) { o.Sender.PostalAddress = "" }, `compiling template "nytt": sender "": an e-mail needs its from_name, from_email, postal_address and site`},
	}
	for name, tt := range tests {
		tpl, o := good, testOptions(t, good, "sv")
		tpl.Contents = map[string]Content{"sv": good.Contents["sv"]}
		tt.change(&tpl, &o)
		if _, err := Compile(tpl, "sv", o); err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, tt.want)
		}
	}
	if _, err := Compile(email(Content{HTML: "{{ x }}"}), "sv", Options{}); !errors.As(err, new(*InvalidError)) {
		t.Errorf("an invalid template gives %T", err)
	}
}

// TestListID: names that are no plain ASCII are encoded (RFC 2047).
func TestListID(t *testing.T) {
	for name, want := range map[string]string{
		"Exempelbolaget":   `"Exempelbolaget nyheter" <nyheter.exempelbolaget.test>`,
		`Bo "B" \ Co`:      `"Bo \"B\" \\ Co nyheter" <nyheter.exempelbolaget.test>`,
		"Åhs Exempel & Co": `=?utf-8?q?=C3=85hs_Exempel_&_Co_nyheter?= <nyheter.exempelbolaget.test>`,
	} {
		tpl := email(Content{})
		o := testOptions(t, tpl, "sv")
		o.Sender.FromName = name
		s, err := Compile(tpl, "sv", o)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(s.Headers[2].Value.Append(nil, &Sheet{}, 0)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// TestHolesAreShared: equal outputs are one column, and what is the same for
// everybody is none.
func TestHolesAreShared(t *testing.T) {
	s := compiled(t, email(Content{
		Subject: "{{ sender.from_name }} {{ language | upcase }}",
		HTML: `<p>{{ contact.city }} {{contact.city}} {{ contact.city | upcase }} {{ contact.city | truncate: 3 }} {{ contact.city | truncate: 3 }}</p>
{% if language == "sv" %}Hej{% endif %}{% for i in (1..3) %}{{ i }}{% endfor %}{{ sender.site | replace: "https://", "" }}
<a href="https://a.test/">a</a><a href="https://a.test/">b</a><a href="{{ unsubscribe_url }}">c</a>`,
		Text: "https://a.test/ {{ unsubscribe_url }} {{ contact.city }}",
	}))
	// HTML: city, upcase, truncate, link, unsubscribe, measuring, pixel; text: city,
	// measuring.
	if s.Columns() != 9 {
		t.Errorf("%d columns", s.Columns())
	}
	if got := string(s.Subject.Append(nil, &Sheet{}, 0)); got != "Exempelbolaget SV" {
		t.Errorf("the subject is %q", got)
	}
}

// TestVariablesLeaveHolesSmall: a tag that sets a variable does not turn the
// rest of the part into one hole.
func TestVariablesLeaveHolesSmall(t *testing.T) {
	filling := strings.Repeat("x", 20_000)
	tpl := email(Content{HTML: `{% assign n = contact.points | plus: 1 %}<p>{{ n }}</p>` + filling + `{% if n > 2 %}a{% assign n = 5 %}{% endif %}` + filling + `{{ n }}{{ contact.city }}`})
	if err := Check(tpl, registered); err != nil {
		t.Fatal(err)
	}
	s := compiled(t, tpl)
	var sheet Sheet
	sheet.Reset(s.Columns())
	r := Recipient{Key: audience.Key{1}, Attributes: []byte(`{"points":"2","city":"Lund"}`)}
	if err := s.Fill(&sheet, 1, r); err != nil {
		t.Fatal(err)
	}
	html := string(s.HTML.Append(nil, &sheet, 0))
	if want := "<p>3</p>" + filling + "a" + filling + "5Lund"; !strings.HasPrefix(html, want) {
		t.Errorf("the HTML begins with %q and ends with %q", html[:20], html[len(html)-200:])
	}
}

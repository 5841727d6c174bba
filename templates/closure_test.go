package templates

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"utskick/tracking"
)

// testCompiler compiles parts as they are, without what the product adds.
func testCompiler(t testing.TB) *compiler {
	t.Helper()
	signer, err := tracking.NewSigner([]byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return &compiler{
		options:  Options{Signer: signer, PublicURL: "https://utskick.example.com", Sender: Sender{FromName: "Exempel & Co", Site: "https://www.example.com"}},
		language: "sv",
		columns:  map[string]int{},
		slots:    map[string]int{"first_name": firstNameSlot, "last_name": lastNameSlot, "locale": localeSlot},
		skeleton: &Skeleton{Language: "sv", template: "test"},
	}
}

// accepted reports whether Check would let an author save the source.
func accepted(source string, e escaping) bool {
	part := contentPart{name: partText, text: source, limit: MaxText, escaping: e}
	return strings.TrimSpace(source) != "" && len(part.check("", nil)) == 0
}

// ours renders a source with holes, as messages are made.
func ours(t testing.TB, source string, e escaping, r Recipient) (string, error) {
	t.Helper()
	c := testCompiler(t)
	part := c.part(partText, source, e)
	if len(c.problems) > 0 {
		t.Fatalf("%q was accepted, and does not compile: %v", source, c.problems)
	}
	var sheet Sheet
	sheet.Reset(c.skeleton.Columns())
	if err := c.skeleton.Fill(&sheet, 7, r); err != nil {
		return "", err
	}
	return string(part.Append(nil, &sheet, 0)), nil
}

// theirs renders the whole source in one run of the Liquid library.
func theirs(t testing.TB, source_ string, e escaping, r Recipient, contact map[string]any) (out string, err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the library panics")
		}
	}()
	c := testCompiler(t)
	engine := rawLiquid
	if e == asHTML {
		engine = htmlLiquid
	}
	template, parseErr := engine.ParseString(source(parseDocument(source_).tree))
	if parseErr != nil {
		t.Fatalf("%q was accepted, and the library does not parse it: %v", source_, parseErr)
	}
	text, renderErr := template.RenderString(map[string]any{
		"contact": contact, "sender": c.senderValues(), "language": "sv",
		"unsubscribe_url": string(c.unsubscribe(nil, &row{group: 7, key: r.Key})),
		"preferences_url": string(c.preferences(nil, &row{group: 7, key: r.Key})),
	})
	if renderErr != nil {
		return "", renderErr
	}
	if e == asHeader {
		text = string(appendHeader(nil, text))
	}
	return text, nil
}

// compare fails if holes and one run of the library give different bytes.
func compare(t testing.TB, source string, e escaping, first, city, points string) {
	t.Helper()
	r := Recipient{Key: [16]byte{1}, FirstName: first, Attributes: attributesOf(map[string]string{"city": city, "points": points})}
	contact := map[string]any{}
	for name, value := range map[string]string{"first_name": first, "city": city, "points": points} {
		if value != "" {
			contact[name] = value
		}
	}
	got, gotErr := ours(t, source, e, r)
	want, wantErr := theirs(t, source, e, r, contact)
	if (gotErr == nil) != (wantErr == nil) && len(want) < MaxRow/2 {
		t.Fatalf("%q: error %v, the library says %v", source, gotErr, wantErr)
	}
	if gotErr == nil && got != want {
		t.Fatalf("%q with %q, %q, %q\n got %q\nwant %q", source, first, city, points, got, want)
	}
}

func attributesOf(m map[string]string) []byte {
	b := []byte{'{'}
	for name, value := range m {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = appendJSON(append(appendJSON(b, name), ':'), value)
	}
	return append(b, '}')
}

// appendJSON keeps bytes that are not UTF-8, which encoding/json would replace.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range []byte(s) {
		if c < ' ' || c == '"' || c == '\\' {
			b = fmt.Appendf(b, `\u%04x`, c)
		} else {
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// grammar draws templates of the Liquid that is compiled, and some of the
// Liquid that is not.
type grammar struct{ *rapid.T }

func (g grammar) one(name string, options ...string) string {
	return rapid.SampledFrom(options).Draw(g.T, name)
}

func (g grammar) operand() string {
	return g.one("operand", "contact.first_name", "contact.city", `contact["city"]`, "contact.points", "sender.from_name", "language",
		"unsubscribe_url", "preferences_url", `"text & <b>"`, `'it"s'`, "12", "1.5", "true", "nil", "contact.last_name", "sender.postal_address", "x")
}

func (g grammar) filter() string {
	return g.one("filter", "upcase", "downcase", "capitalize", "escape", "escape_once", `default: "du & jag"`, "default: contact.city",
		"default: 5", "truncate: 4", "size", "strip", `append: "<!>"`, `prepend: contact.first_name`, `replace: "a", "b"`, "url_encode",
		"plus: 1", "default: sender.from_name", `split: "a"`, "first")
}

func (g grammar) output() string {
	out := g.operand()
	for range rapid.IntRange(0, 3).Draw(g.T, "filters") {
		out += " | " + g.filter()
	}
	return out
}

func (g grammar) condition() string {
	out := ""
	for i := range rapid.IntRange(1, 3).Draw(g.T, "relations") {
		if i > 0 {
			out += g.one("joint", " and ", " or ")
		}
		out += g.operand()
		if op := g.one("op", "", "", " == ", " != ", " contains ", " < "); op != "" {
			out += op + g.one("right", "blank", "nil", `"sv"`, `"Lund"`, "contact.first_name", "contact.city", "language", g.operand())
		}
	}
	return out
}

func (g grammar) source(depth int) string {
	var b strings.Builder
	for range rapid.IntRange(1, 4).Draw(g.T, "nodes") {
		kinds := []string{"text", "text", "output", "output", "output"}
		if depth < 3 {
			kinds = append(kinds, "if", "if", "unless", "case", "for", "assign", "capture", "comment", "raw")
		}
		dash := g.one("dash", "", "", "", "-")
		switch g.one("kind", kinds...) {
		case "text":
			b.WriteString(g.one("text", "hej ", " <b>å</b>\n", "{", "}}", "%}", "a\r\nb", "\t", "&amp;"))
		case "output":
			b.WriteString("{{" + dash + " " + g.output() + " " + dash + "}}")
		case "if":
			b.WriteString("{%" + dash + " if " + g.condition() + " %}" + g.source(depth+1))
			if rapid.Bool().Draw(g.T, "elsif") {
				b.WriteString("{% elsif " + g.condition() + " " + dash + "%}" + g.source(depth+1))
			}
			if rapid.Bool().Draw(g.T, "else") {
				b.WriteString("{% else %}" + g.source(depth+1))
			}
			b.WriteString("{% endif " + dash + "%}")
		case "unless":
			b.WriteString("{% unless " + g.condition() + " %}" + g.source(depth+1) + "{% else %}" + g.source(depth+1) + "{% endunless %}")
		case "case":
			b.WriteString("{% case " + g.operand() + " %} {% when " + g.operand() + ", " + g.operand() + " %}" + g.source(depth+1) + "{% else %}" + g.source(depth+1) + "{% endcase %}")
		case "for":
			b.WriteString("{% for y in (1..3) %}{{ y }}{{ forloop.index }}" + g.source(3) + "{% endfor %}")
		case "assign":
			b.WriteString("{% assign x = " + g.output() + " %}")
		case "capture":
			b.WriteString("{% capture x %}" + g.source(depth+1) + "{% endcapture %}")
		case "comment":
			b.WriteString("{% comment %} {{ {% endcomment %}")
		case "raw":
			b.WriteString("{% raw %}{{ x }}{% endraw %}")
		}
	}
	return b.String()
}

func TestClosuresMatchLibrary(t *testing.T) {
	compared := 0
	rapid.Check(t, func(r *rapid.T) {
		g := grammar{r}
		source := g.source(0)
		e := rapid.SampledFrom([]escaping{asIs, asHTML, asHeader}).Draw(r, "escaping")
		if !accepted(source, e) {
			return
		}
		compared++
		value := rapid.OneOf(rapid.Just(""), rapid.SampledFrom([]string{"Lund", "sv", "12", "åsa ßØ", `<"'&>`, "İstanbul", "a\r\nb", "\xff\x00"}), rapid.String())
		compare(t, source, e, value.Draw(r, "first"), value.Draw(r, "city"), value.Draw(r, "points"))
	})
	if !t.Failed() && compared == 0 {
		t.Error("no template was compared")
	}
	t.Logf("%d templates compared", compared)
}

// The generated templates are cheap: more of them than usual.
func init() {
	if err := flag.Set("rapid.checks", "1000"); err != nil {
		panic(err)
	}
}

// TestFilterClosures compares the compiled filters over odd letters.
func TestFilterClosures(t *testing.T) {
	for _, filter := range []string{"upcase", "downcase", "capitalize", "escape", `default: "<b>"`, "upcase | capitalize", "escape | truncate: 9", "escape_once | strip"} {
		for _, value := range []string{"", "İstanbul", "ǆ ǅ", "straße", "ﬁn", "ÅÄÖ åäö", "ſ", "\xff\xfeå", "a\x00b", "&amp; <'\">", "éÉ e\u0301", "🦐"} {
			for _, e := range []escaping{asIs, asHTML, asHeader} {
				compare(t, "{{ contact.first_name | "+filter+" }}", e, value, "", "")
			}
		}
	}
}

// FuzzClosures: whatever passes the check renders to the same bytes as in one
// run of the library.
func FuzzClosures(f *testing.F) {
	for _, source := range []string{
		`Hej {{ contact.first_name | default: "du" | capitalize }}!`,
		`{% if contact.city == "Lund" and contact.points %}A{{ contact.city | upcase }}{% elsif contact.city != blank %}B{% else %}C{% endif %}`,
		`{%- unless contact.city -%} x {%- endunless -%}{{- contact.first_name -}} `,
		`{% assign x = contact.points | plus: 1 %}{{ x }}{% capture y %}{{ x }}<{% endcapture %}{{ y }}`,
		`{% for w in contact.city | split: "," %}{{ forloop.index }}{{ w }}{% cycle "a", "b" %}{% if w == "x" %}{% break %}{% endif %}{% else %}none{% endfor %}`,
		`{% case contact.city %}{% when "Lund", "Malmö" %}S{% when blank %}-{% else %}{{ contact.city }}{% endcase %}`,
		`{% raw %}{{ }}{% endraw %}{% comment %}{{{% endcomment %}{{ "now" | date: "%" }}{{ contact["city"] | slice: 0, 3 | escape }}`,
	} {
		for e := range byte(3) {
			f.Add(source, e, "Åsa <x>", "Lund", "12")
			f.Add(source, e, "", "a,x,b", "")
		}
	}
	f.Fuzz(func(t *testing.T, source string, e byte, first, city, points string) {
		if e := escaping(e % 3); accepted(source, e) {
			compare(t, source, e, first, city, points)
		}
	})
}

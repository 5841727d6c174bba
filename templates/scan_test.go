package templates

import (
	"strings"
	"testing"
)

// TestNormalisedSourceRendersAlike: what is given to the library (comments gone,
// white space trimmed, raw text escaped) renders as the library would render
// what the author wrote.
func TestNormalisedSourceRendersAlike(t *testing.T) {
	for _, text := range []string{
		"a {{- 1 -}} b", "a \n\t{%- if true -%} \n b \n {%- endif -%}\n c", "{{- 1 }} a {{ 2 -}}", " {%- comment -%} x {%- endcomment -%} y",
		"a {% raw %} {{ x }} {% y %} {% endraw %} b", "{% comment %} {% if %} {{ {% endcomment %}a", "{% assign x = 'a%}b' | append: \"}\" %}{{x}}"[:0] + "{%assign x='a'%}{{x|upcase}}",
		"{ { {x} }} %} {", "{% raw %}{{% endraw %}{% if true %}x{% endif %}", "{% raw %}{{{% endraw %}", "{%if true%}{{  'a\"b'  }}{%endif%}",
		"{% case 1 %}\n {% when 1 %} x {%- else -%} y {% endcase %}", "{{ \"a\\n\\t\\\"\\\\\\q\" }}|{{ 'a\\n' }}",
		"{% for i in (1..3) -%} {{ i }}, {%- endfor %}", "å {{- 'ö' -}} \u00a0ä", "",
	} {
		want, err := rawLiquid.ParseAndRenderString(strings.ReplaceAll(text, "capture", captureBlock), map[string]any{})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		doc := parseDocument(text)
		if len(doc.problems) > 0 {
			t.Errorf("%q: %v", text, doc.problems)
			continue
		}
		got, err := rawLiquid.ParseAndRenderString(source(doc.tree), map[string]any{})
		if err != nil || got != want {
			t.Errorf("%q became %q\n got %q, %v\nwant %q", text, source(doc.tree), got, err, want)
		}
	}
}

// TestTokensCoverTheSource: every byte belongs to exactly one token.
func TestTokensCoverTheSource(t *testing.T) {
	for _, text := range []string{"", "x", "{{ a }}{% b %}c{% comment %}d{% endcomment %}{% raw %}e{% endraw %}", "a{{", "a{%b", "{% comment %}", "{", "a{", "{{}}"} {
		pos := 0
		tokens, _ := scan(text)
		for _, token := range tokens {
			if token.start != pos || token.end <= token.start {
				t.Errorf("%q: a token from %d to %d after byte %d", text, token.start, token.end, pos)
			}
			pos = token.end
		}
		if pos != len(text) {
			t.Errorf("%q: the tokens end at %d", text, pos)
		}
	}
}

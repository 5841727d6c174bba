package templates

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"utskick/audience"
)

// TestFooterStands where the body ends, and not in a block.
func TestFooterStands(t *testing.T) {
	for source, want := range map[string]string{
		"a":                               "a|",
		"<body>a</BODY >\n</html>":        "<body>a|</BODY >\n</html>",
		"a</html>b":                       "a|</html>b",
		"a<!-- </body> --></body></body>": "a<!-- </body> -->|</body></body>",
		"{% if contact.city %}</body>{% endif %}b": "{% if contact.city %}</body>{% endif %}b|",
		"{% raw %}</body>{% endraw %}b":            "{% raw %}</body>{% endraw %}b|",
		"<title></body></title>b</body>":           "<title></body></title>b|</body>",
	} {
		end := parseHTML(parseDocument(source)).bodyEnd()
		if got := source[:end] + "|" + source[end:]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestUnsubscribeLinkIsAlwaysShown mixes pieces of HTML and Liquid, well-formed
// or not. Whatever is saved shows the link to a browser's parser.
func TestUnsubscribeLinkIsAlwaysShown(t *testing.T) {
	pieces := []string{
		`<div style="display:none">`, `<div>`, `</div>`, `<table>`, `<tr>`, `<td>`, `</td>`, `</tr>`, `</table>`, `<tbody>`, `<caption>`, `<colgroup>`, `<col>`,
		`<p>`, `<p style="DISPLAY : none !important">`, `</p>`, `<a href="https://www.example.com/">`, `<a href="{{ unsubscribe_url }}">`, `<a href='{{unsubscribe_url}}' hidden>`,
		`<a href={{ unsubscribe_url }}>`, `</a>`, `x`, `Avsluta`, `<img src="x" alt="y">`, `<!--`, `-->`, `<!-- [if mso]>`, `<![endif]-->`, `<!doctype html>`, `<!`, `>`,
		`<select>`, `<option>`, `</select>`, `<svg>`, `<svg/>`, `</svg>`, `<foreignObject>`, `<desc>`, `<math>`, `<mi>`, `</math>`, `<template>`, `</template>`,
		`<style>`, `</style>`, `<script>`, `</script>`, `<html>`, `<head>`, `</head>`, `<title>`, `</title>`, `<body>`, `</body>`, `</html>`, `<noscript>`, `</noscript>`,
		`<textarea>`, `</textarea>`, `<b>`, `</b>`, `<i style="display:none">`, `</i>`, `<form>`, `</form>`, `<h1>`, `</h2>`, `<ul>`, `<li style="display:none">`, `</li>`, `</ul>`,
		`<button>`, `</button>`, `<nobr>`, `<frameset>`, `<iframe>`, `</iframe>`, `<object>`, `</object>`, `<marquee>`, `</marquee>`, `<plaintext>`, `<br>`, `</br>`, `<input type="hidden">`, `<hr/>`,
		`{% if contact.city %}`, `{% else %}`, `{% endif %}`, `{% comment %}`, `{% endcomment %}`, `{% raw %}`, `{% endraw %}`, `{{ contact.first_name }}`, `{% capture x %}`, `{% endcapture %}`, `{{ x }}`,
		`<div {% if contact.city %}style="display:none"{% endif %}>`, `<div {%- if contact.city -%} class="a"`, `<st`, `yle`, ` style="display:none"`, `{%- if contact.points -%}`,
		`<p title="{{ contact.last_name }}`, `<p title="{% if contact.city %}`, `<img alt='{{ contact.first_name }}'>`, `<![CDATA[`, `]]>`, `<details>`, `</details>`, `!--`,
		`{% for i in (1..2) %}`, `{% endfor %}`, `"`, `'`, `=`, `<`, `/`, `{`, "\n", ` `,
	}
	saved := 0
	rapid.Check(t, func(r *rapid.T) {
		html := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 25).Draw(r, "pieces"), "")
		tpl := Template{Name: "mixed", Channel: audience.Email, Default: "sv", Contents: map[string]Content{"sv": {Subject: "Hej", HTML: html}}}
		for _, s := range compileAll(t, tpl) {
			saved++
			var sheet Sheet
			sheet.Reset(s.Columns())
			for i, to := range fuzzRecipients {
				if err := s.Fill(&sheet, 7, to); err != nil {
					r.Fatalf("%s: %v", html, err)
				}
				checkMessage(t, s, &sheet, i, to)
				if t.Failed() {
					r.Fatalf("%s", html)
				}
			}
		}
	})
	if !t.Failed() && saved == 0 {
		t.Error("no template was saved")
	}
	t.Logf("%d templates saved", saved)
}

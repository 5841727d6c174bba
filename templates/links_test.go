package templates

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHTMLLinks(t *testing.T) {
	tests := map[string]struct{ source, want string }{
		"quotes":            {`<A HREF="https://a.test/">x</A><a class=b href='https://b.test/' >`, `<A HREF="{{ _link_0 }}">x</A><a class=b href='{{ _link_1 }}' >`},
		"unquoted":          {`<a href=https://a.test/ title=x>`, `<a href={{ _link_0 }} title=x>`},
		"same target":       {`<a href="https://a.test/?x=1&amp;y=2"><area href="https://a.test/?x=1&y=2">`, `<a href="{{ _link_0 }}"><area href="{{ _link_0 }}">`},
		"white space":       {"<a\n href = \"\n https://a.test/ \">", "<a\n href = \"{{ _link_0 }}\">"},
		"others stay":       {`<a href="mailto:x@example.com"><a href="tel:+46701740605"><a href="#x"><a name="y"><link href="https://a.test/x.css"><img src="https://a.test/x.png">`, ""},
		"Liquid stays":      {`<a href="https://a.test/{{ contact.city }}"><a href="{% if contact.city %}https://a.test/{% endif %}"><a href="{{ unsubscribe_url }}">`, ""},
		"comments stay":     {`<!-- <a href="https://a.test/"> --><!--[if mso]><a href="https://a.test/"><![endif]-->{% comment %}<a href="https://a.test/">{% endcomment %}`, ""},
		"raw stays":         {`{% raw %}<a href="https://a.test/">{% endraw %}`, ""},
		"scripts stay":      {`<script>"<a href='https://a.test/'>"</script><style><a href="https://a.test/"></style>`, ""},
		"second href stays": {`<a href="#" href="https://a.test/">`, ""},
		"in a block":        {`{% if contact.city == "<" %}<a {% if contact.city %}class="x"{% endif %} href="https://a.test/">{% endif %}`, `{% if contact.city == "<" %}<a {% if contact.city %}class="x"{% endif %} href="{{ _link_0 }}">{% endif %}`},
		"quotes in Liquid":  {`<p title="{{ contact.city | default: "<a href='https://no.test/'>" }}"><a href="https://a.test/">`, `<p title="{{ contact.city | default: "<a href='https://no.test/'>" }}"><a href="{{ _link_0 }}">`},
		"odd bytes":         {"<p\t a = b / c>\r\n<a href=\"https://a.test/å%20\"\r\n>&nbsp;</ a><br/ >", "<p\t a = b / c>\r\n<a href=\"{{ _link_0 }}\"\r\n>&nbsp;</ a><br/ >"},
	}
	for name, tt := range tests {
		if tt.want == "" {
			tt.want = tt.source
		}
		if diff := cmp.Diff(tt.want, newLinker().html(tt.source)); diff != "" {
			t.Errorf("%s: wanted (-), got (+):\n%s", name, diff)
		}
	}
}

func TestTextLinks(t *testing.T) {
	for source, want := range map[string]string{
		"https://a.test":                          "{{ _link_0 }}",
		"Se https://a.test/x?y=1#z.":              "Se {{ _link_0 }}.",
		"(https://a.test/x), https://a.test/(y)":  "({{ _link_0 }}), {{ _link_1 }}",
		"{https://a.test/x}":                      `{{ "{" }}{{ _link_0 }}}`,
		"<https://a.test/x> \"https://a.test/y\"": `<{{ _link_0 }}> "{{ _link_1 }}"`,
		"HTTPS://A.test/ http://b.test/":          "{{ _link_0 }} {{ _link_1 }}",
		"https://a.test/{{ contact.city }} {{ contact.city }}https://b.test/ c":             "https://a.test/{{ contact.city }} {{ contact.city }}{{ _link_0 }} c",
		"https://a.test/{% if contact.city %}x{% endif %} y":                                "https://a.test/{% if contact.city %}x{% endif %} y",
		"{% comment %}https://a.test/{% endcomment %}{% raw %}https://b.test/ {% endraw %}": "{% comment %}https://a.test/{% endcomment %}{% raw %}https://b.test/ {% endraw %}",
		"xhttps://a.test/ ftp://a.test/ www.a.test https:// https://?":                      "xhttps://a.test/ ftp://a.test/ www.a.test https:// https://?",
	} {
		if got := newLinker().text(source); got != want {
			t.Errorf("%q\nbecame %q\nnot    %q", source, got, want)
		}
	}
}

func TestTargets(t *testing.T) {
	tpl := email(Content{
		HTML: `<a href="https://b.test/?x=1&amp;y=2">b</a><a href="https://a.test/">a</a><a href="https://b.test/?x=1&y=2">b</a>`,
		Text: "https://c.test/ https://a.test/",
	})
	got, err := Targets(tpl, "sv")
	if diff := cmp.Diff([]string{"https://b.test/?x=1&y=2", "https://a.test/", "https://c.test/"}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := Targets(tpl, "en"); err == nil || !strings.Contains(err.Error(), `"en"`) {
		t.Errorf("a language that is not there: %v", err)
	}
}

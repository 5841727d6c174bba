package templates

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
)

var registered = []string{"city", "points", "birthday", "size", "favourite colour", "född"}

func email(c Content) Template {
	if c.Subject == "" {
		c.Subject = "Hej"
	}
	if c.HTML == "" {
		c.HTML = "<p>Hej</p>"
	}
	return Template{Name: "nytt", Channel: audience.Email, Default: "sv", Contents: map[string]Content{"sv": c}}
}

// problemsOf returns what Check says, as lines.
func problemsOf(t *testing.T, tpl Template) []string {
	t.Helper()
	err := Check(tpl, registered)
	if err == nil {
		return nil
	}
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("Check gives %T", err)
	}
	var lines []string
	for _, p := range invalid.Problems {
		lines = append(lines, p.String())
	}
	return lines
}

func TestAccepted(t *testing.T) {
	for _, text := range []string{
		`{{ contact.first_name }} {{ contact.last_name | upcase }} {{ contact.locale }} {{ contact.size }} {{ contact["favourite colour"] }} {{ contact.född }}`,
		`{{ sender.from_name }} {{ sender.postal_address }} {{ sender.site }} {{ language }} {{ unsubscribe_url }} {{ preferences_url }}`,
		`{% if contact.city == "Lund" and contact.points or contact.size contains "x" %}a{% elsif contact.city %}b{% else %}c{% endif %}`,
		`{% if contact.city == blank or contact.city != nil or null == contact.city %}a{% endif %}`,
		`{% assign n = contact.points | plus: 1 %}{% if n > 100 and n != 7 %}{{ n | divided_by: 2 | round: 1 }}{% endif %}`,
		`{% for x in contact.city | split: "," reversed limit:2 offset: 1 %}{{ forloop.index }}{{ x }}{% cycle "a", "b" %}{% if forloop.last %}{% break %}{% endif %}{% endfor %}`,
		`{% for i in (1..1000) %}{{ i }}{% endfor %}{% assign l = contact.city | split: "-" %}{{ l.first }}{{ l[0] }}{{ l.size }}{% for x in l %}{{ x }}{% endfor %}`,
		`{% case contact.city %} {% when "Lund", "Malmö" or blank %}a{% else %}b{% endcase %}`,
		`{% capture x %}{{ contact.city }}{% endcapture %}{{ x }}{% assign y = x %}{{ y }}`,
		`{{ contact.birthday | date: "%-d %B %Y" }} {{ "now" | date: "%Y" }}`,
		`{%- raw -%}{{ nothing {% here %}{%- endraw -%} {% comment %} {{ {% if %} {% endcomment %} } }} %}`,
		`a { b } c {} {`,
	} {
		for _, tpl := range []Template{email(Content{HTML: text}), email(Content{Text: text}), email(Content{Subject: text})} {
			if problems := problemsOf(t, tpl); problems != nil {
				t.Errorf("%s\nis refused: %q", text, problems)
			}
		}
	}
}

// TestRefusedLiquid: each fault is found, in any branch, with its line.
func TestRefusedLiquid(t *testing.T) {
	for text, want := range map[string]string{
		"{{ contact.nmae }}":                          `contact.nmae is not a registered attribute`,
		"{{ contact.first_name | uppcase }}":          `uppcase is not a filter that templates may use`,
		"{{ contact.first_name | safe }}":             `safe is not a filter that templates may use`,
		"{{ contact.first_name | json }}":             `json is not a filter that templates may use`,
		"{{ contact }}":                               `name one field of the contact, such as contact.first_name`,
		"{{ contact.first_name.size }}":               `name one field of the contact, such as contact.first_name`,
		"{{ sender.from_email }}":                     `sender.from_email is not known here`,
		"{{ kontakt.first_name }}":                    `kontakt.first_name is not known here`,
		"{{ _link_0 }}":                               `_link_0 is not known here`,
		"{{ _pixel }}":                                `_pixel is not known here`,
		"{{ forloop.index }}":                         `forloop.index is not known here`,
		"{{ }}":                                       `{{ }}: something is missing at the end`,
		"{{ contact.city | }}":                        `{{ }}: the name of a filter is missing after |`,
		"{{ contact.city upcase }}":                   `{{ }}: "upcase" is not expected here`,
		"{{ contact.city ; }}":                        `{{ }}: ';' has no meaning here`,
		"{{ 'abc }}":                                  `{{ }}: a text is not closed by its quote`,
		"{{ 99999999999 }}":                           `{{ }}: a number lies between -1,000,000 and 1,000,000`,
		"{{ (1..3) }}":                                `{{ }}: parentheses stand only around the range of a loop, such as (1..3)`,
		"{{ contact[language] }}":                     `{{ }}: brackets hold a text or a whole number, such as contact["city"]`,
		"{{ contact.city | append }}":                 `the filter append takes 1 argument(s)`,
		"{{ contact.city | upcase: 1 }}":              `the filter upcase takes no arguments`,
		"{{ contact.city | slice }}":                  `the filter slice takes 1 to 2 arguments`,
		"{{ contact.city | default: contact.foo }}":   `contact.foo is not a registered attribute`,
		"{{ contact.birthday | date: contact.city }}": `date takes a format in quotes, such as "%Y-%m-%d"`,
		`{{ contact.birthday | date: "%999999d" }}`:   `date takes a format in quotes, such as "%Y-%m-%d"`,
		"{{ contact.city":                             `{{ is never closed by }}`,
		"{% if contact.city":                          `{% is never closed by %}`,
		"{{ " + strings.Repeat("x", 1001) + " }}":     `{{ holds more than 1,000 bytes; is it closed where it should be?`,
		"{% if contact.city %}a":                      `{% if %} is never closed by {% endif %}`,
		"{% comment %}a":                              `{% comment %} is never closed by {% endcomment %}`,
		"{% raw %}a":                                  `{% raw %} is never closed by {% endraw %}`,
		"{% endif %}":                                 `{% endif %} closes nothing that is open here`,
		"{% else %}":                                  `{% else %} stands outside a block`,
		"{% unless contact.city %}{% elsif contact.city %}{% endunless %}": `{% elsif %} cannot stand within {% unless %} of line 3`,
		"{% if contact.city %}{% else %}{% else %}{% endif %}":             `{% else %} after {% else %}`,
		"{% include 'x' %}":                                     `{% include %} is not a tag that templates may use`,
		"{% render 'x' %}":                                      `{% render %} is not a tag that templates may use`,
		"{% increment x %}":                                     `{% increment %} is not a tag that templates may use`,
		"{% tablerow x in (1..2) %}":                            `{% tablerow %} is not a tag that templates may use`,
		"{% break %}":                                           `{% break %} stands only within a loop`,
		"{% cycle 'a' %}":                                       `{% cycle %} stands only within a loop`,
		"{% for i in (1..1001) %}{% endfor %}":                  `{% for %}: a range has at most 1,000 numbers`,
		"{% for i in (1..contact.city) %}{% endfor %}":          `{% for %}: a range has two whole numbers, such as (1..3)`,
		"{% for i in (1..3) limit: contact.city %}{% endfor %}": `{% for %}: limit: is followed by a whole number`,
		"{% for i in (1..3) %}{% if contact.city %}{% for j in (1..3) %}{% endfor %}{% endif %}{% endfor %}": `a loop within a loop`,
		"{% for c in contact.city %}{% endfor %}":                                                            `a loop goes over a list: make one, as in {% for x in contact.interests | split: "," %}`,
		"{% for contact in (1..3) %}{% endfor %}":                                                            `contact cannot be the name of a variable`,
		"{% assign unsubscribe_url = 'x' %}":                                                                 `unsubscribe_url cannot be the name of a variable`,
		"{% assign _link_0 = 'x' %}":                                                                         `_link_0 cannot be the name of a variable`,
		"{% assign x.y = 'x' %}":                                                                             `{% assign %}: assign has the form: assign name = value`,
		"{% capture x y %}{% endcapture %}":                                                                  `{% capture %}: capture has the form: capture name`,
		"{{ x }}{% assign x = 'late' %}":                                                                     `x is not known here`,
		"{% if contact.city %}{% if false %}{{ contact.foo }}{% endif %}{% endif %}":                         `contact.foo is not a registered attribute`,
		"{% case contact.city %}{% when 'a' %}{% else %}{{ contact.foo }}{% endcase %}":                      `contact.foo is not a registered attribute`,
		"{% case contact.city %} x {% when 'a' %}{% endcase %}":                                              `only white space may stand between {% case %} and its first {% when %}`,
		"{% if contact.points > 100 %}{% endif %}":                                                           `contact.points is text: make a number of it first, as in {% assign points = contact.points | plus: 0 %}`,
		"{% if contact.points == 100 %}{% endif %}":                                                          `contact.points is text: put the value in quotes`,
		"{% case contact.points %}{% when 100 %}{% endcase %}":                                               `contact.points is text: put the value in quotes`,
		`{% if contact.city != "" %}{% endif %}`:                                                             `an empty value is a missing one: compare with blank, or ask {% if contact.city %}`,
		`{% assign x = "a" %}{% if x == blank %}{% endif %}`:                                                 `nil, null, blank and empty can only be compared with a value of the contact or the sender, by == or !=`,
		"{% if contact.city | upcase %}{% endif %}":                                                          `a filtered value cannot be tested: assign it to a name first`,
		"{% if contact.city | upcase == 'A' %}{% endif %}":                                                   `{% if %}: a filtered value cannot be compared: assign it to a name first`,
		"{% if contact.city = 'Lund' %}{% endif %}":                                                          `{% if %}: "=" is not expected here`,
		strings.Repeat("{% if contact.city %}", 11) + strings.Repeat("{% endif %}", 11):                      `blocks stand within each other more than 10 deep`,
		strings.Repeat("{% for i in (1..3) %}{% endfor %}", 11):                                              `more than 10 loops`,
		"{% for i in (1..3) %}" + strings.Repeat("{{ i }}", 51) + "{% endfor %}":                             `a loop around more than 50 tags and outputs`,
		"{{ contact.city" + strings.Repeat(" | upcase", 11) + " }}":                                          `{{ }}: more than 10 filters`,
	} {
		for part, tpl := range map[string]Template{"html": email(Content{HTML: "\n<p>\n" + text}), "text": email(Content{Text: "\n\n" + text})} {
			want := fmt.Sprintf("sv, %s, line 3: %s", part, want)
			if diff := cmp.Diff([]string{want}, problemsOf(t, tpl)); diff != "" {
				t.Errorf("%s\nwanted (-), got (+):\n%s", text, diff)
			}
		}
	}
}

// TestRefusedHTML: what would make it unsure what a reader sees, or where a link
// leads.
func TestRefusedHTML(t *testing.T) {
	for text, want := range map[string]string{
		`<a href="javascript:alert(1)">x</a>`:      `a link begins with https:, http:, mailto:, tel:, sms: or #, and is whole`,
		`<a href=" java&#9;script:alert(1)">x</a>`: `a link begins with https:, http:, mailto:, tel:, sms: or #, and is whole`,
		`<area href="data:text/html,x">`:           `a link begins with https:, http:, mailto:, tel:, sms: or #, and is whole`,
		`<a href="/kampanj">x</a>`:                 `a link begins with https:, http:, mailto:, tel:, sms: or #, and is whole`,
		`<a href="https://">x</a>`:                 `a link begins with https:, http:, mailto:, tel:, sms: or #, and is whole`,
		`<a href>x</a>`:                            `a link begins with https:, http:, mailto:, tel:, sms: or #, and is whole`,
		`<a href="https://www.example.com/` + strings.Repeat("x", 2048) + `">x</a>`:                           `a link begins with https:, http:, mailto:, tel:, sms: or #, and is whole`,
		`<a href="{{ contact.city }}">x</a>`:                                                                  `a link cannot begin with a value: write https:// and the host`,
		`<a href="{% if contact.city %}https://www.example.com{% else %}{{ contact.city }}{% endif %}">x</a>`: `a link cannot begin with a value: write https:// and the host`,
		`<a href="{% if contact.city %}javascript:x{% endif %}">x</a>`:                                        `a link cannot begin with javascript:`,
		`<a href="java{{ contact.city }}script:x">x</a>`:                                                      `a link begins with a whole scheme, such as https:`,
		`<p title={{ contact.city }}>x</p>`:                                                                   `a value within a tag stands in the quotes of an attribute`,
		`<p {{ contact.city }}>x</p>`:                                                                         `a value within a tag stands in the quotes of an attribute`,
		`<p onclick="{{ contact.city }}">x</p>`:                                                               `a value within a tag stands in the quotes of an attribute`,
		`<p {%- if contact.city -%} class="a"{% endif %}>x</p>`:                                               `{%- within a tag would join its attributes`,
		`<st{% if contact.city %}yle{% endif %}>`:                                                             `Liquid touches the name of a tag: put a space between`,
		`<p st{% if contact.city %}yle="display:none"{% endif %}></p>`:                                        `within a tag, Liquid stands after a space or a quote`,
		`<p {% raw %}style="display:none"{% endraw %}></p>`:                                                   `{% raw %} within a tag stands in the quotes of an attribute`,
		`<p title="{% if contact.city %}" class="{% endif %}">x</p>`:                                          `the quotes of an attribute stand in different blocks of Liquid`,
		`<p{{ contact.city }}>x</p>`:                                                                          `a value within a tag stands in the quotes of an attribute`,
		`x <{{ contact.city }}`:                                                                               `< before Liquid: write &lt; if it is a sign, and the name of a tag in full`,
		`x < {%- if contact.city -%}!--{% endif %}`:                                                           `< before Liquid: write &lt; if it is a sign, and the name of a tag in full`,
		`<script>var x = "{{ contact.city }}"</script>`:                                                       `a value within <script>: it cannot be made safe there`,
		`<style>p{color:{{ contact.city }}}</style>`:                                                          `a value within <style>: it cannot be made safe there`,
		`<!-- x`:                                `a comment begins here and is never closed`,
		`<!x`:                                   `what begins here is never closed by >`,
		`</{{ contact.city }}>`:                 `Liquid within <! > or </ >`,
		`<![CDATA[x]]>`:                         `CDATA is not a part of HTML`,
		`<p title="x>`:                          `a tag begins here and is never closed by >`,
		`<style>p{}`:                            `<style> is hidden and never closed: it would hide the footer`,
		`<div style="color:red;display:none">x`: `<div> is hidden and never closed: it would hide the footer`,
		`<div style="display:none"><b></div>`:   `</div> does not close what was opened last in this block: what is hidden or captured is well-formed`,
		`<div style="display:none">{% if contact.city %}</div>{% else %}</div>{% endif %}`: `</div> does not close what was opened last in this block: what is hidden or captured is well-formed`,
		`<frameset></frameset>`:                                               `<frameset> cannot be used: mail programs differ about what is shown beside it`,
		`<body hidden>x</body>`:                                               `<body> is hidden, and the whole mail with it`,
		`<noscript>x</noscript>`:                                              `<noscript> cannot be used: mail programs differ about what is shown beside it`,
		`{% if contact.city %}<!--{% endif %} x -->`:                          `what begins with < here ends in another block of Liquid`,
		`{% capture x %}<b>{% endcapture %}{{ x }}`:                           `<b> is not closed within its capture`,
		`{% capture x %}a{% endcapture %}{{ x | upcase }}`:                    `x was captured as HTML: it can be shown, not filtered or compared`,
		`{% capture x %}a{% endcapture %}{% if x == "a" %}{% endif %}`:        `x was captured as HTML: it can be shown, not filtered or compared`,
		`{% capture x %}a{% endcapture %}<p title="{{ x }}">y</p>`:            `x was captured as HTML: it cannot be shown within a tag`,
		"{% if contact.city %}" + strings.Repeat("x", 10_001) + "{% endif %}": `the text in blocks may take 10001 bytes, at most 10000 may differ between recipients`,
	} {
		problems := problemsOf(t, email(Content{HTML: "<p>\n" + text}))
		if len(problems) == 0 || !strings.HasSuffix(problems[0], ": "+want) {
			t.Errorf("%s\nwanted %s\ngot    %q", text, want, problems)
			continue
		}
		if strings.Contains(problems[0], "line") && !strings.HasPrefix(problems[0], "sv, html, line 2: ") {
			t.Errorf("%s\nis not on line 2: %s", text, problems[0])
		}
	}
}

func TestRefusedTemplates(t *testing.T) {
	sms := func(c Content) Template {
		return Template{Name: "x", Channel: audience.SMS, Default: "sv", Contents: map[string]Content{"sv": c}}
	}
	push := func(c Content) Template {
		return Template{Name: "x", Channel: audience.Push, Default: "sv", Contents: map[string]Content{"sv": c}}
	}
	for name, tt := range map[string]struct {
		template Template
		want     []string
	}{
		"nothing":       {Template{}, []string{`the template has no name`, `channel "" is not one of email, sms and push`, `the default language "" is not among the languages`}},
		"post":          {Template{Name: "x", Channel: audience.Post, Default: "sv", Contents: map[string]Content{"sv": {}}}, []string{`channel "post" is not one of email, sms and push`}},
		"no default":    {Template{Name: "x", Channel: audience.SMS, Default: "en", Contents: map[string]Content{"sv": {Text: "x"}}}, []string{`the default language "en" is not among the languages`}},
		"bad language":  {Template{Name: "x", Channel: audience.SMS, Default: "sv_SE", Contents: map[string]Content{"sv_SE": {Text: "x"}}}, []string{`sv_SE: this is not a language tag such as sv, sv-SE or en`}},
		"empty mail":    {Template{Name: "x", Channel: audience.Email, Default: "sv", Contents: map[string]Content{"sv": {}}}, []string{`sv, subject: this part is needed and empty`, `sv, html: this part is needed and empty`}},
		"mail and link": {email(Content{Link: "https://www.example.com/"}), []string{`sv, link: email has no such part`}},
		"two lines":     {email(Content{Subject: "a\nb"}), []string{`sv, subject: this part is one line`}},
		"long subject":  {email(Content{Subject: strings.Repeat("x", 999)}), []string{`sv, subject: 999 bytes, at most 998 are possible`}},
		"long html":     {email(Content{HTML: strings.Repeat("x", 500_001)}), []string{`sv, html: 500001 bytes, at most 500000 are possible`}},
		"NUL":           {email(Content{HTML: "a\x00b"}), []string{`sv, html: this part is not plain UTF-8 text: it has control characters or broken ones`}},
		"not UTF-8":     {email(Content{Text: "a\xff"}), []string{`sv, text: this part is not plain UTF-8 text: it has control characters or broken ones`}},
		"many tags":     {email(Content{HTML: strings.Repeat("{{ language }}", 1001)}), []string{`sv, html: 1001 tags and outputs, at most 1000 are possible`}},
		"many links":    {email(Content{HTML: manyLinks(40, "a"), Text: manyLinks(21, "b")}), []string{`sv: 61 link targets, at most 60 are possible`}},
		"empty SMS":     {sms(Content{Text: " \n"}), []string{`sv, text: this part is needed and empty`}},
		"SMS with HTML": {sms(Content{Text: "x", HTML: "x", Subject: "x", Link: "x"}), []string{`sv, subject: sms has no such part`, `sv, html: sms has no such part`, `sv, link: sms has no such part`}},
		"long SMS":      {sms(Content{Text: strings.Repeat("å", 1501)}), []string{`sv, text: 1501 characters, at most 1500 are possible beside the words to opt out`}},
		"empty push":    {push(Content{}), []string{`sv, subject: this part is needed and empty`, `sv, text: this part is needed and empty`}},
		"push script":   {push(Content{Subject: "x", Text: "x", Link: "javascript://x"}), []string{`sv, link, line 1: a link begins with https:, http: or the scheme of an app, and is whole`}},
		"push half":     {push(Content{Subject: "x", Text: "x", Link: "https:/x"}), []string{`sv, link, line 1: a link begins with https:, http: or the scheme of an app, and is whole`}},
		"push value":    {push(Content{Subject: "x", Text: "x", Link: "{{ contact.city }}://x"}), []string{`sv, link, line 1: a link cannot begin with a value: write https:// and the host`}},
		"long push":     {push(Content{Subject: "x", Text: strings.Repeat("x", 4097)}), []string{`sv, text: 4097 characters, at most 4096 bytes are possible`}},
		"all at once": {
			Template{Name: "x", Channel: audience.Email, Default: "sv", Contents: map[string]Content{
				"sv": {Subject: "{{ a }}", HTML: "{{ b }}\n{{ c }}", Text: "{{ d }}"}, "en": {Subject: "x", HTML: "<p>\n{% if %}"}}},
			[]string{`en, html, line 2: {% if %}: something is missing at the end`, `en, html, line 2: {% if %} is never closed by {% endif %}`,
				`sv, subject, line 1: a is not known here`, `sv, html, line 1: b is not known here`, `sv, html, line 2: c is not known here`, `sv, text, line 1: d is not known here`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problemsOf(t, tt.template)); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
		})
	}
}

func manyLinks(n int, host string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<a href=\"https://%s.test/%d\">x</a>\n", host, i)
	}
	return b.String()
}

func TestAcceptedPushLinks(t *testing.T) {
	for _, link := range []string{"", "https://www.example.com/a", "exempel://butik/1", "exempel://{{ contact.city }}", "https://www.example.com/{{ contact.city }}"} {
		tpl := Template{Name: "x", Channel: audience.Push, Default: "sv", Contents: map[string]Content{"sv": {Subject: "x", Text: "x", Link: link}}}
		if problems := problemsOf(t, tpl); problems != nil {
			t.Errorf("%q is refused: %q", link, problems)
		}
	}
}

// TestProblemsAreBounded: a part that is all wrong gives a list that can be
// read.
func TestProblemsAreBounded(t *testing.T) {
	if n := len(problemsOf(t, email(Content{HTML: strings.Repeat("{{ x }}{% y %}<a href=z>", 900)}))); n == 0 || n > 3*maxProblems {
		t.Errorf("%d problems", n)
	}
}

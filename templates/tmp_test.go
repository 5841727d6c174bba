package templates

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPath(t *testing.T) {
	big := func(s string, n int) string { return strings.Repeat(s, n/len(s)) }
	var many strings.Builder
	for i := 0; many.Len() < 90000; i++ {
		fmt.Fprintf(&many, "https://a.test/%d ", i)
	}
	var hrefs strings.Builder
	for i := 0; hrefs.Len() < 490000; i++ {
		fmt.Fprintf(&hrefs, `<a href="https://a.test/%d">x</a>`, i)
	}
	var asg strings.Builder
	for i := 0; asg.Len() < 490000; i++ {
		fmt.Fprintf(&asg, `{%% assign a%d = contact.city | upcase %%}`, i)
	}
	m := map[string]string{
		"a": big("{{", 499999), "b": big("{%", 499999), "c": big("{% if contact.city %}", 499999), "d": big("{{ contact.city }}", 499999), "e": "<a " + big("x ", 499000) + ">", "f": big("<div>", 499999), "g": big("</div>", 499999),
		"h": big("<b>", 20000) + big("</c>", 470000), "i": hrefs.String(), "j": "<p " + big("a='1' ", 490000) + ">x", "k": big("<!--", 499999), "l": big("<!-- x -->", 499999), "m": big("{", 499999), "n": big("&amp;", 499999), "o": big("<p style='display:none'>x</p>", 499999),
		"p": big("{% if contact.city %}a{% endif %}", 499999), "q": asg.String(), "r": big("<table><tr><td>", 100000) + big("</table></td></tr>", 300000), "s": big("< ", 499999), "t": big("{% comment %}{% endcomment %}", 499999), "u": big("{% raw %}<{% endraw %}", 499999), "v": big("{{ contact.city | truncate: 3 }}", 499999), "w": big("<", 499999), "x": big("<![CDATA[", 499999),
		"y": big("<a href='https://a.test/{{ contact.city }}'>x</a>", 499999), "z": big("<li><a href='{{ unsubscribe_url }}'>", 499999),
	}
	for k, h := range m {
		s := time.Now()
		tpl := email(Content{HTML: h})
		err := Check(tpl, registered)
		d1 := time.Since(s)
		s = time.Now()
		e := ""
		if err == nil {
			o := testOptions(t, tpl, "sv")
			d2 := time.Since(s)
			s = time.Now()
			sk, cerr := Compile(tpl, "sv", o)
			if cerr != nil {
				e = cerr.Error()
			} else {
				e = fmt.Sprint(d2, " compile ", time.Since(s), " cols ", sk.Columns())
				s = time.Now()
				var sh Sheet
				sh.Reset(sk.Columns())
				err := sk.Fill(&sh, 1, withCity(Recipient{}, "Lund"))
				e += fmt.Sprint(" fill ", time.Since(s), err)
			}
		} else {
			e = err.Error()
			if len(e) > 150 {
				e = e[:150]
			}
		}
		fmt.Println(k, d1, e)
	}
	s := time.Now()
	fmt.Println(Check(email(Content{Text: many.String()}), nil), time.Since(s))
}

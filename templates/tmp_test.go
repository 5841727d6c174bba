package templates

import (
	"fmt"
	"testing"
	"utskick/audience"
	"utskick/tracking"
)

func TestTmp(t *testing.T) {
	html := `<html><head><title>x</title><style>a{b:c}</style></head><body><div style="display:none">Preheader {{ contact.first_name }}</div>
<h1>Hej {{ contact.first_name | default: "du" | capitalize }}!</h1>
{% if contact.city == "Lund" and contact.level %}<p>Du bor i {{ contact.city | upcase }}.</p>{% elsif contact.city %}<p>Nära {{ contact.city }}</p>{% else %}<p>Var?</p>{% endif %}
{% assign n = contact.points | plus: 10 %}<p>{{ n }} poäng{% for x in contact.tags | split: "," limit:2 %}, {{ x }}{% endfor %}</p>
<table><tr><td>A</td><td><a href="https://www.exempelbolaget.test/kampanj?a=1&amp;b=2">Köp <b>nu</b></a></td></tr></table>
<a href='https://x.test/?n={{ contact.first_name | url_encode }}'>personlig</a>
{% if contact.city %}<a href="{{ unsubscribe_url }}">Sluta</a>{% endif %}
</body></html>`
	tpl := Template{Name: "t", Channel: audience.Email, Default: "sv", Contents: map[string]Content{"sv": {Subject: "Hej {{ contact.first_name }}", HTML: html}}}
	if err := Check(tpl, []string{"city", "level", "points", "tags"}); err != nil {
		t.Fatal(err)
	}
	ts, _ := Targets(tpl, "sv")
	fmt.Println(ts)
	sg, _ := tracking.NewSigner(make([]byte, 32))
	sk, err := Compile(tpl, "sv", Options{Sender: Sender{FromName: "Exempelbolaget", FromEmail: "a@exempelbolaget.test", PostalAddress: "Box 1\n123 45 Staden", Site: "https://www.exempelbolaget.test"}, Topic: "nyhetsbrev", PublicURL: "https://utskick.test", Signer: sg, Links: map[string]int64{ts[0]: 7}})
	if err != nil {
		t.Fatal(err)
	}
	var sh Sheet
	sh.Reset(sk.Columns())
	err = sk.Fill(&sh, 5, Recipient{Key: audience.Key{1}, FirstName: "<ÅSA>", Attributes: []byte(`{"city":"Lund","level":"guld","points":"32","tags":"a,b,c"}`), Tracked: true})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s\n\n%s\n\n%s\n", sk.Subject.Append(nil, &sh, 0), sk.HTML.Append(nil, &sh, 0), sk.Text.Append(nil, &sh, 0))
	for _, h := range sk.Headers {
		fmt.Printf("%s: %s\n", h.Name, h.Value.Append(nil, &sh, 0))
	}
}

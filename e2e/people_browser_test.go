package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"utskick/examples"
)

// TestPeopleInABrowser answers customers on the operator's pages, at a desk and
// on a phone, with scripts off and partly by the keyboard alone; and has axe look
// at every page.
func TestPeopleInABrowser(t *testing.T) {
	node, browser, ok := browserTools(t)
	if !ok {
		return
	}
	w := newWorld(t, map[string]string{"UTSKICK_EMAIL": "outbox", "UTSKICK_SMS": "outbox", "UTSKICK_PUSH": "outbox", "TWILIO_AUTH_TOKEN": twilioToken})
	type customer struct {
		Phone string `json:"phone"`
		Name  string `json:"name"`
	}
	customers := []customer{{"070-174 06 05", "Kim Ek"}, {"+46 70 174 06 06", "Åsa Ek"}}
	w.must("contacts", "import", w.file("contacts.csv", "external_id,email,phone,push_token,first_name,last_name,locale,tier,points,city,basis,basis_evidence,consent.profiling,consent.open_tracking\n"+
		"kim,kim@example.com,+46701740605,token-kim,Kim,Ek,sv-SE,guld,10,Umeå,consent,form 7,yes,yes\nasa,asa@example.com,+46701740606,token-asa,Åsa,Ek,sv-SE,guld,10,Umeå,consent,form 8,yes,\n"))
	w.must("senders", "save", w.example(examples.Sender))
	for _, name := range []string{examples.EmailTemplate, examples.SMSTemplate, examples.PushTemplate} {
		w.must("templates", "save", w.example(name))
	}
	d := &desk{w: w}
	var made struct{ Key string }
	decode(t, w.must("keys", "create", "--name", "desk", "--scope", "service", "--json"), &made)
	d.service, d.p = made.Key, w.serve("serve")
	w.launchEverywhere("Höstnytt")
	for _, m := range w.outbox("email") {
		if res, _ := get(t, d.p.at(pixelOrChoices(m))); res.StatusCode != http.StatusOK {
			t.Fatalf("the message of a customer answers %s", res.Status)
		}
	}
	w.launchEverywhere("Vinternytt")
	for i, text := range []string{"När slutar ni med rean?", "Kan ni låta bli mig?", "Fel nummer tror jag", "Vem är detta"} {
		d.answers(&person{phone: fmt.Sprintf("+467017406%02d", 5+i%2)}, text)
	}
	w.drive(node, "people.mjs", map[string]any{"browser": browser, "operator": d.p.operator, "key": d.service, "customers": customers,
		"stranger": "bo@example.com"})
}

// pixelOrChoices is a link of a message that can be looked at: its pixel, if it
// has one.
func pixelOrChoices(m captured) string {
	if pixel := pixelLink.FindString(m.HTML); pixel != "" {
		return pixel
	}
	return preferencesLink.FindString(m.HTML)
}

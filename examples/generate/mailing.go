package main

import (
	"bytes"
	_ "embed"
	"encoding/json"

	"utskick/audience"
	"utskick/examples"
	"utskick/templates"
)

var sender = templates.Sender{
	Name:          "exempelbolaget",
	FromName:      "Exempelbolaget",
	FromEmail:     "nyheter@exempelbolaget.test",
	ReplyTo:       "kundservice@exempelbolaget.test",
	PostalAddress: "Exempelbolaget AB, Exempelgatan 1, 111 11 Exempelstad",
	Site:          "https://www.exempelbolaget.test",
	SMSSender:     "Exempelbol",
	NoticeVersion: "2026-01-15",
	OpenTracking:  templates.ByConsent,
	Topics: map[string]templates.Label{
		"offer":      {Swedish: "Erbjudanden till kunder", English: "Offers for customers"},
		"newsletter": {Swedish: "Nyhetsbrev", English: "Newsletter"},
	},
	CustomerService: &templates.CustomerService{
		Email: "kundservice@exempelbolaget.test", Phone: "+46 70 174 06 05", Page: "https://www.exempelbolaget.test/kundservice",
		PostalAddress: "Exempelbolaget Kundservice, Box 1, 111 11 Exempelstad",
	},
	DataProtection: &templates.Officer{Name: "Dataskyddsombudet", Email: "dataskydd@exempelbolaget.test"},
	PrivacyNotice:  "https://www.exempelbolaget.test/integritet",
	CookieSettings: "https://www.exempelbolaget.test/kakor",
	AdPlatforms: []templates.AdPlatform{
		{Name: "Exempelnätet", Info: "https://www.exempelnatet.test/om-annonser", Settings: "https://www.exempelnatet.test/annonsval"},
		{Name: "Annonsregistret", Settings: "https://www.annonsregistret.test/val"},
	},
}

// group are the other two of the group of companies: each is a controller of its
// own, and has customers of its own.
var group = map[string]templates.Sender{
	examples.BankSender: {
		Name: "exempelbanken", FromName: "Exempelbanken", FromEmail: "nyheter@exempelbanken.test", ReplyTo: "kundservice@exempelbanken.test",
		PostalAddress: "Exempelbanken AB, Exempelgatan 3, 111 11 Exempelstad", Site: "https://www.exempelbanken.test",
		NoticeVersion: "2026-01-15", OpenTracking: templates.ByConsent, PrivacyNotice: "https://www.exempelbanken.test/integritet",
	},
	examples.SocietySender: {
		Name: "exempelforeningen", FromName: "Exempelföreningen", FromEmail: "nyheter@exempelforeningen.test", ReplyTo: "medlem@exempelforeningen.test",
		PostalAddress: "Exempelföreningen ek. för., Exempelgatan 5, 111 11 Exempelstad", Site: "https://www.exempelforeningen.test",
		NoticeVersion: "2026-01-15", OpenTracking: templates.ByConsent, PrivacyNotice: "https://www.exempelforeningen.test/integritet",
	},
}

var (
	//go:embed source/host.sv.html
	swedishHTML string
	//go:embed source/host.en.html
	englishHTML string
)

// mailing is the autumn offer, on each channel in two languages. The Swedish
// e-mail has a footer of its own; to the English one the product adds it.
var mailing = map[string]templates.Template{
	examples.EmailTemplate: {
		Name: "host-email", Channel: audience.Email, Default: "sv",
		Contents: map[string]templates.Content{
			"sv": {Subject: `{{ contact.first_name | default: "Hej" }}, höstens erbjudanden är här`, HTML: swedishHTML},
			"en": {Subject: `{{ contact.first_name | default: "Hello" }}, our autumn offers are here`, HTML: englishHTML},
		},
	},
	examples.SMSTemplate: {
		Name: "host-sms", Channel: audience.SMS, Default: "sv",
		Contents: map[string]templates.Content{
			"sv": {Text: `Hej {{ contact.first_name | default: "kund" }}! Höstens erbjudanden från Exempelbolaget: https://www.exempelbolaget.test/host`},
			"en": {Text: `Hi {{ contact.first_name | default: "customer" }}! Autumn offers from Exempelbolaget: https://www.exempelbolaget.test/en/autumn`},
		},
	},
	examples.PushTemplate: {
		Name: "host-push", Channel: audience.Push, Default: "sv",
		Contents: map[string]templates.Content{
			"sv": {
				Subject: "Höstens erbjudanden",
				Text:    `Hej {{ contact.first_name | default: "kund" }}! Upp till 30 % på ytterkläder.{% if contact.tier == "guld" %} Som guldkund handlar du redan i dag.{% endif %}`,
				Link:    "https://www.exempelbolaget.test/host",
			},
			"en": {
				Subject: "Our autumn offers",
				Text:    `Hi {{ contact.first_name | default: "customer" }}! Up to 30% off outerwear.{% if contact.tier == "guld" %} As a gold member you can shop today.{% endif %}`,
				Link:    "https://www.exempelbolaget.test/en/autumn",
			},
		},
	},
}

// encode leaves < and > as they are, so that people can read the HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// The secrets of a database that lives for minutes.
const (
	pepper  = "the pepper of the benchmark, 32+ bytes"
	linkKey = "the link key of the benchmark, 32+ bytes"

	publicURL = "https://utskick.exempelbolaget.test"
)

//go:embed newsletter.html
var newsletter string

// blocked says who has objected: two in a hundred.
func blocked(i int) bool { return i%50 == 7 }

func blockedAmong(n int) int {
	all := n / 50
	if n%50 > 7 {
		all++
	}
	return all
}

// contact makes contact i, with an address on each channel. No country has the
// code +999 (ITU-T E.164), so that the number is nobody's.
func contact(i int) audience.Contact {
	cities := [...]string{"Exempelstad", "Provköping", "Mönsterås", "Testerud"}
	tiers := [...]string{"brons", "silver", "guld"}
	id := strconv.Itoa(i)
	return audience.Contact{
		ExternalID: "b" + id, Email: "kund." + id + "@example.com", Phone: fmt.Sprintf("+999%09d", i),
		FirstName: "Kund " + id, LastName: "Exempelsson", Locale: "sv-SE", TimeZone: "Europe/Stockholm",
		Basis: audience.SoftOptIn, BasisEvidence: "köp i butik",
		Devices: []audience.Device{{Token: fmt.Sprintf("enhet%09d:APA91bExempel-exempel-exempel-exempel-exempel-exempel", i), Active: true}},
		Attributes: map[string]string{"city": cities[i%len(cities)], "store": "Storgatan " + strconv.Itoa(i%90), "tier": tiers[i%len(tiers)],
			"points": strconv.Itoa(i % 5000), "segment": "stamkund"},
	}
}

// tracked says who lets opens and clicks be tied to her: every other one.
func tracked(i int) bool { return i%2 == 0 }

func row(i int) audience.Row {
	const all = audience.FieldEmail | audience.FieldPhone | audience.FieldDevices | audience.FieldLocale | audience.FieldTimeZone |
		audience.FieldFirstName | audience.FieldLastName | audience.FieldBasis | audience.FieldBasisEvidence
	r := audience.Row{Contact: contact(i), Set: all}
	if tracked(i) {
		r.Consents = map[string]bool{string(suppression.OpenTracking): true}
	}
	return r
}

// The senders: one whose mail is signed, one whose is not.
const (
	plainSender  = "exempelbolaget"
	signedSender = "exempelbolaget-dkim"
)

func sender(name string) templates.Sender {
	s := templates.Sender{
		Name: name, FromName: "Exempelbolaget", FromEmail: "nyheter@exempelbolaget.test", ReplyTo: "kundservice@exempelbolaget.test",
		PostalAddress: "Exempelbolaget AB, Exempelgatan 1, 111 11 Exempelstad", Site: "https://www.exempelbolaget.test", SMSSender: "Exempelbol",
	}
	if name == signedSender {
		s.DKIMSelector = "bench"
	}
	return s
}

func template(ch audience.Channel) templates.Template {
	content := templates.Content{Subject: `{{ contact.first_name | default: "Hej" }}, veckans erbjudanden är här`}
	switch ch {
	case audience.Email:
		content.HTML = newsletter
	case audience.SMS:
		content = templates.Content{Text: `Hej {{ contact.first_name }}! 30 % på ytterkläder i {{ contact.city }} till söndag: https://www.exempelbolaget.test/host/ytterklader`}
	case audience.Push:
		content.Text = `{% if contact.tier == "guld" %}Redan i dag{% else %}På lördag{% endif %}: 30 % på ytterkläder i {{ contact.city }}. Du har {{ contact.points }} poäng.`
		content.Link = "https://www.exempelbolaget.test/host/ytterklader"
	}
	return templates.Template{Name: "bench-" + string(ch), Channel: ch, Default: "sv", Contents: map[string]templates.Content{"sv": content}}
}

// fill brings n contacts, the refusals among them, and the library into a new
// database.
func fill(ctx context.Context, store *storage.Store, n int, progress func(done int)) error {
	keyer, err := audience.NewKeyer([]byte(pepper))
	if err != nil {
		return err
	}
	register := suppression.NewRegister(store, suppression.SystemClock)
	for first := 0; first < n; first += audience.MaxBatchRows {
		var rows []audience.Row
		var wishes []suppression.Wish
		for i := first; i < min(n, first+audience.MaxBatchRows); i++ {
			rows = append(rows, row(i))
			if blocked(i) {
				wishes = append(wishes, objection(keyer.Key(audience.KindEmail, rows[len(rows)-1].Contact.Email)))
			}
		}
		if _, err := store.SaveContacts(ctx, rows); err != nil {
			return err
		}
		if err := register.RecordAll(ctx, wishes); err != nil {
			return err
		}
		progress(first + len(rows))
	}
	return saveLibrary(ctx, store)
}

func objection(k audience.Key) suppression.Wish {
	return suppression.Wish{Person: true, Entry: suppression.Entry{Key: k, Channel: suppression.Any, Topic: suppression.Any,
		Purpose: string(suppression.Marketing), Sender: suppression.Any, Cause: suppression.Objected, Active: true, Source: "import", Evidence: "benchmark"}}
}

func saveLibrary(ctx context.Context, store *storage.Store) error {
	for _, name := range []string{plainSender, signedSender} {
		if err := store.SaveSender(ctx, sender(name)); err != nil {
			return err
		}
	}
	for _, ch := range audience.Channels {
		t := template(ch)
		targets, err := templates.Targets(t, t.Default)
		if err != nil {
			return err
		}
		if _, err := store.SaveTemplate(ctx, t, targets); err != nil {
			return err
		}
	}
	return nil
}

func campaign(c benchCase) dispatcher.Campaign {
	return dispatcher.Campaign{Name: c.name, Sender: c.sender, Topic: "erbjudanden",
		Channels: []dispatcher.CampaignChannel{{Channel: c.channel, Template: template(c.channel).Name}}}
}

// sample is what the bare sender sends: the messages of some recipients,
// rendered beforehand.
type sample struct {
	skeleton  *templates.Skeleton
	sheet     *templates.Sheet
	keys      []audience.Key
	addresses []string
}

// sampleGroup stands for a group's id: as long as those of a real run.
const sampleGroup = 1001

func newSample(c benchCase, n int) (*sample, error) {
	keyer, err := audience.NewKeyer([]byte(pepper))
	if err != nil {
		return nil, err
	}
	signer, err := tracking.NewSigner([]byte(linkKey))
	if err != nil {
		return nil, err
	}
	t := template(c.channel)
	targets, err := templates.Targets(t, t.Default)
	if err != nil {
		return nil, err
	}
	links := map[string]int64{}
	for i, target := range targets {
		links[target] = int64(i + 1)
	}
	s := &sample{sheet: new(templates.Sheet)}
	s.skeleton, err = templates.Compile(t, "sv", templates.Options{Sender: sender(c.sender), Topic: campaign(c).Topic,
		PublicURL: publicURL, Signer: signer, Links: links})
	if err != nil {
		return nil, err
	}
	s.sheet.Reset(s.skeleton.Columns())
	for i := range n {
		if err := s.add(c.channel, keyer, i); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *sample) add(ch audience.Channel, keyer *audience.Keyer, i int) error {
	c := contact(i)
	address := map[audience.Channel]string{audience.Email: c.Email, audience.SMS: c.Phone, audience.Push: c.Devices[0].Token}[ch]
	k := keyer.Key(ch.Kind(), address)
	attributes, err := json.Marshal(c.Attributes)
	if err != nil {
		return err
	}
	s.keys, s.addresses = append(s.keys, k), append(s.addresses, address)
	return s.skeleton.Fill(s.sheet, sampleGroup, templates.Recipient{Key: k, FirstName: c.FirstName, LastName: c.LastName,
		Locale: c.Locale, Attributes: attributes, Tracked: tracked(i)})
}

package main

import (
	"context"
	_ "embed"
	"encoding/json"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
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

// sample is what the bare sender knows of some recipients, and the skeleton of
// their messages.
type sample struct {
	skeleton   *templates.Skeleton
	recipients []templates.Recipient
	addresses  []string
}

// render fills the holes of n recipients' messages into an emptied sheet.
func (s *sample) render(sheet *templates.Sheet, first, n int) error {
	sheet.Reset(s.skeleton.Columns())
	for i := range n {
		if err := s.skeleton.Fill(sheet, sampleGroup, s.recipients[first+i]); err != nil {
			return err
		}
	}
	return nil
}

// sampleGroup stands for a group's id: as long as those of a new database.
const sampleGroup = 1

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
	s := new(sample)
	s.skeleton, err = templates.Compile(t, "sv", templates.Options{Sender: sender(c.sender), Topic: campaign(c).Topic,
		PublicURL: publicURL, Signer: signer, Links: links})
	if err != nil {
		return nil, err
	}
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
	s.addresses = append(s.addresses, address)
	s.recipients = append(s.recipients, templates.Recipient{Key: k, FirstName: c.FirstName, LastName: c.LastName,
		Locale: c.Locale, Attributes: attributes, Tracked: tracked(i)})
	return nil
}

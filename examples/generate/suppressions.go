package main

import (
	"bytes"
	"encoding/csv"
	"math/rand/v2"
	"strings"
)

var suppressionColumns = []string{"kind", "address", "channel", "topic", "purpose", "sender", "cause", "evidence"}

// wish is a row of suppressions.csv. An empty scope is any.
type wish struct{ kind, address, channel, topic, purpose, sender, cause, evidence string }

func (w wish) record() []string {
	return []string{w.kind, w.address, w.channel, w.topic, w.purpose, w.sender, w.cause, w.evidence}
}

// lot is a number of wishes of one sort, and where their addresses come from.
type lot struct {
	count int
	like  wish
	from  func(*addressBook) string
}

// lots are 300 wishes, some 270 of them of customers.
var lots = []lot{
	{70, wish{kind: "email", channel: "email", topic: "*", purpose: "*", sender: "*", cause: "unsubscribed", evidence: "länk i utskick"}, (*addressBook).email},
	{15, wish{kind: "email", channel: "email", topic: "*", purpose: "marketing", sender: "exempelbolaget", cause: "unsubscribed", evidence: "länk i utskick"}, (*addressBook).email},
	{30, wish{kind: "email", channel: "*", topic: "*", purpose: "*", sender: "*", cause: "objected", evidence: "kundservice, per telefon"}, (*addressBook).email},
	{35, wish{kind: "email", channel: "email", cause: "bounced", evidence: "550 5.1.1"}, (*addressBook).email},
	{20, wish{kind: "email", channel: "email", purpose: "marketing", cause: "complained", evidence: "anmälan genom e-postleverantören"}, (*addressBook).email},
	{20, wish{kind: "email", purpose: "marketing", cause: "withdrawn", evidence: "mina sidor"}, (*addressBook).email},
	{15, wish{kind: "email", purpose: "open_tracking", cause: "withdrawn", evidence: "mina sidor"}, (*addressBook).email},
	{25, wish{kind: "email", channel: "email", cause: "unsubscribed", evidence: "från förra systemet"}, (*addressBook).stranger},
	{20, wish{kind: "phone", channel: "sms", cause: "stopped", evidence: "svarade STOPP"}, (*addressBook).phone},
	{10, wish{kind: "phone", channel: "*", cause: "objected", evidence: "kundservice, per telefon"}, (*addressBook).phone},
	{10, wish{kind: "push", channel: "push", cause: "unsubscribed", evidence: "inställning i appen"}, (*addressBook).device},
	{20, wish{kind: "contact", channel: "*", topic: "*", purpose: "*", sender: "*", cause: "objected", evidence: "brev till kundservice"}, (*addressBook).customer},
	{10, wish{kind: "contact", channel: "*", purpose: "marketing", cause: "withdrawn", evidence: "mina sidor"}, (*addressBook).customer},
}

func suppressionsCSV(random *rand.Rand, customers []customer) ([]byte, error) {
	book := newAddressBook(random, customers)
	var wishes []wish
	for _, l := range lots {
		for range l.count {
			w := l.like
			w.address = l.from(book)
			wishes = append(wishes, w)
		}
	}
	random.Shuffle(len(wishes), func(i, j int) { wishes[i], wishes[j] = wishes[j], wishes[i] })

	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(suppressionColumns); err != nil {
		return nil, err
	}
	for _, wish := range wishes {
		if err := w.Write(wish.record()); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// addressBook deals out the addresses of customers, each customer once.
type addressBook struct {
	random    *rand.Rand
	customers []customer // in random order
	dealt     int
}

func newAddressBook(random *rand.Rand, customers []customer) *addressBook {
	shuffled := make([]customer, len(customers))
	for i, j := range random.Perm(len(customers)) {
		shuffled[i] = customers[j]
	}
	return &addressBook{random: random, customers: shuffled}
}

// next returns the next customer who has what is asked for.
func (b *addressBook) next(has func(customer) bool) customer {
	for {
		c := b.customers[b.dealt]
		b.dealt++
		if has(c) {
			return c
		}
	}
}

// email gives an address as it is, in capitals, or with spaces around it.
func (b *addressBook) email() string {
	email := b.next(func(c customer) bool { return c.email != "" }).email
	return pick(b.random, []string{email, email, strings.ToUpper(email), strings.ToLower(email), " " + email + " "})
}

// stranger gives an address that no customer has.
func (b *addressBook) stranger() string {
	return strings.Replace(b.email(), "@", ".tidigare@", 1)
}

// phone gives a number that takes SMS, without the spaces that it may have.
func (b *addressBook) phone() string {
	c := b.next(func(c customer) bool {
		return strings.HasPrefix(c.phone, "+1") || len(c.phone) == len("070-174 06 05") && strings.HasPrefix(c.phone, "070-174 06")
	})
	return pick(b.random, []string{c.phone, strings.ReplaceAll(c.phone, " ", "")})
}

func (b *addressBook) device() string {
	c := b.next(func(c customer) bool { return c.tokens != "" })
	return strings.Fields(c.tokens)[0]
}

func (b *addressBook) customer() string {
	return b.next(func(customer) bool { return true }).id
}

package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
)

var contactColumns = []string{
	"external_id", "email", "phone", "push_token", "locale", "timezone", "first_name", "last_name", "city", "tier", "points",
	"basis", "basis_evidence", "soft_optin.sale", "soft_optin.offered", "soft_optin.family", "consent.marketing", "consent.open_tracking",
	"relation.exempelbolaget", "relation.exempelbanken", "relation.exempelforeningen",
}

func (c customer) record(n int) []string {
	own, bank, society := c.relations(n)
	return []string{
		c.id, c.email, c.phone, c.tokens, c.locale, c.zone, c.first, c.last, c.city, c.tier, c.points,
		c.basis, c.evidence, c.sale, c.offered, c.family, c.marketing, c.openTracking,
		own, bank, society,
	}
}

// relations are those of the nth customer to the three of the group. Whoever has
// bought something is a customer of the shop since then; some have a card of the
// bank, or had one, and some are members of the society.
func (c customer) relations(n int) (own, bank, society string) {
	own = c.sale
	if c.basis == "consent" {
		own = "yes"
	}
	switch {
	case n%40 == 7:
		bank = "ended"
	case n%5 == 2:
		bank = "yes"
	}
	if n%4 == 1 {
		society = fmt.Sprintf("%d-05-01", 2005+n%20)
	}
	return own, bank, society
}

// mistakes are rows that somebody typed, by the number of the customer that
// they come before. Each breaks one rule of the import.
var mistakes = map[int]string{
	210:  `,saknar.nummer@example.com,,,sv-SE,Europe/Stockholm,Kim,Ek,Lund,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
	555:  `EB900001,ett.komma.for.mycket@example.com,,,sv-SE,Europe/Stockholm,Kim,Ek,Exempelstad, norra,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
	913:  `EB900002,citattecken@example.com,,,sv-SE,Europe/Stockholm,Kim "Kimpan",Ek,Lund,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
	1320: `EB900003,oppet.citat@example.com,,,sv-SE,Europe/Stockholm,Kim,Ek,"Lund,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
	1788: `EB900004,utan.snabel-a.example.com,,,sv-SE,Europe/Stockholm,Kim,Ek,Lund,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
	2204: `EB900005,med mellanslag@example.com,,,sv-SE,Europe/Stockholm,Kim,Ek,Lund,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
	2590: `EB900006,utan.toppdoman@example,,,sv-SE,Europe/Stockholm,Kim,Ek,Lund,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
	3001: `EB900007,sprak@example.com,,,svenska språket,Europe/Stockholm,Kim,Ek,Lund,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
	3456: `EB900008,tidszon@example.com,,,sv-SE,Sverige,Kim,Ek,Lund,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
	3900: `EB900009,kanske@example.com,,,sv-SE,Europe/Stockholm,Kim,Ek,Lund,brons,40,,,,,,kanske,,,,`,
	4410: `EB900010,grund@example.com,,,sv-SE,Europe/Stockholm,Kim,Ek,Lund,brons,40,intresseavvägning,,,,,,,,,`,
	4800: `EB900004,rattad@example.com,,,sv-SE,Europe/Stockholm,Kim,Ek,Lund,brons,40,soft_optin,köp i butik 2024-03-11,2024-03-11,yes,butik,,,,,`,
}

func contactsCSV(customers []customer) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(contactColumns); err != nil {
		return nil, err
	}
	for i, c := range customers {
		if line, ok := mistakes[i]; ok {
			w.Flush()
			b.WriteString(line + "\n")
		}
		if err := w.Write(c.record(i)); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

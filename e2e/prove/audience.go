package main

import (
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

// people is the audience of every campaign of a row. Some have two contacts,
// with one address written in two ways.
type people struct {
	csv      string
	contacts int
	// addresses has, for each channel, whom the witness is to see.
	addresses map[string]map[string]bool
	// without counts contacts without an address, twice the contacts that share
	// another's, for each channel.
	without, twice map[string]int
}

var channelNames = []string{"email", "sms", "push"}

var areaCodes = []int{206, 212, 303, 305, 312, 404, 415, 503, 512, 617, 702, 808}

// newPeople makes n persons: all have an e-mail address, half a phone number,
// a third a device, unless they have mail alone.
func newPeople(n int, mailAlone bool) *people {
	p := &people{addresses: map[string]map[string]bool{}, without: map[string]int{}, twice: map[string]int{}}
	for _, ch := range channelNames {
		p.addresses[ch] = map[string]bool{}
	}
	var b strings.Builder
	b.WriteString("external_id,email,phone,push_token,locale,first_name,basis,basis_evidence\n")
	for i := range n {
		number, again, token := phone(i, false), phone(i, true), device(i)
		if mailAlone {
			number, again, token = "", "", ""
		}
		p.add(&b, fmt.Sprintf("k%d", i), email(i), number, token)
		if i%30 == 0 {
			p.add(&b, fmt.Sprintf("igen%d", i), otherwise(email(i)), again, "")
		}
	}
	p.csv = b.String()
	return p
}

func (p *people) add(b *strings.Builder, id, email, phone, device string) {
	p.contacts++
	fmt.Fprintf(b, "%s,%s,%s,%s,sv-SE,Namn,consent,form\n", id, email, phone, device)
	for ch, address := range map[string]string{"email": email, "sms": phone, "push": device} {
		k := canonical(ch, address)
		switch {
		case k == "":
			p.without[ch]++
		case p.addresses[ch][k]:
			p.twice[ch]++
		default:
			p.addresses[ch][k] = true
		}
	}
}

func email(i int) string {
	if i%4 == 0 {
		return fmt.Sprintf("kund.%d@xn--rksmrgs-5wao1o.test", i)
	}
	return fmt.Sprintf("kund.%d@example.com", i)
}

// otherwise writes an address of [email] as another form would.
func otherwise(email string) string {
	return strings.ToUpper(strings.Replace(email, "xn--rksmrgs-5wao1o", "räksmörgås", 1))
}

func phone(i int, otherwise bool) string {
	switch {
	case i%2 == 1 || i/2 >= 95+100*len(areaCodes):
		return ""
	case i/2 < 95 && otherwise:
		return fmt.Sprintf("070-174 06 %02d", 5+i/2)
	case i/2 < 95:
		return fmt.Sprintf("+467017406%02d", 5+i/2)
	}
	line := i/2 - 95
	if otherwise {
		return fmt.Sprintf("+1 (%d) 555-01%02d", areaCodes[line/100], line%100)
	}
	return fmt.Sprintf("+1%d55501%02d", areaCodes[line/100], line%100)
}

func device(i int) string {
	if i%3 != 0 {
		return ""
	}
	return fmt.Sprintf("enhet%06d:APA91bExempel-exempel-exempel-exempel-exempel", i)
}

// canonical is one spelling for each destination. It is the checker's own: the
// product's is what is on trial.
func canonical(channel, address string) string {
	switch channel {
	case "email":
		address = strings.ToLower(address)
		local, domain, _ := strings.Cut(address, "@")
		if ascii, err := idna.ToASCII(domain); err == nil {
			domain = ascii
		}
		if local == "" {
			return ""
		}
		return local + "@" + domain
	case "sms":
		digits := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, address)
		if strings.HasPrefix(digits, "0") {
			digits = "46" + digits[1:]
		}
		return digits
	}
	return address
}

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

const customerCount = 5000

// customer is a row of contacts.csv before it is written. Its fields are as the
// retailer's old system has them, not as they should be.
type customer struct {
	id, email, phone, tokens, locale, zone, first, last, city, tier, points string
	basis, evidence, marketing, openTracking                                string
	sale, offered, family                                                   string // of soft opt-in
}

var (
	firstNames = strings.Fields("Anna Bengt Cecilia David Eva Filip Gun Håkan Ida Johan Karin Lars Maria Nils Olof Pia Rasmus Sara Tove Ulf Vera Wilma Yngve Åsa Örjan Aino Emil Fatima Hassan Ingrid Jonas Klara Leila Mikko Noor Oskar Petra Ravi Signe Zoë")
	lastNames  = strings.Fields("Andersson Berg Claesson Dahl Ek Forsström Grönlund Håkansson Isaksson Jönsson Karlsson Lindqvist Månsson Nilsson Öberg Persson Rosén Sjögren Törnqvist Ulfsson Virtanen Wallin Åkesson Ali Björk Celik Engström Fransson Gustafsson Hedlund")
	cities     = []string{"Stockholm", "Göteborg", "Malmö", "Uppsala", "Västerås", "Örebro", "Linköping", "Helsingborg", "Jönköping", "Norrköping", "Lund", "Umeå", "Gävle", "Borås", "Växjö", "Östersund"}
	domains    = []string{"example.com", "example.com", "example.net", "example.org", "post.exempel.test", "mail.exempel.test"}
	ascii      = strings.NewReplacer("å", "a", "ä", "a", "ö", "o", "é", "e", "ë", "e")
)

// makeCustomers draws tidy customers and then lets life happen to them.
func makeCustomers(random *rand.Rand) []customer {
	customers := make([]customer, customerCount)
	for i := range customers {
		customers[i] = tidyCustomer(random, i)
	}
	givePhones(random, customers)
	giveDevices(random, customers)
	shareAddresses(random, customers)
	giveIDNAddresses(customers)
	forgetThings(random, customers)
	return customers
}

func tidyCustomer(random *rand.Rand, i int) customer {
	c := customer{
		id:    fmt.Sprintf("EB%06d", 100_000+7*i),
		first: pick(random, firstNames),
		last:  pick(random, lastNames),
		city:  pick(random, cities),
	}
	name := ascii.Replace(strings.ToLower(c.first + "." + c.last))
	c.email = fmt.Sprintf("%s%d@%s", name, i+1, pick(random, domains))
	points := random.IntN(60) * random.IntN(90)
	c.points = fmt.Sprint(points)
	switch {
	case points >= 3000:
		c.tier = "guld"
	case points >= 1000:
		c.tier = "silver"
	default:
		c.tier = "brons"
	}
	c.locale, c.zone = pickLocale(random)
	giveGround(random, &c)
	return c
}

func pickLocale(random *rand.Rand) (locale, zone string) {
	switch n := random.IntN(100); {
	case n < 4:
		return "en-GB", "Europe/London"
	case n < 9:
		return "en-US", pick(random, []string{"America/New_York", "America/Chicago", "America/Los_Angeles"})
	case n < 13:
		return "fi-FI", "Europe/Helsinki"
	}
	return "sv-SE", "Europe/Stockholm"
}

// giveGround decides why a customer may get marketing, if she may, and what she
// answered when she was asked.
func giveGround(random *rand.Rand, c *customer) {
	year, month, day := 2022+random.IntN(4), 1+random.IntN(12), 1+random.IntN(28)
	date := fmt.Sprintf("%d-%02d-%02d", year, month, day)
	switch n := random.IntN(100); {
	case n < 32:
		c.basis, c.evidence, c.marketing = "consent", "webbformulär "+date, "yes"
	case n < 82:
		c.basis, c.evidence = "soft_optin", "köp i butik "+date
		c.sale, c.offered, c.family = date, "yes", "butik"
		c.marketing = pick(random, []string{"", "", "", "yes"})
	case n < 90: // a consent is a basis too
		c.marketing = "yes"
	default:
		c.marketing = pick(random, []string{"", "no"})
	}
	c.openTracking = pick(random, []string{"yes", "yes", "no", "", ""})
}

// giveDevices gives 800 customers an app, some on several devices. A few lend a
// device to somebody else.
func giveDevices(random *rand.Rand, customers []customer) {
	lent := ""
	for n, i := range random.Perm(len(customers))[:800] {
		count := pick(random, []int{1, 1, 1, 1, 1, 1, 1, 2, 2, 3})
		tokens := make([]string, count)
		for d := range tokens {
			tokens[d] = fmt.Sprintf("demo-token-%08x-%d", random.Uint32(), d+1)
		}
		if n%100 == 1 {
			tokens[0] = lent
		}
		lent = tokens[0]
		customers[i].tokens = strings.Join(tokens, " ")
	}
}

// shareAddresses makes 60 customers have somebody else's e-mail address, most
// of them in another case: couples, and people who registered twice.
func shareAddresses(random *rand.Rand, customers []customer) {
	people := random.Perm(len(customers))[:120]
	for n := range 60 {
		from, to := &customers[people[2*n]], &customers[people[2*n+1]]
		switch local, domain, _ := strings.Cut(from.email, "@"); n % 4 {
		case 0:
			to.email = strings.ToUpper(from.email)
		case 1:
			to.email = local + "@" + strings.ToUpper(domain[:1]) + domain[1:]
		case 2:
			to.email = strings.ToUpper(local[:1]) + local[1:] + "@" + domain
		default:
			to.email = from.email
		}
	}
}

// giveIDNAddresses gives addresses under Swedish letters, a third of them twice
// in two spellings.
func giveIDNAddresses(customers []customer) {
	for n := range 36 {
		c := &customers[130*n+17]
		local := fmt.Sprintf("kund%d", n/3+1)
		switch n % 3 {
		case 0:
			c.email = local + "@räksmörgås.test"
		case 1:
			c.email = local + pick2(n/3, "@xn--rksmrgs-5wao1o.test", "@RÄKSMÖRGÅS.test")
		default:
			c.email = local + "@blåbär.test"
		}
	}
}

// forgetThings empties fields that were never asked for.
func forgetThings(random *rand.Rand, customers []customer) {
	for i := range customers {
		c := &customers[i]
		forget(random, 4, &c.email)
		forget(random, 7, &c.first, &c.last)
		forget(random, 3, &c.locale)
		forget(random, 5, &c.zone)
		forget(random, 6, &c.city)
		forget(random, 4, &c.tier, &c.points)
	}
}

func forget(random *rand.Rand, percent int, fields ...*string) {
	if random.IntN(100) >= percent {
		return
	}
	for _, f := range fields {
		*f = ""
	}
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func pick2(n int, even, odd string) string {
	if n%2 == 0 {
		return even
	}
	return odd
}

package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// crowd is everybody that a soak knows. The number of a person is in each of
// her addresses, so that nothing has to be kept of a person to find her.
type crowd struct {
	mu       sync.RWMutex
	size     int
	contacts int
	without  [3]int // contacts without an address, by the order of channelNames
	twice    [3]int // contacts that share another's
}

// again is how many persons there are to one whose address stands in the file a
// second time, in another form: 3 %.
const again = 33

var phones = func() map[string]int {
	all := map[string]int{}
	for i := 0; phone(i, false) != ""; i += 2 {
		all[canonical("sms", phone(i, false))] = i
	}
	return all
}()

// grow adds n persons and returns them as a file of contacts. All have an e-mail
// address, a third a device, and as many a phone number as there are numbers for
// tests.
func (c *crowd) grow(n int) (csv string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	b.WriteString("external_id,email,phone,push_token,locale,first_name,basis,basis_evidence\n")
	for i := c.size; i < c.size+n; i++ {
		c.add(&b, fmt.Sprintf("k%d", i), email(i), phone(i, false), device(i), &c.without)
		if i%again == 0 {
			c.add(&b, fmt.Sprintf("igen%d", i), otherwise(email(i)), phone(i, true), "", &c.twice)
		}
	}
	c.size += n
	return b.String()
}

func (c *crowd) add(b *strings.Builder, id, email, phone, device string, counts *[3]int) {
	c.contacts++
	fmt.Fprintf(b, "%s,%s,%s,%s,sv-SE,Namn,consent,form\n", id, email, phone, device)
	for ch, address := range [3]string{email, phone, device} {
		switch {
		case address == "":
			c.without[ch]++
		case counts == &c.twice:
			c.twice[ch]++
		}
	}
}

// census is how many there were at some time.
type census struct {
	size, contacts int
	without, twice [3]int
}

func (c *crowd) census() census {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return census{c.size, c.contacts, c.without, c.twice}
}

// addressOf returns a person's canonical address on a channel, empty when she
// has none.
func addressOf(ch, person int) string {
	switch channelNames[ch] {
	case "email":
		return email(person)
	case "sms":
		return canonical("sms", phone(person, false))
	}
	return device(person)
}

func has(ch, person int) bool {
	switch channelNames[ch] {
	case "email":
		return true
	case "sms":
		return phone(person, false) != ""
	}
	return person%3 == 0
}

// find returns who has a canonical address.
func (c *crowd) find(ch int, to string) (person int, known bool) {
	var digits string
	switch channelNames[ch] {
	case "email":
		digits, _, _ = strings.Cut(strings.TrimPrefix(to, "kund."), "@")
	case "sms":
		digits = strconv.Itoa(phones[to])
	case "push":
		digits, _, _ = strings.Cut(strings.TrimPrefix(to, "enhet"), ":")
	}
	person, err := strconv.Atoi(digits)
	if err != nil || person < 0 || person >= c.census().size {
		return 0, false
	}
	return person, addressOf(ch, person) == to
}

// channelOf returns the place of a channel in channelNames, -1 for none.
func channelOf(name string) int {
	for ch, known := range channelNames {
		if known == name {
			return ch
		}
	}
	return -1
}

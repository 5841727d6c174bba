package main

import (
	"bufio"
	"fmt"
	"io"
)

// Some real area codes of the United States, whose numbers 555-0100 to
// 555-0199 belong to nobody.
var areaCodes = [...]int{201, 202, 205, 206, 212, 213, 214, 215, 303, 305, 312, 313, 404, 412, 415, 503, 512, 602, 617, 702, 713, 718, 808, 907}

// generatedContacts is a CSV file of n made-up contacts, written while it is
// read, so that any number fits in memory. One in a hundred shares her address
// with another, one in fifty has no basis, one in ten a phone, one in twenty a
// device.
func generatedContacts(n int) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(w, 1<<16)
		_, err := out.WriteString("external_id,email,phone,push_token,locale,first_name,city,tier,points,basis,basis_evidence,soft_optin.sale,soft_optin.offered,soft_optin.family,consent.open_tracking\n")
		for i := 0; i < n && err == nil; i++ {
			_, err = out.WriteString(generatedContact(i))
		}
		if err == nil {
			err = out.Flush()
		}
		w.CloseWithError(err)
	}()
	return r
}

func generatedContact(i int) string {
	address, phone, token, locale, basis, tracking := i, "", "", "sv-SE", "soft_optin", ""
	if i%100 == 99 {
		address = i - 1
	}
	if i%10 == 3 {
		phone = fmt.Sprintf("+1%d55501%02d", areaCodes[i/1000%len(areaCodes)], i/10%100)
	}
	if i%20 == 7 {
		token = fmt.Sprintf("demo-device-%09d", i)
	}
	if i%9 == 4 {
		locale = "en-GB"
	}
	if i%50 == 49 {
		basis = ""
	}
	if i%3 != 0 {
		tracking = "yes"
	}
	return fmt.Sprintf("g%09d,kund%d@example.com,%s,%s,%s,Kund %d,Exempelstad,silver,%d,%s,made up,2026-01-15,yes,butik,%s\n",
		i, address, phone, token, locale, i, i%1000, basis, tracking)
}

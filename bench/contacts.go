package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"utskick/audience"
	"utskick/storage"
	"utskick/suppression"
)

// blocked says who has objected: two in a hundred.
func blocked(i int) bool { return i%50 == 7 }

func blockedAmong(n int) int {
	all := n / 50
	if n%50 > 7 {
		all++
	}
	return all
}

const idPrefix = "b"

// contact makes contact i, with an address on each channel.
func contact(i int) audience.Contact {
	cities := [...]string{"Exempelstad", "Provköping", "Mönsterås", "Testerud"}
	tiers := [...]string{"brons", "silver", "guld"}
	id := strconv.Itoa(i)
	return audience.Contact{
		ExternalID: idPrefix + id, Email: "kund." + id + "@example.com", Phone: phone(i),
		FirstName: "Kund " + id, LastName: "Exempelsson", Locale: "sv-SE", TimeZone: "Europe/Stockholm",
		Devices: []audience.Device{{Token: fmt.Sprintf("enhet%09d:APA91bExempel-exempel-exempel-exempel-exempel-exempel", i), Active: true}},
		Attributes: map[string]string{"city": cities[i%len(cities)], "store": "Storgatan " + strconv.Itoa(i%90), "tier": tiers[i%len(tiers)],
			"points": strconv.Itoa(i % 5000), "segment": "stamkund"},
	}
}

// tracked says who lets opens and clicks be tied to her: every other one.
func tracked(i int) bool { return i%2 == 0 }

// phone makes the number of contact i. No country has the code +999 (ITU-T
// E.164), so that it is nobody's.
func phone(i int) string { return fmt.Sprintf("+999%09d", i) }

// importContacts imports a file of n contacts, with the objections that are in
// it, by the product's own import.
func importContacts(ctx context.Context, store *storage.Store, n int, progress func(done int)) error {
	keyer, err := audience.NewKeyer([]byte(pepper))
	if err != nil {
		return err
	}
	contacts := suppression.Contacts{Store: withPhones{store}, Register: suppression.NewRegister(store, suppression.SystemClock), Keyer: keyer}
	file := contactsFile(n)
	defer file.Close()
	report, err := audience.Import(ctx, file, contacts, audience.ImportOptions{
		Keyer: keyer, Basis: audience.SoftOptIn, Evidence: "köp i butik", Sale: audience.Sale{Reference: "2026-01-15", Offered: "yes", Family: "butik"},
		Purposes: []string{string(suppression.Marketing), string(suppression.OpenTracking)},
		Progress: func(p audience.Progress) { progress(p.Report.Rows) },
		Problems: func(p audience.Problem) error { return fmt.Errorf("%s %s", p.Field, p.Rule) },
	})
	if err == nil && report.Created != n {
		err = fmt.Errorf("%d of %d contacts were created", report.Created, n)
	}
	return err
}

// withPhones adds the numbers, which no file can have: an import refuses them.
type withPhones struct{ *storage.Store }

func (s withPhones) SaveContacts(ctx context.Context, rows []audience.Row) (audience.Saved, error) {
	for i := range rows {
		number, err := strconv.Atoi(strings.TrimPrefix(rows[i].Contact.ExternalID, idPrefix))
		if err != nil {
			return audience.Saved{}, err
		}
		rows[i].Contact.Phone = phone(number)
		rows[i].Set |= audience.FieldPhone
	}
	return s.Store.SaveContacts(ctx, rows)
}

// contactsFile writes a file of n contacts while it is read.
func contactsFile(n int) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		file := csv.NewWriter(w)
		// An error stays with the writer, and comes with a reader that left.
		_ = file.Write([]string{"external_id", "email", "push_token", "locale", "timezone", "first_name", "last_name",
			"consent.marketing", "consent.open_tracking", "city", "store", "tier", "points", "segment"})
		for i := 0; i < n && file.Error() == nil; i++ {
			_ = file.Write(record(contact(i), blocked(i), tracked(i)))
		}
		file.Flush()
		w.CloseWithError(file.Error())
	}()
	return r
}

// record is a contact's line of the file.
func record(c audience.Contact, blocked, tracked bool) []string {
	marketing, opens := "", ""
	if blocked {
		marketing = "no"
	}
	if tracked {
		opens = "yes"
	}
	a := c.Attributes
	return []string{c.ExternalID, c.Email, c.Devices[0].Token, c.Locale, c.TimeZone, c.FirstName, c.LastName,
		marketing, opens, a["city"], a["store"], a["tier"], a["points"], a["segment"]}
}

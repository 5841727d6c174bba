package channeltest

import (
	"fmt"
	"strconv"

	"utskick/audience"
	"utskick/templates"
)

// Columns is the number of holes in [Skeleton] and of columns in [Sheet].
const Columns = 8

// What the columns of a sheet hold. Values are ready for where they stand: the
// one for HTML is escaped for HTML, as templates leave it.
const (
	name = iota
	nameHTML
	greeting
	city
	token
	link
	points
	empty
)

// Skeleton returns a message of the size and shape that campaigns have, with
// holes in each part that the channel uses.
func Skeleton(channel audience.Channel) *templates.Skeleton {
	s := &templates.Skeleton{Channel: channel, Language: "sv", Topic: "nyhetsbrev", Sender: Sender()}
	switch channel {
	case audience.Email:
		s.Subject = part("Hej ", name, ", 20 % på allt i ", city)
		s.Text = part("Hej ", name, "!\n\n", greeting, "\n\nDu har ", points, " poäng.", empty,
			"\nTill butiken: ", link, "\n\nAvsluta: https://utskick.example.com/u/", token, "\n")
		s.HTML = part("<!doctype html>\n<html lang=\"sv\"><body style=\"margin:0\">\n<h1>Hej ", nameHTML, "!</h1>\n<p>Du har ", points,
			" poäng i ", city, ".</p>\n<p><a href=\"", link, "\">Till butiken</a>", empty,
			"</p>\n<p>Exempelbolaget AB, Exempelvägen 1, Stockholm. <a href=\"https://utskick.example.com/u/", token, "\">Avsluta</a></p>\n</body></html>\n")
		s.Headers = []templates.Field{
			{Name: "List-Unsubscribe", Value: part("<https://utskick.example.com/u/", token, ">")},
			{Name: "List-Unsubscribe-Post", Value: part("List-Unsubscribe=One-Click")},
			{Name: "List-Id", Value: part("<nyhetsbrev.utskick.example.com>")},
		}
	case audience.SMS:
		s.Text = part("Hej ", name, "! ", greeting, " Du har ", points, " poäng.", empty, " ", link, " Avsluta: https://utskick.example.com/u/", token)
	case audience.Push:
		s.Subject = part("Hej ", name)
		s.Text = part(greeting, " Du har ", points, " poäng i ", city, ".", empty)
		s.Data = []templates.Field{
			{Name: "link", Value: part(link)},
			{Name: "message", Value: part("m-", token)},
		}
	}
	return s
}

// Sender returns the sender of all messages of the suite.
func Sender() templates.Sender {
	return templates.Sender{
		Name:          "exempelbolaget",
		FromName:      "Exempelbolaget \"Nyheter\"",
		FromEmail:     "nyheter@exempelbolaget.example.com",
		ReplyTo:       "kundservice@exempelbolaget.example.com",
		PostalAddress: "Exempelvägen 1, Stockholm",
		Site:          "https://exempelbolaget.example.com",
		SMSSender:     "Exempel",
	}
}

// part makes a Part of literals and numbers of holes.
func part(segments ...any) templates.Part {
	var p templates.Part
	for _, segment := range segments {
		switch v := segment.(type) {
		case string:
			p = append(p, templates.Segment{Literal: v, Hole: -1})
		case int:
			p = append(p, templates.Segment{Hole: v})
		}
	}
	return p
}

// Sheet returns the given number of rows for [Skeleton]. Values have every
// character that some format gives a meaning to, and each row is marked with
// its number, so that a value in the wrong message is seen.
func Sheet(rows int) *templates.Sheet {
	sheet := new(templates.Sheet)
	sheet.Reset(Columns)
	for row := range rows {
		mark := Mark(row)
		sheet.AppendRow(
			[]byte(`Åsa "`+mark+`" O'Hara & \son`),
			[]byte(`Åsa &#34;`+mark+`&#34; O&#39;Hara &amp; \son`),
			[]byte("50 % + a=b&c\n.punkt\tflik -h0- {{x}}\u2028😀 "+mark),
			[]byte("Malmö"),
			[]byte("tok"+mark+"-_AZ"),
			[]byte("https://utskick.example.com/c/"+mark+"?a=1&b=%C3%A5#x"),
			[]byte(strconv.Itoa(1000+row)),
			nil,
		)
	}
	return sheet
}

// Mark is a text that occurs in the values of one row alone.
func Mark(row int) string { return fmt.Sprintf("mark%05dx", row) }

// Addresses returns n addresses of a channel; n is at most 295 for SMS. The
// Swedish numbers are those that the regulator keeps for fiction (070-174 06 05
// to 99), the American ones those of 555-0100 to 555-0199.
func Addresses(channel audience.Channel, n int) []string {
	addresses := make([]string, n)
	for i := range addresses {
		switch channel {
		case audience.Email:
			addresses[i] = fmt.Sprintf("mottagare.%d@example.com", i)
		case audience.SMS:
			addresses[i] = number(i)
		case audience.Push:
			addresses[i] = fmt.Sprintf("enhet-%d:APA91b_token-%08x", i, i)
		}
	}
	return addresses
}

const swedish = 95 // numbers from 05 to 99

func number(i int) string {
	if i < swedish {
		return fmt.Sprintf("+467017406%02d", 5+i)
	}
	i -= swedish
	return fmt.Sprintf("+1%s55501%02d", []string{"212", "415"}[i/100], i%100)
}

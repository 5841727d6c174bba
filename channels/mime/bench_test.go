package mime

import (
	"strings"
	"testing"
	"time"

	"utskick/audience"
	"utskick/templates"
)

// benchLayout is of the size of a newsletter: some 7 kB, a link in every tenth
// line of each part.
func benchLayout(b *testing.B, o Options) (*Layout, *templates.Sheet) {
	const links = 6
	s := &templates.Skeleton{Channel: audience.Email, Sender: templates.Sender{FromName: "Exempelbolaget", FromEmail: "nyheter@exempelbolaget.test"}}
	literal := func(text string) { s.Text = append(s.Text, templates.Segment{Literal: text, Hole: -1}) }
	for hole := range links {
		literal(strings.Repeat("Höstens erbjudanden gäller i alla butiker, se www.example.com.\n", 9) + "\nHit: ")
		s.Text = append(s.Text, templates.Segment{Hole: hole})
	}
	literal("\n")
	s.HTML = s.Text
	s.Subject = templates.Part{{Hole: links}, {Literal: ", höstens erbjudanden är här", Hole: -1}}
	s.Headers = []templates.Field{{Name: "List-Unsubscribe", Value: templates.Part{{Literal: "<", Hole: -1}, {Hole: 0}, {Literal: ">", Hole: -1}}}}
	sheet := new(templates.Sheet)
	sheet.Reset(links + 1)
	values := make([][]byte, links+1)
	for i := range links {
		values[i] = []byte("https://utskick.example.com/c/" + strings.Repeat("YwHkMBI", 7))
	}
	values[links] = []byte("Åsa")
	sheet.AppendRow(values...)
	l, err := NewLayout(s, o)
	if err != nil {
		b.Fatal(err)
	}
	return l, sheet
}

func benchmarkAppend(b *testing.B, o Options) {
	l, sheet := benchLayout(b, o)
	e := Envelope{Group: 4711, Key: audience.Key{1, 2, 3}, Date: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = l.Append(dst[:0], sheet, 0, e); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkAppendEightBit(b *testing.B) { benchmarkAppend(b, Options{EightBit: true}) }
func BenchmarkAppendQuoted(b *testing.B)   { benchmarkAppend(b, Options{}) }

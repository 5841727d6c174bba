package mime

import (
	"bytes"
	"io"
	stdmime "mime"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"utskick/audience"
	"utskick/templates"
)

// FuzzHeaders: whatever stands in a subject, a sender's name or a value of a
// list header, the message has exactly the headers that it should have, and
// they read as what they were made of.
func FuzzHeaders(f *testing.F) {
	f.Add("Hej Åsa", "Exempelbolaget", "tok123")
	f.Add("x\r\nBcc: y@example.com", "a\r\nb", "t>\r\nX: y, <https://example.org>")
	f.Add("=?utf-8?q?x?=", "=?utf-8?q?x?=", "å")
	f.Add(strings.Repeat("😀å ", 100), strings.Repeat("ö", 200), strings.Repeat("x", 500))
	f.Add("\xff\xfe \x00", "\t", "")
	f.Fuzz(func(t *testing.T, subject, name, token string) {
		s := &templates.Skeleton{
			Channel: audience.Email,
			Sender:  templates.Sender{FromName: name, FromEmail: "nyheter@example.com"},
			Subject: templates.Part{{Literal: "Nyhet: ", Hole: -1}, {Hole: 0}},
			Text:    templates.Part{{Literal: "Hej", Hole: -1}},
			Headers: []templates.Field{{Name: "List-Unsubscribe", Value: templates.Part{{Literal: "<https://example.com/u/", Hole: -1}, {Hole: 1}, {Literal: ">", Hole: -1}}}},
		}
		layout, err := NewLayout(s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		message, err := layout.Append(nil, sheetOf([]string{subject, token}), 0, envelope(0))
		if err != nil {
			if len(token) < 900 {
				t.Fatal(err)
			}
			return
		}
		checkWire(t, message, false)
		m, err := mail.ReadMessage(bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		const headers = 8 // From, MIME-Version, Subject, Date, Message-ID, List-Unsubscribe, Content-Type, Content-Transfer-Encoding
		if len(m.Header) != headers {
			t.Errorf("%d headers: %v", len(m.Header), m.Header)
		}
		got, err := new(stdmime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if want := oneLine("Nyhet: " + subject); err != nil || got != want {
			t.Errorf("subject %q, want %q, %v", got, want, err)
		}
		from, err := m.Header.AddressList("From")
		if err != nil || len(from) != 1 || from[0].Address != "nyheter@example.com" {
			t.Fatalf("From is %v, %v", from, err)
		}
		if want := oneLine(name); from[0].Name != want {
			t.Errorf("name %q, want %q", from[0].Name, want)
		}
		if list := m.Header.Get("List-Unsubscribe"); strings.Count(list, "<") != 1 || strings.Count(list, ">") != 1 {
			t.Errorf("List-Unsubscribe has more than one address: %q", list)
		}
	})
}

// FuzzQuoted: a literal, a value and a literal, encoded each by itself, read as
// one text; no line is longer than quoted-printable allows.
func FuzzQuoted(f *testing.F) {
	f.Add("Hej ", "Åsa", ", välkommen\r\n")
	f.Add("", "", "")
	f.Add("slut \n", " \t", "\n.\n=\r")
	f.Add(strings.Repeat("x", 75), strings.Repeat("=", 26), strings.Repeat(" ", 80))
	f.Fuzz(func(t *testing.T, before, value, after string) {
		p := newPart("text/plain", templates.Part{{Literal: before, Hole: -1}, {Hole: 0}, {Literal: after, Hole: -1}}, Options{})
		got := p.appendQuoted(nil, sheetOf([]string{value}), 0)
		for _, line := range strings.Split(string(got), "\r\n") {
			if len(line) > 76 || strings.ContainsAny(line, "\r\n") || strings.TrimRight(line, " \t") != line {
				t.Errorf("line %q", line)
			}
		}
		decoded, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(got)))
		if err != nil {
			t.Fatal(err)
		}
		var want string
		for _, s := range []string{before, value, after} {
			want += strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(s)
		}
		if string(decoded) != want {
			t.Errorf("%q, want %q", decoded, want)
		}
	})
}

// FuzzDots: a message made with its dots doubled is the message that it is
// without, and nothing else.
func FuzzDots(f *testing.F) {
	f.Add("Hej\n", ".", "\n..\r\n.")
	f.Add(".\n", "\n.a\r.b\r\n.c", ".")
	f.Add("", "", "..")
	f.Add(strings.Repeat("x", 75), ".\x00", "\x00.")
	f.Fuzz(func(t *testing.T, before, value, after string) {
		text := templates.Part{{Literal: before, Hole: -1}, {Hole: 0}, {Literal: after, Hole: -1}}
		plain, dotted := newPart("text/plain", text, Options{EightBit: true}), newPart("text/plain", text, Options{EightBit: true, Dots: true})
		for name, form := range map[string]func(part, []byte, *templates.Sheet, int) []byte{"8bit": part.appendLines, "quoted-printable": part.appendQuoted} {
			start := slices.Clip([]byte("Content-Type: text/plain\r\n\r\n"))
			got, once := form(dotted, start, sheetOf([]string{value}), 0), form(plain, start, sheetOf([]string{value}), 0)
			if want := bytes.ReplaceAll(once, []byte("\n."), []byte("\n..")); !bytes.Equal(got, want) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

// FuzzAddress: what is accepted is one address for any reader.
func FuzzAddress(f *testing.F) {
	f.Add("mottagare@example.com", false)
	f.Add("a@example.com>\r\nDATA", true)
	f.Add("åsa@example.com", true)
	f.Fuzz(func(t *testing.T, address string, unicode bool) {
		if CheckAddress(address, unicode) != nil {
			return
		}
		if strings.ContainsAny(address, " \r\n\t<>,;:\"\\()[]\x00") || !unicode && !isASCII(address) {
			t.Errorf("accepted %q", address)
		}
		if got, err := mail.ParseAddress("<" + address + ">"); err != nil || got.Address != address {
			t.Errorf("%q reads as %v, %v", address, got, err)
		}
	})
}

package mime

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	stdmime "mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/templates"
)

var update = flag.Bool("update", false, "write the golden files")

// golden is testdata/*/case.json: a message, and the values of its rows. In a
// part, {0} is the first hole. Each row is a file <row>.eml beside it.
type golden struct {
	Sender   templates.Sender `json:"sender"`
	Subject  string           `json:"subject"`
	Text     string           `json:"text"`
	HTML     string           `json:"html"`
	Headers  [][2]string      `json:"headers"`
	EightBit bool             `json:"eight_bit"`
	Rows     [][]string       `json:"rows"`
}

// parsePart splits s into literals and holes, such as {0}.
func parsePart(s string) templates.Part {
	var p templates.Part
	for s != "" {
		open := strings.IndexByte(s, '{')
		if open < 0 {
			return append(p, templates.Segment{Literal: s, Hole: -1})
		}
		if open > 0 {
			p = append(p, templates.Segment{Literal: s[:open], Hole: -1})
		}
		end := open + strings.IndexByte(s[open:], '}')
		hole, err := strconv.Atoi(s[open+1 : end])
		if err != nil {
			panic(err)
		}
		p = append(p, templates.Segment{Hole: hole})
		s = s[end+1:]
	}
	return p
}

func (g golden) skeleton() *templates.Skeleton {
	s := &templates.Skeleton{
		Channel: audience.Email, Sender: g.Sender,
		Subject: parsePart(g.Subject), Text: parsePart(g.Text), HTML: parsePart(g.HTML),
	}
	for _, h := range g.Headers {
		s.Headers = append(s.Headers, templates.Field{Name: h[0], Value: parsePart(h[1])})
	}
	return s
}

func sheetOf(rows ...[]string) *templates.Sheet {
	sheet := new(templates.Sheet)
	sheet.Reset(len(rows[0]))
	for _, row := range rows {
		values := make([][]byte, len(row))
		for i, v := range row {
			values[i] = []byte(v)
		}
		sheet.AppendRow(values...)
	}
	return sheet
}

func envelope(row int) Envelope {
	return Envelope{Group: 4711, Key: audience.Key{0xab, byte(row)}, Date: time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)}
}

func TestGolden(t *testing.T) {
	cases, _ := filepath.Glob("testdata/*/case.json")
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, path := range cases {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			var g golden
			raw, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(raw, &g)
			}
			if err != nil {
				t.Fatal(err)
			}
			layout, err := NewLayout(g.skeleton(), Options{EightBit: g.EightBit, Boundary: "=_golden"})
			if err != nil {
				t.Fatal(err)
			}
			sheet := sheetOf(g.Rows...)
			for row := range g.Rows {
				got, err := layout.Append(AppendTo(nil, "mottagare@example.com"), sheet, row, envelope(row))
				if err != nil {
					t.Fatal(err)
				}
				compareGolden(t, filepath.Join(filepath.Dir(path), fmt.Sprint(row, ".eml")), got)
				checkWire(t, got, g.EightBit)
				checkParsed(t, got, g.skeleton(), sheet, row)
			}
		})
	}
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// checkWire asserts what holds for the bytes of every message.
func checkWire(t *testing.T, message []byte, eightBit bool) {
	t.Helper()
	if !bytes.HasSuffix(message, []byte("\r\n")) {
		t.Error("the last line is not ended")
	}
	for n, line := range strings.Split(string(message), "\r\n") {
		if strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("line %d has a bare CR or LF, or NUL", n+1)
		}
		if len(line) > 998 {
			t.Errorf("line %d has %d bytes", n+1, len(line))
		}
		if !eightBit && !isASCII(line) {
			t.Errorf("line %d has 8-bit characters", n+1)
		}
	}
}

// checkParsed reads the message as another program would, and compares it with
// what the skeleton says.
func checkParsed(t *testing.T, message []byte, s *templates.Skeleton, sheet *templates.Sheet, row int) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(stdmime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Error(err)
	}
	if want := oneLine(string(s.Subject.Append(nil, sheet, row))); subject != want {
		t.Errorf("subject %q, want %q", subject, want)
	}
	from, err := m.Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Name != s.Sender.FromName {
		t.Errorf("From is %v, %v", from, err)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != "mottagare@example.com" {
		t.Errorf("To is %v, %v", to, err)
	}
	if date, err := m.Header.Date(); err != nil || !date.Equal(envelope(row).Date) {
		t.Errorf("Date is %v, %v", date, err)
	}
	for name, values := range m.Header {
		if len(values) != 1 {
			t.Errorf("%d headers %s", len(values), name)
		}
	}
	want := map[string]string{}
	for mediaType, p := range map[string]templates.Part{"text/plain": s.Text, "text/html": s.HTML} {
		if len(p) > 0 {
			want[mediaType] = string(appendLines(nil, p.Append(nil, sheet, row)))
			if len(s.Text) == 0 || len(s.HTML) == 0 {
				want[mediaType] = strings.TrimSuffix(want[mediaType], "\r\n")
			}
		}
	}
	if diff := cmp.Diff(want, bodies(t, m)); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
}

// oneLine is what a header keeps of a text.
func oneLine(s string) string {
	return strings.TrimSpace(strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s), "\ufffd"))
}

func bodies(t *testing.T, m *mail.Message) map[string]string {
	t.Helper()
	media, params, err := stdmime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	if !strings.HasPrefix(media, "multipart/") {
		body := m.Body
		if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(body)
		}
		raw, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		out[media] = strings.TrimSuffix(string(raw), "\r\n") // a message ends its last line, a part need not
		return out
	}
	var order []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Type") != strings.SplitN(p.Header.Get("Content-Type"), ";", 2)[0]+"; charset=utf-8" {
			t.Errorf("Content-Type is %q", p.Header.Get("Content-Type"))
		}
		name := strings.SplitN(p.Header.Get("Content-Type"), ";", 2)[0]
		order = append(order, name)
		out[name] = string(raw)
	}
	if diff := cmp.Diff([]string{"text/plain", "text/html"}, order); media != "multipart/alternative" || diff != "" {
		t.Errorf("%s (-want +got):\n%s", media, diff)
	}
	return out
}

func TestLayoutRefuses(t *testing.T) {
	good := golden{Sender: templates.Sender{Name: "s", FromEmail: "nyheter@example.com"}, Text: "Hej"}
	for name, c := range map[string]struct {
		change func(*golden)
		want   string
	}{
		"no from":              {func(g *golden) { g.Sender.FromEmail = "" }, `sender "s": from_email: no address with a valid domain`},
		"from ends a line":     {func(g *golden) { g.Sender.FromEmail = "a\r\nBcc: b@example.com" }, "from_email: " + ErrAddress.Error()},
		"from with a space":    {func(g *golden) { g.Sender.FromEmail = "a@exa mple.com" }, "from_email: no address with a valid domain"},
		"from not ASCII":       {func(g *golden) { g.Sender.FromEmail = "åsa@example.com" }, "from_email: " + ErrUnicode.Error()},
		"bad reply-to":         {func(g *golden) { g.Sender.ReplyTo = "<x@example.com>" }, "reply_to: "},
		"no content":           {func(g *golden) { g.Text = "" }, "neither text nor HTML"},
		"header ends its name": {func(g *golden) { g.Headers = [][2]string{{"List-Id: x\r\nBcc", "y"}} }, "letters, digits and hyphens"},
		"header of ours":       {func(g *golden) { g.Headers = [][2]string{{"SUBJECT", "y"}} }, "leave it out"},
		"content header":       {func(g *golden) { g.Headers = [][2]string{{"Content-Type", "y"}} }, "leave it out"},
		"header not ASCII":     {func(g *golden) { g.Headers = [][2]string{{"List-Id", "<nyheter.åäö.test>"}} }, "header List-Id: only the name"},
	} {
		t.Run(name, func(t *testing.T) {
			g := good
			c.change(&g)
			_, err := NewLayout(g.skeleton(), Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "@") {
				t.Errorf("the error holds an address: %v", err)
			}
		})
	}
}

func TestHeaderTooLong(t *testing.T) {
	g := golden{Sender: templates.Sender{FromEmail: "nyheter@example.com"}, Text: "Hej", Headers: [][2]string{{"List-Unsubscribe", "<https://example.com/{0}>"}}}
	layout, err := NewLayout(g.skeleton(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	fits := maxLine - len("List-Unsubscribe: <https://example.com/>")
	sheet := sheetOf([]string{strings.Repeat("x", fits)}, []string{strings.Repeat("x", fits+1)})
	if _, err := layout.Append(nil, sheet, 0, envelope(0)); err != nil {
		t.Errorf("998 bytes: %v", err)
	}
	if _, err := layout.Append(nil, sheet, 1, envelope(1)); !errors.Is(err, ErrHeaderLong) {
		t.Errorf("999 bytes: %v", err)
	}
}

// TestBoundary: two layouts of one skeleton do not share what separates their
// parts, so nobody can guess it from a message that he got.
func TestBoundary(t *testing.T) {
	g := golden{Sender: templates.Sender{FromEmail: "nyheter@example.com"}, Text: "Hej"}
	a, errA := NewLayout(g.skeleton(), Options{})
	b, errB := NewLayout(g.skeleton(), Options{})
	if errA != nil || errB != nil || a.boundary == b.boundary || !strings.HasPrefix(a.boundary, "=_") {
		t.Errorf("boundaries %q and %q, %v, %v", a.boundary, b.boundary, errA, errB)
	}
}

func TestCheckAddress(t *testing.T) {
	long := strings.Repeat("a", 64)
	for address, want := range map[string]error{
		"mottagare@example.com":              nil,
		"o'hara+nyhet=1@xn--exmple-gra.test": nil,
		"åsa@example.com":                    ErrUnicode,
		"":                                   ErrAddress,
		"example.com":                        ErrAddress,
		"@example.com":                       ErrAddress,
		"a@":                                 ErrAddress,
		"a@b@example.com":                    ErrAddress,
		".a@example.com":                     ErrAddress,
		"a.@example.com":                     ErrAddress,
		"a..b@example.com":                   ErrAddress,
		"a@example..com":                     ErrAddress,
		"a@åäö.test":                         ErrAddress,
		"a b@example.com":                    ErrAddress,
		"a>\r\nDATA\r\n@example.com":         ErrAddress,
		"a@example.com\r\nDATA":              ErrAddress,
		"a@example.com> SIZE=1":              ErrAddress,
		`"a"@example.com`:                    ErrAddress,
		"a@[127.0.0.1]":                      ErrAddress,
		"\xff@example.com":                   ErrAddress,
		long + "@example.com":                nil,
		"a" + long + "@example.com":          ErrAddress,
	} {
		if got := CheckAddress(address, false); got != want {
			t.Errorf("%q: %v, want %v", address, got, want)
		}
	}
	if err := CheckAddress("åsa@example.com", true); err != nil {
		t.Errorf("with SMTPUTF8: %v", err)
	}
}

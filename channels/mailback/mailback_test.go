package mailback_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/channels/mailback"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestRead reads messages in the forms that Postfix, Exim, Exchange, Gmail and
// qmail give them, and in which people and their programs answer.
func TestRead(t *testing.T) {
	files, err := filepath.Glob("testdata/mail/*.eml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".eml"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, err := mailback.Read(raw)
			var got any = m
			if err != nil {
				got = err.Error()
			}
			golden(t, strings.TrimSuffix(file, ".eml")+".json", got)
		})
	}
}

func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// all reads a mailbox to its end.
func all(box *mailback.Mailbox) (found []string, offsets []int64, err error) {
	for {
		raw, offset, err := box.Next()
		if errors.Is(err, io.EOF) {
			return found, offsets, nil
		}
		if err != nil {
			found = append(found, err.Error())
		} else {
			found = append(found, string(raw))
		}
		offsets = append(offsets, offset)
		if len(found) > 10_000 {
			return found, offsets, errors.New("it does not end")
		}
	}
}

func TestMailbox(t *testing.T) {
	const from = "From MAILER-DAEMON Mon Mar  2 09:00:05 2026\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"one message":            {"Subject: a\n\nFrom here on\n>From there\n", []string{"Subject: a\n\nFrom here on\n>From there\n"}},
		"two messages":           {from + "A: 1\n\na\n\n" + from + "A: 2\n\nb\n\n", []string{"A: 1\n\na\n\n", "A: 2\n\nb\n\n"}},
		"no empty line between":  {from + "A: 1\n\na\n" + from + "A: 2\n\nb", []string{"A: 1\n\na\n", "A: 2\n\nb"}},
		"CRLF":                   {strings.ReplaceAll(from+"A: 1\n\na\n\n"+from+"A: 2\n", "\n", "\r\n"), []string{"A: 1\r\n\r\na\r\n\r\n", "A: 2\r\n"}},
		"quoted lines":           {from + "A: 1\n\n>From me\n>>From you\n> From\nFrom us, in May\n", []string{"A: 1\n\nFrom me\n>From you\n> From\nFrom us, in May\n"}},
		"another first line":     {"From somebody\nA: 1\n\na\n", []string{"A: 1\n\na\n"}},
		"a zone, no sender":      {"From  Mon Mar  2 09:00:05 +0100 2026\nA: 1\n\n" + from + "A: 2\n", []string{"A: 1\n\n", "A: 2\n"}},
		"an empty one among two": {from + from + "A: 2\n", []string{"", "A: 2\n"}},
		"a long line":            {from + "A: 1\n\n" + strings.Repeat("From ", 40_000) + "\n", []string{"A: 1\n\n" + strings.Repeat("From ", 40_000) + "\n"}},
		"too large":              {from + "A: 1\n\n" + strings.Repeat(strings.Repeat("x", 1<<16-1)+"\n", 513) + from + "A: 2\n", []string{string(mailback.ErrLarge), "A: 2\n"}},
		"nothing":                {"", nil},
		"only a separator":       {from, nil},
	} {
		got, offsets, err := all(mailback.NewMailbox(strings.NewReader(c.text)))
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%.2000s", name, err, diff)
		}
		for i, at := range offsets {
			if strings.HasPrefix(c.text, "From ") && !strings.HasPrefix(c.text[at:], "From ") {
				t.Errorf("%s: message %d does not begin at %d", name, i+1, at)
			}
		}
	}
}

func TestFailingReader(t *testing.T) {
	box := mailback.NewMailbox(io.MultiReader(strings.NewReader("A: 1\n\na"), broken{}))
	if _, _, err := box.Next(); !errors.Is(err, errBroken) {
		t.Errorf("half a message is taken for one: %v", err)
	}
}

var errBroken = errors.New("the disk is gone")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestLimits(t *testing.T) {
	deep := "Content-Type: message/rfc822\n\n"
	wide := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 300) + "--b--\n"
	for name, c := range map[string]struct {
		text string
		want mailback.Rule
	}{
		"many fields":   {strings.Repeat("A: b\n", 1200), mailback.ErrHeaders},
		"long fields":   {"A: " + strings.Repeat("b", 300<<10), mailback.ErrHeaders},
		"no fields":     {"Hello\n", mailback.ErrHeaders},
		"nothing":       {"", mailback.ErrHeaders},
		"deep":          {"From: a@example.com\n" + strings.Repeat(deep, 20), mailback.ErrNested},
		"many parts":    {wide, mailback.ErrNested},
		"deep, in fold": {"From: a@example.com\nContent-Type: multipart/mixed; boundary=b\n\n--b\n" + strings.Repeat(deep, 20), mailback.ErrNested},
	} {
		if _, err := mailback.Read([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAutomatic: each sign is enough by itself, and what only looks like one is none.
// What lists and mail programs add to people's own words is none.
func TestAutomatic(t *testing.T) {
	for fields, want := range map[string]mailback.Kind{
		"Auto-Submitted: auto-replied (vacation)":        mailback.Automatic,
		"Auto-Submitted: auto-generated; x=y":            mailback.Automatic,
		"auto-submitted:NO":                              mailback.Reply,
		"Precedence: auto_reply":                         mailback.Automatic,
		"Precedence: bulk":                               mailback.Bulk,
		"Precedence: Junk":                               mailback.Bulk,
		"Precedence: bulk\nAuto-Submitted: auto-replied": mailback.Automatic,
		"Precedence: bulk\nAuto-Submitted: no":           mailback.Bulk,
		"Precedence: junk\nSubject: Autosvar":            mailback.Automatic,
		"Precedence: list":                               mailback.Reply,
		"Precedence: list\nReturn-Path: <>":              mailback.Automatic,
		"Precedence: first-class":                        mailback.Reply,
		"X-Auto-Response-Suppress: OOF, AutoReply":       mailback.Reply,
		"X-Auto-Response-Suppress: All":                  mailback.Reply,
		"X-Autoreply: yes":                               mailback.Automatic,
		"X-Autorespond: Semester":                        mailback.Automatic,
		"Return-Path: <>":                                mailback.Automatic,
		"Return-Path: <anna@example.com>":                mailback.Reply,
		"Subject: =?utf-8?q?Fr=C3=A5nvaro:_Nyheter?=":    mailback.Automatic,
		"Subject: Re: Autosvar":                          mailback.Automatic,
		"Subject: Out of the office until Monday":        mailback.Automatic,
		"Subject: =?iso-8859-1?q?Fr=E5nvarande_barn?=":   mailback.Reply,
		"Subject: Re: your offer is out of this world":   mailback.Reply,
		"Subject: Automatiska portar":                    mailback.Reply,
		"Subject: =?utf-8?q?Nyhetsbrev_p=C3=A5_semester": mailback.Reply,
	} {
		m, err := mailback.Read([]byte("From: anna@example.com\n" + fields + "\n\nStopp\n"))
		if err != nil || m.Kind != want {
			t.Errorf("%s: %s, %v", fields, m.Kind, err)
		}
	}
}

// TestNameOf: what a mailbox does to a message does not make it another one.
func TestNameOf(t *testing.T) {
	name := func(text string) string {
		m, err := mailback.Read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return m.Name
	}
	const text = "From: a@example.com\nSubject: b\n\nc\n"
	if name(text) != name(strings.ReplaceAll(text, "\n", "\r\n")+"\r\n\r\n") {
		t.Error("line ends make another message")
	}
	if name(text) == name(text+"d\n") {
		t.Error("another text is the same message")
	}
	if got := name("Message-ID:\n <1@example.com> \n" + text); got != "1@example.com" {
		t.Error(got)
	}
}

// FuzzRead: whatever comes, it is read in bounded time and memory, or broken by a
// rule that holds nothing of it.
func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/mail/*.eml")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := mailback.Read(raw)
		var rule mailback.Rule
		if err != nil {
			if !errors.As(err, &rule) {
				t.Fatalf("%v is no rule", err)
			}
			return
		}
		if m.Name == "" || len(m.Links) > 100 || len(m.Recipients) > 1001 {
			t.Fatalf("%q, %d links, %d recipients", m.Name, len(m.Links), len(m.Recipients))
		}
		switch m.Kind {
		case mailback.Delivery:
			if len(m.Recipients) == 0 {
				t.Fatal("a notice about nobody")
			}
		case mailback.Feedback:
			if m.Feedback == "" {
				t.Fatal("a complaint without a type")
			}
		case mailback.Reply, mailback.Bulk:
			if m.From == "" {
				t.Fatal("an answer by nobody")
			}
		case mailback.Automatic:
		default:
			t.Fatalf("%q", m.Kind)
		}
		for _, line := range m.Own {
			if strings.Contains(line, "\n") {
				t.Fatalf("%q is more than a line", line)
			}
		}
	})
}

// FuzzMailbox: messages that are put into a mailbox come out of it as they were.
func FuzzMailbox(f *testing.F) {
	f.Add("Subject: a\n\nFrom me\n", "b: c")
	f.Add(">From x\n", "From y Mon Mar  2 09:00:05 2026\n")
	f.Add("", "\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		text := ""
		var want []string
		for i, m := range []string{a, b} {
			m = strings.TrimSuffix(m, "\n") + "\n"
			want = append(want, m+"\n")
			text += fmt.Sprintf("From MAILER-DAEMON Mon Mar  2 09:00:0%d 2026\n", i)
			for line := range strings.Lines(m) {
				if strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
					line = ">" + line
				}
				text += line
			}
			text += "\n"
		}
		got, _, err := all(mailback.NewMailbox(strings.NewReader(text)))
		if strings.TrimSpace(want[1]) == "" {
			want = want[:1] // nothing behind a separator is no message
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	})
}

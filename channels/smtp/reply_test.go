package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"utskick/channels"
)

func TestReadReply(t *testing.T) {
	type got struct {
		Code     int
		Enhanced status
		Text     string
		Lines    []string
		Err      error
	}
	long := strings.Repeat("x", 5000)
	for in, want := range map[string]got{
		"250 ok\r\n":                     {250, status{}, "ok", []string{"ok"}, nil},
		"250\r\n":                        {250, status{}, "", []string{""}, nil},
		"250 \r\n":                       {250, status{}, "", []string{""}, nil},
		"250 ok\n":                       {250, status{}, "ok", []string{"ok"}, nil},
		"250-a\r\n250-b\r\n250 c\r\n":    {250, status{}, "c", []string{"a", "b", "c"}, nil},
		"550 5.1.1 no such user\r\n":     {550, status{5, 1, 1}, "no such user", []string{"no such user"}, nil},
		"550 5.7.515 policy\r\n":         {550, status{5, 7, 515}, "policy", []string{"policy"}, nil},
		"550 5.1.1\r\n":                  {550, status{5, 1, 1}, "", []string{""}, nil},
		"550 4.1.1 disagrees\r\n":        {550, status{}, "4.1.1 disagrees", []string{"4.1.1 disagrees"}, nil},
		"550 5.1 short\r\n":              {550, status{}, "5.1 short", []string{"5.1 short"}, nil},
		"550 5.1.1.1 long\r\n":           {550, status{}, "5.1.1.1 long", []string{"5.1.1.1 long"}, nil},
		"550 5.1.1234 long\r\n":          {550, status{}, "5.1.1234 long", []string{"5.1.1234 long"}, nil},
		"550 5..1 x\r\n":                 {550, status{}, "5..1 x", []string{"5..1 x"}, nil},
		"":                               {Err: io.EOF},
		"250 o":                          {Err: io.EOF},
		"250-a\r\n":                      {Lines: []string{"a"}, Err: io.EOF},
		"\r\n":                           {Err: errProtocol},
		"25\r\n":                         {Err: errProtocol},
		"2500 ok\r\n":                    {Err: errProtocol},
		"2x0 ok\r\n":                     {Err: errProtocol},
		"199 ok\r\n":                     {Err: errProtocol},
		"600 ok\r\n":                     {Err: errProtocol},
		"HTTP/1.1 400 Bad Request\r\n":   {Err: errProtocol},
		"250 " + long + "\r\n":           {Err: errProtocol},
		strings.Repeat("250-a\r\n", 200): {Lines: strings.Split(strings.Repeat("a", 100), ""), Err: errProtocol},
	} {
		var lines []string
		r, err := readReply(bufio.NewReader(strings.NewReader(in)), func(text []byte) { lines = append(lines, string(text)) })
		if !errors.Is(err, want.Err) {
			t.Errorf("%.40q: error %v, want %v", in, err, want.Err)
		}
		if diff := cmp.Diff(want, got{r.code, r.enhanced, string(r.text), lines, want.Err}, cmpopts.EquateErrors()); diff != "" {
			t.Errorf("%.40q (-want +got):\n%s", in, diff)
		}
	}
}

// FuzzReply: whatever a server says is a reply within bounds, or an error.
func FuzzReply(f *testing.F) {
	f.Add([]byte("250-a\r\n250 2.0.0 ok\r\n"))
	f.Add([]byte("550 5.1.1 no\n"))
	f.Add([]byte("354\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		br := bufio.NewReader(bytes.NewReader(in))
		for {
			r, err := readReply(br, nil)
			if err != nil {
				return
			}
			if r.code < 200 || r.code > 599 || r.enhanced[0] != 0 && r.enhanced[0] != r.code/100 {
				t.Errorf("%q reads as %+v", in, r)
			}
			for at := stageMail; at <= stageEnd; at++ {
				if c := classify(at, r); c.Reason == "" || at != stageEnd && c.Class == channels.InDoubt {
					t.Errorf("%+v at %d is %+v", r, at, c)
				}
			}
		}
	})
}

// FuzzStuff: the server gets the message that was sent, and its end is not in
// it.
func FuzzStuff(f *testing.F) {
	f.Add([]byte("a\r\n.\r\nb\r\n"))
	f.Add([]byte("a\r\n..b\r\n.\r\n.\r\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, message []byte) {
		message = append([]byte("Subject: x\r\n"), message...)
		got := stuff(message)
		if bytes.Contains(got, []byte("\r\n.\r\n")) {
			t.Errorf("%q ends within", got)
		}
		if back := bytes.ReplaceAll(got, []byte("\n.."), []byte("\n.")); !bytes.Equal(back, message) {
			t.Errorf("%q came back as %q", message, back)
		}
	})
}

package smtp

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSettings(t *testing.T) {
	name := hostname()
	usual := Timeouts{Connect: 10 * time.Second, Command: 30 * time.Second, Body: 60 * time.Second, Final: 60 * time.Second}
	type summary struct {
		Address, User, Password, Helo string
		Implicit                      bool
		StartTLS                      startTLS
		Connections                   int
		Timeouts                      Timeouts
		Unverified                    bool
	}
	for url, want := range map[string]summary{
		"smtp://relay.example.com":                            {"relay.example.com:587", "", "", name, false, required, 20, usual, false},
		"smtps://relay.example.com/":                          {"relay.example.com:465", "", "", name, true, required, 20, usual, false},
		"smtp://us%40er:p%2Fw@relay.example.com:25":           {"relay.example.com:25", "us@er", "p/w", name, false, required, 20, usual, false},
		"smtp://relay.example.com?starttls=opportunistic":     {"relay.example.com:587", "", "", name, false, opportunistic, 20, usual, true},
		"smtp://localhost:25":                                 {"localhost:25", "", "", name, false, off, 20, usual, false},
		"smtp://u:p@127.0.0.1:25":                             {"127.0.0.1:25", "u", "p", name, false, off, 20, usual, false},
		"smtp://[::1]:25?starttls=required":                   {"[::1]:25", "", "", name, false, required, 20, usual, false},
		"smtp://relay.example.com?connections=50&helo=h.test": {"relay.example.com:587", "", "", "h.test", false, required, 50, usual, false},
		"smtp://relay.example.com?timeout=45s":                {"relay.example.com:587", "", "", name, false, required, 20, Timeouts{10 * time.Second, 45 * time.Second, 45 * time.Second, 45 * time.Second}, false},
		"smtp://relay.example.com?timeout=2s":                 {"relay.example.com:587", "", "", name, false, required, 20, Timeouts{2 * time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second}, false},
		"smtps://relay.example.com?starttls=opportunistic":    {"relay.example.com:465", "", "", name, true, opportunistic, 20, usual, false},
	} {
		s, err := Config{URL: url}.settings()
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		got := summary{s.address, s.user, s.password, s.helo, s.implicit, s.startTLS, s.connections, s.timeouts, s.tls.InsecureSkipVerify}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", url, diff)
		}
		if s.tls.ServerName != s.host {
			t.Errorf("%s: the certificate is checked for %s", url, s.tls.ServerName)
		}
	}
}

// TestBadSettings: a bad URL is refused for what is wrong with it, without its
// password.
func TestBadSettings(t *testing.T) {
	for url, want := range map[string]string{
		"":                                              "begins with smtp://",
		"relay.example.com:25":                          "begins with smtp://",
		"http://relay.example.com":                      "begins with smtp://",
		"smtp://":                                       "names no host",
		"smtp://:25":                                    "names no host",
		"smtp://u:sec%ret@relay.example.com":            "cannot be read",
		"smtp://u:sec ret@relay.example.com":            "cannot be read",
		"smtp://relay.example.com:port":                 "cannot be read",
		"smtp://relay.example.com/path":                 "has a path",
		"smtp://relay.example.com#x":                    "a fragment",
		"smtp://h.test?connections=0":                   `connections="0": a number from 1`,
		"smtp://h.test?connections=1001":                `connections="1001": a number from 1`,
		"smtp://h.test?connections=x":                   `connections="x"`,
		"smtp://h.test?starttls=yes":                    `starttls="yes": required, opportunistic or off`,
		"smtp://h.test?timeout=30":                      `timeout="30": a duration`,
		"smtp://h.test?timeout=-1s":                     `timeout="-1s"`,
		"smtp://h.test?helo=":                           `helo=""`,
		"smtp://h.test?helo=a%0d%0aMAIL":                `helo="a\r\nMAIL"`,
		"smtp://h.test?conections=5":                    `unknown option "conections"`,
		"smtp://h.test?a%zz=5":                          "options cannot be read",
		"smtp://u:secret@h.test?starttls=off":           "a password is sent over verified TLS only",
		"smtp://u:secret@h.test?starttls=opportunistic": "a password is sent over verified TLS only",
	} {
		_, err := New(Config{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "sec") {
			t.Errorf("%s: the error holds the password: %v", url, err)
		}
	}
}

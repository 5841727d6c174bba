package e2e

import (
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// captured is a message of the outbox, read back by the standard library.
type captured struct {
	File string
	To   string
	// E-mail.
	Header     mail.Header
	HTML, Text string
	// SMS and push.
	Data map[string]string
}

// outbox reads every file of a channel's outbox.
func (w *world) outbox(channel string) []captured {
	w.t.Helper()
	pattern := map[string]string{"email": "*.eml"}[channel]
	if pattern == "" {
		pattern = "*.json"
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "outbox", channel, pattern))
	if err != nil {
		w.t.Fatal(err)
	}
	var all []captured
	for _, f := range files {
		if strings.HasPrefix(filepath.Base(f), ".") {
			continue
		}
		if channel == "email" {
			all = append(all, readMail(w.t, f))
		} else {
			all = append(all, readJSON(w.t, f))
		}
	}
	return all
}

func readJSON(t *testing.T, name string) captured {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m := captured{File: name}
	var body struct {
		To   string            `json:"to"`
		Text string            `json:"text"`
		Body string            `json:"body"`
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal(content, &body); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	m.To, m.Text, m.Data = body.To, body.Text+body.Body, body.Data
	return m
}

func readMail(t *testing.T, name string) captured {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	msg, err := mail.ReadMessage(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	to, err := msg.Header.AddressList("To")
	if err != nil || len(to) != 1 {
		t.Fatalf("%s: To: %v %v", name, to, err)
	}
	m := captured{File: name, To: to[0].Address, Header: msg.Header}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s: content type %q: %v", name, kind, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return m
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := readPart(t, name, p)
		switch kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); kind {
		case "text/html":
			m.HTML = text
		case "text/plain":
			m.Text = text
		}
	}
}

func readPart(t *testing.T, name string, p *multipart.Part) string {
	t.Helper()
	var r io.Reader = p
	if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		r = quotedprintable.NewReader(p)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(b)
}

const publicURL = "https://utskick.exempelbolaget.test"

var (
	unsubscribeLink = regexp.MustCompile(regexp.QuoteMeta(publicURL) + `/u/[A-Za-z0-9_-]+`)
	clickLink       = regexp.MustCompile(regexp.QuoteMeta(publicURL) + `/c/[A-Za-z0-9_-]+`)
	pixelLink       = regexp.MustCompile(regexp.QuoteMeta(publicURL) + `/o/[A-Za-z0-9_-]+\.gif`)
	anyLink         = regexp.MustCompile(regexp.QuoteMeta(publicURL) + `/[A-Za-z0-9_./-]+`)
)

// at leads a message's link to a process.
func (p *process) at(link string) string { return p.public + strings.TrimPrefix(link, publicURL) }

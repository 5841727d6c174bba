package api

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"path"
	"slices"
	"strings"
)

// capturedMessage is what can be read of a file in the outbox.
type capturedMessage struct {
	To, Subject string
	Headers     []namedValue
	HTML, Text  string
	Raw         string
	Broken      string // why no more could be read
}

type namedValue struct{ Name, Value string }

// readCaptured reads as much of a message as can be read.
func readCaptured(file string, raw []byte) capturedMessage {
	m := capturedMessage{Raw: strings.ToValidUTF8(string(raw), "�")}
	var err error
	if path.Ext(file) == ".eml" {
		err = m.readMail(raw)
	} else {
		err = m.readJSON(raw)
	}
	if err != nil {
		m.Broken = err.Error()
	}
	return m
}

func (m *capturedMessage) readMail(raw []byte) error {
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("the headers of this mail cannot be read: %w", err)
	}
	decoder := new(mime.WordDecoder)
	for _, name := range slices.Sorted(maps.Keys(msg.Header)) {
		for _, value := range msg.Header[name] {
			if decoded, err := decoder.DecodeHeader(value); err == nil {
				value = decoded
			}
			m.Headers = append(m.Headers, namedValue{name, strings.ToValidUTF8(value, "�")})
		}
	}
	m.To, m.Subject = strings.TrimSuffix(strings.TrimPrefix(m.header("To"), "<"), ">"), m.header("Subject")
	return m.readPart(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body, 0)
}

func (m *capturedMessage) header(name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// unsubscribe returns the https URI of List-Unsubscribe (RFC 2369).
func (m *capturedMessage) unsubscribe() string {
	for uri := range strings.SplitSeq(m.header("List-Unsubscribe"), ",") {
		if uri = strings.Trim(uri, " <>"); strings.HasPrefix(uri, "https://") {
			return uri
		}
	}
	return ""
}

const maxNested = 5 // parts within parts

// readPart takes the first HTML and the first plain text that it meets.
func (m *capturedMessage) readPart(contentType, encoding string, body io.Reader, depth int) error {
	kind, parameters, err := mime.ParseMediaType(cmp.Or(contentType, "text/plain"))
	if err != nil || depth > maxNested {
		return fmt.Errorf("a part of this mail has no readable Content-Type: %w", err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		return m.readParts(multipart.NewReader(body, parameters["boundary"]), depth)
	}
	content, err := io.ReadAll(decoded(body, encoding))
	text := strings.ToValidUTF8(string(content), "�")
	switch {
	case kind == "text/html" && m.HTML == "":
		m.HTML = text
	case kind == "text/plain" && m.Text == "":
		m.Text = text
	}
	if err != nil {
		return fmt.Errorf("a part of this mail is not encoded as it says: %w", err)
	}
	return nil
}

func (m *capturedMessage) readParts(parts *multipart.Reader, depth int) error {
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the parts of this mail cannot be told apart: %w", err)
		}
		if err := m.readPart(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part, depth+1); err != nil {
			return err
		}
	}
}

func decoded(body io.Reader, encoding string) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	}
	return body
}

// readJSON reads an SMS or a push message.
func (m *capturedMessage) readJSON(raw []byte) error {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // ids stay as they are
	if err := d.Decode(&fields); err != nil {
		return fmt.Errorf("this message is not JSON: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch value := fields[name].(type) {
		case string:
			m.Headers = append(m.Headers, namedValue{name, value})
		case map[string]any:
			for _, inner := range slices.Sorted(maps.Keys(value)) {
				m.Headers = append(m.Headers, namedValue{name + "." + inner, fmt.Sprint(value[inner])})
			}
		default:
			m.Headers = append(m.Headers, namedValue{name, fmt.Sprint(value)})
		}
	}
	m.To, m.Subject = m.header("to"), m.header("title")
	m.Text = cmp.Or(m.header("text"), m.header("body"))
	return nil
}

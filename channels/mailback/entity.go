package mailback

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

const (
	deepest   = 10
	mostParts = 200
)

// entity is a message or a part of one (RFC 2045), with its parts, and with the
// message that it returns or forwards.
type entity struct {
	header     header
	media      string // in lower case, such as text/plain
	parameters map[string]string
	body       []byte // decoded; text is UTF-8
	parts      []entity
}

// parse reads a message with all of its parts. Parts that are cut short are kept
// as far as they go.
func parse(raw []byte) (entity, error) {
	h, body, err := readHeader(raw)
	if err == nil && len(h) == 0 {
		err = ErrHeaders
	}
	if err != nil {
		return entity{}, err
	}
	parts := 0
	return newEntity(h, body, &parts, 0)
}

func newEntity(h header, body []byte, parts *int, depth int) (e entity, err error) {
	if *parts++; depth > deepest || *parts > mostParts {
		return e, ErrNested
	}
	e = entity{header: h}
	e.media, e.parameters = mediaOf(h.get("Content-Type"))
	if strings.HasPrefix(e.media, "multipart/") && e.parameters["boundary"] != "" {
		return e, e.readParts(body, parts, depth)
	}
	e.body = decoded(body, h.get("Content-Transfer-Encoding"))
	switch {
	case isMessage[e.media]:
		inner, rest, err := readHeader(e.body)
		if err != nil {
			return e, err
		}
		part, err := newEntity(inner, rest, parts, depth+1)
		e.parts = append(e.parts, part)
		return e, err
	case strings.HasPrefix(e.media, "text/"):
		e.body = []byte(toUTF8(e.body, e.parameters["charset"]))
	}
	return e, nil
}

// isMessage are the types of what returns a message or its headers (RFC 2046,
// 5.2.1; RFC 3462, 2; RFC 6533, 6).
var isMessage = map[string]bool{"message/rfc822": true, "text/rfc822-headers": true, "message/rfc822-headers": true,
	"message/global": true, "message/global-headers": true, "text/rfc822": true}

func (e *entity) readParts(body []byte, parts *int, depth int) error {
	reader := multipart.NewReader(bytes.NewReader(body), e.parameters["boundary"])
	for {
		part, err := reader.NextRawPart()
		if err != nil { // the end, or it is cut short
			return nil
		}
		var h header
		for name, values := range part.Header {
			h = append(h, field{name, strings.Join(values, ", ")})
		}
		content, _ := io.ReadAll(part) // as far as it goes
		made, err := newEntity(h, content, parts, depth+1)
		if err != nil {
			return err
		}
		e.parts = append(e.parts, made)
	}
}

var boundaryIn = regexp.MustCompile(`(?i)boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))`)

// mediaOf reads a Content-Type. Without one it is plain text (RFC 2045, 5.2).
func mediaOf(value string) (media string, parameters map[string]string) {
	media, parameters, err := mime.ParseMediaType(value)
	if err == nil {
		return media, parameters
	}
	media, _, _ = strings.Cut(value, ";")
	if media = strings.ToLower(strings.TrimSpace(media)); media == "" {
		media = "text/plain"
	}
	parameters = map[string]string{}
	if found := boundaryIn.FindStringSubmatch(value); found != nil {
		parameters["boundary"] = found[1] + found[2]
	}
	return media, parameters
}

// decoded undoes a transfer encoding (RFC 2045, 6), as far as it goes.
func decoded(body []byte, encoding string) []byte {
	var r io.Reader
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		r = quotedprintable.NewReader(bytes.NewReader(body))
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, bytes.NewReader(body))
	default:
		return body
	}
	content, _ := io.ReadAll(r) // as far as it goes
	return content
}

// toUTF8 reads text in a character set. What says nothing, or lies, is UTF-8 if it
// can be, and else what Western Europe used before.
func toUTF8(text []byte, charset string) string {
	if isASCII(text) {
		return string(text)
	}
	if known, err := htmlindex.Get(charset); err == nil && !isUTF8(charset) {
		if out, err := known.NewDecoder().Bytes(text); err == nil {
			return string(out)
		}
	}
	if utf8.Valid(text) {
		return string(text)
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(text)
	if err != nil {
		return strings.ToValidUTF8(string(text), "\uFFFD")
	}
	return string(out)
}

func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf || c == 0 || c == 0x1b { // a half of UTF-16; an escape of ISO 2022
			return false
		}
	}
	return true
}

func charsetReader(charset string, input io.Reader) (io.Reader, error) {
	text, err := io.ReadAll(input)
	if err != nil {
		return nil, err
	}
	return strings.NewReader(toUTF8(text, charset)), nil
}

// find returns the first entity, this one included, that is as asked, and does not
// look into messages that are returned or forwarded.
func (e entity) find(is func(entity) bool) *entity {
	if is(e) {
		return &e
	}
	if isMessage[e.media] {
		return nil
	}
	for _, p := range e.parts {
		if found := p.find(is); found != nil {
			return found
		}
	}
	return nil
}

// each calls f for this entity and all within it.
func (e entity) each(f func(entity)) {
	f(e)
	for _, p := range e.parts {
		p.each(f)
	}
}

// ours is a link of ours, also where a filter has wrapped it in a link of its own.
var ours = regexp.MustCompile(`(?:/|%2[Ff])([up])(?:/|%2[Ff])([A-Za-z0-9_-]{20,128})`)

const mostLinks = 100

// links finds what may be links of ours, in the List-Unsubscribe headers first:
// what is in a text may have been quoted from somewhere else.
func links(top entity) (found []Link) {
	seen := map[Link]bool{}
	add := func(text []byte) {
		for _, m := range ours.FindAllSubmatch(text, mostLinks) {
			l := Link{m[1][0], string(m[2])}
			if !seen[l] && len(found) < mostLinks {
				seen[l], found = true, append(found, l)
			}
		}
	}
	top.each(func(e entity) { add([]byte(e.header.get("List-Unsubscribe"))) })
	top.each(func(e entity) {
		if strings.HasPrefix(e.media, "text/") {
			add(e.body)
		}
	})
	return found
}

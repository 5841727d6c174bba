package mailback

import (
	"bytes"
	"mime"
	"net/mail"
	"regexp"
	"strings"
)

const (
	mostFields = 1000
	mostHeader = 256 << 10
)

// field is a line of a header, unfolded.
type field struct{ name, value string }

// header are the fields of a message, a part or a report, in their order. What is
// no field is not in it.
type header []field

// get returns the first value of a field, as it is written.
func (h header) get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// text returns a value with its encoded words decoded (RFC 2047).
func (h header) text(name string) string { return words(h.get(name)) }

// words decodes encoded words. What is in no known character set stays as it is.
func words(value string) string {
	decoder := mime.WordDecoder{CharsetReader: charsetReader}
	text, err := decoder.DecodeHeader(value)
	if err != nil {
		text = value
	}
	return toUTF8([]byte(text), "")
}

// readHeader reads fields up to the first empty line, and returns what follows.
func readHeader(raw []byte) (h header, rest []byte, err error) {
	size := 0
	for len(raw) > 0 {
		line, after := cutLine(raw)
		raw = after
		if size += len(line); size > mostHeader || len(h) > mostFields {
			return nil, nil, ErrHeaders
		}
		if len(line) == 0 {
			break
		}
		if (line[0] == ' ' || line[0] == '\t') && len(h) > 0 {
			h[len(h)-1].value += " " + string(bytes.TrimSpace(line))
			continue
		}
		name, value, is := bytes.Cut(line, []byte(":"))
		if is && isName(bytes.TrimRight(name, " \t")) {
			h = append(h, field{string(bytes.TrimRight(name, " \t")), string(bytes.TrimSpace(value))})
		}
	}
	return h, raw, nil
}

// cutLine parts the first line, without its end, from the rest.
func cutLine(raw []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(raw, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

// isName is for the name of a field (RFC 5322, 2.2).
func isName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(name) > 0
}

var bareAddress = regexp.MustCompile(`[^\s<>()",;:]+@[^\s<>()",;:]+`)

// addresses finds the addresses in a field. Many a program writes names that no
// parser takes.
func addresses(value string) (found []string) {
	parser := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: charsetReader}}
	if list, err := parser.ParseList(value); err == nil {
		for _, a := range list {
			found = append(found, a.Address)
		}
		return found
	}
	if from, after := strings.LastIndexByte(value, '<'), strings.LastIndexByte(value, '>'); from >= 0 && after > from {
		value = value[from:after]
	}
	return bareAddress.FindAllString(value, 100)
}

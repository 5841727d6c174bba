package mime

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"utskick/templates"
)

// maxLine is the longest line that mail may have, without its CRLF (RFC 5322,
// 2.1.1 and RFC 5321, 4.5.3.1.6).
const maxLine = 998

// ErrHeaderLong is returned for a row whose values make a header longer than a
// line may be.
var ErrHeaderLong = errors.New("a header is longer than 998 bytes")

const (
	wordStart = "=?utf-8?q?"
	wordEnd   = "?="
	wordLine  = 76 // of a line with encoded words (RFC 2047, 2)
	textLine  = 78 // of a line that needs no folding (RFC 5322, 2.1.1)
)

// appendText appends what stands after the colon of an unstructured header,
// without a line end: as it is if it is short printable ASCII, else in encoded
// words (RFC 2047). column is where it begins in its line. text is used up: its
// control characters, line ends among them, become spaces.
func appendText(dst, text []byte, column int) []byte {
	text = bytes.TrimSpace(printable(text))
	if column+len(text) <= textLine && isASCII(text) && !bytes.Contains(text, []byte("=?")) {
		return append(dst, text...)
	}
	return appendWords(dst, text, column)
}

// printable replaces control characters by spaces, in place.
func printable(text []byte) []byte {
	for i, c := range text {
		if c < ' ' || c == 0x7f {
			text[i] = ' '
		}
	}
	return text
}

// appendWords appends text as encoded words, one a line. No character is split
// between two words (RFC 2047, 5). Bytes that are not UTF-8 become U+FFFD.
func appendWords(dst, text []byte, column int) []byte {
	start := len(dst) - column
	dst = append(dst, wordStart...)
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		char := text[:n]
		if r == utf8.RuneError && n == 1 {
			char = []byte(string(utf8.RuneError))
		}
		text = text[n:]
		if len(dst)-start+wordSize(char)+len(wordEnd) > wordLine {
			dst = append(dst, wordEnd+"\r\n"...)
			start = len(dst)
			dst = append(dst, " "+wordStart...)
		}
		dst = appendWordChar(dst, char)
	}
	return append(dst, wordEnd...)
}

// appendWordChar appends a character in the Q encoding. Only letters, digits
// and a few signs go as they are, so that the word may also stand in a phrase
// (RFC 2047, 5 (3)).
func appendWordChar(dst, char []byte) []byte {
	if c := char[0]; c == ' ' {
		return append(dst, '_')
	} else if wordLiteral(c) {
		return append(dst, c)
	}
	for _, c := range char {
		dst = appendEscape(dst, c)
	}
	return dst
}

func wordSize(char []byte) int {
	if char[0] == ' ' || wordLiteral(char[0]) {
		return 1
	}
	return 3 * len(char)
}

func wordLiteral(c byte) bool {
	return alphanumeric(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/'
}

const upperHex = "0123456789ABCDEF"

func appendEscape(dst []byte, c byte) []byte {
	return append(dst, '=', upperHex[c>>4], upperHex[c&15])
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// field is a structured header of the skeleton, such as List-Unsubscribe: its
// literals are made ready once.
type field struct {
	name     string
	segments []templates.Segment
}

// own are the headers that a layout writes itself, or that nobody may choose.
var own = map[string]bool{
	"from": true, "sender": true, "reply-to": true, "to": true, "cc": true, "bcc": true, "subject": true, "date": true, "message-id": true,
	"mime-version": true, "return-path": true, "received": true, "dkim-signature": true,
}

func newField(f templates.Field) (field, error) {
	if f.Name == "" || strings.Trim(strings.ToLower(f.Name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return field{}, fmt.Errorf("header %q: a name has letters, digits and hyphens only", f.Name)
	}
	if lower := strings.ToLower(f.Name); own[lower] || strings.HasPrefix(lower, "content-") {
		return field{}, fmt.Errorf("header %s: it is written from the sender and the message, leave it out", f.Name)
	}
	out := field{name: f.Name}
	for i, s := range f.Value {
		if s.Hole < 0 {
			s.Literal = fieldLiteral(s.Literal, i == 0, len(f.Name)+len(": "))
			if !isASCII(s.Literal) {
				return field{}, fmt.Errorf("header %s: only the name before the < may have letters outside of ASCII", f.Name)
			}
		}
		out.segments = append(out.segments, s)
	}
	return out, nil
}

// fieldLiteral encodes the display name before an opening <, and folds between
// several addresses.
func fieldLiteral(s string, first bool, column int) string {
	s = string(printable([]byte(s)))
	if name, rest, found := strings.Cut(s, "<"); first && found && !isASCII(name) {
		name = strings.Trim(strings.TrimSpace(name), `"`)
		s = string(appendWords(nil, []byte(name), column)) + "\r\n <" + rest
	}
	return strings.ReplaceAll(s, ">, <", ">,\r\n <")
}

// append appends the whole header. A value can neither end its line nor hold a
// space or an angle bracket, so it stays within the address that it is part of.
func (f field) append(dst []byte, sheet *templates.Sheet, row int) ([]byte, error) {
	start := len(dst)
	dst = append(dst, f.name...)
	dst = append(dst, ": "...)
	for _, s := range f.segments {
		if s.Hole < 0 {
			dst = append(dst, s.Literal...)
			continue
		}
		for _, c := range sheet.At(row, s.Hole) {
			if c <= ' ' || c >= 0x7f || c == '<' || c == '>' {
				c = '_'
			}
			dst = append(dst, c)
		}
	}
	for line := range bytes.SplitSeq(dst[start:], []byte("\r\n")) {
		if len(line) > maxLine {
			return dst, fmt.Errorf("%s: %w", f.name, ErrHeaderLong)
		}
	}
	return append(dst, "\r\n"...), nil
}

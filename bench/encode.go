package main

import (
	"fmt"

	"utskick/templates"
)

// encodedPart is a part whose literals are encoded once. The values of its holes
// are encoded while they are appended.
type encodedPart struct {
	literals templates.Part
	encode   func(dst, text []byte) []byte
}

func encodePart(p templates.Part, encode func(dst, text []byte) []byte) encodedPart {
	e := encodedPart{encode: encode}
	for _, segment := range p {
		segment.Literal = string(encode(nil, []byte(segment.Literal)))
		e.literals = append(e.literals, segment)
	}
	return e
}

func (p encodedPart) append(dst []byte, sheet *templates.Sheet, row int) []byte {
	for _, segment := range p.literals {
		if segment.Hole < 0 {
			dst = append(dst, segment.Literal...)
		} else {
			dst = p.encode(dst, sheet.At(row, segment.Hole))
		}
	}
	return dst
}

// escapeJSON appends text as it stands between the quotes of a JSON string (RFC
// 8259, 7).
func escapeJSON[T string | []byte](dst []byte, text T) []byte {
	done := 0
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		}
	}
	return append(dst, text[done:]...)
}

// appendJSON appends text as a JSON string.
func appendJSON[T string | []byte](dst []byte, text T) []byte {
	return append(escapeJSON(append(dst, '"'), text), '"')
}

// escapeForm appends text as a value of a form (WHATWG URL,
// application/x-www-form-urlencoded).
func escapeForm[T string | []byte](dst []byte, text T) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

package mime

import (
	"bytes"

	"utskick/templates"
)

// part is one form of the message: its plain text or its HTML. Its literals are
// encoded once, and each value by itself, so that what a value does to the
// length of a line stays within the value.
type part struct {
	mediaType string
	lines     []piece // 8bit; nil when quoted-printable is asked for
	quoted    []piece
}

// piece is an encoded literal, or the number of a hole when hole is not
// negative.
type piece struct {
	text   []byte
	column int // length of the line that a quoted text ends in
	hole   int
}

func newPart(mediaType string, p templates.Part, eightBit bool) part {
	out := part{mediaType: mediaType}
	for _, s := range p {
		quoted := piece{hole: s.Hole}
		if s.Hole < 0 {
			quoted.text, quoted.column = appendQuoted(nil, []byte(s.Literal))
		}
		out.quoted = append(out.quoted, quoted)
		if eightBit {
			out.lines = append(out.lines, piece{hole: s.Hole, text: appendLines(nil, []byte(s.Literal))})
		}
	}
	return out
}

// append appends the part's headers and its body for one row. A row with a line
// that is too long for mail gets quoted-printable, whatever the server can do.
func (p part) append(dst []byte, sheet *templates.Sheet, row int) []byte {
	dst = append(dst, "Content-Type: "...)
	dst = append(dst, p.mediaType...)
	dst = append(dst, "; charset=utf-8\r\nContent-Transfer-Encoding: "...)
	if p.lines != nil {
		start := len(dst)
		dst = append(dst, "8bit\r\n\r\n"...)
		body := len(dst)
		dst = p.appendLines(dst, sheet, row)
		if !longLine(dst[body:]) {
			return dst
		}
		dst = dst[:start]
	}
	dst = append(dst, "quoted-printable\r\n\r\n"...)
	return p.appendQuoted(dst, sheet, row)
}

func (p part) appendLines(dst []byte, sheet *templates.Sheet, row int) []byte {
	for _, s := range p.lines {
		if s.hole < 0 {
			dst = append(dst, s.text...)
		} else {
			dst = appendLines(dst, sheet.At(row, s.hole))
		}
	}
	return dst
}

// appendQuoted starts a new line for each literal and each value by a soft
// break, which no reader sees.
func (p part) appendQuoted(dst []byte, sheet *templates.Sheet, row int) []byte {
	column := 0
	for _, s := range p.quoted {
		var value []byte
		if s.hole >= 0 {
			value = sheet.At(row, s.hole)
		}
		if len(s.text)+len(value) == 0 {
			continue
		}
		if column > 0 {
			dst = append(dst, softBreak...)
		}
		if s.hole < 0 {
			dst, column = append(dst, s.text...), s.column
		} else {
			dst, column = appendQuoted(dst, value)
		}
	}
	return dst
}

// longLine reports whether a line of text is longer than mail allows.
func longLine(text []byte) bool {
	for len(text) > maxLine {
		end := bytes.LastIndexByte(text[:maxLine+2], '\n')
		if end < 0 {
			return true
		}
		text = text[end+1:]
	}
	return false
}

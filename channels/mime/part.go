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
	dots      bool // doubled at the start of a line
}

// piece is an encoded literal, or the number of a hole when hole is not
// negative.
type piece struct {
	text   []byte
	column int // length of the line that a quoted text ends in
	hole   int
}

func newPart(mediaType string, p templates.Part, o Options) part {
	out := part{mediaType: mediaType, dots: o.Dots}
	for _, s := range p {
		lines, quoted := piece{hole: s.Hole}, piece{hole: s.Hole}
		if s.Hole < 0 {
			lines.text = appendLines(nil, []byte(s.Literal))
			quoted.text, quoted.column = appendQuoted(nil, []byte(s.Literal))
		}
		if o.Dots { // but for the first one, which depends on what comes before
			lines.text, quoted.text = doubleDots(lines.text, 1), doubleDots(quoted.text, 1)
		}
		out.quoted = append(out.quoted, quoted)
		if o.EightBit {
			out.lines = append(out.lines, lines)
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
			dst = p.appendLiteral(dst, s.text)
		} else {
			from := len(dst)
			dst = p.dotted(appendLines(dst, sheet.At(row, s.hole)), from)
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
			dst, column = p.appendLiteral(dst, s.text), s.column
		} else {
			from := len(dst)
			dst, column = appendQuoted(dst, value)
			dst = p.dotted(dst, from)
		}
	}
	return dst
}

// appendLiteral appends an encoded literal, whose dots are doubled where that is
// asked for, but for its first byte.
func (p part) appendLiteral(dst, text []byte) []byte {
	if p.dots && len(text) > 0 && text[0] == '.' && dst[len(dst)-1] == '\n' {
		dst = append(dst, '.')
	}
	return append(dst, text...)
}

// dotted doubles dots in a value that was appended, where that is asked for.
func (p part) dotted(dst []byte, from int) []byte {
	if p.dots {
		return doubleDots(dst, from)
	}
	return dst
}

// longLine reports whether a line of text is longer than mail allows. A doubled
// dot is counted, though it need not be (RFC 5321, 4.5.3.1.6).
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

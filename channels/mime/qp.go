package mime

import (
	"bytes"
	"slices"
)

const (
	// quotedLine is the longest line of quoted-printable, with the = that
	// breaks it (RFC 2045, 6.7 (5)).
	quotedLine = 76
	softBreak  = "=\r\n"
)

// appendQuoted appends text in quoted-printable, beginning at the start of a
// line, and returns the length of the line that it ends in. CRLF, LF and CR
// all are line ends.
func appendQuoted(dst, text []byte) (_ []byte, column int) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\r' || c == '\n' {
			if c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
				i++
			}
			dst = append(dst, '\r', '\n')
			column = 0
			continue
		}
		literal := quotedLiteral(text, i)
		size := 3
		if literal {
			size = 1
		}
		if column+size >= quotedLine {
			dst = append(dst, softBreak...)
			column = 0
		}
		column += size
		if literal {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst, column
}

// quotedLiteral reports whether the byte at i goes as it is. White space does
// not at the end of a line, where it could be lost on its way.
func quotedLiteral(text []byte, i int) bool {
	switch c := text[i]; {
	case c == ' ' || c == '\t':
		return i+1 < len(text) && text[i+1] != '\r' && text[i+1] != '\n'
	case c == '=':
		return false
	default:
		return c > ' ' && c < 0x7f
	}
}

// appendLines appends text with every line end as CRLF. NUL, which no mail may
// hold (RFC 5321, 4.1.1.4 has it refused), is left out.
func appendLines(dst, text []byte) []byte {
	done := 0
	for i, c := range text {
		if c != '\n' && c != '\r' && c != 0 {
			continue
		}
		dst = append(dst, text[done:i]...)
		if c == '\r' || c == '\n' && (i == 0 || text[i-1] != '\r') {
			dst = append(dst, '\r', '\n')
		}
		done = i + 1
	}
	return append(dst, text[done:]...)
}

// doubleDots doubles each dot at the start of a line from an offset on, which
// is not the first of dst.
func doubleDots(dst []byte, from int) []byte {
	for {
		at := bytes.Index(dst[from-1:], []byte("\n."))
		if at < 0 {
			return dst
		}
		dst = slices.Insert(dst, from+at, '.')
		from += at + 2
	}
}

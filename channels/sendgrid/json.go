package sendgrid

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// plain marks the ASCII characters that stand for themselves in a JSON string
// (RFC 8259, section 7).
var plain = func() (table [utf8.RuneSelf]bool) {
	for c := range table {
		table[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return table
}()

const digits = "0123456789abcdef"

// appendString appends s as a JSON string, quotes included.
func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(appendEscaped(append(dst, '"'), []byte(s)), '"')
}

// appendEscaped appends s as a part of a JSON string. Bytes that are not UTF-8
// become U+FFFD: one bad name must not spoil a call for all others.
func appendEscaped(dst, s []byte) []byte {
	done := 0
	for i := plainLength(s); i < len(s); i += plainLength(s[i:]) {
		c := s[i]
		if c < utf8.RuneSelf {
			dst = appendEscape(append(dst, s[done:i]...), c)
			i++
			done = i
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[done:i]...), `\ufffd`...)
			done = i + size
		case r == '\u2028', r == '\u2029': // line ends to JavaScript before ES2019
			dst = append(append(dst, s[done:i]...), `\u202`...)
			dst = append(dst, digits[r&0xf])
			done = i + size
		}
		i += size
	}
	return append(dst, s[done:]...)
}

// plainLength returns how many bytes at the start of s are plain. It looks at
// eight at a time.
func plainLength(s []byte) int {
	const (
		ones, tops          = 0x0101010101010101, 0x8080808080808080
		quotes, backslashes = '"' * ones, '\\' * ones
	)
	i := 0
	for ; i+8 <= len(s); i += 8 {
		word := binary.LittleEndian.Uint64(s[i:])
		// Subtracting borrows, and so sets the top bit, below 0x20; the other
		// two make their character zero first. What stands above the first hit
		// may be wrong, the first hit is not.
		hits := (word | (word - 0x20*ones) | ((word ^ quotes) - ones) | ((word ^ backslashes) - ones)) & tops
		if hits != 0 {
			return i + bits.TrailingZeros64(hits)/8
		}
	}
	for i < len(s) && s[i] < utf8.RuneSelf && plain[s[i]] {
		i++
	}
	return i
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
}

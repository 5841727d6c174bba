package mime

import (
	"errors"
	"strings"
	"unicode/utf8"
)

var (
	// ErrAddress is returned for what is not a dot-string, an @ and a domain in
	// ASCII (RFC 5321, 4.1.2). Quoted local parts and address literals are not
	// supported. It does not hold the address.
	ErrAddress = errors.New("the address has a form that is not supported")
	// ErrUnicode is returned for an address with letters outside of ASCII
	// before its @ where the server offers no SMTPUTF8 (RFC 6531).
	ErrUnicode = errors.New("the address has letters that the server does not support")
)

// CheckAddress refuses every address that could end a header line or an SMTP
// command, or that means something else there. With unicode, letters outside
// of ASCII may stand before the @ (RFC 6531).
func CheckAddress(address string, unicode bool) error {
	local, domain, found := strings.Cut(address, "@")
	if !found || len(local) > 64 || len(address) > 254 || !dotted(local, atext) || !dotted(domain, ldh) {
		return ErrAddress
	}
	for i := range len(local) {
		if local[i] < utf8.RuneSelf {
			continue
		}
		if !utf8.ValidString(local) {
			return ErrAddress
		}
		if !unicode {
			return ErrUnicode
		}
		break
	}
	return nil
}

// AppendTo appends the To line with its line end. The address has passed
// [CheckAddress].
func AppendTo(dst []byte, address string) []byte {
	dst = append(dst, "To: <"...)
	dst = append(dst, address...)
	return append(dst, ">\r\n"...)
}

// dotted reports whether s is one or more labels of allowed bytes with dots in
// between.
func dotted(s string, allowed func(byte) bool) bool {
	last := byte('.')
	for i := range len(s) {
		if s[i] == '.' && last == '.' || s[i] != '.' && !allowed(s[i]) {
			return false
		}
		last = s[i]
	}
	return last != '.'
}

// atext is RFC 5322, 3.2.3, and the bytes of letters outside of ASCII.
func atext(c byte) bool {
	return c >= utf8.RuneSelf || alphanumeric(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// ldh is a letter, a digit or a hyphen (RFC 5890, 2.3.1).
func ldh(c byte) bool { return alphanumeric(c) || c == '-' }

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

package audience

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Rules for e-mail addresses.
const (
	ErrNoAt         Rule = "has no @"
	ErrTwoAts       Rule = "has more than one @"
	ErrLocalEmpty   Rule = "has nothing before the @"
	ErrLocalLong    Rule = "has more than 64 bytes before the @"
	ErrLocalDots    Rule = "has a misplaced dot before the @"
	ErrLocalQuoted  Rule = "has quotes, which are not supported"
	ErrLocalSpace   Rule = "has a space"
	ErrLocalInvalid Rule = "has a character that no address has before the @"
	ErrDomain       Rule = "has no valid domain after the @"
	ErrEmailLong    Rule = "is longer than 254 bytes"
)

// The limits of RFC 5321, 4.5.3.1: 64 octets before the @, and a path of 256
// octets, of which the angle brackets take two.
const (
	maxLocal = 64
	maxEmail = 254
)

// domains maps and checks domains as a look-up does (RFC 5891, 5 and UTS #46,
// non-transitional): lower case, Punycode, labels of at most 63 bytes.
var domains = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.StrictDomainName(true),
	idna.VerifyDNSLength(true),
)

// NormalizeEmail brings an e-mail address into the one form that is stored, and
// that its key is made of: trimmed, the whole of it in lower case and composed
// (NFC), the domain in ASCII (IDNA). Dots and plus signs before the @ stay:
// what they mean is for the mailbox's own host to say.
//
// Quoted local parts, comments and address literals are refused. The error is a
// [Rule].
func NormalizeEmail(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", ErrEmpty
	case len(s) > 4*maxEmail: // mapping shortens, but not that much
		return "", ErrEmailLong
	case !utf8.ValidString(s):
		return "", ErrNotUTF8
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", ErrControl
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", ErrNoAt
	}
	local, err := normalizeLocal(s[:at])
	if err != nil {
		return "", err
	}
	domain, err := normalizeDomain(s[at+1:])
	if err != nil {
		return "", err
	}
	if len(local)+1+len(domain) > maxEmail {
		return "", ErrEmailLong
	}
	return local + "@" + domain, nil
}

// normalizeLocal accepts a dot-string of RFC 5321, with the letters that RFC
// 6531 adds, and gives it in lower case.
func normalizeLocal(s string) (string, error) {
	s = lower(s)
	switch {
	case s == "":
		return "", ErrLocalEmpty
	case len(s) > maxLocal:
		return "", ErrLocalLong
	case s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, ".."):
		return "", ErrLocalDots
	}
	for _, r := range s {
		if rule := localRule(r); rule != "" {
			return "", rule
		}
	}
	return s, nil
}

// localRule returns the rule that a character before the @ breaks. Invisible
// characters are refused: an address that only looks like a suppressed one must
// not pass for another.
func localRule(r rune) Rule {
	switch {
	case 'a' <= r && r <= 'z', '0' <= r && r <= '9', strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r):
		return ""
	case r == '@':
		return ErrTwoAts
	case r == '"':
		return ErrLocalQuoted
	case unicode.IsSpace(r):
		return ErrLocalSpace
	case r < utf8.RuneSelf || r == utf8.RuneError || !unicode.IsGraphic(r):
		return ErrLocalInvalid
	}
	return ""
}

// lower gives s in lower case and composed. Composing comes first, since some
// capital letters have a small one only in their composed form, and last, since
// some small letters compose where the capital ones do not.
func lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return norm.NFC.String(strings.ToLower(norm.NFC.String(s)))
}

// normalizeDomain gives a domain of at least two labels in ASCII and lower
// case. Most domains are plain, and need no table.
func normalizeDomain(s string) (string, error) {
	s = strings.ToLower(s)
	if !plainDomain(s) {
		mapped, err := domains.ToASCII(s)
		if err != nil || !readsBack(mapped) {
			return "", ErrDomain
		}
		s = mapped
	}
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 || numeric(s[dot+1:]) { // one label, or an IP address
		return "", ErrDomain
	}
	return s, nil
}

// readsBack reports whether a domain that was mapped is valid as it is now. The
// rule for text that runs both ways is applied before mapping, and may be broken
// by it.
func readsBack(domain string) bool {
	again, err := domains.ToASCII(domain)
	return err == nil && again == domain
}

// plainDomain reports whether s is letters, digits and hyphens in labels that
// the IDNA tables would leave as they are.
func plainDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !plainLabel(label) {
			return false
		}
	}
	return true
}

func plainLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	if len(s) > 3 && s[2:4] == "--" { // xn--, or reserved (RFC 5891, 4.2.3.1)
		return false
	}
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

func numeric(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

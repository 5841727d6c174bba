package audience

import (
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// Rules for phone numbers.
const (
	ErrPhoneCharacter Rule = "has a letter or a sign that no phone number has"
	ErrPhoneInvalid   Rule = "is not a valid phone number"
	ErrPhoneNoSMS     Rule = "is not a number that takes SMS"
)

// maxDialled bounds the digits of a number as people write it: at most 15 in
// E.164, an international prefix, and a national zero.
const maxDialled = 20

// NormalizePhone brings a phone number into E.164, such as +46701740605, if it
// is valid and takes SMS. region is the two-letter country (ISO 3166) that
// numbers without a country code belong to; without it such numbers are
// refused.
//
// Only mobile numbers, and those of countries where mobile and fixed numbers
// look alike, take SMS. Personal, voice over IP and pager numbers are refused
// with the rest: whether and at what price they forward a message is unknown.
// Extensions and vanity letters are refused. The error is a [Rule].
func NormalizePhone(s, region string) (string, error) {
	number, e164, err := parsePhone(s, region)
	if err != nil {
		return "", err
	}
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
		return e164, nil
	case phonenumbers.UNKNOWN: // what IsValidNumber refuses, and nothing else
		return "", ErrPhoneInvalid
	}
	return "", ErrPhoneNoSMS
}

// normalizeAnyPhone accepts every number of a possible length. Of numbers that
// are not valid some lose a digit each time that they are read, such as a zero
// behind the country code; those have no normal form.
func normalizeAnyPhone(s, region string) (string, error) {
	_, e164, err := parsePhone(s, region)
	if err != nil {
		return "", err
	}
	if _, again, err := parsePhone(e164, region); err != nil || again != e164 {
		return "", ErrPhoneInvalid
	}
	return e164, nil
}

// KnownRegion reports whether phone numbers of a region can be read.
func KnownRegion(region string) bool {
	return phonenumbers.GetCountryCodeForRegion(region) != 0
}

// parsePhone reads a number of a possible length for its country.
func parsePhone(s, region string) (*phonenumbers.PhoneNumber, string, error) {
	dialled, err := dialledDigits(s)
	if err != nil {
		return nil, "", err
	}
	number, err := phonenumbers.Parse(dialled, region)
	if err != nil || !phonenumbers.IsPossibleNumber(number) {
		return nil, "", ErrPhoneInvalid
	}
	return number, phonenumbers.Format(number, phonenumbers.E164), nil
}

// dialledDigits strips the punctuation that people group numbers with. The
// library strips too, but it also reads letters as digits, and text after a
// number as an extension.
func dialledDigits(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", ErrEmpty
	}
	digits := make([]byte, 0, maxDialled+1)
	for _, r := range s {
		switch {
		case '0' <= r && r <= '9', r == '+' && len(digits) == 0:
			digits = append(digits, byte(r))
		case strings.ContainsRune("-.()/", r), r != '\n' && r != '\r' && unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '\u2212':
			// Spaces, dashes of any width and the minus sign, which
			// spreadsheets like to put in their place.
		default:
			return "", ErrPhoneCharacter
		}
		if len(digits) > maxDialled {
			return "", ErrPhoneInvalid
		}
	}
	return string(digits), nil
}

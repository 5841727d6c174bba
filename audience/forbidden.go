package audience

import (
	"regexp"
	"strings"
)

// Rules for what an attribute must not hold. A marketing tool needs aggregates
// of what a person bought, not the receipts, and has no use for numbers that
// open a bank account.
const (
	ErrCardNumber     Rule = "looks like a payment card number; import no such numbers"
	ErrPersonalNumber Rule = "looks like a personal identity number; import no such numbers"
	ErrMinute         Rule = "holds a time to the minute; import days, periods or counts instead"
)

var (
	// minute is a day followed by a time, of which midnight is left alone: it
	// is how many programs write a day.
	minute = regexp.MustCompile(`\d[-./]\d{1,4}[T, ]+(\d{1,2}:\d{2})`)
	// digits are runs that may be grouped by single spaces, hyphens or, in the
	// number of somebody older than a hundred years, a plus.
	digits = regexp.MustCompile(`\d(?:[ +-]?\d){9,}`)
	// personalNumber has the forms of the Swedish Tax Agency, with a day that
	// is 60 higher in a coordination number. Ten digits without a sign are as
	// likely a phone number, and pass.
	personalNumber = regexp.MustCompile(`^(?:(?:18|19|20)\d{6}[-+]?|\d{6}[-+])\d{4}$`)
	groups         = strings.NewReplacer(" ", "", "-", "", "+", "")
)

// forbidden returns the rule that the value of an attribute breaks.
func forbidden(value string) Rule {
	if len(value) < 10 || !strings.ContainsAny(value, "0123456789") {
		return ""
	}
	if time := minute.FindStringSubmatch(value); time != nil && strings.Trim(time[1], "0:") != "" {
		return ErrMinute
	}
	for _, run := range digits.FindAllString(value, -1) {
		switch number := groups.Replace(run); {
		case isPersonalNumber(run, number):
			return ErrPersonalNumber
		case isCardNumber(number):
			return ErrCardNumber
		}
	}
	return ""
}

// isCardNumber accepts the lengths and first digits of the card networks
// (ISO/IEC 7812), so that the bar codes of most goods are not taken for cards.
func isCardNumber(number string) bool {
	return len(number) >= 13 && len(number) <= 19 && number[0] >= '2' && number[0] <= '6' && luhn(number)
}

func isPersonalNumber(run, number string) bool {
	return personalNumber.MatchString(run) && isIdentityNumber(number[len(number)-10:])
}

// luhn checks the last digit of a number (ISO/IEC 7812-1, annex B).
func luhn(number string) bool {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return sum%10 == 0
}

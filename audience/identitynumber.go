package audience

import "strings"

// HasIdentityNumber says whether a text has anything in the form of a Swedish
// personal identity number or coordination number: YYMMDD or YYYYMMDD and four
// digits, with a hyphen, a plus or a space between them or nothing, and with the
// right last digit. The day of a coordination number is 60 higher. Forms as the
// Swedish Tax Agency gives them (SKV 704, SKV 707).
//
// A number of ten digits may as well be another's, such as one phone number in
// some hundred: what is free text has no use for those either.
func HasIdentityNumber(text string) bool {
	if len(text) < 10 {
		return false
	}
	for start := range len(text) {
		if isDigit(text[start]) && (start == 0 || !isDigit(text[start-1])) && identityNumberAt(text[start:]) {
			return true
		}
	}
	return false
}

// identityNumberAt looks at the digits that a text begins with.
func identityNumberAt(text string) bool {
	first := digitsAhead(text)
	switch len(first) {
	case 10, 12:
		return isIdentityNumber(first)
	case 6, 8:
		rest := text[len(first):]
		for _, sign := range []string{"-", "+", " ", "–", "−", "\u2010", "\u2011", "\u00a0"} {
			if after, ok := strings.CutPrefix(rest, sign); ok {
				last := digitsAhead(after)
				return len(last) == 4 && isIdentityNumber(first+last)
			}
		}
	}
	return false
}

func digitsAhead(text string) string {
	n := 0
	for n < len(text) && isDigit(text[n]) {
		n++
	}
	return text[:n]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isIdentityNumber(number string) bool {
	if len(number) == 12 {
		if century := number[:2]; century < "18" || century > "20" {
			return false
		}
		number = number[2:]
	}
	month, day := number[2:4], number[4:6]
	if day >= "61" {
		day = string(day[0]-6) + day[1:]
	}
	return month >= "01" && month <= "12" && day >= "01" && day <= "31" && luhn(number)
}

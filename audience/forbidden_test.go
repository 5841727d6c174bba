package audience

import "testing"

// The personal numbers have a birth number of 980 to 999, which nobody gets.
func TestForbiddenAttributes(t *testing.T) {
	for value, want := range map[string]Rule{
		"4111 1111 1111 1111":            ErrCardNumber,
		"kort 5555-5555-5555-4444":       ErrCardNumber,
		"378282246310005":                ErrCardNumber,
		"4111111111111112":               "", // the check digit is wrong
		"7300000000015":                  "", // a bar code of Swedish goods
		"1111111111111117":               "", // no card begins with 1
		"19900101-9802":                  ErrPersonalNumber,
		"199001019802":                   ErrPersonalNumber,
		"900101-9802":                    ErrPersonalNumber,
		"medlem 900161-9809, Malmö":      ErrPersonalNumber, // a coordination number
		"900101+9802":                    ErrPersonalNumber,
		"9001019802":                     "", // as likely a phone number
		"19900101-9803":                  "",
		"19901301-9808":                  "", // there is no month 13
		"2026-03-01 14:05":               ErrMinute,
		"2026-03-01T14:05:00Z":           ErrMinute,
		"1/3/2026, 9:05":                 ErrMinute,
		"2026-03-01T00:00:00Z":           "", // a day
		"2026-03-01":                     "",
		"2026 Q1":                        "",
		"mån-fre 10:00-18:00, lör 10-15": "",
		"guld":                           "",
		"":                               "",
		"12 450":                         "",
		"100-200, 200-300, 300-400":      "",
	} {
		if got := forbidden(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

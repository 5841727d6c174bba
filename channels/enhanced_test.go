package channels_test

import (
	"testing"

	"utskick/channels"
	"utskick/suppression"
)

func TestEnhanced(t *testing.T) {
	for text, want := range map[string]channels.Enhanced{
		"5.1.1": {5, 1, 1}, "550 5.1.1 <x>: unknown": {5, 1, 1}, "452-4.2.2 over quota": {4, 2, 2}, "x 5.7.515.": {5, 7, 515}, "(4.4.1)": {4, 4, 1},
		"": {}, "550 no": {}, "192.5.1.1": {}, "5.1.1.1": {}, "5.1.1234": {}, "3.1.1": {}, "15.1.1": {}, "5.1": {}, "from 10.5.1.1, 4.2.2": {4, 2, 2},
	} {
		if got := channels.FindEnhanced(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for code, want := range map[channels.Enhanced]struct {
		dead    suppression.Cause
		mailbox bool
	}{
		{5, 1, 1}: {dead: suppression.Bounced}, {5, 1, 6}: {dead: suppression.Bounced}, {5, 1, 2}: {dead: suppression.Invalid},
		{5, 1, 3}: {dead: suppression.Invalid}, {5, 1, 10}: {dead: suppression.Invalid}, {4, 2, 2}: {mailbox: true}, {4, 1, 1}: {mailbox: true},
		{5, 2, 2}: {mailbox: true}, {5, 2, 1}: {mailbox: true}, {5, 7, 1}: {}, {4, 7, 0}: {}, {5, 0, 0}: {}, {4, 4, 1}: {}, {2, 1, 5}: {}, {}: {},
	} {
		if code.Dead() != want.dead || code.Mailbox() != want.mailbox {
			t.Errorf("%v: %q, %v", code, code.Dead(), code.Mailbox())
		}
	}
}

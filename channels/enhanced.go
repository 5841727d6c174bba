package channels

import (
	"regexp"
	"strconv"

	"utskick/suppression"
)

// Enhanced is an enhanced mail status code (RFC 3463): class, subject, detail.
type Enhanced [3]int

var enhancedCode = regexp.MustCompile(`(?:^|[^0-9.])([245])\.([0-9]{1,3})\.([0-9]{1,3})(?:$|[^0-9.]|\.(?:$|[^0-9]))`)

// FindEnhanced returns the first enhanced status code in a text, or zero.
func FindEnhanced(text string) Enhanced {
	found := enhancedCode.FindStringSubmatch(text)
	if found == nil {
		return Enhanced{}
	}
	var e Enhanced
	for i := range e {
		e[i], _ = strconv.Atoi(found[i+1]) // digits alone
	}
	return e
}

// Dead returns the cause for which a code suppresses the address: only one that
// says that the address can never work does (RFC 3463, 3.2; RFC 7505 for
// 5.1.10).
func (e Enhanced) Dead() suppression.Cause {
	switch e {
	case Enhanced{5, 1, 1}, Enhanced{5, 1, 6}: // no such mailbox; mailbox has moved
		return suppression.Bounced
	case Enhanced{5, 1, 2}, Enhanced{5, 1, 3}, Enhanced{5, 1, 10}: // no such domain; bad syntax; null MX
		return suppression.Invalid
	}
	return ""
}

// Mailbox reports whether a code is about the recipient's address or mailbox, and
// may pass: 4.1.x and 4.2.x, and 5.2.1 and 5.2.2, a mailbox that is disabled or
// full (RFC 3463, 3.2 and 3.3). All others are about networks, servers, content
// or policy, and so about us or about everybody there.
func (e Enhanced) Mailbox() bool {
	return e[0] == 4 && (e[1] == 1 || e[1] == 2) || e == Enhanced{5, 2, 1} || e == Enhanced{5, 2, 2}
}

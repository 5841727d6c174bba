package templates

import (
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// FieldProblem is one thing wrong in a record: which field, and which rule it
// breaks. It never repeats the value.
type FieldProblem struct {
	Field string `json:"field"` // as in JSON, such as reply_to
	Rule  string `json:"rule"`
}

// SenderError refuses a sender, with all its problems at once.
type SenderError struct {
	Sender   string
	Problems []FieldProblem
}

func (e *SenderError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Field + ": " + p.Rule
	}
	return fmt.Sprintf("sender %q: %s", e.Sender, strings.Join(lines, "; "))
}

var (
	senderName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)
	hostName     = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]$`)
	dkimSelector = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$`)
	phoneNumber  = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	alphanumeric = regexp.MustCompile(`^[A-Za-z0-9]{1,11}$`)
	messagingSID = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
)

// CheckSender returns nil, or a [*SenderError] with all that is wrong in a
// sender. Who sends advertising must be named, and must have an address to
// which an objection can be sent (marknadsföringslagen 2008:486, 9 and 20 §§).
func CheckSender(s Sender) error {
	c := &senderChecker{}
	c.check("name", senderName.MatchString(s.Name), "1 to 63 of the letters a to z, digits, - and _")
	c.check("from_name", isOneLine(s.FromName), "a name on one line")
	c.check("from_email", isMailAddress(s.FromEmail), "an e-mail address alone, at a full domain name")
	c.check("reply_to", isMailAddress(s.ReplyTo), "an e-mail address alone, at a full domain name, that people read")
	c.check("postal_address", strings.TrimSpace(s.PostalAddress) != "" && !hasControl(strings.ReplaceAll(s.PostalAddress, "\n", "")),
		"the postal address, for the footer of every e-mail")
	c.check("site", isSite(s.Site), "a web address that begins with https:// or http://")
	c.check("dkim_selector", s.DKIMSelector == "" || dkimSelector.MatchString(s.DKIMSelector), "a DNS label, or empty")
	c.check("sms_sender", s.SMSSender == "" || isSMSSender(s.SMSSender),
		"a number in E.164, such as +46 and so on without spaces, or 1 to 11 letters and digits with at least one letter")
	c.check("sms_service", s.SMSService == "" || messagingSID.MatchString(s.SMSService), "MG and 32 hexadecimal digits, or empty")
	c.check("notice_version", s.NoticeVersion == "" || noticeVersion.MatchString(s.NoticeVersion), "1 to 63 letters, digits, dots, - and _, or empty")
	c.checkPages(s)
	c.check("open_tracking", isPolicy(s.OpenTracking), "consent, always or never")
	if len(c.problems) == 0 {
		return nil
	}
	return &SenderError{Sender: s.Name, Problems: c.problems}
}

type senderChecker struct{ problems []FieldProblem }

func (c *senderChecker) check(field string, ok bool, rule string) {
	if !ok {
		c.problems = append(c.problems, FieldProblem{field, rule})
	}
}

// IsSenderName reports whether a sender may have the name.
func IsSenderName(name string) bool { return senderName.MatchString(name) }

func isPolicy(p Policy) bool { return p == "" || p == ByConsent || p == Always || p == Never }

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

func isOneLine(s string) bool { return strings.TrimSpace(s) != "" && !hasControl(s) }

func isMailAddress(s string) bool {
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || len(s) > 254 || hasControl(s) {
		return false
	}
	return hostName.MatchString(s[strings.LastIndexByte(s, '@')+1:])
}

func isSite(s string) bool {
	u, err := url.Parse(s)
	return err == nil && isWebAddress(s) && u.User == nil && !strings.ContainsAny(s, "\"'<>{}`")
}

// isSMSSender: a number can be answered; letters cannot, so messages from them
// carry a link.
func isSMSSender(s string) bool {
	if strings.HasPrefix(s, "+") {
		return phoneNumber.MatchString(s)
	}
	return alphanumeric.MatchString(s) && strings.ContainsFunc(s, unicode.IsLetter)
}

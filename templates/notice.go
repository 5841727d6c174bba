package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// PrivacyNotice is one version of what a sender tells people about the use of
// their data (GDPR 13 and 14). Its text is not kept: its hash tells whether a
// text is this one.
type PrivacyNotice struct {
	Sender   string    `json:"sender" doc:"Name of a sender, or * for all"`
	Version  string    `json:"version" doc:"What it is called: at most 63 letters, digits, dots, - and _"`
	Language string    `json:"language,omitempty" doc:"Language of the text, such as sv; a version has one text in each"`
	Date     string    `json:"date" doc:"The day from which it is in force, such as 2026-01-15"`
	URL      string    `json:"url,omitempty" doc:"Web address where it stands"`
	Hash     string    `json:"hash,omitempty" doc:"SHA-256 of the bytes of the text, in hexadecimal; absent: it is known by its address alone"`
	Created  time.Time `json:"created,omitzero"`
}

// AllSenders is the sender of a notice that is that of every sender without one
// of its own.
const AllSenders = "*"

// HashNotice is what [PrivacyNotice].Hash says of a text.
func HashNotice(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// NoticeError refuses a notice, with all that is wrong in it.
type NoticeError struct{ Problems []FieldProblem }

func (e *NoticeError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Field + ": " + p.Rule
	}
	return "privacy notice: " + strings.Join(lines, "; ")
}

var (
	noticeVersion  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	noticeLanguage = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
	noticeHash     = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// CheckNotice returns nil, or a [*NoticeError] with all that is wrong in a notice.
func CheckNotice(n PrivacyNotice) error {
	c := &senderChecker{}
	_, badDate := time.Parse(time.DateOnly, n.Date)
	c.check("sender", n.Sender == AllSenders || senderName.MatchString(n.Sender), "the name of a sender, or * for all")
	c.check("version", noticeVersion.MatchString(n.Version), "1 to 63 letters, digits, dots, - and _, a letter or digit first")
	c.check("language", n.Language == "" || noticeLanguage.MatchString(n.Language), "a language such as sv, or empty")
	c.check("date", badDate == nil, "a day such as 2026-01-15")
	c.check("url", n.URL == "" || isSite(n.URL), "a web address that begins with https:// or http://, or empty")
	c.check("hash", n.Hash == "" || noticeHash.MatchString(n.Hash), "64 hexadecimal digits in lower case, or empty")
	c.check("url", n.URL+n.Hash != "", "the text or its address: one of them must be there")
	if len(c.problems) == 0 {
		return nil
	}
	return &NoticeError{c.problems}
}

// NoticeChanged says that a version of a notice is known with another text, date
// or address: what people were told is not exchanged behind their backs.
type NoticeChanged struct{ Known PrivacyNotice }

func (e *NoticeChanged) Error() string {
	return fmt.Sprintf("version %q of the privacy notice of %s is saved with another text, date or address: give the new one a version of its own",
		e.Known.Version, e.Known.Sender)
}

// SameText reports whether two records are of one notice as it was saved once.
func (n PrivacyNotice) SameText(other PrivacyNotice) bool {
	n.Created = other.Created
	return n == other
}

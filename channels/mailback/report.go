package mailback

import (
	"bytes"
	"regexp"
	"strings"
)

const mostRecipients = 1000

func isReport(e entity) bool {
	return e.media == "message/delivery-status" || e.media == "message/global-delivery-status"
}

func isFeedback(e entity) bool { return e.media == "message/feedback-report" }

// isReportOf reports whether a message says that it is a report (RFC 6522, 3).
func isReportOf(top entity, kind string) bool {
	return top.media == "multipart/report" && strings.EqualFold(top.parameters["report-type"], kind)
}

// groups reads groups of fields with empty lines between them (RFC 3464, 2.1).
func groups(body []byte) (found []header, err error) {
	for len(body) > 0 && len(found) <= mostRecipients {
		var h header
		if h, body, err = readHeader(body); err != nil {
			return nil, err
		}
		if len(h) > 0 {
			found = append(found, h)
		}
	}
	return found, nil
}

// readReport reads a delivery status notification. The first group is about the
// message; some servers leave it out.
func (m *Message) readReport(report entity) error {
	m.Kind = Delivery
	all, err := groups(report.body)
	if err != nil {
		return err
	}
	for _, h := range all {
		r := Recipient{Final: typed(h.get("Final-Recipient")), Original: typed(h.get("Original-Recipient")),
			Action: strings.ToLower(word(h.get("Action"))), Status: word(h.get("Status")), Diagnostic: words(afterType(h.get("Diagnostic-Code")))}
		if r.Action != "" && (r.Final != "" || r.Original != "") {
			m.Recipients = append(m.Recipients, r)
		}
	}
	if len(m.Recipients) == 0 {
		return ErrReport
	}
	return nil
}

// word returns the first word of a value: a comment may follow.
func word(value string) string {
	for w := range strings.FieldsSeq(value) {
		return w
	}
	return ""
}

func afterType(value string) string {
	if _, after, is := strings.Cut(value, ";"); is {
		return strings.TrimSpace(after)
	}
	return value
}

// typed reads an address behind its type: "rfc822; someone@example.com". Only
// addresses of mail are read (RFC 3464, 2.1.2; RFC 6533, 3).
func typed(value string) string {
	kind, address, is := strings.Cut(value, ";")
	if !is {
		kind, address = "rfc822", value
	}
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "rfc822", "utf-8", "smtp", "":
	default:
		return ""
	}
	address = strings.Trim(strings.TrimSpace(address), "<>")
	if !strings.Contains(address, "@") {
		return ""
	}
	return plainText(address)
}

// plainText undoes the encoding of an address in a notice (RFC 3461, 4).
func plainText(address string) string {
	if !strings.Contains(address, "+") {
		return address
	}
	var b strings.Builder
	for i := 0; i < len(address); i++ {
		if c, is := encodedAt(address[i:]); is {
			b.WriteByte(c)
			i += 2
		} else {
			b.WriteByte(address[i])
		}
	}
	return b.String()
}

// encodedAt reads a plus or an equals sign in hexadecimal, which alone have to be
// written so. Others are left: many servers do not encode at all, and
// anna+20@example.com is an address.
func encodedAt(text string) (c byte, is bool) {
	switch {
	case len(text) < 3:
		return 0, false
	case text[:3] == "+2B":
		return '+', true
	case text[:3] == "+3D":
		return '=', true
	}
	return 0, false
}

// readFeedback reads a complaint (RFC 5965).
func (m *Message) readFeedback(top entity) error {
	m.Kind = Feedback
	all, err := groups(top.find(isFeedback).body)
	if err != nil {
		return err
	}
	for _, h := range all {
		if m.Feedback == "" {
			m.Feedback = strings.ToLower(word(h.get("Feedback-Type")))
		}
		for _, f := range h {
			if strings.EqualFold(f.name, "Original-Rcpt-To") || strings.EqualFold(f.name, "Removal-Recipient") {
				m.Addressed = append(m.Addressed, addresses(f.value)...)
			}
		}
	}
	if m.Feedback == "" {
		return ErrFeedback
	}
	if len(m.Addressed) == 0 {
		if returned := top.find(func(e entity) bool { return isMessage[e.media] }); returned != nil && len(returned.parts) > 0 {
			m.Addressed = addresses(returned.parts[0].header.get("To"))
		}
	}
	return nil
}

var qmailStart = []byte("Hi. This is the")

// readQmail reads a notice of qmail (https://cr.yp.to/proto/qsbmf.txt): a paragraph
// for each recipient, up to one that begins with a hyphen.
func (m *Message) readQmail(top entity) bool {
	if top.media != "text/plain" || !bytes.HasPrefix(top.body, qmailStart) {
		return false
	}
	paragraphs := strings.Split(strings.ReplaceAll(string(top.body), "\r\n", "\n"), "\n\n")
	for _, p := range paragraphs[1:] {
		p = strings.TrimLeft(p, "\n")
		if strings.HasPrefix(p, "-") || len(m.Recipients) == mostRecipients {
			break
		}
		if address, reason, is := strings.Cut(p, ">:\n"); is && strings.HasPrefix(address, "<") {
			m.Recipients = append(m.Recipients, Recipient{Final: address[1:], Action: "failed", Diagnostic: reason})
		}
	}
	m.Kind = Delivery
	return len(m.Recipients) > 0
}

var copyFollows = regexp.MustCompile(`(?m)^-{4,} (?:This is a copy|The body of the message)`)

// readExim reads a notice of an Exim before 4.86, which names the recipients in a
// header, and why in a text: indented, what was tried below the address.
func (m *Message) readExim(top entity) bool {
	failed := addresses(top.header.get("X-Failed-Recipients"))
	if len(failed) == 0 || len(failed) > mostRecipients {
		return false
	}
	text := string(top.body)
	if part := top.find(func(e entity) bool { return e.media == "text/plain" }); part != nil {
		text = string(part.body)
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if at := copyFollows.FindStringIndex(text); at != nil {
		text = text[:at[0]]
	}
	for _, address := range failed {
		_, reason, _ := strings.Cut(text, "\n  "+address+"\n")
		reason, _, _ = strings.Cut(reason, "\n\n")
		m.Recipients = append(m.Recipients, Recipient{Final: address, Action: "failed", Diagnostic: reason})
	}
	m.Kind = Delivery
	return true
}

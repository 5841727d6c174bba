package sendgrid

import (
	"crypto/rand"
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"utskick/channels"
	"utskick/templates"
)

// reserved are the headers that SendGrid sets itself and refuses (v3 errors,
// message.headers).
var reserved = []string{"X-Sg-Id", "X-Sg-Eid", "Received", "Dkim-Signature", "Content-Type", "Content-Transfer-Encoding", "To", "From", "Subject", "Reply-To", "Cc", "Bcc"}

// trackingOff switches each kind of tracking off by name: what is left out is
// as the account has it, and an account's click tracking rewrites our links,
// its subscription tracking adds a List-Unsubscribe of SendGrid's own.
const trackingOff = `,"tracking_settings":{"click_tracking":{"enable":false,"enable_text":false},"open_tracking":{"enable":false},"subscription_tracking":{"enable":false},"ganalytics":{"enable":false}}`

// form is what a message looks like in SendGrid's JSON: the root, which all
// recipients share and where tags stand for the holes, and what each recipient
// has of its own, ready but for the values.
type form struct {
	root          []byte // up to and with the bracket of the personalizations
	identity      []byte // from the end of an address to the key in custom_args
	headers       []piece
	substitutions []piece
}

// piece is encoded JSON, and the hole whose value follows it within a string;
// no hole when negative.
type piece struct {
	text []byte
	hole int
}

// newForm builds the root of a call. mark makes the tags.
func newForm(d channels.Draft, mark string) (*form, error) {
	f := &form{}
	s := d.Skeleton
	if len(s.HTML) == 0 && len(s.Text) == 0 {
		return nil, fmt.Errorf("sendgrid: the message of group %d has neither HTML nor text", d.Group)
	}
	f.identity = fmt.Appendf(nil, `"}],"custom_args":{"g":"%d","k":"`, d.Group)
	f.root = appendSender(append(f.root, '{'), s.Sender)
	f.root = f.appendPart(append(f.root, `,"subject":`...), s.Subject, mark)
	f.root = f.appendContent(f.root, s, mark)
	if err := f.addHeaders(s.Headers); err != nil {
		return nil, err
	}
	f.addSubstitutions(s, mark)
	f.root = append(f.root, `,"categories":["g`...)
	f.root = strconv.AppendInt(f.root, d.Group, 10)
	f.root = append(f.root, `"]`+trackingOff+`,"personalizations":[`...)
	return f, nil
}

// addHeaders puts headers that all share into the root, and the others into
// what each recipient has.
func (f *form) addHeaders(fields []templates.Field) error {
	var shared, own []templates.Field
	for _, field := range fields {
		switch {
		case slices.Contains(reserved, textproto.CanonicalMIMEHeaderKey(field.Name)):
			return fmt.Errorf("sendgrid: the header %s is SendGrid's own to set; take it out of the message", field.Name)
		case slices.ContainsFunc(field.Value, func(s templates.Segment) bool { return s.Hole >= 0 }):
			own = append(own, field)
		default:
			shared = append(shared, field)
		}
	}
	for _, p := range headerPieces(nil, shared) {
		f.root = append(f.root, p.text...)
	}
	f.headers = headerPieces([]byte(`"}`), own) // which ends custom_args
	return nil
}

// headerPieces appends the headers as an object, if there are any.
func headerPieces(text []byte, fields []templates.Field) (pieces []piece) {
	for i, field := range fields {
		text = append(text, []string{`,"headers":{`, `",`}[min(i, 1)]...)
		text = append(appendString(text, field.Name), `:"`...)
		for _, segment := range field.Value {
			if segment.Hole < 0 {
				text = appendEscaped(text, []byte(segment.Literal))
			} else {
				pieces, text = append(pieces, piece{text, segment.Hole}), nil
			}
		}
	}
	if len(fields) > 0 {
		text = append(text, `"}`...)
	}
	return append(pieces, piece{text, -1})
}

// addSubstitutions gives a tag to each hole that the subject and the content
// have. The holes of headers have none: SendGrid does not substitute there.
func (f *form) addSubstitutions(s *templates.Skeleton, mark string) {
	var seen []int
	for _, segment := range slices.Concat(s.Subject, s.Text, s.HTML) {
		if segment.Hole < 0 || slices.Contains(seen, segment.Hole) {
			continue
		}
		seen = append(seen, segment.Hole)
		text := []byte(`,"substitutions":{`)
		if len(seen) > 1 {
			text = []byte(`",`)
		}
		text = append(appendString(text, appendTag(nil, mark, segment.Hole)), `:"`...)
		f.substitutions = append(f.substitutions, piece{text, segment.Hole})
	}
}

func appendSender(dst []byte, s templates.Sender) []byte {
	dst = appendString(append(dst, `"from":{"email":`...), s.FromEmail)
	if s.FromName != "" {
		dst = appendString(append(dst, `,"name":`...), s.FromName)
	}
	dst = append(dst, '}')
	if s.ReplyTo != "" {
		dst = appendString(append(dst, `,"reply_to":{"email":`...), s.ReplyTo)
		dst = append(dst, '}')
	}
	return dst
}

// appendContent appends the text before the HTML, as SendGrid demands.
func (f *form) appendContent(dst []byte, s *templates.Skeleton, mark string) []byte {
	dst = append(dst, `,"content":[`...)
	if len(s.Text) > 0 {
		dst = f.appendPart(append(dst, `{"type":"text/plain","value":`...), s.Text, mark)
		dst = append(dst, '}')
	}
	if len(s.HTML) > 0 {
		if len(s.Text) > 0 {
			dst = append(dst, ',')
		}
		dst = f.appendPart(append(dst, `{"type":"text/html","value":`...), s.HTML, mark)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendPart appends a part as a JSON string with tags in its holes.
func (f *form) appendPart(dst []byte, part templates.Part, mark string) []byte {
	var text []byte
	for _, segment := range part {
		if segment.Hole < 0 {
			text = append(text, segment.Literal...)
		} else {
			text = appendTag(text, mark, segment.Hole)
		}
	}
	return appendString(dst, text)
}

// appendTag appends the tag of a hole. Its characters mean nothing in HTML, in
// a URL or in JSON, and no tag begins as another one ends.
func appendTag(dst []byte, mark string, hole int) []byte {
	dst = append(append(append(dst, '-'), mark...), '.')
	dst = strconv.AppendInt(dst, int64(hole), 10)
	return append(dst, '-')
}

// newMark returns the text that makes a call's tags unlike any content: it does
// not occur in what the template's author wrote, and nobody who chooses a value,
// such as her own first name, can know it.
func newMark(s *templates.Skeleton) string {
	for {
		mark := strings.ToLower(rand.Text()[:8])
		occurs := func(segment templates.Segment) bool { return strings.Contains(segment.Literal, mark) }
		if !slices.ContainsFunc(s.Subject, occurs) && !slices.ContainsFunc(s.Text, occurs) && !slices.ContainsFunc(s.HTML, occurs) {
			return mark
		}
	}
}

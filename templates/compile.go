package templates

import (
	"errors"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"utskick/audience"
	"utskick/tracking"
)

// Options says for whom and with what a template is compiled.
type Options struct {
	Sender Sender
	// Topic is what the messages are about; a List-Id is made of it. See
	// [CheckTopic].
	Topic string
	// PublicURL is where the links of messages lead: https, without a slash at
	// the end.
	PublicURL string
	Signer    *tracking.Signer
	// Links has the stored id of every target that [Targets] returns.
	Links map[string]int64
}

var topicForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// CheckTopic refuses a topic that cannot be a label of a List-Id (RFC 2919,
// section 2): up to 63 letters, digits, - and _.
func CheckTopic(topic string) error {
	if !topicForm.MatchString(topic) {
		return fmt.Errorf("topic %q: write 1 to 63 of the letters a to z, digits, - and _", topic)
	}
	return nil
}

func (o Options) check(channel audience.Channel) error {
	u, err := url.Parse(o.PublicURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		strings.HasSuffix(o.PublicURL, "/") || strings.ContainsAny(o.PublicURL, "\"'<>&` \r\n") {
		return errors.New("public URL: it begins with https:// and has no slash at its end")
	}
	if o.Signer == nil {
		return errors.New("signer: links cannot be made without one")
	}
	if channel != audience.Email {
		return nil
	}
	s := o.Sender
	if !isMailAddress(s.FromEmail) || !isOneLine(s.FromName) || s.addressLine() == "" || !isSite(s.Site) {
		return fmt.Errorf("sender %q: an e-mail needs its from_name, from_email, postal_address and site", s.Name)
	}
	return CheckTopic(o.Topic)
}

// Compile makes the message of one language for a sender: everything that its
// recipients share, with holes where they differ. A template that does not pass
// [Check] does not compile either; whether attributes are registered is not
// asked again.
func Compile(t Template, language string, o Options) (*Skeleton, error) {
	content, ok := t.Contents[language]
	if !ok {
		return nil, fmt.Errorf("template %q has no language %q", t.Name, language)
	}
	if err := invalid(t.Name, checkContent(t.Channel, language, content, nil)); err != nil {
		return nil, err
	}
	if err := o.check(t.Channel); err != nil {
		return nil, fmt.Errorf("compiling template %q: %w", t.Name, err)
	}
	c := &compiler{options: o, language: language, columns: map[string]int{}, slots: map[string]int{}}
	for i, name := range contactFields {
		c.slots[name] = i
	}
	c.skeleton = &Skeleton{Channel: t.Channel, Language: language, Sender: o.Sender, Topic: o.Topic, template: t.Name}
	p := prepare(t.Channel, language, content, o.Sender)
	for _, target := range p.targets {
		id, stored := o.Links[target]
		if !stored {
			return nil, fmt.Errorf("compiling template %q: a link target has no stored id; store all that Targets returns", t.Name)
		}
		c.links = append(c.links, id)
	}
	c.compile(p)
	if err := invalid(t.Name, c.problems); err != nil {
		return nil, err
	}
	return c.skeleton, nil
}

// compiler builds one skeleton.
type compiler struct {
	options  Options
	language string
	links    []int64 // stored ids by number of the target
	skeleton *Skeleton
	problems []Problem
	columns  map[string]int // hole by what fills it
	slots    map[string]int // slot by field or attribute of the contact
}

func (c *compiler) compile(p prepared) {
	s := c.skeleton
	s.Subject = c.part(partSubject, p.subject, asHeader)
	s.HTML = c.part(partHTML, p.html, asHTML)
	s.Text = c.part(partText, p.text, asIs)
	switch s.Channel {
	case audience.Email:
		s.Headers = c.headers()
	case audience.Push:
		s.Data = c.data(p.link)
	}
}

// headers: one https URI, to be answered by one click (RFC 8058), and the name
// of the list (RFC 2919).
func (c *compiler) headers() []Field {
	_, domain, _ := strings.Cut(c.options.Sender.FromEmail, "@")
	id := phrase(c.options.Sender.FromName+" "+c.options.Topic) +
		" <" + strings.ToLower(c.options.Topic+"."+domain) + ">"
	return []Field{
		{"List-Unsubscribe", c.part("", "<{{ unsubscribe_url }}>", asHeader)},
		{"List-Unsubscribe-Post", literal("List-Unsubscribe=One-Click")},
		{"List-Id", literal(id)},
	}
}

// phrase writes a name for a header (RFC 5322, 3.2.4; RFC 2047).
func phrase(name string) string {
	name = string(appendHeader(nil, name))
	if encoded := mime.QEncoding.Encode("utf-8", name); encoded != name {
		return encoded
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// data is what an app gets beside title and text.
func (c *compiler) data(link string) []Field {
	var fields []Field
	if link != "" {
		fields = append(fields, Field{"link", c.part(partLink, link, asHeader)})
	}
	return append(fields,
		Field{"unsubscribe", c.part("", "{{ unsubscribe_url }}", asIs)},
		Field{"message", c.part("", "{{ "+groupMarker+" }}", asIs)})
}

func literal(text string) Part { return Part{{Literal: text, Hole: -1}} }

// The names that stand for holes which no author writes.
const (
	pixelMarker = "_pixel"
	groupMarker = "_group"
)

// marker returns what fills a hole that the product itself makes, or nil. Such
// a value needs no escaping anywhere.
func (c *compiler) marker(o output) filler {
	if len(o.path) != 1 || len(o.filters) > 0 {
		return nil
	}
	switch o.root() {
	case "unsubscribe_url":
		return c.unsubscribe
	case "preferences_url":
		return c.preferences
	case measuringMarker, textMeasuringMarker:
		return c.trackingNotice(o.root() == measuringMarker)
	case pixelMarker:
		return c.pixel
	case groupMarker:
		return func(dst []byte, r *row) []byte { return strconv.AppendInt(dst, r.group, 10) }
	}
	n, isLink := linkNumber(o.root())
	if !isLink || n >= len(c.links) {
		return nil
	}
	prefix, signer, id := c.options.PublicURL+"/c/", c.options.Signer, c.links[n]
	return func(dst []byte, r *row) []byte {
		dst = append(dst, prefix...)
		return signer.Append(dst, tracking.Token{Purpose: tracking.Click, Group: r.group, Key: r.person, Link: id})
	}
}

func (c *compiler) unsubscribe(dst []byte, r *row) []byte {
	dst = append(append(dst, c.options.PublicURL...), "/u/"...)
	return c.options.Signer.Append(dst, tracking.Token{Purpose: tracking.Unsubscribe, Group: r.group, Key: r.key})
}

func (c *compiler) preferences(dst []byte, r *row) []byte {
	dst = append(append(dst, c.options.PublicURL...), "/p/"...)
	return c.options.Signer.Append(dst, tracking.Token{Purpose: tracking.Preferences, Group: r.group, Key: r.key})
}

// pixel adds the picture that counts an open, and the link that no person sees:
// whoever follows it reads the source, as scanners of mail do.
func (c *compiler) pixel(dst []byte, r *row) []byte {
	if !r.tracked {
		return dst
	}
	dst = append(append(dst, `<img src="`...), c.options.PublicURL...)
	dst = append(dst, "/o/"...)
	dst = c.options.Signer.Append(dst, tracking.Token{Purpose: tracking.Open, Group: r.group, Key: r.key})
	dst = append(dst, `.gif" width="1" height="1" alt=""><a href="`...)
	dst = append(append(dst, c.options.PublicURL...), "/c/"...)
	dst = c.options.Signer.Append(dst, tracking.Token{Purpose: tracking.Bait, Group: r.group, Key: r.key})
	return append(dst, `" style="display:none" aria-hidden="true" tabindex="-1"></a>`...)
}

func (c *compiler) senderField(name string) string {
	switch name {
	case "from_name":
		return c.options.Sender.FromName
	case "postal_address":
		return c.options.Sender.addressLine()
	case "site":
		return c.options.Sender.Site
	case "privacy_notice":
		return c.options.Sender.PrivacyNotice
	}
	return ""
}

// slot returns where rows keep a field of the contact.
func (c *compiler) slot(name string) int {
	slot, known := c.slots[name]
	if !known {
		slot = len(c.slots)
		c.slots[name] = slot
		c.skeleton.attributes = append(c.skeleton.attributes, name)
	}
	return slot
}

package fcm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/templates"
)

// content is the part of FCM's Message that differs between the rows of a chunk,
// all but the token.
type content struct {
	Notification notification      `json:"notification"`
	Data         map[string]string `json:"data,omitempty"`
}

// platforms is the part that does not: what each platform is told.
type platforms struct {
	Android android `json:"android"`
	APNS    headers `json:"apns"`
	Webpush headers `json:"webpush"`
}

type notification struct {
	Title string `json:"title,omitempty"`
	Body  string `json:"body,omitempty"`
}

type android struct {
	CollapseKey string `json:"collapse_key"`
	Priority    string `json:"priority"`
	TTL         string `json:"ttl"`
}

type headers struct {
	Headers map[string]string `json:"headers"`
}

// platforms tells each platform how long to keep a message, that it is not
// urgent, and that a second copy takes the place of the first.
// The last is a device's own guard against a message that reaches it twice.
func (p *Provider) platforms(group int64) platforms {
	id := "g" + strconv.FormatInt(group, 10)
	ttl := strconv.FormatInt(int64(p.config.TTL/time.Second), 10)
	expiry := strconv.FormatInt(p.config.Now().Add(p.config.TTL).Unix(), 10)
	return platforms{
		Android: android{CollapseKey: id, Priority: "normal", TTL: ttl + "s"},
		// 5 lets the phone choose the moment (APNs, apns-priority).
		APNS:    headers{map[string]string{"apns-collapse-id": id, "apns-expiration": expiry, "apns-priority": "5"}},
		Webpush: headers{map[string]string{"TTL": ttl, "Topic": id, "Urgency": "normal"}}, // RFC 8030, section 5
	}
}

// fill puts a row's values in, and reports whether the message is small enough.
func (c *content) fill(d channels.Draft, row int) bool {
	text := func(p templates.Part) string { return string(p.Append(nil, d.Sheet, row)) }
	c.Notification = notification{Title: text(d.Skeleton.Subject), Body: text(d.Skeleton.Text)}
	size := len(c.Notification.Title) + len(c.Notification.Body)
	for _, field := range d.Skeleton.Data {
		c.Data[field.Name] = text(field.Value)
		size += len(field.Name) + len(c.Data[field.Name])
	}
	return size <= maxPayload
}

// check refuses a draft that cannot be sent.
func check(d channels.Draft) error {
	if err := d.Check(audience.Push); err != nil {
		return fmt.Errorf("fcm: %w", err)
	}
	if len(d.Skeleton.Subject)+len(d.Skeleton.Text) == 0 {
		return fmt.Errorf("fcm: the message of group %d has neither title nor text", d.Group)
	}
	parts := []templates.Part{d.Skeleton.Subject, d.Skeleton.Text}
	for _, field := range d.Skeleton.Data {
		if reserved(field.Name) {
			return fmt.Errorf("fcm: the data field %q of group %d is FCM's own; name it otherwise", field.Name, d.Group)
		}
		parts = append(parts, field.Value)
	}
	for _, segment := range slices.Concat(parts...) {
		if segment.Hole >= d.Sheet.Columns() {
			return fmt.Errorf("fcm: the message of group %d has a hole %d, its rows have %d values", d.Group, segment.Hole, d.Sheet.Columns())
		}
	}
	return nil
}

// reserved reports whether FCM refuses data of the name (Message.data).
func reserved(name string) bool {
	return name == "" || name == "from" || name == "message_type" || strings.HasPrefix(name, "google.") || strings.HasPrefix(name, "gcm.notification.")
}

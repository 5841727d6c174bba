package outbox

import (
	"bytes"
	"encoding/json"
	"time"

	"utskick/audience"
	"utskick/templates"
)

// record is the file of an SMS or a push message.
type record struct {
	Channel audience.Channel  `json:"channel"`
	To      string            `json:"to"` // number in E.164, or token of a device
	From    string            `json:"from,omitempty"`
	Text    string            `json:"text,omitempty"`  // of an SMS
	Title   string            `json:"title,omitempty"` // of a push
	Body    string            `json:"body,omitempty"`  // of a push
	Data    map[string]string `json:"data,omitempty"`  // of a push
	Group   int64             `json:"group"`
	Key     string            `json:"key"`
	At      time.Time         `json:"at"`
}

func (c *call) record(row int, address string, now time.Time) ([]byte, error) {
	s := c.draft.Skeleton
	text := func(p templates.Part) string { return string(p.Append(nil, c.draft.Sheet, row)) }
	r := record{Channel: s.Channel, To: address, Group: c.draft.Group, Key: c.draft.Keys[row].String(), At: now.UTC()}
	switch s.Channel {
	case audience.SMS:
		r.From = s.Sender.SMSSender
		if s.Sender.SMSService != "" {
			r.From = s.Sender.SMSService
		}
		r.Text = text(s.Text)
	case audience.Push:
		r.Title, r.Body = text(s.Subject), text(s.Text)
		r.Data = make(map[string]string, len(s.Data))
		for _, f := range s.Data {
			r.Data[f.Name] = text(f.Value)
		}
	}
	buf := bytes.NewBuffer(c.buf[:0])
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(r)
	return buf.Bytes(), err
}

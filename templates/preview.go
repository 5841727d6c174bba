package templates

import (
	"encoding/json"
	"fmt"

	"utskick/tracking"
)

// Sample is a made-up contact to preview a template with.
type Sample struct {
	FirstName  string            `json:"first_name,omitempty"`
	LastName   string            `json:"last_name,omitempty"`
	Locale     string            `json:"locale,omitempty" doc:"Such as sv-SE"`
	Attributes map[string]string `json:"attributes,omitempty" doc:"Values of contact.<name>"`
}

// Shown is a message as a recipient would get it. HTML is empty on SMS and
// push; Data is the payload of a push message.
type Shown struct {
	Language string            `json:"language"`
	Subject  string            `json:"subject,omitempty"`
	HTML     string            `json:"html,omitempty"`
	Text     string            `json:"text"`
	Headers  map[string]string `json:"headers,omitempty"`
	Data     map[string]string `json:"data,omitempty"`
	Segments int               `json:"segments,omitempty" doc:"How many SMS it is paid as"`
}

// previewURL leads nowhere: links of a preview are not signed by our key, and
// following one must change nothing.
const previewURL = "https://preview.invalid"

// Preview fills a template in for a sample. A template that [Check] refuses is
// an error here, too.
func Preview(t Template, s Sender, language string, sample Sample) (Shown, error) {
	signer, err := tracking.NewSigner(make([]byte, 32))
	if err != nil {
		return Shown{}, err
	}
	targets, err := Targets(t, language)
	if err != nil {
		return Shown{}, err
	}
	links := make(map[string]int64, len(targets))
	for i, target := range targets {
		links[target] = int64(i + 1)
	}
	skeleton, err := Compile(t, language, Options{Sender: s, Topic: "preview", PublicURL: previewURL, Signer: signer, Links: links})
	if err != nil {
		return Shown{}, err
	}
	attributes, err := json.Marshal(sample.Attributes)
	if err != nil {
		return Shown{}, fmt.Errorf("preview: %w", err)
	}
	var sheet Sheet
	sheet.Reset(skeleton.Columns())
	r := Recipient{FirstName: sample.FirstName, LastName: sample.LastName, Locale: sample.Locale, Attributes: attributes, Tracked: true}
	r.Key[0] = 1
	if err := skeleton.Fill(&sheet, 1, r); err != nil {
		return Shown{}, err
	}
	return skeleton.show(&sheet), nil
}

// show puts the parts of the sheet's only row together.
func (s *Skeleton) show(sheet *Sheet) Shown {
	text := func(p Part) string { return string(p.Append(nil, sheet, 0)) }
	out := Shown{Language: s.Language, Subject: text(s.Subject), HTML: text(s.HTML), Text: text(s.Text)}
	if s.HTML == nil && len(s.Data) == 0 {
		out.Segments, _ = Segments(out.Text)
	}
	out.Headers, out.Data = fields(s.Headers, text), fields(s.Data, text)
	return out
}

func fields(from []Field, text func(Part) string) map[string]string {
	if len(from) == 0 {
		return nil
	}
	out := make(map[string]string, len(from))
	for _, f := range from {
		out[f.Name] = text(f.Value)
	}
	return out
}

package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"utskick/templates"
)

// NoticeVersions is what people were told of the use of their data, and when.
type NoticeVersions interface {
	// SaveNotice writes a version; of one that is known otherwise it returns a
	// [*templates.NoticeChanged].
	SaveNotice(ctx context.Context, n templates.PrivacyNotice) (templates.PrivacyNotice, error)
	// Notices lists all versions by sender, the newest first.
	Notices(ctx context.Context) ([]templates.PrivacyNotice, error)
}

const noticesTag = "Privacy notices"

// maxNotice bounds the body with a text, in bytes.
const maxNotice = 4 << 20

func (o *operator) registerNotices() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/notices", "list-notices", noticesTag, "List the versions of the privacy notices",
		"By sender, the newest first. What people consent and object to is kept with the version in force."), o.listNotices)
	save := operation(http.MethodPost, "/v1/notices", "save-notice", noticesTag, "Save a version of a privacy notice",
		"Saving it again changes nothing. The same version with another text, date or address is refused: what people were told is not exchanged.")
	save.DefaultStatus, save.MaxBodyBytes = http.StatusCreated, maxNotice
	huma.Register(o.api, save, o.saveNotice)
}

func (o *operator) listNotices(ctx context.Context, _ *struct{}) (*struct{ Body []templates.PrivacyNotice }, error) {
	all, err := o.c.Store.Notices(ctx)
	if err != nil {
		return nil, o.failed("privacy notice", err)
	}
	if all == nil {
		all = []templates.PrivacyNotice{}
	}
	return &struct{ Body []templates.PrivacyNotice }{all}, nil
}

// noticeFields is a version to save.
type noticeFields struct {
	Sender   string `json:"sender,omitempty" default:"*" doc:"Name of a sender, or * for all"`
	Version  string `json:"version" doc:"At most 63 letters, digits, dots, - and _"`
	Language string `json:"language,omitempty" doc:"Language of the text, such as sv"`
	Date     string `json:"date" doc:"The day from which it is in force, such as 2026-01-15"`
	URL      string `json:"url,omitempty" doc:"Web address where it stands"`
	Text     string `json:"text,omitempty" doc:"The text itself. Its SHA-256 is kept, and not the text"`
	Hash     string `json:"hash,omitempty" doc:"The SHA-256 instead of the text, in hexadecimal"`
}

func (o *operator) saveNotice(ctx context.Context, in *struct{ Body noticeFields }) (*struct{ Body templates.PrivacyNotice }, error) {
	b := in.Body
	n := templates.PrivacyNotice{Sender: b.Sender, Version: b.Version, Language: b.Language, Date: b.Date, URL: b.URL, Hash: b.Hash}
	if b.Text != "" {
		n.Hash = templates.HashNotice([]byte(b.Text))
		if b.Hash != "" && b.Hash != n.Hash {
			return nil, invalid(Violation{Field: "body.hash", Rule: "is not that of the text"})
		}
	}
	var refused *templates.NoticeError
	if errors.As(templates.CheckNotice(n), &refused) {
		return nil, invalid(fieldProblems(refused.Problems)...)
	}
	saved, err := o.c.Store.SaveNotice(ctx, n)
	var changed *templates.NoticeChanged
	switch {
	case errors.As(err, &changed):
		return nil, newProblem(http.StatusConflict, changed.Error())
	case err != nil:
		return nil, o.failed("privacy notice", err)
	}
	o.audit(ctx, "notice.save", n.Version, n.Sender)
	return &struct{ Body templates.PrivacyNotice }{saved}, nil
}

// fieldProblems says what is wrong with a record that a request's body is.
func fieldProblems(problems []templates.FieldProblem) []Violation {
	violations := make([]Violation, len(problems))
	for i, p := range problems {
		violations[i] = Violation{Field: "body." + p.Field, Rule: "needs " + p.Rule}
	}
	return violations
}

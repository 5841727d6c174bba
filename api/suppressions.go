package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"utskick/audience"
	"utskick/suppression"
)

const suppressionsTag = "Suppressions"

// entryView is an entry as the API shows it.
type entryView struct {
	Key       string    `json:"key" doc:"Key of the address, in hexadecimal"`
	Channel   string    `json:"channel"`
	Topic     string    `json:"topic"`
	Purpose   string    `json:"purpose"`
	Sender    string    `json:"sender"`
	Cause     string    `json:"cause"`
	Active    bool      `json:"active"`
	Source    string    `json:"source"`
	Evidence  string    `json:"evidence,omitempty"`
	Notice    string    `json:"notice,omitempty" doc:"Version of the privacy notice that was in force"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version"`
}

func viewEntries(entries []suppression.Entry) []entryView {
	views := make([]entryView, len(entries))
	for i, e := range entries {
		views[i] = entryView{e.Key.String(), e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause), e.Active, e.Source, e.Evidence,
			e.Notice, e.ExpiresAt, e.CreatedAt, e.Version}
	}
	return views
}

// wishFields is what a person does not allow. An empty scope is any.
type wishFields struct {
	Kind      string `json:"kind" enum:"email,phone,push,contact,key" doc:"What address is; a contact is named by its external id, a key in hexadecimal"`
	Address   string `json:"address" minLength:"1"`
	Channel   string `json:"channel,omitempty" enum:"*,email,sms,push,post,phone"`
	Topic     string `json:"topic,omitempty"`
	Purpose   string `json:"purpose,omitempty" enum:"*,marketing,profiling,open_tracking,ad_tracking,ad_list_sharing"`
	Sender    string `json:"sender,omitempty"`
	Cause     string `json:"cause,omitempty" default:"objected" enum:"objected,unsubscribed,stopped,complained,withdrawn,bounced,invalid,unregistered,push_off,paused"`
	Evidence  string `json:"evidence,omitempty" doc:"How it is known, such as the number of a case; no address"`
	ExpiresAt string `json:"expires_at,omitempty" doc:"RFC 3339; a pause needs one"`
}

// liftFields is a wish that is taken back.
type liftFields struct {
	Kind     string `json:"kind" enum:"email,phone,push,contact,key" doc:"What address is; a contact is named by its external id, a key in hexadecimal"`
	Address  string `json:"address" minLength:"1"`
	Channel  string `json:"channel,omitempty" enum:"*,email,sms,push,post,phone"`
	Topic    string `json:"topic,omitempty"`
	Purpose  string `json:"purpose,omitempty" enum:"*,marketing,profiling,open_tracking,ad_tracking,ad_list_sharing"`
	Sender   string `json:"sender,omitempty"`
	Cause    string `json:"cause" enum:"erased,objected,unsubscribed,stopped,complained,withdrawn,bounced,invalid,unregistered,push_off,paused"`
	Evidence string `json:"evidence" minLength:"1" doc:"How it is known that the person wants this, such as the number of a case; no address"`
}

func (o *operator) registerSuppressions() {
	add := operation(http.MethodPost, "/v1/suppressions", "add-suppression", suppressionsTag, "Record a wish",
		"When this answers, no send to the person can be started any more within the scope. A person's own word (objected, unsubscribed, stopped, complained, "+
			"withdrawn) holds for every address that the person has or had; the other causes for this address.")
	add.DefaultStatus = http.StatusCreated
	huma.Register(o.api, add, o.addSuppression)
	huma.Register(o.api, operation(http.MethodPost, "/v1/suppressions/lift", "lift-suppression", suppressionsTag, "Lift a wish",
		"Lifts the wish of exactly this scope and cause, for the addresses that recording it would cover. Other wishes of the person stay, and so does the "+
			"absence of a consent. What is not there is lifted without an effect. An unsubscribe by link has its channel, the purpose marketing, and any topic and sender."),
		o.liftSuppression)
	huma.Register(o.api, operation(http.MethodPost, "/v1/suppressions/check", "check-suppression", suppressionsTag, "Ask whether a message would be withheld",
		"Asks what the gate asks before a send."), o.checkSuppression)
	imports := operation(http.MethodPost, "/v1/suppressions/import", "import-suppressions", suppressionsTag, "Import a file of wishes",
		"A line that breaks a rule is listed and left out; the others are acknowledged when this answers. Sending a file again is harmless.")
	imports.RequestBody = csvBody("CSV in UTF-8 with a header: kind and address, and any of channel, topic, purpose, sender, cause, evidence, expires_at. " +
		"An empty scope is any, an empty cause is objected")
	huma.Register(o.api, imports, o.importSuppressions)
	export := operation(http.MethodGet, "/v1/suppressions", "export-suppressions", suppressionsTag, "Export the entries that block",
		"A file that import reads. Addresses are keys.")
	export.Responses = csvAnswer("CSV in UTF-8 with a header")
	huma.Register(o.api, export, o.exportSuppressions)
}

type recordedAnswer struct {
	Version int64 `json:"version" doc:"Version of the suppression index that has the wish"`
	Keys    int   `json:"keys" doc:"For how many addresses it was written"`
}

func (o *operator) addSuppression(ctx context.Context, in *struct{ Body wishFields }) (*struct{ Body recordedAnswer }, error) {
	b := in.Body
	wish, problems := o.reader.Wish(suppression.Fields{Kind: b.Kind, Address: b.Address, Channel: b.Channel, Topic: b.Topic, Purpose: b.Purpose,
		Sender: b.Sender, Cause: b.Cause, Evidence: b.Evidence, ExpiresAt: b.ExpiresAt})
	if len(problems) > 0 {
		return nil, invalid(rowProblems(problems, func(column string) string { return "body." + column })...)
	}
	return o.record(ctx, "suppression.add", wish)
}

func (o *operator) liftSuppression(ctx context.Context, in *struct{ Body liftFields }) (*struct{ Body recordedAnswer }, error) {
	b := in.Body
	wish, problems := o.reader.Lift(suppression.Fields{Kind: b.Kind, Address: b.Address, Channel: b.Channel, Topic: b.Topic, Purpose: b.Purpose,
		Sender: b.Sender, Cause: b.Cause, Evidence: b.Evidence})
	if len(problems) > 0 {
		return nil, invalid(rowProblems(problems, func(column string) string { return "body." + column })...)
	}
	return o.record(ctx, "suppression.lift", wish)
}

// record records a wish, under the name that the audit log has for it.
func (o *operator) record(ctx context.Context, action string, wish suppression.Wish) (*struct{ Body recordedAnswer }, error) {
	// A client that hangs up has still told us.
	recorded, err := o.c.Register.Record(context.WithoutCancel(ctx), wish)
	if err != nil {
		o.c.Log.Error("a wish was not recorded", "key", wish.Entry.Key.Short(), "error", err)
		return nil, newProblem(http.StatusServiceUnavailable, "the wish was not acknowledged; send it again until it is")
	}
	o.audit(ctx, action, wish.Entry.Key.Short(), string(wish.Entry.Cause))
	return &struct{ Body recordedAnswer }{recordedAnswer{recorded.Version, recorded.Keys}}, nil
}

type checkFields struct {
	Kind    string              `json:"kind" enum:"email,phone,push,contact,key" doc:"What address is; a contact is named by its external id, a key in hexadecimal"`
	Address string              `json:"address" minLength:"1"`
	Channel audience.Channel    `json:"channel,omitempty" enum:"email,sms,push,post,phone" doc:"Absent: the channel of the kind; a contact or a key needs one"`
	Topic   string              `json:"topic,omitempty"`
	Sender  string              `json:"sender,omitempty"`
	Purpose suppression.Purpose `json:"purpose,omitempty" default:"marketing" enum:"marketing,profiling,open_tracking,ad_tracking,ad_list_sharing"`
}

type checkAnswer struct {
	Suppressed bool              `json:"suppressed"`
	Cause      suppression.Cause `json:"cause,omitempty" doc:"The weightiest of all that match"`
	Version    int64             `json:"version" doc:"Version of the suppression index that was asked"`
}

var channelOfKind = map[string]audience.Channel{"email": audience.Email, "phone": audience.SMS, "push": audience.Push}

func (o *operator) checkSuppression(ctx context.Context, in *struct{ Body checkFields }) (*struct{ Body checkAnswer }, error) {
	b := in.Body
	if b.Channel == "" {
		b.Channel = channelOfKind[b.Kind]
	}
	var violations []Violation
	if b.Channel == "" {
		violations = append(violations, Violation{Field: "body.channel", Rule: "is needed for a contact or a key"})
	}
	key, err := o.reader.Key(b.Kind, b.Address)
	if err != nil {
		violations = append(violations, Violation{Field: "body.address", Rule: err.Error()})
	}
	if len(violations) > 0 {
		return nil, invalid(violations...)
	}
	keys, err := o.keysOf(ctx, b, key)
	if err != nil {
		return nil, o.failed("contact", err)
	}
	scope := suppression.Scope{Channel: b.Channel, Topic: b.Topic, Sender: b.Sender, Purpose: b.Purpose}
	cause, version, err := suppression.Check(ctx, o.c.Store, scope, keys...)
	if err != nil {
		return nil, o.failed("suppression", err)
	}
	return &struct{ Body checkAnswer }{checkAnswer{cause != "", cause, version}}, nil
}

// keysOf returns what the gate would ask for: the key of the address and that of
// its contact. Of a contact with several devices none is asked for: what holds
// for one of them does not hold for the others.
func (o *operator) keysOf(ctx context.Context, b checkFields, key audience.Key) ([]audience.Key, error) {
	if audience.Kind(b.Kind) != audience.KindContact {
		contacts, err := o.c.Store.ContactKeys(ctx, key)
		return append(contacts, key), err
	}
	id, err := audience.NormalizeExternalID(b.Address)
	if err != nil {
		return nil, err
	}
	c, err := o.c.Store.Contact(ctx, id)
	if errors.Is(err, o.c.NotFound) {
		return []audience.Key{key}, nil
	}
	var addresses []audience.Key
	for _, k := range o.c.Keyer.ContactKeys(c) {
		if k.Kind == b.Channel.Kind() {
			addresses = append(addresses, k.Key)
		}
	}
	if len(addresses) > 1 {
		addresses = nil
	}
	return append(addresses, key), err
}

// suppressionImportReport is what became of the lines of a file: lines =
// recorded + rejected.
type suppressionImportReport struct {
	suppression.FileReport
	Problems      []audience.Problem `json:"problems" doc:"What is wrong, by line; the first 1000"`
	ProblemsTotal int                `json:"problems_total"`
}

func (o *operator) importSuppressions(ctx context.Context, in *struct{ File upload }) (*struct{ Body suppressionImportReport }, error) {
	found := listed{problems: []audience.Problem{}}
	report, err := suppression.ImportFile(ctx, in.File.body, o.c.Register, o.c.Keyer, o.c.Region, suppression.FileOptions{Problems: found.add})
	o.audit(ctx, "suppressions.import", "file", fmt.Sprintf("%d recorded, %d rejected", report.Recorded, report.Rejected))
	if err != nil {
		return nil, o.stopped(err, fmt.Sprintf("the import stopped after %d lines were acknowledged; send the whole file again", report.Recorded))
	}
	return &struct{ Body suppressionImportReport }{suppressionImportReport{report, found.problems, found.total}}, nil
}

func (o *operator) exportSuppressions(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="suppressions.csv"`)
		out := &unhurriedWriter{w, http.NewResponseController(w)}
		n, err := suppression.WriteEntries(ctx, out, o.c.Store, o.c.Now())
		o.audit(ctx, "suppressions.export", "file", fmt.Sprintf("%d entries", n))
		if err != nil {
			o.c.Log.Error("an export stopped", "entries", n, "error", err)
			panic(http.ErrAbortHandler) // a half file must not look like a whole one
		}
	}}, nil
}

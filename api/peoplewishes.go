package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"utskick/audience"
	"utskick/suppression"
)

// personWish is what a person told customer service.
type personWish struct {
	Choice  string `json:"choice,omitempty" enum:"kind,email,sms,push,post,phone,marketing,everything,pause30,pause90,profiling,ads,opens" doc:"One of the choices of the preference page; kind needs a topic"`
	Channel string `json:"channel,omitempty" enum:"*,email,sms,push,post,phone"`
	Topic   string `json:"topic,omitempty" doc:"Kind of message; narrows a choice, too"`
	Purpose string `json:"purpose,omitempty" enum:"*,marketing,profiling,open_tracking,ad_tracking,ad_list_sharing"`
	Sender  string `json:"sender,omitempty" doc:"Narrows a choice, too"`
	Cause   string `json:"cause,omitempty" enum:"objected,withdrawn,paused" doc:"Absent: objected, or paused where until is given"`
	Until   string `json:"until,omitempty" doc:"RFC 3339: when a pause ends"`
	Case    string `json:"case,omitempty" maxLength:"64" doc:"Number of the case in another system; no address and no identity number"`
}

// personLift is a wish that a person takes back.
type personLift struct {
	Channel string `json:"channel" enum:"*,email,sms,push,post,phone"`
	Topic   string `json:"topic" minLength:"1"`
	Purpose string `json:"purpose" enum:"*,marketing,profiling,open_tracking,ad_tracking,ad_list_sharing"`
	Sender  string `json:"sender" minLength:"1"`
	Cause   string `json:"cause" enum:"objected,unsubscribed,stopped,complained,withdrawn,bounced,invalid,unregistered,push_off,paused"`
	Case    string `json:"case" minLength:"1" maxLength:"64" doc:"Number of the case in another system; no address and no identity number"`
}

// wishesAnswer says what stands when a wish is acknowledged.
type wishesAnswer struct {
	Keys   int        `json:"keys" doc:"For how many addresses it was written"`
	Wishes []wishView `json:"wishes" doc:"All wishes of the person as they are now"`
}

func (o *operator) addWish(ctx context.Context, in *struct {
	ID   string `path:"id" doc:"Number of a contact, or a key in hexadecimal"`
	Body personWish
}) (*struct{ Body wishesAnswer }, error) {
	p, err := o.person(ctx, in.ID)
	if err != nil {
		return nil, o.failed(noPerson, err)
	}
	if err := o.setWish(ctx, p, in.Body); err != nil {
		return nil, err
	}
	return o.wishesNow(ctx, p, len(p.keys()))
}

func (o *operator) liftWish(ctx context.Context, in *struct {
	ID   string `path:"id" doc:"Number of a contact, or a key in hexadecimal"`
	Body personLift
}) (*struct{ Body wishesAnswer }, error) {
	p, err := o.person(ctx, in.ID)
	if err != nil {
		return nil, o.failed(noPerson, err)
	}
	n, err := o.unsetWish(ctx, p, in.Body)
	if err != nil {
		return nil, err
	}
	return o.wishesNow(ctx, p, n)
}

func (o *operator) wishesNow(ctx context.Context, p person, keys int) (*struct{ Body wishesAnswer }, error) {
	entries, err := o.c.Store.Entries(ctx, p.keys())
	if err != nil {
		return nil, o.failed(noPerson, err)
	}
	return &struct{ Body wishesAnswer }{wishesAnswer{keys, wishesOf(entries, o.c.Now())}}, nil
}

// setWish records what a person told us. When it returns nil, it is
// acknowledged.
func (o *operator) setWish(ctx context.Context, p person, w personWish) error {
	number, err := suppression.CaseNumber(w.Case)
	if err != nil {
		return invalid(Violation{Field: "body.case", Rule: err.Error()})
	}
	read := o.readScope
	if w.Choice != "" {
		read = o.readChoice
	}
	wishes, violations := read(p.key, w, number)
	if len(violations) > 0 {
		return invalid(violations...)
	}
	if err := o.recordFor(ctx, p, wishes); err != nil {
		return err
	}
	for _, wish := range wishes {
		o.audit(ctx, "wish.set", p.object(), auditWish(wish.Entry, number))
	}
	return nil
}

// readChoice reads one of the usual wishes. What it is about is in the choice
// alone; whose messages, and of which kind, may be narrowed.
func (o *operator) readChoice(key audience.Key, w personWish, number string) ([]suppression.Wish, []Violation) {
	var violations []Violation
	for field, text := range map[string]string{"body.channel": w.Channel, "body.purpose": w.Purpose, "body.cause": w.Cause, "body.until": w.Until} {
		if text != "" {
			violations = append(violations, Violation{Field: field, Rule: "is not needed beside choice, which says it"})
		}
	}
	if w.Choice == string(suppression.StopKind) && w.Topic == "" {
		violations = append(violations, Violation{Field: "body.topic", Rule: "is empty: say which kind of message"})
	}
	behalf := suppression.Behalf{Key: key, Topic: w.Topic, Who: w.Sender, Case: number, At: o.c.Now()}
	wishes := behalf.Wishes(suppression.Choice(w.Choice))
	if len(wishes) == 0 {
		return nil, append(violations, Violation{Field: "body.choice", Rule: fmt.Sprintf("is not one of %v", suppression.Choices)})
	}
	// The reader knows the rules for what is narrowed.
	_, problems := o.reader.Wish(suppression.Fields{Kind: byKey, Address: key.String(), Topic: w.Topic, Sender: w.Sender})
	return wishes, append(violations, rowProblems(problems, inBody)...)
}

// readScope reads a wish with a scope of its own.
func (o *operator) readScope(key audience.Key, w personWish, number string) ([]suppression.Wish, []Violation) {
	if w.Channel == "" && w.Topic == "" && w.Purpose == "" && w.Sender == "" {
		return nil, []Violation{{Field: "body", Rule: "says nothing: give a choice, or a channel, topic, purpose or sender; * is any"}}
	}
	cause := w.Cause
	if cause == "" && w.Until != "" {
		cause = string(suppression.Paused)
	}
	reader := o.reader
	reader.Source = suppression.SourceService
	wish, problems := reader.Wish(suppression.Fields{Kind: byKey, Address: key.String(), Channel: w.Channel, Topic: w.Topic, Purpose: w.Purpose,
		Sender: w.Sender, Cause: cause, Evidence: suppression.CaseEvidence(number), ExpiresAt: w.Until})
	violations := rowProblems(problems, inBody)
	if len(problems) == 0 && !wish.Entry.ExpiresAt.IsZero() && !wish.Entry.ExpiresAt.After(o.c.Now()) {
		violations = append(violations, Violation{Field: "body.until", Rule: "is past"})
	}
	// A pause, too, is the person's own word here.
	wish.Person = true
	return []suppression.Wish{wish}, violations
}

func inBody(column string) string {
	switch column {
	case "expires_at":
		return "body.until"
	case "evidence":
		return "body.case"
	}
	return "body." + column
}

// notLiftedHere says how the wishes are lifted that need more than a case number.
var notLiftedHere = map[suppression.Cause]string{
	suppression.Restricted: "restricted is lifted by its case alone, with the day on which the person was informed: she must be before (GDPR 18(3))",
	suppression.Erased:     "erased is lifted by suppressions lift alone, when she comes back herself with a new consent",
}

// LiftedBy says how the wish is lifted where the page of the person offers no
// button for it.
func (w wishView) LiftedBy() string { return notLiftedHere[suppression.Cause(w.Cause)] }

// unsetWish lifts a wish, and returns for how many addresses it was in force.
func (o *operator) unsetWish(ctx context.Context, p person, l personLift) (int, error) {
	number, err := suppression.CaseNumber(l.Case)
	if err == nil && number == "" {
		err = fmt.Errorf("is empty: a wish is lifted for a case alone, which shows that the person wants it")
	}
	if err != nil {
		return 0, invalid(Violation{Field: "body.case", Rule: err.Error()})
	}
	if rule := notLiftedHere[suppression.Cause(l.Cause)]; rule != "" {
		return 0, invalid(Violation{Field: "body.cause", Rule: rule})
	}
	entries, err := o.c.Store.Entries(ctx, p.keys())
	if err != nil {
		return 0, o.failed(noPerson, err)
	}
	wish := suppression.Entry{Channel: l.Channel, Topic: l.Topic, Purpose: l.Purpose, Sender: l.Sender, Cause: suppression.Cause(l.Cause)}
	lifts := suppression.Behalf{Case: number}.Lifts(wish, entries)
	if len(lifts) == 0 {
		return 0, nil
	}
	if err := o.recordFor(ctx, p, lifts); err != nil {
		return 0, err
	}
	o.audit(ctx, "wish.lift", p.object(), auditWish(wish, number))
	return len(lifts), nil
}

// recordFor returns when the wishes are acknowledged, together.
func (o *operator) recordFor(ctx context.Context, p person, wishes []suppression.Wish) error {
	for chunk := range slices.Chunk(wishes, suppression.ImportSize) {
		// A client that hangs up has still told us.
		if err := o.c.Register.RecordAll(context.WithoutCancel(ctx), chunk); err != nil {
			o.c.Log.Error("a wish was not recorded", "key", p.key.Short(), "error", err)
			return newProblem(http.StatusServiceUnavailable, "the wish was not acknowledged; send it again until it is")
		}
	}
	return nil
}

// auditWish says which wish, and in which case: channel, topic, purpose, sender.
func auditWish(e suppression.Entry, number string) string {
	text := fmt.Sprintf("%s: %s/%s/%s/%s", e.Cause, e.Channel, e.Topic, e.Purpose, e.Sender)
	if !e.ExpiresAt.IsZero() {
		text += " until " + e.ExpiresAt.UTC().Format(time.DateOnly)
	}
	if number != "" {
		text += ", case " + number
	}
	return text
}

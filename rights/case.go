// Package rights says what a person may ask for, and what becomes of it: which
// columns of the database hold data about her, what an access export contains, how
// an erasure proceeds, cases with their clock, how long anything about her is kept,
// and what the data protection officer is shown. It knows nothing of SQL or HTTP.
package rights

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"utskick/audience"
	"utskick/suppression"
)

// CaseKind is what a person asks for.
type CaseKind string

// The kinds of cases, with their articles of the GDPR.
const (
	CaseAccess        CaseKind = "access"        // 15
	CaseRectification CaseKind = "rectification" // 16
	CaseErasure       CaseKind = "erasure"       // 17
	CaseRestriction   CaseKind = "restriction"   // 18
	CasePortability   CaseKind = "portability"   // 20
	CaseObjection     CaseKind = "objection"     // 21(2): to direct marketing
	CaseQuestion      CaseKind = "question"
	CaseComplaint     CaseKind = "complaint"
)

// CaseKinds lists all kinds.
var CaseKinds = []CaseKind{CaseAccess, CaseRectification, CaseErasure, CaseRestriction, CasePortability, CaseObjection, CaseQuestion, CaseComplaint}

// Way is how a case reached us. Every way counts (GDPR 12(2)).
type Way string

// Ways lists all ways.
var Ways = []Way{"mail", "phone", "letter", "chat", "web"}

// CaseState is how far a case has come.
type CaseState string

// The states. Extended is open, with two more months.
const (
	CaseOpen     CaseState = "open"
	CaseExtended CaseState = "extended"
	CaseAnswered CaseState = "answered"
	CaseRefused  CaseState = "refused"
	CaseClosed   CaseState = "closed"
)

// CaseStates lists all states.
var CaseStates = []CaseState{CaseOpen, CaseExtended, CaseAnswered, CaseRefused, CaseClosed}

// Waiting says whether the person waits for an answer.
func (s CaseState) Waiting() bool { return s == CaseOpen || s == CaseExtended }

// Route is who deals with a case.
type Route string

// The routes.
const (
	RouteService Route = "service" // customer service
	RouteOfficer Route = "officer" // the data protection officer
)

// Routes lists all routes.
var Routes = []Route{RouteService, RouteOfficer}

// IdentityMethod is how it was made sure that a person is who she says she is. No
// number and no signature of hers is kept.
type IdentityMethod string

// IdentityMethods lists all methods. The last says that there was no doubt
// (GDPR 12(6) asks for more only where there is one).
var IdentityMethods = []IdentityMethod{"callback_known_number", "code_known_address", "in_store", "paper_request", "e_identification", "not_needed"}

// IdentityCheck says how, by whom and when identity was checked.
type IdentityCheck struct {
	Method IdentityMethod
	By     string // name of a key to the API
	At     time.Time
}

// Note is what somebody wrote down about a case.
type Note struct {
	At   time.Time
	By   string
	Text string
}

// Case is one matter of one person.
type Case struct {
	ID       int64
	Kind     CaseKind
	Way      Way
	Received time.Time
	Due      time.Time // the day by which it is to be answered, at midnight UTC
	State    CaseState
	Route    Route
	Opened   time.Time
	OpenedBy string

	// Contact is the external id of the person, if she is a contact, and Key the
	// key of her, or else of the address that she came by. Neither: nobody knows.
	Contact string
	Key     audience.Key
	// External is the number of the paper case, in another register.
	External string

	Identity IdentityCheck // zero: not checked

	ExtendedReason string
	ExtendedTold   time.Time // when she was told that it takes longer, and why

	Outcome string // what she was answered, or why she was refused
	Ended   time.Time
	EndedBy string

	Notes []Note // the oldest first; not in lists
}

// CaseFilter narrows a list of cases. What is empty narrows nothing.
type CaseFilter struct {
	Waiting bool // for an answer
	Overdue bool
	Route   Route
	Kind    CaseKind
	After   int64 // id of the last case of the page before
	Limit   int
}

// Cases is where cases are kept.
type Cases interface {
	// OpenCase keeps a new case, and returns it with its id.
	OpenCase(ctx context.Context, c Case) (Case, error)
	// Case returns a case with its notes.
	Case(ctx context.Context, id int64) (Case, error)
	// Cases returns up to limit cases with an id above after, in the order of
	// their ids, without notes. today is the day that overdue is judged by.
	Cases(ctx context.Context, f CaseFilter, today time.Time) ([]Case, error)
	// ChangeCase lets change alter a case and keeps the result, unless change
	// returns an error. A note that change appends is kept, too.
	ChangeCase(ctx context.Context, id int64, change func(*Case) error) (Case, error)
}

// Broken is a rule that a request about a case breaks.
type Broken struct{ Field, Rule string }

func (b Broken) Error() string { return b.Field + ": " + b.Rule }

// Open begins a case: due a month after it was received.
func (c *Case) Open(now time.Time, by string) error {
	c.State, c.Opened, c.OpenedBy = CaseOpen, now, by
	if c.Route == "" {
		c.Route = RouteService
	}
	if c.Received.IsZero() {
		c.Received = now
	}
	c.External = strings.TrimSpace(c.External)
	c.Due = MonthsAfter(c.Received, 1)
	switch {
	case !slices.Contains(CaseKinds, c.Kind):
		return Broken{"kind", fmt.Sprintf("is not one of %v", CaseKinds)}
	case !slices.Contains(Ways, c.Way):
		return Broken{"way", fmt.Sprintf("is not one of %v", Ways)}
	case !slices.Contains(Routes, c.Route):
		return Broken{"route", fmt.Sprintf("is not one of %v", Routes)}
	case c.Received.After(now.Add(24 * time.Hour)):
		return Broken{"received_at", "is in the future"}
	case c.Key.IsZero() && c.Kind != CaseQuestion && c.Kind != CaseComplaint:
		return Broken{"person", "is missing: a case of this kind is about somebody"}
	}
	return freeText("external_case", c.External, false, maxReference)
}

// MonthsAfter returns the day that lies so many months after the day of t, in t's
// own zone, at midnight UTC: the day of the same number, or the last of the month
// where there is none (Regulation 1182/71, article 3(2)(c)). That a period which
// ends on a holiday may last until the next working day is not made use of.
func MonthsAfter(t time.Time, months int) time.Time {
	y, m, d := t.Date()
	last := time.Date(y, m+time.Month(months)+1, 0, 0, 0, 0, 0, time.UTC)
	if day := last.Day(); d > day {
		d = day
	}
	return time.Date(last.Year(), last.Month(), d, 0, 0, 0, 0, time.UTC)
}

// DayOf returns the day of t in its own zone, at midnight UTC.
func DayOf(t time.Time) time.Time { return MonthsAfter(t, 0) }

// Overdue says whether the person should have had her answer before today.
func (c Case) Overdue(now time.Time) bool { return c.State.Waiting() && DayOf(now).After(c.Due) }

// InTime says whether a case that has ended did so by its day.
func (c Case) InTime() bool { return !c.Ended.IsZero() && !DayOf(c.Ended).After(c.Due) }

// Check notes that identity was checked. Whoever objects to marketing is not asked
// for it (GDPR 12(2), 21(2)-(3)): the objection is in force already.
func (c *Case) Check(method IdentityMethod, by string, now time.Time) error {
	if c.Kind == CaseObjection {
		return Broken{"method", "an objection to marketing needs no identification and no paper (GDPR 12(2), 21(2)-(3)); it is in force already"}
	}
	if !slices.Contains(IdentityMethods, method) {
		return Broken{"method", fmt.Sprintf("is not one of %v", IdentityMethods)}
	}
	if err := c.waiting(); err != nil {
		return err
	}
	c.Identity = IdentityCheck{method, by, now}
	return nil
}

// Extend gives a case two more months, once. The person must have been told so,
// and why, within the first one (GDPR 12(3)).
func (c *Case) Extend(reason string, told, now time.Time) error {
	reason = strings.TrimSpace(reason)
	switch {
	case c.Kind == CaseObjection:
		return Broken{"case", "an objection to marketing is in force already; there is nothing to wait for"}
	case c.State == CaseExtended:
		return Broken{"case", "was extended before: once is all that the law allows (GDPR 12(3))"}
	case c.waiting() != nil:
		return c.waiting()
	case told.IsZero():
		return Broken{"told_at", "is missing: the person is told of the extension and its reasons first (GDPR 12(3))"}
	case told.After(now.Add(24 * time.Hour)):
		return Broken{"told_at", "is in the future: tell the person first"}
	case DayOf(told).After(c.Due) || told.Before(c.Received.AddDate(0, 0, -1)):
		return Broken{"told_at", "is not within the first month, by the end of which the person has to be told (GDPR 12(3))"}
	}
	if err := freeText("reason", reason, true, maxNote); err != nil {
		return err
	}
	// From the day by which it was due: never later than three months after it came.
	c.State, c.ExtendedReason, c.ExtendedTold, c.Due = CaseExtended, reason, told, MonthsAfter(c.Due, 2)
	return nil
}

// Reroute hands a case over.
func (c *Case) Reroute(to Route) error {
	if !slices.Contains(Routes, to) {
		return Broken{"route", fmt.Sprintf("is not one of %v", Routes)}
	}
	if err := c.waiting(); err != nil {
		return err
	}
	c.Route = to
	return nil
}

// Write adds a note.
func (c *Case) Write(text, by string, now time.Time) error {
	text = strings.TrimSpace(text)
	if err := freeText("text", text, true, maxNote); err != nil {
		return err
	}
	c.Notes = append(c.Notes, Note{now, by, text})
	return nil
}

// Ends are the ways in which a case may end.
var Ends = []CaseState{CaseAnswered, CaseRefused, CaseClosed}

// End ends a case. What is given out or changed is the person's alone, so somebody
// must have noted how it is known that she is who she says. A closed case needs no
// answer: she took it back, or it was one that is there already.
func (c *Case) End(as CaseState, outcome, by string, now time.Time) error {
	outcome = strings.TrimSpace(outcome)
	switch {
	case !slices.Contains(Ends, as):
		return Broken{"state", fmt.Sprintf("is not one of %v", Ends)}
	case c.waiting() != nil:
		return c.waiting()
	case as == CaseRefused && c.Kind == CaseObjection:
		return Broken{"case", "an objection to marketing cannot be refused (GDPR 21(3))"}
	case as == CaseAnswered && c.needsIdentity() && c.Identity.Method == "":
		return Broken{"identity", "was not checked: note how first, or that there was no doubt (not_needed)"}
	}
	if err := freeText("outcome", outcome, c.Kind != CaseObjection, maxNote); err != nil {
		return err
	}
	c.State, c.Outcome, c.Ended, c.EndedBy = as, outcome, now, by
	return nil
}

func (c *Case) needsIdentity() bool {
	return !slices.Contains([]CaseKind{CaseObjection, CaseQuestion, CaseComplaint}, c.Kind)
}

func (c *Case) waiting() error {
	if c.State.Waiting() {
		return nil
	}
	return Broken{"case", "is " + string(c.State) + ": it has ended"}
}

const (
	maxNote      = 4000 // bytes
	maxReference = 100
)

// freeText judges what somebody wrote.
func freeText(field, text string, needed bool, most int) error {
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }
	switch {
	case needed && text == "":
		return Broken{field, "is empty"}
	case len(text) > most:
		return Broken{field, fmt.Sprintf("is longer than %d bytes", most)}
	case strings.ContainsFunc(text, control):
		return Broken{field, "has a control character"}
	case audience.HasIdentityNumber(text):
		return Broken{field, "has what looks like a Swedish personal identity or coordination number: " +
			"this register keeps none; leave it out, and give the number of the paper case instead"}
	}
	return nil
}

// AsBroken returns the rule that an error tells of, if it is one.
func AsBroken(err error) (Broken, bool) {
	var b Broken
	ok := errors.As(err, &b)
	return b, ok
}

// Lift says whether the restriction that a case began may be lifted: the person is
// to be informed before it is (GDPR 18(3)).
func (c Case) Lift(informed, now time.Time) error {
	switch {
	case c.Kind != CaseRestriction:
		return Broken{"case", "is no restriction"}
	case c.Key.IsZero():
		return Broken{"case", "names nobody any more: open a case of restriction for her, and lift that"}
	case informed.IsZero():
		return Broken{"informed_at", "is missing: the person must be informed before the restriction is lifted (GDPR 18(3)); inform her, and say when"}
	case informed.After(now):
		return Broken{"informed_at", "is in the future: the person must be informed before the restriction is lifted (GDPR 18(3))"}
	}
	return nil
}

// Wish returns what a case of the kind asks of every send from now on, and whether
// it asks for anything: an objection for an end of marketing and the profiling
// for it (GDPR 21(2)-(3)), a restriction for a rest of everything (18(1)). by is
// the name of who took it.
func (c Case) Wish(by string) (suppression.Wish, bool) {
	w := suppression.Wish{Person: true, Entry: suppression.Entry{Key: c.Key, Channel: suppression.Any, Topic: suppression.Any, Purpose: suppression.Any,
		Sender: suppression.Any, Active: true, Source: "operator", Evidence: "case of " + string(c.Kind) + " opened by " + by}}
	switch c.Kind {
	case CaseObjection:
		w.Entry.Cause = suppression.Objected
	case CaseRestriction:
		w.Entry.Cause = suppression.Restricted
	default:
		return suppression.Wish{}, false
	}
	return w, true
}

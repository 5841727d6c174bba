package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"utskick/suppression"
)

const peoplePath = "/ops/people"

// usualWish is a button for a wish that people often have.
type usualWish struct {
	Choice suppression.Choice
	Label  string
}

var usualWishes = []usualWish{
	{suppression.StopEmail, "No marketing by e-mail"},
	{suppression.StopSMS, "No marketing by SMS"},
	{suppression.StopPush, "No push messages"},
	{suppression.StopPost, "No marketing by post"},
	{suppression.StopPhone, "No marketing by phone"},
	{suppression.StopMarketing, "No marketing at all"},
	{suppression.StopEverything, "Nothing at all: no marketing, profiling, tracking or sharing"},
	{suppression.NoProfiling, "No profiling"},
	{suppression.NoAdSharing, "No sharing with ad platforms"},
	{suppression.NoOpenTracking, "No tracking of opens"},
	{suppression.Pause30, "Pause for 30 days"},
	{suppression.Pause90, "Pause for 90 days"},
}

// peoplePage is the search, and what it has found.
type peoplePage struct {
	frame
	Failed string // why there was no search
	Asked  bool
	Found  foundAnswer
	BySays string
}

// byWords says what somebody was found by, or what a text was taken for.
var byWords = map[string]string{"email": "e-mail address", "phone": "phone number", "push": "push token", "contact": "external id",
	byContactID: "number of the contact", byKey: "key", byLink: "link of a message", byMessage: "id of a message"}

// personPage is a person with the forms for her wishes.
type personPage struct {
	frame
	personView
	Name     string
	MaySet   bool
	Usual    []usualWish
	Senders  []string
	Topics   []string
	InForce  []wishView
	Former   []wishView
	Done     string
	Wrong    []Violation
	Newer    bool
	Channels []string
}

func (o *operator) registerPeoplePages() {
	o.routes.HandleFunc("GET "+peoplePath, func(w http.ResponseWriter, r *http.Request) {
		o.pages.write(w, http.StatusOK, "people", peoplePage{frame: o.frame(r, "People")})
	})
	o.routes.HandleFunc("POST "+peoplePath, o.findOnPage)
	o.routes.HandleFunc("GET "+peoplePath+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		o.showPerson(w, r, http.StatusOK, nil)
	})
	o.routes.HandleFunc("POST "+peoplePath+"/{id}/wishes", o.setOnPage)
	o.routes.HandleFunc("POST "+peoplePath+"/{id}/lift", o.liftOnPage)
}

// findOnPage leads to the person, if one is found. What was asked is neither in
// the address of the page nor on it.
func (o *operator) findOnPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	page := peoplePage{frame: o.frame(r, "People")}
	text := strings.TrimSpace(r.PostFormValue("text"))
	if text == "" {
		page.Failed = "Give something to look for."
		o.pages.write(w, http.StatusUnprocessableEntity, "people", page)
		return
	}
	found, err := o.find(r.Context(), text, "")
	if err != nil {
		o.pageFailed(w, r, "person", err)
		return
	}
	o.auditFinding(r.Context(), found)
	if len(found.People) == 1 {
		http.Redirect(w, r, peoplePath+"/"+found.People[0].ID, http.StatusSeeOther)
		return
	}
	page.Asked, page.Found, page.BySays = true, found, byWords[found.By]
	o.pages.write(w, http.StatusOK, "people", page)
}

// onPage is how many communications a page shows, about.
const onPage = 50

// doneWords say what was done before a page is shown.
var doneWords = map[string]string{
	"set":    "The wish is recorded. From now on no message that it forbids is sent.",
	"lifted": "The wish is lifted.",
	"none":   "This wish was not in force any more. Nothing was changed.",
}

func (o *operator) showPerson(w http.ResponseWriter, r *http.Request, status int, wrong []Violation) {
	ctx := r.Context()
	p, err := o.person(ctx, r.PathValue("id"))
	if err != nil {
		o.pageFailed(w, r, noPerson, err)
		return
	}
	cursor, err := strconv.ParseInt(r.URL.Query().Get("cursor"), 10, 64)
	if err != nil || cursor < 0 {
		cursor = 0
	}
	v, err := o.file(ctx, p, from(cursor), onPage)
	if err != nil {
		o.pageFailed(w, r, noPerson, err)
		return
	}
	page := personPage{frame: o.frame(r, "Person"), personView: v, Name: "Key " + p.key.Short() + "…", Usual: usualWishes, Newer: cursor > 0,
		Wrong: wrong, Done: doneWords[r.URL.Query().Get("done")], Channels: []string{"email", "sms", "push", "post", "phone"}}
	if v.Contact != nil {
		page.Name = strings.TrimSpace(v.Contact.FirstName + " " + v.Contact.LastName)
		if page.Name == "" {
			page.Name = "Contact " + v.Contact.ExternalID
		}
	}
	page.Title = page.Name
	page.MaySet = mayDo(visitorOf(ctx).scope, http.MethodPost, peoplePath+"/{id}/wishes")
	i := slices.IndexFunc(v.Wishes, func(w wishView) bool { return w.State != "in_force" })
	if i < 0 {
		i = len(v.Wishes)
	}
	page.InForce, page.Former = v.Wishes[:i], v.Wishes[i:]
	if page.Senders, page.Topics, err = o.namesForWishes(ctx); err != nil {
		o.pageFailed(w, r, "sender", err)
		return
	}
	o.audit(ctx, "person.show", p.object(), "")
	o.pages.write(w, status, "person", page)
}

// namesForWishes returns the senders, and the kinds of messages that they name.
func (o *operator) namesForWishes(ctx context.Context) (names, topics []string, err error) {
	senders, err := o.c.Store.Senders(ctx)
	known := map[string]bool{}
	for _, s := range senders {
		names = append(names, s.Name)
		for topic := range s.Topics {
			known[topic] = true
		}
	}
	slices.Sort(names)
	return names, slices.Sorted(maps.Keys(known)), err
}

func (o *operator) setOnPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	p, err := o.person(r.Context(), r.PathValue("id"))
	if err != nil {
		o.pageFailed(w, r, noPerson, err)
		return
	}
	field := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	err = o.setWish(r.Context(), p, personWish{Choice: field("choice"), Topic: field("topic"), Sender: field("sender"), Case: field("case")})
	o.afterWish(w, r, p, "set", err)
}

func (o *operator) liftOnPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	p, err := o.person(r.Context(), r.PathValue("id"))
	if err != nil {
		o.pageFailed(w, r, noPerson, err)
		return
	}
	n, err := o.unsetWish(r.Context(), p, personLift{Channel: r.PostFormValue("channel"), Topic: r.PostFormValue("topic"), Purpose: r.PostFormValue("purpose"),
		Sender: r.PostFormValue("sender"), Cause: r.PostFormValue("cause"), Case: r.PostFormValue("case")})
	o.afterWish(w, r, p, map[bool]string{true: "lifted", false: "none"}[n > 0], err)
}

// afterWish goes back to the person, or says there what is wrong.
func (o *operator) afterWish(w http.ResponseWriter, r *http.Request, p person, done string, err error) {
	var wrong *ProblemDetails
	switch {
	case err == nil:
		http.Redirect(w, r, peoplePath+"/"+p.id+"?done="+done, http.StatusSeeOther)
	case errors.As(err, &wrong) && wrong.Status == http.StatusUnprocessableEntity:
		o.showPerson(w, r, wrong.Status, fieldsOnPage(wrong.Errors))
	case errors.As(err, &wrong):
		o.pages.write(w, wrong.Status, "failed", struct {
			frame
			Detail string
		}{o.frame(r, wrong.Title), wrong.Detail})
	default:
		o.pageFailed(w, r, noPerson, err)
	}
}

// fieldsOnPage names the fields as the page does.
func fieldsOnPage(violations []Violation) []Violation {
	names := map[string]string{"body.case": "The case number", "body.topic": "The kind of message", "body.sender": "The sender", "body.choice": "The wish", "body.cause": "A wish that is", "body": "The wish"}
	onPage := make([]Violation, len(violations))
	for i, v := range violations {
		onPage[i] = v
		if name := names[v.Field]; name != "" {
			onPage[i].Field = name
		}
	}
	return onPage
}

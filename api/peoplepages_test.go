package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/tracking"
)

func TestPeopleOnPages(t *testing.T) {
	s, desk := newService(t)
	cookie, csrf := s.session(desk)
	send := func(path string, fields url.Values) answer {
		fields.Set("csrf", csrf)
		return s.as("", http.MethodPost, path, fields.Encode(), "Content-Type", form, "Cookie", cookie)
	}
	show := func(path string) answer { return s.as("", http.MethodGet, path, "", "Cookie", cookie) }
	pages := map[string]string{"search": show("/ops/people").body}

	a := send("/ops/people", url.Values{"text": {"anna@example.com"}})
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/ops/people/1" {
		t.Fatalf("%d to %s", a.status, a.header.Get("Location"))
	}
	a = send("/ops/people", url.Values{"text": {"bo@example.com"}})
	key := s.key(audience.KindEmail, "bo@example.com").String()
	if pages["nobody"] = a.body; !strings.Contains(a.body, "/ops/people/"+key) || strings.Contains(a.body, "bo@") {
		t.Error(a.body)
	}
	pages["empty"] = send("/ops/people", url.Values{"text": {" "}}).body
	pages["key"] = show("/ops/people/" + key).body

	a = send("/ops/people/1/wishes", url.Values{"choice": {"sms"}, "case": {"7"}, "topic": {""}, "sender": {"exempel"}})
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/ops/people/1?done=set" {
		t.Fatalf("%d to %s: %s", a.status, a.header.Get("Location"), a.body)
	}
	a = send("/ops/people/1/wishes", url.Values{"choice": {"sms"}, "case": {"anna@example.com"}})
	if pages["wrong"] = a.body; a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "The case number has an @") {
		t.Errorf("%d: %s", a.status, a.body)
	}
	s.store.history["k-17"] = []dispatcher.Communication{{Campaign: "höst <b>", Run: 2, Channel: audience.Email, Outcome: "in_doubt", Cause: "no_answer", At: begin,
		Events: []tracking.Event{{Type: tracking.Opens, At: begin, Machine: tracking.ImageProxy}}}}
	s.store.pastGrants = []suppression.PastGrant{{Grant: suppression.Grant{Purpose: "open_tracking", Sender: "*", Granted: true}, WithdrawnAt: begin, Version: 9}}
	a = show("/ops/people/1?done=set")
	pages["person"] = a.body
	for _, want := range []string{"<h1>Anna</h1>", "No marketing by SMS from exempel: the person has objected", "service: case 7", "höst &lt;b&gt;",
		"Sent or not: nobody knows: the provider has not answered", "by a machine: image_proxy", `role="status"`, `<option>exempel</option>`, "taken back"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	lift := url.Values{"channel": {"sms"}, "topic": {"*"}, "purpose": {"marketing"}, "sender": {"exempel"}, "cause": {"objected"}}
	send("/ops/people/1/lift", lift).want(t, http.StatusUnprocessableEntity)
	lift.Set("case", "8")
	if a = send("/ops/people/1/lift", lift); a.header.Get("Location") != "/ops/people/1?done=lifted" {
		t.Errorf("%d: %s", a.status, a.body)
	}
	reader, _ := s.session(s.aud)
	if body := s.as("", http.MethodGet, "/ops/people/1", "", "Cookie", reader).body; strings.Contains(body, "/wishes\"") || strings.Contains(body, "/lift\"") {
		t.Error("whoever may only read is offered buttons")
	}
	for name, page := range pages {
		for _, err := range soundness(page) {
			t.Errorf("%s: %v", name, err)
		}
		if found := fromElsewhere.FindString(page); found != "" {
			t.Errorf("%s has %q", name, found)
		}
	}
}

// TestWhatThePageDoesNotLift: a restriction ends by its case, with the day on which
// the person was informed (GDPR 18(3)), and an erasure when she comes back herself.
func TestWhatThePageDoesNotLift(t *testing.T) {
	s, desk := newService(t)
	cookie, csrf := s.session(desk)
	key := s.key(audience.KindContact, "k-17")
	for cause, says := range map[suppression.Cause]string{suppression.Restricted: `<a href="/ops/cases?show=all&amp;kind=restriction">its case</a>`, suppression.Erased: "When she comes back herself"} {
		entry := suppression.Entry{Key: key, Channel: "*", Topic: "*", Purpose: "*", Sender: "*", Cause: cause, Active: true}
		s.store.entries = []suppression.Entry{entry}
		page := s.as("", http.MethodGet, "/ops/people/1", "", "Cookie", cookie).body
		if strings.Contains(page, "/lift\"") || !strings.Contains(page, says) {
			t.Errorf("%s: the page offers to lift it, or does not say how it is lifted", cause)
		}
		for _, err := range soundness(page) {
			t.Errorf("%s: %v", cause, err)
		}
		lift := url.Values{"csrf": {csrf}, "channel": {"*"}, "topic": {"*"}, "purpose": {"*"}, "sender": {"*"}, "cause": {string(cause)}, "case": {"8"}}
		a := s.as("", http.MethodPost, "/ops/people/1/lift", lift.Encode(), "Content-Type", form, "Cookie", cookie)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "A wish that is "+string(cause)+" is lifted by") {
			t.Errorf("%s: %d %s", cause, a.status, a.body)
		}
		body := fmt.Sprintf(`{"channel":"*","topic":"*","purpose":"*","sender":"*","cause":%q,"case":"8"}`, cause)
		s.as(desk, http.MethodPost, "/v1/people/1/wishes/lift", body).want(t, http.StatusUnprocessableEntity)
		if n := len(s.store.recorded()); n > 0 {
			t.Fatalf("%s: %d wishes are recorded", cause, n)
		}
	}
	for _, cause := range suppression.Causes {
		field, _ := reflect.TypeFor[personLift]().FieldByName("Cause")
		if inAPI := slices.Contains(strings.Split(field.Tag.Get("enum"), ","), string(cause)); inAPI == (notLiftedHere[cause] != "") {
			t.Errorf("page and API differ on who may lift %s", cause)
		}
	}
}

func TestRepliesAreDealtWith(t *testing.T) {
	s, desk := newService(t)
	phone := s.key(audience.KindPhone, "+46701740605")
	for i := range 4 {
		s.store.replies = append(s.store.replies, suppression.Reply{Key: phone, Channel: audience.SMS, Meaning: suppression.Unclear, Text: fmt.Sprintf("<Ord> %d", i)})
	}
	s.store.replies[3].Key = s.key(audience.KindPhone, "+46701740666")
	cookie, csrf := s.session(desk)
	page := s.as("", http.MethodGet, "/ops/inbound", "", "Cookie", cookie).body
	for _, want := range []string{"&lt;Ord&gt; 0", `href="/ops/people/1"`, `href="/ops/people/` + s.store.replies[3].Key.String(), "Objects to sms"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, err := range soundness(page) {
		t.Error(err)
	}
	press := func(id, action string) int {
		return s.as("", http.MethodPost, "/ops/inbound/"+id, url.Values{"csrf": {csrf}, "action": {action}}.Encode(), "Content-Type", form, "Cookie", cookie).status
	}
	for _, step := range []struct {
		id, action string
		status     int
		wishes     int
	}{{"1", "channel", 303, 1}, {"2", "everything", 303, 6}, {"3", "close", 303, 6}, {"1", "everything", 404, 6}, {"4", "burn", 404, 6}, {"x", "close", 404, 6}, {"9", "close", 404, 6}} {
		if status := press(step.id, step.action); status != step.status || len(s.store.recorded()) != step.wishes {
			t.Errorf("%+v: %d, %d wishes", step, status, len(s.store.recorded()))
		}
	}
	if w := s.store.recorded()[0]; w.Entry.Key != phone || !w.Person || w.Entry.Channel != "sms" || w.Entry.Cause != suppression.Objected || w.Entry.Evidence != "case reply 1" {
		t.Errorf("%+v", w)
	}
	if diff := cmp.Diff([]int64{1, 2, 3}, s.store.closed); diff != "" {
		t.Error(diff)
	}
	s.store.record = func(context.Context) error { return errDown }
	if status := press("4", "channel"); status != http.StatusServiceUnavailable || len(s.store.closed) != 3 {
		t.Errorf("%d: a reply is closed whose objection was not recorded", status)
	}
}

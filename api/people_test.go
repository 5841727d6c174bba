package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/suppression"
	"utskick/tracking"
)

// What the store in memory knows of persons.

func (m *memory) FindPeople(_ context.Context, keys []audience.Key) (found []audience.Found, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := int64(1); id <= int64(len(m.contacts)); id++ {
		for _, c := range m.contacts {
			if c.ID != id {
				continue
			}
			for _, k := range m.keyer.ContactKeys(c) {
				if slices.Contains(keys, k.Key) {
					found = append(found, audience.Found{ID: id, ExternalID: c.ExternalID, FirstName: c.FirstName, LastName: c.LastName,
						KnownKey: audience.KnownKey{KindKey: k, Current: true}})
				}
			}
		}
	}
	return found, m.down
}

func (m *memory) Person(_ context.Context, id int64) (audience.Contact, []audience.KnownKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.contacts {
		if c.ID == id {
			var known []audience.KnownKey
			for _, k := range m.keyer.ContactKeys(c) {
				known = append(known, audience.KnownKey{KindKey: k, Current: true})
			}
			return c, known, m.down
		}
	}
	if m.down != nil {
		return audience.Contact{}, nil, m.down
	}
	return audience.Contact{}, nil, fmt.Errorf("contact %d: %w", id, errNotFound)
}

func (m *memory) KeyOfMessage(_ context.Context, id string) (audience.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return found(m, m.messages, id)
}

func (m *memory) Communications(_ context.Context, contact int64, _ []audience.KindKey, before int64, limit int) (all []dispatcher.Communication, next int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.contacts {
		for _, h := range m.history[c.ExternalID] {
			if c.ID != contact || h.Run >= before {
				continue
			}
			if len(all) == limit {
				return all, all[limit-1].Run, m.down
			}
			all = append(all, h)
		}
	}
	return all, 0, m.down
}

func (m *memory) Consents(context.Context, audience.Key) ([]suppression.Grant, []suppression.PastGrant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.grants, m.pastGrants, m.down
}

func (m *memory) NewestChanges(ctx context.Context, keys []audience.Key, _ int) ([]suppression.Entry, error) {
	return m.Entries(ctx, keys)
}

func (m *memory) RepliesOf(ctx context.Context, keys []audience.Key, limit int) (found []suppression.Inbound, err error) {
	for _, open := range []bool{true, false} {
		all, err := m.Inbound(ctx, open, 0, limit)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if slices.Contains(keys, r.Key) {
				found = append(found, r)
			}
		}
	}
	return found, nil
}

func (m *memory) AuditOf(_ context.Context, objects []string, _ int) (lines []rights.Audited, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range m.audits {
		part := strings.SplitN(line, "|", 4)
		if slices.Contains(objects, part[2]) {
			lines = append(lines, rights.Audited{Actor: part[0], Action: part[1], Object: part[2], Detail: part[3]})
		}
	}
	return lines, m.down
}

// newService is a site with Anna, who is contact 1, and a key of customer service.
func newService(t *testing.T) (s *site, key string) {
	s = newSite(t, nil)
	s.as(s.admin, http.MethodPut, "/v1/contacts/k-17", `{"email":"anna@example.com","phone":"070-174 06 05","push_tokens":["tok:1"],"first_name":"Anna","basis":"consent"}`).
		want(t, http.StatusOK)
	s.store.audits = nil
	return s, s.addKey("desk", ScopeService)
}

func (s *site) key(kind audience.Kind, address string) audience.Key {
	return s.keyer.Key(kind, address)
}

func TestAPersonIsFoundByWhateverNamesHer(t *testing.T) {
	s, desk := newService(t)
	mail := s.key(audience.KindEmail, "anna@example.com")
	link := func(purpose tracking.Purpose) string {
		return s.signer.Sign(tracking.Token{Purpose: purpose, Group: 3, Key: mail, Link: map[bool]int64{true: 7}[purpose == tracking.Click]})
	}
	s.store.messages = map[string]audience.Key{"SM0123456789abcdef0123456789abcdef": s.key(audience.KindPhone, "+46701740605")}
	unsubscribe := link(tracking.Unsubscribe)
	for text, by := range map[string]string{
		" Anna@EXAMPLE.com ": "email", "Anna A <anna@example.com>": "email", "mailto:anna@example.com": "email",
		"070-174 06 05": "phone", "+46 (0)70 174 06 05": "phone", "0046701740605": "phone", "tel:+46701740605": "phone", "46701740605": "phone",
		"k-17": "contact", "1": byContactID, "tok:1": "push", mail.String(): byKey,
		"https://utskick.example.com/u/" + unsubscribe: byLink, "https://utskick.example.com/p/" + link(tracking.Preferences) + "?lang=sv": byLink,
		"https://utskick.example.com/o/" + link(tracking.Open) + ".gif": byLink, "/c/" + link(tracking.Click): byLink, unsubscribe: byLink,
		"<https://utskick.example.com/u/" + unsubscribe[:20] + "\r\n " + unsubscribe[20:] + ">": byLink,
		"<3." + mail.String() + "@exempelbolaget.test>":                                         byMessage, "SM0123456789abcdef0123456789abcdef": byMessage, "<SM0123456789abcdef0123456789abcdef>": byMessage,
	} {
		body := fmt.Sprintf(`{"text":%q}`, text)
		a := s.as(desk, http.MethodPost, "/v1/people/find", body)
		a.want(t, http.StatusOK)
		want := foundAnswer{People: []foundPerson{{ID: "1", ExternalID: "k-17", FirstName: "Anna", By: by, Current: true}}}
		if diff := cmp.Diff(want, decode[foundAnswer](t, a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if last := s.store.audits[len(s.store.audits)-1]; last != "desk|person.find|contact 1|by "+by {
			t.Errorf("%s: the audit log has %q", text, last)
		}
	}
}

func TestWhomNobodyKnowsHasAPage(t *testing.T) {
	s, desk := newService(t)
	for text, key := range map[string]audience.Key{"bo@example.com": s.key(audience.KindEmail, "bo@example.com"), "070-174 06 66": s.key(audience.KindPhone, "+46701740666"),
		"k-99": s.key(audience.KindContact, "k-99")} {
		found := decode[foundAnswer](t, s.as(desk, http.MethodPost, "/v1/people/find", fmt.Sprintf(`{"text":%q}`, text)))
		if len(found.People) != 0 || found.ID != key.String() {
			t.Fatalf("%s: %+v", text, found)
		}
		s.as(desk, http.MethodPost, "/v1/people/"+found.ID+"/wishes", `{"choice":"everything"}`).want(t, http.StatusCreated)
		v := decode[personView](t, s.as(desk, http.MethodGet, "/v1/people/"+found.ID, ""))
		if v.Contact != nil || len(v.Wishes) != 5 || v.Wishes[0].Evidence != "told customer service" || v.Wishes[0].State != "in_force" {
			t.Errorf("%s: %+v", text, v)
		}
	}
	token := decode[foundAnswer](t, s.as(desk, http.MethodPost, "/v1/people/find", `{"text":"tok:9","kind":"push"}`))
	if token.ID != s.key(audience.KindPush, "tok:9").String() || token.By != "push" {
		t.Errorf("a push token is taken for %+v", token)
	}
	if none := decode[foundAnswer](t, s.as(desk, http.MethodPost, "/v1/people/find", `{"text":"anna@example.com","kind":"phone"}`)); len(none.People) > 0 || none.ID != "" {
		t.Errorf("an address that is no phone number finds %+v", none)
	}
	for _, line := range s.store.audits {
		if strings.Contains(line, "@") || strings.Contains(line, "0666") || strings.Contains(line, "k-99") {
			t.Errorf("the audit log has %q", line)
		}
	}
	forged := s.signer.Sign(tracking.Token{Purpose: tracking.Unsubscribe, Group: 3, Key: s.key(audience.KindEmail, "anna@example.com")})
	forged = strings.Map(func(r rune) rune { return map[bool]rune{true: 'B', false: r}[r == 'A'] }, forged)
	for _, text := range []string{"https://utskick.example.com/u/" + forged, "@", "+46", strings.Repeat("x", 300) + " y"} {
		found := decode[foundAnswer](t, s.as(desk, http.MethodPost, "/v1/people/find", fmt.Sprintf(`{"text":%q}`, text)))
		if len(found.People) != 0 {
			t.Errorf("%q finds %+v", text, found)
		}
	}
}

func TestWishesOnBehalf(t *testing.T) {
	s, desk := newService(t)
	key := s.key(audience.KindContact, "k-17")
	entry := func(channel, topic, purpose, sender string, cause suppression.Cause) suppression.Entry {
		return suppression.Entry{Key: key, Channel: channel, Topic: topic, Purpose: purpose, Sender: sender, Cause: cause, Active: true, Source: "service", Evidence: "case Ä-4711"}
	}
	pause := entry("*", "*", "marketing", "*", suppression.Paused)
	pause.ExpiresAt = begin.AddDate(0, 0, 30)
	until := entry("sms", "*", "*", "*", suppression.Paused)
	until.ExpiresAt = time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)
	for body, want := range map[string][]suppression.Entry{
		`{"choice":"email"`: {entry("email", "*", "marketing", "*", suppression.Objected)},
		`{"choice":"post"`:  {entry("post", "*", "marketing", "*", suppression.Objected)},
		`{"choice":"phone","topic":"Offer","sender":"exempel"`: {entry("phone", "offer", "marketing", "exempel", suppression.Objected)},
		`{"choice":"kind","topic":"offer"`:                     {entry("*", "offer", "marketing", "*", suppression.Objected)},
		`{"choice":"pause30"`:                                  {pause},
		`{"choice":"opens"`:                                    {entry("*", "*", "open_tracking", "*", suppression.Withdrawn)},
		`{"choice":"ads"`:                                      {entry("*", "*", "ad_list_sharing", "*", suppression.Objected), entry("*", "*", "ad_tracking", "*", suppression.Withdrawn)},
		`{"channel":"*"`:                                       {entry("*", "*", "*", "*", suppression.Objected)},
		`{"purpose":"profiling","sender":"exempel"`:            {entry("*", "*", "profiling", "exempel", suppression.Objected)},
		`{"channel":"sms","until":"2026-12-24T00:00:00Z"`:      {until},
	} {
		s.store.wishes, s.store.entries = nil, nil
		s.as(desk, http.MethodPost, "/v1/people/1/wishes", body+`,"case":"Ä-4711"}`).want(t, http.StatusCreated)
		var got []suppression.Entry
		for _, w := range s.store.recorded() {
			if got = append(got, w.Entry); !w.Person || w.Group != 0 {
				t.Errorf("%s: %+v", body, w)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	if last := s.store.audits[len(s.store.audits)-1]; !strings.HasPrefix(last, "desk|wish.set|contact 1|") || !strings.HasSuffix(last, ", case Ä-4711") {
		t.Errorf("the audit log has %q", last)
	}
}

func TestWishesThatAreRefused(t *testing.T) {
	s, desk := newService(t)
	for body, want := range map[string]string{
		`{}`:                                 "body: says nothing: give a choice, or a channel, topic, purpose or sender; * is any",
		`{"choice":"kind"}`:                  "body.topic: is empty: say which kind of message",
		`{"choice":"email","channel":"sms"}`: "body.channel: is not needed beside choice, which says it",
		`{"choice":"email","case":"anna@example.com"}`:                "body.case: has an @: it is kept for good, and holds no address",
		`{"choice":"email","case":"` + personalNumber + `"}`:          "body.case: has what looks like a Swedish personal identity or coordination number: it is kept for good; give the number of the case instead",
		`{"choice":"email","case":"a\u0007"}`:                         "body.case: has a line break or another control character",
		`{"choice":"email","topic":"a\u0007"}`:                        "body.topic: is longer than 200 bytes, or has a control character",
		`{"channel":"sms","cause":"paused"}`:                          "body.until: is empty: a pause needs the moment at which it ends",
		`{"channel":"sms","until":"2026-01-01T00:00:00Z"}`:            "body.until: is past",
		`{"choice":"email","case":"` + strings.Repeat("x", 65) + `"}`: "body.case: expected length <= 64",
	} {
		a := s.as(desk, http.MethodPost, "/v1/people/1/wishes", body)
		a.want(t, http.StatusUnprocessableEntity)
		if diff := cmp.Diff([]string{want}, violations(t, a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	for _, id := range []string{"2", "0", "x", "00000000000000000000000000000000", "99999999999999999999", "k-17"} {
		s.as(desk, http.MethodPost, "/v1/people/"+id+"/wishes", `{"choice":"email"}`).want(t, http.StatusNotFound)
		s.as(desk, http.MethodGet, "/v1/people/"+id, "").want(t, http.StatusNotFound)
	}
	if n := len(s.store.recorded()); n != 0 {
		t.Errorf("%d wishes are recorded", n)
	}
	s.store.record = func(context.Context) error { return errDown }
	s.as(desk, http.MethodPost, "/v1/people/1/wishes", `{"choice":"email"}`).want(t, http.StatusServiceUnavailable)
	if slices.ContainsFunc(s.store.audits, func(line string) bool { return strings.Contains(line, "wish.set") }) {
		t.Error("a wish that was not acknowledged is in the audit log")
	}
}

func TestLiftingNeedsACase(t *testing.T) {
	s, desk := newService(t)
	mail := s.key(audience.KindEmail, "anna@example.com")
	there := suppression.Entry{Key: mail, Channel: "email", Topic: "*", Purpose: "*", Sender: "*", Cause: suppression.Bounced, Active: true}
	other := there
	other.Cause = suppression.Objected
	s.store.entries = []suppression.Entry{there, other}
	const wish = `{"channel":"email","topic":"*","purpose":"*","sender":"*","cause":"bounced"`
	a := s.as(desk, http.MethodPost, "/v1/people/1/wishes/lift", wish+`,"case":" "}`)
	a.want(t, http.StatusUnprocessableEntity)
	s.as(desk, http.MethodPost, "/v1/people/1/wishes/lift", wish+`}`).want(t, http.StatusUnprocessableEntity)
	a = s.as(desk, http.MethodPost, "/v1/people/1/wishes/lift", wish+`,"case":"7"}`)
	a.want(t, http.StatusOK)
	if got := decode[wishesAnswer](t, a); got.Keys != 1 {
		t.Errorf("%+v", got)
	}
	lifted := there
	lifted.Active, lifted.Source, lifted.Evidence = false, "service", "case 7"
	if diff := cmp.Diff([]suppression.Wish{{Entry: lifted}}, s.store.recorded()); diff != "" {
		t.Error(diff)
	}
	if last := s.store.audits[len(s.store.audits)-1]; last != "desk|wish.lift|contact 1|bounced: email/*/*/*, case 7" {
		t.Errorf("the audit log has %q", last)
	}
	a = s.as(desk, http.MethodPost, "/v1/people/1/wishes/lift", strings.Replace(wish, "bounced", "paused", 1)+`,"case":"7"}`)
	a.want(t, http.StatusOK)
	if got := decode[wishesAnswer](t, a); got.Keys != 0 || len(s.store.recorded()) != 1 {
		t.Errorf("what is not there is lifted: %+v", got)
	}
}

func TestAPersonsFile(t *testing.T) {
	s, desk := newService(t)
	s.store.history["k-17"] = []dispatcher.Communication{
		{Campaign: "höst", Run: 2, Channel: audience.Email, Outcome: "suppressed", Cause: "unsubscribed", At: begin, SuppressionVersion: 41},
		{Campaign: "vår", Run: 1, Channel: audience.SMS, Outcome: "sent", At: begin, Events: []tracking.Event{{Type: tracking.Clicks, At: begin, Machine: tracking.Burst}}},
	}
	s.store.grants = []suppression.Grant{{Purpose: "profiling", Sender: "*", Granted: true, At: begin, Source: "import"}}
	s.store.pastGrants = []suppression.PastGrant{{Grant: suppression.Grant{Purpose: "open_tracking", Sender: "*", Granted: true}, WithdrawnAt: begin, Version: 9}}
	s.store.replies = []suppression.Reply{{Key: s.key(audience.KindPhone, "+46701740605"), Channel: audience.SMS, Meaning: suppression.Unclear, Text: "Hej?"}}
	s.as(desk, http.MethodPost, "/v1/people/1/wishes", `{"choice":"sms","case":"7"}`).want(t, http.StatusCreated)
	a := s.as(desk, http.MethodGet, "/v1/people/1?limit=1", "")
	a.want(t, http.StatusOK)
	v := decode[personView](t, a)
	if v.Contact == nil || v.Contact.Email != "anna@example.com" || len(v.Addresses) != 4 || len(v.Consents) != 1 || len(v.Messages) != 1 ||
		len(v.Withdrawn) != 1 || v.Withdrawn[0].Version != 9 {
		t.Errorf("%+v", v)
	}
	if len(v.Communications) != 1 || v.Communications[0].Says != "Withheld: the person has unsubscribed" || v.Communications[0].SuppressionVersion != 41 {
		t.Errorf("%+v", v.Communications)
	}
	if len(v.Wishes) != 1 || v.Wishes[0].Says != "No marketing by SMS: the person has objected" || v.Wishes[0].Evidence != "case 7" {
		t.Errorf("%+v", v.Wishes)
	}
	if len(v.Audit) != 1 || v.Audit[0].Action != "wish.set" {
		t.Errorf("%+v", v.Audit)
	}
	v = decode[personView](t, s.as(desk, http.MethodGet, fmt.Sprintf("/v1/people/1?limit=1&cursor=%d", v.NextCursor), ""))
	if len(v.Communications) != 1 || v.Communications[0].Campaign != "vår" || v.NextCursor != 0 || v.Audit[len(v.Audit)-1].Action != "person.show" {
		t.Errorf("%+v", v)
	}
}

// TestTheSubscriptionsOfAPerson are shown with their whole proof, also those from an
// address that she had before.
func TestTheSubscriptionsOfAPerson(t *testing.T) {
	s, desk := newService(t)
	s.store.asked.requests = []suppression.Confirmation{{ID: 1, Sender: "exempel", Topic: "offer", AskedAt: begin, ConfirmedAt: chosenAt}, {ID: 2, Sender: "exempel", Topic: "other"}}
	mail := s.key(audience.KindEmail, "anna@example.com").String()
	want := []subscriptionView{{suppression.Subscription{Sender: "exempel", Topic: "offer", AskedAt: begin, ConfirmedAt: chosenAt, Source: "https://exempelbolaget.test/",
		Evidence: "pressed the button", Notice: "2026-01", Wording: "1 sv"}, mail, true}}
	a := s.as(desk, http.MethodGet, "/v1/people/1", "")
	a.want(t, http.StatusOK)
	if diff := cmp.Diff(want, decode[personView](t, a).Subscriptions); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(a.body, `"wording":"1 sv"`) {
		t.Error(a.body)
	}
	want[0].Current = false
	if diff := cmp.Diff(want, decode[personView](t, s.as(desk, http.MethodGet, "/v1/people/"+mail, "")).Subscriptions); diff != "" {
		t.Error("of a bare key: " + diff)
	}
	cookie, _ := s.session(desk)
	page := s.as("", http.MethodGet, "/ops/people/1", "", "Cookie", cookie).body
	for _, text := range []string{"<h2 id=\"subscriptions\">", "2026-10-01 08:00 UTC", "https://exempelbolaget.test/: pressed the button", "<td>2026-01</td>", "<td>1 sv</td>"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page has no %s", text)
		}
	}
	for _, err := range soundness(page) {
		t.Error(err)
	}
}

func TestEveryCauseHasWords(t *testing.T) {
	for code, causes := range dispatcher.Causes() {
		if outcomes[code.String()] == "" {
			t.Errorf("%s has no words", code)
		}
		for _, c := range causes {
			if reasons[string(c)] == "" {
				t.Errorf("%s, %s has no words", code, c)
			}
		}
	}
	for _, p := range suppression.Purposes {
		if purposeWords[string(p)] == "" {
			t.Errorf("%s has no words", p)
		}
	}
	for _, w := range usualWishes {
		if !slices.Contains(suppression.Choices, w.Choice) {
			t.Errorf("%s is no choice", w.Choice)
		}
	}
}

// TestScopeOfCustomerService wants a key of customer service to reach what it is
// for, and nothing else.
func TestScopeOfCustomerService(t *testing.T) {
	s, desk := newService(t)
	may := []string{"GET /docs", "GET /openapi.json", "GET /ops/cases", "GET /ops/cases/{id}", "GET /ops/inbound", "GET /ops/people",
		"GET /ops/people/{id}", "GET /v1/cases", "GET /v1/cases/{id}", "GET /v1/contacts/{external_id}/export",
		"GET /v1/contacts/{external_id}/export.html", "GET /v1/inbound", "GET /v1/people/{id}", "GET /v1/people/{id}/export", "GET /v1/people/{id}/export.html", "GET /{$}", "POST /logout", "POST /ops/cases",
		"POST /ops/cases/{id}/notes", "POST /ops/cases/{id}/route", "POST /ops/cases/{id}/{action}", "POST /ops/inbound/{id}", "POST /ops/people", "POST /ops/people/{id}/lift", "POST /ops/people/{id}/wishes",
		"POST /v1/cases", "POST /v1/cases/{id}/answer", "POST /v1/cases/{id}/close", "POST /v1/cases/{id}/extend", "POST /v1/cases/{id}/identity",
		"POST /v1/cases/{id}/lift-restriction", "POST /v1/cases/{id}/notes", "POST /v1/cases/{id}/refuse", "POST /v1/cases/{id}/route",
		"POST /v1/contacts/{external_id}/erase", "POST /v1/devices", "POST /v1/inbound/{id}/close", "POST /v1/people/find",
		"POST /v1/people/{id}/erase", "POST /v1/people/{id}/restrict", "POST /v1/people/{id}/wishes", "POST /v1/people/{id}/wishes/lift", "POST /v1/suppressions",
		"POST /v1/suppressions/check", "POST /v1/suppressions/lift"}
	var got []string
	for _, pattern := range s.closed() {
		method, path := asked(pattern)
		if a := s.as(desk, method, path, map[bool]string{true: "", false: "{}"}[method == http.MethodGet]); a.status != http.StatusForbidden {
			got = append(got, pattern)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(may, got); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{"/v1/peoplex", "/ops/people.old"} {
		if mayDo(ScopeService, http.MethodGet, path) {
			t.Errorf("%s is open", path)
		}
	}
	if a := s.as(desk, http.MethodGet, "/", ""); a.header.Get("Location") != "/ops/people" {
		t.Errorf("home is %s", a.header.Get("Location"))
	}
}

func FuzzClues(f *testing.F) {
	s := newSite(f, nil)
	for _, text := range []string{"", "anna@example.com", "Anna <anna@example.com>", "070-174 06 05", "https://utskick.example.com/u/AAAA?x#y", "1", "%zz/", "<3.00112233445566778899aabbccddeeff@example.com>"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clues := s.server.operator.finder.clues(text)
		for _, c := range clues {
			if c.key.IsZero() && c.contact <= 0 {
				t.Errorf("a clue of nothing: %+v", c)
			}
		}
		if c, ok := likely(text, "", clues); ok && c.key.IsZero() {
			t.Error("what is likely has no key")
		}
	})
}

package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/suppression"
	"utskick/templates"
)

func (m *memory) PersonalData(ctx context.Context, id string) (rights.Data, error) {
	c, err := m.Contact(ctx, id)
	return rights.Data{Contact: c, Communications: m.history[id], Senders: []templates.Sender{m.senders["exempel"]},
		Rows: map[string][]rights.Row{"contacts": {{"external_id": id, "email": c.Email, "first_name": c.FirstName}}}}, err
}

// DataOfKey knows the contacts' own keys and addresses.
func (m *memory) DataOfKey(ctx context.Context, k audience.Key) (rights.Data, error) {
	if found, err := m.FindPeople(ctx, []audience.Key{k}); err != nil || len(found) > 0 {
		return rights.Data{}, errors.Join(err, rights.ErrContact)
	}
	return rights.Data{Rows: map[string][]rights.Row{"inbound": {{"words": "När slutar ni?"}}}}, nil
}

func (m *memory) OpenErasure(ctx context.Context, a rights.Asked) (rights.Erasure, error) {
	if !a.Key.IsZero() {
		_, err := m.DataOfKey(ctx, a.Key)
		return rights.Erasure{ID: 1, Case: a.Case, AskedBy: a.By, Key: a.Key}, err
	}
	if _, err := m.Contact(ctx, a.ExternalID); err != nil {
		return rights.Erasure{}, err
	}
	e := rights.Erasure{ID: int64(len(m.erasures) + 1), Case: a.Case, AskedBy: a.By, Declined: a.Declined, Key: m.keyer.Key(audience.KindContact, a.ExternalID)}
	m.erasures = append(m.erasures, e)
	return e, nil
}

func (m *memory) FinishErasure(context.Context, int64) (rights.Erasure, error) {
	panic("the workers finish erasures")
}

func (m *memory) OpenErasures(context.Context, int64, int) ([]rights.Erasure, error) {
	panic("the workers finish erasures")
}

func (m *memory) ErasureList(_ context.Context, open bool, _ int) (list []rights.Erasure, err error) {
	for _, e := range m.erasures {
		if !open || !e.Done() {
			list = append(list, e)
		}
	}
	return list, m.fails()
}

func TestExport(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.admin, http.MethodPut, "/v1/contacts/c1", `{"email":"anna@example.com","first_name":"<b>Anna</b>","locale":"sv-SE"}`).want(t, http.StatusOK)
	s.store.history["c1"] = []dispatcher.Communication{{Campaign: "Höst", Channel: audience.Email, Outcome: "suppressed", Cause: "objected"}}
	a := s.as(s.admin, http.MethodGet, "/v1/contacts/c1/export", "")
	a.want(t, http.StatusOK)
	made := decode[rights.Export](t, a)
	if made.Format != "utskick-person-1" || made.Data["contacts"][0]["email"] != "anna@example.com" || made.Communications[0].Means.English != "Not sent: it was withheld – you had objected to it" {
		t.Errorf("%s", a.body)
	}
	for path, want := range map[string][]string{
		"/v1/contacts/c1/export.html":         {`<html lang="sv">`, "Förnamn", "&lt;b&gt;Anna", "Inte skickat: det var spärrat – du hade sagt nej till det"},
		"/v1/contacts/c1/export.html?lang=en": {`<html lang="en">`, "First name", "Not sent: it was withheld – you had objected to it"},
	} {
		a := s.as(s.admin, http.MethodGet, path, "")
		a.want(t, http.StatusOK)
		for _, part := range want {
			if !strings.Contains(a.body, part) {
				t.Errorf("%s lacks %q:\n%s", path, part, a.body)
			}
		}
		if strings.Contains(a.body, "<b>") || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", path, a.header)
		}
	}
	s.as(s.admin, http.MethodGet, "/v1/contacts/nobody/export", "").want(t, http.StatusNotFound)
	short := s.keyer.Key(audience.KindContact, "c1").Short()
	audits := strings.Join(s.store.audits, "\n")
	if strings.Count(audits, "person.export") != 3 || !strings.Contains(audits, short) || strings.Contains(audits, "anna") {
		t.Errorf("%s", audits)
	}
	for _, key := range []string{s.aud, s.marketer} {
		for _, path := range []string{"export", "export.html"} {
			s.as(key, http.MethodGet, "/v1/contacts/c1/"+path, "").want(t, http.StatusForbidden)
		}
		s.as(key, http.MethodPost, "/v1/contacts/c1/erase", `{"case":"7"}`).want(t, http.StatusForbidden)
	}
}

// TestRightsOfWhoIsNoContact: of somebody who only answered something is held, too.
func TestRightsOfWhoIsNoContact(t *testing.T) {
	s := newSite(t, nil)
	s.store.contacts["a"] = audience.Contact{ID: 1, ExternalID: "a", Email: "asa@example.com"}
	bare, hers := s.keyer.Key(audience.KindEmail, "nobody@example.com"), s.keyer.Key(audience.KindEmail, "asa@example.com")
	for id, person := range map[string]string{"1": "a", bare.String(): bare.String()} {
		a := s.as(s.admin, http.MethodGet, "/v1/people/"+id+"/export", "")
		a.want(t, http.StatusOK)
		if made := decode[rights.Export](t, a); made.Person != person {
			t.Errorf("%s", a.body)
		}
	}
	page := s.as(s.admin, http.MethodGet, "/v1/people/"+bare.String()+"/export.html?lang=en", "")
	if page.want(t, http.StatusOK); !strings.Contains(page.body, "När slutar ni?") || !strings.Contains(page.body, `<html lang="en">`) {
		t.Errorf("%s", page.body)
	}
	s.as(s.admin, http.MethodPost, "/v1/people/"+bare.String()+"/erase", `{"case":"7"}`).want(t, http.StatusAccepted)
	if diff := cmp.Diff([]suppression.Wish{rights.Silence(bare)}, s.store.recorded()); diff != "" {
		t.Error(diff)
	}
	s.as(s.admin, http.MethodPost, "/v1/people/1/erase", `{"case":"7"}`).want(t, http.StatusAccepted)
	for _, id := range []string{"2", "a"} {
		s.as(s.admin, http.MethodGet, "/v1/people/"+id+"/export", "").want(t, http.StatusNotFound)
		s.as(s.admin, http.MethodPost, "/v1/people/"+id+"/erase", `{"case":"7"}`).want(t, http.StatusNotFound)
	}
	for _, a := range []answer{s.as(s.admin, http.MethodGet, "/v1/people/"+hers.String()+"/export", ""),
		s.as(s.admin, http.MethodPost, "/v1/people/"+hers.String()+"/erase", `{"case":"7"}`)} {
		if a.want(t, http.StatusConflict); !strings.Contains(a.body, "take the contact") {
			t.Errorf("%s", a.body)
		}
	}
	for _, key := range []string{s.aud, s.marketer} {
		s.as(key, http.MethodGet, "/v1/people/1/export", "").want(t, http.StatusForbidden)
		s.as(key, http.MethodPost, "/v1/people/1/erase", `{"case":"7"}`).want(t, http.StatusForbidden)
	}
	if audits := strings.Join(s.store.audits, "\n"); strings.Count(audits, "person.export") != 3 || !strings.Contains(audits, bare.Short()) {
		t.Errorf("%s", audits)
	}
}

func TestErase(t *testing.T) {
	s := newSite(t, nil)
	s.as(s.admin, http.MethodPut, "/v1/contacts/c1", `{"email":"anna@example.com"}`).want(t, http.StatusOK)
	for body, want := range map[string]int{
		`{}`:                          http.StatusUnprocessableEntity,
		`{"case":" "}`:                http.StatusUnprocessableEntity,
		`{"case":"anna@example.com"}`: http.StatusUnprocessableEntity,
		`{"case":"19121212-1212"}`:    http.StatusUnprocessableEntity,
	} {
		a := s.as(s.admin, http.MethodPost, "/v1/contacts/c1/erase", body)
		if a.want(t, want); strings.Contains(a.body, personalNumber) {
			t.Errorf("the answer repeats the number: %s", a.body)
		}
	}
	s.as(s.admin, http.MethodPost, "/v1/contacts/nobody/erase", `{"case":"7"}`).want(t, http.StatusNotFound)
	a := s.as(s.admin, http.MethodPost, "/v1/contacts/c1/erase", `{"case":"ärende 7","decline_suppression":true}`)
	a.want(t, http.StatusAccepted)
	if got := decode[rights.Erasure](t, a); got.ID != 1 || !got.Declined || got.AskedBy != "root" || got.Done() {
		t.Errorf("%s", a.body)
	}
	want := []suppression.Wish{rights.Silence(s.keyer.Key(audience.KindContact, "c1"))}
	if diff := cmp.Diff(want, s.store.recorded()); diff != "" {
		t.Error(diff)
	}
	a = s.as(s.aud, http.MethodGet, "/v1/erasures?open=true", "")
	a.want(t, http.StatusOK)
	if list := decode[erasureList](t, a); len(list.Erasures) != 1 || list.Erasures[0].Case != "ärende 7" {
		t.Errorf("%s", a.body)
	}
	s.store.fail(errDown)
	s.as(s.admin, http.MethodPost, "/v1/contacts/c1/erase", `{"case":"7"}`).want(t, http.StatusServiceUnavailable)
	if strings.Contains(s.log.String(), "anna") {
		t.Error("the log has an address")
	}
}

package api

import "testing"

func TestSmoke(t *testing.T) {
	s := newSite(t, nil)
	for _, p := range s.server.operator.routes.patterns {
		t.Log(p)
	}
	for _, path := range []string{"/", "/ops", "/docs", "/openapi.json", "/outbox/email/", "/healthz", "/readyz", "/metrics", "/v1/contacts", "/login"} {
		a := s.as(s.admin, "GET", path, "")
		t.Log(path, a.status, len(a.body))
		if path == "/docs" || path == "/v1/contacts" {
			t.Log(a.body[:min(3000, len(a.body))])
		}
	}
	a := s.as(s.admin, "PUT", "/v1/contacts/c1", `{"email":"a@example.com","consents":{"marketing":true},"attributes":{"city":"Lund"}}`)
	t.Log(a.status, a.body)
	a = s.as(s.admin, "POST", "/v1/imports?basis=consent", "external_id,email\nc2,b@example.com\nc3,nope\n", "Content-Type", "text/csv")
	t.Log(a.status, a.body)
	a = s.as(s.admin, "POST", "/v1/suppressions", `{"kind":"email","address":"a@example.com"}`)
	t.Log(a.status, a.body)
	a = s.as(s.admin, "POST", "/v1/suppressions/check", `{"kind":"email","address":"a@example.com"}`)
	t.Log(a.status, a.body)
	a = s.as(s.admin, "POST", "/v1/suppressions/import", "kind,address\nemail,x@example.com\n", "Content-Type", "text/csv")
	t.Log(a.status, a.body)
	a = s.as(s.admin, "GET", "/v1/suppressions", ``)
	t.Log(a.status, a.body, a.header)
	t.Log(s.log.String())
}

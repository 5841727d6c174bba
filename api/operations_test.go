package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// decode reads the body of an answer.
func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// violations lists what an answer says is wrong, as field: rule.
func violations(t *testing.T, a answer) (lines []string) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != problemJSON {
		t.Errorf("an error has type %q", got)
	}
	for _, v := range decode[ProblemDetails](t, a).Errors {
		line := v.Field + ": " + v.Rule
		if v.Line > 0 {
			line = fmt.Sprintf("%s, line %d: %s", v.Field, v.Line, v.Rule)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestNothingThatWasSentComesBack(t *testing.T) {
	s := newSite(t, nil)
	const secret = "hemlig.anna@example.com"
	bodies := []string{
		`{"email":"` + secret + `","phone":"` + secret + `","locale":"` + secret + `","basis":"` + secret + `","timezone":"` + secret + `"}`,
		`{"email":["` + secret + `"],"attributes":"` + secret + `"}`, `{"` + secret + `":1}`, `{"attributes":{"` + secret + `":"x"}}`, `{"consents":{"` + secret + `":true}}`,
		`"` + secret + `"`, secret, `{"a":` + secret, `[]`, `{"kind":"` + secret + `","address":"` + secret + `"}`, `{"kind":"phone","address":"` + secret + `"}`,
		`{"kind":"contact","channel":"` + secret + `","address":"x"}`, `{"name":"` + secret + `","sender":"` + secret + `","topic":"` + secret + `","channels":[{"channel":"` + secret + `","template":"` + secret + `"}]}`,
		`{"due_at":"` + secret + `","reason":"` + strings.Repeat(secret, 20) + `"}`,
		`{"name":"` + secret + `","channel":"` + secret + `","default_language":"` + secret + `","languages":{"` + secret + `":{}}}`,
	}
	for _, pattern := range s.closed() {
		method, path := asked(pattern)
		if !strings.HasPrefix(path, "/v1/") {
			continue
		}
		for _, kind := range []string{"application/json", "text/csv", "text/" + secret} {
			for _, body := range bodies {
				path := strings.ReplaceAll(path, "/x", "/"+secret)
				a := s.as(s.admin, method, path+"?cursor="+secret+"&basis="+secret+"&limit="+secret, body, "Content-Type", kind)
				if a.status >= 400 && (strings.Contains(a.body, "hemlig") || strings.Contains(a.body, "anna")) {
					t.Errorf("%s with %s: %s", pattern, body, a.body)
				}
			}
		}
	}
	if strings.Contains(s.log.String(), "hemlig") {
		t.Error("the log has what was sent: " + s.log.String())
	}
}

func TestLargeBodiesAreRefused(t *testing.T) {
	s := newSite(t, nil)
	a := s.as(s.admin, http.MethodPut, "/v1/contacts/c1", `{"first_name":"`+strings.Repeat("a", 2<<20)+`"}`)
	a.want(t, http.StatusRequestEntityTooLarge)
}

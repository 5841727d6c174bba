package sendgridtest

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const (
	root = `"from":{"email":"a@example.com"},"subject":"s","content":[{"type":"text/plain","value":"t"}]`
	one  = `{"to":[{"email":"b@example.com"}]}`
)

// TestRefusals holds the stand-in to what SendGrid documents.
func TestRefusals(t *testing.T) {
	vendor := Start("key")
	defer vendor.Close()
	for _, c := range []struct {
		name, path, key, body string
		status                int
		says                  string
	}{
		{"well", "/v3/mail/send", "key", `{` + root + `,"personalizations":[` + one + `]}`, 202, ""},
		{"wrong path", "/v3/mail", "key", `{}`, 404, ""},
		{"wrong key", "/v3/mail/send", "other", `{}`, 401, "invalid, expired, or revoked"},
		{"not JSON", "/v3/mail/send", "key", `{`, 400, "bad request"},
		{"an unknown field", "/v3/mail/send", "key", `{"personalisations":[]}`, 400, "personalisations"},
		{"nobody", "/v3/mail/send", "key", `{` + root + `,"personalizations":[]}`, 400, "must be 1 to 1000"},
		{"too many", "/v3/mail/send", "key", `{` + root + `,"personalizations":[` + strings.Repeat(one+",", 1000) + one + `]}`, 400, "1001"},
		{"no sender", "/v3/mail/send", "key", `{"personalizations":[` + one + `]}`, 400, "from"},
		{"the same address", "/v3/mail/send", "key", `{` + root + `,"personalizations":[` + one + `,` + one + `]}`, 400, "personalizations.1.to: each email address must be unique"},
		{"a reserved header", "/v3/mail/send", "key", `{` + root + `,"headers":{"Reply-To":"x"},"personalizations":[` + one + `]}`, 400, "reserved"},
		{"long substitutions", "/v3/mail/send", "key", `{` + root + `,"personalizations":[{"to":[{"email":"b@example.com"}],"substitutions":{"-a-":"` + strings.Repeat("x", 10_000) + `"}}]}`, 400, "substitutions"},
		{"HTML before text", "/v3/mail/send", "key", `{"from":{"email":"a@example.com"},"subject":"s","content":[{"type":"text/html","value":"h"},{"type":"text/plain","value":"t"}],"personalizations":[` + one + `]}`, 400, "text/plain must be the first"},
	} {
		request, err := http.NewRequest(http.MethodPost, vendor.Address()+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+c.key)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %d %s, want %d with %q", c.name, response.StatusCode, body, c.status, c.says)
		}
	}
	if got := len(vendor.Received()); got != 1 {
		t.Errorf("%d messages were taken, want 1", got)
	}
}

package fcmtest

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// post returns the status and the body of an answer.
func post(t *testing.T, address, authorization, contentType, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestRefusals holds the stand-in to what Google documents.
func TestRefusals(t *testing.T) {
	tokens := StartTokens()
	defer tokens.Close()
	tokens.given = []string{"known"}
	vendor := Start(tokens)
	defer vendor.Close()
	const path = "/v1/projects/" + Project + "/messages:send"
	for _, c := range []struct {
		name, path, token, body string
		status                  int
		says                    string
	}{
		{"well", path, "known", `{"message":{"token":"a","notification":{"body":"b"},"android":{"ttl":"60s"}}}`, 200, "projects/" + Project + "/messages/"},
		{"an unknown access token", path, "other", `{}`, 401, "UNAUTHENTICATED"},
		{"another project", "/v1/projects/other/messages:send", "known", `{}`, 404, "NOT_FOUND"},
		{"an unknown field", path, "known", `{"message":{"tokens":["a"]}}`, 400, "google.rpc.BadRequest"},
		{"no token", path, "known", `{"message":{"android":{"ttl":"60s"}}}`, 400, "not a valid FCM registration token"},
		{"too big", path, "known", `{"message":{"token":"a","data":{"k":"` + strings.Repeat("x", 4096) + `"},"android":{"ttl":"60s"}}}`, 400, "too big"},
		{"a TTL without a unit", path, "known", `{"message":{"token":"a","android":{"ttl":"60"}}}`, 400, "message.android.ttl"},
	} {
		status, body := post(t, vendor.Address()+c.path, "Bearer "+c.token, "application/json", c.body)
		if status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s, want %d with %q", c.name, status, body, c.status, c.says)
		}
	}
	if got := len(vendor.Received()); got != 1 {
		t.Errorf("%d messages were taken, want 1", got)
	}
}

func TestTokensNeedASignature(t *testing.T) {
	tokens := StartTokens()
	defer tokens.Close()
	for name, assertion := range map[string]string{
		"nothing":           "",
		"no JWT":            "a.b",
		"not base64":        "a.b.!",
		"a false signature": "e30.e30.AAAA",
	} {
		form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
		status, body := post(t, tokens.http.URL+"/token", "", "application/x-www-form-urlencoded", form.Encode())
		if status != http.StatusBadRequest || !strings.Contains(body, "invalid_grant") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if got := len(tokens.Given()); got != 0 {
		t.Errorf("%d tokens were given", got)
	}
}

package twiliotest

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const account = "AC00000000000000000000000000000000"

// TestRefusals holds the stand-in to what Twilio documents.
func TestRefusals(t *testing.T) {
	vendor := Start(account, "token")
	defer vendor.Close()
	for _, c := range []struct {
		name, account, token, form string
		status                     int
		says                       string
	}{
		{"well", account, "token", "To=%2B46701740605&From=Exempel&Body=Hej", 201, `"status":"queued"`},
		{"by a service", account, "token", "To=%2B46701740605&MessagingServiceSid=MG0&Body=Hej", 201, `"status":"accepted"`},
		{"wrong token", account, "other", "To=%2B46701740605&From=Exempel&Body=Hej", 401, `"code":20003`},
		{"wrong account", "AC1", "token", "", 401, `"code":20003`},
		{"no recipient", account, "token", "From=Exempel&Body=Hej", 400, `"code":21604`},
		{"no sender", account, "token", "To=%2B46701740605&Body=Hej", 400, `"code":21603`},
		{"no text", account, "token", "To=%2B46701740605&From=Exempel", 400, `"code":21602`},
		{"a long text", account, "token", "To=%2B46701740605&From=Exempel&Body=" + url.QueryEscape(strings.Repeat("å", 1601)), 400, `"code":21617`},
		{"a plus that was not escaped", account, "token", "To=+46701740605&From=Exempel&Body=Hej", 400, `"code":21211`},
	} {
		request, err := http.NewRequest(http.MethodPost, vendor.Address()+"/2010-04-01/Accounts/"+c.account+"/Messages.json", strings.NewReader(c.form))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(c.account, c.token)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %d %s, want %d with %s", c.name, response.StatusCode, body, c.status, c.says)
		}
	}
	if got := len(vendor.Received()); got != 2 {
		t.Errorf("%d messages were taken, want 2", got)
	}
}

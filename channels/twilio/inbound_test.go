package twilio

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

const inboundAddress = "https://utskick.example.com/hooks/twilio/inbound"

func newInbound(t testing.TB) *Inbound {
	t.Helper()
	i, err := NewInbound(testToken, inboundAddress, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// inbound is a request after Twilio's published list of parameters.
func inbound(t testing.TB) string {
	t.Helper()
	body, err := os.ReadFile("testdata/inbound.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

func TestInboundReadsReplies(t *testing.T) {
	form := inbound(t)
	told, err := newInbound(t).Read("", signedBy(t, testToken, inboundAddress, form), []byte(form))
	if err != nil {
		t.Fatal(err)
	}
	want := channels.Told{Replies: []channels.Reply{{Kind: audience.KindPhone, Reply: suppression.Reply{ID: "twilio-SM0123456789abcdef0123456789abcdef", At: now,
		Channel: audience.SMS, To: []string{"MG00000000000000000000000000000000", "+46701740699"}, Meaning: suppression.SaysStop,
		Address: "+46701740605", Text: "Avsluta tack!"}}}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if said := fmt.Sprintf("%v %+v %#v", told.Replies[0], told.Replies[0], told.Replies[0]); strings.Contains(said, "4670") || strings.Contains(said, "tack") {
		t.Errorf("a log would say %s", said)
	}
}

// TestInboundBelievesTwilio: what the service was set up to know goes before our
// own reading.
func TestInboundBelievesTwilio(t *testing.T) {
	for kind, want := range map[string]suppression.Meaning{"STOP": suppression.SaysStop, "START": suppression.SaysStart, "HELP": suppression.SaysHelp,
		"": suppression.Unclear, "NEW": suppression.Unclear} {
		form := strings.ReplaceAll(inbound(t), "Avsluta+tack%21", "hej") + "&OptOutType=" + kind
		told, err := newInbound(t).Read("", signedBy(t, testToken, inboundAddress, form), []byte(form))
		if err != nil || len(told.Replies) != 1 || told.Replies[0].Meaning != want {
			t.Errorf("%s: %+v, %v", kind, told, err)
		}
	}
}

func TestInboundOfAnotherChannel(t *testing.T) {
	for _, from := range []string{"whatsapp%3A%2B46701740605", "12345", "", "Exempel"} {
		form := strings.Replace(inbound(t), "From=%2B46701740605", "From="+from, 1)
		told, err := newInbound(t).Read("", signedBy(t, testToken, inboundAddress, form), []byte(form))
		if err != nil || told.Foreign != 1 || len(told.Replies) != 0 {
			t.Errorf("%s: %+v, %v", from, told, err)
		}
	}
}

func TestInboundRefusesForgeries(t *testing.T) {
	form := inbound(t)
	genuine := signedBy(t, testToken, inboundAddress, form)
	values, err := url.ParseQuery(form)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		query  string
		header http.Header
		form   string
	}{
		"no signature":     {"", http.Header{}, form},
		"another token":    {"", signedBy(t, "another", inboundAddress, form), form},
		"the status's":     {"", signedBy(t, testToken, callback, form), form},
		"another person":   {"", genuine, strings.Replace(form, "740605", "740606", 1)},
		"another text":     {"", genuine, strings.Replace(form, "Avsluta", "Starta", 1)},
		"a query":          {"x=1", genuine, form},
		"a second text":    {"", genuine, form + "&Body=START"},
		"an opt-out type":  {"", genuine, form + "&OptOutType=START"},
		"a left out name":  {"", genuine, strings.Replace(form, "&From=%2B46701740605", "", 1)},
		"nothing in it":    {"", genuine, ""},
		"no form":          {"", genuine, "%"},
		"hash of the body": {"bodySHA256=x", genuine, form},
	} {
		if told, err := newInbound(t).Read(c.query, c.header, []byte(c.form)); !errors.Is(err, channels.ErrForged) || len(told.Replies) != 0 {
			t.Errorf("%s: %+v, %v", name, told, err)
		}
	}
	// What is signed are names and values, in their order: the same written anew is
	// the same.
	if _, err := newInbound(t).Read("", genuine, []byte(values.Encode())); err != nil {
		t.Errorf("written in another order: %v", err)
	}
}

// FuzzInbound: whatever Twilio signs, a reply has a name and a number, and a start
// is never read out of what was not said.
func FuzzInbound(f *testing.F) {
	f.Add(inbound(f))
	f.Add("MessageSid=SM1&From=%2B1&Body=%00%ff&OptOutType=start")
	i := newInbound(f)
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		r, ours := i.reply(form)
		if ours && (r.ID == "twilio-" || r.Address == "" || r.Channel != audience.SMS || r.Meaning == "") {
			t.Fatalf("%+v", r.Reply)
		}
	})
}

package witness

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// vendor is what one API looks like from outside.
type vendor struct {
	name string
	// read finds the messages in a body. Of a body that broke off it finds
	// those that stand in it whole.
	read func(body []byte) []Message
	// accept and refuse are the answers, as the vendor words them.
	accept func(w http.ResponseWriter, call int64)
	refuse func(status int) string
}

var vendors = map[string]vendor{
	"sendgrid": {"sendgrid", readSendGrid, acceptSendGrid, refuseSendGrid},
	"twilio":   {"twilio", readTwilio, acceptTwilio, refuseTwilio},
	"fcm":      {"fcm", readFCM, acceptFCM, refuseFCM},
}

type personalization struct {
	To []struct {
		Email string `json:"email"`
	} `json:"to"`
	Headers       map[string]string `json:"headers"`
	CustomArgs    map[string]string `json:"custom_args"`
	Substitutions map[string]string `json:"substitutions"`
}

// readSendGrid reads v3/mail/send. The personalizations come last in the bodies
// that the product writes, so that of a torn one the first can be read.
func readSendGrid(body []byte) (messages []Message) {
	var whole struct {
		Subject string `json:"subject"`
		Content []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"content"`
		Personalizations []personalization `json:"personalizations"`
	}
	if json.Unmarshal(body, &whole) != nil {
		return readTorn(body)
	}
	html := ""
	for _, c := range whole.Content {
		if c.Type == "text/html" {
			html = c.Value
		}
	}
	for _, p := range whole.Personalizations {
		pixel, clicks := linksOf(html, p.Substitutions)
		for _, to := range p.To {
			link := strings.Trim(p.Headers["List-Unsubscribe"], "<>")
			messages = append(messages, Message{Channel: "email", To: to.Email, Campaign: whole.Subject, Link: link,
				group: p.CustomArgs["g"], key: p.CustomArgs["k"], pixel: pixel, clicks: clicks})
		}
	}
	return messages
}

var tracked = regexp.MustCompile(`https?://[^/"]+(/[oc]/[^"]+)`)

// linksOf finds the pixel and the links in a mail, as its recipient has them.
func linksOf(html string, substitutions map[string]string) (pixel string, clicks []string) {
	var pairs []string
	for tag, value := range substitutions {
		pairs = append(pairs, tag, value)
	}
	for _, found := range tracked.FindAllStringSubmatch(strings.NewReplacer(pairs...).Replace(html), -1) {
		if strings.HasPrefix(found[1], "/o/") {
			pixel = found[1]
		} else {
			clicks = append(clicks, found[1])
		}
	}
	return pixel, clicks
}

// readTorn finds the addresses in a part of a body.
func readTorn(body []byte) (messages []Message) {
	const before = `{"to":[{"email":"`
	parts := strings.Split(string(body), before)
	for _, part := range parts[1:] {
		if address, _, whole := strings.Cut(part, `"`); whole {
			messages = append(messages, Message{Channel: "email", To: address})
		}
	}
	return messages
}

func acceptSendGrid(w http.ResponseWriter, call int64) {
	w.Header().Set("X-Message-Id", fmt.Sprintf("witness-%d", call))
	w.WriteHeader(http.StatusAccepted)
}

func refuseSendGrid(int) string {
	return `{"errors":[{"message":"refused by the witness","field":null,"help":null}]}`
}

// readTwilio reads the form of Messages.json. The campaign is what the text
// begins with, up to a colon.
func readTwilio(body []byte) []Message {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("To") == "" {
		return nil
	}
	campaign, _, _ := strings.Cut(form.Get("Body"), ":")
	m := Message{Channel: "sms", To: form.Get("To"), Campaign: campaign, callback: form.Get("StatusCallback"),
		from: form.Get("From"), service: form.Get("MessagingServiceSid")}
	if address, err := url.Parse(m.callback); err == nil {
		m.group, m.key = address.Query().Get("g"), address.Query().Get("k")
	}
	return []Message{m}
}

// messageID is what Twilio calls the message of a call.
func messageID(call int64) string { return fmt.Sprintf("SM%032x", call) }

func acceptTwilio(w http.ResponseWriter, call int64) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"sid":%q,"status":"queued"}`, messageID(call))
}

// refuseTwilio says of a 400 that there is no route, by which nobody's number is
// the worse.
func refuseTwilio(status int) string {
	code := map[int]int{http.StatusTooManyRequests: 20429, http.StatusBadRequest: 21612}[status]
	return fmt.Sprintf(`{"code":%d,"message":"refused by the witness","status":%d}`, code, status)
}

// readFCM reads messages:send.
func readFCM(body []byte) []Message {
	var whole struct {
		Message struct {
			Token        string `json:"token"`
			Notification struct {
				Title string `json:"title"`
			} `json:"notification"`
			Data map[string]string `json:"data"`
		} `json:"message"`
	}
	if json.Unmarshal(body, &whole) != nil {
		return nil
	}
	m := whole.Message
	return []Message{{Channel: "push", To: m.Token, Campaign: m.Notification.Title, Link: m.Data["unsubscribe"]}}
}

func acceptFCM(w http.ResponseWriter, call int64) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"name":"projects/exempelbolaget-test/messages/0:%d"}`, call)
}

func refuseFCM(status int) string {
	word := map[int]string{http.StatusTooManyRequests: "RESOURCE_EXHAUSTED", http.StatusBadRequest: "INVALID_ARGUMENT"}[status]
	return fmt.Sprintf(`{"error":{"code":%d,"message":"refused by the witness","status":%q}}`, status, word)
}

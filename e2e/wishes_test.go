package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // what Twilio signs with
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/examples"
	"utskick/suppression"
)

const twilioToken = "token-of-the-test"

// desk is where people tell their wishes, by whatever way.
type desk struct {
	w              *world
	p              *process
	admin, service string // keys
	signs          *ecdsa.PrivateKey
	mails          []captured
}

// told is a person, what she has told, and the cause for which the next campaign
// leaves her out by each channel; empty: it is sent to her.
type told struct {
	name             string
	tell             func(*desk, *person)
	email, sms, push string
}

type person struct {
	told
	phone string
}

func (p person) address() string { return p.name + "@example.com" }

func (p person) cause(channel string) string {
	return map[string]string{"email": p.email, "sms": p.sms, "push": p.push}[channel]
}

// everyWish lists a person for each kind of wish.
func everyWish() (all []told) {
	for _, c := range suppression.Choices {
		email, sms, push := leftOut(c, "unsubscribed")
		all = append(all, told{"page-" + string(c), func(d *desk, p *person) { d.choose(p, c) }, email, sms, push})
		if c == suppression.StopSender {
			continue // customer service names the sender: desk-sender
		}
		body := fmt.Sprintf(`{"choice":%q,"topic":%q}`, c, map[bool]string{true: "newsletter"}[c == suppression.StopKind])
		email, sms, push = leftOut(c, "objected")
		all = append(all, told{"desk-" + string(c), wish(body), email, sms, push})
	}
	const o = "objected"
	until := time.Now().AddDate(0, 2, 0).UTC().Format(time.RFC3339)
	return append(all, []told{
		{"desk-other-kind", wish(`{"choice":"kind","topic":"offer"}`), "", "", ""},
		{"desk-sms-kind", wish(`{"choice":"sms","topic":"newsletter","case":"1"}`), "", o, ""},
		{"desk-sender", wish(`{"choice":"marketing","sender":"exempelbolaget"}`), o, o, o},
		{"desk-other-sender", wish(`{"choice":"marketing","sender":"another"}`), "", "", ""},
		{"desk-any", wish(`{"channel":"*"}`), o, o, o},
		{"desk-until", wish(`{"channel":"push","until":"` + until + `"}`), "", "", "paused"},
		{"desk-lifted", (*desk).wishAndLift, "", "", ""},
		{"stop", func(d *desk, p *person) { d.answers(p, "STOPP") }, "", "stopped", ""},
		{"stop-start", func(d *desk, p *person) { d.answers(p, "STOP"); d.answers(p, "START") }, "", "", ""},
		{"read", (*desk).answersUnclearly, "", o, ""},
		{"push-off", reports(`"permission":"denied"`), "", "", "push_off"},
		{"push-no", reports(`"permission":"granted","opted_out":true`), "", "", o},
		{"bounce", func(d *desk, p *person) { d.sendGridSays(p, `"event":"bounce","type":"bounce","status":"5.1.1"`) }, "bounced", "", ""},
		{"spam", func(d *desk, p *person) { d.sendGridSays(p, `"event":"spamreport"`) }, "complained", "", ""},
		{"invalid", (*desk).numberIsInvalid, "", "invalid", ""},
		{"withdrawn", contactIs(`{"consents":{"marketing":false}}`), "withdrawn", "withdrawn", "withdrawn"},
		{"no-profiling", contactIs(`{"consents":{"profiling":false}}`), "withdrawn", "withdrawn", "withdrawn"},
		{"basis-gone", contactIs(`{"basis":""}`), "no_basis", "no_basis", "no_basis"},
		{"nothing", nil, "", "", ""},
	}...)
}

// leftOut says which channels a choice closes, and for which cause.
func leftOut(c suppression.Choice, cause string) (email, sms, push string) {
	switch c {
	case suppression.StopKind, suppression.StopSender, suppression.StopMarketing:
		return cause, cause, cause
	case suppression.StopEmail:
		return cause, "", ""
	case suppression.StopSMS:
		return "", cause, ""
	case suppression.StopPush:
		return "", "", cause
	case suppression.StopEverything, suppression.NoProfiling:
		return "objected", "objected", "objected"
	case suppression.Pause30, suppression.Pause90:
		return "paused", "paused", "paused"
	}
	return "", "", ""
}

// TestEveryWishIsHeeded has one person for each kind of wish, told in every way
// that there is. The next campaign, a targeted one, leaves each out on each channel as she wished
// and sends to everybody else, and the report and what customer service sees say
// why.
func TestEveryWishIsHeeded(t *testing.T) {
	signs, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&signs.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, map[string]string{"UTSKICK_EMAIL": "outbox", "UTSKICK_SMS": "outbox", "UTSKICK_PUSH": "outbox",
		"TWILIO_AUTH_TOKEN": twilioToken, "UTSKICK_SENDGRID_WEBHOOK_KEY": base64.StdEncoding.EncodeToString(public)})
	people := w.everybody()
	w.must("senders", "save", w.example(examples.Sender))
	for _, name := range []string{examples.EmailTemplate, examples.SMSTemplate, examples.PushTemplate} {
		w.must("templates", "save", w.example(name))
	}
	d := &desk{w: w, admin: w.key(), signs: signs}
	var made struct{ Key string }
	decode(t, w.must("keys", "create", "--name", "desk", "--scope", "service", "--json"), &made)
	d.service, d.p = made.Key, w.serve("serve")
	w.launchEverywhere("first")
	d.mails = w.outbox("email")
	before := map[string]int{}
	for _, ch := range audience.Channels {
		before[string(ch)] = len(w.outbox(string(ch)))
	}
	for i := range people {
		if people[i].tell != nil {
			people[i].tell(d, &people[i])
		}
	}
	w.launchEverywhere("next", "--targeted")
	for _, ch := range audience.Channels {
		d.wantReport(people, string(ch), len(w.outbox(string(ch)))-before[string(ch)])
	}
	for _, p := range people {
		d.wantFile(p)
	}
}

// everybody imports the people, each with an address on each channel.
func (w *world) everybody() (people []person) {
	w.t.Helper()
	var b strings.Builder
	b.WriteString("external_id,email,phone,push_token,locale,tier,points,city,basis,basis_evidence\n")
	for i, told := range everyWish() {
		p := person{told, fmt.Sprintf("+467017406%02d", 5+i)}
		people = append(people, p)
		fmt.Fprintf(&b, "%s,%s,%s,token-%s,sv-SE,guld,10,Umeå,consent,form\n", p.name, p.address(), p.phone, p.name)
	}
	w.must("contacts", "import", w.file("contacts.csv", b.String()))
	return people
}

func (w *world) launchEverywhere(name string, flags ...string) {
	w.t.Helper()
	w.must(append([]string{"campaigns", "create", name, "--sender", "exempelbolaget", "--topic", "newsletter",
		"--email", "host-email", "--sms", "host-sms", "--push", "host-push"}, flags...)...)
	w.must("campaigns", "launch", name)
	w.ended(name)
}

// ask makes a request that has to succeed.
func (d *desk) ask(method, path, key, contentType, body string) string {
	d.w.t.Helper()
	res, content := ask(d.w.t, method, d.p.operator+path, key, contentType, body)
	if res.StatusCode >= 400 {
		d.w.t.Fatalf("%s %s: %s %s", method, path, res.Status, content)
	}
	return content
}

const inJSON = "application/json"

// idOf finds a person as customer service does.
func (d *desk) idOf(p *person) string {
	d.w.t.Helper()
	var found struct{ People []struct{ ID string } }
	decode(d.w.t, d.ask(http.MethodPost, "/v1/people/find", d.service, inJSON, fmt.Sprintf(`{"text":%q}`, p.address())), &found)
	if len(found.People) != 1 {
		d.w.t.Fatalf("%s: %d are found", p.name, len(found.People))
	}
	return found.People[0].ID
}

func wish(body string) func(*desk, *person) {
	return func(d *desk, p *person) {
		d.ask(http.MethodPost, "/v1/people/"+d.idOf(p)+"/wishes", d.service, inJSON, body)
	}
}

func (d *desk) wishAndLift(p *person) {
	id := d.idOf(p)
	d.ask(http.MethodPost, "/v1/people/"+id+"/wishes", d.service, inJSON, `{"choice":"email"}`)
	d.ask(http.MethodPost, "/v1/people/"+id+"/wishes/lift", d.service, inJSON,
		`{"channel":"email","topic":"*","purpose":"marketing","sender":"*","cause":"objected","case":"4711"}`)
}

func reports(what string) func(*desk, *person) {
	return func(d *desk, p *person) {
		d.ask(http.MethodPost, "/v1/devices", d.service, inJSON, fmt.Sprintf(`{"push_token":"token-%s",%s}`, p.name, what))
	}
}

func contactIs(body string) func(*desk, *person) {
	return func(d *desk, p *person) { d.ask(http.MethodPut, "/v1/contacts/"+p.name, d.admin, inJSON, body) }
}

func (d *desk) numberIsInvalid(p *person) {
	d.ask(http.MethodPost, "/v1/suppressions", d.admin, inJSON, fmt.Sprintf(`{"kind":"phone","address":%q,"channel":"sms","cause":"invalid"}`, p.phone))
}

// choose uses the preference page of her mail.
func (d *desk) choose(p *person, c suppression.Choice) {
	t := d.w.t
	t.Helper()
	_, page := get(t, d.p.at(preferencesLink.FindString(mailTo(t, d.mails, p.address()).HTML)))
	if res, _ := sendForm(t, d.p, page, "choice", string(c)); res.StatusCode != http.StatusOK {
		t.Fatalf("%s is answered with %s", p.name, res.Status)
	}
}

// answers an SMS, which Twilio passes on
// (https://www.twilio.com/docs/usage/security#validating-requests).
func (d *desk) answers(p *person, text string) {
	t := d.w.t
	t.Helper()
	form := url.Values{"MessageSid": {"SM" + rand.Text()}, "From": {p.phone}, "To": {"+46701740699"}, "Body": {text}}
	signed := publicURL + "/hooks/twilio/inbound"
	for _, name := range slices.Sorted(maps.Keys(form)) {
		signed += name + form.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(twilioToken))
	mac.Write([]byte(signed))
	d.hooked("/hooks/twilio/inbound", urlencoded, form.Encode(), http.Header{"X-Twilio-Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}})
}

// answersUnclearly is read by customer service, which takes it for an objection.
func (d *desk) answersUnclearly(p *person) {
	t := d.w.t
	t.Helper()
	d.answers(p, "Kan ni låta mig vara i fred med era sms")
	var open struct {
		Replies []struct {
			ID      int64
			Contact string
		}
	}
	decode(t, d.ask(http.MethodGet, "/v1/inbound", d.service, "", ""), &open)
	for _, r := range open.Replies {
		if r.Contact == p.name {
			d.ask(http.MethodPost, "/ops/inbound/"+strconv.FormatInt(r.ID, 10), d.service, urlencoded, "action=channel")
			return
		}
	}
	t.Fatalf("nobody has to read it: %+v", open)
}

var ownID = regexp.MustCompile(`^<(\d+)\.([0-9a-f]{32})@`)

// sendGridSays something of the message that she got
// (https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features).
func (d *desk) sendGridSays(p *person, what string) {
	t := d.w.t
	t.Helper()
	id := ownID.FindStringSubmatch(mailTo(t, d.mails, p.address()).Header.Get("Message-ID"))
	if id == nil {
		t.Fatalf("%s: no Message-ID of ours", p.name)
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	body := fmt.Sprintf(`[{"g":%q,"k":%q,"sg_event_id":%q,"timestamp":%s,%s}]`, id[1], id[2], rand.Text(), now, what)
	sum := sha256.Sum256([]byte(now + body))
	signature, err := ecdsa.SignASN1(rand.Reader, d.signs, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	d.hooked("/hooks/sendgrid", inJSON, body, http.Header{"X-Twilio-Email-Event-Webhook-Signature": {base64.StdEncoding.EncodeToString(signature)},
		"X-Twilio-Email-Event-Webhook-Timestamp": {now}})
}

func (d *desk) hooked(path, contentType, body string, header http.Header) {
	t := d.w.t
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.p.public+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	req.Header.Set("Content-Type", contentType)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		t.Fatalf("%s answers %s", path, res.Status)
	}
}

// wantReport wants the report to count those who were left out by their causes,
// and everybody else to have got a message.
func (d *desk) wantReport(people []person, channel string, messages int) {
	d.w.t.Helper()
	want, sent := map[string]int64{}, int64(0)
	for _, p := range people {
		if cause := p.cause(channel); cause != "" {
			want[cause]++
		} else {
			sent++
		}
	}
	for _, r := range d.w.report("next").Channels {
		if string(r.Channel) != channel {
			continue
		}
		if diff := cmp.Diff(want, r.Causes["suppressed"]); diff != "" || r.Sent != sent || int64(messages) != sent || r.Audience != int64(len(people)) {
			d.w.t.Errorf("by %s, %d of %d sent, %d messages, want %d: %s", channel, r.Sent, r.Audience, messages, sent, diff)
		}
	}
}

// wantFile wants what customer service sees to say what became of each message,
// and on which version of the wishes that was decided.
func (d *desk) wantFile(p person) {
	t := d.w.t
	t.Helper()
	var file struct {
		Communications []struct {
			Campaign, Channel, Outcome, Cause, Says string
			Version                                 int64 `json:"suppression_version"`
		}
	}
	content := d.ask(http.MethodGet, "/v1/people/"+d.idOf(&p), d.service, "", "")
	decode(t, content, &file)
	got, want := map[string]string{}, map[string]string{}
	for _, c := range file.Communications {
		if c.Campaign == "next" {
			got[c.Channel] = strings.TrimSpace(c.Outcome + " " + c.Cause)
			if c.Version == 0 || c.Says == "" {
				t.Errorf("%s by %s: %+v", p.name, c.Channel, c)
			}
		}
	}
	for _, ch := range audience.Channels {
		want[string(ch)] = "sent"
		if cause := p.cause(string(ch)); cause != "" {
			want[string(ch)] = "suppressed " + cause
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", p.name, diff)
	}
}

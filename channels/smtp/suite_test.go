package smtp

import (
	"bytes"
	"io"
	stdmime "mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"

	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/smtp/smtptest"
	"utskick/suppression"
)

const password = "a-password-for-tests"

func TestSuite(t *testing.T) {
	channeltest.Run(t, channeltest.Target{
		New: func(t *testing.T, address string, o channeltest.Options) channels.Provider {
			p, err := New(Config{
				URL: "smtp://utskick:" + password + "@" + address, Dial: o.Dial,
				Timeouts: Timeouts{Connect: o.Timeout, Command: o.Timeout, Body: o.Timeout, Final: o.Timeout},
			})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Start:   func(t *testing.T) channeltest.StandIn { return startRelay(t) },
		Secrets: []string{password},
		Answers: answers(),
	})
}

// answers is the table of what a relay may say, and where.
func answers() []channeltest.Case {
	var out []channeltest.Case
	add := func(want channels.Result, stage string, replies ...string) {
		for _, reply := range replies {
			status, err := strconv.Atoi(reply[:3])
			if err != nil {
				panic(err)
			}
			out = append(out, channeltest.Case{
				Name:   strings.TrimSpace("at " + stage + " " + reply),
				Answer: channeltest.Answer{Stage: stage, Status: status, Body: strings.TrimPrefix(reply[3:], " ") + " <mottagare.0@example.com>"},
				Want:   want,
			})
		}
	}
	r := func(class channels.Class, reason string) channels.Result {
		return channels.Result{Class: class, Reason: reason}
	}
	gone := func(reason string, cause suppression.Cause) channels.Result {
		return channels.Result{Class: channels.Refused, Reason: reason, Suppress: cause}
	}
	out = append(out, channeltest.Case{Name: "250", Want: channels.Result{Class: channels.Accepted}})
	add(channels.Result{Class: channels.Accepted}, "", "250 2.0.0 ok", "251 ok", "250 queued as <")

	for _, stage := range []string{"RCPT", "MAIL", "DATA", ""} {
		add(r(channels.NotTaken, "service_unavailable"), stage, "421 4.7.0 too many messages", "421 bye")
		add(r(channels.Hold, "bad_credentials"), stage, "530 5.7.0 authentication required", "535 5.7.8 bad", "534 5.7.9 weak", "538 5.7.11 encrypt")
		add(r(channels.Refused, "too_large"), stage, "552 5.3.4 too large", "554 5.3.4 too large", "523 5.3.4 too large")
	}
	add(r(channels.Refused, "too_large"), "MAIL", "552 too large")
	add(r(channels.Refused, "too_large"), "", "552 too large")
	add(r(channels.NotTaken, "throttled"), "MAIL", "450 4.7.1 slow down", "451 4.3.0 later", "452 4.3.1 disk full")
	add(r(channels.HoldSender, "sender_refused"), "MAIL", "550 5.7.1 not yours", "553 5.1.8 bad sender", "501 5.1.7 bad sender", "555 parameters")

	greylisted := channels.Result{Class: channels.NotTaken, Reason: "greylisted", Pause: greylistPause}
	add(greylisted, "RCPT", "450 4.7.1 greylisted", "451 4.7.1 greylisted", "452 4.2.2 full for now", "450 busy")
	add(r(channels.NotTaken, "temporary"), "RCPT", "432 4.7.12 later")
	add(gone("unknown_address", suppression.Bounced), "RCPT", "550 5.1.1 no such user", "551 5.1.6 moved")
	add(gone("invalid_address", suppression.Invalid), "RCPT", "550 5.1.2 no such domain", "553 5.1.3 syntax")
	add(gone("domain_takes_no_mail", suppression.Invalid), "RCPT", "556 5.1.10 null MX")
	add(r(channels.Refused, "policy"), "RCPT", "550 5.7.1 blocked", "554 5.7.515 authentication level", "550 5.7.26 unauthenticated")
	add(r(channels.Refused, "mailbox_full"), "RCPT", "552 5.2.2 full", "552 full", "550 5.2.2 full")
	add(r(channels.Refused, "mailbox_disabled"), "RCPT", "550 5.2.1 disabled")
	add(r(channels.Refused, "recipient_refused"), "RCPT", "550 no", "550 5.0.0 no", "550 4.1.1 codes that disagree", "550 5.1 no code", "550 5.1.1.1 no code", "553 no")

	add(r(channels.NotTaken, "throttled"), "DATA", "451 4.3.0 later")
	add(r(channels.NotTaken, "protocol_error"), "DATA", "503 5.5.1 order", "250 ok")
	add(r(channels.Refused, "policy"), "DATA", "554 5.7.1 blocked")
	add(r(channels.Refused, "content_refused"), "DATA", "554 no")

	add(r(channels.NotTaken, "throttled"), "", "450 4.7.1 later", "451 4.3.0 later", "452 4.3.1 disk full")
	add(r(channels.Refused, "policy"), "", "554 5.7.1 looks like spam", "550 5.7.515 authentication level")
	add(r(channels.Refused, "content_refused"), "", "554 5.6.0 no", "550 no", "500 no")
	add(gone("unknown_address", suppression.Bounced), "", "550 5.1.1 no such user")
	add(r(channels.InDoubt, "protocol_error"), "", "354 go on")
	return out
}

// relay is a server that the suite scripts.
type relay struct {
	*smtptest.Server

	mu      sync.Mutex
	answers []channeltest.Answer
	current map[int]*channeltest.Answer // by connection
}

func startRelay(t *testing.T) *relay {
	r := &relay{current: make(map[int]*channeltest.Answer)}
	r.Server = smtptest.Start(t, smtptest.Config{User: "utskick", Password: password, Respond: r.respond})
	t.Cleanup(func() {
		for _, breach := range r.Breaches() {
			t.Errorf("against the protocol: %s", breach)
		}
	})
	return r
}

func (r *relay) Script(answers ...channeltest.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = append(r.answers, answers...)
}

func (r *relay) Attempts() int { return r.Transactions() }

// respond gives the answer of the transaction when its stage has come. An
// answer to MAIL is taken there, any other when the recipient is known.
func (r *relay) respond(e smtptest.Event) smtptest.Action {
	r.mu.Lock()
	var a *channeltest.Answer
	switch e.Stage {
	case smtptest.MAIL:
		a = r.pick(func(a channeltest.Answer) bool { return a.Stage == "MAIL" && a.To == "" })
		r.current[e.Conn] = a
	case smtptest.RCPT:
		if r.current[e.Conn] == nil {
			r.current[e.Conn] = r.pick(func(a channeltest.Answer) bool { return a.To == e.To })
		}
		if r.current[e.Conn] == nil {
			r.current[e.Conn] = r.pick(func(a channeltest.Answer) bool { return a.To == "" })
		}
		a = r.current[e.Conn]
	case smtptest.DATA, smtptest.End:
		a = r.current[e.Conn]
	}
	r.mu.Unlock()
	stage := string(e.Stage)
	if e.Stage == smtptest.End {
		stage = ""
	}
	if a == nil || a.Stage != stage {
		return smtptest.Action{}
	}
	if a.Before != nil {
		a.Before()
	}
	action := smtptest.Action{Fault: smtptest.Fault(a.Fault)}
	if a.Status != 0 {
		action.Reply = strings.TrimSpace(strconv.Itoa(a.Status) + " " + a.Body)
	}
	return action
}

// pick takes the first answer that fits. The caller holds the lock.
func (r *relay) pick(fits func(channeltest.Answer) bool) *channeltest.Answer {
	for i, a := range r.answers {
		if fits(a) {
			r.answers = append(r.answers[:i:i], r.answers[i+1:]...)
			return &a
		}
	}
	return nil
}

func (r *relay) Received() []channeltest.Message {
	var out []channeltest.Message
	for _, m := range r.Messages() {
		out = append(out, decode(m))
	}
	return out
}

// decode reads a message as a mail program does.
func decode(m smtptest.Message) channeltest.Message {
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		panic(err)
	}
	out := channeltest.Message{To: m.To, From: address(parsed.Header, "From"), ReplyTo: address(parsed.Header, "Reply-To"), Headers: map[string]string{}, Data: map[string]string{}}
	if to := address(parsed.Header, "To"); to != m.To {
		panic("the To line differs from the envelope")
	}
	for name := range parsed.Header {
		value, err := new(stdmime.WordDecoder).DecodeHeader(parsed.Header.Get(name))
		if err != nil {
			panic(err)
		}
		out.Headers[textproto.CanonicalMIMEHeaderKey(name)] = value
	}
	out.Subject = out.Headers["Subject"]
	_, params, err := stdmime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil {
		panic(err)
	}
	for r := multipart.NewReader(parsed.Body, params["boundary"]); ; {
		part, err := r.NextPart()
		if err == io.EOF {
			return out
		}
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			panic(err)
		}
		text := strings.ReplaceAll(string(body), "\r\n", "\n")
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			out.HTML = text
		} else {
			out.Text = text
		}
	}
}

func address(h mail.Header, name string) string {
	a, err := mail.ParseAddress(h.Get(name))
	if err != nil {
		return ""
	}
	return a.Address
}

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// returned is a notice that the address of a message does not exist.
func returned(to, original string) string {
	return fmt.Sprintf(`Return-Path: <>
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: nyheter@exempelbolaget.test
Subject: Undelivered Mail Returned to Sender
Message-Id: <returned@mx.example.net>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="e2e"

--e2e
Content-Type: text/plain

It could not be delivered.
--e2e
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; %s
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--e2e
Content-Type: message/rfc822

%s
--e2e--
`, to, original)
}

func complaint(original string) string {
	return fmt.Sprintf(`From: feedback@mail.example.net
To: fbl@exempelbolaget.test
Subject: FW: it was reported
Message-ID: <complaint@mail.example.net>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="e2e"

--e2e
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: E2E/1
Version: 1

--e2e
Content-Type: message/rfc822

%s
--e2e--
`, original)
}

func answer(from, subject, text string) string {
	return fmt.Sprintf("From: <%s>\nTo: kundservice@exempelbolaget.test\nSubject: %s\nMessage-ID: <answer-%s>\nContent-Type: text/plain; charset=utf-8\n\n%s\n", from, subject, from, text)
}

// TestReplies takes the mails of a campaign back as servers, providers and people
// return them: the next campaign leaves out whom it has to, and says why.
func TestReplies(t *testing.T) {
	w := newWorld(t, outboxOnly)
	w.prepare(20)
	p := w.serve("serve")
	w.launch("first")
	if got := w.ended("first"); got.Sent != 20 {
		t.Fatalf("%+v", got)
	}
	mails := w.outbox("email")
	original := func(to string) string {
		content, err := os.ReadFile(mailTo(t, mails, to).File)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	box := ""
	for _, m := range []string{
		returned("c1@example.com", original("c1@example.com")),
		"Subject: nobody wrote this\n\n",
		complaint(original("c2@example.com")),
		answer("C3@example.com", "Sv: Nyheter", "Avregistrera mig, tack!\n\nDen 2 mars 2026 skrev Exempelbolaget:\n> Hej"),
		answer("c4@example.com", "Sv: Nyheter", "När öppnar ni?"),
		answer("c5@example.com", "Autosvar: Nyheter", "Stopp, jag är på semester"),
	} {
		m = strings.ReplaceAll(strings.ReplaceAll(m, "\r\n", "\n"), "\nFrom ", "\n>From ")
		box += "From MAILER-DAEMON Mon Mar  2 09:00:05 2026\n" + m + "\n"
	}
	file := w.file("mailbox", box)
	type counts struct {
		Messages, Repeated, Complaints, Objections, Queued, Automatic, Unknown, Problems int
		Bounces                                                                          struct{ Suppressing int }
	}
	want := counts{Messages: 6, Complaints: 1, Objections: 1, Queued: 1, Automatic: 1, Problems: 1}
	want.Bounces.Suppressing = 1
	for range 2 {
		out, log, code := w.run("replies", "import", file, "--json")
		var got counts
		decode(t, out, &got)
		if got != want || code != 0 {
			t.Errorf("exit %d, %+v, want %+v", code, got, want)
		}
		if !strings.Contains(log, fmt.Sprintf("message 2, at byte %d: it has no sender", strings.Index(box, "Subject: nobody")-len("From MAILER-DAEMON Mon Mar  2 09:00:05 2026\n"))) || strings.Contains(log, "@") {
			t.Errorf("log:\n%s", log)
		}
		want = counts{Messages: 6, Repeated: 5, Problems: 1}
	}
	first := w.report("first").Channels[0]
	if first.Bounced != 1 || first.Complained != 1 || first.Sent != 20 {
		t.Errorf("%+v", first)
	}
	w.launch("second")
	second := w.ended("second")
	for _, cause := range []string{"bounced", "complained", "objected"} {
		if second.Causes["suppressed"][cause] != 1 {
			t.Errorf("%s: %d", cause, second.Causes["suppressed"][cause])
		}
	}
	if second.Sent != 17 {
		t.Errorf("%+v", second)
	}
	_, open := ask(t, "GET", p.operator+"/v1/inbound", w.key(), "", "")
	if !strings.Contains(open, "När öppnar ni?") || !strings.Contains(open, `"channel":"email"`) || strings.Contains(open, "Avregistrera") {
		t.Errorf("for customer service: %s", open)
	}
	w.expect(1, []string{"no such file"}, "replies", "import", file+".not")
}

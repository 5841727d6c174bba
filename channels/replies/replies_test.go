package replies_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels/replies"
	"utskick/suppression"
	"utskick/tracking"
)

var (
	now    = time.Date(2026, 3, 3, 8, 0, 0, 0, time.UTC)
	pepper = bytes.Repeat([]byte("pepper"), 8)
)

const group = 7

// desk takes what it is given, and knows some keys.
type desk struct {
	t      *testing.T
	keyer  *audience.Keyer
	signer *tracking.Signer
	known  map[audience.Key]bool
	taken  map[string]suppression.Mail
	mails  []suppression.Mail
	fails  error
}

func newDesk(t *testing.T, known ...string) *desk {
	t.Helper()
	d := &desk{t: t, known: map[audience.Key]bool{}, taken: map[string]suppression.Mail{}}
	var err error
	if d.keyer, err = audience.NewKeyer(pepper); err != nil {
		t.Fatal(err)
	}
	if d.signer, err = tracking.NewSigner(pepper); err != nil {
		t.Fatal(err)
	}
	for _, k := range known {
		d.known[d.key(k)] = true
	}
	return d
}

func (d *desk) key(address string) audience.Key { return d.keyer.Key(audience.KindEmail, address) }

func (d *desk) Knows(_ context.Context, k audience.Key) (bool, error) { return d.known[k], d.fails }

func (d *desk) Take(_ context.Context, m suppression.Mail) (bool, error) {
	if d.fails != nil {
		return false, d.fails
	}
	_, again := d.taken[m.ID]
	d.taken[m.ID] = m
	d.mails = append(d.mails, m)
	return !again, nil
}

func (d *desk) importer() replies.Importer {
	return replies.Importer{Taker: d, Keyer: d.keyer, Signer: d.signer, Now: func() time.Time { return now }}
}

// fixture returns a message of mailback's, with a link that is ours.
func (d *desk) fixture(name, to string) string {
	d.t.Helper()
	raw, err := os.ReadFile("../mailback/testdata/mail/" + name + ".eml")
	if err != nil {
		d.t.Fatal(err)
	}
	token := "AAAAAAAAAAAAAAAAAAAAAAAA" // nobody's
	if to != "" {
		token = d.signer.Sign(tracking.Token{Purpose: tracking.Unsubscribe, Group: group, Key: d.key(to)})
	}
	return strings.ReplaceAll(string(raw), "TOKENTOKENTOKENTOKENTOKENTOKEN", token)
}

func (d *desk) take(text string) replies.Report {
	d.t.Helper()
	report, err := d.importer().Import(d.t.Context(), strings.NewReader(text))
	if err != nil {
		d.t.Fatal(err)
	}
	return report
}

// said is what a mail comes to, with keys written as whose they are.
func (d *desk) said(m suppression.Mail) (lines []string) {
	names := map[audience.Key]string{}
	for _, a := range []string{"anna@example.com", "anna.annan@example.org", "bo@example.com", "liste@example.com"} {
		names[d.key(a)], _, _ = strings.Cut(a, "@")
	}
	for _, n := range m.Notices {
		line := fmt.Sprintf("event %s group %d %s", n.Type, n.Group, names[n.Key])
		if n.Effect.Cause != "" {
			line += fmt.Sprintf(": %s counts=%v (%s)", n.Effect.Cause, n.Effect.Counts, n.Effect.Evidence)
		}
		lines = append(lines, line)
	}
	for _, w := range m.Wishes {
		lines = append(lines, fmt.Sprintf("wish %s %s person=%v %s/%s", names[w.Entry.Key], w.Entry.Cause, w.Person, w.Entry.Channel, w.Entry.Purpose))
	}
	for _, r := range m.Replies {
		lines = append(lines, fmt.Sprintf("reply %s %s", names[r.Key], r.Meaning))
	}
	return lines
}

// TestFollows is the table in docs/replies.md.
func TestFollows(t *testing.T) {
	const anna = "anna@example.com"
	for _, c := range []struct {
		fixture string
		link    string // whose link it holds
		known   []string
		want    []string
		counts  string
	}{
		{"postfix-unknown", anna, nil, []string{"event bounced group 7 anna: bounced counts=false (mail: delivery notice 5.1.1)"}, "suppressing 1"},
		{"exim", anna, nil, []string{"event bounced group 7 anna: bounced counts=false (mail: delivery notice 5.1.1)"}, "suppressing 1"},
		{"gmail", anna, nil, []string{"event bounced group 7 anna: bounced counts=false (mail: delivery notice 5.1.1)"}, "suppressing 1"},
		{"qmail", anna, nil, []string{"event bounced group 7 anna: bounced counts=false (mail: delivery notice 5.1.1)"}, "suppressing 1"},
		{"exchange-unknown", anna, nil, []string{"event bounced group 7 anna: invalid counts=false (mail: delivery notice 5.1.10)"}, "suppressing 1"},
		{"exchange-full", anna, nil, []string{"event bounced group 7 anna: bounced counts=true (mail: delivery notice 5.2.2)"}, "counting 1"},
		{"postfix-policy", anna, nil, []string{"event bounced group 7 anna"}, "harmless 1"},
		{"postfix-expired", anna, nil, []string{"event bounced group 7 anna"}, "harmless 1"},
		{"postfix-delayed", anna, nil, []string{"event deferred group 7 anna: bounced counts=true (mail: delivery notice 4.2.2)"}, "delays 1"},
		{"postfix-delivered", anna, nil, []string{"event delivered group 7 anna"}, "delivered 1"},
		// It was sent on from our address to another.
		{"postfix-unknown", "liste@example.com", nil, []string{"event bounced group 7 liste: bounced counts=true (mail: delivery notice 5.1.1)"}, "counting 1"},
		{"postfix-two-recipients", anna, nil, []string{"event deferred group 7 anna: bounced counts=true (mail: delivery notice 4.2.1)"}, "delays 1 unknown 1"},
		{"exim-old", anna, nil, []string{"event bounced group 7 anna: bounced counts=false (mail: delivery notice 5.1.1)"}, "suppressing 1 unknown 1"},
		{"exim-old", "liste@example.com", nil, nil, "unknown 2"},
		// A link that is not ours says nothing, and the address is left.
		{"postfix-unknown", "", []string{anna}, []string{"wish anna bounced person=false email/*"}, "suppressing 1"},
		{"postfix-unknown", "", nil, nil, "unknown 1"},
		{"exchange-full", "", []string{anna}, nil, "harmless 1"},
		{"postfix-delayed", "", []string{anna}, nil, "delays 1"},

		{"arf-abuse", anna, nil, []string{"event complained group 7 anna: complained counts=false (mail: complaint)"}, "complaints 1"},
		{"arf-abuse", "", []string{anna}, nil, "unknown 1"}, // its address is redacted
		{"arf-opt-out", anna, nil, []string{"event unsubscribe group 7 anna: unsubscribed counts=false (mail: opt-out by the mailbox provider)"}, "unsubscribes 1"},
		{"arf-opt-out", "", []string{anna}, []string{"wish anna unsubscribed person=true email/*"}, "unsubscribes 1"},
		{"arf-fraud", anna, nil, []string{"event mail_feedback group 7 anna"}, "fraud 1"},

		{"reply-gmail", anna, nil, []string{"reply anna stop"}, "objections 1"},
		{"reply-outlook", anna, nil, []string{"reply anna stop"}, "objections 1"},
		{"reply-headers-repeated", "", nil, []string{"reply anna stop"}, "objections 1"},
		{"reply-html", anna, nil, []string{"reply anna unclear"}, "queued 1"}, // "överallt" may mean more
		{"reply-below", anna, nil, []string{"reply anna stop"}, "objections 1"},
		{"reply-subject", anna, nil, []string{"reply anna stop"}, "objections 1"},
		{"reply-multipart", anna, nil, []string{"reply anna stop"}, "objections 1"},
		{"reply-question", anna, nil, []string{"reply anna unclear"}, "queued 1"},
		{"reply-start", anna, nil, []string{"reply anna unclear"}, "queued 1"},
		{"reply-and-more", anna, nil, []string{"reply anna stop", "reply anna unclear"}, "objections 1 queued 1"},
		{"reply-forwarded", anna, nil, []string{"wish anna objected person=true email/marketing", "reply anna.annan stop"}, "objections 1"},
		{"reply-list", anna, nil, []string{"reply anna stop"}, "objections 1"},
		{"bulk-stop", anna, nil, []string{"reply anna stop"}, "objections 1"},
		{"bulk-question", anna, nil, nil, "automatic 1"},
		{"automatic-outlook", anna, nil, nil, "automatic 1"},
		{"automatic-precedence", anna, nil, nil, "automatic 1"},
		{"automatic-subject", anna, nil, nil, "automatic 1"},
		{"automatic-english", anna, nil, nil, "automatic 1"},
		{"automatic-read", anna, nil, nil, "automatic 1"},
	} {
		d := newDesk(t, c.known...)
		report := d.take(d.fixture(c.fixture, c.link))
		if len(d.mails) != 1 {
			t.Errorf("%s: %d messages were taken", c.fixture, len(d.mails))
			continue
		}
		if diff := cmp.Diff(c.want, d.said(d.mails[0])); diff != "" {
			t.Errorf("%s, link of %q (-want +got):\n%s", c.fixture, c.link, diff)
		}
		if got := counted(report); got != c.counts {
			t.Errorf("%s: %q, want %q", c.fixture, got, c.counts)
		}
		if again := d.take(d.fixture(c.fixture, c.link)); counted(again) != "" || again.Repeated != 1 || again.Messages != 1 {
			t.Errorf("%s counts again: %+v", c.fixture, again)
		}
	}
}

// counted writes the figures that are not 0, but for messages.
func counted(r replies.Report) string {
	var b strings.Builder
	for _, n := range []struct {
		name string
		n    int
	}{
		{"suppressing", r.Bounces.Suppressing}, {"counting", r.Bounces.Counting}, {"harmless", r.Bounces.Harmless}, {"delays", r.Delays},
		{"delivered", r.Delivered}, {"complaints", r.Complaints}, {"unsubscribes", r.Unsubscribes}, {"objections", r.Objections}, {"queued", r.Queued},
		{"automatic", r.Automatic}, {"unknown", r.Unknown}, {"problems", r.Problems}, {"fraud", r.Feedback["fraud"]}, {"other", r.Feedback["other"]},
	} {
		if n.n > 0 {
			fmt.Fprintf(&b, " %s %d", n.name, n.n)
		}
	}
	return strings.TrimSpace(b.String())
}

func mailbox(messages ...string) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString("From MAILER-DAEMON Mon Mar  2 09:00:05 2026\n" + strings.ReplaceAll(m, "\nFrom ", "\n>From ") + "\n")
	}
	return b.String()
}

// TestProblems: a message that cannot be read is listed with its place, without a
// word of it, and the others count.
func TestProblems(t *testing.T) {
	d := newDesk(t)
	box := mailbox(d.fixture("bad-cut", ""), d.fixture("reply-gmail", ""), d.fixture("bad-unknown-form", ""), d.fixture("bad-no-from", ""), d.fixture("arf-abuse", "anna@example.com"))
	var problems []replies.Problem
	var read int64
	im := d.importer()
	im.Problems = func(p replies.Problem) error { problems = append(problems, p); return nil }
	im.Progress = func(n int64) { read = n }
	report, err := im.Import(t.Context(), strings.NewReader(box))
	if err != nil || report.Messages != 5 || counted(report) != "complaints 1 objections 1 problems 3" || read != int64(len(box)) {
		t.Errorf("%+v, %d of %d bytes, %v", report, read, len(box), err)
	}
	if len(problems) != 3 || problems[0].Message != 1 || problems[1].Message != 3 || problems[2].Message != 4 {
		t.Fatalf("%+v", problems)
	}
	for _, p := range problems {
		if !strings.HasPrefix(box[p.Offset:], "From MAILER-DAEMON") || strings.ContainsAny(p.Rule, "@<") {
			t.Errorf("%+v", p)
		}
	}
	im.Problems = func(replies.Problem) error { return errFull }
	if _, err := im.Import(t.Context(), strings.NewReader(box)); !errors.Is(err, errFull) {
		t.Errorf("%v", err)
	}
}

var errFull = errors.New("the disk is full")

// TestNotTaken: what cannot be written ends the import, names the message and no
// address, and is taken when it is imported again.
func TestNotTaken(t *testing.T) {
	d := newDesk(t)
	box := mailbox(d.fixture("reply-gmail", ""), d.fixture("postfix-unknown", ""))
	d.fails = errFull
	_, err := d.importer().Import(t.Context(), strings.NewReader(box))
	if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "message 1 was not taken") || strings.Contains(err.Error(), "@") {
		t.Errorf("%v", err)
	}
	d.fails = nil
	if report := d.take(box); counted(report) != "objections 1 unknown 1" {
		t.Errorf("%+v", report)
	}
}

// TestWhen: a notice says when it was written, unless its clock is wrong.
func TestWhen(t *testing.T) {
	for date, want := range map[string]time.Time{
		"Mon, 02 Mar 2026 11:00:00 +0100": time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC),
		"Mon, 02 Mar 2037 11:00:00 +0100": now,
		"Mon, 02 Mar 1970 11:00:00 +0100": now,
		"soon":                            now,
	} {
		d := newDesk(t)
		d.take(strings.Replace(d.fixture("reply-subject", ""), "Mon, 02 Mar 2026 11:00:00 +0100", date, 1))
		if got := d.mails[0].Replies[0].At; !got.Equal(want) {
			t.Errorf("%s is taken for %v", date, got)
		}
	}
}

// TestOwnWords: where an objection ends, and what follows it.
func TestOwnWords(t *testing.T) {
	for text, want := range map[string]string{
		"Subject: Re: a\n\nHej\n\nSluta skicka mejl!\n\nMvh\nAnna Exempel\nExempelgatan 1": "objections 1",
		"Subject: Re: a\n\nStopp\n":                                                                                "objections 1",
		"Subject: Re: stopp\n\nTack för igår":                                                                      "queued 1",
		"Subject: stopp\n\nTack för igår":                                                                          "objections 1",
		"Subject: Re: a\n\nJag vill att ni slutar skicka mejl om skor men gärna om hattar":                         "queued 1",
		"Subject: Re: a\n\nJag vill inte ha era mejl från er som ni skickar till mig om de\nsenaste skorna":        "queued 1",
		"Subject: Re: a\n\nStoppa inte \nutskicken":                                                                "queued 1",
		"Subject: Re: a\n\nSkicka inte \nfler än två mejl i månaden":                                               "queued 1",
		"Subject: Re: a\n\nHej, jag vill inte ha era mejl från er till min mejl från er mer\nän en gång i månaden": "queued 1",
		"Subject: Re: a\n\nSkicka inte fler mejl.\nMvh Anna":                                                       "objections 1",
		"Subject: Re: a\n\n> stopp\n":                                                                              "queued 1",
		"Subject: Re: a\n\nja":                                                                                     "queued 1",
		"Subject: unsubscribe form on your site\n\n":                                                               "queued 1",
	} {
		d := newDesk(t)
		if got := counted(d.take("From: anna@example.com\n" + text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// FuzzImport: whatever a mailbox holds, each message of it is counted once, nobody
// is suppressed without a link of ours or an address of somebody's, and importing
// it again counts nothing.
func FuzzImport(f *testing.F) {
	for _, name := range []string{"postfix-unknown", "arf-abuse", "reply-gmail", "automatic-outlook", "exim-old"} {
		raw, err := os.ReadFile("../mailback/testdata/mail/" + name + ".eml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(mailbox(string(raw), string(raw))))
	}
	f.Fuzz(func(t *testing.T, box []byte) {
		d := newDesk(t)
		first := d.take(string(box))
		for _, m := range d.mails {
			if len(m.Notices) > 0 {
				t.Fatal("a link was forged")
			}
			for _, w := range m.Wishes {
				t.Fatalf("somebody is suppressed: %s", w.Entry.Cause)
			}
		}
		again := d.take(string(box))
		if again.Repeated+again.Problems != again.Messages || again.Messages != first.Messages || first.Repeated > again.Repeated {
			t.Fatalf("%+v, and again %+v", first, again)
		}
	})
}

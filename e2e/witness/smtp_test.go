package witness

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const mailText = "From: Exempelbolaget <hej@example.com>\r\nSubject: =?utf-8?q?h=C3=B6st?=\r\nTo: <a@example.com>\r\n" +
	"List-Unsubscribe:\r\n <https://example.com/u/x>\r\n\r\n..punkt\r\n.\r\n"

const envelope = "MAIL FROM:<hej@example.com> BODY=8BITMIME\r\nRCPT TO:<a@example.com>\r\nDATA\r\n"

// the mail that is in the text.
func theMail() []Message {
	return []Message{{Channel: "email", To: "a@example.com", Campaign: "höst", Link: "https://example.com/u/x"}}
}

// TestRelay plays a session with each rule: the client sends an envelope, and its
// message with the envelope of the next if it is asked for it.
func TestRelay(t *testing.T) {
	ended := func(taken bool, answer string) []Line {
		return []Line{{Call: 1, Event: Started, Vendor: relay},
			{Call: 1, Event: Ended, Vendor: relay, Whole: true, Taken: taken, Answer: answer, Messages: theMail()}}
	}
	refused := func(answer string, to ...Message) []Line {
		return []Line{{Event: Refused, Vendor: relay, Answer: answer, Messages: to}}
	}
	to := Message{Channel: "email", To: "a@example.com"}
	for name, c := range map[string]struct {
		rules   []Rule
		answers string // the first digit of each, to both envelopes and the message
		log     []Line
	}{
		"none":               {nil, "223 2 223", ended(true, "accepted")},
		"of another vendor":  {[]Rule{{Vendor: "fcm", Status: 500}}, "223 2 223", ended(true, "accepted")},
		"refused":            {[]Rule{{Status: 550}}, "223 5 223", ended(false, "550")},
		"taken, and refused": {[]Rule{{Status: 451, Taken: true}}, "223 4 223", ended(true, "451")},
		"421":                {[]Rule{{Status: 421}}, "223 4", ended(false, "421")},
		"silence":            {[]Rule{{Fault: Silence, Taken: true}}, "223", ended(true, Silence)},
		"reset":              {[]Rule{{Fault: Reset}}, "223", ended(false, Reset)},
		"cut short":          {[]Rule{{Fault: Truncate, Taken: true}}, "223", ended(true, Truncate)},
		"MAIL refused":       {[]Rule{{At: AtMail, Status: 452}}, "455", refused("mail 452")},
		"MAIL and 421":       {[]Rule{{At: AtMail, Status: 421}}, "4", refused("mail 421")},
		"RCPT refused":       {[]Rule{{At: AtRcpt, Status: 550, To: "a@example.com"}}, "255", refused("rcpt 550", to)},
		"RCPT of another":    {[]Rule{{At: AtRcpt, Status: 550, To: "b@example.com"}}, "223 2 223", ended(true, "accepted")},
		"RCPT and 421":       {[]Rule{{At: AtRcpt, Status: 421}}, "24", refused("rcpt 421", to)},
		"in the middle of the message": {[]Rule{{Fault: Unread}}, "223",
			[]Line{{Call: 1, Event: Started, Vendor: relay}, {Call: 1, Event: Ended, Vendor: relay, Answer: Unread, Messages: theMail()}}},
	} {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			answers := play(t, log, c.rules)
			if answers != c.answers {
				t.Errorf("answered %q, want %q", answers, c.answers)
			}
			got := linesOf(t, log)
			if diff := cmp.Diff(c.log, got, cmpopts.IgnoreFields(Line{}, "At"), cmpopts.IgnoreUnexported(Message{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTornMail leaves in the middle of a message.
func TestTornMail(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	client, done := dial(t, log, nil)
	in := bufio.NewReader(client)
	group(in, 1)
	_, _ = io.WriteString(client, "EHLO client.test\r\n")
	group(in, 1)
	_, _ = io.WriteString(client, envelope)
	group(in, 3)
	_, _ = io.WriteString(client, "Subject: h")
	_ = client.Close()
	<-done
	want := []Line{{Call: 1, Event: Started, Vendor: relay},
		{Call: 1, Event: Ended, Vendor: relay, Answer: "torn", Messages: []Message{{Channel: "email", To: "a@example.com"}}}}
	if diff := cmp.Diff(want, linesOf(t, log), cmpopts.IgnoreFields(Line{}, "At"), cmpopts.IgnoreUnexported(Message{})); diff != "" {
		t.Error(diff)
	}
}

// dial opens a session with a relay that has these rules; done is closed when it
// has ended.
func dial(t *testing.T, path string, list []Rule) (client net.Conn, done chan struct{}) {
	t.Helper()
	log, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{log: log, fail: make(chan error, 1)}
	for _, r := range list {
		s.rules.list = append(s.rules.list, rule{Rule: r})
	}
	client, far := pair(t)
	done = make(chan struct{})
	go func() {
		defer close(done)
		(&session{server: s, conn: far, in: bufio.NewReader(far), out: bufio.NewWriter(far)}).run()
	}()
	t.Cleanup(func() { _ = client.Close(); <-done; _ = log.Close() })
	return client, done
}

func play(t *testing.T, path string, list []Rule) (answers string) {
	t.Helper()
	client, done := dial(t, path, list)
	in := bufio.NewReader(client)
	group(in, 1)
	_, _ = io.WriteString(client, "EHLO client.test\r\n")
	group(in, 1)
	_, _ = io.WriteString(client, envelope)
	answers = group(in, 3)
	if answers == "223" {
		_, _ = io.WriteString(client, mailText+envelope)
		if silent(list) {
			_ = client.Close()
		}
		if answer := group(in, 1); answer != "" {
			answers += " " + answer
			if next := group(in, 3); next != "" {
				answers += " " + next
			}
		}
	}
	_ = client.Close()
	<-done
	return answers
}

func silent(list []Rule) bool { return len(list) > 0 && list[0].Fault == Silence }

// group reads so many answers, and returns the first digits of those that came.
func group(in *bufio.Reader, n int) (digits string) {
	for len(digits) < n {
		line, err := in.ReadString('\n')
		if err != nil {
			break
		}
		if line[3] != '-' {
			digits += line[:1]
		}
	}
	return digits
}

func linesOf(t *testing.T, path string) (lines []Line) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(content)) {
		var l Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

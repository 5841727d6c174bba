package sendgrid

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sendgrid/sendgrid-go/helpers/mail"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/templates"
)

var update = flag.Bool("update", false, "write the golden files anew")

// body returns the body of a call for the draft, with tags of a known mark.
func body(t *testing.T, d channels.Draft, addresses []string) []byte {
	t.Helper()
	f, err := newForm(d, "mark")
	if err != nil {
		t.Fatal(err)
	}
	permits := channeltest.Permits(t, new(channeltest.Clock), audience.KindEmail, addresses...)
	c := newProvider(t, Global).encode(d, f)
	got, _, _ := c.assemble(nil, permits, make([]channels.Result, len(permits)))
	return got
}

func TestBodyIsWhatTheSDKWouldSend(t *testing.T) {
	d, _, addresses := chunk(t, 3)
	addresses[0] = `"citerad \ del"@example.com`
	d.Keys = channeltest.Keys(audience.KindEmail, addresses...)

	var got mail.SGMailV3
	decoder := json.NewDecoder(bytes.NewReader(body(t, d, addresses)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	var want mail.SGMailV3 // through JSON too, which drops empty fields alike
	if err := json.Unmarshal(mail.GetRequestBody(bySDK(d, addresses)), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-SDK +ours):\n%s", diff)
	}
}

// bySDK builds the same message with the types of sendgrid-go.
func bySDK(d channels.Draft, addresses []string) *mail.SGMailV3 {
	const columns = channeltest.Columns
	tags := new(templates.Sheet)
	tags.Reset(columns)
	var names [columns][]byte
	for hole := range names {
		names[hole] = appendTag(nil, "mark", hole)
	}
	tags.AppendRow(names[:]...)
	tagged := func(p templates.Part) string { return string(p.Append(nil, tags, 0)) }
	off := false
	s := d.Skeleton
	m := mail.NewV3Mail().
		SetFrom(mail.NewEmail(s.Sender.FromName, s.Sender.FromEmail)).
		SetReplyTo(mail.NewEmail("", s.Sender.ReplyTo)).
		AddContent(mail.NewContent("text/plain", tagged(s.Text)), mail.NewContent("text/html", tagged(s.HTML))).
		SetHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click").
		SetHeader("List-Id", "<nyhetsbrev.utskick.example.com>").
		AddCategories("g4711").
		SetTrackingSettings(&mail.TrackingSettings{
			ClickTracking:        &mail.ClickTrackingSetting{Enable: &off, EnableText: &off},
			OpenTracking:         &mail.OpenTrackingSetting{Enable: &off},
			SubscriptionTracking: &mail.SubscriptionTrackingSetting{Enable: &off},
			GoogleAnalytics:      &mail.GaSetting{Enable: &off},
		})
	m.Subject = tagged(s.Subject)
	for row, address := range addresses {
		p := mail.NewPersonalization()
		p.AddTos(mail.NewEmail("", address))
		p.SetCustomArg("g", "4711")
		p.SetCustomArg("k", d.Keys[row].String())
		p.SetHeader("List-Unsubscribe", string(s.Headers[0].Value.Append(nil, d.Sheet, row)))
		for hole, name := range names {
			p.SetSubstitution(string(name), string(d.Sheet.At(row, hole)))
		}
		m.AddPersonalizations(p)
	}
	return m
}

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*templates.Skeleton)
	}{
		{"newsletter", func(*templates.Skeleton) {}},
		{"html_alone", func(s *templates.Skeleton) { s.Text, s.Sender.ReplyTo, s.Sender.FromName = nil, "", "" }},
		{"no_holes", func(s *templates.Skeleton) {
			s.Subject, s.HTML, s.Text = s.Subject[:1], nil, s.Text[:1]
			s.Headers = s.Headers[1:]
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, _, addresses := chunk(t, 2)
			c.change(d.Skeleton)
			var got bytes.Buffer
			if err := json.Indent(&got, body(t, d, addresses), "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			file := filepath.Join("testdata", "golden", c.name+".json")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrepareRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*channels.Draft)
	}{
		{"too many rows", "1001 rows", func(d *channels.Draft) { *d, _, _ = chunk(t, MaxRecipients+1) }},
		{"no content", "neither HTML nor text", func(d *channels.Draft) { d.Skeleton.HTML, d.Skeleton.Text = nil, nil }},
		{"a hole without values", "hole 8", func(d *channels.Draft) {
			d.Skeleton.HTML = append(d.Skeleton.HTML, templates.Segment{Hole: channeltest.Columns})
		}},
		{"a header's hole without values", "hole 9", func(d *channels.Draft) {
			d.Skeleton.Headers[0].Value = templates.Part{{Hole: 9}}
		}},
		{"a reserved header", "reply-to", func(d *channels.Draft) {
			d.Skeleton.Headers = append(d.Skeleton.Headers, templates.Field{Name: "reply-to"})
		}},
	} {
		d, _, _ := chunk(t, 2)
		c.change(&d)
		_, err := newProvider(t, Global).Prepare(t.Context(), d)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestMarkIsNotInTheMessage(t *testing.T) {
	s := channeltest.Skeleton(audience.Email)
	seen := make(map[string]bool)
	for range 100 {
		mark := newMark(s)
		for _, part := range []templates.Part{s.Subject, s.HTML, s.Text} {
			for _, segment := range part {
				if strings.Contains(segment.Literal, mark) {
					t.Fatalf("the mark %q is in the message", mark)
				}
			}
		}
		if seen[mark] {
			t.Fatalf("the mark %q came twice: it can be guessed", mark)
		}
		seen[mark] = true
	}
}

func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", `Åsa "O" \ /`, "rad\r\n\ttab\b\f\x00\x1f\x7f", "\u2028\u2029\u202a😀", "\xff\xc3", "a\xe2\x80", "\xed\xa0\x80", "<b>&amp;"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want bytes.Buffer
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(string(text)); err != nil {
			t.Fatal(err)
		}
		if got := string(appendString(nil, text)) + "\n"; got != want.String() {
			t.Errorf("%q: %s, want %s", text, got, want.String())
		}
		if got, want := appendString(nil, string(text)), appendString(nil, text); !bytes.Equal(got, want) {
			t.Errorf("%q: %s as a string, %s as bytes", text, got, want)
		}
	})
}

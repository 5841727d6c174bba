package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	stdmime "mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/suppression"
)

func TestSuite(t *testing.T) {
	for _, channel := range audience.Channels {
		t.Run(string(channel), func(t *testing.T) {
			channeltest.Run(t, channeltest.Target{
				New: func(t *testing.T, address string, _ channeltest.Options) channels.Provider {
					p, err := New(Config{Dir: address, Channel: channel})
					if err != nil {
						t.Fatal(err)
					}
					return p
				},
				Start: func(t *testing.T) channeltest.StandIn {
					return folder{t, t.TempDir(), channel}
				},
				Answers: []channeltest.Case{{Name: "written", Want: channels.Result{Class: channels.Accepted, ProviderID: channeltest.AnyID}}},
				Local:   true,
			})
		})
	}
}

// folder reads what was written.
type folder struct {
	t       *testing.T
	dir     string
	channel audience.Channel
}

func (f folder) Address() string              { return f.dir }
func (f folder) Script(...channeltest.Answer) {} // a folder answers one way
func (f folder) Close()                       {}

func (f folder) path() string { return filepath.Join(f.dir, "outbox", string(f.channel)) }

// files returns the contents of the messages, in the order of their names.
func (f folder) files() [][]byte {
	f.t.Helper()
	extension := "*.json"
	if f.channel == audience.Email {
		extension = "*.eml"
	}
	names, err := filepath.Glob(filepath.Join(f.path(), extension))
	if err != nil {
		f.t.Fatal(err)
	}
	var out [][]byte
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			f.t.Fatal(err)
		}
		out = append(out, content)
	}
	return out
}

// lines returns those of sent.ndjson.
func (f folder) lines() []string {
	content, err := os.ReadFile(filepath.Join(f.path(), "sent.ndjson"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

func (f folder) Attempts() int { return len(f.files()) + len(f.lines()) }

func (f folder) Raw() []byte {
	return append(bytes.Join(f.files(), nil), strings.Join(f.lines(), "")...)
}

func (f folder) Received() []channeltest.Message {
	f.t.Helper()
	var out []channeltest.Message
	for _, content := range f.files() {
		if f.channel == audience.Email {
			out = append(out, f.readMail(content))
			continue
		}
		var r record
		if err := json.Unmarshal(content, &r); err != nil {
			f.t.Fatal(err)
		}
		if r.Channel != f.channel || r.Group != 4711 || r.Key == "" || r.At.IsZero() {
			f.t.Errorf("record %+v", r)
		}
		out = append(out, channeltest.Message{To: r.To, From: r.From, Subject: r.Title, Text: r.Text + r.Body, Data: r.Data})
	}
	return out
}

func (f folder) readMail(content []byte) channeltest.Message {
	f.t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		f.t.Fatal(err)
	}
	out := channeltest.Message{Headers: map[string]string{}}
	for name := range m.Header {
		value, err := new(stdmime.WordDecoder).DecodeHeader(m.Header.Get(name))
		if err != nil {
			f.t.Fatal(err)
		}
		out.Headers[textproto.CanonicalMIMEHeaderKey(name)] = value
	}
	out.Subject = out.Headers["Subject"]
	for name, field := range map[string]*string{"To": &out.To, "From": &out.From, "Reply-To": &out.ReplyTo} {
		a, err := m.Header.AddressList(name)
		if err != nil || len(a) != 1 {
			f.t.Fatalf("%s is %v, %v", name, a, err)
		}
		*field = a[0].Address
	}
	_, params, err := stdmime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		f.t.Fatal(err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			f.t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			f.t.Fatal(err)
		}
		text := strings.ReplaceAll(string(body), "\r\n", "\n")
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			out.HTML = text
		} else {
			out.Text = text
		}
	}
}

// open makes a provider over a folder.
func (f folder) open(limit int) *Provider {
	f.t.Helper()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(time.Millisecond)
		return at
	}
	p, err := New(Config{Dir: f.dir, Channel: f.channel, Limit: limit, Now: now})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { p.Close() })
	return p
}

// send sends n messages in one call.
func (f folder) send(p *Provider, n int, permits ...*suppression.Permit) []channels.Result {
	f.t.Helper()
	addresses := channeltest.Addresses(f.channel, n)
	call, err := p.Prepare(context.Background(), channels.Draft{
		Skeleton: channeltest.Skeleton(f.channel), Sheet: channeltest.Sheet(n), Group: 4711, Keys: channeltest.Keys(f.channel.Kind(), addresses...),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	if permits == nil {
		permits = channeltest.Permits(f.t, new(channeltest.Clock), f.channel.Kind(), addresses...)
	}
	return call.Send(context.Background(), permits)
}

func (f folder) wantSent(results []channels.Result) {
	f.t.Helper()
	for row, r := range results {
		if r.Class != channels.Accepted || r.ProviderID == "" {
			f.t.Errorf("row %d: %+v", row, r)
		}
	}
}

// TestEveryAttemptOnce: whatever the number of attempts, and across restarts,
// files and lines together are as many. Above the limit every thousandth is a
// file.
func TestEveryAttemptOnce(t *testing.T) {
	for _, channel := range audience.Channels {
		t.Run(string(channel), func(t *testing.T) {
			f := folder{t, t.TempDir(), channel}
			const limit, each = 20, 50
			sent := 0
			for _, c := range []struct{ calls, files, lines int }{
				{0, 0, 0}, {1, limit, 30}, {18, limit, 930}, {1, limit + 1, 979}, {21, limit + 2, 2028},
			} {
				p := f.open(limit) // a restart
				var done sync.WaitGroup
				for range c.calls {
					done.Go(func() { f.wantSent(f.send(p, each)) })
				}
				done.Wait()
				sent += c.calls * each
				files, lines := len(f.files()), len(f.lines())
				if files+lines != sent || files != c.files || lines != c.lines {
					t.Errorf("after %d attempts: %d files and %d lines, want %d and %d", sent, files, lines, c.files, c.lines)
				}
			}
			for _, text := range f.lines() {
				var l line
				if err := json.Unmarshal([]byte(text), &l); err != nil || l.Group != 4711 || len(l.Key) != 2*audience.KeySize || l.At.IsZero() {
					t.Errorf("line %q, %v", text, err)
				}
			}
			for _, address := range channeltest.Addresses(channel, each) {
				if strings.Contains(strings.Join(f.lines(), ""), address) {
					t.Error("the list holds an address")
				}
			}
		})
	}
}

// TestNoListBelowTheLimit: what people count first is files.
func TestNoListBelowTheLimit(t *testing.T) {
	f := folder{t, t.TempDir(), audience.Email}
	f.wantSent(f.send(f.open(30), 30))
	entries, err := os.ReadDir(f.path())
	if err != nil || len(entries) != 30 {
		t.Errorf("%d entries, want 30, %v", len(entries), err)
	}
}

// TestNames: a result names its file, and names sort by time.
func TestNames(t *testing.T) {
	f := folder{t, t.TempDir(), audience.SMS}
	p := f.open(0)
	var names []string
	for range 3 {
		for _, r := range f.send(p, 5) {
			names = append(names, r.ProviderID)
		}
	}
	entries, err := os.ReadDir(f.path())
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("names are not in the order of time: %v", names)
	}
	if diff := cmp.Diff(names, found); diff != "" {
		t.Errorf("files (-named +found):\n%s", diff)
	}
	if want := regexp.MustCompile(`^\d{13}-\d{6}-[0-9a-f]{6}-[0-9a-f]{8}\.json$`); !want.MatchString(names[0]) {
		t.Errorf("name %s", names[0])
	}
}

// TestWriteFails: an attempt that leaves nothing behind was not taken, and is
// not counted.
func TestWriteFails(t *testing.T) {
	want := channels.Result{Class: channels.NotTaken, Reason: "write_failed"}
	t.Run("folder gone", func(t *testing.T) {
		f := folder{t, t.TempDir(), audience.Email}
		p := f.open(0)
		if err := os.RemoveAll(f.path()); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.send(p, 3) {
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if n := p.attempts.Load(); n != 0 {
			t.Errorf("%d attempts are counted", n)
		}
	})
	t.Run("disk full at the list", func(t *testing.T) {
		f := folder{t, t.TempDir(), audience.Push}
		p := f.open(1)
		f.wantSent(f.send(p, 1))
		if err := os.Symlink("/dev/full", filepath.Join(f.path(), "sent.ndjson")); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.send(p, 3) {
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if n := p.attempts.Load(); n != 1 {
			t.Errorf("%d attempts are counted", n)
		}
	})
}

// TestExpiryAtTheList: the permit is asked again before a line is written, too.
func TestExpiryAtTheList(t *testing.T) {
	f := folder{t, t.TempDir(), audience.Email}
	p := f.open(1)
	f.wantSent(f.send(p, 1))
	clock := new(channeltest.Clock)
	permits := channeltest.Permits(t, clock, audience.KindEmail, channeltest.Addresses(audience.Email, 1)...)
	clock.ExpireAfter(1)
	if r := f.send(p, 1, permits...)[0]; r.Class != channels.Withheld {
		t.Errorf("%+v", r)
	}
	if n := len(f.lines()); n != 0 {
		t.Errorf("%d lines", n)
	}
}

// TestHiddenFiles: what a killed process left unfinished is no attempt.
func TestHiddenFiles(t *testing.T) {
	f := folder{t, t.TempDir(), audience.Email}
	f.open(0)
	if err := os.WriteFile(filepath.Join(f.path(), ".1700000000000-000001-abcdef-00000000.eml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := f.open(0).attempts.Load(); n != 0 {
		t.Errorf("%d attempts are counted", n)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{Dir: t.TempDir(), Channel: audience.Post}); err == nil {
		t.Error("there is an outbox for post")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dir: file, Channel: audience.Email}); err == nil {
		t.Error("a file passes for the data directory")
	}
}

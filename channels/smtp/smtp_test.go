package smtp

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/smtp/smtptest"
	"utskick/suppression"
	"utskick/templates"
)

// fixture is a provider in front of a server.
type fixture struct {
	*Provider
	server *smtptest.Server
	clock  *channeltest.Clock // of the permits

	mu  sync.Mutex
	now time.Time // of the provider
}

func (f *fixture) time() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// start starts a server and a provider; options is the query of its URL.
func start(t *testing.T, s smtptest.Config, options string, c Config) *fixture {
	t.Helper()
	f := &fixture{server: smtptest.Start(t, s), clock: new(channeltest.Clock), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	user := ""
	if s.User != "" {
		user = s.User + ":" + password + "@"
	}
	scheme := "smtp"
	if s.Implicit {
		scheme = "smtps"
	}
	c.URL = scheme + "://" + user + f.server.Address() + "?" + options
	c.Now = f.time
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		for _, breach := range f.server.Breaches() {
			t.Errorf("against the protocol: %s", breach)
		}
	})
	f.Provider = p
	return f
}

func (f *fixture) draft(s *templates.Skeleton, addresses []string) channels.Draft {
	return channels.Draft{Skeleton: s, Sheet: channeltest.Sheet(len(addresses)), Group: 4711, Keys: channeltest.Keys(audience.KindEmail, addresses...)}
}

// sendTo sends a message to each address.
func (f *fixture) sendTo(t *testing.T, s *templates.Skeleton, addresses ...string) []channels.Result {
	t.Helper()
	call, err := f.Prepare(context.Background(), f.draft(s, addresses))
	if err != nil {
		t.Fatal(err)
	}
	return call.Send(context.Background(), channeltest.Permits(t, f.clock, audience.KindEmail, addresses...))
}

func (f *fixture) send(t *testing.T, n int) []channels.Result {
	t.Helper()
	return f.sendTo(t, channeltest.Skeleton(audience.Email), channeltest.Addresses(audience.Email, n)...)
}

// summary counts results by class and reason.
func summary(results []channels.Result) map[string]int {
	out := make(map[string]int)
	for _, r := range results {
		out[strings.TrimSpace(r.Class.String()+" "+r.Reason)]++
	}
	return out
}

func wantResults(t *testing.T, results []channels.Result, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, summary(results)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// at answers one stage so, every time.
func at(stage smtptest.Stage, a smtptest.Action) func(smtptest.Event) smtptest.Action {
	return func(e smtptest.Event) smtptest.Action {
		if e.Stage == stage {
			return a
		}
		return smtptest.Action{}
	}
}

// once answers the first event that fits so.
func once(fits func(smtptest.Event) bool, a smtptest.Action) func(smtptest.Event) smtptest.Action {
	var mu sync.Mutex
	done := false
	return func(e smtptest.Event) smtptest.Action {
		mu.Lock()
		defer mu.Unlock()
		if done || !fits(e) {
			return smtptest.Action{}
		}
		done = true
		return a
	}
}

// TestFaults breaks off at each stage of a message. Only when its final dot may
// have arrived is it in doubt. The next send finds a working connection.
func TestFaults(t *testing.T) {
	const short = "timeout=50ms"
	for _, c := range []struct {
		stage   smtptest.Stage
		fault   smtptest.Fault
		options string
		want    string
	}{
		{smtptest.MAIL, smtptest.Silence, short, "not_taken timeout"},
		{smtptest.MAIL, smtptest.Reset, "", "not_taken connection_failed"},
		{smtptest.RCPT, smtptest.Silence, short, "not_taken timeout"},
		{smtptest.RCPT, smtptest.Reset, "", "not_taken connection_failed"},
		{smtptest.DATA, smtptest.Silence, short, "not_taken timeout"},
		{smtptest.DATA, smtptest.Reset, "", "not_taken connection_failed"},
		{smtptest.End, smtptest.Silence, short, "in_doubt timeout"},
		{smtptest.End, smtptest.Reset, "", "in_doubt connection_failed"},
	} {
		for _, extensions := range [][]string{nil, {"8BITMIME"}} {
			t.Run(fmt.Sprint(c.stage, c.fault, extensions), func(t *testing.T) {
				fault := once(func(e smtptest.Event) bool { return e.Stage == c.stage }, smtptest.Action{Fault: c.fault})
				f := start(t, smtptest.Config{Respond: fault, Extensions: extensions}, c.options, Config{})
				wantResults(t, f.send(t, 1), map[string]int{c.want: 1})
				wantResults(t, f.send(t, 1), map[string]int{"accepted": 1})
			})
		}
	}
}

// narrow dials connections that buffer little, so that a large message cannot
// be written while nobody reads it.
func narrow(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(32 << 10)
	}
	return conn, err
}

// TestBodyPartlyWritten breaks off in the middle of a message.
func TestBodyPartlyWritten(t *testing.T) {
	for name, c := range map[string]struct {
		fault   smtptest.Fault
		options string
		want    string
	}{
		"reset":   {smtptest.Reset, "", "not_taken connection_failed"},
		"silence": {smtptest.Silence, "timeout=50ms", "not_taken timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			action := smtptest.Action{Fault: c.fault, After: 100}
			if c.fault == smtptest.Silence {
				action = smtptest.Action{Fault: smtptest.Stall, After: 100}
			}
			fault := once(func(e smtptest.Event) bool { return e.Stage == smtptest.Body }, action)
			f := start(t, smtptest.Config{Respond: fault, Extensions: []string{"PIPELINING", "8BITMIME"}}, c.options, Config{Dial: narrow})
			s := channeltest.Skeleton(audience.Email)
			s.Text = append(s.Text, templates.Segment{Literal: strings.Repeat("en rad som fyller\r\n", 1<<17), Hole: -1})
			wantResults(t, f.sendTo(t, s, channeltest.Addresses(audience.Email, 1)...), map[string]int{c.want: 1})
			if n := f.server.Delivered(); n != 0 {
				t.Errorf("%d messages arrived", n)
			}
		})
	}
}

// TestPipelining: the next envelope follows a message at once, where that is
// offered, and never where it is not.
func TestPipelining(t *testing.T) {
	for _, offered := range []bool{true, false} {
		t.Run(fmt.Sprint(offered), func(t *testing.T) {
			var mu sync.Mutex
			var ahead []bool
			respond := func(e smtptest.Event) smtptest.Action {
				mu.Lock()
				defer mu.Unlock()
				if e.Stage == smtptest.MAIL || e.Stage == smtptest.RCPT || e.Stage == smtptest.End {
					ahead = append(ahead, e.Ahead)
				}
				return smtptest.Action{}
			}
			extensions := []string{"8BITMIME"}
			want := slices.Repeat([]bool{false}, 9)
			if offered {
				extensions = append(extensions, "PIPELINING")
				want = []bool{true, true, true, true, true, true, true, true, false}
			}
			f := start(t, smtptest.Config{Respond: respond, Extensions: extensions}, "connections=1", Config{})
			wantResults(t, f.send(t, 3), map[string]int{"accepted": 3})
			if diff := cmp.Diff(want, ahead); diff != "" {
				t.Errorf("more was sent before the answer (-want +got):\n%s", diff)
			}
			if n := f.server.Connections(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestDataInSpite: a server may accept DATA though it refused the recipient
// (RFC 2920, 3.1). No message follows, not even an empty one.
func TestDataInSpite(t *testing.T) {
	first := channeltest.Addresses(audience.Email, 1)[0]
	respond := func(e smtptest.Event) smtptest.Action {
		switch {
		case e.Stage == smtptest.RCPT && e.To == first:
			return smtptest.Action{Reply: "550 5.1.1 unknown"}
		case e.Stage == smtptest.DATA:
			return smtptest.Action{Reply: "354 go ahead"}
		}
		return smtptest.Action{}
	}
	f := start(t, smtptest.Config{Respond: respond}, "connections=1", Config{})
	wantResults(t, f.send(t, 4), map[string]int{"refused unknown_address": 1, "accepted": 3})
	if n := f.server.Delivered(); n != 3 {
		t.Errorf("%d messages arrived, want 3", n)
	}
}

// TestExpiryAtData lets the window pass between the envelope and the message.
func TestExpiryAtData(t *testing.T) {
	var f *fixture
	expire := func(e smtptest.Event) smtptest.Action {
		if e.Stage == smtptest.DATA {
			f.clock.Expire()
		}
		return smtptest.Action{}
	}
	f = start(t, smtptest.Config{Respond: expire}, "connections=1", Config{})
	wantResults(t, f.send(t, 3), map[string]int{"withheld expired": 3})
	if n := f.server.Delivered(); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
	if raw := string(f.server.Raw()); strings.Contains(raw, "Subject:") || strings.Contains(raw, "\r\n.\r\n") {
		t.Error("a part of a message was sent")
	}
}

// TestNoLookaheadLost: when the connection breaks at a message, the one whose
// envelope went with it was not taken.
func TestNoLookaheadLost(t *testing.T) {
	fault := once(func(e smtptest.Event) bool { return e.Stage == smtptest.End }, smtptest.Action{Fault: smtptest.Reset})
	f := start(t, smtptest.Config{Respond: fault}, "connections=1", Config{})
	results := f.send(t, 5)
	want := []channels.Class{channels.InDoubt, channels.NotTaken, channels.Accepted, channels.Accepted, channels.Accepted}
	for row, r := range results {
		if r.Class != want[row] {
			t.Errorf("row %d: %s, want %s", row, r.Class, want[row])
		}
	}
	if n := f.server.Connections(); n != 2 {
		t.Errorf("%d connections, want 2: the rest goes over a new one", n)
	}
}

// TestStopped: what had been begun when the context ended is finished, and
// nothing more is begun.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	respond := func(e smtptest.Event) smtptest.Action {
		if e.Stage == smtptest.End {
			cancel()
		}
		return smtptest.Action{}
	}
	f := start(t, smtptest.Config{Respond: respond}, "connections=1", Config{})
	addresses := channeltest.Addresses(audience.Email, 5)
	call, err := f.Prepare(ctx, f.draft(channeltest.Skeleton(audience.Email), addresses))
	if err != nil {
		t.Fatal(err)
	}
	results := call.Send(ctx, channeltest.Permits(t, f.clock, audience.KindEmail, addresses...))
	// The second message's envelope went with the first message.
	wantResults(t, results, map[string]int{"accepted": 2, "withheld stopped": 3})
	if n := f.server.Transactions(); n != 2 {
		t.Errorf("%d transactions", n)
	}
}

// TestEightBit: text goes as it is where the server offers that, and encoded
// everywhere once a server did not.
func TestEightBit(t *testing.T) {
	params := func(f *fixture) (out []string) {
		for _, m := range f.server.Messages() {
			out = append(out, strings.Split(m.Params, " SIZE")[0])
		}
		return out
	}
	t.Run("offered", func(t *testing.T) {
		f := start(t, smtptest.Config{}, "", Config{})
		wantResults(t, f.send(t, 1), map[string]int{"accepted": 1})
		if diff := cmp.Diff([]string{"BODY=8BITMIME"}, params(f)); diff != "" {
			t.Errorf("MAIL (-want +got):\n%s", diff)
		}
	})
	t.Run("not offered", func(t *testing.T) {
		f := start(t, smtptest.Config{Extensions: []string{"PIPELINING"}}, "", Config{})
		wantResults(t, f.send(t, 1), map[string]int{"accepted": 1})
		if diff := cmp.Diff([]string{""}, params(f)); diff != "" {
			t.Errorf("MAIL (-want +got):\n%s", diff)
		}
	})
	t.Run("by some servers", func(t *testing.T) {
		respond := func(e smtptest.Event) smtptest.Action {
			if e.Stage == smtptest.EHLO && e.Conn == 2 {
				return smtptest.Action{Reply: "250 less.example.com\nPIPELINING"}
			}
			if e.Stage == smtptest.End && e.Conn == 1 {
				return smtptest.Action{Reply: "421 4.7.0 enough"} // so that a second connection is needed
			}
			return smtptest.Action{}
		}
		f := start(t, smtptest.Config{Respond: respond}, "connections=1", Config{})
		wantResults(t, f.send(t, 3), map[string]int{"not_taken service_unavailable": 1, "not_taken connection_failed": 1, "not_taken no_8bitmime": 1})
		wantResults(t, f.send(t, 3), map[string]int{"accepted": 3})
	})
}

func TestSize(t *testing.T) {
	f := start(t, smtptest.Config{Extensions: []string{"PIPELINING", "8BITMIME", "SIZE 100000"}}, "", Config{})
	wantResults(t, f.send(t, 1), map[string]int{"accepted": 1})
	m := f.server.Messages()[0]
	size, err := strconv.Atoi(strings.TrimPrefix(m.Params, "BODY=8BITMIME SIZE="))
	if stuffed := bytes.Count(m.Data, []byte("\n.")); err != nil || size != len(m.Data)+stuffed {
		t.Errorf("MAIL with %q for %d bytes and %d dots", m.Params, len(m.Data), stuffed)
	}
	s := channeltest.Skeleton(audience.Email)
	s.Text = append(s.Text, templates.Segment{Literal: strings.Repeat("lång\n", 20000), Hole: -1})
	wantResults(t, f.sendTo(t, s, channeltest.Addresses(audience.Email, 1)...), map[string]int{"refused too_large": 1})
	if n := f.server.Transactions(); n != 1 {
		t.Errorf("%d transactions: a message that is too large is not offered", n)
	}
}

func TestUnicodeAddress(t *testing.T) {
	addresses := []string{"åsa@example.com", "mottagare.1@example.com"}
	f := start(t, smtptest.Config{}, "", Config{})
	wantResults(t, f.sendTo(t, channeltest.Skeleton(audience.Email), addresses...), map[string]int{"refused unsupported_address": 1, "accepted": 1})
	f = start(t, smtptest.Config{Extensions: []string{"PIPELINING", "8BITMIME", "SMTPUTF8"}}, "", Config{})
	wantResults(t, f.sendTo(t, channeltest.Skeleton(audience.Email), addresses...), map[string]int{"accepted": 2})
	for _, m := range f.server.Messages() {
		if got, want := strings.Contains(m.Params, "SMTPUTF8"), m.To == addresses[0]; got != want {
			t.Errorf("MAIL with %q for the %d bytes of the address", m.Params, len(m.To))
		}
	}
}

// TestBadAddress: what could end a command is refused, and never sent.
func TestBadAddress(t *testing.T) {
	f := start(t, smtptest.Config{}, "connections=1", Config{})
	bad := []string{"a@example.com>\r\nRCPT TO:<b@example.com", "a b@example.com", "@example.com", `"a"@example.com`}
	wantResults(t, f.sendTo(t, channeltest.Skeleton(audience.Email), bad...), map[string]int{"refused unsupported_address": 4})
	if n := f.server.Transactions(); n != 0 {
		t.Errorf("%d transactions", n)
	}
}

// TestHeaderTooLong fails one row alone.
func TestHeaderTooLong(t *testing.T) {
	f := start(t, smtptest.Config{}, "", Config{})
	s := &templates.Skeleton{
		Channel: audience.Email, Sender: channeltest.Sender(), Text: templates.Part{{Literal: "Hej", Hole: -1}},
		Headers: []templates.Field{{Name: "List-Id", Value: templates.Part{{Literal: "<", Hole: -1}, {Hole: 0}, {Literal: ">", Hole: -1}}}},
	}
	addresses := channeltest.Addresses(audience.Email, 2)
	d := f.draft(s, addresses)
	d.Sheet.Reset(1)
	d.Sheet.AppendRow([]byte(strings.Repeat("x", 1000)))
	d.Sheet.AppendRow([]byte("x"))
	call, err := f.Prepare(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	results := call.Send(context.Background(), channeltest.Permits(t, f.clock, audience.KindEmail, addresses...))
	wantResults(t, results, map[string]int{"refused unsendable_message": 1, "accepted": 1})
	if results[0].Class != channels.Refused {
		t.Error("the wrong row was refused")
	}
}

// TestPrepareRefuses: a sender that no mail can come from stops the chunk.
func TestPrepareRefuses(t *testing.T) {
	f := start(t, smtptest.Config{}, "", Config{})
	s := channeltest.Skeleton(audience.Email)
	s.Sender.FromEmail = "nobody"
	_, err := f.Prepare(context.Background(), f.draft(s, channeltest.Addresses(audience.Email, 1)))
	if err == nil || !strings.Contains(err.Error(), "from_email") {
		t.Errorf("error %v", err)
	}
}

// TestPermitOfAnother withholds a row whose permit is for somebody else.
func TestPermitOfAnother(t *testing.T) {
	f := start(t, smtptest.Config{}, "", Config{})
	addresses := channeltest.Addresses(audience.Email, 2)
	call, err := f.Prepare(context.Background(), f.draft(channeltest.Skeleton(audience.Email), addresses))
	if err != nil {
		t.Fatal(err)
	}
	permits := channeltest.Permits(t, f.clock, audience.KindEmail, addresses...)
	wantResults(t, call.Send(context.Background(), []*suppression.Permit{permits[1], permits[1]}), map[string]int{"withheld foreign_permit": 1, "accepted": 1})
}

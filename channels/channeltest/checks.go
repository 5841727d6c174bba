package channeltest

import (
	"context"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
	"utskick/templates"
)

type suite struct {
	Target
	logs *buffer
}

// bench is one provider in front of one stand-in.
type bench struct {
	*suite
	provider channels.Provider
	standIn  StandIn
	clock    *Clock
	skeleton *templates.Skeleton
}

const patience = 10 * time.Second // longer than any test takes

func (s *suite) open(t *testing.T, o Options) *bench {
	t.Helper()
	standIn := s.Start(t)
	t.Cleanup(standIn.Close)
	return s.openAt(t, standIn, standIn.Address(), o)
}

func (s *suite) openAt(t *testing.T, standIn StandIn, address string, o Options) *bench {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	conns := &connections{dial: o.Dial}
	o.Dial = conns.Dial
	p := s.New(t, address, o)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		conns.wantClosed(t)
	})
	b := &bench{suite: s, provider: p, standIn: standIn, clock: new(Clock), skeleton: s.Skeleton}
	if b.skeleton == nil {
		b.skeleton = Skeleton(p.Channel())
	}
	return b
}

func (b *bench) addresses(n int) []string { return Addresses(b.provider.Channel(), n) }

func (b *bench) kind() audience.Kind { return b.provider.Channel().Kind() }

func (b *bench) prepare(t *testing.T, addresses []string) channels.Call {
	t.Helper()
	call, err := b.provider.Prepare(context.Background(), channels.Draft{
		Skeleton: b.skeleton, Sheet: Sheet(len(addresses)), Group: 4711, Keys: Keys(b.kind(), addresses...),
	})
	if err != nil {
		t.Fatalf("Prepare: %v", err)
	}
	return call
}

// send sends to the addresses, except those whose row is in denied.
func (b *bench) send(t *testing.T, addresses []string, denied ...int) []channels.Result {
	t.Helper()
	permits := b.permits(t, addresses, denied...)
	call := b.prepare(t, addresses)
	return b.check(t, call.Send(context.Background(), permits), permits)
}

func (b *bench) permits(t *testing.T, addresses []string, denied ...int) []*suppression.Permit {
	admitted := slices.Clone(addresses)
	for _, row := range denied {
		admitted[row] = ""
	}
	return Permits(t, b.clock, b.kind(), admitted...)
}

// check asserts what holds for the results of every call.
func (b *bench) check(t *testing.T, results []channels.Result, permits []*suppression.Permit) []channels.Result {
	t.Helper()
	if len(results) != len(permits) {
		t.Errorf("%d results for %d rows", len(results), len(permits))
		return results
	}
	for row, r := range results {
		if permits[row] == nil && r.Class != channels.Withheld {
			t.Errorf("row %d has no permit, its result is %s", row, r.Class)
		}
		if permits[row] != nil {
			WantSound(t, r)
		}
		b.checkSecrets(t, fmt.Sprintf("result %d", row), fmt.Sprintf("%+v", r))
	}
	return results
}

// WantSound asserts what holds for the result of any attempt, whatever a vendor
// answers: a known class, a word for a reason, a pause that ends, and suppression
// only of who is refused.
func WantSound(t testing.TB, r channels.Result) {
	t.Helper()
	if r.Class > channels.HoldSender {
		t.Errorf("class %d", r.Class)
	}
	if r.Class != channels.Accepted && r.Reason == "" {
		t.Errorf("%s without a reason", r.Class)
	}
	if strings.Trim(r.Reason, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		t.Errorf("the reason is not a word: %q", r.Reason)
	}
	if r.Pause < 0 || r.Pause > time.Hour {
		t.Errorf("a pause of %s", r.Pause)
	}
	if r.Suppress != "" && (r.Class != channels.Refused || !slices.Contains(suppression.Causes, r.Suppress)) {
		t.Errorf("%s suppresses as %q", r.Class, r.Suppress)
	}
}

// attempts is how many attempts so many messages take.
func (b *bench) attempts(messages int) int {
	if messages > 0 && b.provider.PerCall() > 1 {
		return 1
	}
	return messages
}

func classes(results []channels.Result) []channels.Class {
	out := make([]channels.Class, len(results))
	for i, r := range results {
		out[i] = r.Class
	}
	return out
}

func all(class channels.Class, n int) []channels.Class {
	return slices.Repeat([]channels.Class{class}, n)
}

// wantSent asserts that the stand-in got one message for each of the addresses
// whose row is not in denied, and each as the template has it.
func (b *bench) wantSent(t *testing.T, addresses []string, denied ...int) {
	t.Helper()
	sheet := Sheet(len(addresses))
	var want []Message
	for row, address := range addresses {
		if !slices.Contains(denied, row) {
			want = append(want, expected(b.skeleton, sheet, row, address))
		}
	}
	got := b.standIn.Received()
	for i := range got {
		got[i] = normalised(got[i], b.skeleton)
	}
	byAddress := cmpopts.SortSlices(func(x, y Message) bool { return x.To < y.To })
	if diff := cmp.Diff(want, got, byAddress, notContent, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// notContent leaves out what is not the template's to say.
var notContent = cmpopts.IgnoreFields(Message{}, "At", "Status", "ID", "Args")

// expected is the message of one row.
func expected(s *templates.Skeleton, sheet *templates.Sheet, row int, to string) Message {
	text := func(p templates.Part) string { return string(p.Append(nil, sheet, row)) }
	m := Message{To: to, Subject: text(s.Subject), Text: text(s.Text), HTML: text(s.HTML), Headers: map[string]string{}, Data: map[string]string{}}
	switch s.Channel {
	case audience.Email:
		m.From, m.ReplyTo = s.Sender.FromEmail, s.Sender.ReplyTo
	case audience.SMS:
		m.From = s.Sender.SMSSender
		if s.Sender.SMSService != "" {
			m.From = s.Sender.SMSService
		}
	}
	for _, f := range s.Headers {
		m.Headers[f.Name] = text(f.Value)
	}
	for _, f := range s.Data {
		m.Data[f.Name] = text(f.Value)
	}
	return normalised(m, s)
}

// normalised leaves out what a vendor may add: line ends at the end of a text,
// and headers that are not the skeleton's.
func normalised(m Message, s *templates.Skeleton) Message {
	m.Text, m.HTML = strings.TrimRight(m.Text, "\n"), strings.TrimRight(m.HTML, "\n")
	headers := make(map[string]string)
	for name, value := range m.Headers {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if slices.ContainsFunc(s.Headers, func(f templates.Field) bool { return textproto.CanonicalMIMEHeaderKey(f.Name) == name }) {
			headers[name] = value
		}
	}
	m.Headers = headers
	return m
}

func (s *suite) delivery(t *testing.T) {
	for _, n := range []int{1, 7, 90} {
		b := s.open(t, Options{})
		addresses := b.addresses(n)
		results := b.send(t, addresses)
		if diff := cmp.Diff(all(channels.Accepted, n), classes(results)); diff != "" {
			t.Errorf("%d messages (-want +got):\n%s", n, diff)
		}
		b.wantSent(t, addresses)
		if got := b.standIn.Attempts(); got != b.attempts(n) {
			t.Errorf("%d attempts for %d messages", got, n)
		}
	}
}

func (s *suite) withheld(t *testing.T) {
	for name, denied := range map[string][]int{"first": {0}, "some": {1, 4, 5}, "last": {6}, "all": {0, 1, 2, 3, 4, 5, 6}} {
		t.Run(name, func(t *testing.T) {
			b := s.open(t, Options{})
			addresses := b.addresses(7)
			want := all(channels.Accepted, len(addresses))
			for _, row := range denied {
				want[row] = channels.Withheld
			}
			results := b.send(t, addresses, denied...)
			if diff := cmp.Diff(want, classes(results)); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			b.wantSent(t, addresses, denied...)
			b.wantNoTrace(t, addresses, denied)
			if got, want := b.standIn.Attempts(), b.attempts(len(addresses)-len(denied)); got != want {
				t.Errorf("%d attempts, want %d", got, want)
			}
		})
	}
}

func (b *bench) wantNoTrace(t *testing.T, addresses []string, denied []int) {
	t.Helper()
	raw := string(b.standIn.Raw())
	keys := Keys(b.kind(), addresses...)
	for _, row := range denied {
		for what, trace := range map[string]string{"address": addresses[row], "mark": Mark(row), "key": keys[row].String()} {
			if strings.Contains(raw, trace) {
				t.Errorf("the %s of row %d was sent, it has no permit", what, row)
			}
		}
	}
}

func (s *suite) concurrency(t *testing.T) {
	b := s.open(t, Options{})
	const calls, each = 4, 20
	addresses := b.addresses(calls * each)
	var done sync.WaitGroup
	for n := range calls {
		own := addresses[n*each : (n+1)*each]
		permits := b.permits(t, own)
		call := b.prepare(t, own)
		done.Go(func() {
			results := b.check(t, call.Send(context.Background(), permits), permits)
			if diff := cmp.Diff(all(channels.Accepted, each), classes(results)); diff != "" {
				t.Errorf("call %d (-want +got):\n%s", n, diff)
			}
		})
	}
	done.Wait()
	var got []string
	for _, m := range b.standIn.Received() {
		got = append(got, m.To)
	}
	slices.Sort(got)
	slices.Sort(addresses)
	if diff := cmp.Diff(addresses, got); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
}

func (s *suite) misuse(t *testing.T) {
	b := s.open(t, Options{})
	addresses := b.addresses(3)
	drafts := map[string]channels.Draft{
		"a key too few":     {Skeleton: b.skeleton, Sheet: Sheet(3), Keys: Keys(b.kind(), addresses[:2]...)},
		"no rows":           {Skeleton: b.skeleton, Sheet: Sheet(0)},
		"a foreign channel": {Skeleton: Skeleton(another(b.provider.Channel())), Sheet: Sheet(3), Keys: Keys(b.kind(), addresses...)},
	}
	for name, draft := range drafts {
		_, err := b.provider.Prepare(context.Background(), draft)
		if err == nil {
			t.Errorf("%s: Prepare took it", name)
			continue
		}
		b.checkSecrets(t, name, err.Error())
	}
	// Permits in another order than the draft would send one person's message
	// to the next.
	call := b.prepare(t, addresses)
	permits := b.permits(t, []string{addresses[1], addresses[2], addresses[0]})
	b.wantNothing(t, b.check(t, call.Send(context.Background(), permits), permits))
}

func another(channel audience.Channel) audience.Channel {
	if channel == audience.Email {
		return audience.SMS
	}
	return audience.Email
}

package sendgrid

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/channeltest/standin"
	"utskick/channels/sendgrid/sendgridtest"
	"utskick/suppression"
	"utskick/templates"
)

// send sends a draft to a stand-in and returns the results.
func send(t *testing.T, vendor *standin.Server, d channels.Draft, permits []*suppression.Permit) []channels.Result {
	t.Helper()
	p := newProvider(t, vendor.Address())
	defer p.Close()
	call, err := p.Prepare(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return call.Send(context.Background(), permits)
}

func recipients(vendor *standin.Server) []string {
	var to []string
	for _, m := range vendor.Received() {
		to = append(to, m.To)
	}
	return to
}

// sheetWith is a sheet of the suite with one value replaced.
func sheetWith(rows, row, column int, value string) *templates.Sheet {
	from, to := channeltest.Sheet(rows), new(templates.Sheet)
	to.Reset(channeltest.Columns)
	for r := range rows {
		var values [channeltest.Columns][]byte
		for c := range values {
			values[c] = from.At(r, c)
		}
		if r == row {
			values[column] = []byte(value)
		}
		to.AppendRow(values[:]...)
	}
	return to
}

func TestTooLongSubstitutionsSpareTheOthers(t *testing.T) {
	vendor := sendgridtest.Start(testKey)
	defer vendor.Close()
	d, permits, addresses := chunk(t, 3)
	d.Sheet = sheetWith(3, 1, 2, strings.Repeat("x", maxSubstitutions))
	got := send(t, vendor, d, permits)
	if want := (channels.Result{Class: channels.Refused, Reason: "too_large"}); got[1] != want {
		t.Errorf("the long row: %+v, want %+v", got[1], want)
	}
	if diff := cmp.Diff([]string{addresses[0], addresses[2]}, recipients(vendor)); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
}

func TestOneAddressOnceInACall(t *testing.T) {
	vendor := sendgridtest.Start(testKey)
	defer vendor.Close()
	d, permits, addresses := chunk(t, 3)
	d.Keys[2], permits[2] = d.Keys[0], permits[0]
	got := send(t, vendor, d, permits)
	if want := (channels.Result{Class: channels.Refused, Reason: "duplicate_address"}); got[2] != want {
		t.Errorf("the second row: %+v, want %+v", got[2], want)
	}
	if diff := cmp.Diff(addresses[:2], recipients(vendor)); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
}

// Permits of one call may come from two checks: those that live are used.
func TestOneExpiredPermitSparesTheOthers(t *testing.T) {
	vendor := sendgridtest.Start(testKey)
	defer vendor.Close()
	d, permits, addresses := chunk(t, 3)
	var clock channeltest.Clock
	permits[1] = channeltest.Permits(t, &clock, audience.KindEmail, addresses[1])[0]
	clock.Expire()
	got := send(t, vendor, d, permits)
	if want := (channels.Result{Class: channels.Withheld, Reason: "expired"}); got[1] != want {
		t.Errorf("the expired row: %+v, want %+v", got[1], want)
	}
	if diff := cmp.Diff([]string{addresses[0], addresses[2]}, recipients(vendor)); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
}

func TestACallIsSentOnce(t *testing.T) {
	vendor := sendgridtest.Start(testKey)
	defer vendor.Close()
	p := newProvider(t, vendor.Address())
	defer p.Close()
	d, permits, _ := chunk(t, 2)
	call, err := p.Prepare(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	call.Send(context.Background(), permits)
	for row, r := range call.Send(context.Background(), permits) {
		if r.Class != channels.Withheld {
			t.Errorf("row %d: %s", row, r.Class)
		}
	}
	if got := vendor.Attempts(); got != 1 {
		t.Errorf("%d requests", got)
	}
}

func TestTooLargeIsNotSent(t *testing.T) {
	vendor := sendgridtest.Start(testKey)
	defer vendor.Close()
	d, permits, addresses := chunk(t, 2)
	p := newProvider(t, vendor.Address())
	defer p.Close()
	size := len(body(t, d, addresses))
	for _, c := range []struct {
		limit    int
		want     channels.Class
		requests int
	}{
		{size - 1, channels.TooLarge, 0},
		{2 * size, channels.Accepted, 1},
	} {
		p.limit = c.limit
		call, err := p.Prepare(context.Background(), d)
		if err != nil {
			t.Fatal(err)
		}
		for row, r := range call.Send(context.Background(), permits) {
			if r.Class != c.want {
				t.Errorf("limit %d, row %d: %s, want %s", c.limit, row, r.Class, c.want)
			}
		}
		if got := vendor.Attempts(); got != c.requests {
			t.Errorf("limit %d: %d requests, want %d", c.limit, got, c.requests)
		}
	}
}

// large is a message that does not fit into the buffers of a connection made by
// listen.
func large(d channels.Draft) {
	d.Skeleton.HTML = append(d.Skeleton.HTML, templates.Segment{Literal: strings.Repeat("x", 2<<20), Hole: -1})
}

// listen runs answer on each connection after the first bytes of a request, and
// returns a provider that sends there over connections with small buffers.
func listen(t *testing.T, answer func(*net.TCPConn)) *Provider {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			io.ReadFull(conn, make([]byte, 1000))
			answer(conn.(*net.TCPConn))
		}
	}()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetWriteBuffer(32 << 10)
		}
		return conn, err
	}
	p, err := New(Config{URL: "http://" + listener.Addr().String(), Key: testKey, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// A body of which an early answer left a part unread still belongs to its
// connection: another call that wrote into it would change what goes out.
func TestABodyInUseIsNotGivenBack(t *testing.T) {
	p := listen(t, func(conn *net.TCPConn) {
		io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
	})
	d, permits, _ := chunk(t, 2)
	large(d)
	call, err := p.Prepare(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	if got := call.Send(context.Background(), permits); got[0].Class != channels.TooLarge {
		t.Fatalf("%s (%s), want too_large", got[0].Class, got[0].Reason)
	}
	for range 10 {
		if buf := p.buffers.Get().(*[]byte); cap(*buf) > 1<<20 {
			t.Fatal("the body was given back for others to use")
		}
	}
}

// A body that the connection did not take to its end cannot have been read.
func TestBrokenBodyIsNotTaken(t *testing.T) {
	p := listen(t, func(conn *net.TCPConn) {
		conn.SetLinger(0)
		conn.Close()
	})
	d, permits, _ := chunk(t, 2)
	large(d)
	call, err := p.Prepare(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	for row, r := range call.Send(context.Background(), permits) {
		if want := (channels.Result{Class: channels.NotTaken, Reason: "connection_failed"}); r != want {
			t.Errorf("row %d: %+v, want %+v", row, r, want)
		}
	}
}

func TestIdsTravelAlong(t *testing.T) {
	vendor := sendgridtest.Start(testKey)
	defer vendor.Close()
	d, permits, _ := chunk(t, 2)
	results := send(t, vendor, d, permits)
	for row, m := range vendor.Received() {
		want := map[string]string{"g": "4711", "k": d.Keys[row].String()}
		if diff := cmp.Diff(want, m.Args); diff != "" {
			t.Errorf("row %d (-want +got):\n%s", row, diff)
		}
		if !strings.HasPrefix(m.ID, results[row].ProviderID) {
			t.Errorf("row %d: the result names %q, the vendor %q", row, results[row].ProviderID, m.ID)
		}
	}
}

func TestWrongKeyHolds(t *testing.T) {
	vendor := sendgridtest.Start("SG.another-key")
	defer vendor.Close()
	d, permits, _ := chunk(t, 2)
	for row, r := range send(t, vendor, d, permits) {
		if want := (channels.Result{Class: channels.Hold, Reason: "bad_credentials"}); r != want {
			t.Errorf("row %d: %+v, want %+v", row, r, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		config     Config
	}{
		{"no key", "SENDGRID_API_KEY", Config{}},
		{"a key with a line end", "SENDGRID_API_KEY", Config{Key: testKey + "\n"}},
		{"no scheme", "UTSKICK_SENDGRID_URL", Config{Key: testKey, URL: "api.sendgrid.com"}},
		{"another scheme", "UTSKICK_SENDGRID_URL", Config{Key: testKey, URL: "ftp://sendgrid.example.com"}},
		{"credentials in the address", "UTSKICK_SENDGRID_URL", Config{Key: testKey, URL: "https://u:" + testKey + "@sendgrid.example.com"}},
	} {
		_, err := New(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that names %s", c.name, err, c.want)
		} else if strings.Contains(err.Error(), testKey) {
			t.Errorf("%s: the error holds the key", c.name)
		}
	}
}

package twilio

import (
	"context"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/twilio/twiliotest"
	"utskick/suppression"
)

const chunkSize = 200

func chunk(tb testing.TB, rows int) (channels.Draft, []*suppression.Permit, []string) {
	addresses := channeltest.Addresses(audience.SMS, rows)
	d := channels.Draft{
		Skeleton: channeltest.Skeleton(audience.SMS), Sheet: channeltest.Sheet(rows), Group: 4711,
		Keys: channeltest.Keys(audience.KindPhone, addresses...),
	}
	return d, channeltest.Permits(tb, new(channeltest.Clock), audience.KindPhone, addresses...), addresses
}

func startSink(b *testing.B) string {
	sink, err := twiliotest.StartSink(testAccount)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(sink.Close)
	return sink.Address()
}

// measure reports recipients per second and, since that depends on what else
// the machine does, the processor time of one recipient, the sink's included.
func measure(b *testing.B) func() {
	start := processorTime(b)
	return func() {
		n := float64(b.N * chunkSize)
		b.ReportMetric(n/b.Elapsed().Seconds(), "recipients/s")
		b.ReportMetric(float64((processorTime(b)-start).Microseconds())/n, "cpu-µs/recipient")
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSend prepares and sends to a sink on the same machine.
func BenchmarkSend(b *testing.B) {
	p := newProvider(b, startSink(b))
	defer p.Close()
	d, permits, _ := chunk(b, chunkSize)
	b.ReportAllocs()
	defer measure(b)()
	for b.Loop() {
		prepared, err := p.Prepare(context.Background(), d)
		if err != nil {
			b.Fatal(err)
		}
		if r := prepared.Send(context.Background(), permits); r[0].Class != channels.Accepted {
			b.Fatal(r[0].Reason)
		}
	}
}

// BenchmarkSendBySDK does the same with twilio-go, for comparison: the same
// connections, gate and bound, a client for each message.
func BenchmarkSendBySDK(b *testing.B) {
	slots := make(chan bool, 32)
	p := newProvider(b, startSink(b))
	defer p.Close()
	d, permits, addresses := chunk(b, chunkSize)
	b.ReportAllocs()
	defer measure(b)()
	for b.Loop() {
		done := make(chan error, chunkSize)
		for row, permit := range permits {
			slots <- true
			go func() {
				defer func() { <-slots }()
				_, err := p.sendBySDK(channels.NewAttempt(permit), d, row, addresses[row])
				done <- err
			}()
		}
		for range permits {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	}
}

// sendBySDK sends one message by twilio-go, to the provider's endpoint.
func (p *Provider) sendBySDK(attempt *channels.Attempt, d channels.Draft, row int, to string) (*api.ApiV2010Message, error) {
	c := &client.Client{
		Credentials: client.NewCredentials(p.config.Account, p.config.Token),
		HTTPClient: &http.Client{
			Transport: redirect{to: p.config.URL, next: &channels.GateTransport{Base: p.single.Client().Transport, Attempt: attempt}},
			Timeout:   10 * time.Second,
		},
	}
	c.SetAccountSid(p.config.Account)
	params := new(api.CreateMessageParams).
		SetTo(to).SetFrom(d.Skeleton.Sender.SMSSender).
		SetBody(string(d.Skeleton.Text.Append(nil, d.Sheet, row)))
	if p.config.StatusCallback != "" {
		params.SetStatusCallback(p.config.StatusCallback + "?g=4711&k=" + d.Keys[row].String())
	}
	return api.NewApiService(client.NewRequestHandler(c)).CreateMessage(params)
}

// redirect sends the SDK's requests to another base address.
type redirect struct {
	to   string
	next http.RoundTripper
}

func (r redirect) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	to, err := url.Parse(r.to)
	if err != nil {
		return nil, err
	}
	req.URL.Scheme, req.URL.Host, req.Host = to.Scheme, to.Host, to.Host
	return r.next.RoundTrip(req)
}

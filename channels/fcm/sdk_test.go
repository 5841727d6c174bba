package fcm

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/messaging"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"

	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/fcm/fcmtest"
	"utskick/suppression"
	"utskick/templates"
)

// newSDK returns the Admin SDK's client over the provider's own connections and
// gate.
func newSDK(tb testing.TB, p *Provider) *messaging.Client {
	tb.Helper()
	app, err := firebase.NewApp(context.Background(), &firebase.Config{ProjectID: fcmtest.Project},
		option.WithEndpoint(p.config.URL+"/v1"), option.WithHTTPClient(&http.Client{Transport: authorised{p}, Timeout: 10 * time.Second}))
	if err != nil {
		tb.Fatal(err)
	}
	c, err := app.Messaging(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

type authorised struct{ p *Provider }

func (a authorised) RoundTrip(r *http.Request) (*http.Response, error) {
	header, err := a.p.header()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", header.Get("Authorization"))
	return (&channels.GateTransport{Base: a.p.single.Client().Transport}).RoundTrip(r)
}

// bySDK builds a message with the types of the SDK.
func bySDK(d channels.Draft, row int, token string) *messaging.Message {
	text := func(p templates.Part) string { return string(p.Append(nil, d.Sheet, row)) }
	ttl := 24 * time.Hour
	data := make(map[string]string)
	for _, f := range d.Skeleton.Data {
		data[f.Name] = text(f.Value)
	}
	return &messaging.Message{
		Token:        token,
		Notification: &messaging.Notification{Title: text(d.Skeleton.Subject), Body: text(d.Skeleton.Text)},
		Data:         data,
		Android:      &messaging.AndroidConfig{CollapseKey: "g4711", Priority: "normal", TTL: &ttl},
		APNS:         &messaging.APNSConfig{Headers: map[string]string{"apns-collapse-id": "g4711", "apns-expiration": "1795521600", "apns-priority": "5"}},
		Webpush:      &messaging.WebpushConfig{Headers: map[string]string{"TTL": "86400", "Topic": "g4711", "Urgency": "normal"}},
	}
}

func TestBodyIsWhatTheSDKWouldSend(t *testing.T) {
	tokens := startTokens(t)
	vendor := fcmtest.Start(tokens)
	defer vendor.Close()
	p := newProvider(t, vendor.Address(), tokens)
	sdk := newSDK(t, p)
	d, _, addresses := chunk(t, 2)
	addresses[1] = `token "med" \ tecken`
	d.Keys = channeltest.Keys(p.Channel().Kind(), addresses...)
	permits := channeltest.Permits(t, new(channeltest.Clock), p.Channel().Kind(), addresses...)

	for row := range addresses {
		attempt := channels.NewAttempt(permits[row])
		if _, err := sdk.Send(channels.WithAttempt(context.Background(), attempt), bySDK(d, row, addresses[row])); err != nil {
			t.Fatal(err)
		}
		send(t, p, d, withOnly(permits, row))
		bodies := requestBodies(t, vendor.Raw())
		want, got := bodies[len(bodies)-2], bodies[len(bodies)-1]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("row %d (-SDK +ours):\n%s", row, diff)
		}
	}
}

// withOnly keeps the permit of one row.
func withOnly(permits []*suppression.Permit, row int) []*suppression.Permit {
	one := make([]*suppression.Permit, len(permits))
	one[row] = permits[row]
	return one
}

// requestBodies decodes the bodies of what a stand-in got.
func requestBodies(t *testing.T, raw []byte) []any {
	t.Helper()
	var bodies []any
	for _, request := range strings.Split(string(raw), "POST /v1/")[1:] {
		_, body, _ := strings.Cut(request, "\r\n\r\n")
		var decoded any
		if err := json.Unmarshal([]byte(body), &decoded); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, decoded)
	}
	return bodies
}

// TestErrorsAreTheSDKs holds the stand-in's errors against the SDK's reading.
func TestErrorsAreTheSDKs(t *testing.T) {
	tokens := startTokens(t)
	vendor := fcmtest.Start(tokens)
	defer vendor.Close()
	p := newProvider(t, vendor.Address(), tokens)
	sdk := newSDK(t, p)
	d, permits, addresses := chunk(t, 1)
	for code, is := range map[string]func(error) bool{
		"UNREGISTERED":           messaging.IsUnregistered,
		"SENDER_ID_MISMATCH":     messaging.IsSenderIDMismatch,
		"THIRD_PARTY_AUTH_ERROR": messaging.IsThirdPartyAuthError,
		"QUOTA_EXCEEDED":         messaging.IsQuotaExceeded,
		"INVALID_ARGUMENT":       messaging.IsInvalidArgument,
	} {
		vendor.Script(fcmtest.Answer(400, "ANY", code, "", "an error"))
		ctx := channels.WithAttempt(context.Background(), channels.NewAttempt(permits[0]))
		if _, err := sdk.Send(ctx, bySDK(d, 0, addresses[0])); !is(err) {
			t.Errorf("the SDK does not see %s", code)
		}
	}
}

const chunkSize = 200

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

func startSink(b *testing.B) *Provider {
	sink, err := fcmtest.StartSink()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(sink.Close)
	return newProvider(b, sink.Address(), startTokens(b))
}

// BenchmarkSend prepares and sends to a sink on the same machine.
func BenchmarkSend(b *testing.B) {
	p := startSink(b)
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

// BenchmarkSendBySDK does the same with the Admin SDK, for comparison: the same
// connections, gate and bound.
func BenchmarkSendBySDK(b *testing.B) {
	slots := make(chan bool, 32)
	p := startSink(b)
	sdk := newSDK(b, p)
	d, permits, addresses := chunk(b, chunkSize)
	b.ReportAllocs()
	defer measure(b)()
	for b.Loop() {
		done := make(chan error, chunkSize)
		for row, permit := range permits {
			slots <- true
			go func() {
				defer func() { <-slots }()
				ctx := channels.WithAttempt(context.Background(), channels.NewAttempt(permit))
				_, err := sdk.Send(ctx, bySDK(d, row, addresses[row]))
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

package sendgrid

import (
	"context"
	"testing"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/sendgrid/sendgridtest"
	"utskick/suppression"
)

// chunk is a full call of a typical campaign: 1000 recipients, 8 holes.
func chunk(tb testing.TB, rows int) (channels.Draft, []*suppression.Permit, []string) {
	addresses := channeltest.Addresses(audience.Email, rows)
	d := channels.Draft{
		Skeleton: channeltest.Skeleton(audience.Email), Sheet: channeltest.Sheet(rows), Group: 4711,
		Keys: channeltest.Keys(audience.KindEmail, addresses...),
	}
	return d, channeltest.Permits(tb, new(channeltest.Clock), audience.KindEmail, addresses...), addresses
}

func perRecipient(b *testing.B, rows int) {
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "recipients/s")
}

func BenchmarkPrepare(b *testing.B) {
	p := newProvider(b, Global)
	d, _, _ := chunk(b, MaxRecipients)
	b.ReportAllocs()
	for b.Loop() {
		prepared, err := p.Prepare(context.Background(), d)
		if err != nil {
			b.Fatal(err)
		}
		prepared.(*call).release(prepared.(*call).rows)
	}
	perRecipient(b, MaxRecipients)
}

func BenchmarkAssemble(b *testing.B) {
	p := newProvider(b, Global)
	d, permits, _ := chunk(b, MaxRecipients)
	prepared, err := p.Prepare(context.Background(), d)
	if err != nil {
		b.Fatal(err)
	}
	results := make([]channels.Result, len(permits))
	var body []byte
	b.ReportAllocs()
	for b.Loop() {
		body, _, _ = prepared.(*call).assemble(body[:0], permits, results)
	}
	b.ReportMetric(float64(len(body))/MaxRecipients, "bytes/recipient")
	perRecipient(b, MaxRecipients)
}

// BenchmarkSend prepares and sends to a sink on the same machine.
func BenchmarkSend(b *testing.B) {
	sink, err := sendgridtest.StartSink()
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	p := newProvider(b, sink.Address())
	defer p.Close()
	d, permits, _ := chunk(b, MaxRecipients)
	b.ReportAllocs()
	for b.Loop() {
		prepared, err := p.Prepare(context.Background(), d)
		if err != nil {
			b.Fatal(err)
		}
		if r := prepared.Send(context.Background(), permits); r[0].Class != channels.Accepted {
			b.Fatal(r[0].Reason)
		}
	}
	b.StopTimer()
	if want := int64(b.N * MaxRecipients); sink.Marks() < want {
		b.Fatalf("%d recipients counted, want %d", sink.Marks(), want)
	}
	perRecipient(b, MaxRecipients)
}

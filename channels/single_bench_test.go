package channels_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/channeltest/standin"
)

const benchRows = 192 // of a call: as many for each of 32 connections

var (
	benchBody   = []byte("From=Exempel&Body=" + strings.Repeat("x", 300))
	benchHeader = http.Header{"Authorization": {"Basic " + strings.Repeat("x", 80)}, "Content-Type": {"application/x-www-form-urlencoded"}, "User-Agent": {"utskick"}}
)

func startSink(b *testing.B) *url.URL {
	b.Helper()
	sink, err := standin.StartSink("", http.StatusCreated, `{"sid":"SM00000000000000000000000000000000","status":"queued"}`, "Content-Type: application/json")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(sink.Close)
	u, err := url.Parse(sink.Address() + "/2010-04-01/Accounts/AC0/Messages.json")
	if err != nil {
		b.Fatal(err)
	}
	return u
}

// measure reports messages per second and, since that depends on what else the
// machine does, the processor time of one message, the sink's included.
func measure(b *testing.B) func() {
	start := processorTime(b)
	return func() {
		n := float64(b.N * benchRows)
		b.ReportMetric(n/b.Elapsed().Seconds(), "messages/s")
		b.ReportMetric(float64((processorTime(b)-start).Microseconds())/n, "cpu-µs/message")
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBare is what net/http takes for the same requests without a gate, a
// time-out or a look at the answer.
func BenchmarkBare(b *testing.B) {
	for _, connections := range []int{1, 32} {
		b.Run(strconv.Itoa(connections), func(b *testing.B) {
			endpoint := startSink(b)
			base := &http.Transport{MaxIdleConnsPerHost: connections}
			defer base.CloseIdleConnections()
			b.ReportAllocs()
			defer measure(b)()
			for b.Loop() {
				var workers sync.WaitGroup
				for range connections {
					workers.Go(func() {
						for range benchRows / connections {
							r := &http.Request{Method: http.MethodPost, URL: endpoint, Host: endpoint.Host, Header: benchHeader, Body: io.NopCloser(bytes.NewReader(benchBody)), ContentLength: int64(len(benchBody)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
							response, err := base.RoundTrip(r)
							if err != nil {
								b.Error(err)
								break
							}
							io.Copy(io.Discard, response.Body)
							response.Body.Close()
						}
					})
				}
				workers.Wait()
			}
		})
	}
}

// BenchmarkSingle sends the same requests under permits, by [channels.Single].
func BenchmarkSingle(b *testing.B) {
	for _, connections := range []int{1, 32} {
		b.Run(strconv.Itoa(connections), func(b *testing.B) {
			single := channels.NewSingle(channels.SingleConfig{Endpoint: startSink(b), Connections: connections})
			defer single.Close()
			addresses := channeltest.Addresses(audience.SMS, benchRows)
			permits := channeltest.Permits(b, new(channeltest.Clock), audience.KindPhone, addresses...)
			call := &channels.SingleCall{
				Single: single, Header: benchHeader, Keys: channeltest.Keys(audience.KindPhone, addresses...),
				Body:   func(int, string) ([]byte, channels.Result) { return benchBody, channels.Result{} },
				Answer: func(channels.Answer) channels.Result { return channels.Result{Class: channels.Accepted} },
			}
			b.ReportAllocs()
			defer measure(b)()
			for b.Loop() {
				if r := call.Send(context.Background(), permits); r[0].Class != channels.Accepted {
					b.Fatal(r[0].Reason)
				}
			}
		})
	}
}

package smtp

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/channeltest"
	"utskick/channels/mime"
	"utskick/channels/smtp/smtptest"
)

const (
	benchConnections = 50
	benchChunk       = 200
	benchWorkers     = 4
)

// BenchmarkBare is the limit that the others are held against: prebuilt
// messages, written in the same groups over as many connections.
func BenchmarkBare(b *testing.B) {
	server := smtptest.Start(b, smtptest.Config{Discard: true})
	layout, err := mime.NewLayout(channeltest.Skeleton(audience.Email), mime.Options{EightBit: true})
	if err != nil {
		b.Fatal(err)
	}
	to := channeltest.Addresses(audience.Email, 1)[0]
	body, err := layout.Append(mime.AppendTo(nil, to), channeltest.Sheet(1), 0, mime.Envelope{})
	if err != nil {
		b.Fatal(err)
	}
	envelope := fmt.Sprintf("MAIL FROM:<%s> BODY=8BITMIME SIZE=2000\r\nRCPT TO:<%s>\r\nDATA\r\n", layout.From(), to)
	group := []byte(string(body) + ".\r\n" + envelope)
	b.SetBytes(int64(len(body)))
	var left atomic.Int64
	left.Store(int64(b.N))
	var done sync.WaitGroup
	since := processorTime(b)
	b.ResetTimer()
	for range benchConnections {
		done.Go(func() {
			conn, err := net.Dial("tcp", server.Address())
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			lines := func(n int) {
				for range n {
					r.ReadSlice('\n')
				}
			}
			lines(1)
			fmt.Fprint(conn, "EHLO localhost\r\n")
			lines(5)
			fmt.Fprint(conn, envelope)
			lines(3)
			for left.Add(-1) >= 0 {
				conn.Write(group)
				lines(4)
			}
		})
	}
	done.Wait()
	report(b, server, since)
}

// report gives the rate, and the processor time of client and server together,
// which other work on the machine changes less.
func report(b *testing.B, server *smtptest.Server, since time.Duration) {
	b.StopTimer()
	n := float64(server.Delivered())
	b.ReportMetric(n/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64((processorTime(b)-since).Microseconds())/n, "cpu-us/message")
}

// processorTime is what the process has used so far.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkUnsigned(b *testing.B) { benchmarkSend(b, nil) }

func BenchmarkRSA2048(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkSend(b, key)
}

func BenchmarkEd25519(b *testing.B) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkSend(b, key)
}

// benchmarkSend is Prepare and Send, in chunks, by several workers.
func benchmarkSend(b *testing.B, key crypto.Signer) {
	server := smtptest.Start(b, smtptest.Config{Discard: true})
	p, err := New(Config{URL: fmt.Sprintf("smtp://%s?connections=%d", server.Address(), benchConnections), DKIM: key})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	skeleton := channeltest.Skeleton(audience.Email)
	if key != nil {
		skeleton.Sender.DKIMSelector = "bench"
	}
	addresses := channeltest.Addresses(audience.Email, benchChunk)
	draft := channels.Draft{Skeleton: skeleton, Sheet: channeltest.Sheet(benchChunk), Group: 1, Keys: channeltest.Keys(audience.KindEmail, addresses...)}
	permits := channeltest.Permits(b, new(channeltest.Clock), audience.KindEmail, addresses...)
	var left atomic.Int64
	left.Store(int64(b.N))
	var done sync.WaitGroup
	since := processorTime(b)
	b.ResetTimer()
	for range benchWorkers {
		done.Go(func() {
			for {
				n := min(benchChunk, left.Add(-benchChunk)+benchChunk)
				if n <= 0 {
					return
				}
				call, err := p.Prepare(context.Background(), draft)
				if err != nil {
					b.Error(err)
					return
				}
				for _, r := range call.Send(context.Background(), permits)[:n] {
					if r.Class != channels.Accepted && r.Class != channels.Withheld { // a busy machine may let windows pass
						b.Errorf("%+v", r)
					}
				}
			}
		})
	}
	done.Wait()
	report(b, server, since)
}

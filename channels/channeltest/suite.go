package channeltest

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"utskick/channels"
	"utskick/templates"
)

// Target is a provider and all that the suite must know of it.
type Target struct {
	// New makes the provider, sending to address.
	New func(t *testing.T, address string, o Options) channels.Provider
	// Start starts a stand-in vendor.
	Start func(t *testing.T) StandIn
	// Skeleton is what is sent; nil is [Skeleton] of the provider's channel.
	Skeleton *templates.Skeleton
	// Secrets are the credentials that New gives to the provider. They, and
	// addresses, must not show in any error, reason or log.
	Secrets []string
	// Answers is the vendor's table of answers.
	Answers []Case
	// Local is true for a provider that has no connections, and so none that
	// could be refused, fall silent or break.
	Local bool
}

// Options is what the suite sets on a provider.
type Options struct {
	// Timeout is how long one attempt may take.
	Timeout time.Duration
	// Dial opens connections. A Local target ignores it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Case is one line of a vendor's table: how an attempt was answered, and what
// that means for each message in it.
type Case struct {
	Name   string
	Answer Answer
	Rows   int // messages in the call; 0 is 1
	// Want has every field of the result. [AnyID] stands for any ProviderID.
	Want channels.Result
}

// AnyID as the ProviderID that a [Case] wants is any but the empty one.
const AnyID = "any"

// Run runs the suite.
func Run(t *testing.T, target Target) {
	// What the process already ran is none of the provider's.
	running := goleak.IgnoreCurrent()
	logs := captureLogs(t)
	s := &suite{Target: target, logs: logs}
	t.Run("delivery", s.delivery)
	t.Run("withheld", s.withheld)
	t.Run("expiry", s.expiry)
	t.Run("answers", s.answers)
	if !target.Local {
		t.Run("faults", s.faults)
		t.Run("late", s.late)
	}
	t.Run("stopping", s.stopping)
	t.Run("concurrency", s.concurrency)
	t.Run("misuse", s.misuse)
	s.checkSecrets(t, "a log", logs.String())
	goleak.VerifyNone(t, running)
}

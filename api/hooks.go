package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
)

// Hook verifies and reads what a provider tells by webhook. Its errors are
// [channels.ErrForged] and [channels.ErrUnreadable].
type Hook interface {
	// Read gets the query of the address as it was sent, and the body byte by
	// byte: both may be signed.
	Read(query string, header http.Header, body []byte) (channels.Told, error)
}

// Answering is a hook whose provider wants to be told what to do next.
type Answering interface{ Answer() []byte }

// maxHook bounds the body of a webhook, in bytes. SendGrid sends a batch when it
// has 768 KB, or after a second; Twilio one message at a time.
const maxHook = 4 << 20

const hookMetric = "utskick_webhooks_total"

// NewHookCounts returns the counter of what comes by webhook, by provider and by
// what became of it: event, reply, foreign, forged, unreadable, too_large or failed.
// Events, replies and foreign ones are counted each, the others by request.
func NewHookCounts() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: hookMetric,
		Help: "What providers told by webhook, and what became of it."}, []string{"provider", "outcome"})
}

// hook takes a webhook: nothing is acknowledged before all of it is durable, and
// what cannot be kept now is sent again by the provider.
func (p *public) hook(w http.ResponseWriter, r *http.Request, name string) {
	hook := p.c.Hooks[name]
	if hook == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		p.notAllowed(w, http.MethodPost)
		return
	}
	count := func(outcome string, n int) { p.c.HookCounts.WithLabelValues(name, outcome).Add(float64(n)) }
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHook))
	if err != nil {
		count("too_large", 1)
		p.badBody(w, err)
		return
	}
	told, err := hook.Read(r.URL.RawQuery, r.Header, body)
	switch {
	case errors.Is(err, channels.ErrForged):
		count("forged", 1)
		http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
		return
	case err != nil:
		count("unreadable", 1)
		p.c.Log.Error("a webhook cannot be read", "provider", name, "bytes", len(body))
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	err = p.keepNotices(r.Context(), told.Notices)
	if err == nil {
		err = p.keepReplies(r.Context(), &told)
	}
	if err != nil {
		count("failed", 1)
		p.c.Log.Error("a webhook was not recorded", "provider", name, "events", len(told.Notices), "error", err)
		w.Header().Set("Retry-After", "10")
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return
	}
	count("event", len(told.Notices))
	count("foreign", told.Foreign)
	if hook, answers := hook.(Answering); answers {
		count("reply", len(told.Replies))
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		_, _ = w.Write(hook.Answer()) // the provider went away
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// keepHook is how long a webhook may take to be written down, and what follows
// from it to be in force.
const keepHook = 10 * time.Second

// keepNotices writes down all notices or none, with what follows from them. They
// do not go to the spool: the provider has its own, and sends them again.
func (p *public) keepNotices(ctx context.Context, notices []suppression.Notice) error {
	if len(notices) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepHook)
	defer cancel()
	return p.c.Register.Take(ctx, notices)
}

// keepReplies writes down what people answered. An address that none can have had
// of us is not one of our recipients'.
func (p *public) keepReplies(ctx context.Context, told *channels.Told) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepHook)
	defer cancel()
	var ours []channels.Reply
	for _, r := range told.Replies {
		address, err := audience.Normalize(r.Kind, r.Address, p.c.Region)
		if err != nil {
			told.Foreign++
			continue
		}
		r.Key, r.Address = p.c.Keyer.Key(r.Kind, address), address
		if err := p.c.Register.Answer(ctx, r.Reply); err != nil {
			return err
		}
		ours = append(ours, r)
	}
	told.Replies = ours
	return nil
}

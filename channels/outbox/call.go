package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/mime"
	"utskick/suppression"
)

// Reasons of results, besides those of [channels.Failure].
const (
	reasonStopped = "stopped"             // the send was ended before this row
	reasonForeign = "foreign_permit"      // the permit is for another recipient than the row
	reasonAddress = "unsupported_address" // its form
	reasonMessage = "unsendable_message"  // its values make a header too long
	reasonWrite   = "write_failed"        // the disk is full, or the folder is gone
)

// call is a prepared chunk.
type call struct {
	provider *Provider
	draft    channels.Draft
	layout   *mime.Layout // of e-mail
	buf      []byte
}

// Send writes the messages, one after the other.
func (c *call) Send(ctx context.Context, permits []*suppression.Permit) []channels.Result {
	results := make([]channels.Result, len(permits))
	for row, permit := range permits {
		switch {
		case permit == nil:
		case ctx.Err() != nil:
			results[row] = channels.Result{Class: channels.Withheld, Reason: reasonStopped}
		default:
			results[row] = c.write(row, permit)
		}
	}
	return results
}

// write makes the attempt of a row: a file or a line.
func (c *call) write(row int, permit *suppression.Permit) channels.Result {
	p := c.provider
	if permit.Key() != c.draft.Keys[row] {
		return channels.Result{Class: channels.Withheld, Reason: reasonForeign}
	}
	address, err := permit.Open()
	if err != nil {
		return channels.Failure(err, channels.Expired)
	}
	if c.layout != nil && mime.CheckAddress(address, true) != nil {
		return channels.Result{Class: channels.Refused, Reason: reasonAddress}
	}
	now := p.now()
	n := p.attempts.Add(1)
	id := p.list.name()
	if n <= p.limit || n%Sample == 0 {
		if c.buf, err = c.message(row, address, now); err != nil {
			p.attempts.Add(-1)
			return channels.Result{Class: channels.Refused, Reason: reasonMessage}
		}
		id, err = p.writeFile(permit, now, c.buf)
	} else if err = permit.Gate(); err == nil {
		err = p.list.append(line{At: now, Group: c.draft.Group, Key: permit.Key().String()})
	}
	if err != nil {
		p.attempts.Add(-1)
		return failed(err)
	}
	return channels.Result{Class: channels.Accepted, ProviderID: id}
}

// failed is the result of an attempt that left nothing behind.
func failed(err error) channels.Result {
	r := channels.Failure(err, channels.NotStarted)
	if r.Class == channels.NotTaken {
		slog.Warn("the outbox cannot be written", "error", err)
		r.Reason = reasonWrite
	}
	return r
}

// message builds the content of a row's file in the call's buffer.
func (c *call) message(row int, address string, now time.Time) ([]byte, error) {
	if c.provider.channel != audience.Email {
		return c.record(row, address, now)
	}
	buf := mime.AppendTo(c.buf[:0], address)
	return c.layout.Append(buf, c.draft.Sheet, row, mime.Envelope{Group: c.draft.Group, Key: c.draft.Keys[row], Date: now})
}

// writeFile writes a new file under another name first. It asks the permit
// again before the file appears, and returns the file's name.
func (p *Provider) writeFile(permit *suppression.Permit, now time.Time, content []byte) (string, error) {
	name := fmt.Sprintf("%013d-%06d-%s-%s%s", now.UnixMilli(), p.sequence.Add(1), p.run, permit.Key().Short(), p.extension())
	hidden := filepath.Join(p.dir, "."+name)
	err := os.WriteFile(hidden, content, 0o600)
	if err == nil {
		err = permit.Gate()
	}
	if err == nil {
		err = os.Rename(hidden, filepath.Join(p.dir, name))
	}
	if err != nil {
		os.Remove(hidden) // a hidden file that stays is not counted
		return "", err
	}
	return name, nil
}

package smtp

import (
	"strconv"
	"time"

	"utskick/channels"
	"utskick/channels/mime"
	"utskick/internal/failpoint"
	"utskick/suppression"
)

// message is one row on its way.
type message struct {
	row      int
	permit   *suppression.Permit
	from     string
	address  string
	eightBit bool
	unicode  bool   // the address needs SMTPUTF8
	head     string // DKIM-Signature, or nothing
	body     []byte // the rest, dots stuffed
}

// source gives the messages that a connection sends, and takes their results.
type source interface {
	// next opens the next message; false when there is none, or no more shall
	// be started.
	next(offers) (message, bool)
	settle(row int, r channels.Result)
}

// work sends messages until the source has no more, or the connection breaks.
//
// A message and the envelope of the next go out in one group, which RFC 2920,
// 3.1 allows: each message costs one round trip instead of two. What the next
// one adds to the group is not its content, so it is not taken if the
// connection breaks.
func (c *conn) work(s source) {
	m, ok := s.next(c.offers)
	if ok {
		c.queueEnvelope(m)
	}
	for ok && !c.broken {
		var following message
		more := false
		if r, ready := c.envelope(); !ready {
			s.settle(m.row, r)
			if c.broken {
				return
			}
		} else {
			c.queueBody(m)
			size := len(c.out)
			if c.offers.pipelining {
				if following, more = s.next(c.offers); more {
					c.queueEnvelope(following)
				}
			}
			s.settle(m.row, c.send(m, size))
			if c.broken && more {
				s.settle(following.row, unstarted(following.permit))
			}
		}
		if !more && !c.broken {
			if following, more = s.next(c.offers); more {
				c.queueEnvelope(following)
			}
		}
		m, ok = following, more
	}
}

// unstarted is the result of a message whose connection broke before it.
func unstarted(p *suppression.Permit) channels.Result {
	if err := p.Gate(); err != nil {
		return channels.Failure(err, channels.Expired)
	}
	return notTaken(channels.ReasonNetwork, 0)
}

// queueEnvelope queues MAIL, RCPT and DATA, which ends a group.
func (c *conn) queueEnvelope(m message) {
	b := c.out
	if c.dirty {
		b = append(b, "RSET\r\n"...)
	}
	b = append(b, "MAIL FROM:<"...)
	b = append(b, m.from...)
	b = append(b, '>')
	if m.eightBit {
		b = append(b, " BODY=8BITMIME"...)
	}
	if m.unicode {
		b = append(b, " SMTPUTF8"...)
	}
	if c.offers.size > 0 {
		b = append(b, " SIZE="...)
		b = strconv.AppendInt(b, m.size(), 10)
	}
	b = append(b, "\r\nRCPT TO:<"...)
	b = append(b, m.address...)
	c.out = append(b, ">\r\nDATA\r\n"...)
}

// size is the message's size with its To line (RFC 1870, 5: an estimate will
// do).
func (m *message) size() int64 {
	return int64(len("To: <>\r\n") + len(m.address) + len(m.head) + len(m.body))
}

// queueBody queues the message and the dot that ends it.
func (c *conn) queueBody(m message) {
	c.out = mime.AppendTo(c.out, m.address)
	c.out = append(c.out, m.head...)
	c.out = append(c.out, m.body...)
	c.out = append(c.out, ".\r\n"...)
}

// envelope reads the answers to the queued envelope. ready means that the
// server waits for the message, and that nothing is queued. Otherwise the
// result is that of the first command that failed, and the session is where
// another envelope may follow, or broken.
func (c *conn) envelope() (result channels.Result, ready bool) {
	if c.dirty {
		r, err := c.answer()
		if err != nil || !r.positive() {
			c.broken = true
			return failure(err, channels.NotStarted), false
		}
		c.dirty = false
	}
	failed := false
	for at := stageMail; at <= stageData; at++ {
		r, err := c.answer()
		if err != nil {
			c.broken = true
			if !failed {
				result = failure(err, channels.NotStarted)
			}
			return result, false
		}
		switch accepted := r.positive() && at < stageData || r.code == 354 && at == stageData; {
		case accepted && at == stageData && failed:
			// There is nobody to send to. The connection is closed before
			// anything of a message, since a lone dot may make an empty mail.
			c.broken = true
			return result, false
		case accepted && at == stageData:
			return channels.Result{}, true
		case accepted:
			continue
		}
		if !failed {
			failed, result = true, classify(at, r)
		}
		c.dirty = true
		if r.code == 421 {
			c.broken = true
			return result, false
		}
		if !c.offers.pipelining {
			c.out = c.out[:0] // the rest of the envelope is not sent
			return result, false
		}
	}
	return result, false
}

// send asks the permit, sends the message, whose size is that of the queued
// bytes up to its final dot, and reads the answer.
func (c *conn) send(m message, size int) channels.Result {
	failpoint.Hit(failpoint.Opened)
	if err := m.permit.Gate(); err != nil {
		// DATA cannot be taken back, and a lone dot would be an empty mail.
		c.broken = true
		return channels.Failure(err, channels.Expired)
	}
	failpoint.Hit(failpoint.Allowed)
	c.net.SetWriteDeadline(time.Now().Add(c.timeouts.Body))
	n, err := c.flush(len(c.out))
	late := m.permit.Overdue()
	if err != nil {
		c.broken = true
		result := failure(err, written(n, size))
		result.Late = late && n > 0
		return result
	}
	result := c.final()
	result.Late = late
	return result
}

// final reads the answer to a message that was sent whole.
func (c *conn) final() channels.Result {
	r, err := c.read(c.timeouts.Final)
	if err != nil {
		c.broken = true
		return failure(err, channels.Fully)
	}
	if r.positive() {
		return channels.Result{Class: channels.Accepted}
	}
	result := classify(stageEnd, r)
	c.broken = r.code == 421 || result.Class == channels.InDoubt
	return result
}

// written says what a write that failed after n bytes has handed over. A
// message without its final dot is not taken.
func written(n, size int) channels.Written {
	switch {
	case n >= size:
		return channels.Fully
	case n > 0:
		return channels.Partly
	default:
		return channels.NotStarted
	}
}

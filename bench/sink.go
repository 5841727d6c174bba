package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"utskick/channels/fcm/fcmtest"
	"utskick/channels/sendgrid/sendgridtest"
	"utskick/channels/twilio/twiliotest"
)

// sink is where a sink listens, and for FCM the account that its token server
// knows.
type sink struct {
	Address     string
	Credentials []byte
}

// counted is what has arrived since the sink began, and what that has cost.
type counted struct {
	Recipients int64
	Bytes      int64 // as they came over the wire, heads included
	CPU        int64 // nanoseconds
}

// serveSink is the child that everything is sent to. It is asked for a case
// first, and after that for its count.
func serveSink(_ context.Context, p *parent) error { return answer(p, openSink) }

func answer(p *parent, open func(name string) (sink, func() int64, error)) error {
	var name string
	if err := p.next(&name); err != nil {
		return err
	}
	where, count, err := open(name)
	if err != nil {
		return err
	}
	if err := p.tell(where); err != nil {
		return err
	}
	for {
		var question string
		if err := p.next(&question); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := p.tell(counted{Recipients: count(), Bytes: bytesRead(), CPU: int64(processorTime())}); err != nil {
			return err
		}
	}
}

func openSink(name string) (where sink, count func() int64, err error) {
	switch name {
	case "sendgrid":
		s, err := sendgridtest.StartSink()
		if err != nil {
			return sink{}, nil, err
		}
		return sink{Address: s.Address()}, s.Marks, nil
	case "twilio":
		s, err := twiliotest.StartSink(account)
		if err != nil {
			return sink{}, nil, err
		}
		return sink{Address: s.Address()}, s.Requests, nil
	case "fcm":
		s, err := fcmtest.StartSink()
		if err != nil {
			return sink{}, nil, err
		}
		return sink{Address: s.Address(), Credentials: fcmtest.StartTokens().Credentials()}, s.Requests, nil
	default:
		return startRelay()
	}
}

// startRelay starts an SMTP server that takes every mail and keeps none.
func startRelay() (sink, func() int64, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return sink{}, nil, err
	}
	var taken atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := &relay{r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriter(conn), taken: &taken}
				// A client that leaves without QUIT is none of the sink's business.
				_ = r.serve()
			}()
		}
	}()
	return sink{Address: listener.Addr().String()}, taken.Load, nil
}

// relay is one connection. Answers go out together when no further command has
// come yet, as of a server that knows pipelining (RFC 2920, 3.2).
type relay struct {
	r     *bufio.Reader
	w     *bufio.Writer
	taken *atomic.Int64
}

func (c *relay) serve() error {
	c.say("220 relay.example.com")
	for {
		line, err := c.line()
		if err != nil || len(line) < 4 {
			return err
		}
		switch string(line[:4]) {
		case "EHLO":
			c.say("250-relay.example.com\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10485760")
		case "MAIL", "RCPT", "RSET", "NOOP":
			c.say("250 2.0.0 ok")
		case "DATA":
			if err := c.mail(); err != nil {
				return err
			}
		case "QUIT":
			c.say("221 2.0.0 bye")
			return c.w.Flush()
		default:
			return fmt.Errorf("an unknown command")
		}
	}
}

// say queues an answer; the error of a write shows when it is flushed.
func (c *relay) say(text string) {
	_, _ = c.w.WriteString(text)
	_, _ = c.w.WriteString("\r\n")
}

func (c *relay) line() ([]byte, error) {
	if c.r.Buffered() == 0 {
		if err := c.w.Flush(); err != nil {
			return nil, err
		}
	}
	return c.r.ReadSlice('\n')
}

func (c *relay) mail() error {
	c.say("354 go ahead")
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if len(line) == 3 && line[0] == '.' {
			c.taken.Add(1)
			c.say("250 2.0.0 Ok: queued as 4Q0001")
			return nil
		}
	}
}

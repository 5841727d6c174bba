package smtp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"utskick/channels"
)

// conn is one session with the relay. It belongs to one goroutine at a time.
type conn struct {
	tcp      net.Conn
	net      net.Conn // tcp, or TLS over it
	br       *bufio.Reader
	timeouts Timeouts
	offers   offers

	out    []byte // commands and messages that are queued
	dirty  bool   // a transaction was begun and not ended: RSET comes first
	broken bool   // not to be used again
	idleAt time.Time
}

// offers are the extensions that the server named in its answer to EHLO.
type offers struct {
	pipelining bool  // RFC 2920
	eightBit   bool  // RFC 6152
	unicode    bool  // SMTPUTF8, RFC 6531
	startTLS   bool  // RFC 3207
	authPlain  bool  // RFC 4954, RFC 4616
	size       int64 // RFC 1870; 0 is unlimited or unknown
}

// connectError says how far a connection came. It holds nothing of what the
// server said but its code.
type connectError struct {
	doing  string
	code   int // 0 without an answer
	result channels.Result
	err    error
}

func (e *connectError) Error() string {
	if e.code != 0 {
		return fmt.Sprintf("%s: the server answered %d", e.doing, e.code)
	}
	return fmt.Sprintf("%s: %v", e.doing, e.err)
}

func (e *connectError) Unwrap() error { return e.err }

// down is what a failed connection means for a message: nothing was sent.
func down(err error) channels.Result {
	var e *connectError
	if errors.As(err, &e) && e.result.Reason != "" {
		return e.result
	}
	return failure(err, channels.NotStarted)
}

// connect brings a session to where MAIL may follow. Its error is a
// [connectError].
func (s *settings) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeouts.Connect)
	defer cancel()
	tcp, err := s.dial(ctx, "tcp", s.address)
	if err != nil {
		return nil, &connectError{doing: "connecting", err: err}
	}
	// The end of the context breaks off whatever is being waited for.
	stop := context.AfterFunc(ctx, func() { tcp.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := &conn{tcp: tcp, timeouts: s.timeouts}
	c.attach(tcp)
	if err := s.establish(ctx, c); err != nil {
		tcp.Close()
		return nil, err
	}
	if !stop() {
		tcp.Close()
		return nil, &connectError{doing: "connecting", err: context.Cause(ctx)}
	}
	return c, nil
}

func (c *conn) attach(n net.Conn) {
	c.net = n
	c.br = bufio.NewReader(n)
}

// establish takes the steps between the connection and MAIL, in order.
func (s *settings) establish(ctx context.Context, c *conn) error {
	if s.implicit {
		if err := c.secure(ctx, s.tls); err != nil {
			return err
		}
	}
	if err := c.expect("greeting", 220, nil); err != nil {
		return err
	}
	if err := c.hello(s.helo); err != nil {
		return err
	}
	if !s.implicit && s.startTLS != off && (c.offers.startTLS || s.startTLS == required) {
		if err := c.upgrade(ctx, s.tls); err != nil {
			return err
		}
		// What was offered before TLS does not count (RFC 3207, 4.2).
		if err := c.hello(s.helo); err != nil {
			return err
		}
	}
	if s.user != "" {
		return c.authenticate(s.user, s.password)
	}
	return nil
}

func (c *conn) secure(ctx context.Context, config *tls.Config) error {
	secured := tls.Client(c.net, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return &connectError{doing: "TLS", err: err, result: notTaken(reasonTLS, 0)}
	}
	c.attach(secured)
	return nil
}

func (c *conn) upgrade(ctx context.Context, config *tls.Config) error {
	if !c.offers.startTLS {
		return &connectError{doing: "STARTTLS", err: errors.New("the server does not offer it"), result: notTaken(reasonTLS, 0)}
	}
	if err := c.command("STARTTLS", 220, "STARTTLS"); err != nil {
		return err
	}
	// Plain text behind the answer was put there by somebody in between.
	if c.br.Buffered() > 0 {
		return &connectError{doing: "STARTTLS", err: errProtocol, result: notTaken(reasonTLS, 0)}
	}
	return c.secure(ctx, config)
}

func (c *conn) hello(name string) error {
	c.offers = offers{}
	c.out = append(append(append(c.out, "EHLO "...), name...), "\r\n"...)
	return c.expect("EHLO", 250, c.offers.add)
}

// add reads a line of the answer to EHLO.
func (o *offers) add(line []byte) {
	words := strings.Fields(strings.ToUpper(string(line)))
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "PIPELINING":
		o.pipelining = true
	case "8BITMIME":
		o.eightBit = true
	case "SMTPUTF8":
		o.unicode = true
	case "STARTTLS":
		o.startTLS = true
	case "SIZE":
		if len(words) > 1 {
			o.size, _ = strconv.ParseInt(words[1], 10, 64) // what is no number is no limit
		}
	case "AUTH":
		for _, mechanism := range words[1:] {
			o.authPlain = o.authPlain || mechanism == "PLAIN"
		}
	}
}

// authenticate says who we are. A permanent refusal holds all sending: each
// further try brings the account nearer to being locked.
func (c *conn) authenticate(user, password string) error {
	if !c.offers.authPlain {
		return &connectError{doing: "AUTH", err: errors.New("the server does not offer PLAIN"), result: channels.Result{Class: channels.Hold, Reason: reasonNoAuth}}
	}
	secret := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	err := c.command("AUTH", 235, "AUTH PLAIN "+secret)
	var e *connectError
	if errors.As(err, &e) && e.code/100 == 5 {
		e.result = channels.Result{Class: channels.Hold, Reason: reasonCredentials}
	}
	return err
}

// command sends one command and wants one code.
func (c *conn) command(name string, want int, line string) error {
	c.out = append(append(c.out, line...), "\r\n"...)
	return c.expect(name, want, nil)
}

// expect sends what is queued and wants one code. Deadlines are the caller's.
func (c *conn) expect(name string, want int, each func([]byte)) error {
	if _, err := c.flush(len(c.out)); err != nil {
		return &connectError{doing: name, err: err}
	}
	r, err := readReply(c.br, each)
	if err != nil {
		return &connectError{doing: name, err: err}
	}
	if r.code != want {
		e := &connectError{doing: name, code: r.code, result: notTaken(reasonUnavailable, 0)}
		if r.code == 530 {
			e.result = channels.Result{Class: channels.Hold, Reason: reasonCredentials}
		}
		return e
	}
	return nil
}

// alive asks an idle server whether it is still there. If it has said goodbye in
// the meantime, that is read as the answer.
func (c *conn) alive() bool {
	c.net.SetDeadline(time.Now().Add(min(c.timeouts.Command, 5*time.Second)))
	return c.command("NOOP", 250, "NOOP") == nil
}

// quit takes leave, unless the connection is broken, and closes it whatever the
// server says. TLS takes no leave of its own: it could wait for a peer that does
// not read.
func (c *conn) quit() {
	if !c.broken {
		c.net.SetDeadline(time.Now().Add(min(c.timeouts.Command, time.Second)))
		_ = c.command("QUIT", 221, "QUIT") // an error changes nothing
	}
	c.tcp.Close()
}

// flush sends the first n bytes of the queue, each byte once whatever comes of
// it, and returns how many were handed over.
func (c *conn) flush(n int) (int, error) {
	written, err := c.net.Write(c.out[:n])
	c.out = append(c.out[:0], c.out[n:]...)
	return written, err
}

// answer returns the reply to the next command. With PIPELINING all that is
// queued goes out at once, else one command at a time.
func (c *conn) answer() (reply, error) {
	if n := len(c.out); n > 0 {
		if !c.offers.pipelining {
			n = bytes.IndexByte(c.out, '\n') + 1
		}
		c.net.SetWriteDeadline(time.Now().Add(c.timeouts.Command))
		if _, err := c.flush(n); err != nil {
			return reply{}, err
		}
	}
	return c.read(c.timeouts.Command)
}

// read returns the next reply.
func (c *conn) read(timeout time.Duration) (reply, error) {
	if c.br.Buffered() == 0 {
		c.net.SetReadDeadline(time.Now().Add(timeout))
	}
	return readReply(c.br, nil)
}

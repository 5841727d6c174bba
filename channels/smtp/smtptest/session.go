package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
)

// session is one connection.
type session struct {
	server *Server
	tcp    net.Conn
	conn   net.Conn // tcp, or TLS over it
	r      *bufio.Reader
	w      *bufio.Writer
	number int

	tls, authorised  bool
	inMail           bool
	from, to, params string
	data             []byte
}

// errOver ends a session without a word.
var errOver = errors.New("over")

func newSession(s *Server, conn net.Conn, number int) *session {
	c := &session{server: s, tcp: conn, number: number}
	c.attach(conn)
	return c
}

func (c *session) attach(conn net.Conn) {
	c.conn = conn
	c.r = bufio.NewReaderSize(conn, 32<<10)
	if !c.server.config.Discard {
		c.r = bufio.NewReaderSize(io.TeeReader(conn, rawWriter{c.server}), 32<<10)
	}
	c.w = bufio.NewWriter(conn)
}

type rawWriter struct{ s *Server }

func (w rawWriter) Write(p []byte) (int, error) {
	w.s.write(p)
	return len(p), nil
}

func (c *session) serve() {
	if c.server.config.Implicit {
		c.secure()
	}
	defer func() { c.w.Flush() }()
	if c.answer(Banner, "220 smtptest.example.com ESMTP") != nil {
		return
	}
	for {
		line, err := c.line()
		if err != nil {
			return
		}
		verb, args, _ := strings.Cut(line, " ")
		if c.command(strings.ToUpper(verb), args) != nil {
			return
		}
	}
}

// line reads a command. Answers go out together when no further command has
// come yet, as a server that knows pipelining does (RFC 2920, 3.2).
func (c *session) line() (string, error) {
	if c.r.Buffered() == 0 {
		if err := c.w.Flush(); err != nil {
			return "", err
		}
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	if !bytes.HasSuffix(line, []byte("\r\n")) {
		c.server.breach("a command ends in a bare LF")
	}
	return string(bytes.TrimRight(line, "\r\n")), nil
}

// answer gives the usual reply, or what the script wants instead.
func (c *session) answer(stage Stage, usual string) error {
	_, err := c.ask(stage, usual)
	return err
}

// ask returns the code of the reply that was given.
func (c *session) ask(stage Stage, usual string) (string, error) {
	reply, behind := usual, ""
	if respond := c.server.config.Respond; respond != nil {
		a := respond(Event{Stage: stage, Conn: c.number, From: c.from, To: c.to, Data: c.data, Ahead: c.r.Buffered() > 0})
		if err := c.fault(a.Fault); err != nil {
			return "", err
		}
		if a.Reply != "" {
			reply = a.Reply
		}
		behind = a.Behind
	}
	c.reply(reply)
	c.w.WriteString(behind)
	if strings.HasPrefix(reply, "421") {
		return "421", errOver
	}
	return code(reply), nil
}

func (c *session) reply(text string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if i > 0 && !strings.HasPrefix(line, code(text)) {
			line = code(text) + " " + line
		}
		if i < len(lines)-1 && len(line) > 3 {
			line = line[:3] + "-" + line[4:]
		}
		c.w.WriteString(line)
		c.w.WriteString("\r\n")
	}
}

func code(reply string) string { return reply[:min(3, len(reply))] }

func (c *session) fault(f Fault) error {
	switch f {
	case Silence:
		c.w.Flush()
		io.Copy(io.Discard, c.conn) // until the client gives up, or Close
		return errOver
	case Stall:
		<-c.server.closing
		return errOver
	case Reset:
		c.w.Flush()
		if tcp, ok := c.tcp.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.tcp.Close()
		return errOver
	}
	return nil
}

func (c *session) command(verb, args string) error {
	switch verb {
	case "EHLO":
		c.reset()
		return c.answer(EHLO, c.capabilities())
	case "STARTTLS":
		return c.startTLS()
	case "AUTH":
		return c.auth(args)
	case "MAIL":
		return c.mail(args)
	case "RCPT":
		return c.rcpt(args)
	case "DATA":
		return c.message()
	case "RSET":
		c.reset()
		return c.answer(RSET, "250 2.0.0 ok")
	case "NOOP":
		return c.answer(NOOP, "250 2.0.0 ok")
	case "QUIT":
		c.answer(QUIT, "221 2.0.0 bye")
		return errOver
	}
	c.server.breach("unknown command %q", verb)
	c.reply("500 5.5.1 unknown command")
	return nil
}

func (c *session) capabilities() string {
	lines := append([]string{"smtptest.example.com"}, c.server.config.Extensions...)
	if c.server.config.TLS != nil && !c.tls {
		lines = append(lines, "STARTTLS")
	}
	if c.server.config.User != "" {
		lines = append(lines, "AUTH LOGIN PLAIN")
	}
	return "250 " + strings.Join(lines, "\n")
}

func (c *session) startTLS() error {
	if c.r.Buffered() > 0 {
		c.server.breach("bytes behind STARTTLS")
	}
	code, err := c.ask(STARTTLS, "220 2.0.0 go ahead")
	if err != nil || code != "220" {
		return err
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	c.secure()
	return nil
}

func (c *session) secure() {
	c.attach(tls.Server(c.tcp, c.server.config.TLS))
	c.tls = true
}

func (c *session) auth(args string) error {
	want := base64.StdEncoding.EncodeToString([]byte("\x00" + c.server.config.User + "\x00" + c.server.config.Password))
	c.authorised = args == "PLAIN "+want
	if !c.authorised {
		return c.answer(AUTH, "535 5.7.8 authentication failed")
	}
	return c.answer(AUTH, "235 2.7.0 accepted")
}

func (c *session) mail(args string) error {
	c.server.transactions.Add(1)
	address, params, ok := path(args, "FROM:")
	if !ok || c.inMail {
		c.server.breach("MAIL out of order or misspelt")
	}
	c.from, c.params = address, params
	usual := "250 2.1.0 ok"
	if c.server.config.User != "" && !c.authorised {
		usual = "530 5.7.0 authentication required"
	}
	code, err := c.ask(MAIL, usual)
	c.inMail = code == "250"
	return err
}

func (c *session) rcpt(args string) error {
	address, _, ok := path(args, "TO:")
	if !ok {
		c.server.breach("RCPT misspelt")
	}
	if !c.inMail {
		c.reply("503 5.5.1 MAIL first")
		return nil
	}
	c.to = address
	code, err := c.ask(RCPT, "250 2.1.5 ok")
	if code != "250" {
		c.to = ""
	}
	return err
}

// path takes FROM:<address> or TO:<address> apart.
func path(args, prefix string) (address, params string, ok bool) {
	if len(args) < len(prefix) || !strings.EqualFold(args[:len(prefix)], prefix) {
		return "", "", false
	}
	address, params, ok = strings.Cut(args[len(prefix):], ">")
	address, open := strings.CutPrefix(address, "<")
	return address, strings.TrimSpace(params), ok && open
}

func (c *session) reset() {
	c.inMail = false
	c.from, c.to, c.params, c.data = "", "", "", nil
}

// message is from DATA to the answer after the final dot.
func (c *session) message() error {
	if c.r.Buffered() > 0 {
		c.server.breach("bytes behind DATA, which ends a group (RFC 2920, 3.1)")
	}
	usual := "354 go ahead"
	if c.to == "" {
		usual = "503 5.5.1 no valid recipients"
	}
	code, err := c.ask(DATA, usual)
	if err != nil || code != "354" {
		return err
	}
	if err := c.beforeBody(); err != nil {
		return err
	}
	if err := c.read(); err != nil {
		return err
	}
	if !c.server.config.Discard {
		c.server.keep(Message{From: c.from, To: c.to, Params: c.params, Data: c.data, TLS: c.tls})
	}
	id := c.server.delivered.Add(1)
	usual = "250 2.0.0 Ok: queued as 4Q0001"
	if !c.server.config.Discard {
		usual = "250 2.0.0 Ok: queued as 4Q" + strconv.FormatInt(id, 10)
	}
	err = c.answer(End, usual)
	c.reset()
	return err
}

// beforeBody lets the script break off in the middle of a message.
func (c *session) beforeBody() error {
	if err := c.w.Flush(); err != nil || c.server.config.Respond == nil {
		return err
	}
	a := c.server.config.Respond(Event{Stage: Body, Conn: c.number, From: c.from, To: c.to})
	if a.Fault == NoFault {
		return nil
	}
	if _, err := io.CopyN(io.Discard, c.r, int64(a.After)); err != nil {
		return err
	}
	return c.fault(a.Fault)
}

// read reads the message, and takes the stuffed dots off.
func (c *session) read() error {
	eightBit := strings.Contains(c.params, "BODY=8BITMIME")
	start := true
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		if start && len(line) == 3 && line[0] == '.' && line[1] == '\r' {
			return nil
		}
		if !c.server.config.Discard {
			c.keepLine(line, start, eightBit)
		}
		start = err == nil
	}
}

func (c *session) keepLine(line []byte, start, eightBit bool) {
	if start && line[0] == '.' {
		line = line[1:]
	}
	text := bytes.TrimSuffix(line, []byte("\r\n"))
	if len(text) > 998 {
		c.server.breach("a line of %d bytes", len(text))
	}
	if bytes.ContainsAny(text, "\r\n\x00") {
		c.server.breach("a bare CR or LF, or NUL, in a message")
	}
	for _, b := range text {
		if b >= 0x80 && !eightBit {
			c.server.breach("8-bit text without BODY=8BITMIME")
			break
		}
	}
	c.data = append(c.data, line...)
}

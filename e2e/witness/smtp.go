package witness

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"
	"time"
)

// relay is the vendor's name of a mail relay that speaks SMTP (RFC 5321).
const relay = "smtp"

// relay listens as a relay that takes mail without a password and without TLS.
func (s *server) relay() (string, error) {
	l, err := listen()
	if err != nil {
		return "", err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // it ends with the process
			}
			go (&session{server: s, conn: conn.(*stampedConn), in: bufio.NewReader(conn), out: bufio.NewWriter(conn)}).run()
		}
	}()
	return "smtp://" + l.Addr().String(), nil
}

// session is one connection to the relay.
type session struct {
	*server
	conn *stampedConn
	in   *bufio.Reader
	out  *bufio.Writer
	mail bool     // MAIL was taken
	to   []string // whom RCPT was taken for
}

// run answers command by command until the client leaves or is left.
func (s *session) run() {
	defer s.conn.Close()
	stay := s.say("220 witness.test ESMTP")
	for stay {
		line, err := s.line()
		if err != nil {
			return
		}
		stay = s.command(line)
	}
	_ = s.out.Flush() // who is gone does not get it
}

// line reads a command. What was said is kept back until there is none, so that
// a group is answered as one (RFC 2920, 3.2).
func (s *session) line() (string, error) {
	if s.in.Buffered() == 0 {
		if err := s.out.Flush(); err != nil {
			return "", err
		}
	}
	line, err := s.in.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

func (s *session) say(lines ...string) (stay bool) {
	for _, l := range lines {
		// Who is gone is noticed when nothing more comes.
		_, _ = s.out.WriteString(l + "\r\n")
	}
	return true
}

// command answers one, and reports whether the session goes on.
func (s *session) command(line string) (stay bool) {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		s.forget()
		return s.say("250-witness.test", "250-PIPELINING", "250-8BITMIME", "250 SIZE 10485760")
	case "MAIL":
		return s.sender()
	case "RCPT":
		return s.recipient(address(rest))
	case "DATA":
		return s.data()
	case "RSET":
		s.forget()
		return s.say("250 ok")
	case "NOOP":
		return s.say("250 ok")
	case "QUIT":
		s.say("221 bye")
		return false
	default:
		return s.say("502 not known")
	}
}

// forget ends a transaction.
func (s *session) forget() { s.mail, s.to = false, nil }

// address is what stands between the angle brackets of MAIL and RCPT.
func address(argument string) string {
	_, after, _ := strings.Cut(argument, "<")
	address, _, _ := strings.Cut(after, ">")
	return address
}

func (s *session) sender() (stay bool) {
	if s.mail {
		return s.say("503 one at a time")
	}
	told, any := s.rules.at(AtMail, relay, nil)
	s.mail = !any || told.sound()
	if !s.mail {
		s.refused(AtMail, told, nil)
	}
	return s.answer(told, "250 ok")
}

func (s *session) recipient(to string) (stay bool) {
	if !s.mail || to == "" {
		return s.say("503 not now")
	}
	whom := []Message{{Channel: "email", To: to}}
	told, any := s.rules.at(AtRcpt, relay, whom)
	if !any || told.sound() {
		s.to = append(s.to, to)
	} else {
		s.refused(AtRcpt, told, whom)
	}
	return s.answer(told, "250 ok")
}

// refused writes down that an envelope was not taken. Nothing of the message had
// been asked for by then.
func (s *session) refused(at string, told Rule, whom []Message) {
	s.write(Line{At: Now(), Event: Refused, Vendor: relay, Answer: at + " " + answerOf(told), Messages: whom})
}

// data takes a message. It is started when the first byte of its content
// arrives, which the client sends once it has read 354.
func (s *session) data() (stay bool) {
	defer s.forget()
	if len(s.to) == 0 {
		return s.say("554 nobody to send to")
	}
	s.say("354 go on")
	if err := s.out.Flush(); err != nil {
		return false
	}
	if _, err := s.in.Peek(1); err != nil {
		return false // not one byte of a message
	}
	id := s.calls.Add(1)
	s.write(Line{Call: id, At: s.conn.arrived, Event: Started, Vendor: relay})
	end := Line{Call: id, Event: Ended, Vendor: relay}
	if s.rules.unread(relay) {
		part, _ := s.in.Peek(s.in.Buffered()) // which is there
		end.At, end.Answer, end.Messages = Now(), Unread, s.messages(part)
		s.write(end)
		s.reset()
		return false
	}
	content, err := s.content()
	end.Whole, end.Messages = err == nil, s.messages(content)
	if err != nil {
		end.At, end.Answer = Now(), "torn"
		s.write(end)
		return false
	}
	told, any := s.rules.of(relay, end.Messages)
	end.Taken = !any || told.Taken || told.sound()
	end.At, end.Answer = Now(), answerOf(told)
	s.write(end)
	return s.answer(told, fmt.Sprintf("250 queued as witness-%d", id))
}

// content reads a message to its final dot, and takes doubled dots off (RFC 5321,
// 4.5.2).
func (s *session) content() (text []byte, err error) {
	for {
		line, err := s.in.ReadBytes('\n')
		if err != nil {
			return text, err // without the line that broke off
		}
		if string(line) == ".\r\n" {
			return text, nil
		}
		text = append(text, bytes.TrimPrefix(line, []byte("."))...)
	}
}

// messages returns what is asked to be sent, to those of the envelope: that is
// whom a relay delivers to. Of content that broke off early, no more is known.
func (s *session) messages(content []byte) (all []Message) {
	m := Message{Channel: "email"}
	if parsed, err := mail.ReadMessage(bytes.NewReader(content)); err == nil {
		// A subject that cannot be decoded is of no campaign.
		m.Campaign, _ = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
		m.Link = address(parsed.Header.Get("List-Unsubscribe"))
	}
	for _, m.To = range s.to {
		all = append(all, m)
	}
	return all
}

// answer gives the answer that a rule wants, or the sound one, and reports
// whether the session goes on.
func (s *session) answer(told Rule, sound string) (stay bool) {
	time.Sleep(told.Delay)
	switch {
	case told.Fault == Reset:
		s.reset()
		return false
	case told.Fault == Truncate:
		_, _ = s.out.WriteString(sound[:2])
		return false
	case told.Fault == Silence:
		_ = s.out.Flush()
		_, _ = io.Copy(io.Discard, s.in) // until the client leaves
		return false
	case told.Status != 0:
		s.say(fmt.Sprintf("%d refused by the witness", told.Status))
		return told.Status != 421 // which announces the end (RFC 5321, 3.8)
	}
	return s.say(sound)
}

// reset breaks the connection so that the client sees it at once.
func (s *session) reset() {
	_ = s.conn.SetLinger(0)
	s.out.Reset(io.Discard)
	_ = s.conn.Close()
}

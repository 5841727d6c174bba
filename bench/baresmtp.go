package main

import (
	"bufio"
	"bytes"
	"crypto"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"utskick/channels/mime"
	"utskick/templates"
)

// bareMail sends messages that it makes from an encoded layout, each with the
// envelope of the next in one write (RFC 2920, 3.1).
type bareMail struct {
	*sample
	address string
	layout  *mime.Layout
	key     crypto.Signer // nil signs none
	mail    []byte        // MAIL up to the number of its size
	date    time.Time
}

func bareSMTP(job bareJob) (bareSender, error) {
	layout, err := mime.NewLayout(job.sample.skeleton, mime.Options{EightBit: job.key == nil, Dots: job.key == nil})
	if err != nil {
		return nil, err
	}
	b := &bareMail{sample: job.sample, address: job.Sink.Address, layout: layout, key: job.key, date: time.Now()}
	b.mail = fmt.Appendf(nil, "MAIL FROM:<%s>", layout.From())
	if layout.EightBit() {
		b.mail = append(b.mail, " BODY=8BITMIME"...)
	}
	b.mail = append(b.mail, " SIZE="...)
	return b, nil
}

func (b *bareMail) perCall() int { return 1 }

func (b *bareMail) connect() (func(row, next int) error, error) {
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		return nil, err
	}
	s := &bareSession{bareMail: b, sheet: new(templates.Sheet), conn: conn, r: bufio.NewReader(conn)}
	if err := s.exchange(1); err != nil {
		return nil, err
	}
	s.out = append(s.out, "EHLO bare.example.com\r\n"...)
	return s.send, s.exchange(4)
}

// bareSession is a connection. Its message is the one whose envelope was queued
// last.
type bareSession struct {
	*bareMail
	sheet *templates.Sheet
	conn  net.Conn
	r     *bufio.Reader

	out     []byte // what the next write has
	head    string // DKIM-Signature line, or nothing
	message []byte
	open    bool // the relay waits for the message
}

// send sends the message of a row, and the envelope of the next in the same
// write.
func (s *bareSession) send(row, next int) error {
	if !s.open {
		if err := s.begin(row); err != nil {
			return err
		}
		if err := s.exchange(3); err != nil {
			return err
		}
	}
	s.out = append(mime.AppendTo(s.out, s.addresses[row]), s.head...)
	if s.key == nil {
		s.out = append(s.out, s.message...) // its dots are doubled already
	} else {
		s.out = appendStuffed(s.out, s.message)
	}
	s.out = append(s.out, ".\r\n"...)
	s.open = next != none
	if !s.open {
		return s.exchange(1)
	}
	if err := s.begin(next); err != nil {
		return err
	}
	return s.exchange(4)
}

// begin makes the message of a row and queues its envelope, which names its
// size with the To line (RFC 1870, 3).
func (s *bareSession) begin(row int) (err error) {
	if err := s.render(s.sheet, row, 1); err != nil {
		return err
	}
	envelope := mime.Envelope{Group: sampleGroup, Key: s.recipients[row].Key, Date: s.date}
	if s.message, err = s.layout.Append(s.message[:0], s.sheet, 0, envelope); err != nil {
		return err
	}
	if s.key != nil {
		if s.head, err = s.sign(s.message); err != nil {
			return err
		}
	}
	to := s.addresses[row]
	size := len("To: <>\r\n") + len(to) + len(s.head) + len(s.message)
	s.out = strconv.AppendInt(append(s.out, s.mail...), int64(size), 10)
	s.out = append(append(s.out, "\r\nRCPT TO:<"...), to...)
	s.out = append(s.out, ">\r\nDATA\r\n"...)
	return nil
}

// exchange writes what is queued and reads that many lines of answers, which
// are all good.
func (s *bareSession) exchange(lines int) error {
	if _, err := s.conn.Write(s.out); err != nil {
		return err
	}
	s.out = s.out[:0]
	for range lines {
		line, err := s.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line[0] != '2' && line[0] != '3' {
			return fmt.Errorf("the sink answered %s", bytes.TrimSpace(line))
		}
	}
	return nil
}

// appendStuffed appends a message with dots doubled at the start of lines (RFC
// 5321, 4.5.2).
func appendStuffed(dst, message []byte) []byte {
	dot := []byte("\n.")
	for {
		at := bytes.Index(message, dot)
		if at < 0 {
			return append(dst, message...)
		}
		end := at + len(dot)
		dst = append(append(dst, message[:end]...), '.')
		message = message[end:]
	}
}

// sign returns the DKIM-Signature line of a message.
func (b *bareMail) sign(message []byte) (string, error) {
	signer, err := dkim.NewSigner(&dkim.SignOptions{Domain: b.layout.Domain(), Selector: b.skeleton.Sender.DKIMSelector, Signer: b.key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed, HeaderKeys: signedHeaders})
	if err != nil {
		return "", err
	}
	if _, err := signer.Write(message); err != nil {
		return "", err
	}
	if err := signer.Close(); err != nil {
		return "", err
	}
	return signer.Signature(), nil
}

// signedHeaders are those that the product signs.
var signedHeaders = []string{
	"From", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
	"List-Id", "List-Unsubscribe", "List-Unsubscribe-Post",
}

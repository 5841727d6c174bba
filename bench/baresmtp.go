package main

import (
	"bufio"
	"bytes"
	"crypto"
	"fmt"
	"net"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"utskick/channels/mime"
)

// bareMail sends messages that were made beforehand, each with the envelope of
// the next in one write. Where mail is signed, that is done while it is sent: a
// signature is over its own message.
type bareMail struct {
	address   string
	key       crypto.Signer
	selector  string
	domain    string
	messages  [][]byte // without their To line
	stuffed   [][]byte // the same with dots doubled at the start of lines (RFC 5321, 4.5.2)
	envelopes []string
	to        []string
}

func bareSMTP(job bareJob) (bareSender, error) {
	s := job.sample
	layout, err := mime.NewLayout(s.skeleton, mime.Options{EightBit: job.key == nil})
	if err != nil {
		return nil, err
	}
	b := &bareMail{address: job.Sink.Address, key: job.key, selector: s.skeleton.Sender.DKIMSelector, domain: layout.Domain()}
	parameters := ""
	if layout.EightBit() {
		parameters = " BODY=8BITMIME"
	}
	for row, key := range s.keys {
		m, err := layout.Append(nil, s.sheet, row, mime.Envelope{Group: sampleGroup, Key: key, Date: time.Now()})
		if err != nil {
			return nil, err
		}
		b.messages = append(b.messages, m)
		b.stuffed = append(b.stuffed, bytes.ReplaceAll(m, []byte("\n."), []byte("\n..")))
		b.to = append(b.to, string(mime.AppendTo(nil, s.addresses[row])))
		b.envelopes = append(b.envelopes, fmt.Sprintf("MAIL FROM:<%s>%s SIZE=%d\r\nRCPT TO:<%s>\r\nDATA\r\n",
			layout.From(), parameters, len(m), s.addresses[row]))
	}
	return b, nil
}

func (b *bareMail) connect() (func(int) (int, error), error) {
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	if err := say(conn, r, nil, 1); err != nil {
		return nil, err
	}
	if err := say(conn, r, []byte("EHLO bare.example.com\r\n"), 4); err != nil {
		return nil, err
	}
	if err := say(conn, r, []byte(b.envelopes[0]), 3); err != nil {
		return nil, err
	}
	var out []byte
	return func(first int) (int, error) {
		row := first % len(b.messages)
		head, err := b.sign(row)
		if err != nil {
			return 1, err
		}
		out = append(append(out[:0], b.to[row]...), head...)
		out = append(append(out, b.stuffed[row]...), ".\r\n"...)
		out = append(out, b.envelopes[(row+1)%len(b.envelopes)]...)
		return 1, say(conn, r, out, 4)
	}, nil
}

// say writes and reads that many lines of answers, which are all good.
func say(conn net.Conn, r *bufio.Reader, text []byte, lines int) error {
	if _, err := conn.Write(text); err != nil {
		return err
	}
	for range lines {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line[0] != '2' && line[0] != '3' {
			return fmt.Errorf("the sink answered %s", bytes.TrimSpace(line))
		}
	}
	return nil
}

// sign returns the DKIM-Signature line, or nothing.
func (b *bareMail) sign(row int) (string, error) {
	if b.key == nil {
		return "", nil
	}
	signer, err := dkim.NewSigner(&dkim.SignOptions{Domain: b.domain, Selector: b.selector, Signer: b.key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed, HeaderKeys: signedHeaders})
	if err != nil {
		return "", err
	}
	if _, err := signer.Write(b.messages[row]); err != nil {
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

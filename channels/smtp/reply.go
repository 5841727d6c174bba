package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"

	"utskick/channels"
)

// errProtocol is a reply that is none.
var errProtocol = errors.New("the server's answer is not SMTP")

// maxReplyLines bounds what a server may say at once.
const maxReplyLines = 100

// reply is the answer to a command (RFC 5321, 4.2).
type reply struct {
	code     int
	enhanced status
	text     []byte // of the last line, without codes; valid until the next read
}

// status is an enhanced status code such as 5.1.1 (RFC 3463); the zero one is
// none.
type status = channels.Enhanced

func (r reply) positive() bool { return r.code/100 == 2 }

func (r reply) temporary() bool { return r.code/100 == 4 }

// readReply reads a whole reply. each sees the text of every line.
func readReply(br *bufio.Reader, each func(text []byte)) (reply, error) {
	for range maxReplyLines {
		line, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return reply{}, fmt.Errorf("%w: a line of more than %d bytes", errProtocol, len(line))
		}
		if err != nil {
			return reply{}, err
		}
		r, last, err := parseLine(bytes.TrimRight(line, "\r\n"))
		if err != nil {
			return reply{}, err
		}
		if each != nil {
			each(r.text)
		}
		if last {
			return r, nil
		}
	}
	return reply{}, fmt.Errorf("%w: more than %d lines", errProtocol, maxReplyLines)
}

// parseLine reads one line: three digits, a hyphen if more lines follow, an
// enhanced code if there is one, and text.
func parseLine(line []byte) (r reply, last bool, err error) {
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return reply{}, false, errProtocol
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return reply{}, false, errProtocol
		}
		r.code = 10*r.code + int(c-'0')
	}
	if r.code < 200 || r.code > 599 {
		return reply{}, false, errProtocol
	}
	if len(line) == 3 {
		return r, true, nil
	}
	r.enhanced, r.text = parseStatus(line[4:])
	if r.enhanced[0] != r.code/100 { // it must agree (RFC 2034, 4)
		r.enhanced, r.text = status{}, line[4:]
	}
	return r, line[3] == ' ', nil
}

// parseStatus takes an enhanced code off the front of text.
func parseStatus(text []byte) (status, []byte) {
	word, rest, _ := bytes.Cut(text, []byte(" "))
	var numbers [3]int
	part, digits := 0, 0
	for _, c := range word {
		switch {
		case '0' <= c && c <= '9' && digits < 3:
			numbers[part] = 10*numbers[part] + int(c-'0')
			digits++
		case c == '.' && digits > 0 && part < 2:
			part++
			digits = 0
		default:
			return status{}, text
		}
	}
	if part != 2 || digits == 0 {
		return status{}, text
	}
	return status{numbers[0], numbers[1], numbers[2]}, rest
}

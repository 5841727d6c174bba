package standin

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Sink answers every request alike and keeps nothing but counts. It costs a
// fraction of net/http, so that a measurement on one machine is of the client.
type Sink struct {
	listener net.Listener
	answer   []byte
	mark     []byte
	conns    sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // nil once closed

	requests atomic.Int64
	marks    atomic.Int64
}

// StartSink starts a sink that answers with the given status, header lines
// ("Name: value") and body, and counts how often mark occurs in the bodies that
// it gets; an empty mark counts nothing.
func StartSink(mark string, status int, body string, header ...string) (*Sink, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	lines := append(header, "Content-Length: "+strconv.Itoa(len(body)))
	answer := fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\n\r\n%s", status, http.StatusText(status), strings.Join(lines, "\r\n"), body)
	s := &Sink{listener: listener, answer: []byte(answer), mark: []byte(mark), open: make(map[net.Conn]bool)}
	s.conns.Go(s.accept)
	return s, nil
}

// Address is the base URL.
func (s *Sink) Address() string { return "http://" + s.listener.Addr().String() }

// Requests counts requests that arrived whole.
func (s *Sink) Requests() int64 { return s.requests.Load() }

// Marks counts occurrences of the mark.
func (s *Sink) Marks() int64 { return s.marks.Load() }

// Close drops all connections and waits for what served them.
func (s *Sink) Close() {
	s.mu.Lock()
	for conn := range s.open {
		conn.Close()
	}
	s.open = nil
	s.mu.Unlock()
	s.listener.Close()
	s.conns.Wait()
}

func (s *Sink) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.open == nil {
			conn.Close()
		} else {
			s.open[conn] = true
			s.conns.Go(func() { s.serve(conn) })
		}
		s.mu.Unlock()
	}
}

func (s *Sink) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	var body []byte
	for {
		size, err := contentLength(r)
		if err != nil {
			return
		}
		body = slices.Grow(body[:0], size)[:size]
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		s.requests.Add(1)
		if len(s.mark) > 0 {
			s.marks.Add(int64(bytes.Count(body, s.mark)))
		}
		if _, err := conn.Write(s.answer); err != nil {
			return
		}
	}
}

// contentLength reads a request's head for the one line that matters here.
func contentLength(r *bufio.Reader) (int, error) {
	size := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return size, nil
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
}

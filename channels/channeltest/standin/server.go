// Package standin has what the stand-ins of vendors with an HTTP API share:
// scripted answers, faults, a record of what came in, and a fast sink for
// measurements. They listen on the loopback interface only.
package standin

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"utskick/channels/channeltest"
)

// Vendor is what differs between vendors.
type Vendor interface {
	// Read understands a request. A request that the vendor would refuse gives
	// its refusal, and counts as an attempt without messages.
	Read(r *http.Request, body []byte) ([]channeltest.Message, *channeltest.Answer)
	// Accept is the vendor's answer to a request that is well. It gives the
	// messages their ids.
	Accept(messages []channeltest.Message) channeltest.Answer
}

// Server is a vendor's stand-in. It is a [channeltest.StandIn].
type Server struct {
	vendor  Vendor
	http    *httptest.Server
	closing chan struct{}
	once    sync.Once

	mu       sync.Mutex
	answers  []channeltest.Answer
	received []channeltest.Message
	attempts int
	raw      bytes.Buffer
}

// Start starts a stand-in for vendor on a free port.
func Start(vendor Vendor) *Server {
	s := &Server{vendor: vendor, closing: make(chan struct{})}
	s.http = httptest.NewServer(s)
	return s
}

// Address is the base URL.
func (s *Server) Address() string { return s.http.URL }

// Close drops all connections, silent ones too.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closing)
		s.http.CloseClientConnections()
		s.http.Close()
	})
}

// Script adds answers: see [channeltest.StandIn].
func (s *Server) Script(answers ...channeltest.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = append(s.answers, answers...)
}

// Received returns the record: who was sent what when, in order of arrival.
func (s *Server) Received() []channeltest.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// Attempts counts requests.
func (s *Server) Attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

// Raw returns the requests as they came: target, header, body.
func (s *Server) Raw() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.raw.Bytes())
}

// ServeHTTP takes one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.begin(r)
	body, err := io.ReadAll(r.Body)
	s.keep(body)
	if err != nil {
		return // the client broke off
	}
	messages, refusal := s.vendor.Read(r, body)
	answer := s.settle(messages, refusal)
	if answer.Before != nil {
		answer.Before()
	}
	switch answer.Fault {
	case channeltest.Silence:
		select {
		case <-r.Context().Done():
		case <-s.closing:
		}
		panic(http.ErrAbortHandler) // no answer, not even an empty one
	case channeltest.Reset:
		reset(w)
	default:
		write(w, answer)
	}
}

func (s *Server) begin(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	s.raw.WriteString(r.Method + " " + r.RequestURI + "\r\n")
	// Into a buffer, this cannot fail.
	_ = r.Header.Write(&s.raw)
	s.raw.WriteString("\r\n")
}

func (s *Server) keep(body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(body)
}

// settle picks the answer and records the messages with it.
func (s *Server) settle(messages []channeltest.Message, refusal *channeltest.Answer) channeltest.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.pick(messages, refusal)
	now := time.Now()
	for i := range messages {
		messages[i].At = now
		if answer.Fault == channeltest.NoFault {
			messages[i].Status = answer.Status
		}
	}
	s.received = append(s.received, messages...)
	return answer
}

// pick returns the scripted answer, else the vendor's refusal, else its
// acceptance.
func (s *Server) pick(messages []channeltest.Message, refusal *channeltest.Answer) channeltest.Answer {
	scripted, found := s.next(messages)
	switch {
	case found && (scripted.Status != 0 || scripted.Fault != channeltest.NoFault):
		return scripted
	case refusal != nil:
		return *refusal
	}
	accepted := s.vendor.Accept(messages)
	accepted.Before = scripted.Before
	return accepted
}

// next takes the first scripted answer for one of the messages, or the first
// that is for any. The caller holds the lock.
func (s *Server) next(messages []channeltest.Message) (channeltest.Answer, bool) {
	named := func(a channeltest.Answer) bool {
		return a.To != "" && slices.ContainsFunc(messages, func(m channeltest.Message) bool { return m.To == a.To })
	}
	i := slices.IndexFunc(s.answers, named)
	if i < 0 {
		i = slices.IndexFunc(s.answers, func(a channeltest.Answer) bool { return a.To == "" })
	}
	if i < 0 {
		return channeltest.Answer{}, false
	}
	answer := s.answers[i]
	s.answers = slices.Delete(s.answers, i, i+1)
	return answer, true
}

func write(w http.ResponseWriter, a channeltest.Answer) {
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(cmp.Or(a.Status, http.StatusOK))
	// A client that is gone does not get it.
	_, _ = io.WriteString(w, a.Body)
}

// reset breaks the connection so that the peer sees it at once.
func reset(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

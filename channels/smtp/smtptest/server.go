// Package smtptest is an SMTP server for tests and benchmarks: it answers by a
// script, misbehaves when told to, keeps what it receives, and notes where the
// client breaks the protocol.
package smtptest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// Stage is where in a session an answer is due.
type Stage string

// The stages. A command is named by its verb; Body is between the answer to
// DATA and the message, Message is its end.
const (
	Banner   Stage = "banner"
	EHLO     Stage = "EHLO"
	STARTTLS Stage = "STARTTLS"
	AUTH     Stage = "AUTH"
	MAIL     Stage = "MAIL"
	RCPT     Stage = "RCPT"
	DATA     Stage = "DATA"
	Body     Stage = "body"
	End      Stage = "message"
	RSET     Stage = "RSET"
	NOOP     Stage = "NOOP"
	QUIT     Stage = "QUIT"
)

// Event is what the script answers.
type Event struct {
	Stage    Stage
	Conn     int    // number of the connection, from 1
	From, To string // of the transaction, as far as it has come
	Data     []byte // at End: the message, dots unstuffed; nil with Discard
	Ahead    bool   // the client has sent more already
}

// Action is the script's answer. The zero Action is the usual one.
type Action struct {
	Reply  string // such as "550 5.1.1 unknown"; lines of one reply are separated by \n
	Behind string // sent as it is, right behind the reply
	Fault  Fault
	After  int // with a fault at Body: how many bytes of the message are read before it
}

// Fault is a way to leave the client without an answer.
type Fault uint8

const (
	NoFault Fault = iota
	Silence       // keep the connection open and read on, say nothing any more
	Reset         // break the connection
	Stall         // keep the connection open and read no more
)

// Config of a server.
type Config struct {
	// Extensions are offered in the answer to EHLO; nil is PIPELINING,
	// 8BITMIME, ENHANCEDSTATUSCODES and SIZE 10485760. STARTTLS and AUTH come by
	// themselves.
	Extensions []string
	TLS        *tls.Config // offers STARTTLS
	Implicit   bool        // TLS from the first byte
	// User and Password are wanted by AUTH PLAIN, and before MAIL.
	User, Password string
	// Respond is the script; nil is the usual answer to all. It runs while the
	// client waits, on the connection's own goroutine.
	Respond func(Event) Action
	// Discard counts messages and keeps nothing, for benchmarks.
	Discard bool
}

// Message is one that arrived whole.
type Message struct {
	From, To string
	Params   string // of MAIL, such as BODY=8BITMIME
	Data     []byte // dots unstuffed
	TLS      bool
}

// Server is a running server.
type Server struct {
	config   Config
	listener net.Listener
	done     sync.WaitGroup
	closing  chan struct{}

	transactions, delivered, connected atomic.Int64

	mu       sync.Mutex
	conns    map[net.Conn]bool
	messages []Message
	breaches []string
	raw      bytes.Buffer
}

// Start listens on a free port of the loopback.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	if c.Extensions == nil {
		c.Extensions = []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 10485760"}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{config: c, listener: listener, closing: make(chan struct{}), conns: make(map[net.Conn]bool)}
	s.done.Go(s.accept)
	t.Cleanup(s.Close)
	return s
}

// Address is the host and the port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close ends all connections and waits for them. It may be called again.
func (s *Server) Close() {
	s.mu.Lock()
	select {
	case <-s.closing:
	default:
		close(s.closing)
	}
	s.listener.Close()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

// Transactions counts the MAIL commands.
func (s *Server) Transactions() int { return int(s.transactions.Load()) }

// Delivered counts the messages that arrived whole.
func (s *Server) Delivered() int { return int(s.delivered.Load()) }

// Connections counts those accepted so far.
func (s *Server) Connections() int { return int(s.connected.Load()) }

// Messages returns those that arrived whole, whatever they were answered.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Raw returns all that arrived after decryption, as it came.
func (s *Server) Raw() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.raw.Bytes())
}

// Breaches returns what the client did against the protocol.
func (s *Server) Breaches() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.breaches)
}

func (s *Server) breach(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaches = append(s.breaches, fmt.Sprintf(format, a...))
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		select {
		case <-s.closing:
			conn.Close()
			s.mu.Unlock()
			return
		default:
		}
		s.conns[conn] = true
		s.mu.Unlock()
		number := int(s.connected.Add(1))
		s.done.Go(func() {
			defer func() {
				conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			newSession(s, conn, number).serve()
		})
	}
}

// keep notes what arrived.
func (s *Server) keep(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

// Write keeps raw bytes.
func (s *Server) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(p)
}

package witness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"time"

	"utskick/channels/fcm/fcmtest"
)

// Addresses say where a witness is found. The first line that it prints is this
// as JSON.
type Addresses struct {
	SendGrid, Twilio, FCM, SMTP string
	Control                     string // takes a list of rules, says how many calls they are for, and takes a [Telling] at /hooks
	Credentials                 []byte // the key file for FCM
}

// server is a running witness.
type server struct {
	log   *Log
	rules rules
	hooks *hooks
	taken taken
	calls atomic.Int64
	fail  chan error // what makes the log worthless
}

// Run writes to a new log until in ends: whoever started a witness holds the
// other end of it.
func Run(path string, in io.Reader, out io.Writer) error {
	log, err := Create(path)
	if err != nil {
		return err
	}
	hookLog, err := Create(HooksLog(path))
	if err != nil {
		return err
	}
	s := &server{log: log, fail: make(chan error, 1)}
	s.taken.rules = &s.rules
	s.hooks = newHooks(hookLog, s.end)
	go s.hooks.run()
	go s.hooks.storm()
	tokens := fcmtest.StartTokens()
	defer tokens.Close()
	at := Addresses{Credentials: tokens.Credentials()}
	for name, where := range map[string]*string{"sendgrid": &at.SendGrid, "twilio": &at.Twilio, "fcm": &at.FCM} {
		v := vendors[name]
		if *where, err = s.listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.call(v, w, r) })); err != nil {
			return err
		}
	}
	if at.SMTP, err = s.relay(); err != nil {
		return err
	}
	control := http.NewServeMux()
	control.HandleFunc("/", s.rules.serve)
	control.HandleFunc("/hooks", s.hooks.serve)
	if at.Control, err = s.listen(control); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(at); err != nil {
		return err
	}
	go func() {
		_, err := io.Copy(io.Discard, in)
		s.fail <- err
	}()
	return errors.Join(<-s.fail, log.Close(), hookLog.Close())
}

func (s *server) listen(h http.Handler) (string, error) {
	l, err := listen()
	if err != nil {
		return "", err
	}
	web := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ConnContext: withConn}
	go func() {
		// It ends with the process.
		_ = web.Serve(l)
	}()
	return "http://" + l.Addr().String(), nil
}

// write adds a line. A witness that cannot write is none.
func (s *server) write(l Line) {
	if err := s.log.Append(l); err != nil {
		s.end(err)
	}
}

// end ends the process with what makes its logs worthless.
func (s *server) end(err error) {
	select {
	case s.fail <- err:
	default:
	}
}

// call is one call of the product's.
func (s *server) call(v vendor, w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && v.name == "twilio" {
		s.taken.serve(w, r)
		return
	}
	var first [1]byte
	if _, err := io.ReadFull(r.Body, first[:]); err != nil {
		return // not one byte of a message
	}
	id := s.calls.Add(1)
	s.write(Line{Call: id, At: arrivedOf(r), Event: Started, Vendor: v.name})
	if s.rules.unread(v.name) {
		s.write(Line{Call: id, At: Now(), Event: Ended, Vendor: v.name, Answer: Unread, Messages: v.read(s.some(first[0], r.Body))})
		reset(w)
		return
	}
	rest, err := io.ReadAll(r.Body)
	end := Line{Call: id, Event: Ended, Vendor: v.name, Whole: err == nil, Messages: v.read(append(first[:], rest...))}
	if err != nil {
		end.At, end.Answer = Now(), "torn"
		s.write(end)
		return
	}
	told, any := s.rules.of(v.name, end.Messages)
	end.Taken = !any || told.Taken || told.sound()
	end.Answer = answerOf(told)
	end.At = Now()
	for i := range end.Messages {
		end.Messages[i].id = messageID(id)
	}
	s.write(end)
	s.taken.add(end)
	events, early := s.hooks.of(end)
	if early {
		// The copies come later, all the same.
		s.hooks.tell(r.Context(), events, true)
	}
	s.hooks.add(events)
	s.answer(v, w, r, id, told)
}

// some reads a little of a body that is to be left.
func (s *server) some(first byte, body io.Reader) []byte {
	part := make([]byte, 1024)
	part[0] = first
	n, err := body.Read(part[1:])
	if err != nil && !errors.Is(err, io.EOF) {
		return part[:1]
	}
	return part[:1+n]
}

// answerOf is what the log says of an answer: its status, unless it is that of
// success, and how it was cut.
func answerOf(r Rule) string {
	switch {
	case r.Fault != "" && r.Status != 0:
		return strconv.Itoa(r.Status) + " " + r.Fault
	case r.Fault != "":
		return r.Fault
	case r.Status != 0:
		return strconv.Itoa(r.Status)
	default:
		return "accepted"
	}
}

func (s *server) answer(v vendor, w http.ResponseWriter, r *http.Request, id int64, told Rule) {
	if told.Delay > 0 {
		select {
		case <-time.After(told.Delay):
		case <-r.Context().Done():
		}
	}
	switch told.Fault {
	case Reset:
		reset(w)
	case Silence:
		<-r.Context().Done()
	case Truncate, Torn, Stuck:
		cut(w, told.Fault, func(w http.ResponseWriter) { v.answer(w, id, told) })
	default:
		v.answer(w, id, told)
	}
}

// answer gives a whole answer.
func (v vendor) answer(w http.ResponseWriter, id int64, told Rule) {
	if told.Status == 0 {
		v.accept(w, id)
		return
	}
	if told.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(told.RetryAfter))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(told.Status)
	// Who is gone does not get it.
	_, _ = io.WriteString(w, v.refuse(told.Status))
}

// reset breaks the connection so that the client sees it at once.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.(*stampedConn).SetLinger(0)
	_ = conn.Close()
}

// cut begins an answer: up to the second digit of its status, or to the middle
// of its body.
func cut(w http.ResponseWriter, fault string, answer func(http.ResponseWriter)) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	whole := httptest.NewRecorder()
	answer(whole)
	head := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", whole.Code, http.StatusText(whole.Code))
	if fault == Truncate {
		head = head[:len("HTTP/1.1 20")]
	} else {
		const missing = 100 // so that also an empty body has something that does not come
		head = fmt.Appendf(head, "Content-Length: %d\r\n", whole.Body.Len()+missing)
		for name := range whole.Header() {
			head = fmt.Appendf(head, "%s: %s\r\n", name, whole.Header().Get(name))
		}
		head = append(append(head, "\r\n"...), whole.Body.Bytes()[:whole.Body.Len()/2]...)
	}
	// Who is gone does not get it.
	_, _ = conn.Write(head)
	if fault == Stuck {
		_, _ = io.Copy(io.Discard, conn) // until the client leaves
	}
	_ = conn.Close()
}

package channels

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
)

// maxParcel is how long a body may be, in bytes, to leave in one write with its
// head: net/http gathers 4 KiB before it writes (Transport.WriteBufferSize), and
// heads are below one. A longer head costs a second write and nothing else.
const maxParcel = 3 << 10

// parcel is the body of an attempt that leaves in one write with its head.
//
// Of a body whose type it does not know, such as a [GateReader], net/http cannot
// tell whether it blocks, and sends the head ahead of it: a second system call,
// a second packet, a second read at the other end. It makes an exception for a
// [bytes.Reader]. That cannot ask for permission, but it can be empty until
// permission is there: net/http tells when it has gathered the head, in the
// goroutine that goes on to read the body (httptrace.ClientTrace.WroteHeaders).
// If the body stays empty, net/http finds it shorter than its announced length
// and drops the request; nothing of it, not even the head, is written.
//
// What leaves in one write cannot stop in the middle: once it is allowed, the
// record is [Fully].
type parcel struct {
	attempt *Attempt
	body    []byte
	reader  bytes.Reader
	trace   httptrace.ClientTrace
}

// inParcel returns a copy of the request whose body is the given one, handed
// over under the attempt. It has none of what makes net/http replay it, if the
// headers have not.
func inParcel(r *http.Request, a *Attempt, body []byte) *http.Request {
	p := &parcel{attempt: a, body: body}
	p.trace.WroteHeaders, p.trace.GotConn = p.handOver, a.ride
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &p.trace))
	r.Body, r.GetBody, r.ContentLength = io.NopCloser(&p.reader), nil, int64(len(body))
	return r
}

// handOver asks the permits, and gives the body out if they live. It does so
// once: a request that net/http began anew would have no body.
func (p *parcel) handOver() {
	a := p.attempt
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.written != NotStarted || a.start() != nil {
		return
	}
	a.written = Fully
	p.reader.Reset(p.body)
}

// fitsParcel reports whether the request's body may go as a parcel by base. Any
// other base than net/http's might not tell when the head is gathered, and a
// request that expects 100 (Continue) sends its head by itself in any case.
func fitsParcel(r *http.Request, base http.RoundTripper) bool {
	_, known := base.(*http.Transport)
	return known && r.Body != nil && r.ContentLength > 0 && r.ContentLength <= maxParcel && r.Header.Get("Expect") == ""
}

// readBody reads a body of known length into memory of its own: net/http may go
// on reading it when the caller already has the answer and uses its own again.
func readBody(req *http.Request) ([]byte, error) {
	defer req.Body.Close()
	body := make([]byte, req.ContentLength+1)
	n, err := io.ReadFull(req.Body, body)
	switch {
	case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, err
	case int64(n) != req.ContentLength:
		return nil, fmt.Errorf("the request says that its body has %d bytes, which it has not", req.ContentLength)
	}
	return body[:n], nil
}

package witness

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A witness that waits for the processor sees a byte later than it came, and
// would take a message that was under way before an objection for one that
// followed it. So the kernel's word counts, which stamps what it is given.

// listen takes connections that know when their bytes arrived.
func listen() (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var refused error
		// Connections inherit it. The kernel begins to stamp a little later.
		err := c.Control(func(fd uintptr) {
			refused = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		})
		return errors.Join(err, refused)
	}}
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return stampedListener{l.(*net.TCPListener)}, nil
}

type stampedListener struct{ *net.TCPListener }

// Accept returns a [stampedConn].
func (l stampedListener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &stampedConn{TCPConn: c, raw: raw}, nil
}

// stampedConn is a connection that is read by one goroutine at a time.
type stampedConn struct {
	*net.TCPConn
	raw     syscall.RawConn
	arrived int64 // when the last of what was read came, by [Now]
}

// Read also keeps when the kernel got the last of the bytes that it returns. Of
// bytes that waited together the kernel keeps the stamp of the newest: the instant
// is at times too late, and never too early.
func (c *stampedConn) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	var control [64]byte
	var said int
	left := c.raw.Read(func(fd uintptr) bool {
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			n, said, _, _, err = unix.Recvmsg(int(fd), p, control[:], 0)
		}
		return !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case left != nil:
		return 0, left // it is closed, or past its deadline
	case err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Addr: c.RemoteAddr(), Err: err}
	case n == 0:
		return 0, io.EOF
	}
	c.arrived = arrival(control[:said])
	return n, nil
}

// arrival returns the instant that the kernel stamped, by [Now], and this one if
// it stamped none.
func arrival(control []byte) int64 {
	now := Now()
	messages, _ := unix.ParseSocketControlMessage(control) // without one there is no stamp
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			// It is of the wall clock, which the harness leaves alone.
			stamp := *(*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			return now - max(time.Now().UnixNano()-stamp.Nano(), 0)
		}
	}
	return now
}

// arrivedOf returns when the last of what was read of a request came.
func arrivedOf(r *http.Request) int64 { return r.Context().Value(connKey{}).(*stampedConn).arrived }

type connKey struct{}

// withConn lets a handler find the connection of its request.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

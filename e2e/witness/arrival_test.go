package witness

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestArrival lets bytes wait: they arrived before they were read.
func TestArrival(t *testing.T) {
	client, conn := pair(t)
	// The first bytes may come before the kernel has begun to stamp.
	for begun := Now(); Since(begun) < 10*time.Second; {
		sent := Now()
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		waiting := await(t, conn)
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if conn.arrived < sent {
			t.Fatalf("arrived %d ns before it was sent", sent-conn.arrived)
		}
		if conn.arrived <= waiting {
			return
		}
	}
	t.Fatal("no byte arrived before it was read")
}

// pair returns both ends of a connection.
func pair(t *testing.T) (client net.Conn, far *stampedConn) {
	t.Helper()
	l, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(client.Close(), c.Close()) })
	return client, c.(*stampedConn)
}

// await returns an instant at which something waits to be read.
func await(t *testing.T, c *stampedConn) int64 {
	t.Helper()
	var err error
	left := c.raw.Read(func(fd uintptr) bool {
		_, _, err = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
		return !errors.Is(err, unix.EAGAIN)
	})
	if err := errors.Join(left, err); err != nil {
		t.Fatal(err)
	}
	return Now()
}

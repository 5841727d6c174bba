package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// The time-outs of both listeners. A file on its way in or out has its own.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = time.Minute // an acknowledgement may take seconds
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10 // bytes
	// drain is how long requests that were begun may take when the process
	// ends.
	drain = 15 * time.Second
)

// Addresses are where the sites listen, as host:port.
type Addresses struct {
	Operator string
	Public   string
}

// Serve listens on both addresses (port 0 takes a free one), tells ready where,
// and answers until ctx ends. Requests that were begun are then finished, for
// 15 seconds at most. It returns nil when ctx ended it. ready may be nil.
func (s *Server) Serve(ctx context.Context, operator, public string, ready func(Addresses)) error {
	var lc net.ListenConfig
	first, err := lc.Listen(ctx, "tcp", operator)
	if err != nil {
		return fmt.Errorf("listen for operators (UTSKICK_LISTEN): %w", err)
	}
	second, err := lc.Listen(ctx, "tcp", public)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for the public (UTSKICK_PUBLIC_LISTEN): %w", err), first.Close())
	}
	at := Addresses{Operator: first.Addr().String(), Public: second.Addr().String()}
	s.operator.showPublicAt(at.Public)
	if ready != nil {
		ready(at)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		s.public.targets.run(ctx)
		return nil
	})
	for listener, handler := range map[net.Listener]http.Handler{first: s.Operator(), second: s.Public()} {
		g.Go(func() error { return serve(ctx, listener, handler) })
	}
	return g.Wait()
}

// showPublicAt tells the outbox where links can be followed on this machine.
func (o *operator) showPublicAt(address string) {
	if o.outbox == nil {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	site := "http://" + net.JoinHostPort(host, port)
	o.outbox.local.Store(&site)
}

// serve runs one server until ctx ends.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// What net/http logs has the addresses of clients in it, and what goes
		// wrong in a handler is logged by recovered.
		ErrorLog: log.New(io.Discard, "", 0),
		// Requests outlive the end of ctx: that is what Shutdown waits for.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := server.Shutdown(limit)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	return errors.Join(err, ignoreClosed(<-ended))
}

// ignoreClosed drops the error by which a server says that it was shut down.
func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

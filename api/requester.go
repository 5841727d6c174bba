package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"utskick/tracking"
)

// clientOf returns the network address that a request comes from: that of the
// connection, or, behind proxies that are trusted, the last one in
// X-Forwarded-For that is not one of them. Whatever stands before it, anybody may
// have written.
func clientOf(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !isTrusted(client, trusted) {
			break
		}
		hop = strings.TrimSpace(hop)
		addr, err := netip.ParseAddr(hop)
		if withPort, failed := netip.ParseAddrPort(hop); err != nil && failed == nil {
			addr, err = withPort.Addr(), nil
		}
		if err != nil {
			break
		}
		client = addr.Unmap()
	}
	return client
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr.WithZone("")) })
}

// describe adds to an open or a click who made it, as coarsely as it is kept. Of
// a link without a person, not even that somebody made two is to be known.
func (p *public) describe(e *tracking.Event, r *http.Request) {
	e.Machine, e.Agent = tracking.Classify(tracking.Fetch{UserAgent: r.UserAgent(), Open: e.Type == tracking.Opens, Head: r.Method == http.MethodHead,
		Purposes: []string{r.Header.Get("Purpose"), r.Header.Get("Sec-Purpose"), r.Header.Get("X-Purpose"), r.Header.Get("X-Moz")}})
	if !e.Key.IsZero() {
		e.Requester = p.c.Signer.Requester(e.At, clientOf(r, p.c.Proxies), r.UserAgent())
	}
	if e.Machine != "" {
		// A person who comes in the same second is not the machine again.
		e.Dedupe += "-m"
	}
}

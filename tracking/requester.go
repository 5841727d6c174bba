package tracking

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Requester tells requests of one machine and one day from those of others; 0 is
// unknown. It is a short hash with a key, made of the network and the user agent,
// neither of which is kept. The key changes every day, so that it follows nobody
// from one day to the next.
type Requester int64

// RequesterFor is how long requesters are kept after their event. They are
// compared within a day; what a spool brings late may need one more, and the
// rest is margin.
const RequesterFor = 3 * 24 * time.Hour

// forRequesters begins what is signed for them, as a purpose begins a token.
const forRequesters = 'r'

// Requester names who makes a request. Of IPv6 the first 64 bits count, which is
// what a household or a phone has (RFC 6177).
func (s *Signer) Requester(at time.Time, from netip.Addr, userAgent string) Requester {
	from = from.Unmap()
	if !from.IsValid() {
		return 0
	}
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	network, err := from.WithZone("").Prefix(bits)
	if err != nil {
		return 0
	}
	if len(userAgent) > longestAgent {
		userAgent = userAgent[:longestAgent]
	}
	on := s.benches.Get().(*bench)
	defer s.benches.Put(on)
	b := binary.AppendVarint([]byte{forRequesters}, at.Unix()/(24*60*60))
	b = append(b, network.String()...)
	b = append(append(b, 0), userAgent...)
	sum := on.sign(b)
	return Requester(binary.BigEndian.Uint64(sum) >> 16) // 48 bits
}

// Package tracking knows what happened to a message: events, the signed links
// that bring them home, and whether a person or a machine made them.
package tracking

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"

	"utskick/audience"
)

// Purpose is what a signed link may be used for. A token for one purpose is
// forged for every other.
type Purpose byte

// The purposes of tokens.
const (
	Unsubscribe Purpose = 'u'
	Preferences Purpose = 'p'
	Open        Purpose = 'o'
	Click       Purpose = 'c'
	Bait        Purpose = 'b' // a link that no person sees
	Confirm     Purpose = 's' // in the mail of a confirmation, which is its Group
)

// Token is what a signed link says. It carries no address.
type Token struct {
	Purpose Purpose
	Group   int64        // the group of the message
	Key     audience.Key // the recipient; zero in a link that counts without a person
	Link    int64        // the stored target, for Click
}

// ErrToken is the one answer to a token that is altered, truncated, foreign or
// forged. It never says which.
var ErrToken = errors.New("this link is not one of ours, or it is incomplete")

const (
	macSize    = 12
	withPerson = 1
	minSecret  = 32
	maxText    = 128 // no token is longer; it keeps nonsense from the hash
)

// Signer signs and verifies tokens. It is safe for concurrent use. Tokens never
// expire: an unsubscribe link works for as long as copies of the mail live.
type Signer struct{ benches sync.Pool }

// bench is what one signature is made on. Its arrays are on the heap once,
// instead of once a token, because what is passed to a hash escapes.
type bench struct {
	mac hash.Hash // HMAC-SHA256, keyed; Reset keeps the key's two blocks
	raw [64]byte
	sum [sha256.Size]byte
}

// NewSigner refuses a secret shorter than 32 bytes.
func NewSigner(secret []byte) (*Signer, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the signing key has %d bytes, it needs at least %d", len(secret), minSecret)
	}
	secret = append([]byte(nil), secret...)
	return &Signer{benches: sync.Pool{New: func() any { return &bench{mac: hmac.New(sha256.New, secret)} }}}, nil
}

// Append appends the text form of t to dst: base64url without padding over
// purpose, flags, group, link, key and a 96-bit MAC. It allocates nothing but
// what dst needs to grow.
func (s *Signer) Append(dst []byte, t Token) []byte {
	on := s.benches.Get().(*bench)
	b := append(on.raw[:0], byte(t.Purpose), 0)
	b = binary.AppendUvarint(b, uint64(t.Group))
	b = binary.AppendUvarint(b, uint64(t.Link))
	if !t.Key.IsZero() {
		b[1] = withPerson
		b = append(b, t.Key[:]...)
	}
	b = append(b, on.sign(b)...)
	dst = base64.RawURLEncoding.AppendEncode(dst, b)
	s.benches.Put(on)
	return dst
}

// Sign returns the text form of t.
func (s *Signer) Sign(t Token) string { return string(s.Append(nil, t)) }

// Parse verifies a token for a purpose before anything else is asked. Its only
// error is [ErrToken].
func (s *Signer) Parse(purpose Purpose, text string) (Token, error) {
	// The decoder passes over line feeds, which would give a link two names.
	if len(text) > maxText || strings.ContainsAny(text, "\r\n") {
		return Token{}, ErrToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < 2+1+1+macSize {
		return Token{}, ErrToken
	}
	body, sum := raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	if !s.signed(body, sum) || Purpose(body[0]) != purpose {
		return Token{}, ErrToken
	}
	t := Token{Purpose: purpose}
	rest := body[2:]
	for _, field := range []*int64{&t.Group, &t.Link} {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return Token{}, ErrToken
		}
		*field, rest = int64(v), rest[n:]
	}
	if body[1] == withPerson && len(rest) == audience.KeySize {
		t.Key = audience.Key(rest)
		return t, nil
	}
	if body[1] != 0 || len(rest) != 0 {
		return Token{}, ErrToken
	}
	return t, nil
}

// signed compares in constant time.
func (s *Signer) signed(body, sum []byte) bool {
	on := s.benches.Get().(*bench)
	defer s.benches.Put(on)
	return hmac.Equal(on.sign(body), sum)
}

// sign returns the MAC of body; it lies on the bench.
func (on *bench) sign(body []byte) []byte {
	on.mac.Reset()
	on.mac.Write(body)
	return on.mac.Sum(on.sum[:0])[:macSize]
}

package tracking

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"utskick/audience"
)

// visit is the purpose of the tokens of visits. They stand in forms, not in
// links.
const visit Purpose = 'v'

const visitID = 8 // bytes

// Visit is one visit to the pages of a message. What a person does in it can be
// undone together, by whoever holds its token.
type Visit struct {
	ID    string // 16 hexadecimal digits, by chance
	Group int64  // the group of the message
	Key   audience.Key
	At    time.Time // when the token was made, to the second
}

// NewVisit begins a visit.
func NewVisit(group int64, key audience.Key, at time.Time) Visit {
	var id [visitID]byte
	_, _ = rand.Read(id[:]) // it never fails (Go 1.24)
	return Visit{ID: hex.EncodeToString(id[:]), Group: group, Key: key, At: at}
}

// SignVisit returns the text form of v: like that of a token, over purpose,
// flags, group, seconds, id and key.
func (s *Signer) SignVisit(v Visit) (string, error) {
	id, err := hex.DecodeString(v.ID)
	if err != nil || len(id) != visitID {
		return "", ErrToken
	}
	on := s.benches.Get().(*bench)
	defer s.benches.Put(on)
	b := append(on.raw[:0], byte(visit), withPerson)
	b = binary.AppendUvarint(b, uint64(v.Group))
	b = binary.AppendUvarint(b, uint64(v.At.Unix()))
	b = append(append(b, id...), v.Key[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, on.sign(b)...)), nil
}

// ParseVisit verifies the token of a visit to the pages of a message. Its only
// error is [ErrToken], also for a visit to those of another message.
func (s *Signer) ParseVisit(text string, of Token) (Visit, error) {
	if len(text) > maxText || strings.ContainsAny(text, "\r\n") {
		return Visit{}, ErrToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < 2+1+1+visitID+audience.KeySize+macSize {
		return Visit{}, ErrToken
	}
	body, sum := raw[:len(raw)-macSize], raw[len(raw)-macSize:]
	if !s.signed(body, sum) || Purpose(body[0]) != visit {
		return Visit{}, ErrToken
	}
	group, n := binary.Uvarint(body[2:])
	at, m := binary.Uvarint(body[2+max(n, 0):])
	rest := body[min(len(body), 2+max(n, 0)+max(m, 0)):]
	if n <= 0 || m <= 0 || len(rest) != visitID+audience.KeySize {
		return Visit{}, ErrToken
	}
	v := Visit{ID: hex.EncodeToString(rest[:visitID]), Group: int64(group), Key: audience.Key(rest[visitID:]), At: time.Unix(int64(at), 0)}
	if v.Group != of.Group || !hmac.Equal(v.Key[:], of.Key[:]) {
		return Visit{}, ErrToken
	}
	return v, nil
}

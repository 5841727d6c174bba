// Package audience knows who people are: contacts, their addresses and the
// keys that stand for them, their devices and attributes, and how a file of
// contacts is read.
package audience

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"
)

// Kind names what a key was made from. A key of one kind never equals a key of
// another, even for the same text.
type Kind string

// The kinds of keys. KindContact is made from a contact's external id, so that
// a wish of a person without an address still binds a later import of the same
// person.
const (
	KindEmail   Kind = "email"
	KindPhone   Kind = "phone"
	KindPush    Kind = "push"
	KindPost    Kind = "post"
	KindContact Kind = "contact"
)

// KeySize is the length of a key in bytes.
const KeySize = 16

// Key stands for an address wherever the address itself is not needed:
// HMAC-SHA256 with a secret pepper over the kind and the normalised address,
// cut to 16 bytes. Without the pepper it says nothing about the address. It is
// still personal data.
type Key [KeySize]byte

// String returns the whole key in hexadecimal, for files and for people who
// are allowed to see it. Logs use [Key.Short].
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Short returns the first four bytes in hexadecimal: enough to find a line in
// a log, too little to be the key.
func (k Key) Short() string { return hex.EncodeToString(k[:4]) }

// IsZero reports whether k is no key at all.
func (k Key) IsZero() bool { return k == Key{} }

// ParseKey reads the hexadecimal form that [Key.String] writes.
func ParseKey(s string) (Key, error) {
	var k Key
	if len(s) != 2*KeySize {
		return Key{}, fmt.Errorf("a key has %d hexadecimal digits, this text has %d characters", 2*KeySize, len(s))
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return Key{}, errors.New("a key has hexadecimal digits only")
	}
	return k, nil
}

// Value stores a key as 16 bytes, and the zero key as NULL.
func (k Key) Value() (driver.Value, error) {
	if k.IsZero() {
		return nil, nil
	}
	return k[:], nil
}

// Scan reads a key back from 16 bytes, or the zero key from NULL.
func (k *Key) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*k = Key{}
		return nil
	case []byte:
		if len(v) != KeySize {
			return fmt.Errorf("a stored key has %d bytes, not %d", len(v), KeySize)
		}
		copy(k[:], v)
		return nil
	default:
		return fmt.Errorf("a stored key is bytes, not %T", src)
	}
}

// MinPepper is the shortest pepper that a [Keyer] accepts, in bytes.
const MinPepper = 32

// Keyer makes keys with one secret pepper. It is safe for concurrent use.
type Keyer struct{ macs sync.Pool }

// NewKeyer refuses a pepper shorter than [MinPepper] bytes.
func NewKeyer(pepper []byte) (*Keyer, error) {
	if len(pepper) < MinPepper {
		return nil, fmt.Errorf("the pepper has %d bytes, it needs at least %d", len(pepper), MinPepper)
	}
	pepper = append([]byte(nil), pepper...)
	return &Keyer{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, pepper) }}}, nil
}

// Key returns the key of a normalised address. What is normalised is for the
// caller: [NormalizeEmail], [NormalizePhone], or [NormalizeToken].
func (k *Keyer) Key(kind Kind, normalised string) Key {
	mac := k.macs.Get().(hash.Hash)
	defer k.macs.Put(mac)
	mac.Reset()
	var buf [256]byte // holds an e-mail address, and the sum in its place
	b := append(append(buf[:0], kind...), 0)
	mac.Write(append(b, normalised...))
	return Key(mac.Sum(buf[:0])[:KeySize])
}

// Fingerprint identifies the pepper without giving it away. A database
// remembers it, so that a process with another pepper, whose keys would match
// no suppression, refuses to start.
func (k *Keyer) Fingerprint() string {
	return k.Key("fingerprint", "utskick").String()
}

// KindKey is a key with its kind.
type KindKey struct {
	Kind Kind
	Key  Key
}

// ContactKeys returns every key that a contact has: of the external id, the
// e-mail address, the phone number, and each device, active or not. A wish of
// the person is written for all of them.
func (k *Keyer) ContactKeys(c Contact) []KindKey {
	keys := make([]KindKey, 0, 3+len(c.Devices))
	add := func(kind Kind, normalised string) {
		if normalised != "" {
			keys = append(keys, KindKey{kind, k.Key(kind, normalised)})
		}
	}
	add(KindContact, c.ExternalID)
	add(KindEmail, c.Email)
	add(KindPhone, c.Phone)
	for _, d := range c.Devices {
		add(KindPush, d.Token)
	}
	return keys
}

package api

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// sessionLife is how long a browser stays logged in.
const sessionLife = 12 * time.Hour

// session is what a session cookie says. The server keeps nothing of it: it
// ends with its time, with its key, or when the browser drops the cookie.
type session struct {
	key     int64 // id of the API key; 0 for a log-in link
	expires time.Time
	id      [16]byte
}

var errSession = errors.New("this session is not one of ours, or it has ended")

// sessions signs and reads sessions.
type sessions struct {
	secret []byte
	now    func() time.Time
}

func (s sessions) start(key int64) session {
	started := session{key: key, expires: s.now().Add(sessionLife)}
	rand.Read(started.id[:]) // never fails (crypto/rand, Go 1.24)
	return started
}

// seal returns the text of a cookie: base64url over key, end, id and a MAC.
func (s sessions) seal(ses session) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(ses.key))
	b = binary.BigEndian.AppendUint64(b, uint64(ses.expires.Unix()))
	b = append(b, ses.id[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, s.mac("session", b)...))
}

// open reads a cookie. Its only error is errSession.
func (s sessions) open(text string) (session, error) {
	const body = 8 + 8 + 16
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != body+sha256.Size || !hmac.Equal(b[body:], s.mac("session", b[:body])) {
		return session{}, errSession
	}
	ses := session{
		key:     int64(binary.BigEndian.Uint64(b)),
		expires: time.Unix(int64(binary.BigEndian.Uint64(b[8:])), 0),
		id:      [16]byte(b[16:body]),
	}
	if !s.now().Before(ses.expires) {
		return session{}, errSession
	}
	return ses, nil
}

// csrf returns the token that the forms of a session carry. Another site can
// make a browser send the cookie, but it cannot read the token.
func (s sessions) csrf(ses session) string {
	return base64.RawURLEncoding.EncodeToString(s.mac("csrf", ses.id[:]))
}

func (s sessions) csrfValid(ses session, token string) bool {
	return hmac.Equal([]byte(token), []byte(s.csrf(ses)))
}

// mac signs for one purpose: what is signed for another is forged for this one.
func (s sessions) mac(purpose string, b []byte) []byte {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write(append(append([]byte(purpose), 0), b...))
	return mac.Sum(nil)
}

package tracking_test

import (
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"utskick/audience"
	"utskick/tracking"
)

var visited = time.Date(2026, 11, 2, 9, 0, 30, 0, time.UTC)

func signVisit(t testing.TB, s *tracking.Signer, v tracking.Visit) string {
	t.Helper()
	text, err := s.SignVisit(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestVisitRoundTrip(t *testing.T) {
	s := newSigner(t, secret)
	for _, group := range []int64{0, 12, math.MaxInt64} {
		want := tracking.NewVisit(group, person, visited)
		got, err := s.ParseVisit(signVisit(t, s, want), tracking.Token{Group: group, Key: person})
		if err != nil || got.ID != want.ID || got.Group != group || got.Key != person || !got.At.Equal(visited) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	if a, b := tracking.NewVisit(1, person, visited), tracking.NewVisit(1, person, visited); a.ID == b.ID || len(a.ID) != 16 {
		t.Errorf("two visits are %q and %q", a.ID, b.ID)
	}
	if _, err := s.SignVisit(tracking.Visit{ID: "x"}); !errors.Is(err, tracking.ErrToken) {
		t.Errorf("a visit without an id: %v", err)
	}
}

// TestForgedVisits: a visit belongs to one message, and its token is one for
// nothing else.
func TestForgedVisits(t *testing.T) {
	s := newSigner(t, secret)
	of := tracking.Token{Group: 12, Key: person}
	good := signVisit(t, s, tracking.NewVisit(12, person, visited))
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"empty": "", "nonsense": "x", "truncated": good[:len(good)-1], "longer": good + "A", "line feed": good + "\n", "very long": strings.Repeat("A", 4000),
		"foreign":             signVisit(t, newSigner(t, foreign), tracking.NewVisit(12, person, visited)),
		"of another message":  signVisit(t, s, tracking.NewVisit(13, person, visited)),
		"of somebody else":    signVisit(t, s, tracking.NewVisit(12, audience.Key{9}, visited)),
		"a link's":            s.Sign(tracking.Token{Purpose: tracking.Preferences, Group: 12, Key: person}),
		"a link with a visit": s.Sign(tracking.Token{Purpose: 'v', Group: 12, Key: person, Link: visited.Unix()}),
	}
	for i := range raw {
		altered := append([]byte(nil), raw...)
		altered[i] ^= 1
		bad["altered at "+string(rune('a'+i))] = base64.RawURLEncoding.EncodeToString(altered)
	}
	for name, text := range bad {
		if got, err := s.ParseVisit(text, of); !errors.Is(err, tracking.ErrToken) || got != (tracking.Visit{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, p := range append(purposes, 'v') {
		if _, err := s.Parse(p, good); !errors.Is(err, tracking.ErrToken) {
			t.Errorf("a visit is a token for %c", p)
		}
	}
}

func FuzzParseVisit(f *testing.F) {
	s := newSigner(f, secret)
	// The fuzzer's processes need one and the same visit, not one each by chance.
	good := signVisit(f, s, tracking.Visit{ID: "0123456789abcdef", Group: 12, Key: person, At: visited})
	for _, text := range []string{good, good[:20], "", "dgEA", s.Sign(tracking.Token{Purpose: tracking.Unsubscribe, Group: 12, Key: person})} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := s.ParseVisit(text, tracking.Token{Group: 12, Key: person}); (err == nil) != (text == good) {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	})
}

package tracking_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"utskick/audience"
	"utskick/tracking"
)

var (
	secret  = bytes.Repeat([]byte("k"), 32)
	foreign = bytes.Repeat([]byte("f"), 32)
	person  = audience.Key{0: 1, 7: 0xff, 15: 2}
)

var purposes = []tracking.Purpose{tracking.Unsubscribe, tracking.Preferences, tracking.Open, tracking.Click}

func newSigner(t testing.TB, secret []byte) *tracking.Signer {
	t.Helper()
	s, err := tracking.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTokenRoundTrip(t *testing.T) {
	s := newSigner(t, secret)
	tokens := map[string]tracking.Token{
		"unsubscribe":    {Purpose: tracking.Unsubscribe, Group: 12, Key: person},
		"preferences":    {Purpose: tracking.Preferences, Group: 0, Key: person},
		"open":           {Purpose: tracking.Open, Group: math.MaxInt64, Key: person},
		"click":          {Purpose: tracking.Click, Group: 12, Link: 34, Key: person},
		"nobody's click": {Purpose: tracking.Click, Group: 12, Link: math.MaxInt64},
		"negative":       {Purpose: tracking.Click, Group: -1, Link: math.MinInt64, Key: person},
	}
	for name, want := range tokens {
		t.Run(name, func(t *testing.T) {
			text := s.Sign(want)
			got, err := s.Parse(want.Purpose, text)
			if err != nil || got != want {
				t.Fatalf("Parse(%q) = %+v, %v; want %+v", text, got, err, want)
			}
			if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Errorf("%q does not fit in a path of a URL as it is", text)
			}
			if appended := s.Append([]byte("https://utskick.test/u/"), want); string(appended) != "https://utskick.test/u/"+text {
				t.Errorf("Append gives %q", appended)
			}
		})
	}
}

// TestForgedTokens: whatever is wrong, there is one answer, and it says
// nothing.
func TestForgedTokens(t *testing.T) {
	s := newSigner(t, secret)
	genuine := tracking.Token{Purpose: tracking.Click, Group: 12, Link: 34, Key: person}
	text := s.Sign(genuine)
	forged := map[string]string{
		"empty":             "",
		"other secret":      newSigner(t, foreign).Sign(genuine),
		"padded":            text + "=",
		"longer":            text + "A",
		"much longer":       text + strings.Repeat("A", 200),
		"not base64url":     strings.Replace(text, text[3:4], "!", 1),
		"line feed":         text[:5] + "\n" + text[5:],
		"unused bits set":   withUnusedBits(t, s),
		"only a MAC":        base64.RawURLEncoding.EncodeToString(make([]byte, 12)),
		"all zero":          base64.RawURLEncoding.EncodeToString(make([]byte, 40)),
		"two in a row":      text + text,
		"space in front":    " " + text,
		"query kept behind": text + "?utm=1",
	}
	for i := range text {
		forged["truncated to "+text[:i]] = text[:i]
		forged["altered at "+text[:i]] = text[:i] + flip(text[i]) + text[i+1:]
	}
	for name, text := range forged {
		if got, err := s.Parse(tracking.Click, text); !errors.Is(err, tracking.ErrToken) || got != (tracking.Token{}) {
			t.Errorf("%s: Parse gives %+v, %v", name, got, err)
		}
	}
}

func TestTokenOfAnotherPurposeIsForged(t *testing.T) {
	s := newSigner(t, secret)
	for _, made := range purposes {
		text := s.Sign(tracking.Token{Purpose: made, Group: 5, Key: person})
		for _, asked := range purposes {
			_, err := s.Parse(asked, text)
			if (err == nil) != (made == asked) {
				t.Errorf("a token for %c asked for %c: %v", made, asked, err)
			}
		}
	}
}

func TestShortSigningKeyIsRefused(t *testing.T) {
	if _, err := tracking.NewSigner(secret[:31]); err == nil {
		t.Error("31 bytes were accepted")
	}
}

func TestSignerServesManyAtOnce(t *testing.T) {
	s := newSigner(t, secret)
	var wg sync.WaitGroup
	for group := range int64(8) {
		wg.Go(func() {
			for link := range int64(200) {
				want := tracking.Token{Purpose: tracking.Click, Group: group, Link: link, Key: person}
				if got, err := s.Parse(tracking.Click, s.Sign(want)); err != nil || got != want {
					t.Errorf("got %+v, %v; want %+v", got, err, want)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzParse: what one signer accepts is exactly what it wrote, for that
// purpose, and another secret never accepts it.
func FuzzParse(f *testing.F) {
	s, other := newSigner(f, secret), newSigner(f, foreign)
	for i, p := range purposes {
		f.Add(byte(p), s.Sign(tracking.Token{Purpose: p, Group: int64(i), Link: 7, Key: person}))
		f.Add(byte(p), other.Sign(tracking.Token{Purpose: p, Group: int64(i)}))
	}
	f.Add(byte('c'), "")
	f.Fuzz(func(t *testing.T, purpose byte, text string) {
		got, err := s.Parse(tracking.Purpose(purpose), text)
		if err != nil {
			if !errors.Is(err, tracking.ErrToken) || got != (tracking.Token{}) {
				t.Fatalf("refused with %+v, %v", got, err)
			}
			return
		}
		if got.Purpose != tracking.Purpose(purpose) || s.Sign(got) != text {
			t.Fatalf("%q was accepted as %+v, which is written %q", text, got, s.Sign(got))
		}
		if _, err := other.Parse(tracking.Purpose(purpose), text); err == nil {
			t.Fatalf("%q was accepted under two secrets", text)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s, dst := newSigner(b, secret), make([]byte, 0, 128)
	token := tracking.Token{Purpose: tracking.Click, Group: 1234567, Link: 34, Key: person}
	b.ReportAllocs()
	for b.Loop() {
		dst = s.Append(dst[:0], token)
	}
}

// flip returns another letter of the alphabet of base64url, one that differs in
// the highest bit, so that the change never falls on bits that carry nothing.
func flip(letter byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, letter)^32:][:1]
}

// withUnusedBits sets bits of the last letter that no byte uses. A lenient
// decoder would take both spellings, and a link would have two names.
func withUnusedBits(t *testing.T, s *tracking.Signer) string {
	for group := int64(1); ; group *= 128 {
		text := s.Sign(tracking.Token{Purpose: tracking.Click, Group: group, Key: person})
		if len(text)%4 != 0 {
			last := text[len(text)-1]
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			return text[:len(text)-1] + alphabet[strings.IndexByte(alphabet, last)|1:][:1]
		}
		if group > math.MaxInt64/128 {
			t.Fatal("every length is a multiple of four")
		}
	}
}

package smtp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"utskick/audience"
	"utskick/channels/channeltest"
	"utskick/channels/smtp/smtptest"
	"utskick/templates"
)

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0") // shorter keys, for the test that they are refused
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed25519Key(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// record is what the domain would publish for a key.
func record(t *testing.T, key crypto.Signer) string {
	t.Helper()
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	default:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
	}
}

// verify reads the message as a receiver does.
func verify(t *testing.T, message []byte, key crypto.Signer) []*dkim.Verification {
	t.Helper()
	out, err := dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if want := "utskick2026._domainkey.exempelbolaget.example.com"; name != want {
			t.Errorf("the key is looked up at %s, want %s", name, want)
		}
		return []string{record(t, key)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func signedSkeleton() *templates.Skeleton {
	s := channeltest.Skeleton(audience.Email)
	s.Sender.DKIMSelector = "utskick2026"
	return s
}

// TestSigned: what a receiver gets verifies, and covers both headers of one-click
// unsubscription (RFC 8058, 4).
func TestSigned(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"rsa": rsaKey(t, 2048), "ed25519": ed25519Key(t)} {
		t.Run(name, func(t *testing.T) {
			f := start(t, smtptest.Config{}, "", Config{DKIM: key})
			wantResults(t, f.sendTo(t, signedSkeleton(), channeltest.Addresses(audience.Email, 5)...), map[string]int{"accepted": 5})
			for _, m := range f.server.Messages() {
				got := verify(t, m.Data, key)
				if len(got) != 1 || got[0].Err != nil || got[0].Domain != "exempelbolaget.example.com" {
					t.Fatalf("verification %+v", got)
				}
				for _, header := range []string{"From", "Subject", "Date", "Message-ID", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"} {
					if !slices.Contains(got[0].HeaderKeys, header) {
						t.Errorf("%s is not signed: %v", header, got[0].HeaderKeys)
					}
				}
				if strings.Contains(m.Params, "8BITMIME") {
					t.Error("a signed message is 8bit")
				}
			}
			message := f.server.Messages()[0].Data
			for _, change := range [][2]string{
				{"List-Unsubscribe-Post: List-Unsubscribe=One-Click", "List-Unsubscribe-Post: x"},
				{"List-Unsubscribe: <https://utskick", "List-Unsubscribe: <https://other"},
				{"Exempelv", "exempelv"},
			} {
				changed := bytes.Replace(message, []byte(change[0]), []byte(change[1]), 1)
				if bytes.Equal(changed, message) {
					t.Fatalf("the message has no %q", change[0])
				}
				if got := verify(t, changed, key); len(got) != 1 || got[0].Err == nil {
					t.Errorf("%q may be changed to %q", change[0], change[1])
				}
			}
		})
	}
}

// TestUnsigned: without a selector there is nowhere to find the key, and without
// a key nothing to sign with.
func TestUnsigned(t *testing.T) {
	for name, c := range map[string]struct {
		key      crypto.Signer
		skeleton *templates.Skeleton
	}{
		"no key":      {nil, signedSkeleton()},
		"no selector": {ed25519Key(t), channeltest.Skeleton(audience.Email)},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, smtptest.Config{}, "", Config{DKIM: c.key})
			wantResults(t, f.sendTo(t, c.skeleton, channeltest.Addresses(audience.Email, 1)...), map[string]int{"accepted": 1})
			if bytes.Contains(f.server.Messages()[0].Data, []byte("DKIM-Signature")) {
				t.Error("it is signed")
			}
		})
	}
}

// brokenKey fails to sign, as a key in hardware may.
type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, context.DeadlineExceeded
}

// TestSigningFails: nothing goes out unsigned instead.
func TestSigningFails(t *testing.T) {
	f := start(t, smtptest.Config{}, "", Config{DKIM: brokenKey{ed25519Key(t)}})
	_, err := f.Prepare(context.Background(), f.draft(signedSkeleton(), channeltest.Addresses(audience.Email, 3)))
	if err == nil || !strings.Contains(err.Error(), "DKIM") {
		t.Errorf("error %v", err)
	}
}

func TestParseKey(t *testing.T) {
	block := func(kind string, der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return block("PRIVATE KEY", der, err)
	}
	long, short := rsaKey(t, 2048), rsaKey(t, 768)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, want string }{
		"RSA, PKCS #8":  {pkcs8(long), ""},
		"RSA, PKCS #1":  {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(long), nil), ""},
		"Ed25519":       {pkcs8(ed25519Key(t)), ""},
		"text before":   {"comment\n" + pkcs8(long), ""},
		"short RSA":     {pkcs8(short), "RSA of 768 bits"},
		"ECDSA":         {pkcs8(curve), "neither RSA nor Ed25519"},
		"empty":         {"", "no PEM block"},
		"no PEM":        {"MIIEvQIBADANBgkqh", "no PEM block"},
		"a certificate": {block("CERTIFICATE", []byte{1}, nil), `holds a "CERTIFICATE"`},
		"encrypted":     {block("ENCRYPTED PRIVATE KEY", []byte{1}, nil), "not encrypted"},
		"cut":           {block("PRIVATE KEY", []byte{0x30, 1}, nil), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ParseKey([]byte(c.file))
			switch {
			case c.want == "" && (err != nil || key == nil):
				t.Errorf("error %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

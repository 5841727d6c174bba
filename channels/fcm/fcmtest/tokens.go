package fcmtest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

const (
	scope  = "https://www.googleapis.com/auth/firebase.messaging"
	client = "utskick@exempelbolaget-test.iam.example.com"
)

// Tokens is a stand-in for Google's token server (RFC 7523): it gives access
// tokens to who signs with the one service account's key.
type Tokens struct {
	http *httptest.Server

	mu      sync.Mutex
	refuse  int
	seconds int
	given   []string
}

// accountKey is the service account's, made once a process: that takes a while.
var accountKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // 2048 bits are allowed
	}
	return key
})

// StartTokens starts a token server.
func StartTokens() *Tokens {
	t := &Tokens{seconds: 3600}
	t.http = httptest.NewServer(t)
	return t
}

// Close stops the server.
func (t *Tokens) Close() {
	t.http.CloseClientConnections()
	t.http.Close()
}

// Credentials returns the service account's key file.
func (t *Tokens) Credentials() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(accountKey())
	if err != nil {
		panic(err) // an RSA key can be
	}
	file, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": Project, "client_email": client,
		"private_key_id": "0123456789abcdef", "token_uri": t.http.URL + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		panic(err) // strings alone
	}
	return file
}

// Refuse makes the server answer with the status from now on; 0 ends that.
func (t *Tokens) Refuse(status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refuse = status
}

// Lifetime sets how many seconds new tokens live.
func (t *Tokens) Lifetime(seconds int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seconds = seconds
}

// Given returns the access tokens that were given, in order.
func (t *Tokens) Given() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.given...)
}

func (t *Tokens) gave(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, given := range t.given {
		if given == token {
			return true
		}
	}
	return false
}

// ServeHTTP gives a token.
func (t *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := t.verify(r.FormValue("grant_type"), r.FormValue("assertion"))
	t.mu.Lock()
	defer t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case t.refuse != 0:
		w.WriteHeader(t.refuse)
		json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": "Invalid grant: account not found for " + client})
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": err.Error()})
	default:
		token := "ya29." + rand.Text()
		t.given = append(t.given, token)
		json.NewEncoder(w).Encode(map[string]any{"access_token": token, "expires_in": t.seconds, "token_type": "Bearer"})
	}
}

// verify checks a signed claim (RFC 7523, section 3).
func (t *Tokens) verify(grant, assertion string) error {
	if grant != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return errors.New("not a JWT bearer grant")
	}
	cut := strings.LastIndexByte(assertion, '.')
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return errors.New("not a JWT")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(assertion[:cut]))
	if err := rsa.VerifyPKCS1v15(&accountKey().PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		return err
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct{ Iss, Scope, Aud string }
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err
	}
	if claims.Iss != client || claims.Scope != scope || claims.Aud != t.http.URL+"/token" {
		return errors.New("the claims are not those of the account")
	}
	return nil
}

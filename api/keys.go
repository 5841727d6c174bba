package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Key is an API key as the store knows it: without the key itself.
type Key struct {
	ID    int64
	Name  string
	Scope string
}

// Keys finds API keys that were not revoked. Its error wraps Config.NotFound
// when there is none.
type Keys interface {
	KeyByHash(ctx context.Context, hash []byte) (Key, error)
	KeyByID(ctx context.Context, id int64) (Key, error)
}

// The scopes of keys.
const (
	ScopeAdmin     = "admin"     // everything
	ScopeMarketing = "marketing" // everything but API keys, exports and erasures of people
	ScopeRead      = "read"      // GET alone
	ScopeService   = "service"   // people, their wishes and what they answer
	ScopeApp       = "app"       // reports of devices and requests of subscriptions alone
	ScopeOfficer   = "officer"   // the data protection officer: see officerMayDo
)

// Scopes lists all scopes.
var Scopes = []string{ScopeAdmin, ScopeMarketing, ScopeRead, ScopeService, ScopeApp, ScopeOfficer}

const (
	keyPrefix = "utk_"
	keyBytes  = 32
)

// NewKey makes an API key, utk_ and 32 random bytes in base64url, and the
// SHA-256 of it, which is all that is stored. A key has 256 bits of chance, so
// a slow hash would protect nothing.
func NewKey() (key string, hash []byte) {
	b := make([]byte, keyBytes)
	rand.Read(b) // never fails (crypto/rand, Go 1.24)
	key = keyPrefix + base64.RawURLEncoding.EncodeToString(b)
	return key, HashKey(key)
}

// HashKey returns what a key is stored and looked up by. Looking up by a hash
// takes a time that says nothing about the key.
func HashKey(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// mayDo says whether a scope allows a request by its method and the path of its
// route, as [routes.path] tells it. Never ask it about the path of a request.
func mayDo(scope, method, path string) bool {
	if servesRights(path) {
		return mayServeRights(scope)
	}
	switch scope {
	case ScopeAdmin, ScopeMarketing:
		return true
	case ScopeRead:
		return safeMethod(method)
	case ScopeService:
		return serviceMay(method, path)
	case ScopeApp:
		return method == http.MethodPost && (path == devicesPath || path == subscriptionsPath)
	case ScopeOfficer:
		return officerMayDo(method, path)
	}
	return false
}

// serviceMay says what a key of customer service allows: to find people, to see
// them and what they answer, to set and lift their wishes, and to work on their
// cases. Campaigns, templates, files and everything else are not its business.
func serviceMay(method, path string) bool {
	switch path {
	case homePath, "/docs", "/openapi.json":
		return safeMethod(method)
	case devicesPath, "/v1/suppressions", "/v1/suppressions/lift", "/v1/suppressions/check":
		return method == http.MethodPost
	}
	for _, part := range []string{"/v1/people", "/v1/inbound", "/v1/cases", peoplePath, inboundPath, casesPath} {
		if path == part || strings.HasPrefix(path, part+"/") {
			return true
		}
	}
	return false
}

// safeMethod says whether a method changes nothing (RFC 9110, 9.2.1).
func safeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// rememberKey is how long a key that was found is taken to be valid, so that a
// client that asks a thousand times a second does not ask the database as
// often. A revoked key works for at most that long.
const rememberKey = 3 * time.Second

// maxRemembered bounds the memory for keys.
const maxRemembered = 1000

// knownKeys remembers the answers of Keys for a moment. It never remembers that
// a key does not exist.
type knownKeys struct {
	keys Keys
	now  func() time.Time

	mu    sync.Mutex
	known map[any]knownKey // by id, or by hash as a string
}

type knownKey struct {
	key   Key
	until time.Time
}

func (k *knownKeys) byText(ctx context.Context, key string) (Key, error) {
	hash := HashKey(key)
	return k.remember(string(hash), func() (Key, error) { return k.keys.KeyByHash(ctx, hash) })
}

func (k *knownKeys) byID(ctx context.Context, id int64) (Key, error) {
	return k.remember(id, func() (Key, error) { return k.keys.KeyByID(ctx, id) })
}

func (k *knownKeys) remember(as any, ask func() (Key, error)) (Key, error) {
	k.mu.Lock()
	known, ok := k.known[as]
	k.mu.Unlock()
	if ok && k.now().Before(known.until) {
		return known.key, nil
	}
	until := k.now().Add(rememberKey) // from before the question
	key, err := ask()
	if err != nil {
		return Key{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil || len(k.known) >= maxRemembered {
		k.known = map[any]knownKey{}
	}
	k.known[as] = knownKey{key, until}
	return key, nil
}

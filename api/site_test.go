package api

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// site is both sites over a store in memory, with a clock that the test moves.
type site struct {
	t      testing.TB
	store  *memory
	server *Server
	signer *tracking.Signer
	keyer  *audience.Keyer
	log    *strings.Builder

	now                  time.Time
	admin, marketer, aud string // API keys by scope; aud may read
}

var begin = time.Date(2026, 11, 2, 9, 0, 30, 0, time.UTC)

func newSite(t testing.TB, change func(*Config)) *site {
	t.Helper()
	keyer, err := audience.NewKeyer([]byte(strings.Repeat("pepper", 6)))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tracking.NewSigner([]byte(strings.Repeat("signer", 6)))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, signer: signer, keyer: keyer, now: begin, log: &strings.Builder{}, store: &memory{keyer: keyer,
		contacts: map[string]audience.Contact{}, history: map[string][]dispatcher.Communication{}, events: map[string]tracking.Event{},
		senders: map[string]templates.Sender{"exempel": exampleSender}, templates: map[string]templates.Template{}, runs: map[string]dispatcher.Run{},
		reports: map[string]dispatcher.Report{}, groups: map[int64]audience.Channel{}, links: map[int64]string{}, keys: map[string]Key{}}}
	s.admin, s.marketer, s.aud = s.addKey("root", ScopeAdmin), s.addKey("crm", ScopeMarketing), s.addKey("auditor", ScopeRead)
	clock := func() suppression.Instant { return 0 }
	register := suppression.NewRegister(s.store, clock)
	c := Config{Store: s.store, Keys: s.store, Register: register, Contacts: suppression.Contacts{Store: s.store, Register: register, Keyer: keyer},
		Keyer: keyer, Signer: signer, NotFound: errNotFound, Conflict: errConflict, Secret: []byte(strings.Repeat("secret", 6)), Region: "SE",
		PublicURL: "https://utskick.example.com", Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(s.log, nil)),
		Queues: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "queues at "+r.URL.Path) }),
		Now:    func() time.Time { return s.now }, OutboxDir: t.TempDir()}
	if change != nil {
		change(&c)
	}
	if s.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	return s
}

var exampleSender = templates.Sender{Name: "exempel", FromName: "Exempelbolaget", FromEmail: "nyheter@exempelbolaget.test",
	ReplyTo: "kundservice@exempelbolaget.test", PostalAddress: "Exempelgatan 1, 111 11 Exempelstad", Site: "https://exempelbolaget.test"}

func (s *site) addKey(name, scope string) string {
	key, hash := NewKey()
	s.store.keys[string(hash)] = Key{ID: int64(len(s.store.keys) + 1), Name: name, Scope: scope}
	return key
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func ask(h http.Handler, r *http.Request) answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Result().Header, w.Body.String()}
}

// as asks the operator site with a key.
func (s *site) as(key, method, path, body string, headers ...string) answer {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return ask(s.server.Operator(), r)
}

// visit asks the public site.
func (s *site) visit(method, path, body string, headers ...string) answer {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return ask(s.server.Public(), r)
}

func (a answer) want(t testing.TB, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("got status %d, want %d: %s", a.status, status, a.body)
	}
}

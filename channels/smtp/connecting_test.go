package smtp

import (
	"crypto/tls"
	"crypto/x509"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"utskick/channels/smtp/smtptest"
)

// inTurn gives one reply after the other at a stage.
func inTurn(stage smtptest.Stage, replies ...string) func(smtptest.Event) smtptest.Action {
	var n atomic.Int64
	return func(e smtptest.Event) smtptest.Action {
		if e.Stage != stage {
			return smtptest.Action{}
		}
		return smtptest.Action{Reply: replies[(n.Add(1)-1)%int64(len(replies))]}
	}
}

// certificate is for 127.0.0.1, with the roots that trust it.
func certificate() (server, client *tls.Config) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: roots}
}

// TestConnecting: whatever goes wrong before MAIL, nothing was taken, and only
// what another try cannot mend holds the provider.
func TestConnecting(t *testing.T) {
	server, client := certificate()
	login := func(c smtptest.Config) smtptest.Config {
		c.User, c.Password = "utskick", password
		return c
	}
	for _, c := range []struct {
		name    string
		server  smtptest.Config
		options string
		tls     *tls.Config
		want    string
		secured bool
	}{
		{"plain", smtptest.Config{}, "", nil, "accepted", false},
		{"smtps", smtptest.Config{TLS: server, Implicit: true}, "", client, "accepted", true},
		{"starttls", smtptest.Config{TLS: server}, "starttls=required", client, "accepted", true},
		{"starttls and password", login(smtptest.Config{TLS: server}), "starttls=required", client, "accepted", true},
		{"password on the loopback", login(smtptest.Config{}), "", nil, "accepted", false},
		{"opportunistic, offered by anybody", smtptest.Config{TLS: server}, "starttls=opportunistic", nil, "accepted", true},
		{"opportunistic, not offered", smtptest.Config{}, "starttls=opportunistic", nil, "accepted", false},
		{"required, not offered", smtptest.Config{}, "starttls=required", nil, "not_taken tls_failed", false},
		{"required, by an unknown server", smtptest.Config{TLS: server}, "starttls=required", nil, "not_taken tls_failed", false},
		{"smtps, by an unknown server", smtptest.Config{TLS: server, Implicit: true}, "", nil, "not_taken tls_failed", false},
		{"STARTTLS refused", smtptest.Config{TLS: server, Respond: at(smtptest.STARTTLS, smtptest.Action{Reply: "454 4.7.0 not now"})}, "starttls=required", client, "not_taken service_unavailable", false},
		{"plain text behind STARTTLS", smtptest.Config{TLS: server, Respond: at(smtptest.STARTTLS, smtptest.Action{Behind: "250 injected\r\n"})}, "starttls=required", client, "not_taken tls_failed", false},
		{"no service", smtptest.Config{Respond: at(smtptest.Banner, smtptest.Action{Reply: "554 no service"})}, "", nil, "not_taken service_unavailable", false},
		{"too many connections", smtptest.Config{Respond: at(smtptest.Banner, smtptest.Action{Reply: "421 4.7.0 too many"})}, "", nil, "not_taken service_unavailable", false},
		{"not SMTP", smtptest.Config{Respond: at(smtptest.Banner, smtptest.Action{Reply: "HTTP/1.1 400 Bad Request"})}, "", nil, "not_taken protocol_error", false},
		{"greeting cut", smtptest.Config{Respond: at(smtptest.Banner, smtptest.Action{Fault: smtptest.Reset})}, "", nil, "not_taken connection_failed", false},
		{"greeting silent", smtptest.Config{Respond: at(smtptest.Banner, smtptest.Action{Fault: smtptest.Silence})}, "timeout=50ms", nil, "not_taken timeout", false},
		{"EHLO refused", smtptest.Config{Respond: at(smtptest.EHLO, smtptest.Action{Reply: "550 who are you"})}, "", nil, "not_taken service_unavailable", false},
		{"EHLO silent", smtptest.Config{Respond: at(smtptest.EHLO, smtptest.Action{Fault: smtptest.Silence})}, "timeout=50ms", nil, "not_taken timeout", false},
		{"password wrong", login(smtptest.Config{Respond: at(smtptest.AUTH, smtptest.Action{Reply: "535 5.7.8 wrong"})}), "", nil, "hold bad_credentials", false},
		{"password not now", login(smtptest.Config{Respond: at(smtptest.AUTH, smtptest.Action{Reply: "454 4.7.0 later"})}), "", nil, "not_taken service_unavailable", false},
		{"no AUTH PLAIN", login(smtptest.Config{Respond: at(smtptest.EHLO, smtptest.Action{Reply: "250 host\nAUTH LOGIN"})}), "", nil, "hold no_auth_offered", false},
		{"AUTH offered before TLS alone", login(smtptest.Config{TLS: server, Respond: inTurn(smtptest.EHLO, "250 host\nSTARTTLS\nAUTH PLAIN", "250 host")}), "connections=1&starttls=required", client, "hold no_auth_offered", false},
		{"password wanted", smtptest.Config{Respond: at(smtptest.EHLO, smtptest.Action{Reply: "530 5.7.0 log in"})}, "", nil, "hold bad_credentials", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, c.server, c.options, Config{TLS: c.tls})
			wantResults(t, f.send(t, 3), map[string]int{c.want: 3})
			messages := f.server.Messages()
			if delivered := c.want == "accepted"; delivered != (len(messages) == 3) {
				t.Errorf("%d messages arrived", len(messages))
			}
			for _, m := range messages {
				if m.TLS != c.secured {
					t.Errorf("message over TLS: %v, want %v", m.TLS, c.secured)
				}
			}
			if strings.Contains(string(f.server.Raw()), password) {
				t.Error("the password went over the wire in the clear")
			}
		})
	}
}

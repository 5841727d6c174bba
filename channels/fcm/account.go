package fcm

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"
)

const (
	scope = "https://www.googleapis.com/auth/firebase.messaging"
	// early is how long before its end an access token is renewed: what Prepare
	// takes must live through limits and retries of the claim until the last
	// message has gone, or all of them would meet a 401.
	early = 5 * time.Minute
)

// account is a service account's key file.
type account struct {
	Type        string `json:"type"`
	ProjectID   string `json:"project_id"`
	KeyID       string `json:"private_key_id"`
	Key         string `json:"private_key"`
	ClientEmail string `json:"client_email"`
	TokenURI    string `json:"token_uri"`
}

var projectID = regexp.MustCompile(`^[a-z0-9.:-]+$`) // old ones have a domain and a colon

// readAccount reads a key file. Errors name the field, never what is in it.
func readAccount(file []byte) (account, error) {
	const wayOut = "set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, as the Firebase console makes it"
	if len(file) == 0 {
		return account{}, errors.New("fcm: there are no credentials; " + wayOut)
	}
	var a account
	if json.Unmarshal(file, &a) != nil {
		return account{}, errors.New("fcm: the credentials are not JSON; " + wayOut)
	}
	if a.Type != "service_account" {
		return account{}, errors.New("fcm: the credentials' type is not service_account; " + wayOut)
	}
	if !projectID.MatchString(a.ProjectID) || a.ClientEmail == "" {
		return account{}, errors.New("fcm: the credentials lack project_id or client_email; " + wayOut)
	}
	if u, err := url.Parse(a.TokenURI); err != nil || u.Host == "" {
		return account{}, errors.New("fcm: the credentials' token_uri is not a web address; " + wayOut)
	}
	if !validKey(a.Key) {
		return account{}, errors.New("fcm: the credentials' private_key is not an RSA key in PEM; " + wayOut)
	}
	return a, nil
}

func validKey(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	_, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	return err == nil
}

// tokens fetches access tokens by client, and keeps each until shortly before
// its end.
func (a account) tokens(client *http.Client) oauth2.TokenSource {
	config := jwt.Config{Email: a.ClientEmail, PrivateKey: []byte(a.Key), PrivateKeyID: a.KeyID, Scopes: []string{scope}, TokenURL: a.TokenURI}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, client)
	return oauth2.ReuseTokenSourceWithExpiry(nil, config.TokenSource(ctx), early)
}

// errCredentials says that Google refuses the account: waiting will not help.
var errCredentials = errors.New("fcm: Google refuses the service account; make a new key file")

// header returns the header of requests, with an access token that lives. Its
// error is errCredentials, or says that the token cannot be had now. What the
// libraries say is left out: it quotes answers in full.
func (p *Provider) header() (http.Header, error) {
	token, err := p.tokens.Token()
	var refused *oauth2.RetrieveError
	switch {
	case err == nil:
		return http.Header{
			"Authorization": {"Bearer " + token.AccessToken},
			"Content-Type":  {"application/json"},
			"User-Agent":    {"utskick"},
		}, nil
	case !errors.As(err, &refused):
		return nil, errors.New("fcm: no access token: the token server cannot be reached")
	case refused.Response.StatusCode < 500 && refused.Response.StatusCode != http.StatusTooManyRequests:
		return nil, errCredentials
	}
	return nil, fmt.Errorf("fcm: no access token: the token server answers %d", refused.Response.StatusCode)
}

package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"utskick/audience"
	"utskick/tracking"
)

// secret is the file that must never be lost: without its pepper no suppression
// is found, without its link key no unsubscribe link works.
type secret struct {
	Pepper     []byte `json:"pepper"`
	LinkKey    []byte `json:"link_key"`
	SessionKey []byte `json:"session_key"`
}

// readSecret reads the file, and makes it when it is absent and may be made.
func readSecret(path string, make bool) (secret, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && make {
		return makeSecret(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return secret{}, errors.New("UTSKICK_SECRET_FILE: there is no such file; utskick migrate makes it")
	}
	if err != nil {
		return secret{}, fmt.Errorf("UTSKICK_SECRET_FILE: %w", err)
	}
	var s secret
	if err := json.Unmarshal(content, &s); err != nil || len(s.SessionKey) < 32 {
		return secret{}, errors.New("UTSKICK_SECRET_FILE: it is not a secret file; it holds pepper, link_key and session_key, 32 bytes each, in base64")
	}
	return s, nil
}

func makeSecret(path string) (secret, error) {
	s := secret{Pepper: random(32), LinkKey: random(32), SessionKey: random(32)}
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return s, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return s, fmt.Errorf("make the secret file: %w", err)
	}
	// Two processes may start at once: whoever comes second reads the first's.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return readSecret(path, false)
	}
	if err != nil {
		return s, fmt.Errorf("make the secret file: %w", err)
	}
	_, err = f.Write(append(content, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return s, fmt.Errorf("write the secret file: %w", err)
	}
	return s, nil
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return b
}

func (s secret) keys() (*audience.Keyer, *tracking.Signer, error) {
	keyer, err := audience.NewKeyer(s.Pepper)
	if err != nil {
		return nil, nil, fmt.Errorf("UTSKICK_SECRET_FILE: %w", err)
	}
	signer, err := tracking.NewSigner(s.LinkKey)
	if err != nil {
		return nil, nil, fmt.Errorf("UTSKICK_SECRET_FILE: %w", err)
	}
	return keyer, signer, nil
}

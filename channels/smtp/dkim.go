package smtp

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/emersion/go-msgauth/dkim"
)

// signedHeaders are covered by the signature. RFC 8058, 4 wants both list
// headers of one-click unsubscription in it; the rest is from RFC 6376, 5.4.1.
//
// To is left out, though that list has it: the address is known only when the
// permit has been opened, within a window that slow work must not eat into. The
// To line says nothing about who gets the message.
var signedHeaders = []string{
	"From", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
	"List-Id", "List-Unsubscribe", "List-Unsubscribe-Post",
}

// minRSA is the shortest RSA key that receivers take (RFC 8301, 3.2).
const minRSA = 1024

// ParseKey reads the private key for DKIM from a PEM file: RSA of at least 1024
// bits (2048 are usual) or Ed25519 (RFC 8463), as PKCS #8, or RSA as PKCS #1.
func ParseKey(file []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("DKIM key: the file has no PEM block")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("DKIM key: the file holds a %q, it needs a PRIVATE KEY that is not encrypted", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("DKIM key: the %s cannot be read; make one with openssl genpkey", block.Type)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minRSA {
			return nil, fmt.Errorf("DKIM key: RSA of %d bits; receivers want at least %d", bits, minRSA)
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("DKIM key: a %T is neither RSA nor Ed25519", key)
}

// sign returns the DKIM-Signature line of a message that has no To line yet.
func sign(message []byte, key crypto.Signer, domain, selector string) (string, error) {
	signer, err := dkim.NewSigner(&dkim.SignOptions{
		Domain: domain, Selector: selector, Signer: key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed,
		BodyCanonicalization:   dkim.CanonicalizationRelaxed,
		HeaderKeys:             present(message),
	})
	if err != nil {
		return "", fmt.Errorf("DKIM: %w", err)
	}
	_, err = signer.Write(message)
	if closed := signer.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", fmt.Errorf("DKIM: %w", err)
	}
	return signer.Signature(), nil
}

// present returns those of the signed headers that the message has.
func present(message []byte) []string {
	header, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	var names []string
	for _, name := range signedHeaders {
		if bytes.HasPrefix(header, []byte(name+":")) || bytes.Contains(header, []byte("\r\n"+name+":")) {
			names = append(names, name)
		}
	}
	return names
}

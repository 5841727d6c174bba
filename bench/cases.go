package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	"utskick/audience"
	"utskick/channels"
	"utskick/channels/fcm"
	"utskick/channels/sendgrid"
	"utskick/channels/smtp"
	"utskick/channels/twilio"
)

// benchCase is one way to send.
type benchCase struct {
	name    string
	channel audience.Channel
	sender  string
	// workers is how many batches at once, connections how many connections
	// the provider has: the product's defaults.
	workers, connections int
	// key signs mail; nil signs none.
	key  func() (crypto.Signer, error)
	open func(sink, crypto.Signer) (channels.Provider, error)
	bare func(bareJob) (bareSender, error)
}

// cases lists all. RSA signs two thousand mails a second on two processors, and
// is measured when it is asked for.
var cases = []benchCase{
	{name: "sendgrid", channel: audience.Email, sender: plainSender, workers: 4, connections: 4, open: openSendGrid, bare: bareSendGrid},
	{name: "smtp", channel: audience.Email, sender: plainSender, workers: 4, connections: 20, open: openSMTP, bare: bareSMTP},
	{name: "smtp-dkim", channel: audience.Email, sender: signedSender, workers: 4, connections: 20, key: ed25519Key, open: openSMTP, bare: bareSMTP},
	{name: "smtp-rsa", channel: audience.Email, sender: signedSender, workers: 4, connections: 20, key: rsaKey, open: openSMTP, bare: bareSMTP},
	{name: "twilio", channel: audience.SMS, sender: plainSender, workers: 2, connections: 32, open: openTwilio, bare: bareTwilio},
	{name: "fcm", channel: audience.Push, sender: plainSender, workers: 2, connections: 32, open: openFCM, bare: bareFCM},
}

const usualCases = "sendgrid,smtp,smtp-dkim,twilio,fcm"

func findCases(names string) ([]benchCase, error) {
	var found []benchCase
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(cases, func(c benchCase) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("--cases: there is no %q", name)
		}
		found = append(found, cases[i])
	}
	return found, nil
}

// account is Twilio's form of one, and nobody's.
const account = "AC00000000000000000000000000000000"

func openSendGrid(s sink, _ crypto.Signer) (channels.Provider, error) {
	return sendgrid.New(sendgrid.Config{URL: s.Address, Key: "SG.benchmark"})
}

func openSMTP(s sink, key crypto.Signer) (channels.Provider, error) {
	return smtp.New(smtp.Config{URL: "smtp://" + s.Address, DKIM: key})
}

func openTwilio(s sink, _ crypto.Signer) (channels.Provider, error) {
	return twilio.New(twilio.Config{URL: s.Address, Account: account, Token: "benchmark"})
}

func openFCM(s sink, _ crypto.Signer) (channels.Provider, error) {
	return fcm.New(fcm.Config{URL: s.Address, Credentials: s.Credentials})
}

func (c benchCase) signer() (crypto.Signer, error) {
	if c.key == nil {
		return nil, nil
	}
	return c.key()
}

func ed25519Key() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func rsaKey() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }

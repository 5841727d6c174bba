// Package channeltest is the suite that every provider passes. A provider's
// test gives it the provider and a stand-in vendor; the suite sends through the
// one, looks at what reached the other, and compares the results.
package channeltest

import "time"

// StandIn is a vendor, a relay or a folder that plays its part on this machine.
// It keeps all that reached it, in order.
type StandIn interface {
	// Address is where the provider finds it: a base URL, or a path.
	Address() string
	// Script says how attempts are answered. An answer that names a recipient
	// is for the next attempt to that recipient, any other is for the next
	// attempt that none names. With nothing scripted, all is accepted.
	Script(answers ...Answer)
	// Received returns each message that arrived whole, whatever it was answered.
	Received() []Message
	// Attempts counts the requests, or the SMTP transactions, that were begun.
	Attempts() int
	// Raw returns all bytes that arrived, as they came.
	Raw() []byte
	Close()
}

// Message is a message to one recipient, decoded as the vendor would do it.
// Fields that the channel lacks are empty.
type Message struct {
	At      time.Time
	Status  int               // what it was answered; 0 is nothing
	ID      string            // the vendor's name for it, if it was accepted
	Args    map[string]string // ids of ours that the vendor gives back in its webhooks
	To      string
	From    string // address, number or messaging service
	ReplyTo string
	Subject string // of a push: its title
	Text    string // line ends are \n
	HTML    string // line ends are \n
	Headers map[string]string
	Data    map[string]string
}

// Answer is what a stand-in says to an attempt. The zero Answer accepts.
type Answer struct {
	To     string            // for the attempt to this recipient alone
	Status int               // HTTP status or SMTP reply code
	Header map[string]string // HTTP only
	Body   string            // HTTP body, or the text of an SMTP reply
	Stage  string            // SMTP command that is answered so; empty is the end of the message
	Fault  Fault             // comes instead of an answer
	// Before runs when the message has arrived whole and is not yet answered.
	Before func()
}

// Fault is a way to leave an attempt unanswered.
type Fault uint8

const (
	// NoFault gives the answer.
	NoFault Fault = iota
	// Silence keeps the connection open and says nothing.
	Silence
	// Reset breaks the connection when the message has arrived whole.
	Reset
)

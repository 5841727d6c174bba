// Package examples holds a retailer to try the product with: some 5,000
// customers of the fictitious Exempelbolaget with the dirt of real files, the
// wishes of 300 of them, three senders of one group, and a template for each channel. All of it
// is made up: the domains and phone numbers belong to nobody.
package examples

import "embed"

//go:generate go run ./generate

// Files holds the files that the constants of this package name.
//
//go:embed contacts.csv suppressions.csv sender.json senders/*.json templates/*.json
var Files embed.FS

// The files. What the CSV files may hold is said by audience.Import and by
// "utskick suppressions import"; the others are templates.Sender and
// templates.Template as JSON.
const (
	Contacts      = "contacts.csv"
	Suppressions  = "suppressions.csv"
	Sender        = "sender.json"
	BankSender    = "senders/exempelbanken.json"
	SocietySender = "senders/exempelforeningen.json"
	EmailTemplate = "templates/host.email.json"
	SMSTemplate   = "templates/host.sms.json"
	PushTemplate  = "templates/host.push.json"
)

// Senders lists the senders, that of the campaign first.
var Senders = []string{Sender, BankSender, SocietySender}

// Templates lists the templates, one for each channel.
var Templates = []string{EmailTemplate, SMSTemplate, PushTemplate}

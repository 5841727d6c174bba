package audience

import "time"

// Channel is a way to reach a person.
type Channel string

// The channels. Post and Phone are never dispatched: they exist so that a wish
// about them can be kept.
const (
	Email Channel = "email"
	SMS   Channel = "sms"
	Push  Channel = "push"
	Post  Channel = "post"
	Phone Channel = "phone"
)

// Channels lists those that messages are dispatched on, in the order in which
// reports show them.
var Channels = []Channel{Email, SMS, Push}

// Kind returns the kind of key that addresses of the channel have.
func (c Channel) Kind() Kind {
	switch c {
	case Email:
		return KindEmail
	case SMS, Phone:
		return KindPhone
	case Push:
		return KindPush
	case Post:
		return KindPost
	}
	return ""
}

// Dispatched reports whether messages are sent on the channel.
func (c Channel) Dispatched() bool { return c == Email || c == SMS || c == Push }

// Basis is the legal ground on which a contact may get marketing
// (marknadsföringslagen 2008:486, 19 §; GDPR article 6).
type Basis string

// The bases. With NoBasis nothing is sent.
const (
	NoBasis   Basis = ""
	Consent   Basis = "consent"
	SoftOptIn Basis = "soft_optin"
)

// Valid reports whether b is one of the bases.
func (b Basis) Valid() bool { return b == NoBasis || b == Consent || b == SoftOptIn }

// Contact is one person as the retailer knows her. The addresses are
// normalised; an empty one is an absent one.
type Contact struct {
	ID            int64
	ExternalID    string
	Email         string
	Phone         string
	FirstName     string
	LastName      string
	Locale        string // BCP 47, such as sv-SE
	TimeZone      string // IANA, such as Europe/Stockholm
	Attributes    map[string]string
	Basis         Basis
	BasisEvidence string
	Sale          Sale `json:",omitzero"`
	Devices       []Device
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Sale is what soft opt-in rests on: that the address was given at a sale, that
// opting out was offered with it, and what the sale was of
// (marknadsföringslagen 2008:486, 19 § second paragraph; directive 2002/58/EC,
// article 13(2); a free account may be a sale, C-654/23).
type Sale struct {
	Reference string // a date, or the number of a receipt
	Offered   string // yes, no, or empty: not known
	Family    string // of products: similar ones of the retailer's own may be advertised
}

// Proves reports whether the sale is a ground for soft opt-in.
func (s Sale) Proves() bool { return s.Reference != "" && s.Offered == "yes" && s.Family != "" }

// Device is one installation of an app that can be pushed to.
type Device struct {
	ID     int64
	Token  string
	Active bool
}

// Attribute is a registered name that templates may use as contact.<name>.
type Attribute struct {
	Name string
}

// Addressee is whoever has or had the address of a key.
type Addressee struct {
	Locale string
	// Email is her e-mail address, if the key is its and she still has it.
	Email string
	// Keys are all that she has or had, that one first. Of a key that nobody is
	// known to have had, as after an erasure, it is that one alone.
	Keys []Key
}

// MadeHere begins the external id of a contact that was made here: of somebody
// who subscribed without being known to the retailer.
const MadeHere = "utskick:subscription-"

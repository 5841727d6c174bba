package templates

import (
	"strings"

	"utskick/audience"
)

// Sender is who a message comes from, as the recipient sees it.
type Sender struct {
	Name          string `json:"name" doc:"Short name by which campaigns refer to the sender"`
	FromName      string `json:"from_name" doc:"Name shown as the sender"`
	FromEmail     string `json:"from_email" doc:"Address in From"`
	ReplyTo       string `json:"reply_to,omitempty" doc:"Address that answers go to; it is read by people"`
	PostalAddress string `json:"postal_address" doc:"Postal address, in the footer of every e-mail"`
	Site          string `json:"site" doc:"Web address of the sender"`
	DKIMSelector  string `json:"dkim_selector,omitempty"`
	SMSSender     string `json:"sms_sender,omitempty" doc:"Number in E.164, or up to 11 letters and digits (one-way: its messages carry a link)"`
	SMSService    string `json:"sms_service,omitempty" doc:"Messaging Service SID; takes precedence over sms_sender"`
	NoticeVersion string `json:"notice_version,omitempty" doc:"Version of the privacy notice in force"`
	// What the pages for customers tell of the sender, beside the above.
	Topics          map[string]Label `json:"topics,omitempty" doc:"What the kinds of messages are called on the pages for customers, by topic"`
	Subscriptions   []string         `json:"subscriptions,omitempty" doc:"Those of topics that are sent to nobody but who has subscribed and confirmed it, such as a newsletter"`
	CustomerService *CustomerService `json:"customer_service,omitempty" doc:"Who helps customers with their wishes"`
	DataProtection  *Officer         `json:"data_protection_officer,omitempty"`
	PrivacyNotice   string           `json:"privacy_notice,omitempty" doc:"Web address of the privacy notice"`
	CookieSettings  string           `json:"cookie_settings,omitempty" doc:"Web address of the cookie settings of the site"`
	AdPlatforms     []AdPlatform     `json:"ad_platforms,omitempty" doc:"Platforms that show the sender's advertising, with their own settings"`

	OpenTracking Policy `json:"open_tracking,omitempty" enum:"consent,always,never" doc:"Whether opens and clicks are tied to a person: by her consent (the default), always or never"`
}

// Label is what customers read, in each language of the pages for them.
type Label struct {
	Swedish string `json:"sv,omitempty"`
	English string `json:"en,omitempty"`
}

// CustomerService is who helps customers with their wishes, in every matter.
type CustomerService struct {
	Email         string `json:"email,omitempty"`
	Phone         string `json:"phone,omitempty" doc:"As customers dial it"`
	Page          string `json:"page,omitempty" doc:"Web address"`
	PostalAddress string `json:"postal_address,omitempty"`
}

// Officer is the data protection officer (GDPR 37-39).
type Officer struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email"`
}

// AdPlatform is one that shows the sender's advertising, or a register of such.
type AdPlatform struct {
	Name     string `json:"name"`
	Info     string `json:"info,omitempty" doc:"Web address of what it says about personalised advertising"`
	Settings string `json:"settings,omitempty" doc:"Web address of its own settings"`
}

// addressLine returns the postal address on one line.
func (s Sender) addressLine() string {
	var lines []string
	for line := range strings.Lines(s.PostalAddress) {
		if line = strings.Trim(line, " \t\r\n,"); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, ", ")
}

// Policy decides whether a kind of tracking needs the person's consent.
type Policy string

// The policies. The empty one is ByConsent.
const (
	ByConsent Policy = "consent"
	Always    Policy = "always"
	Never     Policy = "never"
)

// Content is what an author writes, in one language. E-mail has Subject, HTML
// and, if it shall not be made from the HTML, Text. SMS has Text. Push has
// Subject (its title), Text (its body) and Link (what a tap opens).
type Content struct {
	Subject string `json:"subject,omitempty"`
	HTML    string `json:"html,omitempty"`
	Text    string `json:"text,omitempty"`
	Link    string `json:"link,omitempty"`
}

// Template is one version of a template. Saving the same name again makes a
// new version; a version never changes.
type Template struct {
	ID       int64              `json:"id,omitempty"`
	Name     string             `json:"name"`
	Channel  audience.Channel   `json:"channel"`
	Version  int                `json:"version,omitempty"`
	Default  string             `json:"default_language" doc:"Language for contacts whose own is not among languages"`
	Contents map[string]Content `json:"languages" doc:"Content by language, such as sv or en"`
}

// Recipient is what a template may know of one contact. There is no address in
// it.
type Recipient struct {
	Key        audience.Key
	FirstName  string
	LastName   string
	Locale     string
	Attributes []byte // a flat JSON object of strings; nil is an empty one
	// Tracked allows a pixel and links that name the person: open tracking is
	// consented to, or the sender's policy is Always.
	Tracked bool
	// Untracked is her no to it, which holds whatever the policy is.
	Untracked bool
}

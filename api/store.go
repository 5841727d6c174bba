package api

import (
	"context"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

// Store is what the sites read and change.
type Store interface {
	People
	Wishes
	Library
	Campaigns
	Messages
	Instances
	Inbounds
	rights.Cases
	Officers
	Persons
	Rights
	NoticeVersions
	Confirmations
	// Hold returns the hold on all sending, if there is one.
	Hold(ctx context.Context) (dispatcher.Hold, error)
	ChannelHolds
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error
	// Audit records who changed what. Neither object nor detail holds an
	// address.
	Audit(ctx context.Context, actor, action, object, detail string) error
}

// People is what is known of contacts.
type People interface {
	// Contacts returns up to limit contacts with an id above after, in id
	// order, without their devices.
	Contacts(ctx context.Context, after int64, limit int) ([]audience.Contact, error)
	Contact(ctx context.Context, externalID string) (audience.Contact, error)
	// KeysOfContact returns every key that a contact has or had.
	KeysOfContact(ctx context.Context, contact int64) ([]audience.Key, error)
	// ContactKeys returns the keys, of kind contact, of those who have an
	// address with the key now.
	ContactKeys(ctx context.Context, address audience.Key) ([]audience.Key, error)
	// Addressee returns whoever has or had the address of a key; of one that
	// nobody had, the key alone.
	Addressee(ctx context.Context, key audience.Key) (audience.Addressee, error)
	// Relations returns the relations of a contact to senders, those that have
	// ended included.
	Relations(ctx context.Context, externalID string) ([]audience.Relation, error)
	// History returns every communication with a contact, the newest first.
	History(ctx context.Context, externalID string) ([]dispatcher.Communication, error)
}

// Wishes is what people allow.
type Wishes interface {
	suppression.Index
	suppression.Entries
	// Entries returns the entries of any of the keys, lifted and expired ones
	// included, the newest first.
	Entries(ctx context.Context, keys []audience.Key) ([]suppression.Entry, error)
}

// Library is what is said, and by whom.
type Library interface {
	Senders(ctx context.Context) ([]templates.Sender, error)
	// SenderByName returns a sender with the version of its privacy notice that is in
	// force; Senders, those of the records as they were saved.
	SenderByName(ctx context.Context, name string) (templates.Sender, error)
	SaveSender(ctx context.Context, sender templates.Sender) error
	Templates(ctx context.Context) ([]templates.Template, error)
	TemplateByName(ctx context.Context, name string) (templates.Template, error)
	// SaveTemplate writes a new version with the targets of its links.
	SaveTemplate(ctx context.Context, t templates.Template, targets []string) (templates.Template, error)
	// Attributes returns the names that templates may use as contact.<name>.
	Attributes(ctx context.Context) ([]string, error)
}

// Campaigns is what is sent.
type Campaigns interface {
	// Campaigns lists all campaigns, the newest first.
	Campaigns(ctx context.Context) ([]dispatcher.Campaign, error)
	CampaignByName(ctx context.Context, name string) (dispatcher.Campaign, error)
	CreateCampaign(ctx context.Context, c dispatcher.Campaign) (dispatcher.Campaign, error)
	LaunchRun(ctx context.Context, campaign string, l dispatcher.Launch) (dispatcher.Run, error)
	LatestRun(ctx context.Context, campaign string) (dispatcher.Run, error)
	Pause(ctx context.Context, campaign, reason string) (dispatcher.Run, error)
	EditRun(ctx context.Context, campaign string, e dispatcher.Edit) (dispatcher.Run, error)
	Resume(ctx context.Context, campaign string) (dispatcher.Run, error)
	Cancel(ctx context.Context, campaign string) (dispatcher.Run, error)
	// Resend and WriteOff decide on those in doubt, and return how many they are.
	Resend(ctx context.Context, campaign string) (dispatcher.Run, int64, error)
	WriteOff(ctx context.Context, campaign string) (dispatcher.Run, int64, error)
	Report(ctx context.Context, campaign string) (dispatcher.Report, error)
	// Progress returns the report without causes and events, which is quick at
	// any size.
	Progress(ctx context.Context, campaign string) (dispatcher.Report, error)
}

// Messages is what the links in messages lead to.
type Messages interface {
	// Origin returns where a group of messages comes from.
	Origin(ctx context.Context, group int64) (dispatcher.Origin, error)
	// LinkTarget returns where a stored link leads.
	LinkTarget(ctx context.Context, id int64) (string, error)
	// Links returns up to limit links with an id above after, the newest of them,
	// in the order of their ids.
	Links(ctx context.Context, after int64, limit int) ([]tracking.Link, error)
	// AppendEvent returns when the event is durable. An event that is already
	// there changes nothing.
	AppendEvent(ctx context.Context, e tracking.Event) error
	// AppendEvents does so for all of them, or for none.
	AppendEvents(ctx context.Context, events []tracking.Event) error
}

package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
	"utskick/suppression"
	"utskick/templates"
)

// Confirmations is what people ask for and confirm by mail.
type Confirmations interface {
	// AskConfirmation returns when a request is durable, or when its address has
	// had its mails of the day.
	AskConfirmation(ctx context.Context, a suppression.Asking) error
	// AskReturn does so of whoever has or had the address of a key, at the e-mail
	// address that she has now; of somebody who has none, nothing is asked.
	AskReturn(ctx context.Context, of audience.Key, a suppression.Asking) error
	// Confirmation returns a request; its error wraps Config.NotFound when it is
	// too old, too.
	Confirmation(ctx context.Context, id int64, key audience.Key) (suppression.Confirmation, error)
	// Confirm records what was confirmed and lifts what stands against it, once.
	Confirm(ctx context.Context, by suppression.Confirmed) (suppression.Confirmation, error)
	// Subscriptions returns what was confirmed from an e-mail address.
	Subscriptions(ctx context.Context, email audience.Key) ([]suppression.Subscription, error)
}

const (
	askingTag         = "Subscriptions"
	subscriptionsPath = "/v1/subscriptions"
)

func (o *operator) registerSubscriptions() {
	ask := operation(http.MethodPost, subscriptionsPath, "ask-subscription", askingTag, "Ask for a subscription in somebody's name",
		"For a form on the retailer's site. One mail goes to the address, and nothing else is sent before its owner confirms there (double opt-in). "+
			"The answer is the same whether the address is known, unknown, or has had its three mails of the day. A key of scope app may do this.")
	ask.DefaultStatus = http.StatusAccepted
	huma.Register(o.api, ask, o.askSubscription)
	huma.Register(o.api, operation(http.MethodGet, "/v1/contacts/{external_id}/subscriptions", "contact-subscriptions", askingTag, "Show what a contact has confirmed",
		"With its proof: what the owner of the e-mail address that the contact has now asked for and confirmed. What was left since stays listed: leaving is a suppression, and those block."),
		o.contactSubscriptions)
}

type subscriptionFields struct {
	Email  string `json:"email" minLength:"1"`
	Sender string `json:"sender" minLength:"1" doc:"Name of the sender"`
	Topic  string `json:"topic" minLength:"1" doc:"One of the sender's subscriptions"`
	Locale string `json:"locale,omitempty" default:"sv" maxLength:"35" doc:"Language of the mail and of the contact that may be made, such as sv-SE"`
	Source string `json:"source" minLength:"1" maxLength:"200" doc:"Where it was asked, such as the address of the page; kept with the proof"`
}

// askedAnswer says the same to everybody.
type askedAnswer struct {
	Status string `json:"status" enum:"confirmation_needed"`
}

func (o *operator) askSubscription(ctx context.Context, in *struct{ Body subscriptionFields }) (*struct{ Body askedAnswer }, error) {
	b := in.Body
	senders, err := o.c.Store.Senders(ctx)
	if err != nil {
		return nil, o.failed("sender", err)
	}
	a := suppression.Asking{Sender: b.Sender, Topic: b.Topic, Source: b.Source}
	var violations []Violation
	refuse := func(field, rule string) {
		violations = append(violations, Violation{Field: "body." + field, Rule: rule})
	}
	if a.Address, err = audience.NormalizeEmail(b.Email); err != nil {
		refuse("email", err.Error())
	}
	if a.Locale, err = audience.NormalizeLocale(b.Locale); err != nil {
		refuse("locale", err.Error())
	}
	i := slices.IndexFunc(senders, func(s templates.Sender) bool { return s.Name == b.Sender })
	switch {
	case i < 0:
		refuse("sender", "is not the name of a sender")
	case !slices.Contains(senders[i].Subscriptions, b.Topic):
		refuse("topic", "is not among the subscriptions of the sender")
	}
	if len(violations) > 0 {
		return nil, invalid(violations...)
	}
	if o.c.Channels != nil && !slices.Contains(o.c.Channels, audience.Email) {
		return nil, newProblem(http.StatusConflict, "no provider is configured for email, so nobody could confirm: set UTSKICK_EMAIL")
	}
	// A record need not name the version of the notice: the one that is in force is
	// part of the proof.
	sender, err := o.c.Store.SenderByName(ctx, b.Sender)
	if err != nil {
		return nil, o.failed("sender", err)
	}
	a.Notice = sender.NoticeVersion
	// A form that hangs up has still asked.
	if err := o.c.Store.AskConfirmation(context.WithoutCancel(ctx), a); err != nil {
		return nil, o.failed("subscription", err)
	}
	return &struct{ Body askedAnswer }{askedAnswer{"confirmation_needed"}}, nil
}

func (o *operator) contactSubscriptions(ctx context.Context, in *contactPath) (*struct{ Body []suppression.Subscription }, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	c, err := o.c.Store.Contact(ctx, id)
	if err != nil {
		return nil, o.failed("contact with this external id", err)
	}
	found := []suppression.Subscription{}
	if c.Email != "" {
		confirmed, err := o.c.Store.Subscriptions(ctx, o.c.Keyer.Key(audience.KindEmail, c.Email))
		if err != nil {
			return nil, o.failed("contact", err)
		}
		found = append(found, confirmed...)
	}
	return &struct{ Body []suppression.Subscription }{found}, nil
}

package main

import (
	"utskick/api"
	"utskick/channels/sendgrid"
	"utskick/channels/twilio"
)

// openHooks makes what takes the webhooks of each provider whose signatures can
// be verified. A provider that is no longer sent by still tells of what it sent.
func openHooks(c config) (map[string]api.Hook, error) {
	hooks := map[string]api.Hook{}
	if c.SendGridHook != "" {
		hook, err := sendgrid.NewHook(c.SendGridHook)
		if err != nil {
			return nil, err
		}
		hooks["sendgrid"] = hook
	}
	if c.TwilioToken != "" && c.PublicURL != "" {
		hook, err := twilio.NewHook(c.TwilioToken, twilioCallback(c), nil)
		if err != nil {
			return nil, err
		}
		hooks["twilio/status"] = hook
		inbound, err := twilio.NewInbound(c.TwilioToken, c.PublicURL+"/hooks/twilio/inbound", nil)
		if err != nil {
			return nil, err
		}
		hooks["twilio/inbound"] = inbound
	}
	return hooks, nil
}

// twilioCallback is the address that messages name for what becomes of them.
func twilioCallback(c config) string {
	if c.PublicURL == "" {
		return ""
	}
	return c.PublicURL + "/hooks/twilio/status"
}

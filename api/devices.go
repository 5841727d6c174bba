package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
	"utskick/suppression"
)

const (
	devicesTag  = "Devices"
	devicesPath = "/v1/devices"
)

// deviceReport is what an app says of the phone that it is on.
type deviceReport struct {
	PushToken  string `json:"push_token,omitempty" doc:"The device; only it is meant"`
	ExternalID string `json:"external_id,omitempty" doc:"The contact, if there is no token: all devices are meant"`
	Permission string `json:"permission,omitempty" enum:"granted,denied,blocked" doc:"Of the system, to show notifications"`
	OptedOut   bool   `json:"opted_out,omitempty" doc:"The person wants no push messages from us, said in the app: an objection"`
}

func (o *operator) registerDevices() {
	huma.Register(o.api, operation(http.MethodPost, devicesPath, "report-device", devicesTag, "Report whether a phone shows notifications, or that somebody wants none",
		"Denied or blocked: nothing is sent to the device, push_off, until granted is reported. Opted out: an objection to push messages, for all devices "+
			"of the person; granted does not lift it. When this answers, no send can be started any more. Reporting again is harmless. A key of scope app may do this, and nothing else."),
		o.reportDevice)
}

func (o *operator) reportDevice(ctx context.Context, in *struct{ Body deviceReport }) (*struct{ Body recordedAnswer }, error) {
	b := in.Body
	kind, address, field := audience.KindPush, b.PushToken, "body.push_token"
	if b.PushToken == "" {
		kind, address, field = audience.KindContact, b.ExternalID, "body.external_id"
	}
	var violations []Violation
	if (b.PushToken == "") == (b.ExternalID == "") {
		violations = append(violations, Violation{Field: "body", Rule: "needs push_token or external_id, and not both"})
	}
	if b.Permission == "" && !b.OptedOut {
		violations = append(violations, Violation{Field: "body", Rule: "says nothing: permission or opted_out is needed"})
	}
	key, err := o.reader.Key(string(kind), address)
	if err != nil && len(violations) == 0 {
		violations = append(violations, Violation{Field: field, Rule: err.Error()})
	}
	if len(violations) > 0 {
		return nil, invalid(violations...)
	}
	// An app that hangs up has still told us.
	recorded, err := o.c.Register.Record(context.WithoutCancel(ctx), b.wish(key))
	if err == nil && b.OptedOut && b.Permission != "" {
		permission := b
		permission.OptedOut = false
		recorded, err = o.c.Register.Record(context.WithoutCancel(ctx), permission.wish(key))
	}
	if err != nil {
		o.c.Log.Error("a report of a device was not recorded", "key", key.Short(), "error", err)
		return nil, newProblem(http.StatusServiceUnavailable, "the report was not acknowledged; send it again until it is")
	}
	return &struct{ Body recordedAnswer }{recordedAnswer{recorded.Version, recorded.Keys}}, nil
}

// wish is what a report asks for: the objection, or else the permission, which is
// of the device alone.
func (b deviceReport) wish(key audience.Key) suppression.Wish {
	e := suppression.Entry{Key: key, Channel: string(audience.Push), Topic: suppression.Any, Purpose: suppression.Any, Sender: suppression.Any,
		Cause: suppression.PushOff, Active: b.Permission != "granted", Source: "app", Evidence: "permission: " + b.Permission}
	if b.OptedOut {
		e.Cause, e.Active, e.Evidence = suppression.Objected, true, "opted out in the app"
	}
	return suppression.Wish{Person: b.OptedOut, Entry: e}
}

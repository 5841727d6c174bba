package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
	"utskick/dispatcher"
)

// ChannelHolds are the channels whose provider refuses all that we send.
type ChannelHolds interface {
	ChannelHolds(ctx context.Context) ([]dispatcher.ChannelHold, error)
	// ReleaseChannel lets sending go on.
	ReleaseChannel(ctx context.Context, channel audience.Channel) error
}

const holdsTag = "Holds"

func (o *operator) registerHolds() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/holds", "list-holds", holdsTag, "List the channels that are held",
		"The provider of such a channel has refused everything, by its credentials or its account. Nobody has failed: runs wait, and the other channels go on."), o.listHolds)
	release := operation(http.MethodPost, "/v1/holds/{channel}/release", "release-hold", holdsTag, "Let sending go on by a channel",
		"For when the cause is mended. If it is not, the channel is held again.")
	release.DefaultStatus = http.StatusNoContent
	huma.Register(o.api, release, o.releaseHold)
}

func (o *operator) listHolds(ctx context.Context, _ *struct{}) (*struct{ Body []dispatcher.ChannelHold }, error) {
	held, err := o.c.Store.ChannelHolds(ctx)
	if err != nil {
		return nil, o.failed("hold", err)
	}
	return &struct{ Body []dispatcher.ChannelHold }{held}, nil
}

func (o *operator) releaseHold(ctx context.Context, in *struct {
	Channel audience.Channel `path:"channel" enum:"email,sms,push"`
}) (*struct{}, error) {
	if err := o.c.Store.ReleaseChannel(ctx, in.Channel); err != nil {
		return nil, o.failed("hold of this channel", err)
	}
	o.audit(ctx, "hold.release", string(in.Channel), "")
	return nil, nil
}

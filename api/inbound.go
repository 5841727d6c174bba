package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"utskick/suppression"
)

// Inbounds is what people answered, for customer service.
type Inbounds interface {
	// Inbound returns up to limit replies with an id above after, those that are
	// open or those that are done, in the order in which they came.
	Inbound(ctx context.Context, open bool, after int64, limit int) ([]suppression.Inbound, error)
	// CloseInbound notes who has dealt with a reply, and forgets its words.
	CloseInbound(ctx context.Context, id int64, by string) error
}

const inboundTag = "Replies"

func (o *operator) registerInbound() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/inbound", "list-inbound", inboundTag, "List what people answered",
		"What is open has to be read: it is not clear whether it is an objection. A clear stop is in force already and is listed as done, without its words."),
		o.listInbound)
	done := operation(http.MethodPost, "/v1/inbound/{id}/close", "close-inbound", inboundTag, "Note that a reply was dealt with",
		"Its words and its address are not kept any longer. Record first what it asks for: this records no wish.")
	done.DefaultStatus = http.StatusNoContent
	huma.Register(o.api, done, o.closeInbound)
}

// inboundAnswer is a page of replies.
type inboundAnswer struct {
	Replies []suppression.Inbound `json:"replies"`
}

func (o *operator) listInbound(ctx context.Context, in *struct {
	State string `query:"state" default:"open" enum:"open,done"`
	After int64  `query:"after" minimum:"0" doc:"Id of the last reply of the page before"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}) (*struct{ Body inboundAnswer }, error) {
	found, err := o.c.Store.Inbound(ctx, in.State == "open", in.After, in.Limit)
	if err != nil {
		return nil, o.failed("reply", err)
	}
	if found == nil {
		found = []suppression.Inbound{}
	}
	return &struct{ Body inboundAnswer }{inboundAnswer{found}}, nil
}

func (o *operator) closeInbound(ctx context.Context, in *struct {
	ID int64 `path:"id" doc:"Id of the reply"`
}) (*struct{}, error) {
	if err := o.c.Store.CloseInbound(ctx, in.ID, visitorOf(ctx).name); err != nil {
		return nil, o.failed("reply with this id", err)
	}
	o.audit(ctx, "inbound.close", strconv.FormatInt(in.ID, 10), "")
	return nil, nil
}

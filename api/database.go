package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"utskick/dispatcher"
)

// databaseView says whether sending is held.
type databaseView struct {
	Held bool `json:"held" doc:"Nothing is sent: the database was restored or failed over, and may have forgotten wishes and sends"`
	dispatcher.Hold
	WayOut string `json:"way_out,omitempty"`
}

func (o *operator) registerDatabase() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/database", "show-database", "Database", "Tell whether all sending is held",
		"It is when the database is another one than before, or has gone back. The command line releases it: utskick database release."), o.showDatabase)
}

func (o *operator) showDatabase(ctx context.Context, _ *struct{}) (*struct{ Body databaseView }, error) {
	hold, err := o.c.Store.Hold(ctx)
	if err != nil {
		return nil, o.failed("state of the database", err)
	}
	view := databaseView{Held: hold.Held(), Hold: hold}
	if hold.Held() {
		view.WayOut = dispatcher.WayOut
	}
	return &struct{ Body databaseView }{view}, nil
}

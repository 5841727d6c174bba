package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"utskick/suppression"
)

// Instances are the processes that take wishes over HTTP.
type Instances interface {
	// Instances lists all that hold a lease or held one.
	Instances(ctx context.Context) ([]suppression.Instance, error)
	// ReleaseInstance lets sending go on without one whose lease has lapsed.
	ReleaseInstance(ctx context.Context, name string) error
}

const instancesTag = "Instances"

func (o *operator) registerInstances() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/instances", "list-instances", instancesTag, "List the processes that take wishes over HTTP",
		"While the lease of one has lapsed, nothing is sent: it may have acknowledged wishes that the database has not got."), o.listInstances)
	release := operation(http.MethodPost, "/v1/instances/{name}/release", "release-instance", instancesTag, "Let sending go on without an instance that is gone for good",
		"What it has acknowledged and not yet written to the database is then not kept. One that comes back brings it in, and takes its place again.")
	release.DefaultStatus = http.StatusNoContent
	huma.Register(o.api, release, o.releaseInstance)
}

func (o *operator) listInstances(ctx context.Context, _ *struct{}) (*struct{ Body []suppression.Instance }, error) {
	all, err := o.c.Store.Instances(ctx)
	if err != nil {
		return nil, o.failed("instance", err)
	}
	return &struct{ Body []suppression.Instance }{all}, nil
}

func (o *operator) releaseInstance(ctx context.Context, in *struct {
	Name string `path:"name" doc:"Name of the instance"`
}) (*struct{}, error) {
	if err := o.c.Store.ReleaseInstance(ctx, in.Name); err != nil {
		return nil, o.failed("instance with this name", err)
	}
	o.audit(ctx, "instance.release", in.Name, "")
	return nil, nil
}

package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/suppression"
)

func TestInstancesAreListedAndReleased(t *testing.T) {
	s := newSite(t, nil)
	s.store.instances = []suppression.Instance{{Name: "serve-1", State: suppression.LeaseHeld}, {Name: "serve-2", State: suppression.LeaseLapsed}}
	release := func(key, name string) int {
		return s.as(key, http.MethodPost, "/v1/instances/"+name+"/release", "").status
	}
	for name, want := range map[string]int{"serve-1": http.StatusConflict, "serve-2": http.StatusNoContent, "serve-3": http.StatusNotFound} {
		if got := release(s.aud, name); got != http.StatusForbidden {
			t.Errorf("%s is released by who may only read: %d", name, got)
		}
		if got := release(s.admin, name); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
	if want := []string{"root|instance.release|serve-2|"}; !cmp.Equal(want, s.store.audits) {
		t.Errorf("audited: %s", strings.Join(s.store.audits, ", "))
	}
	list := decode[[]suppression.Instance](t, s.as(s.aud, http.MethodGet, "/v1/instances", ""))
	if len(list) != 2 || list[1].State != suppression.LeaseLeft {
		t.Errorf("listed: %+v", list)
	}
}

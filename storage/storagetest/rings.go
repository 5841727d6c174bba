package storagetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
)

// ringsInTheFuture rings for a slice and its batch by a clock that is an hour
// ahead, and loses the rings. By the right clock they are rung for again.
func ringsInTheFuture(t *testing.T, e *Env) {
	e.mails(20)
	e.library(audience.Email)
	e.launch()
	_, err := e.StartDueRuns(e.ctx())
	e.must(err)
	right := e.Now
	rung := func() []dispatcher.SliceRef {
		refs, err := e.RingSlices(e.ctx(), 100)
		e.must(err)
		return refs
	}
	e.Now = right.Add(time.Hour)
	first := rung()
	e.Now = right
	if again := rung(); len(first) != 1 || !cmp.Equal(first, again) {
		t.Fatalf("rung for %v, then for %v", first, again)
	}
	e.must(e.PlanSlice(e.ctx(), first[0]))
	e.Now = right.Add(time.Hour)
	batches := e.batches(audience.Email)
	e.Now = right
	if again := e.batches(audience.Email); len(batches) != 1 || len(again) != 1 {
		t.Errorf("%d batches are rung for, then %d", len(batches), len(again))
	}
}

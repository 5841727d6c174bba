package storagetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/rights"
	"utskick/storage"
)

// open opens a case of the contact a.
func (e *Env) openCase(kind rights.CaseKind) rights.Case {
	e.t.Helper()
	c := rights.Case{Kind: kind, Way: "phone", Contact: "a", Key: e.Keyer.Key(audience.KindContact, "a"), External: "P-17"}
	e.must(c.Open(e.Now, "service"))
	c, err := e.OpenCase(e.ctx(), c)
	e.must(err)
	return c
}

func casesAreKept(t *testing.T, e *Env) {
	e.save(contact("a", "a@example.com"))
	c := e.openCase(rights.CaseAccess)
	for _, step := range []func(*rights.Case) error{
		func(c *rights.Case) error { return c.Write("wants it by letter", "service", e.Now) },
		func(c *rights.Case) error { return c.Check("in_store", "service", e.Now) },
		func(c *rights.Case) error { return c.Extend("many systems", e.Now, e.Now) },
		func(c *rights.Case) error { return c.Reroute(rights.RouteOfficer) },
		func(c *rights.Case) error { return c.Write("sent", "officer", e.Now) },
		func(c *rights.Case) error { return c.End(rights.CaseAnswered, "export 3", "officer", e.Now) },
	} {
		e.Now = e.Now.Add(time.Hour)
		e.must(step(&c))
		stored, err := e.ChangeCase(e.ctx(), c.ID, step)
		e.must(err)
		if diff := cmp.Diff(c, stored); diff != "" {
			t.Fatalf("(-want +returned):\n%s", diff)
		}
		stored, err = e.Case(e.ctx(), c.ID)
		e.must(err)
		if diff := cmp.Diff(c, stored); diff != "" {
			t.Fatalf("(-want +stored):\n%s", diff)
		}
	}
	_, err := e.ChangeCase(e.ctx(), c.ID, func(c *rights.Case) error { c.Outcome = "other"; return rights.Broken{Field: "x", Rule: "y"} })
	if _, broken := rights.AsBroken(err); !broken {
		t.Errorf("%v", err)
	}
	if stored, err := e.Case(e.ctx(), c.ID); err != nil || stored.Outcome != "export 3" {
		t.Errorf("a refused change was kept: %+v, %v", stored, err)
	}
	if _, err := e.Case(e.ctx(), 999); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := e.ChangeCase(e.ctx(), 999, func(*rights.Case) error { return nil }); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func casesAreListed(t *testing.T, e *Env) {
	e.save(contact("a", "a@example.com"))
	old := e.openCase(rights.CaseErasure)
	e.Now = e.Now.AddDate(0, 1, 0) // the day that it is due
	recent := e.openCase(rights.CaseObjection)
	ended := e.openCase(rights.CaseObjection)
	_, err := e.ChangeCase(e.ctx(), ended.ID, func(c *rights.Case) error { return c.End(rights.CaseAnswered, "", "service", e.Now) })
	e.must(err)
	_, err = e.ChangeCase(e.ctx(), recent.ID, func(c *rights.Case) error { return c.Reroute(rights.RouteOfficer) })
	e.must(err)
	list := func(f rights.CaseFilter, today time.Time) (ids []int64) {
		f.Limit = 10
		found, err := e.Cases(e.ctx(), f, today)
		e.must(err)
		for _, c := range found {
			ids = append(ids, c.ID)
		}
		return ids
	}
	for i, c := range []struct {
		f     rights.CaseFilter
		today time.Time
		want  []int64
	}{
		{rights.CaseFilter{}, e.Now, []int64{old.ID, recent.ID, ended.ID}},
		{rights.CaseFilter{Waiting: true}, e.Now, []int64{old.ID, recent.ID}},
		{rights.CaseFilter{Overdue: true}, e.Now, nil},
		{rights.CaseFilter{Overdue: true}, e.Now.AddDate(0, 0, 1), []int64{old.ID}},
		{rights.CaseFilter{Route: rights.RouteOfficer}, e.Now, []int64{recent.ID}},
		{rights.CaseFilter{Kind: rights.CaseObjection}, e.Now, []int64{recent.ID, ended.ID}},
		{rights.CaseFilter{After: recent.ID}, e.Now, []int64{ended.ID}},
	} {
		if diff := cmp.Diff(c.want, list(c.f, c.today)); diff != "" {
			t.Errorf("%d %+v (-want +got):\n%s", i, c.f, diff)
		}
	}
}

// casesChangeSideBySide: nothing that somebody wrote is lost.
func casesChangeSideBySide(t *testing.T, e *Env) {
	e.save(contact("a", "a@example.com"))
	c := e.openCase(rights.CaseQuestion)
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() {
			_, errs[i] = e.ChangeCase(e.ctx(), c.ID, func(c *rights.Case) error {
				if err := c.Write(fmt.Sprint(i), "service", e.Now); err != nil {
					return err
				}
				return c.End(rights.CaseClosed, fmt.Sprint(i), "service", e.Now)
			})
		})
	}
	all.Wait()
	ended := 0
	for _, err := range errs {
		if err == nil {
			ended++
		} else if _, broken := rights.AsBroken(err); !broken {
			t.Error(err)
		}
	}
	stored, err := e.Case(e.ctx(), c.ID)
	e.must(err)
	if ended != 1 || len(stored.Notes) != 1 || stored.Notes[0].Text != stored.Outcome {
		t.Errorf("%d ended it: %+v", ended, stored)
	}
}

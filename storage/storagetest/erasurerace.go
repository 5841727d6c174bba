package storagetest

import (
	"context"
	"strings"
	"testing"

	"utskick/audience"
	"utskick/rights"
	"utskick/storage"
	"utskick/suppression"
)

// asked puts an erasure of somebody on record.
func (r *restored) asked(p resident) rights.Erasure {
	r.t.Helper()
	asked, err := r.eraser().Ask(r.ctx(), rights.Asked{ExternalID: p.now.ExternalID, Case: "7", By: "staff"})
	r.must(err)
	return asked
}

// waiting returns when so many sessions wait for a lock of another. What is done
// before that did not wait.
func (r *restored) waiting(n int, done <-chan error) {
	r.t.Helper()
	const text = `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
	for waiting := 0; waiting < n; {
		select {
		case err := <-done:
			r.t.Fatalf("it does not wait: %v", err)
		default:
			r.must(r.db.QueryRowContext(r.ctx(), text).Scan(&waiting))
		}
	}
}

// whileErasing does something while an erasure is about to delete the contact.
// SQLite has one writer: there it comes after the erasure.
func (r *restored) whileErasing(asked rights.Erasure, f func() error) error {
	r.t.Helper()
	if r.c.URL == "" {
		_, err := r.FinishErasure(r.ctx(), asked.ID)
		r.must(err)
		return f()
	}
	held, err := r.db.BeginTx(r.ctx(), nil)
	r.must(err)
	defer held.Rollback()
	_, err = held.ExecContext(r.ctx(), `select id from contacts for update`)
	r.must(err)
	erased, done := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := r.FinishErasure(context.WithoutCancel(r.ctx()), asked.ID)
		erased <- err
	}()
	r.waiting(1, erased)
	go func() { done <- f() }()
	r.waiting(2, done)
	r.must(held.Rollback())
	r.must(<-erased)
	return <-done
}

func casesWaitForErasures(t *testing.T, r *restored) {
	p := r.settle("anna")
	own := r.Keyer.Key(audience.KindContact, p.now.ExternalID)
	c := rights.Case{Kind: rights.CaseAccess, Way: "mail", Contact: p.now.ExternalID, Key: own, External: "akt-anna"}
	r.must(c.Open(r.Now, "desk"))
	err := r.whileErasing(r.asked(p), func() error {
		_, err := r.OpenCase(r.ctx(), c)
		return err
	})
	if !errorIs(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if left := r.everything("suppressions", "suppression_changes"); strings.Contains(left, own.String()) || strings.Contains(left, "akt-anna") {
		t.Error("a case of hers is left")
	}
}

func answersWaitForErasures(t *testing.T, r *restored) {
	p := r.settle("anna")
	reply := r.reply("reply-anna", p.now.Phone, suppression.Unclear)
	r.must(r.whileErasing(r.asked(p), func() error {
		_, err := r.TakeReply(r.ctx(), reply)
		return err
	}))
	if traces := r.everything(); !strings.Contains(traces, "inbound.contact = <nil>") {
		t.Error("an answer after the erasure names the contact that was erased")
	}
}

func wishesWaitForErasures(t *testing.T, r *restored) {
	p := r.settle("anna")
	group := r.mailed()
	k := r.email(p.now.Email)
	r.must(r.whileErasing(r.asked(p), func() error {
		_, err := r.Record(r.ctx(), suppression.Unsubscribe(k, audience.Email, group))
		return err
	}))
	if left := r.everything("suppressions", "suppression_changes"); strings.Contains(left, k.String()) {
		t.Error("what she said meanwhile has brought her key back")
	}
	r.unbroken()
}

// notesGoWithTheCase: somebody writes a note when the erasure comes.
func notesGoWithTheCase(t *testing.T, r *restored) {
	p := r.settle("anna")
	c := rights.Case{Kind: rights.CaseAccess, Way: "mail", Contact: p.now.ExternalID, Key: r.Keyer.Key(audience.KindContact, p.now.ExternalID)}
	r.must(c.Open(r.Now, "desk"))
	c, err := r.OpenCase(r.ctx(), c)
	r.must(err)
	asked, erased := r.asked(p), make(chan error, 1)
	_, err = r.ChangeCase(r.ctx(), c.ID, func(c *rights.Case) error {
		go func() {
			_, err := r.FinishErasure(context.WithoutCancel(r.ctx()), asked.ID)
			erased <- err
		}()
		if r.c.URL != "" {
			r.waiting(1, erased)
		}
		return c.Write("anteckning-anna", "desk", r.Now)
	})
	r.must(err)
	r.must(<-erased)
	if left := r.everything(); strings.Contains(left, "anteckning-anna") {
		t.Error("the note is left")
	}
}

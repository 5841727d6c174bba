package storagetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"utskick/audience"
	"utskick/rights"
	"utskick/suppression"
	"utskick/templates"
)

// stranger is somebody who is no contact, and of whom things are held under the
// key of her address.
func (r *restored) stranger(address, mark string) audience.Key {
	r.t.Helper()
	k := r.email(address)
	reply := r.reply("reply-"+mark, "", suppression.Unclear)
	reply.Channel, reply.Key, reply.Address, reply.Text = audience.Email, k, address, "ord-"+mark
	r.answer(reply)
	c := rights.Case{Kind: rights.CaseAccess, Way: "mail", Key: k, External: "akt-" + mark}
	r.must(c.Open(r.Now, "desk"))
	r.must(c.Write("anteckning-"+mark, "desk", r.Now))
	_, err := r.OpenCase(r.ctx(), c)
	r.must(err)
	r.write(`insert into confirmations (k, n, address, sender, topic, locale, source, notice, wording, asked_at)
		values ($1, 1, $2, 'exempelbolaget', 'newsletter', 'sv-SE', $3, 'n1', 'sv-1', $4)`, k[:], address, "sida-"+mark, r.Now.UnixMilli())
	wish := objection(k)
	wish.Entry.Evidence = "bevis-" + mark
	r.must1(r.Record(r.ctx(), wish))
	r.must(r.Audit(r.ctx(), "desk", "person.show", k.Short(), ""))
	return k
}

func strangersAreExported(t *testing.T, r *restored) {
	p := r.settle("anna")
	k := r.stranger("someone@example.com", "någon")
	r.stranger("other@example.com", "annan")
	x := rights.Exporter{Source: r.Store, Now: func() time.Time { return r.Now }}
	made, err := x.MakeOfKey(r.ctx(), k, "")
	r.must(err)
	for _, table := range []string{"inbound", "cases", "case_notes", "confirmations", "suppressions", "suppression_changes", "audit"} {
		if len(made.Data[table]) != 1 {
			t.Errorf("%s: %v", table, made.Data[table])
		}
	}
	shown := fmt.Sprint(made.Data)
	for _, mark := range []string{"someone@example.com", "ord-någon", "akt-någon", "anteckning-någon", "sida-någon", "bevis-någon"} {
		if !strings.Contains(shown, mark) {
			t.Errorf("%s is not in the export", mark)
		}
	}
	if strings.Contains(shown, "anna") || strings.Contains(shown, "annan") || made.Person != k.String() || made.Language != rights.Swedish {
		t.Errorf("%s, %s: %s", made.Person, made.Language, shown)
	}
	if nothing, err := x.MakeOfKey(r.ctx(), r.email("unknown@example.com"), ""); err != nil || len(nothing.Data) != 0 {
		t.Errorf("%+v, %v", nothing.Data, err)
	}
	for _, hers := range p.keys {
		if _, err := x.MakeOfKey(r.ctx(), hers, ""); !errorIs(err, rights.ErrContact) {
			t.Errorf("a contact's: %v", err)
		}
		if _, err := r.OpenErasure(r.ctx(), rights.Asked{Key: hers, Case: "7"}); !errorIs(err, rights.ErrContact) {
			t.Errorf("a contact's: %v", err)
		}
	}
}

func strangersAreErased(t *testing.T, r *restored) {
	r.settle("anna")
	k := r.stranger("someone@example.com", "någon")
	other := r.stranger("other@example.com", "annan")
	for range 2 { // asked again, there is nothing to do
		r.erase(rights.Asked{Key: k})
	}
	left := r.everything("suppressions", "suppression_changes")
	for _, mark := range []string{k.String(), k.Short(), "someone@example.com", "-någon"} {
		if strings.Contains(strings.ReplaceAll(left, "inbound.message = reply-någon", ""), mark) {
			t.Errorf("%s is left", mark)
		}
	}
	entries, err := r.Entries(r.ctx(), []audience.Key{k})
	r.must(err)
	for _, e := range entries {
		if e.Cause == suppression.Unsubscribed && e.Evidence != "" || !e.Active {
			t.Errorf("left: %+v", e)
		}
	}
	if r.blocked(marketing, k)[k] == "" || len(entries) != 2 {
		t.Errorf("she may be sent to: %+v", entries)
	}
	if !strings.Contains(left, other.String()) || !strings.Contains(left, "akt-annan") || !strings.Contains(left, "new-anna@example.com") {
		t.Error("others are gone with her")
	}
	r.unbroken()
}

// strangersBecomeContacts: what is held under the key is the contact's then.
func strangersBecomeContacts(t *testing.T, r *restored) {
	k := r.stranger("someone@example.com", "någon")
	asked, err := r.eraser().Ask(r.ctx(), rights.Asked{Key: k, Case: "7"})
	r.must(err)
	r.save(contact("c", "someone@example.com"))
	if done, err := r.eraser().Finish(r.ctx(), asked); err != nil || !done.Done() {
		t.Errorf("%+v, %v", done, err)
	}
	if left := r.everything(); !strings.Contains(left, "ord-någon") || r.blocked(marketing, k)[k] == "" {
		t.Error("the contact's rows were erased, or she may be sent to")
	}
}

func strangersStayErased(t *testing.T, r *restored) {
	k := r.stranger("someone@example.com", "någon")
	r.must(r.SaveSender(r.ctx(), templates.Sender{Name: "exempelbolaget"}))
	goBack := r.backUp()
	asked, err := r.eraser().Ask(r.ctx(), rights.Asked{Key: k, Case: "7", By: "staff"})
	r.must(err)
	goBack()
	r.write(`delete from erasures`)
	r.isHeld(r.Store, "went back")
	if got := r.release(r.Store); got.Erasing != 1 {
		t.Errorf("%+v", got)
	}
	open, err := r.OpenErasures(r.ctx(), 0, 10)
	if err != nil || len(open) != 1 || open[0].Case != asked.Case || open[0].Key != k {
		t.Fatalf("%+v, %v", open, err)
	}
	_, err = r.eraser().Finish(r.ctx(), open[0])
	r.must(err)
	if strings.Contains(r.everything(), "ord-någon") {
		t.Error("her words are there again")
	}
}

package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"utskick/audience"
	"utskick/suppression"
)

const inboundPath = "/ops/inbound"

// inboundLine is a reply with where its person is shown.
type inboundLine struct {
	suppression.Inbound
	Person string // id
}

// inboundPage is what somebody has to read, the oldest first.
type inboundPage struct {
	frame
	Lines   []inboundLine
	More    int64 // id after which the next page begins; 0: none
	MayDeal bool
	Done    string
}

func (o *operator) registerInboundPages() {
	o.routes.HandleFunc("GET "+inboundPath, o.showInbound)
	o.routes.HandleFunc("POST "+inboundPath+"/{id}", o.dealWithReply)
}

var dealtWords = map[string]string{
	"objected": "The objection is recorded, and the message is closed. From now on nothing that it forbids is sent.",
	"closed":   "The message is closed.",
}

func (o *operator) showInbound(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	if err != nil || after < 0 {
		after = 0
	}
	replies, err := o.c.Store.Inbound(r.Context(), true, after, onPage)
	if err != nil {
		o.pageFailed(w, r, "reply", err)
		return
	}
	page := inboundPage{frame: o.frame(r, "Messages to read"), MayDeal: mayDo(visitorOf(r.Context()).scope, http.MethodPost, inboundPath+"/{id}"),
		Done: dealtWords[r.URL.Query().Get("done")]}
	if page.Lines, err = o.withPersons(r.Context(), replies); err != nil {
		o.pageFailed(w, r, "person", err)
		return
	}
	if len(replies) == onPage {
		page.More = replies[len(replies)-1].ID
	}
	o.pages.write(w, http.StatusOK, "inbound", page)
}

// withPersons finds who wrote: the one contact who has or had the address, or
// else the key, whose page lists all of them.
func (o *operator) withPersons(ctx context.Context, replies []suppression.Inbound) ([]inboundLine, error) {
	keys := make([]audience.Key, len(replies))
	for i, r := range replies {
		keys[i] = r.Key
	}
	found, err := o.c.Store.FindPeople(ctx, keys)
	if err != nil {
		return nil, err
	}
	of := map[audience.Key][]int64{}
	for _, f := range found {
		of[f.Key] = append(of[f.Key], f.ID)
	}
	lines := make([]inboundLine, len(replies))
	for i, r := range replies {
		lines[i] = inboundLine{r, r.Key.String()}
		if who := of[r.Key]; len(who) == 1 {
			lines[i].Person = strconv.FormatInt(who[0], 10)
		}
	}
	return lines, nil
}

// dealWithReply records what somebody has read in a reply, and then closes it.
func (o *operator) dealWithReply(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		o.pageFailed(w, r, "reply with this id", o.c.NotFound)
		return
	}
	done := "closed"
	switch r.PostFormValue("action") {
	case "close":
	case "channel", "everything":
		done = "objected"
		if err := o.objectionIn(ctx, id, r.PostFormValue("action") == "everything"); err != nil {
			o.pageFailed(w, r, "open reply with this id", err)
			return
		}
	default:
		o.pageFailed(w, r, "such button", o.c.NotFound)
		return
	}
	if err := o.c.Store.CloseInbound(ctx, id, visitorOf(ctx).name); err != nil {
		o.pageFailed(w, r, "reply with this id", err)
		return
	}
	o.audit(ctx, "inbound.close", strconv.FormatInt(id, 10), done)
	http.Redirect(w, r, inboundPath+"?done="+done, http.StatusSeeOther)
}

// objectionIn records the objection that is in an open reply.
func (o *operator) objectionIn(ctx context.Context, id int64, everything bool) error {
	replies, err := o.c.Store.Inbound(ctx, true, id-1, 1)
	if err != nil {
		return err
	}
	if len(replies) == 0 || replies[0].ID != id {
		return o.c.NotFound
	}
	r := replies[0]
	choice := suppression.Choice(r.Channel)
	if everything {
		choice = suppression.StopEverything
	}
	p := person{id: r.Key.String(), key: r.Key}
	lines, err := o.withPersons(ctx, replies)
	if err != nil {
		return err
	}
	if p.id = lines[0].Person; p.id != r.Key.String() {
		p.contact = &audience.Contact{} // it is one that is audited by its number
	}
	number := fmt.Sprintf("reply %d", id)
	wishes := suppression.Behalf{Key: r.Key, Case: number, At: o.c.Now()}.Wishes(choice)
	if err := o.recordFor(ctx, p, wishes); err != nil {
		return err
	}
	for _, wish := range wishes {
		o.audit(ctx, "wish.set", p.object(), auditWish(wish.Entry, number))
	}
	return nil
}

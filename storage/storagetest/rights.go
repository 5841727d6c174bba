package storagetest

import (
	"encoding/hex"
	"fmt"
	"html"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/storage"
	"utskick/suppression"
	"utskick/tracking"
)

func peoplesRights(t *testing.T, e Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *restored)
	}{
		{"every column is in the register, as about a person or not", registerIsWhole},
		{"an export shows every column that is about her, and nobody else", exportShowsAll},
		{"whoever was erased is in no table, and every sum meets", erasedEverywhere},
		{"an export and an erasure find what retention has touched", erasedAfterRetention},
		{"an erasure is logged with the request, and without her name in the end", erasureIsLogged},
		{"retention leaves nothing by which an event could be recognised", marksAreForgotten},
		{"a case is opened before an erasure or after it", casesWaitForErasures},
		{"an answer is taken before an erasure or after it", answersWaitForErasures},
		{"a wish is written before an erasure or after it", wishesWaitForErasures},
		{"a note that is written meanwhile goes with the case", notesGoWithTheCase},
		{"open erasures are read in the order in which they came", erasuresInOrder},
		{"an erasure waits for the runs that have her", erasureWaits},
		{"those in doubt who were erased stay so", erasedInDoubt},
		{"an erasure leaves what others share", erasureLeavesOthers},
		{"nothing that comes late brings an erased person back", lateForTheErased},
		{"whoever declines it is not remembered as suppressed", erasureDeclined},
		{"an erasure outlasts a restore", erasureRestored},
		{"of who is no contact all that is held under the key is exported", strangersAreExported},
		{"of who is no contact all that is held under the key is erased", strangersAreErased},
		{"who becomes a contact before she is erased stays one", strangersBecomeContacts},
		{"the erasure of who is no contact outlasts a restore", strangersStayErased},
		{"a customer's export and erasure cover the subscriber that she was", shellsAreHers},
		{"an erasure waits for the runs that have the subscriber that she was", shellsAreWaitedFor},
		{"whoever was erased is bound by a file with another name and number", erasedBind},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, openRestored(t, e)) })
	}
}

// schema returns the columns of every table.
func (r *restored) schema() map[string][]string {
	r.t.Helper()
	text := `select m.name, p.name from sqlite_master m join pragma_table_info(m.name) p where m.type = 'table' and m.name not like 'sqlite_%'`
	if r.c.URL != "" {
		text = `select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
			where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`
	}
	rows, err := r.db.QueryContext(r.ctx(), text)
	r.must(err)
	defer rows.Close()
	tables := map[string][]string{}
	for rows.Next() {
		var table, column string
		r.must(rows.Scan(&table, &column))
		tables[table] = append(tables[table], column)
	}
	r.must(rows.Err())
	return tables
}

func registerIsWhole(t *testing.T, r *restored) {
	registered := map[string][]string{}
	for _, table := range rights.Register() {
		for _, c := range table.Columns {
			registered[table.Name] = append(registered[table.Name], c.Name)
			if c.Label.Swedish == "" || c.Label.English == "" || c.Erasure == "" || c.As == "" || c.Why == "" && (c.Erasure == rights.Kept || c.Erasure == rights.Loosened) {
				t.Errorf("%s.%s is not described", table.Name, c.Name)
			}
		}
		registered[table.Name] = append(registered[table.Name], table.Others...)
		if len(table.Others) > 0 && table.Why == "" || len(table.Columns) > 0 && (table.Found == "" || table.By == "" || table.Order == "" || table.Title.Swedish == "") {
			t.Errorf("%s is not described", table.Name)
		}
	}
	real := r.schema()
	for _, tables := range []map[string][]string{registered, real} {
		for _, columns := range tables {
			slices.Sort(columns)
		}
	}
	if diff := cmp.Diff(real, registered); diff != "" {
		t.Errorf("rights.Register differs from the tables; a new column has to be listed there, as about a person or not (-tables +register):\n%s", diff)
	}
}

// everything is all rows of all tables but some, for a search by eye.
func (r *restored) everything(but ...string) string {
	r.t.Helper()
	var b strings.Builder
	for table, columns := range r.schema() {
		if slices.Contains(but, table) {
			continue
		}
		r.allOf(&b, table, columns)
	}
	return b.String()
}

func (r *restored) allOf(b *strings.Builder, table string, columns []string) {
	r.t.Helper()
	rows, err := r.db.QueryContext(r.ctx(), `select `+strings.Join(columns, ", ")+` from `+table)
	r.must(err)
	defer rows.Close()
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		r.must(rows.Scan(into...))
		for i, v := range values {
			if raw, ok := v.([]byte); ok {
				v = hex.EncodeToString(raw)
			}
			fmt.Fprintf(b, "%s.%s = %v\n", table, columns[i], v)
		}
	}
	r.must(rows.Err())
}

func (r *restored) write(text string, args ...any) {
	r.t.Helper()
	if _, err := r.db.ExecContext(r.ctx(), text, args...); err != nil {
		r.t.Fatalf("%s: %v", text, err)
	}
}

// resident is a person with data in many places; what is said of her has her mark.
type resident struct {
	mark  string
	now   audience.Contact
	marks []string // that must not be found where she is not
	keys  []audience.Key
}

// settle saves somebody with an address, a number, a device, and those before.
func (r *restored) settle(mark string) resident {
	r.t.Helper()
	c := audience.Contact{ExternalID: "id-" + mark, FirstName: "Förnamn-" + mark, LastName: "Efternamn-" + mark, Locale: "sv-SE", TimeZone: "Europe/Stockholm",
		Attributes: map[string]string{"city": "Ort-" + mark}, Basis: audience.Consent, BasisEvidence: "grund-" + mark,
		Sale: audience.Sale{Reference: "köp-" + mark, Offered: "yes", Family: "vara-" + mark}}
	for _, old := range []string{"old-", "new-"} {
		c.Email, c.Devices = old+mark+"@example.com", []audience.Device{{Token: "token-" + old + mark}}
		c.Phone = "+467017406" + map[string]string{"old-": "1", "new-": "2"}[old] + map[string]string{"anna": "0", "bertil": "1", "cia": "2"}[mark]
		row := audience.Row{Contact: c, Set: all, Consents: map[string]bool{"open_tracking": true}, Relations: map[string]audience.Relation{"exempelbolaget": {Sender: "exempelbolaget", Since: "2019-05-01"}}}
		_, err := r.SaveContacts(r.ctx(), []audience.Row{row})
		r.must(err)
	}
	stored, err := r.Contact(r.ctx(), c.ExternalID)
	r.must(err)
	p := resident{mark: mark, now: stored}
	p.keys, err = r.KeysOfContact(r.ctx(), stored.ID)
	r.must(err)
	p.marks = []string{mark + "@example.com", mark, c.Phone}
	for _, k := range p.keys {
		p.marks = append(p.marks, k.String(), k.Short())
	}
	return p
}

// live puts traces of somebody into every table.
func (r *restored) live(p resident, group, link int64) {
	r.t.Helper()
	k, own := r.email(p.now.Email), r.Keyer.Key(audience.KindContact, p.now.ExternalID)
	r.must(r.AppendEvent(r.ctx(), tracking.Event{Type: tracking.Clicks, At: r.Now, Group: group, Key: k, Link: link, Dedupe: "click-" + p.mark,
		Machine: tracking.Scanner, Agent: tracking.Phone, Requester: 4711}))
	r.write(`update events set counts = 'bounced' where dedupe = $1`, "click-"+p.mark)
	reply := r.reply("reply-"+p.mark, p.now.Phone, suppression.Unclear)
	reply.Address, reply.Text = p.now.Phone, "ord-"+p.mark
	r.answer(reply)
	untrack := suppression.Unsubscribe(own, audience.Email, 0)
	untrack.Entry.Purpose, untrack.Entry.Evidence, untrack.Visit = string(suppression.OpenTracking), "bevis-"+p.mark, "besök-"+p.mark
	untrack.Entry.ExpiresAt = r.Now.Add(24 * time.Hour)
	r.must1(r.Record(r.ctx(), untrack))
	r.write(`update consents set notice = 'n1', evidence = $1 where contact_k = $2`, "samtycke-"+p.mark, own[:])
	r.write(`update relations set ended_at = 5`)
	r.write(`insert into subscriptions (k, sender, topic, asked_at, confirmed_at, confirmation, source, evidence, notice, wording, made)
		values ($1, 'exempelbolaget', 'newsletter', 5, 6, 7, $2, $3, 'n1', 'sv-1', $4)`, k[:], "sida-"+p.mark, "klick-"+p.mark, p.now.ID)
	r.write(`insert into confirmations (k, n, address, sender, topic, locale, source, notice, wording, asked_at, state, reason, confirmed_at)
		values ($1, 1, $2, 'exempelbolaget', 'newsletter', 'sv-SE', $3, 'n1', 'sv-1', 5, 2, $3, 6)`, k[:], p.now.Email, "orsak-"+p.mark)
	r.write(`update suppressions set notice = 'n1'`)
	r.write(`update suppression_changes set notice = 'n1'`)
	r.write(`update withdrawn_consents set notice = 'n1' where contact_k = $1`, own[:])
	r.must(r.Audit(r.ctx(), "staff", "contact.save", own.Short(), "uppgift"))
	r.must(r.Audit(r.ctx(), "desk", "person.show", fmt.Sprintf("contact %d", p.now.ID), "uppgift"))
	c := rights.Case{Kind: rights.CaseAccess, Way: "mail", Contact: p.now.ExternalID, Key: own, External: "akt-" + p.mark}
	r.must(c.Open(r.Now, "desk"))
	r.must(c.Write("anteckning-"+p.mark, "desk", r.Now))
	_, err := r.OpenCase(r.ctx(), c)
	r.must(err)
	r.write(`update cases set identity_method = 'in_store', identity_at = 5, extended_reason = $1, extended_told = 5, outcome = $1, ended_at = 5 where external = $2`,
		"skäl-"+p.mark, c.External)
}

// mailed sends the campaign to everybody in chunks of two, each message with an id.
func (r *restored) mailed() (group int64) {
	r.t.Helper()
	r.library(audience.Email)
	r.launch()
	r.plan()
	for {
		found := r.batches(audience.Email)
		if len(found) == 0 {
			break
		}
		b := found[0]
		for {
			members, err := r.membersOf(b, 2)
			r.must(err)
			if len(members) == 0 {
				break
			}
			c, ks := r.claimOf(b, 2)
			r.must(r.Claim(r.ctx(), c))
			s := settlementOf(b, c, ks)
			for _, k := range ks {
				s.Messages = append(s.Messages, dispatcher.Message{Key: k, ProviderID: "message-" + k.String()[:6]})
			}
			_, err = r.Settle(r.ctx(), s)
			r.must(err)
			b, err = r.Batch(r.ctx(), b.ID)
			r.must(err)
			group = b.Group
		}
	}
	_, err := r.FinishRuns(r.ctx())
	r.must(err)
	return group
}

func exportShowsAll(t *testing.T, r *restored) {
	p, q := r.settle("anna"), r.settle("bertil")
	group := r.mailed()
	for _, x := range []resident{p, q} {
		r.live(x, group, 1)
	}
	k := r.email(p.now.Email)
	r.write(`update members set code = 1, cause = 'cancelled', provider_id = 'provider-anna' where contact = $1`, p.now.ID)
	r.write(`update batches set k_lo = $1, k_hi = $1, last_k = $1, claim_k = $1 where state = 2 and k_lo <= $1 and k_hi >= $1`, k[:])
	r.write(`update calls set k_from = $1, k_to = $1 where message_ids like $2`, k[:], "%"+k.String()+"%")
	r.write(`update inbound set handled_at = 5, done = 1, sender = 'exempelbolaget' where contact = $1`, p.now.ID)
	_, err := r.OpenErasure(r.ctx(), rights.Asked{ExternalID: p.now.ExternalID, Case: "ärende-7", By: "staff"})
	r.must(err)
	x := rights.Exporter{Source: r.Store, About: rights.About{Authority: "IMY"}, Now: func() time.Time { return r.Now }}
	for _, language := range []string{rights.Swedish, rights.English} {
		made, err := x.Make(r.ctx(), p.now.ExternalID, language)
		r.must(err)
		var data, markup, page strings.Builder
		r.must(made.WriteJSON(&data))
		r.must(made.WriteHTML(&markup))
		page.WriteString(html.UnescapeString(markup.String()))
		for _, table := range rights.Register() {
			for _, c := range table.Columns {
				shown := shownOf(made.Data[table.Name], c.Name)
				if shown == "" {
					t.Errorf("%s.%s is not in the export", table.Name, c.Name)
				}
				if !strings.Contains(page.String(), ">"+c.Label.In(language)+"<") || c.As != rights.Flag && c.As != rights.Object && !strings.Contains(page.String(), shown) {
					t.Errorf("%s.%s, %q, is not on the page", table.Name, c.Name, shown)
				}
				if !strings.Contains(data.String(), `"`+c.Name+`": `) || c.As != rights.Object && !strings.Contains(data.String(), shown) {
					t.Errorf("%s.%s, %q, is not in the JSON", table.Name, c.Name, shown)
				}
			}
		}
		for _, mark := range []string{"Ort-anna", "https://www.exempelbolaget.test/a", "new-anna@example.com", "ord-anna", "bevis-anna"} {
			if !strings.Contains(page.String(), mark) || !strings.Contains(data.String(), mark) {
				t.Errorf("%s is not in the export", mark)
			}
		}
		for _, mark := range q.marks {
			if strings.Contains(page.String(), mark) || strings.Contains(data.String(), mark) {
				t.Errorf("the export of one has %q of the other", mark)
			}
		}
		if strings.Contains(page.String(), "-bertil") || strings.Contains(data.String(), "-bertil") {
			t.Error("the export of one has the other's words")
		}
	}
	if _, err := x.Make(r.ctx(), "nobody", ""); !errorIs(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// shownOf is a value of a column that is not empty.
func shownOf(rows []rights.Row, column string) string {
	for _, row := range rows {
		if v, there := row[column]; there && fmt.Sprint(v) != "" {
			return fmt.Sprint(v)
		}
	}
	return ""
}

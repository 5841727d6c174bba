package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
)

// contactView is a contact as the API shows it.
type contactView struct {
	ExternalID    string            `json:"external_id"`
	Email         string            `json:"email,omitempty"`
	Phone         string            `json:"phone,omitempty"`
	PushTokens    []string          `json:"push_tokens,omitempty" doc:"Tokens of active devices; a list of contacts leaves them out"`
	FirstName     string            `json:"first_name,omitempty"`
	LastName      string            `json:"last_name,omitempty"`
	Locale        string            `json:"locale,omitempty"`
	TimeZone      string            `json:"timezone,omitempty"`
	Basis         audience.Basis    `json:"basis,omitempty" doc:"Legal ground for marketing; with none nothing is sent"`
	BasisEvidence string            `json:"basis_evidence,omitempty"`
	SoftOptIn     *saleView         `json:"soft_optin,omitempty" doc:"What soft opt-in rests on; without all of it, it is no ground"`
	Relations     map[string]string `json:"relations,omitempty" doc:"To senders by name: the day since when, yes where that is not known, or ended; a list of contacts leaves them out"`
	Attributes    map[string]string `json:"attributes,omitempty"`
	CreatedAt     time.Time         `json:"created_at"`
	UpdatedAt     time.Time         `json:"updated_at"`
}

// saleView is the sale that soft opt-in rests on.
type saleView struct {
	Sale    *string `json:"sale,omitempty" doc:"A date, or the number of a receipt"`
	Offered *string `json:"offered,omitempty" doc:"yes or no: whether opting out was offered when the address was given"`
	Family  *string `json:"family,omitempty" doc:"Product family, a to z, digits, - and _"`
}

func viewSale(s audience.Sale) *saleView {
	if s == (audience.Sale{}) {
		return nil
	}
	return &saleView{&s.Reference, &s.Offered, &s.Family}
}

func viewContact(c audience.Contact) contactView {
	v := contactView{ExternalID: c.ExternalID, Email: c.Email, Phone: c.Phone, FirstName: c.FirstName, LastName: c.LastName,
		Locale: c.Locale, TimeZone: c.TimeZone, Basis: c.Basis, BasisEvidence: c.BasisEvidence, SoftOptIn: viewSale(c.Sale), Attributes: c.Attributes,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}
	for _, d := range c.Devices {
		if d.Active {
			v.PushTokens = append(v.PushTokens, d.Token)
		}
	}
	return v
}

// viewRelations writes relations as a contact is told them.
func viewRelations(all []audience.Relation) map[string]string {
	if len(all) == 0 {
		return nil
	}
	view := make(map[string]string, len(all))
	for _, r := range all {
		view[r.Sender] = cmp.Or(map[bool]string{true: "ended"}[r.Ended], r.Since, "yes")
	}
	return view
}

// contactFields is what can be said of a contact. What is absent is left as it
// is, what is empty is cleared.
type contactFields struct {
	Email         *string           `json:"email,omitempty"`
	Phone         *string           `json:"phone,omitempty" doc:"Numbers without a country code belong to the configured region"`
	PushTokens    *[]string         `json:"push_tokens,omitempty" doc:"All devices of the contact; one that is not listed is removed"`
	Locale        *string           `json:"locale,omitempty" doc:"Such as sv-SE (BCP 47)"`
	TimeZone      *string           `json:"timezone,omitempty" doc:"Such as Europe/Stockholm (IANA)"`
	FirstName     *string           `json:"first_name,omitempty"`
	LastName      *string           `json:"last_name,omitempty"`
	Basis         *string           `json:"basis,omitempty" doc:"consent, soft_optin or empty: the legal ground for marketing"`
	BasisEvidence *string           `json:"basis_evidence,omitempty" doc:"How the ground is known"`
	SoftOptIn     *saleView         `json:"soft_optin,omitempty" doc:"What soft opt-in rests on"`
	Consents      map[string]bool   `json:"consents,omitempty" doc:"Grants and refusals by purpose, such as open_tracking, or by purpose and sender, such as open_tracking.exempelbanken; a refusal is recorded as a withdrawal"`
	ConsentNotice *string           `json:"consent_notice,omitempty" doc:"Version of the privacy notice that the consents were given under; absent: the one in force of the sender, or of all"`
	Relations     map[string]string `json:"relations,omitempty" doc:"To senders by name: a day such as 2019-05-01, yes where it is not known since when, or ended"`
	Attributes    map[string]string `json:"attributes,omitempty" doc:"By name: a to z, 0 to 9 and _, a letter first; an empty value removes the attribute"`
}

// columns returns the header and the row of a file with one contact.
func (f contactFields) columns(externalID string) (names, cells []string) {
	names, cells = []string{"external_id"}, []string{externalID}
	add := func(name string, value *string) {
		if value != nil {
			names, cells = append(names, name), append(cells, *value)
		}
	}
	add("email", f.Email)
	add("phone", f.Phone)
	if f.PushTokens != nil {
		tokens := strings.Join(*f.PushTokens, " ")
		add("push_token", &tokens)
	}
	add("locale", f.Locale)
	add("timezone", f.TimeZone)
	add("first_name", f.FirstName)
	add("last_name", f.LastName)
	add("basis", f.Basis)
	add("basis_evidence", f.BasisEvidence)
	if f.SoftOptIn != nil {
		add("soft_optin.sale", f.SoftOptIn.Sale)
		add("soft_optin.offered", f.SoftOptIn.Offered)
		add("soft_optin.family", f.SoftOptIn.Family)
	}
	for _, purpose := range slices.Sorted(maps.Keys(f.Consents)) {
		names, cells = append(names, "consent."+purpose), append(cells, map[bool]string{true: "yes", false: "no"}[f.Consents[purpose]])
	}
	add("consent_notice", f.ConsentNotice)
	for _, sender := range slices.Sorted(maps.Keys(f.Relations)) {
		names, cells = append(names, "relation."+sender), append(cells, f.Relations[sender])
	}
	for _, name := range slices.Sorted(maps.Keys(f.Attributes)) {
		names, cells = append(names, name), append(cells, f.Attributes[name])
	}
	return names, cells
}

var attributeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// fixedColumns are names that have a field of their own, and so are no
// attributes.
var fixedColumns = []string{"external_id", "email", "phone", "push_token", "locale", "timezone", "first_name", "last_name", "basis", "basis_evidence", "consent_notice"}

// check looks at the names that a client chooses, which would become columns.
func (f contactFields) check() (violations []Violation) {
	for name := range f.Attributes {
		if !attributeName.MatchString(name) || slices.Contains(fixedColumns, name) {
			violations = append(violations, Violation{Field: "body.attributes",
				Rule: "has a name that no attribute can have: use a to z, 0 to 9 and _, a letter first, at most 63, and none of the contact's own fields"})
			break
		}
	}
	for name := range f.Consents {
		purpose, _ := audience.SplitConsent(name)
		if !slices.Contains(suppression.Purposes, suppression.Purpose(purpose)) {
			violations = append(violations, Violation{Field: "body.consents", Rule: fmt.Sprintf("has a purpose that is not one of %v", suppression.Purposes)})
			break
		}
	}
	for sender := range f.Relations {
		if !templates.IsSenderName(sender) {
			violations = append(violations, Violation{Field: "body.relations", Rule: "has a name that no sender can have: use a to z, digits, - and _, at most 63"})
			break
		}
	}
	return violations
}

// draft keeps what an import would save.
type draft struct {
	attributes []string
	rows       []audience.Row
}

func (d *draft) RegisterAttributes(_ context.Context, names []string) error {
	d.attributes = names
	return nil
}

func (d *draft) SaveContacts(_ context.Context, rows []audience.Row) (audience.Saved, error) {
	d.rows = append(d.rows, rows...)
	return audience.Saved{}, nil
}

// draftOf reads a contact as a file with one row, so that a contact has one set
// of rules whichever way it comes.
func (o *operator) draftOf(ctx context.Context, externalID string, f contactFields) (draft, []audience.Problem, error) {
	var file bytes.Buffer
	names, cells := f.columns(externalID)
	w := csv.NewWriter(&file)
	if err := w.WriteAll([][]string{names, cells}); err != nil {
		return draft{}, nil, err
	}
	var d draft
	var problems []audience.Problem
	_, err := audience.Import(ctx, &file, &d, audience.ImportOptions{Region: o.c.Region, Purposes: purposes(),
		Problems: func(p audience.Problem) error {
			// What soft opt-in rests on may be on record already.
			if p.Rule != string(audience.ErrUnproven) {
				problems = append(problems, p)
			}
			return nil
		}})
	return d, problems, err
}

// purposes are those that a consent column may name.
func purposes() []string {
	names := make([]string, len(suppression.Purposes))
	for i, p := range suppression.Purposes {
		names[i] = string(p)
	}
	return names
}

// placeInContact says where a column of the row stands in the request.
func placeInContact(column string) string {
	switch {
	case column == "external_id":
		return "path.external_id"
	case column == "":
		return "body"
	case column == "push_token":
		return "body.push_tokens"
	case strings.HasPrefix(column, "soft_optin."):
		return "body." + column
	case strings.HasPrefix(column, "consent."):
		return "body.consents." + strings.TrimPrefix(column, "consent.")
	case strings.HasPrefix(column, "relation."):
		return "body.relations." + strings.TrimPrefix(column, "relation.")
	case slices.Contains(fixedColumns, column):
		return "body." + column
	}
	return "body.attributes." + column
}

type contactPath struct {
	ExternalID string `path:"external_id" doc:"The retailer's own name for the contact"`
}

// id returns the form in which an external id is stored.
func (p contactPath) id() (string, error) {
	id, err := audience.NormalizeExternalID(p.ExternalID)
	if err != nil {
		return "", invalid(Violation{Field: "path.external_id", Rule: err.Error()})
	}
	return id, nil
}

const contactsTag = "Contacts"

func (o *operator) registerContacts() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/contacts", "list-contacts", contactsTag, "List contacts",
		"In the order in which they were added. Go on with next_cursor until there is none."), o.listContacts)
	huma.Register(o.api, operation(http.MethodGet, "/v1/contacts/{external_id}", "get-contact", contactsTag, "Show a contact", ""), o.getContact)
	huma.Register(o.api, operation(http.MethodPut, "/v1/contacts/{external_id}", "put-contact", contactsTag, "Add or change a contact",
		"A field that is absent is left as it is, an empty one is cleared. Nothing is saved when any field breaks a rule. "+
			"When this answers, every refusal in consents has been acknowledged."), o.putContact)
	huma.Register(o.api, operation(http.MethodGet, "/v1/contacts/{external_id}/history", "contact-history", contactsTag, "Show every communication with a contact",
		"What was sent and what was withheld and why, the newest first, with what the contact did with it."), o.contactHistory)
	huma.Register(o.api, operation(http.MethodGet, "/v1/contacts/{external_id}/suppressions", "contact-suppressions", contactsTag, "Show what a contact does not allow",
		"Every entry for a key that the contact has or had, lifted and expired ones included. It also works for an external id whose contact is gone."), o.contactSuppressions)
}

type contactList struct {
	Contacts   []contactView `json:"contacts"`
	NextCursor int64         `json:"next_cursor,omitempty" doc:"Cursor of the next page; absent on the last"`
}

func (o *operator) listContacts(ctx context.Context, in *struct {
	Cursor int64 `query:"cursor" minimum:"0" doc:"next_cursor of the page before"`
	Limit  int   `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}) (*struct{ Body contactList }, error) {
	contacts, err := o.c.Store.Contacts(ctx, in.Cursor, in.Limit)
	if err != nil {
		return nil, o.failed("contact", err)
	}
	list := contactList{Contacts: make([]contactView, len(contacts))}
	for i, c := range contacts {
		list.Contacts[i] = viewContact(c)
	}
	if len(contacts) == in.Limit {
		list.NextCursor = contacts[len(contacts)-1].ID
	}
	return &struct{ Body contactList }{list}, nil
}

func (o *operator) getContact(ctx context.Context, in *contactPath) (*struct{ Body contactView }, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	c, err := o.c.Store.Contact(ctx, id)
	if err != nil {
		return nil, o.failed("contact with this external id", err)
	}
	relations, err := o.c.Store.Relations(ctx, id)
	if err != nil {
		return nil, o.failed("contact", err)
	}
	view := viewContact(c)
	view.Relations = viewRelations(relations)
	return &struct{ Body contactView }{view}, nil
}

func (o *operator) putContact(ctx context.Context, in *struct {
	ExternalID string `path:"external_id" doc:"The retailer's own name for the contact"`
	Body       contactFields
}) (*struct{ Body contactView }, error) {
	if violations := in.Body.check(); len(violations) > 0 {
		return nil, invalid(violations...)
	}
	d, problems, err := o.draftOf(ctx, in.ExternalID, in.Body)
	var refused *audience.FileError
	if errors.As(err, &refused) {
		return nil, invalid(Violation{Field: "body.attributes", Rule: refused.Problem})
	}
	if err != nil {
		return nil, o.failed("contact", err)
	}
	if len(problems) > 0 {
		return nil, invalid(rowProblems(problems, placeInContact)...)
	}
	if err := o.c.Contacts.RegisterAttributes(ctx, d.attributes); err != nil {
		return nil, o.failed("contact", err)
	}
	if _, err := o.c.Contacts.SaveContacts(ctx, d.rows); err != nil {
		return nil, o.failed("contact", err)
	}
	id := d.rows[0].Contact.ExternalID // normalised
	o.audit(ctx, "contact.save", o.c.Keyer.Key(audience.KindContact, id).Short(), "")
	return o.getContact(ctx, &contactPath{id})
}

func (o *operator) contactHistory(ctx context.Context, in *contactPath) (*struct{ Body []dispatcher.Communication }, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	history, err := o.c.Store.History(ctx, id)
	if err != nil {
		return nil, o.failed("contact with this external id", err)
	}
	if history == nil {
		history = []dispatcher.Communication{}
	}
	return &struct{ Body []dispatcher.Communication }{history}, nil
}

func (o *operator) contactSuppressions(ctx context.Context, in *contactPath) (*struct{ Body []entryView }, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	keys := []audience.Key{o.c.Keyer.Key(audience.KindContact, id)}
	c, err := o.c.Store.Contact(ctx, id)
	switch {
	case err == nil:
		more, err := o.c.Store.KeysOfContact(ctx, c.ID)
		if err != nil {
			return nil, o.failed("contact", err)
		}
		keys = append(keys, more...)
	case !errors.Is(err, o.c.NotFound):
		return nil, o.failed("contact", err)
	}
	entries, err := o.c.Store.Entries(ctx, keys)
	if err != nil {
		return nil, o.failed("contact", err)
	}
	return &struct{ Body []entryView }{viewEntries(entries)}, nil
}

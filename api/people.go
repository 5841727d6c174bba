package api

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/rights"
	"utskick/suppression"
)

// Persons is what customer service sees of a person.
type Persons interface {
	// FindPeople returns contacts who have or had an address with one of the
	// keys, once for each such key, in the order of their ids.
	FindPeople(ctx context.Context, keys []audience.Key) ([]audience.Found, error)
	// Person returns a contact by id, with every key that she has or had.
	Person(ctx context.Context, id int64) (audience.Contact, []audience.KnownKey, error)
	// KeyOfMessage returns the key that a message with a provider's id was sent to.
	KeyOfMessage(ctx context.Context, id string) (audience.Key, error)
	// Communications returns messages of runs below before, the newest first, and
	// where to go on. Contact 0: to whoever had the keys.
	Communications(ctx context.Context, contact int64, keys []audience.KindKey, before int64, limit int) ([]dispatcher.Communication, int64, error)
	// Consents returns what stands, and what was withdrawn.
	Consents(ctx context.Context, contact audience.Key) ([]suppression.Grant, []suppression.PastGrant, error)
	// NewestChanges returns what the entries of the keys became, the newest first.
	NewestChanges(ctx context.Context, keys []audience.Key, limit int) ([]suppression.Entry, error)
	RepliesOf(ctx context.Context, keys []audience.Key, limit int) ([]suppression.Inbound, error)
	AuditOf(ctx context.Context, objects []string, limit int) ([]rights.Audited, error)
}

// mostOfAList bounds each list about a person but the communications, which have
// pages. The newest are in it.
const mostOfAList = 500

// person is a contact, or a bare key that nobody is known by.
type person struct {
	id      string
	contact *audience.Contact // nil: a bare key
	key     audience.Key      // that wishes are recorded for: of kind contact, or the bare one
	known   []audience.KnownKey
}

var personID = regexp.MustCompile(`^([0-9a-f]{32}|[1-9][0-9]{0,18})$`)

// person reads whom an id names: a contact by its number, or a key.
func (o *operator) person(ctx context.Context, id string) (person, error) {
	if !personID.MatchString(id) {
		return person{}, o.c.NotFound
	}
	if key, err := audience.ParseKey(id); err == nil {
		if key.IsZero() {
			return person{}, o.c.NotFound
		}
		return person{id: id, key: key, known: []audience.KnownKey{{KindKey: audience.KindKey{Key: key}}}}, nil
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return person{}, o.c.NotFound //nolint:nilerr // no contact has so great a number
	}
	c, known, err := o.c.Store.Person(ctx, n)
	return person{id: id, contact: &c, key: o.c.Keyer.Key(audience.KindContact, c.ExternalID), known: known}, err
}

func (p person) keys() (keys []audience.Key) {
	keys = []audience.Key{p.key}
	for _, k := range p.known {
		if k.Key != p.key {
			keys = append(keys, k.Key)
		}
	}
	return keys
}

// object is what the audit log calls the person.
func (p person) object() string {
	if p.contact == nil {
		return p.key.Short()
	}
	return contactObject(p.id)
}

func contactObject(id string) string { return "contact " + id }

// objects are all names that the audit log has for the person.
func (p person) objects() []string {
	all := []string{p.object()}
	for _, k := range p.keys() {
		if !slices.Contains(all, k.Short()) {
			all = append(all, k.Short())
		}
	}
	return all
}

// personAddress is an address that a person has or had.
type personAddress struct {
	Kind      string    `json:"kind,omitempty" doc:"email, phone, push, post or contact; absent for a bare key"`
	Key       string    `json:"key" doc:"In hexadecimal"`
	Current   bool      `json:"current"`
	FirstSeen time.Time `json:"first_seen,omitzero"`
}

// wishView is a wish with the addresses that it holds for.
type wishView struct {
	Channel   string    `json:"channel"`
	Topic     string    `json:"topic"`
	Purpose   string    `json:"purpose"`
	Sender    string    `json:"sender"`
	Cause     string    `json:"cause"`
	Says      string    `json:"says" doc:"The wish in plain words"`
	State     string    `json:"state" enum:"in_force,lifted,expired"`
	Source    string    `json:"source" doc:"link, import, operator, service, provider, sms or app; the name of a channel for a reply"`
	Evidence  string    `json:"evidence,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version" doc:"Of the suppression index that has it so"`
	Keys      []string  `json:"keys" doc:"Of the addresses that it holds for"`
}

// wishChange is what a wish became.
type wishChange struct {
	At        time.Time `json:"at"`
	Key       string    `json:"key"`
	Channel   string    `json:"channel"`
	Topic     string    `json:"topic"`
	Purpose   string    `json:"purpose"`
	Sender    string    `json:"sender"`
	Cause     string    `json:"cause"`
	Active    bool      `json:"active" doc:"False: it was lifted, or undone"`
	Source    string    `json:"source"`
	Evidence  string    `json:"evidence,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Version   int64     `json:"version"`
}

type consentView struct {
	Purpose     string    `json:"purpose"`
	Sender      string    `json:"sender"`
	Granted     bool      `json:"granted"`
	At          time.Time `json:"at"`
	Source      string    `json:"source"`
	Evidence    string    `json:"evidence,omitempty"`
	Notice      string    `json:"notice,omitempty" doc:"Version of the privacy notice"`
	WithdrawnAt time.Time `json:"withdrawn_at,omitzero"`
	Version     int64     `json:"version,omitempty" doc:"Of the wish that took it back"`
}

// subscriptionView is a subscription with the address that it was confirmed from.
type subscriptionView struct {
	suppression.Subscription
	Key     string `json:"key" doc:"Of the address that it was confirmed from"`
	Current bool   `json:"current" doc:"She has the address now. Nothing is sent on the ground of one that was confirmed from another"`
}

// communicationView is a communication with its cause in plain words.
type communicationView struct {
	dispatcher.Communication
	Says string `json:"says" doc:"What became of it, in plain words"`
}

// personView is all that is known of a person.
type personView struct {
	ID        string          `json:"id"`
	Contact   *contactView    `json:"contact,omitempty" doc:"Absent for a bare key"`
	Addresses []personAddress `json:"addresses" doc:"Every address that she has or had, as keys"`
	People    []foundPerson   `json:"people,omitempty" doc:"Of a bare key: the contacts who have or had it"`

	Wishes         []wishView            `json:"wishes" doc:"What she does not allow; lifted and expired wishes, too"`
	WishChanges    []wishChange          `json:"wish_changes" doc:"The newest 500, the newest first"`
	Consents       []consentView         `json:"consents"`
	Withdrawn      []consentView         `json:"withdrawn_consents"`
	Subscriptions  []subscriptionView    `json:"subscriptions" doc:"What she asked for and confirmed from her e-mail addresses, with its proof; what she has left since, too: leaving is a wish"`
	Communications []communicationView   `json:"communications" doc:"The newest first"`
	NextCursor     int64                 `json:"next_cursor,omitempty" doc:"Cursor of the next page of communications; absent on the last. A page may be short"`
	Messages       []suppression.Inbound `json:"messages" doc:"What she answered: the newest 500, the newest first"`
	Audit          []rights.Audited      `json:"audit" doc:"Who looked at her or changed something: the newest 500, the newest first"`
}

// file gathers all that is known of a person.
func (o *operator) file(ctx context.Context, p person, before int64, limit int) (v personView, err error) {
	v = personView{ID: p.id, Addresses: []personAddress{}}
	for _, k := range p.known {
		v.Addresses = append(v.Addresses, personAddress{string(k.Kind), k.Key.String(), k.Current, k.FirstSeen})
	}
	for _, add := range []func(context.Context, person, *personView) error{o.addWho, o.addWishes, o.addConsents, o.addSubscriptions, o.addMessages} {
		if err := add(ctx, p, &v); err != nil {
			return v, err
		}
	}
	return v, o.addCommunications(ctx, p, before, limit, &v)
}

func (o *operator) addWho(ctx context.Context, p person, v *personView) error {
	if p.contact != nil {
		c := viewContact(*p.contact)
		v.Contact = &c
		return nil
	}
	found, err := o.followClues(ctx, []clue{{how: byKey, key: p.key}})
	v.People = found.People
	return err
}

func (o *operator) addWishes(ctx context.Context, p person, v *personView) error {
	entries, err := o.c.Store.Entries(ctx, p.keys())
	if err != nil {
		return err
	}
	v.Wishes = wishesOf(entries, o.c.Now())
	changes, err := o.c.Store.NewestChanges(ctx, p.keys(), mostOfAList)
	v.WishChanges = make([]wishChange, len(changes))
	for i, e := range changes {
		v.WishChanges[i] = wishChange{e.CreatedAt, e.Key.String(), e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause), e.Active, e.Source, e.Evidence,
			e.ExpiresAt, e.Version}
	}
	return err
}

// wishesOf gathers the entries of a person that say the same, those in force
// first.
func wishesOf(entries []suppression.Entry, now time.Time) []wishView {
	wishes := []wishView{}
	type identity struct{ channel, topic, purpose, sender, cause, state string }
	place := map[identity]int{}
	for _, e := range entries {
		state := "lifted"
		if e.Active {
			state = map[bool]string{true: "in_force", false: "expired"}[e.InForce(now)]
		}
		id := identity{e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause), state}
		i, there := place[id]
		if !there {
			i, place[id] = len(wishes), len(wishes)
			wishes = append(wishes, wishView{e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause), sayWish(e), state, e.Source, e.Evidence,
				e.ExpiresAt, e.CreatedAt, e.Version, nil})
		}
		wishes[i].Keys = append(wishes[i].Keys, e.Key.String())
	}
	slices.SortStableFunc(wishes, func(a, b wishView) int { return strings.Compare(a.State, b.State) })
	slices.SortStableFunc(wishes, func(a, b wishView) int { return inForceFirst(a) - inForceFirst(b) })
	return wishes
}

func inForceFirst(w wishView) int {
	if w.State == "in_force" {
		return 0
	}
	return 1
}

func (o *operator) addConsents(ctx context.Context, p person, v *personView) error {
	now, before, err := o.c.Store.Consents(ctx, p.key)
	v.Consents, v.Withdrawn = make([]consentView, len(now)), make([]consentView, len(before))
	for i, g := range now {
		v.Consents[i] = viewGrant(g)
	}
	for i, g := range before {
		v.Withdrawn[i] = viewGrant(g.Grant)
		v.Withdrawn[i].WithdrawnAt, v.Withdrawn[i].Version = g.WithdrawnAt, g.Version
	}
	return err
}

func viewGrant(g suppression.Grant) consentView {
	return consentView{Purpose: string(g.Purpose), Sender: g.Sender, Granted: g.Granted, At: g.At, Source: g.Source, Evidence: g.Evidence, Notice: g.Notice}
}

// addSubscriptions adds what was confirmed from each e-mail address that the person
// has or had. What kind of address a bare key is of, nobody knows.
func (o *operator) addSubscriptions(ctx context.Context, p person, v *personView) error {
	v.Subscriptions = []subscriptionView{}
	for _, k := range p.known {
		if k.Kind != audience.KindEmail && p.contact != nil {
			continue
		}
		confirmed, err := o.c.Store.Subscriptions(ctx, k.Key)
		if err != nil {
			return err
		}
		for _, s := range confirmed {
			v.Subscriptions = append(v.Subscriptions, subscriptionView{s, k.Key.String(), k.Current})
		}
	}
	return nil
}

func (o *operator) addMessages(ctx context.Context, p person, v *personView) error {
	replies, err := o.c.Store.RepliesOf(ctx, p.keys(), mostOfAList)
	if err != nil {
		return err
	}
	lines, err := o.c.Store.AuditOf(ctx, p.objects(), mostOfAList)
	v.Messages, v.Audit = append([]suppression.Inbound{}, replies...), append([]rights.Audited{}, lines...)
	return err
}

func (o *operator) addCommunications(ctx context.Context, p person, before int64, limit int, v *personView) error {
	var contact int64
	if p.contact != nil {
		contact = p.contact.ID
	}
	kinds := make([]audience.KindKey, len(p.known))
	for i, k := range p.known {
		kinds[i] = k.KindKey
	}
	all, next, err := o.c.Store.Communications(ctx, contact, kinds, before, limit)
	v.NextCursor, v.Communications = next, make([]communicationView, len(all))
	for i, c := range all {
		v.Communications[i] = communicationView{c, sayOutcome(c.Outcome, c.Cause)}
	}
	return err
}

const peopleTag = "Customer service"

func (o *operator) registerPeople() {
	huma.Register(o.api, operation(http.MethodPost, "/v1/people/find", "find-people", peopleTag, "Find a person",
		"By anything that names her: an e-mail address, a phone number in any spelling, an external id, the number of a contact, a push token, a key, a link "+
			"from one of our messages or its token, a Message-ID, or a provider's id of a message; also by an address that she had before. Who asked is in the audit log; what was asked is not."),
		o.findPeople)
	huma.Register(o.api, operation(http.MethodGet, "/v1/people/{id}", "get-person", peopleTag, "Show all that is known of a person",
		"Every communication with its outcome and cause, every wish with its source and time, every consent, what she answered, and who looked. Go on with next_cursor until there is none."),
		o.getPerson)
	add := operation(http.MethodPost, "/v1/people/{id}/wishes", "add-wish", peopleTag, "Record a wish on a person's behalf",
		"When this answers, no send to the person can be started any more within the scope. It holds for every address that she has or had. Either choice, one of the choices of "+
			"the preference page, or a scope of its own; * is any.")
	add.DefaultStatus = http.StatusCreated
	huma.Register(o.api, add, o.addWish)
	huma.Register(o.api, operation(http.MethodPost, "/v1/people/{id}/wishes/lift", "lift-wish", peopleTag, "Lift a wish on a person's behalf",
		"Lifts the wish of exactly this scope and cause, as wishes shows it, for all addresses of the person that have it. Other wishes stay, and so does the absence of a consent. "+
			"A restriction is lifted by its case alone. "+
			"What is not in force is lifted without an effect: keys is 0."),
		o.liftWish)
}

type findFields struct {
	Text string `json:"text" minLength:"1" maxLength:"4096" doc:"What names the person"`
	Kind string `json:"kind,omitempty" enum:"email,phone,push,contact,contact_id,key,link,message" doc:"What text is, where that is known: without it, a push token of nobody is taken for an external id"`
}

func (o *operator) findPeople(ctx context.Context, in *struct{ Body findFields }) (*struct{ Body foundAnswer }, error) {
	found, err := o.find(ctx, in.Body.Text, in.Body.Kind)
	if err != nil {
		return nil, o.failed("person", err)
	}
	o.auditFinding(ctx, found)
	return &struct{ Body foundAnswer }{found}, nil
}

func (o *operator) getPerson(ctx context.Context, in *struct {
	ID     string `path:"id" doc:"Number of a contact, or a key in hexadecimal"`
	Cursor int64  `query:"cursor" minimum:"0" doc:"next_cursor of the page of communications before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Communications on a page, about: those of a run are together"`
}) (*struct{ Body personView }, error) {
	p, err := o.person(ctx, in.ID)
	if err != nil {
		return nil, o.failed(noPerson, err)
	}
	v, err := o.file(ctx, p, from(in.Cursor), in.Limit)
	if err != nil {
		return nil, o.failed(noPerson, err)
	}
	o.audit(ctx, "person.show", p.object(), "")
	return &struct{ Body personView }{v}, nil
}

const noPerson = "person with this id"

// from is where a page begins: at the newest without a cursor.
func from(cursor int64) int64 {
	if cursor == 0 {
		return 1<<63 - 1
	}
	return cursor
}

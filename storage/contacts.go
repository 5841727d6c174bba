package storage

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"utskick/audience"
	"utskick/suppression"
)

const contactColumns = `c.id, c.external_id, c.email, c.phone, c.first_name, c.last_name, c.locale, c.timezone, c.attributes,
	c.basis, c.basis_evidence, c.sale, c.sale_offered, c.sale_family, c.created_at, c.updated_at`

func scanContact(rows interface{ Scan(...any) error }) (audience.Contact, error) {
	var c audience.Contact
	var attributes []byte
	var created, updated int64
	err := rows.Scan(&c.ID, &c.ExternalID, &c.Email, &c.Phone, &c.FirstName, &c.LastName, &c.Locale, &c.TimeZone, &attributes,
		&c.Basis, &c.BasisEvidence, &c.Sale.Reference, &c.Sale.Offered, &c.Sale.Family, &created, &updated)
	if err != nil {
		return c, err
	}
	c.CreatedAt, c.UpdatedAt = timeOf(created), timeOf(updated)
	if len(attributes) > len("{}") {
		err = json.Unmarshal(attributes, &c.Attributes)
	}
	return c, err
}

// SaveContacts implements [audience.Store]: it applies the rows in one
// transaction, updating those whose external id is known. Consents of the rows
// are written as grants; a wish is never lifted by a file.
func (s *Store) SaveContacts(ctx context.Context, rows []audience.Row) (saved audience.Saved, err error) {
	var refused []journalLine
	var bound written
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		saved, refused, bound, err = s.saveContacts(ctx, tx, rows)
		return err
	})
	if err == nil {
		err = s.journalRefusals(refused)
	}
	if err == nil && len(bound.entries) > 0 {
		err = s.journalEntries(bound)
	}
	if err != nil {
		return audience.Saved{}, fmt.Errorf("save %d contacts: %w", len(rows), err)
	}
	return saved, nil
}

// saveContacts returns, beside what it did, which consents are refused that were
// not before, and which wishes bind the contacts that did not before.
func (s *Store) saveContacts(ctx context.Context, tx *sql.Tx, rows []audience.Row) (saved audience.Saved, refused []journalLine, bound written, err error) {
	if err := s.keepPeople(ctx, tx); err != nil {
		return saved, nil, bound, err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.Contact.ExternalID
	}
	stored, err := s.contactsByExternalID(ctx, tx, ids)
	if err != nil {
		return saved, nil, bound, fmt.Errorf("read the contacts that are there: %w", err)
	}
	var created, updated []audience.Contact
	for _, r := range rows {
		before, known := stored[r.Contact.ExternalID]
		after, changed := r.Apply(before)
		switch {
		case !known:
			created = append(created, after)
		case changed:
			updated = append(updated, after)
		}
	}
	saved = audience.Saved{Created: len(created), Updated: len(updated), Unchanged: len(rows) - len(created) - len(updated)}
	if bringsAddress(created, updated, stored) {
		if err := s.lockHead(ctx, tx); err != nil {
			return saved, nil, bound, err
		}
	}
	refused, fresh, err := s.writeContacts(ctx, tx, created, updated, stored, rows)
	if err != nil {
		return saved, nil, bound, err
	}
	bound, err = s.bindWishes(ctx, tx, fresh)
	return saved, refused, bound, err
}

// writeContacts returns which consents are refused that were not before, and which
// addresses are new.
func (s *Store) writeContacts(ctx context.Context, tx *sql.Tx, created, updated []audience.Contact, stored map[string]audience.Contact,
	rows []audience.Row) (refused []journalLine, fresh []newKey, err error) {
	if refused, err = s.writeGrants(ctx, tx, rows, stored); err != nil {
		return nil, nil, fmt.Errorf("consents: %w", err)
	}
	if err := s.writeRelations(ctx, tx, rows, stored); err != nil {
		return nil, nil, fmt.Errorf("relations: %w", err)
	}
	if err := s.yieldAddresses(ctx, tx, append(created[:len(created):len(created)], updated...)); err != nil {
		return nil, nil, err
	}
	if err := s.insertContacts(ctx, tx, created); err != nil {
		return nil, nil, fmt.Errorf("insert: %w", err)
	}
	if err := s.updateContacts(ctx, tx, updated); err != nil {
		return nil, nil, fmt.Errorf("update: %w", err)
	}
	changed := append(created, updated...)
	if err := s.writeDevices(ctx, tx, changed, stored); err != nil {
		return nil, nil, fmt.Errorf("devices: %w", err)
	}
	if fresh, err = s.writeAddressKeys(ctx, tx, changed); err != nil {
		return nil, nil, fmt.Errorf("keys: %w", err)
	}
	for _, r := range rows {
		if c, known := stored[r.Contact.ExternalID]; known && len(r.Consents) > 0 {
			changed = append(changed, c)
		}
	}
	return refused, fresh, s.refuseAsWished(ctx, tx, changed)
}

func (s *Store) contactsByExternalID(ctx context.Context, from queryer, ids []string) (map[string]audience.Contact, error) {
	q := s.query()
	text := `select ` + contactColumns + ` from ` + q.table("u", texts("external_id", ids)) + ` join contacts c on c.external_id = u.external_id`
	out := make(map[string]audience.Contact, len(ids))
	byID := map[int64]string{}
	err := each(ctx, from, text, q.args, func(rows *sql.Rows) error {
		c, err := scanContact(rows)
		out[c.ExternalID], byID[c.ID] = c, c.ExternalID
		return err
	})
	if err != nil || len(out) == 0 {
		return out, err
	}
	devices, err := s.devicesOf(ctx, from, byID)
	for id, list := range devices {
		c := out[byID[id]]
		c.Devices = list
		out[byID[id]] = c
	}
	return out, err
}

func (s *Store) devicesOf(ctx context.Context, from queryer, contacts map[int64]string) (map[int64][]audience.Device, error) {
	ids := make([]int64, 0, len(contacts))
	for id := range contacts {
		ids = append(ids, id)
	}
	q := s.query()
	text := `select d.contact, d.id, d.token, d.active from ` + q.table("u", ints("id", ids)) + ` join devices d on d.contact = u.id order by d.id`
	out := map[int64][]audience.Device{}
	err := each(ctx, from, text, q.args, func(rows *sql.Rows) error {
		var contact int64
		var d audience.Device
		err := rows.Scan(&contact, &d.ID, &d.Token, &d.Active)
		out[contact] = append(out[contact], d)
		return err
	})
	return out, err
}

// contactTable passes contacts as a table, with the keys of their addresses.
func (s *Store) contactTable(q *query, contacts []audience.Contact) (string, error) {
	n := len(contacts)
	own, email, phone := make([]audience.Key, n), make([]audience.Key, n), make([]audience.Key, n)
	var fields [13][]string
	for i, c := range contacts {
		own[i] = s.keyer.Key(audience.KindContact, c.ExternalID)
		email[i], phone[i] = s.keyOf(audience.KindEmail, c.Email), s.keyOf(audience.KindPhone, c.Phone)
		attributes, err := marshalAttributes(c.Attributes)
		if err != nil {
			return "", err
		}
		for j, v := range []string{c.ExternalID, c.Email, c.Phone, c.FirstName, c.LastName, c.Locale, c.TimeZone, attributes,
			string(c.Basis), c.BasisEvidence, c.Sale.Reference, c.Sale.Offered, c.Sale.Family} {
			fields[j] = append(fields[j], v)
		}
	}
	return q.table("u", keys("contact_k", own), keys("email_k", email), keys("phone_k", phone), texts("external_id", fields[0]),
		texts("email", fields[1]), texts("phone", fields[2]), texts("first_name", fields[3]), texts("last_name", fields[4]),
		texts("locale", fields[5]), texts("timezone", fields[6]), texts("attributes", fields[7]), texts("basis", fields[8]),
		texts("basis_evidence", fields[9]), texts("sale", fields[10]), texts("sale_offered", fields[11]), texts("sale_family", fields[12])), nil
}

// marshalAttributes writes attributes as a flat JSON object, names in order.
func marshalAttributes(attributes map[string]string) (string, error) {
	if len(attributes) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(attributes)
	return string(b), err
}

// keyOf returns the key of an address, or the zero key of an absent one.
func (s *Store) keyOf(kind audience.Kind, address string) audience.Key {
	if address == "" {
		return audience.Key{}
	}
	return s.keyer.Key(kind, address)
}

// insertContacts writes new contacts and fills in their ids, which follow the
// order of the file: of those who share an address, the first stands for all.
func (s *Store) insertContacts(ctx context.Context, tx *sql.Tx, contacts []audience.Contact) error {
	if len(contacts) == 0 {
		return nil
	}
	q := s.query()
	table, err := s.contactTable(q, contacts)
	if err != nil {
		return err
	}
	now := q.cast(s.millis(), "bigint")
	text := fmt.Sprintf(`insert into contacts (contact_k, email_k, phone_k, external_id, email, phone, first_name, last_name, locale,
		timezone, attributes, basis, basis_evidence, sale, sale_offered, sale_family, grants, relations, created_at, updated_at)
		select u.contact_k, u.email_k, u.phone_k, u.external_id, u.email, u.phone, u.first_name, u.last_name, u.locale, u.timezone,
		u.attributes, u.basis, u.basis_evidence, u.sale, u.sale_offered, u.sale_family, `+grantsOf+`, `+relationsOf+`, %[2]s, %[2]s from %[1]s returning id, external_id`, table, now, "u.contact_k")
	ids := make(map[string]int64, len(contacts))
	err = each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var id int64
		var external string
		err := rows.Scan(&id, &external)
		ids[external] = id
		return err
	})
	for i := range contacts {
		contacts[i].ID = ids[contacts[i].ExternalID]
	}
	return err
}

func (s *Store) updateContacts(ctx context.Context, tx *sql.Tx, contacts []audience.Contact) error {
	if len(contacts) == 0 {
		return nil
	}
	q := s.query()
	table, err := s.contactTable(q, contacts)
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`update contacts set email = u.email, email_k = u.email_k, phone = u.phone, phone_k = u.phone_k,
		first_name = u.first_name, last_name = u.last_name, locale = u.locale, timezone = u.timezone, attributes = u.attributes,
		basis = u.basis, basis_evidence = u.basis_evidence, sale = u.sale, sale_offered = u.sale_offered,
		sale_family = u.sale_family, updated_at = %s from %s where contacts.external_id = u.external_id`,
		q.cast(s.millis(), "bigint"), table)
	_, err = tx.ExecContext(ctx, text, q.args...)
	return err
}

// writeDevices makes each contact's devices those that she has now. The keys of
// the others stay in address_keys.
func (s *Store) writeDevices(ctx context.Context, tx *sql.Tx, contacts []audience.Contact, stored map[string]audience.Contact) error {
	var owners []int64
	var tokens []string
	var ks []audience.Key
	var gone []int64
	for _, c := range contacts {
		for _, d := range c.Devices {
			owners, tokens = append(owners, c.ID), append(tokens, d.Token)
			ks = append(ks, s.keyOf(audience.KindPush, d.Token))
		}
		for _, d := range stored[c.ExternalID].Devices {
			if !hasToken(c.Devices, d.Token) {
				gone = append(gone, d.ID)
			}
		}
	}
	if len(gone) > 0 {
		q := s.query()
		text := `delete from devices where id in (select u.id from ` + q.table("u", ints("id", gone)) + `)`
		if _, err := tx.ExecContext(ctx, text, q.args...); err != nil {
			return err
		}
	}
	if len(owners) == 0 {
		return nil
	}
	q := s.query()
	now := q.cast(s.millis(), "bigint")
	text := fmt.Sprintf(`insert into devices (contact, token, k, created_at, updated_at) select u.contact, u.token, u.k, %[2]s, %[2]s
		from %[1]s where true on conflict (contact, k) do nothing`, q.table("u", ints("contact", owners), texts("token", tokens), keys("k", ks)), now)
	_, err := tx.ExecContext(ctx, text, q.args...)
	return err
}

func hasToken(devices []audience.Device, token string) bool {
	for _, d := range devices {
		if d.Token == token {
			return true
		}
	}
	return false
}

// writeGrants writes what the rows say of consents. Contacts
// that are inserted afterwards find it. A yes does not stand against a wish on
// record: a file lifts none. It returns what is refused that was not before.
func (s *Store) writeGrants(ctx context.Context, tx *sql.Tx, rows []audience.Row, stored map[string]audience.Contact) ([]journalLine, error) {
	var ks, known []audience.Key
	var purposes, senders, notices []string
	var granted []int64
	inForce := map[string]string{} // by sender
	for _, r := range rows {
		k := s.keyer.Key(audience.KindContact, r.Contact.ExternalID)
		for name, yes := range r.Consents {
			purpose, sender := audience.SplitConsent(name)
			ks, purposes, senders = append(ks, k), append(purposes, purpose), append(senders, cmp.Or(sender, suppression.Any))
			granted = append(granted, map[bool]int64{true: 1}[yes])
			notice, err := s.noticeOfConsent(ctx, tx, r, sender, inForce)
			if err != nil {
				return nil, err
			}
			notices = append(notices, notice)
		}
		if _, there := stored[r.Contact.ExternalID]; there && len(r.Consents) > 0 {
			known = append(known, k)
		}
	}
	if len(ks) == 0 {
		return nil, nil
	}
	q := s.query()
	now := q.cast(s.millis(), "bigint")
	text := fmt.Sprintf(`insert into consents (contact_k, purpose, sender, granted, at, source, evidence, notice)
		select u.k, u.purpose, u.sender, u.granted = 1, %[1]s, 'import', 'contacts file', u.notice from %[2]s
		where u.granted = 0 or not exists (select 1 from suppressions x where x.k = u.k and x.purpose = u.purpose and x.sender in ('*', u.sender) and x.active
		and (x.expires_at is null or x.expires_at > %[1]s))
		on conflict (contact_k, purpose, sender) do update set granted = excluded.granted, at = excluded.at,
		source = excluded.source, evidence = excluded.evidence, notice = excluded.notice where consents.granted <> excluded.granted
		returning contact_k, purpose, sender, granted, at, source, evidence, (select ver from suppression_head)`,
		now, q.table("u", keys("k", ks), texts("purpose", purposes), texts("sender", senders), ints("granted", granted), texts("notice", notices)))
	var refused []journalLine
	err := each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var l journalLine
		var k audience.Key
		var granted bool
		err := rows.Scan(&k, &l.Purpose, &l.Sender, &granted, &l.At, &l.Source, &l.Evidence, &l.Version)
		if l.Key = k.String(); !granted {
			refused = append(refused, l)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return refused, s.copyGrants(ctx, tx, known)
}

// journalRefusals returns when the refusals are in the journal. (What is granted
// is not: after a restore, unknown is no.)
func (s *Store) journalRefusals(refused []journalLine) error {
	var lines []byte
	for _, l := range refused {
		var err error
		if lines, err = appendLine(lines, l); err != nil {
			return err
		}
	}
	if err := s.journal.append(lines); err != nil {
		return fmt.Errorf("the contacts are in the database: %w", err)
	}
	return nil
}

// grantsOf is the expression for contacts.grants of the contact whose key it is
// formatted with as third argument.
const grantsOf = `coalesce((select string_agg(x.purpose || ' ' || x.sender || case when x.granted then ' yes' else ' no' end, '
' order by x.purpose, x.sender) from consents x where x.contact_k = %[3]s), '')`

// copyGrants brings contacts.grants of contacts that are there up to date.
// Whoever writes consents calls it in the same transaction.
func (s *Store) copyGrants(ctx context.Context, tx *sql.Tx, ks []audience.Key) error {
	if len(ks) == 0 {
		return nil
	}
	q := s.query()
	text := fmt.Sprintf(`update contacts set grants = `+grantsOf+` where contact_k in (select u.k from %[1]s) and grants <> `+grantsOf,
		q.table("u", keys("k", ks)), nil, "contacts.contact_k")
	_, err := tx.ExecContext(ctx, text, q.args...)
	return err
}

// RegisterAttributes makes attribute names known to templates.
func (s *Store) RegisterAttributes(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	q := s.query()
	now := q.cast(s.millis(), "bigint")
	text := fmt.Sprintf(`insert into attributes (name, created_at) select u.name, %s from %s where true on conflict (name) do nothing`,
		now, q.table("u", texts("name", names)))
	if _, err := s.write.ExecContext(ctx, text, q.args...); err != nil {
		return fmt.Errorf("register attributes: %w", err)
	}
	return nil
}

// Attributes returns the registered attribute names in order.
func (s *Store) Attributes(ctx context.Context) ([]string, error) {
	return valuesOf[string](ctx, s.read, `select name from attributes order by name`)
}

// Contact returns a contact with its devices by external id, or ErrNotFound.
func (s *Store) Contact(ctx context.Context, externalID string) (audience.Contact, error) {
	found, err := s.contactsByExternalID(ctx, s.read, []string{externalID})
	if err != nil {
		return audience.Contact{}, fmt.Errorf("read a contact: %w", err)
	}
	c, ok := found[externalID]
	if !ok {
		return c, fmt.Errorf("contact %q: %w", externalID, ErrNotFound)
	}
	return c, nil
}

// Contacts returns up to limit contacts with an id above after, in id order,
// without their devices.
func (s *Store) Contacts(ctx context.Context, after int64, limit int) ([]audience.Contact, error) {
	var out []audience.Contact
	text := `select ` + contactColumns + ` from contacts c where c.id > $1 order by c.id limit $2`
	err := each(ctx, s.read, text, []any{after, limit}, func(rows *sql.Rows) error {
		c, err := scanContact(rows)
		out = append(out, c)
		return err
	})
	return out, err
}

// CountContacts returns how many contacts there are.
func (s *Store) CountContacts(ctx context.Context) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, `select count(*) from contacts`).Scan(&n)
	return n, err
}

// KeysOfContact returns every key that a contact has or had.
func (s *Store) KeysOfContact(ctx context.Context, contact int64) ([]audience.Key, error) {
	return valuesOf[audience.Key](ctx, s.read, `select k from address_keys where contact = $1`, contact)
}

// orNotFound turns the driver's word for no row into ours.
func orNotFound(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ContactKeys returns the keys, of kind contact, of those who have an address
// with the key now.
func (s *Store) ContactKeys(ctx context.Context, address audience.Key) ([]audience.Key, error) {
	const text = `select contact_k from contacts where email_k = $1 or phone_k = $1 or contact_k = $1
		union select c.contact_k from devices d join contacts c on c.id = d.contact where d.k = $1`
	return valuesOf[audience.Key](ctx, s.read, text, keyArg(address))
}

package audience

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Fields is a set of a contact's fields.
type Fields uint16

// The fields that a row may carry beside its external id and its attributes.
const (
	FieldEmail Fields = 1 << iota
	FieldPhone
	FieldDevices
	FieldLocale
	FieldTimeZone
	FieldFirstName
	FieldLastName
	FieldBasis
	FieldBasisEvidence
	FieldSale
	FieldOffered
	FieldFamily
)

// Has reports whether all fields of other are in f.
func (f Fields) Has(other Fields) bool { return f&other == other }

// Row is what one row of a file says about a contact. A field that is not in
// Set is not spoken of: a stored value stays. A field in Set that is empty is
// cleared.
type Row struct {
	Line    int     // where the row starts in its file, from 1
	Contact Contact // without ID, CreatedAt and UpdatedAt; devices have a token alone
	Set     Fields
	// Consents holds the grants and refusals by purpose or, towards one sender, by
	// purpose.sender; see [SplitConsent]. What is not in it is unknown to the file,
	// and a stored grant or refusal stays.
	Consents map[string]bool
	// ConsentNotice is the version of the privacy notice that the consents were
	// given under; empty: the one in force.
	ConsentNotice string
	// Relations are those to senders, by name. What is not in it is unknown to the
	// file, and what is stored stays.
	Relations map[string]Relation
}

// Relation is what a person has with a sender beside messages: as a customer, a
// member, a borrower.
type Relation struct {
	Sender string `json:"sender"`
	Since  string `json:"since,omitempty"` // a day such as 2019-05-01; empty: not known
	Ended  bool   `json:"ended,omitempty"`
}

// SplitConsent returns what a consent is for, and towards which sender; without a
// name, it is towards all.
func SplitConsent(name string) (purpose, sender string) {
	purpose, sender, _ = strings.Cut(name, ".")
	return purpose, sender
}

// Apply returns the contact as it is once the row has been saved, and whether
// that differs from what is stored. For a new contact, stored is the zero
// Contact.
//
// Contact.Attributes of the row are set one by one: an empty value removes the
// attribute, and those that the row does not name stay. The devices become
// those of the row; one that is known keeps its ID and stays inactive if it
// was, because a file does not prove that an app is installed again. Evidence
// belongs to its basis: a row that changes the basis and does not speak of
// evidence clears it. Consents are no part of a contact.
func (r Row) Apply(stored Contact) (applied Contact, changed bool) {
	applied = stored
	applied.ExternalID = r.Contact.ExternalID
	applied.Attributes = maps.Clone(stored.Attributes)
	r.copySet(&applied)
	if applied.Basis != stored.Basis && !r.Set.Has(FieldBasisEvidence) {
		applied.BasisEvidence = ""
	}
	r.setAttributes(&applied)
	if r.Set.Has(FieldDevices) {
		applied.Devices = keepKnown(stored.Devices, r.Contact.Devices)
	}
	return applied, !sameContact(applied, stored)
}

// merge lets a later row about the same contact speak over r.
func (r *Row) merge(later Row) {
	later.copySet(&r.Contact)
	r.Line = later.Line
	r.Set |= later.Set
	r.Contact.Attributes = overlay(r.Contact.Attributes, later.Contact.Attributes)
	r.Consents = overlay(r.Consents, later.Consents)
	r.ConsentNotice = cmp.Or(later.ConsentNotice, r.ConsentNotice)
	r.Relations = overlay(r.Relations, later.Relations)
}

func overlay[V any](under, over map[string]V) map[string]V {
	if under == nil {
		return over
	}
	maps.Copy(under, over)
	return under
}

// copySet copies the fields in Set as they are in the row.
func (r Row) copySet(to *Contact) {
	copyIf(r.Set.Has(FieldEmail), &to.Email, r.Contact.Email)
	copyIf(r.Set.Has(FieldPhone), &to.Phone, r.Contact.Phone)
	copyIf(r.Set.Has(FieldDevices), &to.Devices, r.Contact.Devices)
	copyIf(r.Set.Has(FieldLocale), &to.Locale, r.Contact.Locale)
	copyIf(r.Set.Has(FieldTimeZone), &to.TimeZone, r.Contact.TimeZone)
	copyIf(r.Set.Has(FieldFirstName), &to.FirstName, r.Contact.FirstName)
	copyIf(r.Set.Has(FieldLastName), &to.LastName, r.Contact.LastName)
	copyIf(r.Set.Has(FieldBasis), &to.Basis, r.Contact.Basis)
	copyIf(r.Set.Has(FieldBasisEvidence), &to.BasisEvidence, r.Contact.BasisEvidence)
	copyIf(r.Set.Has(FieldSale), &to.Sale.Reference, r.Contact.Sale.Reference)
	copyIf(r.Set.Has(FieldOffered), &to.Sale.Offered, r.Contact.Sale.Offered)
	copyIf(r.Set.Has(FieldFamily), &to.Sale.Family, r.Contact.Sale.Family)
}

func copyIf[T any](wanted bool, to *T, from T) {
	if wanted {
		*to = from
	}
}

func (r Row) setAttributes(c *Contact) {
	for name, value := range r.Contact.Attributes {
		if value == "" {
			delete(c.Attributes, name)
			continue
		}
		if c.Attributes == nil {
			c.Attributes = make(map[string]string, len(r.Contact.Attributes))
		}
		c.Attributes[name] = value
	}
}

func keepKnown(stored, listed []Device) []Device {
	devices := make([]Device, 0, len(listed))
	for _, d := range listed {
		known := slices.IndexFunc(stored, func(s Device) bool { return s.Token == d.Token })
		if known >= 0 {
			d = stored[known]
		}
		devices = append(devices, d)
	}
	return devices
}

// sameContact compares what a file can say; the order of devices says nothing.
func sameContact(a, b Contact) bool {
	return a.ExternalID == b.ExternalID &&
		a.Email == b.Email && a.Phone == b.Phone &&
		a.Locale == b.Locale && a.TimeZone == b.TimeZone &&
		a.FirstName == b.FirstName && a.LastName == b.LastName &&
		a.Basis == b.Basis && a.BasisEvidence == b.BasisEvidence && a.Sale == b.Sale &&
		maps.Equal(a.Attributes, b.Attributes) && sameDevices(a.Devices, b.Devices)
}

func sameDevices(a, b []Device) bool {
	if len(a) != len(b) {
		return false
	}
	for _, d := range a {
		if !slices.Contains(b, d) {
			return false
		}
	}
	return true
}

package audience

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/language"
)

// Rules for the cells of a row.
const (
	ErrLocale   Rule = "is not a locale such as sv-SE"
	ErrTimeZone Rule = "is not a time zone such as Europe/Stockholm"
	ErrBasis    Rule = "is not consent, soft_optin or empty"
	ErrYesNo    Rule = "is not yes, no or empty"
	ErrSale     Rule = "is longer than 200 bytes: a date, or the number of a receipt is enough"
	ErrFamily   Rule = "is not a word of a to z, digits, - and _, at most 63"
	ErrVersion  Rule = "is not a version such as 2026-01-15: at most 63 letters, digits, dots, - and _"
	ErrRelation Rule = "is not a day such as 2019-05-01, yes, ended or empty"
	ErrUnproven Rule = "is soft_optin, which counts only with soft_optin.sale, soft_optin.offered = yes and soft_optin.family: unless they are on record already, nothing is sent"
)

const (
	maxLocale   = 35 // RFC 5646, 4.4.1
	maxTimeZone = 64
)

// column reads the cells of one column of a file.
type column struct {
	name      string
	attribute bool
	rejects   bool // a bad cell rejects the row, instead of leaving the field as it is
	read      func(cell string, row *Row) error
}

// cellReader knows how the cells of every column are read.
type cellReader struct {
	region   string
	basis    Basis
	evidence string
	sale     Sale

	locale, timeZone func(string) (string, error)
}

func newCellReader(o ImportOptions) *cellReader {
	return &cellReader{
		region: o.Region, basis: o.Basis, evidence: o.Evidence, sale: o.Sale,
		locale: memo(normalizeLocale), timeZone: memo(normalizeTimeZone),
	}
}

// column returns how the cells below a name are read, or what is wrong with
// the name.
func (r *cellReader) column(name string, purposes []string) (c column, problem string) {
	if rest, ok := strings.CutPrefix(name, consentPrefix); ok {
		purpose, sender := SplitConsent(rest)
		switch {
		case !slices.Contains(purposes, purpose):
			return column{}, "names no purpose: known are " + strings.Join(purposes, ", ")
		case rest != purpose && !senderName.MatchString(sender):
			return column{}, "names no sender: a name has a to z, digits, - and _, at most 63"
		}
		return column{name: name, rejects: true, read: consent(rest)}, ""
	}
	if sender, ok := strings.CutPrefix(name, relationPrefix); ok {
		if !senderName.MatchString(sender) {
			return column{}, "names no sender: a name has a to z, digits, - and _, at most 63"
		}
		return column{name: name, rejects: true, read: relation(sender)}, ""
	}
	if c, ok := r.fixed(name); ok {
		return c, ""
	}
	if !attributeName.MatchString(name) {
		return column{}, "cannot be the name of an attribute: use a to z, 0 to 9 and _, a letter first, at most 63"
	}
	return column{name: name, attribute: true, read: attribute(name)}, ""
}

// fixed returns the columns whose names are part of the format.
func (r *cellReader) fixed(name string) (column, bool) {
	c := column{name: name}
	switch name {
	case idColumn:
		c.rejects, c.read = true, readExternalID
	case "email":
		c.read = field(FieldEmail, func(c *Contact) *string { return &c.Email }, NormalizeEmail)
	case "phone":
		c.read = field(FieldPhone, func(c *Contact) *string { return &c.Phone }, r.phone)
	case "push_token":
		c.read = readDevices
	case "locale":
		c.read = field(FieldLocale, func(c *Contact) *string { return &c.Locale }, r.locale)
	case "timezone":
		c.read = field(FieldTimeZone, func(c *Contact) *string { return &c.TimeZone }, r.timeZone)
	case "first_name":
		c.read = field(FieldFirstName, func(c *Contact) *string { return &c.FirstName }, oneLine)
	case "last_name":
		c.read = field(FieldLastName, func(c *Contact) *string { return &c.LastName }, oneLine)
	case "basis":
		c.rejects, c.read = true, readBasis
	case "basis_evidence":
		c.rejects, c.read = true, field(FieldBasisEvidence, func(c *Contact) *string { return &c.BasisEvidence }, plainText)
	case "soft_optin.sale":
		c.rejects, c.read = true, field(FieldSale, func(c *Contact) *string { return &c.Sale.Reference }, saleReference)
	case "soft_optin.offered":
		c.rejects, c.read = true, field(FieldOffered, func(c *Contact) *string { return &c.Sale.Offered }, yesNo)
	case "soft_optin.family":
		c.rejects, c.read = true, field(FieldFamily, func(c *Contact) *string { return &c.Sale.Family }, productFamily)
	case "consent_notice":
		c.rejects, c.read = true, readNotice
	default:
		return column{}, false
	}
	return c, true
}

// maxSale is how long a reference to a sale may be, in bytes.
const maxSale = 200

func saleReference(s string) (string, error) {
	if len(s) > maxSale {
		return "", ErrSale
	}
	if rule := forbidden(s); rule != "" {
		return "", rule
	}
	return oneLine(s)
}

func yesNo(s string) (string, error) {
	if s = strings.ToLower(s); s != "yes" && s != "no" {
		return "", ErrYesNo
	}
	return s, nil
}

var familyForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func productFamily(s string) (string, error) {
	if s = strings.ToLower(s); !familyForm.MatchString(s) {
		return "", ErrFamily
	}
	return s, nil
}

// CheckFamily refuses a family of products that no file could name.
func CheckFamily(family string) error {
	if !familyForm.MatchString(family) {
		return ErrFamily
	}
	return nil
}

// fill gives a row the legal ground of the whole file where it has none.
func (r *cellReader) fill(row *Row) {
	if r.basis != NoBasis && row.Contact.Basis == NoBasis {
		row.Contact.Basis = r.basis
		row.Set |= FieldBasis
	}
	if r.evidence != "" && row.Contact.BasisEvidence == "" {
		row.Contact.BasisEvidence = r.evidence
		row.Set |= FieldBasisEvidence
	}
	if row.Contact.Basis != SoftOptIn {
		return
	}
	for _, f := range []struct {
		field    Fields
		cell     *string
		fallback string
	}{{FieldSale, &row.Contact.Sale.Reference, r.sale.Reference}, {FieldOffered, &row.Contact.Sale.Offered, r.sale.Offered},
		{FieldFamily, &row.Contact.Sale.Family, r.sale.Family}} {
		if f.fallback != "" && *f.cell == "" {
			*f.cell = f.fallback
			row.Set |= f.field
		}
	}
}

func (r *cellReader) phone(cell string) (string, error) { return NormalizePhone(cell, r.region) }

// field reads a field of text. An empty cell clears it; a bad one leaves it.
func field(f Fields, of func(*Contact) *string, normalize func(string) (string, error)) func(string, *Row) error {
	return func(cell string, row *Row) error {
		value := strings.TrimSpace(cell)
		if value != "" {
			var err error
			if value, err = normalize(value); err != nil {
				return err
			}
		}
		*of(&row.Contact) = value
		row.Set |= f
		return nil
	}
}

func readExternalID(cell string, row *Row) (err error) {
	row.Contact.ExternalID, err = NormalizeExternalID(cell)
	return err
}

// readDevices reads tokens separated by spaces. One bad token leaves all
// devices as they are: without it, the list would not be whole.
func readDevices(cell string, row *Row) error {
	var devices []Device
	for text := range strings.FieldsSeq(cell) {
		token, err := NormalizeToken(text)
		if err != nil {
			return err
		}
		d := Device{Token: token, Active: true}
		if !slices.Contains(devices, d) {
			devices = append(devices, d)
		}
	}
	row.Contact.Devices = devices
	row.Set |= FieldDevices
	return nil
}

func readBasis(cell string, row *Row) error {
	basis := Basis(strings.ToLower(strings.TrimSpace(cell)))
	if !basis.Valid() {
		return ErrBasis
	}
	row.Contact.Basis = basis
	row.Set |= FieldBasis
	return nil
}

// senderName is the form of a sender's name.
var senderName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)

func consent(name string) func(string, *Row) error {
	return func(cell string, row *Row) error {
		answer := strings.ToLower(strings.TrimSpace(cell))
		switch answer {
		case "":
			return nil
		case "yes", "no":
			if row.Consents == nil {
				row.Consents = make(map[string]bool, 2)
			}
			row.Consents[name] = answer == "yes"
			return nil
		}
		return ErrYesNo
	}
}

var noticeVersion = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func readNotice(cell string, row *Row) error {
	if cell = strings.TrimSpace(cell); cell != "" && !noticeVersion.MatchString(cell) {
		return ErrVersion
	}
	row.ConsentNotice = cell
	return nil
}

// relation reads the day since when there is one, yes where that is not known, or
// that it has ended.
func relation(sender string) func(string, *Row) error {
	return func(cell string, row *Row) error {
		r := Relation{Sender: sender}
		switch cell = strings.ToLower(strings.TrimSpace(cell)); cell {
		case "":
			return nil
		case "yes":
		case "ended":
			r.Ended = true
		default:
			if _, err := time.Parse(time.DateOnly, cell); err != nil {
				return ErrRelation
			}
			r.Since = cell
		}
		if row.Relations == nil {
			row.Relations = make(map[string]Relation, 3)
		}
		row.Relations[sender] = r
		return nil
	}
}

func attribute(name string) func(string, *Row) error {
	return func(cell string, row *Row) error {
		value, err := plainText(strings.TrimSpace(cell))
		if err != nil {
			return err
		}
		if rule := forbidden(value); rule != "" {
			return rule
		}
		if row.Contact.Attributes == nil {
			row.Contact.Attributes = make(map[string]string)
		}
		row.Contact.Attributes[name] = value
		return nil
	}
}

// oneLine accepts text without control characters: names stand in headers.
func oneLine(s string) (string, error) {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", ErrControl
	}
	return s, nil
}

// plainText accepts text that may have several lines.
func plainText(s string) (string, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		return "", ErrControl
	}
	return s, nil
}

// NormalizeLocale does so of a locale that may be left out. The error is a [Rule].
func NormalizeLocale(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return normalizeLocale(s)
}

// normalizeLocale gives a language tag of BCP 47 in its canonical form: sv_se
// becomes sv-SE.
func normalizeLocale(s string) (string, error) {
	if len(s) > maxLocale {
		return "", ErrLocale
	}
	tag, err := language.Parse(s)
	if err != nil || tag == language.Und {
		return "", ErrLocale
	}
	return tag.String(), nil
}

// normalizeTimeZone accepts the names of the IANA database. Local is none of
// them: it would be the zone of whichever machine sends.
func normalizeTimeZone(s string) (string, error) {
	if len(s) > maxTimeZone || s == "Local" {
		return "", ErrTimeZone
	}
	if _, err := time.LoadLocation(s); err != nil {
		return "", ErrTimeZone
	}
	return s, nil
}

// memo remembers what normalize said about the few values that a column has in
// a million rows.
func memo(normalize func(string) (string, error)) func(string) (string, error) {
	const most = 1000
	type answer struct {
		value string
		err   error
	}
	seen := make(map[string]answer)
	return func(s string) (string, error) {
		a, ok := seen[s]
		if !ok {
			if len(seen) == most {
				clear(seen)
			}
			s = strings.Clone(s) // s is a piece of its whole row
			a.value, a.err = normalize(s)
			seen[s] = a
		}
		return a.value, a.err
	}
}
